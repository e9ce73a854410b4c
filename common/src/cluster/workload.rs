//! Workloads and their pods: which pod belongs to which.

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

pub use crate::record::{WorkloadKind, WorkloadName, WorkloadNameError};
use crate::record::{WorkloadRef, is_custom_group};

/// The workload that a pod belongs to. A Deployment's pods are owned by a ReplicaSet whose name is
/// the Deployment's and the hash in the pod's label `pod-template-hash`.
pub fn workload_of(pod: &Pod) -> Option<WorkloadRef> {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let hash = pod
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get("pod-template-hash"));
    let deployment =
        hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    Some(match (owner.kind.as_str(), deployment) {
        ("ReplicaSet", Some(name)) => WorkloadRef {
            kind: "Deployment".to_owned(),
            namespace,
            name: name.to_owned(),
        },
        _ => WorkloadRef {
            kind: kind_of(owner),
            namespace,
            name: owner.name.clone(),
        },
    })
}

/// The kind of an owner; with its API group if it is a custom resource: `Rollout.argoproj.io`.
fn kind_of(owner: &OwnerReference) -> String {
    match owner.api_version.split_once('/') {
        Some((group, _)) if is_custom_group(group) => format!("{}.{group}", owner.kind),
        _ => owner.kind.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_traced_to_its_deployment() {
        let pod: Pod = serde_saphyr::from_str(
            "{metadata: {namespace: prod, labels: {pod-template-hash: 6d4b}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: shop-a-6d4b, uid: u, controller: true}]}}",
        )
        .expect("a pod");
        assert_eq!(
            workload_of(&pod).map(|w| w.to_string()).as_deref(),
            Some("deployment/shop-a")
        );
    }

    #[test]
    fn a_pod_of_a_custom_resource_is_told_with_its_group() {
        let pod: Pod = serde_saphyr::from_str(
            "{metadata: {namespace: prod, ownerReferences: [{apiVersion: postgresql.cnpg.io/v1, kind: Cluster, name: main, uid: u, controller: true}]}}",
        )
        .expect("a pod");
        assert_eq!(
            workload_of(&pod).map(|w| w.to_string()).as_deref(),
            Some("cluster.postgresql.cnpg.io/main")
        );
    }
}
