//! Intent before action: what will be undone is durable in the cluster before the first write of
//! the fault. It is kept in a Lease for each target workload, which is a lock at the same time:
//! there can only be one of a name, and the API server decides who made it. While the run lives,
//! its guardian renews the Leases; a Lease that is not renewed any more was left behind.

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind, error_chain, may_succeed_later};
use chaos_common::record::{Change, HeldRun, Lock, Plan, Time, WorkloadRef};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{
    Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions,
};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::change::{Owner, RUN_LABEL};

/// Time that one write may take. A Lease whose write was not answered may be there all the same: it
/// holds the target, and `recover` finds it.
const CALL: Duration = Duration::from_secs(10);
/// Annotation of a run's Lease: the intent as JSON.
const INTENT: &str = "chaos-runbook/intent";
/// Annotation of a run's Lease by which somebody asks the run to stop: who and why, as JSON.
const ABORT: &str = "chaos-runbook/abort";
/// Annotation of a lock: who and why, as JSON.
const LOCK: &str = "chaos-runbook/lock";
/// Name of the Lease that forbids new runs in its namespace.
const LOCK_NAME: &str = "chaos-lock";
/// The guardian renews the Leases this often.
pub const RENEWAL: Duration = Duration::from_secs(2);
/// A Lease that nobody renews for so long belongs to nobody that lives.
pub const SILENCE: Duration = Duration::from_secs(5);

/// What a run is about to do, and all that is needed to take it back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Intent {
    /// The run's id.
    pub run: String,
    /// The experiment.
    pub experiment: String,
    /// Who runs it: user and host.
    pub executor: String,
    /// When the intent was declared.
    pub since: Time,
    /// Namespace and name of each of its Leases.
    pub leases: Vec<(String, String)>,
    /// What it changes.
    pub changes: Vec<Change>,
    /// How long the undo is tried, in milliseconds.
    pub undo_limit_ms: u64,
}

/// The person behind an abort or a lock, and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Word {
    /// User and host.
    pub executor: String,
    /// Why, in that person's words.
    pub reason: String,
    /// When.
    pub since: Time,
}

/// Why there is no intent.
#[derive(Debug)]
pub enum NoIntent {
    /// Another run holds the target, or left it behind.
    Held(String),
    /// It could not be written.
    Failed(String),
}

/// Name of a target's Lease.
pub fn lease_name(workload: &WorkloadRef) -> String {
    format!("chaos-{}-{}", workload.kind.to_lowercase(), workload.name)
}

impl Intent {
    /// The intent of a run that carries out a plan.
    pub fn of(plan: &Plan, run: &str, executor: &str, undo_limit: Duration) -> Intent {
        let mut leases: Vec<(String, String)> = plan
            .blast_radius
            .iter()
            .map(|one| (one.workload.namespace.clone(), lease_name(&one.workload)))
            .collect();
        if leases.is_empty() {
            leases.push((
                plan.namespace.clone(),
                format!("chaos-namespace-{}", plan.namespace),
            ));
        }
        leases.sort();
        leases.dedup();
        Intent {
            run: run.to_owned(),
            experiment: plan.experiment.clone(),
            executor: executor.to_owned(),
            since: Time::now(),
            leases,
            changes: plan.changes.clone(),
            #[expect(clippy::cast_possible_truncation, reason = "minutes")]
            undo_limit_ms: undo_limit.as_millis() as u64,
        }
    }

    /// Until when an undo that starts now is tried.
    pub fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.undo_limit_ms)
    }

    /// Writes the Leases. If one target is held by another run, what was written is taken back.
    /// Gives, for each namespace, the Lease that owns the run's objects there.
    ///
    /// # Errors
    /// A target is held, or the API server does not accept the write.
    pub async fn declare(&self, cluster: &Cluster) -> Result<BTreeMap<String, Owner>, NoIntent> {
        let mut owners = BTreeMap::new();
        for (namespace, name) in &self.leases {
            let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
            let now = Some(MicroTime(Time::now().0));
            let intent = serde_json::to_string(self).expect("an intent is JSON");
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(name.clone()),
                    namespace: Some(namespace.clone()),
                    labels: Some([(RUN_LABEL.to_owned(), self.run.clone())].into()),
                    annotations: Some([(INTENT.to_owned(), intent)].into()),
                    ..ObjectMeta::default()
                },
                spec: Some(LeaseSpec {
                    holder_identity: Some(self.run.clone()),
                    acquire_time: now.clone(),
                    renew_time: now,
                    lease_duration_seconds: i32::try_from(SILENCE.as_secs()).ok(),
                    ..LeaseSpec::default()
                }),
            };
            match create(&api, &lease).await {
                Ok(made) => {
                    let uid = made.metadata.uid.unwrap_or_default();
                    owners.entry(namespace.clone()).or_insert(Owner {
                        name: name.clone(),
                        uid,
                    });
                }
                Err(error) => {
                    let taken = matches!(&error, kube::Error::Api(status) if status.code == 409);
                    let why = if taken {
                        let now = api
                            .get(name)
                            .await
                            .map_or_else(|_| "another run holds it".to_owned(), |l| holder(&l));
                        NoIntent::Held(format!("lease/{name}: {now}; {HELD_HINT}"))
                    } else {
                        NoIntent::Failed(format!(
                            "cannot write lease {name} in namespace {namespace}: {}",
                            error_chain(&error)
                        ))
                    };
                    return match self.release(cluster).await {
                        Ok(()) => Err(why),
                        Err(left) => Err(NoIntent::Failed(format!("{why:?}; and {left}"))),
                    };
                }
            }
        }
        Ok(owners)
    }

    /// Takes the run's Leases away, and no other's. Those that are gone already are fine. It looks
    /// again and tries again until the deadline of an undo, unless it is not permitted.
    ///
    /// # Errors
    /// Some could not be taken away; says which, and what to type.
    pub async fn release(&self, cluster: &Cluster) -> Result<(), String> {
        let deadline = self.deadline();
        let one = async |(namespace, name): &(String, String)| {
            let mut pause = Duration::from_millis(50);
            loop {
                let Err(error) = self.release_one(cluster, namespace, name).await else {
                    return Ok(());
                };
                let refused = matches!(
                    error.kind,
                    ReadErrorKind::Forbidden | ReadErrorKind::Unauthorized
                );
                if refused || Instant::now() + pause >= deadline {
                    return Err(format!(
                        "{error}; type: kubectl delete lease {name} -n {namespace}"
                    ));
                }
                sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(1));
            }
        };
        let left: Vec<String> = futures::future::join_all(self.leases.iter().map(one))
            .await
            .into_iter()
            .filter_map(Result::err)
            .collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(left.join("; "))
        }
    }

    async fn release_one(
        &self,
        cluster: &Cluster,
        namespace: &str,
        name: &str,
    ) -> Result<(), ReadError> {
        let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
        let what = format!("delete lease {name} in namespace {namespace}");
        let found = cluster.read(&what, || api.get_opt(name)).await?;
        let Some(lease) = found.filter(|lease| run_of(lease) == Some(&self.run)) else {
            return Ok(());
        };
        let mine = DeleteParams::default().preconditions(Preconditions {
            uid: lease.metadata.uid,
            resource_version: None,
        });
        match cluster.read(&what, || api.delete(name, &mine)).await {
            Err(error) if error.kind != ReadErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Says that the run lives.
    ///
    /// # Errors
    /// A Lease is not ours any more, or the API server does not answer.
    pub async fn renew(&self, cluster: &Cluster) -> kube::Result<()> {
        for (namespace, name) in &self.leases {
            let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
            let patch = json!({ "spec": { "renewTime": MicroTime(Time::now().0) } });
            api.patch(name, &PatchParams::default(), &Patch::Merge(patch))
                .await?;
        }
        Ok(())
    }
}

/// Writes a Lease, again if that was not answered: then it may be there already, and ours.
async fn create(api: &Api<Lease>, lease: &Lease) -> kube::Result<Lease> {
    let end = Instant::now() + CALL;
    loop {
        let late = |_| Err(kube::Error::Service("no answer in time".into()));
        let written = timeout(CALL / 2, api.create(&PostParams::default(), lease))
            .await
            .unwrap_or_else(late);
        match written {
            Err(error) if may_succeed_later(&error) && Instant::now() < end => {
                sleep(Duration::from_millis(200)).await;
            }
            Err(kube::Error::Api(status)) if status.code == 409 => {
                let there = api
                    .get(lease.metadata.name.as_deref().unwrap_or_default())
                    .await?;
                return if run_of(&there) == run_of(lease) {
                    Ok(there)
                } else {
                    Err(kube::Error::Api(status))
                };
            }
            other => return other,
        }
    }
}

/// What to do about a target that is held.
pub const HELD_HINT: &str = "chaos-inject status shows whether that run is alive: chaos-inject abort stops one that \
     is, chaos-inject recover takes back what a killed one left";

fn run_of(lease: &Lease) -> Option<&String> {
    lease.metadata.labels.as_ref()?.get(RUN_LABEL)
}

/// Who holds a target: the run, since when, by whom.
fn holder(lease: &Lease) -> String {
    let run = run_of(lease).map_or("an unknown run", String::as_str);
    let since = lease
        .spec
        .as_ref()
        .and_then(|spec| spec.acquire_time.clone());
    let since = since.map_or_else(|| "an unknown time".to_owned(), |time| Time(time.0).human());
    format!("run {run} holds it since {since}")
}

fn annotation<T: for<'de> Deserialize<'de>>(lease: &Lease, name: &str) -> Option<T> {
    serde_json::from_str(lease.metadata.annotations.as_ref()?.get(name)?).ok()
}

/// What somebody who wants the run to stop wrote on its Lease.
pub fn abort_asked(lease: &Lease) -> Option<Word> {
    annotation(lease, ABORT)
}

/// The Leases of runs, and locks, in some namespaces.
#[derive(Clone, Debug, Default)]
pub struct Found {
    leases: Vec<Lease>,
    locks: Vec<Lease>,
}

impl Found {
    /// Looks for them.
    ///
    /// # Errors
    /// The Leases of a namespace can't be listed.
    pub async fn look(cluster: &Cluster, namespaces: &[String]) -> Result<Found, ReadError> {
        let mut found = Found::default();
        for namespace in namespaces {
            let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
            let what = format!("list leases in namespace {namespace}");
            let leases = cluster.list(&api, &ListParams::default(), what).await?;
            for lease in leases {
                if run_of(&lease).is_some() {
                    found.leases.push(lease);
                } else if lease.metadata.name.as_deref() == Some(LOCK_NAME) {
                    found.locks.push(lease);
                }
            }
        }
        Ok(found)
    }

    /// The runs, each with its intent. Of a Lease whose intent can't be read only the run is known.
    pub fn runs(&self) -> BTreeMap<String, (Option<Intent>, Vec<&Lease>)> {
        let mut runs: BTreeMap<String, (Option<Intent>, Vec<&Lease>)> = BTreeMap::new();
        for lease in &self.leases {
            let run = runs
                .entry(run_of(lease).cloned().unwrap_or_default())
                .or_default();
            run.0 = run.0.take().or_else(|| annotation(lease, INTENT));
            run.1.push(lease);
        }
        runs
    }

    /// The runs as a record shows them. `alive` tells of each what is known.
    pub fn held(&self, alive: impl Fn(&str) -> Option<bool>) -> Vec<HeldRun> {
        let held = |(run, (intent, leases)): (String, (Option<Intent>, Vec<&Lease>))| {
            let acquired = leases
                .iter()
                .find_map(|lease| lease.spec.as_ref()?.acquire_time.clone());
            HeldRun {
                experiment: intent
                    .as_ref()
                    .map_or_else(String::new, |intent| intent.experiment.clone()),
                executor: intent
                    .as_ref()
                    .map_or_else(String::new, |intent| intent.executor.clone()),
                since: acquired.map(|time| Time(time.0)),
                alive: alive(&run),
                changes: intent.map(|intent| intent.changes).unwrap_or_default(),
                undone: false,
                run,
            }
        };
        self.runs().into_iter().map(held).collect()
    }

    /// The locks.
    pub fn locks(&self) -> Vec<Lock> {
        let lock = |lease: &Lease| {
            let word: Option<Word> = annotation(lease, LOCK);
            Lock {
                namespace: lease.metadata.namespace.clone().unwrap_or_default(),
                executor: word
                    .as_ref()
                    .map_or_else(|| "somebody".to_owned(), |word| word.executor.clone()),
                reason: word
                    .as_ref()
                    .map_or_else(String::new, |word| word.reason.clone()),
                since: word.map(|word| word.since),
            }
        };
        self.locks.iter().map(lock).collect()
    }

    /// When each run last said that it lives.
    fn renewals(&self) -> BTreeMap<String, Vec<Option<MicroTime>>> {
        let mut renewals: BTreeMap<String, Vec<Option<MicroTime>>> = BTreeMap::new();
        for lease in &self.leases {
            let time = lease.spec.as_ref().and_then(|spec| spec.renew_time.clone());
            renewals
                .entry(run_of(lease).cloned().unwrap_or_default())
                .or_default()
                .push(time);
        }
        renewals
    }

    /// Some run has said since that it lives.
    pub fn renewed_since(&self, before: &Found) -> bool {
        self.renewals() != before.renewals()
    }

    /// The targets of a plan that are held already: name of the Lease, and who.
    pub fn holders(&self, plan: &Plan) -> Vec<(String, String)> {
        let wanted = Intent::of(plan, "", "", Duration::ZERO).leases;
        let is_wanted = |lease: &&Lease| {
            wanted.iter().any(|(namespace, name)| {
                lease.metadata.namespace.as_ref() == Some(namespace)
                    && lease.metadata.name.as_ref() == Some(name)
            })
        };
        let held = self.leases.iter().filter(is_wanted);
        held.map(|lease| {
            (
                lease.metadata.name.clone().unwrap_or_default(),
                holder(lease),
            )
        })
        .collect()
    }
}

/// The runs that live: their Leases are renewed while we look. This does not ask what time it is on
/// which machine. It takes as long as [`SILENCE`] if there is a run, and ends early once all are
/// known to live.
///
/// # Errors
/// The Leases can't be listed.
pub async fn alive(
    cluster: &Cluster,
    namespaces: &[String],
    before: &Found,
) -> Result<Vec<String>, ReadError> {
    let end = Instant::now() + SILENCE;
    let then = before.renewals();
    let mut living = Vec::new();
    while living.len() < then.len() && Instant::now() < end {
        sleep(Duration::from_millis(250)).await;
        let now = Found::look(cluster, namespaces).await?.renewals();
        living = then
            .iter()
            // One that is gone by now has ended by itself.
            .filter(|(run, times)| now.get(*run).is_none_or(|now| now != *times))
            .map(|(run, _)| run.clone())
            .collect();
    }
    Ok(living)
}

/// Asks a run to stop: writes who and why on its Leases.
///
/// # Errors
/// They can't be written.
pub async fn ask_to_abort(
    cluster: &Cluster,
    intent: &Intent,
    word: &Word,
) -> Result<(), ReadError> {
    let value = serde_json::to_string(word).expect("words are JSON");
    for (namespace, name) in &intent.leases {
        let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
        let patch = json!({ "metadata": { "annotations": { ABORT: value } } });
        let what = format!(
            "ask run {} to abort (annotate lease {name} in namespace {namespace})",
            intent.run
        );
        let written = cluster.read(what, || async {
            api.patch(name, &PatchParams::default(), &Patch::Merge(&patch))
                .await
        });
        match written.await {
            Err(error) if error.kind != ReadErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Forbids new runs in a namespace; the word of an earlier lock stays.
///
/// # Errors
/// The Lease can't be written.
pub async fn lock(cluster: &Cluster, namespace: &str, word: &Word) -> Result<(), ReadError> {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
    let value = serde_json::to_string(word).expect("words are JSON");
    let lease = Lease {
        metadata: ObjectMeta {
            name: Some(LOCK_NAME.to_owned()),
            annotations: Some([(LOCK.to_owned(), value)].into()),
            ..ObjectMeta::default()
        },
        spec: Some(LeaseSpec {
            holder_identity: Some(word.executor.clone()),
            ..LeaseSpec::default()
        }),
    };
    match api.create(&PostParams::default(), &lease).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(error) => Err(ReadError::from_kube(
            format!("write lease {LOCK_NAME} in namespace {namespace}"),
            &error,
        )),
    }
}

/// Allows new runs again.
///
/// # Errors
/// The Lease can't be deleted.
pub async fn unlock(cluster: &Cluster, namespace: &str) -> Result<(), ReadError> {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
    let what = format!("delete lease {LOCK_NAME} in namespace {namespace}");
    match cluster
        .read(what, || async {
            api.delete(LOCK_NAME, &DeleteParams::default()).await
        })
        .await
    {
        Err(error) if error.kind != ReadErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
