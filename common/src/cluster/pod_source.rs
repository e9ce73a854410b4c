//! The pods that somebody names: of a workload, of a custom resource, or with labels.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIResourceList, LabelSelector};
use kube::Resource;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{ApiResource, NamespaceResourceScope};
use serde::de::DeserializeOwned;

use super::{Cluster, ReadError, ReadErrorKind, is_ready, label_selector, owner_uid};
use crate::record::{CustomName, PodSource, WorkloadKind, WorkloadName};

/// Pods that match labels, and of these only those that one of these objects owns.
struct Membership {
    labels: String,
    owners: Option<BTreeSet<String>>,
}

impl Cluster {
    /// A ready pod of these, the first by name.
    ///
    /// # Errors
    /// There is no such workload, it has no ready pod, or they can't be read.
    pub async fn ready_pod(&self, namespace: &str, pods: &PodSource) -> Result<Pod, ReadError> {
        let ready = self.ready_pods(namespace, pods).await?;
        ready.into_iter().next().ok_or_else(|| {
            let what = attempt(namespace, pods);
            ReadError::new(&what, ReadErrorKind::NotFound, "none of its pods is ready")
        })
    }

    /// The ready pods of these, by name.
    ///
    /// # Errors
    /// There is no such workload, or its pods can't be read.
    pub async fn ready_pods(
        &self,
        namespace: &str,
        pods: &PodSource,
    ) -> Result<Vec<Pod>, ReadError> {
        let what = attempt(namespace, pods);
        let Membership { labels, owners } = match pods {
            PodSource::Workload(name) => self.members_of(namespace, name, &what).await?,
            PodSource::Custom(name) => self.members_of_custom(namespace, name, &what).await?,
            PodSource::Labels(labels) => Membership {
                labels: labels.clone(),
                owners: None,
            },
        };
        let api: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams::default().labels(&labels);
        let mut found = self.list(&api, &params, &what).await?;
        let owned = |pod: &Pod| {
            owners
                .as_ref()
                .is_none_or(|owners| owner_uid(pod).is_some_and(|owner| owners.contains(owner)))
        };
        found.retain(|pod| is_ready(pod) && owned(pod));
        found.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        Ok(found)
    }

    async fn members_of(
        &self,
        namespace: &str,
        workload: &WorkloadName,
        what: &str,
    ) -> Result<Membership, ReadError> {
        let name = workload.name.as_str();
        let place = (namespace, name, what);
        let (uid, selector) = match workload.kind {
            WorkloadKind::Deployment => {
                let found: Deployment = self.named(place).await?;
                let selector = found.spec.map(|spec| spec.selector);
                return self
                    .members_of_deployment(place, found.metadata.uid, selector)
                    .await;
            }
            WorkloadKind::StatefulSet => {
                let found: StatefulSet = self.named(place).await?;
                (found.metadata.uid, found.spec.map(|spec| spec.selector))
            }
            WorkloadKind::DaemonSet => {
                let found: DaemonSet = self.named(place).await?;
                (found.metadata.uid, found.spec.map(|spec| spec.selector))
            }
        };
        Ok(Membership {
            labels: label_selector(&selector.unwrap_or_default()),
            owners: Some(uid.into_iter().collect()),
        })
    }

    /// A Deployment owns its pods through its ReplicaSets.
    async fn members_of_deployment(
        &self,
        (namespace, _, what): (&str, &str, &str),
        uid: Option<String>,
        selector: Option<LabelSelector>,
    ) -> Result<Membership, ReadError> {
        let labels = label_selector(&selector.unwrap_or_default());
        let sets: Api<ReplicaSet> = Api::namespaced(self.client.clone(), namespace);
        let sets = self
            .list(&sets, &ListParams::default().labels(&labels), what)
            .await?;
        let ours = sets
            .into_iter()
            .filter(|set| uid.is_some() && owner_uid(set) == uid.as_deref());
        Ok(Membership {
            labels,
            owners: Some(ours.filter_map(|set| set.metadata.uid).collect()),
        })
    }

    async fn named<K>(&self, (namespace, name, what): (&str, &str, &str)) -> Result<K, ReadError>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
        K: Clone + DeserializeOwned + std::fmt::Debug,
    {
        let api: Api<K> = Api::namespaced(self.client.clone(), namespace);
        self.read(what, || api.get(name)).await
    }

    /// The subresource `scale` of a custom resource tells the labels of its pods.
    async fn members_of_custom(
        &self,
        namespace: &str,
        custom: &CustomName,
        what: &str,
    ) -> Result<Membership, ReadError> {
        let resource = self.scalable(custom, what).await?;
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), namespace, &resource);
        let scale = self.read(what, || api.get_scale(&custom.name)).await?;
        let labels = scale.status.and_then(|status| status.selector);
        let labels = labels.filter(|labels| !labels.is_empty()).ok_or_else(|| {
            ReadError::other(what, "its scale does not tell the labels of its pods")
                .hint("name the pods by their labels: selector=app=shop")
        })?;
        Ok(Membership {
            labels,
            owners: None,
        })
    }

    /// The custom resource of this kind, if it has the subresource `scale`.
    async fn scalable(&self, custom: &CustomName, what: &str) -> Result<ApiResource, ReadError> {
        let CustomName { kind, group, .. } = custom;
        let none = |why: String| ReadError::new(what, ReadErrorKind::NotFound, why);
        let groups = self.read(what, || self.client.list_api_groups()).await?;
        let mut groups = groups.groups.into_iter();
        let found = groups
            .find(|one| &one.name == group)
            .and_then(|one| one.preferred_version.or(one.versions.into_iter().next()));
        let found = found.ok_or_else(|| {
            none(format!("the cluster has no API group {group}"))
                .hint(format!("kubectl api-resources --api-group={group}"))
        })?;
        let version = &found.group_version;
        let listed = self
            .read(what, || self.client.list_api_group_resources(version))
            .await?;
        let hint = format!("kubectl api-resources --api-group={group}");
        let resource = resource_of(&listed, kind)
            .ok_or_else(|| none(format!("{version} has no {kind}")).hint(&hint))?;
        let scale = format!("{}/scale", resource.plural);
        if !listed.resources.iter().any(|one| one.name == scale) {
            let why = format!("{kind}.{group} has no subresource scale");
            return Err(ReadError::other(what, why)
                .hint("name the pods by their labels: selector=app=shop"));
        }
        Ok(ApiResource {
            group: group.clone(),
            version: found.version,
            api_version: version.clone(),
            ..resource
        })
    }
}

/// The resource that kubectl takes a kind for; without its version.
fn resource_of(listed: &APIResourceList, kind: &str) -> Option<ApiResource> {
    let kind = kind.to_lowercase();
    let mut resources = listed
        .resources
        .iter()
        .filter(|one| !one.name.contains('/'));
    let found = resources.find(|one| {
        one.name == kind
            || one.singular_name == kind
            || one.kind.to_lowercase() == kind
            || one.short_names.iter().flatten().any(|short| *short == kind)
    })?;
    Some(ApiResource {
        group: String::new(),
        version: String::new(),
        api_version: String::new(),
        kind: found.kind.clone(),
        plural: found.name.clone(),
    })
}

fn attempt(namespace: &str, pods: &PodSource) -> String {
    format!("find a ready pod of {pods} in namespace {namespace}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_found_as_kubectl_finds_it() {
        let listed: APIResourceList = serde_saphyr::from_str(
            "{groupVersion: argoproj.io/v1alpha1, resources: [
               {name: rollouts, singularName: rollout, kind: Rollout, namespaced: true, shortNames: [ro], verbs: []},
               {name: rollouts/scale, singularName: '', kind: Scale, namespaced: true, verbs: []}]}",
        )
        .expect("a list");
        for kind in ["rollout", "Rollouts", "ro", "Rollout"] {
            let found = resource_of(&listed, kind).map(|one| one.plural);
            assert_eq!(found.as_deref(), Some("rollouts"), "{kind}");
        }
        assert!(resource_of(&listed, "scale").is_none());
    }
}
