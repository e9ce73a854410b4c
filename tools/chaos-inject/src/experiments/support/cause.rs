//! Why a workload does not come back, as the cluster itself says: its namespace or it is gone, or
//! its controller may not make pods. What can't be asked is not told.

use chaos_common::cluster::Cluster;
use chaos_common::cluster::workload::WorkloadKind;
use chaos_common::record::WorkloadRef;
use k8s_openapi::api::apps::v1::ReplicaSet;
use k8s_openapi::api::core::v1::{Event, Namespace};
use kube::api::{Api, ListParams};
use serde_json::Value;

use crate::change::apply;
use crate::plan::workload::object_of;

/// The cause, if the cluster names one.
pub async fn of(cluster: &Cluster, workload: &WorkloadRef) -> Option<String> {
    if let Some(why) = namespace(cluster, &workload.namespace).await {
        return Some(why);
    }
    let kind = workload.kind.parse::<WorkloadKind>().ok()?;
    let object = object_of(kind, &workload.namespace, &workload.name);
    let Some(now) = apply::read_object(cluster, &object).await.ok()? else {
        return Some(format!("{workload} is gone: somebody deleted it"));
    };
    let refused = match failure(&now["status"]) {
        Some(why) => Some(why),
        None => match kind {
            WorkloadKind::Deployment => replica_set(cluster, workload, &now).await,
            WorkloadKind::StatefulSet | WorkloadKind::DaemonSet => {
                event(cluster, workload, &now).await
            }
        },
    };
    refused.map(|why| format!("{workload} may not make its pods: {why}"))
}

/// That a namespace goes, or is gone.
async fn namespace(cluster: &Cluster, name: &str) -> Option<String> {
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    let what = format!("read namespace {name}");
    let Some(found) = cluster.read(what, || api.get_opt(name)).await.ok()? else {
        return Some(format!("namespace {name} is gone: somebody deleted it"));
    };
    let phase = found.status.and_then(|status| status.phase);
    let going =
        phase.as_deref() == Some("Terminating") || found.metadata.deletion_timestamp.is_some();
    going.then(|| format!("namespace {name} is being deleted"))
}

/// What a status says of pods that could not be created.
fn failure(status: &Value) -> Option<String> {
    let conditions = status["conditions"].as_array()?;
    let failed = conditions
        .iter()
        .find(|one| one["type"] == "ReplicaFailure" && one["status"] == "True")?;
    let text = |field: &str| failed[field].as_str().unwrap_or_default().to_owned();
    Some(format!("{}: {}", text("reason"), text("message")))
}

/// The same of a Deployment's ReplicaSets.
async fn replica_set(cluster: &Cluster, workload: &WorkloadRef, now: &Value) -> Option<String> {
    let api: Api<ReplicaSet> = Api::namespaced(cluster.client.clone(), &workload.namespace);
    let what = format!("list replicasets in namespace {}", workload.namespace);
    let sets = cluster
        .list(&api, &ListParams::default(), what)
        .await
        .ok()?;
    let ours = |set: &&ReplicaSet| {
        let owners = set.metadata.owner_references.iter().flatten();
        owners
            .into_iter()
            .any(|owner| now["metadata"]["uid"] == *owner.uid)
    };
    sets.iter()
        .filter(ours)
        .filter_map(|set| serde_json::to_value(set.status.as_ref()?).ok())
        .find_map(|status| failure(&status))
}

/// The same of a controller that only writes events.
async fn event(cluster: &Cluster, workload: &WorkloadRef, now: &Value) -> Option<String> {
    let api: Api<Event> = Api::namespaced(cluster.client.clone(), &workload.namespace);
    let uid = now["metadata"]["uid"].as_str()?;
    let fields = format!("involvedObject.uid={uid},reason=FailedCreate");
    let what = format!("list events of {workload}");
    let params = ListParams::default().fields(&fields);
    let events = cluster.list(&api, &params, what).await.ok()?;
    let last = events
        .into_iter()
        .max_by(|a, b| a.last_timestamp.cmp(&b.last_timestamp))?;
    Some(format!(
        "FailedCreate: {}",
        last.message.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::testing::ApiServer;
    use crate::testing::application::workload;
    use crate::testing::objects::{NAMESPACE, uid};

    #[tokio::test(start_paused = true)]
    async fn a_set_that_may_not_make_its_pods_is_told_by_its_events() {
        let server = ApiServer::with([workload("StatefulSet", "db", 3)]);
        let db = WorkloadRef {
            kind: "StatefulSet".to_owned(),
            namespace: NAMESPACE.to_owned(),
            name: "db".to_owned(),
        };
        assert_eq!(of(&server.cluster(), &db).await, None, "nothing is known");
        server.add(json!({
            "apiVersion": "v1", "kind": "Event",
            "metadata": { "name": "db.1", "namespace": NAMESPACE },
            "involvedObject": { "kind": "StatefulSet", "uid": uid("statefulset", "db") },
            "reason": "FailedCreate", "message": "exceeded quota: pods",
        }));
        let told = of(&server.cluster(), &db).await;
        let told = told.expect("the quota");
        assert!(
            told.contains("FailedCreate: exceeded quota: pods"),
            "{told}"
        );
    }
}
