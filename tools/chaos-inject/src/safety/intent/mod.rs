//! Intent before action: what will be undone is durable in the cluster before the first write of
//! the fault. It is kept in a Lease for each target workload, which locks the target at the same
//! time. While the run lives, its guardian renews the Leases; a Lease that is not renewed any more
//! was left behind by a run that died.

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind, error_chain};
use chaos_common::record::{Change, ClaimRef, Plan, Time};
use futures::future::join_all;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, Preconditions};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::change::decide::Owner;
use crate::labels::RUN_LABEL;
use crate::safety::leases::{
    self, ABORT_ANNOTATION, EXPIRY, GIVEN_UP_ANNOTATION, HELD_HINT, INTENT_ANNOTATION,
    describe_holder, lease_name, lease_run,
};

/// Pause after the first Lease that could not be deleted; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What a run is about to do, and all that is needed to undo it.
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
    /// Claims of the pods that go: the same have to be there afterwards.
    #[serde(default)]
    pub claims: Vec<ClaimRef>,
    /// How long the undo is tried, in milliseconds.
    pub undo_limit_ms: u64,
}

/// Why an intent is not declared. Nothing of it is left in the cluster, unless the text says so.
#[derive(Debug, thiserror::Error)]
pub enum DeclareError {
    /// Another run holds the target, or left it locked.
    #[error("lease/{lease}: {holder}; {HELD_HINT}")]
    Conflict {
        /// The target's Lease.
        lease: String,
        /// Who holds it.
        holder: String,
    },
    /// The API server did not accept a Lease.
    #[error("cannot write lease {lease} in namespace {namespace}: {}", error_chain(.source))]
    Write {
        /// The Lease.
        lease: String,
        /// Its namespace.
        namespace: String,
        /// What the API server said.
        source: kube::Error,
    },
    /// As either, and Leases that were written before could not be deleted.
    #[error("{cause}; and {left}")]
    LeftLeases {
        /// Why the intent is not declared.
        cause: Box<DeclareError>,
        /// What is left, and what to type.
        left: ReleaseError,
    },
}

/// Leases of a run that could not be deleted.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.join("; "))]
pub struct ReleaseError(Vec<String>);

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
        // One order for all runs: of two that want the same targets, one gets the first Lease.
        leases.sort();
        leases.dedup();
        Intent {
            run: run.to_owned(),
            experiment: plan.experiment.clone(),
            executor: executor.to_owned(),
            since: Time::now(),
            leases,
            changes: [plan.probe_pods.clone(), plan.changes.clone()].concat(),
            claims: plan.claims.clone(),
            #[expect(clippy::cast_possible_truncation, reason = "minutes")]
            undo_limit_ms: undo_limit.as_millis() as u64,
        }
    }

    /// The same run's intent for a part of what it changes.
    pub fn part(&self, changes: &[Change]) -> Intent {
        Intent {
            changes: changes.to_vec(),
            ..self.clone()
        }
    }

    /// The intent to have made these changes, of a run of which nothing else is known.
    pub fn of_objects(run: &str, changes: Vec<Change>) -> Intent {
        Intent {
            run: run.to_owned(),
            experiment: String::new(),
            executor: String::new(),
            since: Time::now(),
            leases: Vec::new(),
            changes,
            claims: Vec::new(),
            undo_limit_ms: 60_000,
        }
    }

    /// Until when an undo that starts now is tried.
    pub fn deadline(&self) -> Instant {
        Instant::now() + Duration::from_millis(self.undo_limit_ms)
    }

    /// Writes the Leases. If one target is held by another run, those that were written are
    /// deleted again. Gives, for each namespace, the Lease that owns the run's objects there.
    ///
    /// # Errors
    /// A target is held, or the API server does not accept the write.
    pub async fn declare(
        &self,
        cluster: &Cluster,
    ) -> Result<BTreeMap<String, Owner>, DeclareError> {
        let mut owners = BTreeMap::new();
        for (namespace, name) in &self.leases {
            let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
            match leases::create(&api, &self.lease(namespace, name)).await {
                Ok(created) => {
                    owners.entry(namespace.clone()).or_insert(Owner {
                        name: name.clone(),
                        uid: created.metadata.uid.unwrap_or_default(),
                    });
                }
                Err(error) => {
                    let cause = declare_error(&api, (namespace, name), error).await;
                    return Err(match self.release(cluster).await {
                        Ok(()) => cause,
                        Err(left) => DeclareError::LeftLeases {
                            cause: Box::new(cause),
                            left,
                        },
                    });
                }
            }
        }
        Ok(owners)
    }

    /// One of its Leases. Each holds the whole intent: any of them is enough to undo the run.
    fn lease(&self, namespace: &str, name: &str) -> Lease {
        let now = Some(MicroTime(Time::now().0));
        let intent = serde_json::to_string(self).expect("an intent is JSON");
        Lease {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                namespace: Some(namespace.to_owned()),
                labels: Some([(RUN_LABEL.to_owned(), self.run.clone())].into()),
                annotations: Some([(INTENT_ANNOTATION.to_owned(), intent)].into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.run.clone()),
                acquire_time: now.clone(),
                renew_time: now,
                lease_duration_seconds: i32::try_from(EXPIRY.as_secs()).ok(),
                ..LeaseSpec::default()
            }),
        }
    }

    /// Deletes the run's Leases, and no other's. Those that are gone already are fine. It tries
    /// again until the deadline of an undo, unless it is not permitted.
    ///
    /// # Errors
    /// Some could not be deleted; says which, and what to type.
    pub async fn release(&self, cluster: &Cluster) -> Result<(), ReleaseError> {
        let deadline = self.deadline();
        let released = join_all(
            self.leases
                .iter()
                .map(|lease| self.release_until(cluster, lease, deadline)),
        );
        let left: Vec<String> = released.await.into_iter().filter_map(Result::err).collect();
        if left.is_empty() {
            Ok(())
        } else {
            Err(ReleaseError(left))
        }
    }

    async fn release_until(
        &self,
        cluster: &Cluster,
        (namespace, name): &(String, String),
        deadline: Instant,
    ) -> Result<(), String> {
        let mut pause = FIRST_PAUSE;
        loop {
            let Err(error) = self.release_one(cluster, namespace, name).await else {
                return Ok(());
            };
            let denied = matches!(
                error.kind,
                ReadErrorKind::Forbidden | ReadErrorKind::Unauthorized
            );
            // A policy may forbid to delete what it lets us write: then it is no lock any more.
            if denied && self.disown(cluster, (namespace, name)).await.is_ok() {
                return Ok(());
            }
            if denied || Instant::now() + pause >= deadline {
                return Err(format!(
                    "{error}; type: kubectl delete lease {name} -n {namespace}"
                ));
            }
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
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
        let Some(lease) = found.filter(|lease| lease_run(lease) == Some(&self.run)) else {
            return Ok(());
        };
        // Between the two calls another run may have taken the name: its UID is another.
        let ours = DeleteParams::default().preconditions(Preconditions {
            uid: lease.metadata.uid,
            resource_version: None,
        });
        match cluster.read(&what, || api.delete(name, &ours)).await {
            Err(error) if error.kind != ReadErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Takes from a Lease of the run all that makes it a lock; [`leases::create`] takes it over then.
    async fn disown(
        &self,
        cluster: &Cluster,
        (namespace, name): (&str, &str),
    ) -> Result<(), ReadError> {
        let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
        let what = format!("disown lease {name} in namespace {namespace}");
        let found = cluster.read(&what, || api.get_opt(name)).await?;
        let Some(lease) = found.filter(|lease| lease_run(lease) == Some(&self.run)) else {
            return Ok(());
        };
        let patch = json!({
            "metadata": {
                "uid": lease.metadata.uid, "labels": { RUN_LABEL: null },
                "annotations": { INTENT_ANNOTATION: null, ABORT_ANNOTATION: null,
                    GIVEN_UP_ANNOTATION: null },
            },
            "spec": { "holderIdentity": null },
        });
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        let write = || api.patch(name, &params, &patch);
        cluster.read(&what, write).await.map(drop)
    }

    /// Notes on its Leases that the run has ended without everything restored, and why: nobody takes
    /// them away but a person. A Lease that can't be written stays a lock all the same.
    pub async fn give_up(&self, cluster: &Cluster, why: &str) {
        let patch = json!({ "metadata": { "annotations": { GIVEN_UP_ANNOTATION: why } } });
        for (namespace, name) in &self.leases {
            let api: Api<Lease> = Api::namespaced(cluster.client.clone(), namespace);
            let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
            let what = format!("annotate lease {name} in namespace {namespace}");
            let write = || api.patch(name, &params, &patch);
            // The record says the same.
            let _ = cluster.read(what, write).await;
        }
    }

    /// Shows that the run lives.
    ///
    /// # Errors
    /// A Lease is gone, or the API server does not answer.
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

/// Why a Lease was not created, and who has it if another run does.
async fn declare_error(
    api: &Api<Lease>,
    (namespace, name): (&str, &str),
    error: kube::Error,
) -> DeclareError {
    if matches!(&error, kube::Error::Api(status) if status.is_already_exists()) {
        let holder = api.get(name).await.map_or_else(
            |_| "another run holds it".to_owned(),
            |lease| describe_holder(&lease),
        );
        return DeclareError::Conflict {
            lease: name.to_owned(),
            holder,
        };
    }
    DeclareError::Write {
        lease: name.to_owned(),
        namespace: namespace.to_owned(),
        source: error,
    }
}

#[cfg(test)]
mod tests;
