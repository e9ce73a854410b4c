//! The pod that a backup is in.

use chaos_common::cluster::{Cluster, ReadError, is_ready, label_selector, owner_uid};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

/// Which container.
#[derive(Clone, Debug)]
pub(super) struct PodTarget {
    pub(super) kind: String,
    pub(super) name: String,
    pub(super) container: Option<String>,
}

/// A pod that can be asked: ready where there is a choice, running where it is named.
pub(super) async fn pod(
    cluster: &Cluster,
    namespace: &str,
    target: &PodTarget,
) -> Result<Pod, ReadError> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let PodTarget { kind, name, .. } = target;
    let what = format!("find a pod of {kind}/{name} in namespace {namespace}");
    match kind.as_str() {
        "deployment" => cluster.ready_pod(namespace, name).await,
        "statefulset" => {
            let sets: Api<StatefulSet> = Api::namespaced(cluster.client.clone(), namespace);
            let set = cluster.read(&what, || sets.get(name)).await?;
            let selector = set
                .spec
                .map(|spec| label_selector(&spec.selector))
                .unwrap_or_default();
            let uid = set.metadata.uid;
            let mut pods = cluster
                .list(&pods, &ListParams::default().labels(&selector), &what)
                .await?;
            pods.retain(|pod| is_ready(pod) && uid.is_some() && owner_uid(pod) == uid.as_deref());
            pods.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
            pods.into_iter()
                .next()
                .ok_or_else(|| ReadError::other(&what, "none of its pods is ready"))
        }
        _ => {
            let pod = cluster.read(&what, || pods.get(name)).await?;
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.clone())
                .unwrap_or_default();
            if phase == "Running" {
                Ok(pod)
            } else {
                Err(ReadError::other(&what, format!("it is {phase}")))
            }
        }
    }
}
