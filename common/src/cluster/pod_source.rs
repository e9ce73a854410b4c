//! The pods that somebody names: of a workload, of a custom resource, or with labels.

use std::collections::BTreeSet;

use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::Resource;
use kube::api::{Api, ListParams};
use kube::core::NamespaceResourceScope;
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
        let found = self.read(what, || api.get_opt(name)).await?;
        if let Some(found) = found {
            return Ok(found);
        }
        let named = format!("{}/{name}", K::kind(&()).to_lowercase());
        Err(self.no_such_workload(what, namespace, &named).await)
    }

    /// A custom resource may own its pods through others.
    async fn members_of_custom(
        &self,
        namespace: &str,
        custom: &CustomName,
        what: &str,
    ) -> Result<Membership, ReadError> {
        let scaled = self.scaled(namespace, custom, what).await?;
        let family = self.family_of(&scaled, what).await?;
        Ok(Membership {
            labels: scaled.labels,
            owners: Some(family.owners().cloned().collect()),
        })
    }
}

fn attempt(namespace: &str, pods: &PodSource) -> String {
    format!("find a ready pod of {pods} in namespace {namespace}")
}
