//! Intent before action: what will be undone is durable in the cluster before the first write of the
//! fault. It is kept in a Lease for each target workload, which is a lock at the same time: there can
//! only be one of a name, and the API server decides who made it.

use std::time::Duration;

use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind, error_chain};
use chaos_common::record::{Plan, Time, WorkloadRef};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams, Preconditions};
use serde_json::json;
use tokio::time::timeout;

/// Label of all that a run makes or touches: the run's id.
pub const RUN_LABEL: &str = "chaos-runbook/run";
/// Time that one write may take. A Lease whose write was not answered may be there all the same: it
/// holds the target, and the next run says so and what to type.
const CALL: Duration = Duration::from_secs(10);
/// Annotation of the Lease: the intent as JSON.
const INTENT: &str = "chaos-runbook/intent";

/// The Leases that a run holds.
#[derive(Debug, Default)]
pub struct Intent {
    held: Vec<Lease>,
}

/// Why there is no intent.
#[derive(Debug)]
pub enum NoIntent {
    /// Another run holds the target, or left it behind.
    Held(String),
    /// It could not be written.
    Failed(String),
}

fn name(workload: &WorkloadRef) -> String {
    format!("chaos-{}-{}", workload.kind.to_lowercase(), workload.name)
}

/// Who holds a target: the run, since when, by whom.
fn holder(lease: &Lease) -> String {
    let spec = lease.spec.clone().unwrap_or_default();
    let run = spec.holder_identity.unwrap_or_else(|| "an unknown run".to_owned());
    let since = spec.acquire_time.map_or_else(|| "an unknown time".to_owned(), |time| Time(time.0).human());
    format!("run {run} holds it since {since}")
}

/// The runs that hold one of the plan's targets.
///
/// # Errors
/// The Leases of the namespace can't be listed.
pub async fn holders(cluster: &Cluster, plan: &Plan) -> Result<Vec<(String, String)>, ReadError> {
    let api: Api<Lease> = Api::namespaced(cluster.client.clone(), &plan.namespace);
    let what = format!("list leases in namespace {}", plan.namespace);
    let leases = cluster.list(&api, &ListParams::default().labels(RUN_LABEL), what).await?;
    let wanted: Vec<String> = plan.blast_radius.iter().map(|one| name(&one.workload)).collect();
    let held = leases.iter().filter_map(|lease| {
        let name = lease.metadata.name.clone()?;
        wanted.contains(&name).then(|| (name, holder(lease)))
    });
    Ok(held.collect())
}

/// What to do about a target that is held.
pub fn held_hint(namespace: &str, lease: &str) -> String {
    format!(
        "wait for that run to end; if it was killed, make sure that its target is whole and remove what it left: \
         kubectl delete lease {lease} -n {namespace}"
    )
}

impl Intent {
    /// Writes the intent of a run. If one target is held by another run, what was written is taken
    /// back.
    ///
    /// # Errors
    /// A target is held, or the API server does not accept the write.
    pub async fn declare(cluster: &Cluster, plan: &Plan, run: &str, executor: &str) -> Result<Intent, NoIntent> {
        let api: Api<Lease> = Api::namespaced(cluster.client.clone(), &plan.namespace);
        let mut intent = Intent::default();
        for one in &plan.blast_radius {
            let targets: Vec<_> = plan.targets.iter().filter(|target| target.owner == one.workload).collect();
            let note = json!({
                "run": run, "experiment": plan.experiment, "executor": executor,
                "targets": targets, "ready": one.ready, "undo": plan.undo,
            });
            let name = name(&one.workload);
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(name.clone()),
                    namespace: Some(plan.namespace.clone()),
                    labels: Some([(RUN_LABEL.to_owned(), run.to_owned())].into()),
                    annotations: Some([(INTENT.to_owned(), note.to_string())].into()),
                    ..ObjectMeta::default()
                },
                spec: Some(LeaseSpec {
                    holder_identity: Some(run.to_owned()),
                    acquire_time: Some(MicroTime(Time::now().0)),
                    ..LeaseSpec::default()
                }),
            };
            let written = timeout(CALL, api.create(&PostParams::default(), &lease)).await;
            match written.unwrap_or_else(|_| Err(kube::Error::Service("no answer in time".into()))) {
                Ok(made) => intent.held.push(made),
                Err(error) => {
                    let taken = matches!(&error, kube::Error::Api(status) if status.code == 409);
                    let why = if taken {
                        let now = api
                            .get(&name)
                            .await
                            .map_or_else(|_| "another run holds it".to_owned(), |lease| holder(&lease));
                        NoIntent::Held(format!("{}: {now}; {}", one.workload, held_hint(&plan.namespace, &name)))
                    } else {
                        NoIntent::Failed(format!(
                            "cannot write lease {name} in namespace {}: {}",
                            plan.namespace,
                            error_chain(&error)
                        ))
                    };
                    return match intent.release(cluster).await {
                        Ok(()) => Err(why),
                        Err(left) => Err(NoIntent::Failed(format!("{why:?}; and {left}"))),
                    };
                }
            }
        }
        Ok(intent)
    }

    /// Takes the Leases away, each by its identity. One that is gone already is fine.
    ///
    /// # Errors
    /// Some could not be taken away; says which, and what to type.
    pub async fn release(self, cluster: &Cluster) -> Result<(), String> {
        let mut left = Vec::new();
        for lease in self.held {
            let (name, namespace) =
                (lease.metadata.name.unwrap_or_default(), lease.metadata.namespace.unwrap_or_default());
            let api: Api<Lease> = Api::namespaced(cluster.client.clone(), &namespace);
            let mine = DeleteParams::default()
                .preconditions(Preconditions { uid: lease.metadata.uid, resource_version: None });
            let what = format!("delete lease {name} in namespace {namespace}");
            match cluster.read(what, || api.delete(&name, &mine)).await {
                Ok(_) => {}
                Err(error) if error.kind == ReadErrorKind::NotFound => {}
                Err(error) => left.push(format!("{error}; type: kubectl delete lease {name} -n {namespace}")),
            }
        }
        if left.is_empty() { Ok(()) } else { Err(left.join("; ")) }
    }
}
