//! The pod that a backup is in.

use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::record::PodSource;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;

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
        "deployment" | "statefulset" => {
            let named: Result<PodSource, _> = format!("{kind}/{name}").parse();
            let named = named.map_err(|why| ReadError::other(&what, why.to_string()))?;
            cluster.ready_pod(namespace, &named).await
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
