//! Custom resources whose pods belong to no workload of Kubernetes' own, such as Argo Rollouts and
//! the clusters of some database operators.

use chaos_common::cluster::custom::{Family, Scaled};
use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind, workload_of};
use chaos_common::record::{CustomName, PodSource};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};

use super::Runner;

/// Those of a namespace, as far as they may be read. One whose pods are those of another workload,
/// as where an operator makes a StatefulSet, is known by that; one without a pod tells nothing.
///
/// # Errors
/// The API server does not tell which kinds there are, or one of them can't be read.
pub(super) async fn runners(
    cluster: &Cluster,
    namespace: &str,
    known: &[Runner],
) -> Result<Vec<Runner>, ReadError> {
    let mut runners = Vec::new();
    for resource in cluster.scalable_kinds().await? {
        let names = match cluster.names_of(namespace, &resource).await {
            Err(error) if error.kind == ReadErrorKind::Forbidden => continue,
            names => names?,
        };
        for name in names {
            runners.extend(runner(cluster, namespace, name, known).await?);
        }
    }
    Ok(runners)
}

async fn runner(
    cluster: &Cluster,
    namespace: &str,
    name: CustomName,
    known: &[Runner],
) -> Result<Option<Runner>, ReadError> {
    let what = format!("find the pods of {name} in namespace {namespace}");
    let scaled = cluster.scaled(namespace, &name, &what).await?;
    let family = cluster.family_of(&scaled, &what).await?;
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let params = ListParams::default().labels(&scaled.labels);
    let pods = cluster.list(&api, &params, &what).await?;
    Ok(of_pods(name, &scaled, (&family, pods), known))
}

/// What a resource runs, by the first of its pods.
fn of_pods(
    name: CustomName,
    scaled: &Scaled,
    (family, pods): (&Family, Vec<Pod>),
    known: &[Runner],
) -> Option<Runner> {
    let is_its = |pod: &Pod| family.workload_of(pod).as_ref() == Some(&scaled.workload);
    let is_others = |pod: &Pod| {
        let other = workload_of(pod);
        other.is_some_and(|other| known.iter().any(|one| one.name.is(&other)))
    };
    let pod = pods.into_iter().find(is_its)?;
    if is_others(&pod) {
        return None;
    }
    Some(Runner {
        name: PodSource::Custom(name),
        replicas: scaled.desired,
        labels: pod.metadata.labels.unwrap_or_default(),
        pods: pod.spec?,
        claims: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use kube::core::ApiResource;
    use serde_json::json;

    use super::super::tests::{inventory, set};
    use super::*;

    #[test]
    fn a_resource_is_known_by_its_pods_unless_they_are_of_a_workload_that_is_listed() {
        let name = CustomName {
            kind: "cluster".to_owned(),
            group: "postgresql.cnpg.io".to_owned(),
            name: "main".to_owned(),
        };
        let scaled = Scaled {
            workload: serde_json::from_value(json!({
                "kind": "Cluster.postgresql.cnpg.io", "namespace": "shop", "name": "main",
            }))
            .expect("a workload"),
            resource: ApiResource {
                group: "postgresql.cnpg.io".to_owned(),
                version: "v1".to_owned(),
                api_version: "postgresql.cnpg.io/v1".to_owned(),
                kind: "Cluster".to_owned(),
                plural: "clusters".to_owned(),
            },
            uid: "c".to_owned(),
            desired: 2,
            total: 2,
            labels: String::new(),
        };
        let pod = |kind: &str, owner: &str, uid: &str| -> Pod {
            serde_json::from_value(json!({
                "metadata": {"namespace": "shop", "name": "x", "labels": {"app": "main"}, "ownerReferences": [
                    {"apiVersion": "x/v1", "kind": kind, "name": owner, "uid": uid, "controller": true}]},
                "spec": {"containers": [{"name": "postgres"}]},
            }))
            .expect("a pod")
        };
        let mut family = Family::default();
        family.add("c".to_owned(), scaled.workload.clone());
        family.add("s".to_owned(), scaled.workload.clone());
        let known = inventory(&[], &[set("main", "main", &json!({"name": "a"}))]).runners;
        let of = |pod: Pod| of_pods(name.clone(), &scaled, (&family, vec![pod]), &known);
        let direct = of(pod("Cluster", "main", "c")).expect("a workload");
        assert_eq!(direct.name.to_string(), "cluster.postgresql.cnpg.io/main");
        assert_eq!((direct.replicas, direct.labels.len()), (2, 1));
        assert!(
            of(pod("StatefulSet", "main", "s")).is_none(),
            "it is listed"
        );
        assert!(of(pod("Cluster", "other", "o")).is_none(), "it is not its");
    }
}
