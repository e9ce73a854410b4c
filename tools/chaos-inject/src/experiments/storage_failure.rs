//! Storage failure: the workload that owns a volume goes to no pods at all, so that the volume is
//! unmounted, and back to the count that it had. A writer tries all the while; afterwards the
//! database has to know every write that it acknowledged.

use std::collections::BTreeSet;

use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::config::{self, Config, Span, Table};
use chaos_common::exit::Failure;
use chaos_common::postgres::{Before, Comparison, Session, Snapshot, Untaken, compare};
use chaos_common::record::{Change, Check, DatabaseMoment, EventKind, Plan, TableFingerprint};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::api::Api;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::time::{Duration, Instant, sleep};

use crate::abort::Abort;
use crate::context::Context;
use crate::experiments::Definition;
use crate::experiments::support::database_writer::{Ack, Database, INTERVAL, Writer, longest_gap};
use crate::experiments::support::steady_state::Wholeness;
use crate::observe::pod_watch::{Pods, in_words};
use crate::observe::{Seen, to_exec};
use crate::permissions::need_one;
use crate::plan::Draft;
use crate::plan::target::Selection;
use crate::plan::workload::{self, Workload};
use crate::run::fault::{End, Fault};

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
    whole: Wholeness,
    claims: BTreeSet<String>,
    writer: Option<Writer>,
    written: Option<Written>,
    /// The tables before, and what became of them.
    tables: Option<Result<Tables, String>>,
    compared: Vec<Check>,
    gone: Option<Instant>,
    began: Option<Instant>,
    /// The claims' and volumes' phases: before, while it is gone, afterwards.
    phases: Vec<(&'static str, Result<Vec<Volume>, String>)>,
}

/// What the writer was told.
#[derive(Debug)]
struct Written {
    acknowledged: Vec<Ack>,
    /// The last refusal.
    refusal: Option<String>,
    /// How many acknowledged writes the database does not know.
    lost: Result<usize, String>,
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
        let ours =
            workload::parse(&self.workload).is_ok_and(|(_, _, name)| name == settings.deployment);
        ours.then(|| Database::new(&context.cluster, &context.namespace, settings))
    }

    /// Holds the tables against what they were: growth is fine, loss and change are not.
    async fn compare(&mut self, context: &Context) {
        let id = format!("{NAME}.data");
        let Some(settings) = &context.config.database else {
            return;
        };
        let before = match &self.tables {
            Some(Ok(before)) => before,
            Some(Err(why)) => {
                return self
                    .compared
                    .push(Check::unknown(&id, "database", why.clone()));
            }
            None => return,
        };
        match fingerprints(context, settings, Some(before)).await {
            Ok((_, checks)) => self.compared.extend(checks),
            Err(why) => self.compared.push(Check::unknown(&id, "database", why)),
        }
    }

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

/// Fingerprints of the configured tables, and, where there are earlier ones, what they say beside
/// them.
async fn fingerprints(
    context: &Context,
    settings: &config::Database,
    before: Option<&Tables>,
) -> Result<(Tables, Vec<Check>), String> {
    let id = format!("{NAME}.data");
    let mut session = Session::open(&context.cluster, &context.namespace, settings)
        .await
        .map_err(|error| error.to_string())?;
    let snapshot = Snapshot::begin(&mut session)
        .await
        .map_err(|error| error.to_string())?;
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
    snapshot
        .end(&mut session)
        .await
        .map_err(|error| error.to_string())?;
    Ok((tables, checks))
}

async fn volumes(context: &Context, claims: &BTreeSet<String>) -> Result<Vec<Volume>, String> {
    let api: Api<PersistentVolumeClaim> =
        Api::namespaced(context.cluster.client.clone(), &context.namespace);
    let all: Api<PersistentVolume> = Api::all(context.cluster.client.clone());
    let mut volumes = Vec::new();
    for name in claims {
        let what = format!(
            "read persistentvolumeclaim {name} in namespace {}",
            context.namespace
        );
        let claim = context
            .cluster
            .read(what, || api.get(name))
            .await
            .map_err(|error| error.to_string())?;
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
fn storage(found: &Result<Vec<Volume>, String>) -> Check {
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
        Err(why) => Check::fail(ID, "", why.clone())
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
        Ok(StorageFailure {
            settings,
            workload,
            whole: Wholeness::default(),
            claims: BTreeSet::new(),
            writer: None,
            written: None,
            tables: None,
            compared: Vec::new(),
            gone: None,
            began: None,
            phases: Vec::new(),
        })
    }
}

#[async_trait(?Send)]
impl Fault for StorageFailure {
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

    async fn prepare(&mut self, context: &mut Context, plan: &Plan) -> Result<(), String> {
        let target = Workload::read(context, &context.namespace, &self.workload)
            .await
            .map_err(|e| e.to_string())?;
        self.claims = target.claims();
        self.whole = Wholeness::of(context, plan, std::slice::from_ref(&target)).await?;
        self.look_at_volumes(context, "before").await;
        if let Some(database) = self.database(context) {
            if let Some(settings) = &context.config.database {
                let before = fingerprints(context, settings, None).await;
                self.tables = Some(before.map(|(tables, _)| tables));
            }
            self.writer = Some(Writer::start(database, &context.run).await?);
        }
        Ok(())
    }

    fn made(&mut self, _change: &Change, made: crate::change::apply::Applied) {
        self.began.get_or_insert(made.sent);
    }

    async fn effect(
        &mut self,
        context: &mut Context,
        _plan: &Plan,
    ) -> Result<Option<String>, String> {
        let began = self.began.ok_or("nothing was made")?;
        let limit = self.settings.stop_limit.0;
        let Some((workload, watch)) = self.whole.pods.first_mut() else {
            return Err("nothing is watched".to_owned());
        };
        let workload = workload.clone();
        watch
            .until(began + limit, Pods::is_empty)
            .await
            .map_err(|pods| {
                format!(
                    "after {} s the pods of {workload} are not gone: {}",
                    limit.as_secs(),
                    in_words(&pods)
                )
            })?;
        self.gone = Some(Instant::now());
        let after = began.elapsed().as_millis();
        self.look_at_volumes(context, "while no pod has it mounted")
            .await;
        Ok(Some(format!(
            "{workload} has no pod any more after {after} ms, and its storage is unmounted"
        )))
    }

    async fn restored(&mut self, context: &mut Context, _plan: &Plan, _abort: &mut Abort) -> End {
        let end = self
            .whole
            .wait(context, self.settings.recovery_limit.0)
            .await;
        if end != End::Restored {
            return end;
        }
        if let Some(writer) = self.writer.take() {
            let database = self.database(context);
            // The writer itself needs a moment to be acknowledged again.
            sleep(INTERVAL * 4).await;
            let (acknowledged, refusal) = writer.stop().await;
            let lost = match &database {
                Some(database) => {
                    let deadline = Instant::now() + WRITES_AGAIN;
                    loop {
                        match database.lost(&acknowledged).await {
                            Ok(lost) => break Ok(lost),
                            Err(error) if Instant::now() >= deadline => {
                                break Err(error.to_string());
                            }
                            Err(_) => sleep(INTERVAL).await,
                        }
                    }
                }
                None => Err("no database is configured".to_owned()),
            };
            self.written = Some(Written {
                acknowledged,
                refusal,
                lost,
            });
            self.compare(context).await;
            self.look_at_volumes(context, "afterwards").await;
        }
        End::Restored
    }

    fn judge(&self, _context: &Context, _plan: &Plan, _seen: &Seen) -> Vec<Check> {
        let id = |what: &str| format!("{NAME}.{what}");
        let mut checks = Vec::new();
        if let (Some(began), Some(gone)) = (self.began, self.gone) {
            let limit = self.settings.stop_limit;
            checks.push(Check::judge(
                gone.duration_since(began) <= limit.0,
                &id("unmounted"),
                &self.workload,
                format!(
                    "its pods were gone after {} ms; limit {limit}",
                    gone.duration_since(began).as_millis()
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
                Err(why) => Check::unknown(&id("volumes"), object, why.clone()),
            });
        }
        checks.extend(self.compared.iter().cloned());
        match &self.written {
            Some(Written { acknowledged, refusal, lost }) => {
                let count = acknowledged.len();
                checks.push(match lost {
                    Ok(lost) => Check::judge(
                        *lost == 0,
                        &id("writes"),
                        "database",
                        format!("{lost} of {count} acknowledged writes are lost"),
                    ),
                    Err(why) => Check::unknown(&id("writes"), "database", why.clone()),
                });
                let gap = longest_gap(acknowledged).unwrap_or_default();
                let again = self.gone.is_some_and(|gone| acknowledged.iter().any(|ack| ack.at > gone));
                let refused = refusal.as_ref().map(|why| format!("; refused with: {why}")).unwrap_or_default();
                checks.push(if again {
                    let message = format!(
                        "no write was acknowledged for {} ms (true to {} ms){refused}",
                        gap.as_millis(),
                        2 * INTERVAL.as_millis()
                    );
                    Check::pass(&id("outage"), "database", message)
                } else {
                    Check::fail(&id("outage"), "database", format!("no write was acknowledged afterwards{refused}"))
                });
            }
            None => checks.push(Check::skipped(
                &id("writes"),
                "",
                "the workload is not the configured database: nothing was written, and nothing is known of its data",
            )),
        }
        checks
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
        assert_eq!(storage(&Err("no claim data".into())).status, Status::Fail);
    }
}
