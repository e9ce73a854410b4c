//! Storage failure: the workload that owns a volume goes to no pods at all, so that the volume is
//! unmounted, and back to the count that it had. A writer tries all the while; afterwards the
//! database has to know every write that it acknowledged.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::config::{self, Config, Span, Table};
use chaos_common::exit::Failure;
use chaos_common::postgres::{Before, Comparison, Session, Snapshot, Untaken, compare};
use chaos_common::record::{Check, DatabaseMoment, EventKind, Plan, TableFingerprint};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::Api;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{Duration, Instant, sleep};

use crate::abort::Abort;
use crate::context::Context;
use crate::experiments::Definition;
use crate::experiments::support::database_writer::{Ack, Database, INTERVAL, Writer, longest_gap};
use crate::experiments::support::steady_state::SteadyState;
use crate::observe::pod_watch::{Pods, in_words};
use crate::observe::{Seen, to_exec};
use crate::permissions::need_one;
use crate::plan::Draft;
use crate::plan::target::Selection;
use crate::plan::workload::{self, Workload};
use crate::run::experiment::{Effect, Experiment, Injection, Recovery, RunningExperiment};

const NAME: &str = "storage-failure";
/// Time for the writer to be acknowledged again once the pods are ready.
const WRITES_AGAIN: Duration = Duration::from_secs(10);

/// `[experiment.storage_failure]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The workload that loses its storage, as `deployment/NAME` or `statefulset/NAME`; the
    /// database's if left out.
    pub workload: Option<String>,
    /// How long it is without storage.
    pub duration: Span,
    /// Longest time for its pods to be gone.
    pub stop_limit: Span,
    /// Longest time for its pods to be ready again.
    pub recovery_limit: Span,
    /// Services that are expected to suffer.
    pub affected: Vec<String>,
    /// Alerts that must fire.
    pub alerts: Vec<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            workload: None,
            duration: Span::seconds(10),
            stop_limit: Span::seconds(60),
            recovery_limit: Span::seconds(120),
            affected: Vec::new(),
            alerts: Vec::new(),
        }
    }
}

/// The experiment.
#[derive(Debug)]
pub struct StorageFailure {
    settings: Settings,
    workload: String,
}

/// It runs.
#[derive(Debug)]
struct Running {
    settings: Settings,
    workload: String,
    steady: SteadyState,
    claims: BTreeSet<String>,
    /// Where the workload is the configured database.
    data: Option<Data>,
    /// When its pods were seen to be gone.
    gone: Option<Instant>,
    /// The claims' and volumes' phases: before, while it is gone, afterwards.
    phases: Vec<(&'static str, anyhow::Result<Vec<Volume>>)>,
}

/// The database's data, while it can be lost.
#[derive(Debug)]
struct Data {
    database: Database,
    settings: config::Database,
    /// The tables before.
    tables: anyhow::Result<Tables>,
    state: Writing,
}

/// Whether the writer still writes.
#[derive(Debug)]
enum Writing {
    /// It does.
    Running(Writer),
    /// It was stopped: what it was told, and what became of the tables.
    Stopped(Written, Vec<Check>),
    /// It is being stopped.
    Stopping,
}

/// What the writer was told.
#[derive(Debug)]
struct Written {
    acknowledged: Vec<Ack>,
    /// The last refusal.
    refusal: Option<String>,
    /// How many acknowledged writes the database does not know.
    lost: anyhow::Result<usize>,
}

/// Fingerprints of the configured tables, in one snapshot.
#[derive(Debug)]
struct Tables {
    moment: Option<DatabaseMoment>,
    fingerprints: Vec<(Table, Result<TableFingerprint, String>)>,
}

/// A claim and its volume.
#[derive(Clone, Debug, PartialEq)]
struct Volume {
    claim: String,
    phase: String,
    /// Name and phase of the persistent volume; its phase is not known where volumes may not be
    /// read.
    bound: Option<(String, Option<String>)>,
}

impl StorageFailure {
    /// The database, if it is what loses its storage.
    fn database(&self, context: &Context) -> Option<Database> {
        let settings = context.config.database.as_ref()?;
        let ours = workload::parse(&self.workload).is_ok_and(|one| one.name == settings.deployment);
        ours.then(|| Database::new(&context.cluster, &context.namespace, settings))
    }
}

impl Running {
    async fn look_at_volumes(&mut self, context: &mut Context, when: &'static str) {
        let found = volumes(context, &self.claims).await;
        match &found {
            Ok(volumes) => context.event(
                EventKind::Observed,
                None,
                format!("{when}: {}", words(volumes)),
            ),
            Err(why) => context.issue(EventKind::Observed, None, format!("{when}: {why}")),
        }
        self.phases.push((when, found));
    }
}

impl Data {
    async fn start(
        context: &Context,
        database: Database,
        settings: &config::Database,
    ) -> anyhow::Result<Data> {
        let tables = fingerprints(context, settings, None).await;
        Ok(Data {
            tables: tables.map(|(tables, _)| tables),
            state: Writing::Running(Writer::start(database.clone(), &context.run).await?),
            database,
            settings: settings.clone(),
        })
    }

    /// Stops the writer once it is acknowledged again, and asks what became of its writes and of
    /// the tables.
    async fn stop(&mut self, context: &Context) {
        let Writing::Running(writer) = std::mem::replace(&mut self.state, Writing::Stopping) else {
            return;
        };
        // The writer itself needs a moment to be acknowledged again.
        sleep(INTERVAL * 4).await;
        let (acknowledged, refusal) = writer.stop().await;
        let deadline = Instant::now() + WRITES_AGAIN;
        let lost = loop {
            match self.database.lost(&acknowledged).await {
                Err(_) if Instant::now() < deadline => sleep(INTERVAL).await,
                lost => break lost.map_err(anyhow::Error::from),
            }
        };
        let written = Written {
            acknowledged,
            refusal,
            lost,
        };
        self.state = Writing::Stopped(written, self.compare(context).await);
    }

    /// Holds the tables against what they were: growth is fine, loss and change are not.
    async fn compare(&self, context: &Context) -> Vec<Check> {
        let unknown = |why: &anyhow::Error| {
            let id = format!("{NAME}.data");
            vec![Check::unknown(&id, "database", why.to_string())]
        };
        match &self.tables {
            Ok(before) => match fingerprints(context, &self.settings, Some(before)).await {
                Ok((_, checks)) => checks,
                Err(why) => unknown(&why),
            },
            Err(why) => unknown(why),
        }
    }
}

/// Fingerprints of the configured tables, and, where there are earlier ones, what they say beside
/// them.
async fn fingerprints(
    context: &Context,
    settings: &config::Database,
    before: Option<&Tables>,
) -> anyhow::Result<(Tables, Vec<Check>)> {
    let id = format!("{NAME}.data");
    let mut session = Session::open(&context.cluster, &context.namespace, settings).await?;
    let snapshot = Snapshot::begin(&mut session).await?;
    let mut tables = Tables {
        moment: snapshot.moment.clone(),
        fingerprints: Vec::new(),
    };
    let mut checks = Vec::new();
    for table in &settings.tables {
        let object = format!("table/{}", table.name);
        let then = before.and_then(|before| {
            before
                .fingerprints
                .iter()
                .find(|(was, _)| was.name == table.name)
        });
        let was = match (before, then) {
            (Some(before), Some((_, Ok(fingerprint)))) => Some(Before {
                moment: before.moment.as_ref(),
                fingerprint,
            }),
            (Some(_), Some((_, Err(why)))) => {
                checks.push(Check::unknown(
                    &id,
                    object,
                    format!("before the fault: {why}"),
                ));
                continue;
            }
            _ => None,
        };
        let taken = snapshot.fingerprint(&mut session, table, was).await;
        if let Some(was) = was {
            checks.push(match &taken {
                Ok(now) => {
                    let Comparison { status, message } = compare(was.fingerprint, now);
                    Check {
                        status,
                        ..Check::pass(&id, object, message)
                    }
                }
                Err(Untaken::Missing) => Check::fail(&id, object, "it is gone"),
                Err(why) => Check::unknown(&id, object, why.to_string()),
            });
        }
        let fingerprint = taken
            .map(|taken| taken.fingerprint)
            .map_err(|why| why.to_string());
        tables.fingerprints.push((table.clone(), fingerprint));
    }
    snapshot.end(&mut session).await?;
    Ok((tables, checks))
}

async fn volumes(context: &Context, claims: &BTreeSet<String>) -> anyhow::Result<Vec<Volume>> {
    let api: Api<PersistentVolumeClaim> =
        Api::namespaced(context.cluster.client.clone(), &context.namespace);
    let all: Api<PersistentVolume> = Api::all(context.cluster.client.clone());
    let mut volumes = Vec::new();
    for name in claims {
        let what = format!(
            "read persistentvolumeclaim {name} in namespace {}",
            context.namespace
        );
        let claim = context.cluster.read(what, || api.get(name)).await?;
        let volume = claim.spec.and_then(|spec| spec.volume_name);
        let volume = match volume {
            Some(name) => {
                let found = context
                    .cluster
                    .read(format!("read persistentvolume {name}"), || all.get(&name))
                    .await;
                Some((name, found.ok().and_then(|found| found.status?.phase)))
            }
            None => None,
        };
        let phase = claim
            .status
            .and_then(|status| status.phase)
            .unwrap_or_default();
        volumes.push(Volume {
            claim: name.clone(),
            phase,
            bound: volume,
        });
    }
    Ok(volumes)
}

fn words(volumes: &[Volume]) -> String {
    let one = |volume: &Volume| {
        let of = match &volume.bound {
            Some((name, Some(phase))) => format!(", volume {name} is {phase}"),
            Some((name, None)) => format!(", volume {name}"),
            None => String::new(),
        };
        format!("claim {} is {}{of}", volume.claim, volume.phase)
    };
    volumes.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// `limit.volumes`: there is storage to lose, and it is whole.
fn storage(found: &anyhow::Result<Vec<Volume>>) -> Check {
    const ID: &str = "limit.volumes";
    match found {
        Ok(volumes) if volumes.is_empty() => Check::fail(
            ID,
            "",
            "its pods mount no persistent volume: there is no storage to lose",
        )
        .hint("choose the workload that owns the data with --workload"),
        Ok(volumes) => Check::judge(
            volumes.iter().all(|volume| volume.phase == "Bound"),
            ID,
            "",
            words(volumes),
        ),
        Err(why) => Check::fail(ID, "", why.to_string())
            .hint("kubectl get persistentvolumeclaims shows what is there"),
    }
}

impl Definition for StorageFailure {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Take the pods away that have the database's volume mounted";
    type Settings = Settings;

    fn new(selection: &Selection, settings: Settings, config: &Config) -> Result<Self, Failure> {
        let database = config
            .database
            .as_ref()
            .map(|database| format!("deployment/{}", database.deployment));
        let workload = selection
            .one_workload()?
            .or_else(|| settings.workload.clone())
            .or(database);
        let workload = workload.ok_or_else(|| {
            Failure::usage("nothing names the workload that loses its storage").hint(
                "give --workload, or set experiment.storage_failure.workload or database.deployment in chaos.toml",
            )
        })?;
        Ok(StorageFailure { settings, workload })
    }
}

#[async_trait(?Send)]
impl Experiment for StorageFailure {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let namespace = &context.namespace;
        let target = Workload::read(context, namespace, &self.workload).await?;
        let claims = target.claims();
        let mut checks = target.checks.clone();
        checks.push(storage(&volumes(context, &claims).await));
        let mut permissions = workload::permissions(namespace, &self.workload);
        permissions.extend(
            claims
                .iter()
                .map(|name| need_one(namespace, "get", "", "persistentvolumeclaims", name)),
        );
        permissions.push(need_one("", "get", "", "persistentvolumes", ""));
        if self.database(context).is_some() {
            permissions.extend(to_exec(namespace, &target.which.name));
        }
        let radius = target.radius(target.ready);
        checks.extend(workload::whole(context, &[&radius]).await);
        let draft = Draft {
            experiment: NAME,
            targets: vec![target.target()],
            changes: vec![target.scale_to(0)],
            affected: [target.services.clone(), self.settings.affected.clone()].concat(),
            blast_radius: vec![radius],
            hold: self.settings.stop_limit.0.min(Duration::from_secs(1)) + self.settings.duration.0,
            recovery_limit: self.settings.recovery_limit.0,
            slack: WRITES_AGAIN,
            undo: format!("the replicas go back to {}", target.replicas),
            alerts: self.settings.alerts.clone(),
            permissions,
            checks,
        };
        draft.finish(context).await
    }

    async fn data_at_stake(&self, _context: &Context, _plan: &Plan) -> Result<bool, ReadError> {
        Ok(true)
    }

    async fn prepare(
        &self,
        context: &mut Context,
        plan: &Plan,
    ) -> anyhow::Result<Box<dyn RunningExperiment>> {
        let target = Workload::read(context, &context.namespace, &self.workload).await?;
        let mut running = Running {
            settings: self.settings.clone(),
            workload: self.workload.clone(),
            steady: SteadyState::watch(context, plan, std::slice::from_ref(&target)).await?,
            claims: target.claims(),
            data: None,
            gone: None,
            phases: Vec::new(),
        };
        running.look_at_volumes(context, "before").await;
        if let (Some(database), Some(settings)) = (self.database(context), &context.config.database)
        {
            running.data = Some(Data::start(context, database, settings).await?);
        }
        Ok(Box::new(running))
    }
}

#[async_trait(?Send)]
impl RunningExperiment for Running {
    async fn prove_effect(&mut self, context: &mut Context, injection: &Injection) -> Effect {
        let began = injection.began;
        let limit = self.settings.stop_limit.0;
        let (workload, watch) = self.steady.first();
        let workload = workload.clone();
        if let Err(pods) = watch.until(began + limit, Pods::is_empty).await {
            return Effect::NotSeen(format!(
                "after {} s the pods of {workload} are not gone: {}",
                limit.as_secs(),
                in_words(&pods)
            ));
        }
        self.gone = Some(Instant::now());
        let after = began.elapsed().as_millis();
        self.look_at_volumes(context, "while no pod has it mounted")
            .await;
        Effect::Proven(format!(
            "{workload} has no pod any more after {after} ms, and its storage is unmounted"
        ))
    }

    async fn await_steady_state(
        &mut self,
        context: &mut Context,
        _injection: &Injection,
        _abort: &mut Abort,
    ) -> Recovery {
        let limit = self.settings.recovery_limit.0;
        let recovery = self.steady.wait(context, limit).await;
        if let (Recovery::SteadyState, Some(data)) = (&recovery, &mut self.data) {
            data.stop(context).await;
            self.look_at_volumes(context, "afterwards").await;
        }
        recovery
    }

    async fn confirm_steady_state(
        &mut self,
        context: &mut Context,
        _abort: &mut Abort,
    ) -> Recovery {
        let limit = self.settings.recovery_limit.0;
        self.steady.wait(context, limit).await
    }

    fn judge(&self, _context: &Context, injection: &Injection, _seen: &Seen) -> Vec<Check> {
        let id = |what: &str| format!("{NAME}.{what}");
        let mut checks = Vec::new();
        if let Some(gone) = self.gone {
            let (limit, after) = (self.settings.stop_limit, gone - injection.began);
            checks.push(Check::judge(
                after <= limit.0,
                &id("unmounted"),
                &self.workload,
                format!(
                    "its pods were gone after {} ms; limit {limit}",
                    after.as_millis()
                ),
            ));
        }
        for (when, found) in &self.phases {
            let object = format!("persistentvolumeclaims {when}");
            checks.push(match found {
                Ok(volumes) => Check::judge(
                    volumes.iter().all(|volume| volume.phase == "Bound"),
                    &id("volumes"),
                    object,
                    words(volumes),
                ),
                Err(why) => Check::unknown(&id("volumes"), object, why.to_string()),
            });
        }
        match self.data.as_ref().map(|data| &data.state) {
            Some(Writing::Stopped(written, compared)) => {
                checks.extend(compared.iter().cloned());
                checks.extend(written.judge(self.gone));
            }
            Some(Writing::Running(_) | Writing::Stopping) => checks.push(Check::unknown(
                &id("writes"),
                "database",
                "what became of the writes was not asked: the database did not come back",
            )),
            None => checks.push(Check::skipped(
                &id("writes"),
                "",
                "the workload is not the configured database: nothing was written, \
                 and nothing is known of its data",
            )),
        }
        checks
    }
}

impl Written {
    /// `writes` and `outage`; `gone` is when the pods were seen to be gone.
    fn judge(&self, gone: Option<Instant>) -> [Check; 2] {
        let (writes, outage) = (format!("{NAME}.writes"), format!("{NAME}.outage"));
        let count = self.acknowledged.len();
        let writes = match &self.lost {
            Ok(lost) => Check::judge(
                *lost == 0,
                &writes,
                "database",
                format!("{lost} of {count} acknowledged writes are lost"),
            ),
            Err(why) => Check::unknown(&writes, "database", why.to_string()),
        };
        let gap = longest_gap(&self.acknowledged).unwrap_or_default();
        let again = gone.is_some_and(|gone| self.acknowledged.iter().any(|ack| ack.at > gone));
        let refused = self.refusal.as_ref();
        let refused = refused.map_or_else(String::new, |why| format!("; refused with: {why}"));
        let message = if again {
            format!(
                "no write was acknowledged for {} ms (true to {} ms){refused}",
                gap.as_millis(),
                2 * INTERVAL.as_millis()
            )
        } else {
            format!("no write was acknowledged afterwards{refused}")
        };
        [writes, Check::judge(again, &outage, "database", message)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Status;

    fn volume(phase: &str) -> Volume {
        Volume {
            claim: "data".into(),
            phase: phase.into(),
            bound: None,
        }
    }

    #[test]
    fn a_workload_without_whole_storage_can_not_lose_it() {
        assert_eq!(storage(&Ok(vec![volume("Bound")])).status, Status::Pass);
        assert_eq!(
            storage(&Ok(vec![volume("Bound"), volume("Pending")])).status,
            Status::Fail
        );
        assert_eq!(storage(&Ok(vec![])).status, Status::Fail);
        assert_eq!(
            storage(&Err(anyhow::anyhow!("no claim data"))).status,
            Status::Fail
        );
    }
}
