//! Custom resources with the subresource `scale`, such as an Argo Rollout or the cluster of a
//! database operator: how many pods they want and have, and which pods are theirs.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    APIResource, APIResourceList, ObjectMeta, OwnerReference,
};
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::ApiResource;
use kube::core::discovery::v2::{APIGroupDiscovery, APIResourceDiscovery};

use super::{Cluster, ReadError, ReadErrorKind, owner_uid, workload_of};
use crate::record::{CustomName, WorkloadRef, is_custom_group};

/// Owners between a pod and the resource that it belongs to: more than anybody has.
const DEPTH: usize = 5;

/// A custom resource, as its subresource `scale` tells of it.
#[derive(Clone, Debug)]
pub struct Scaled {
    /// Which, in the words of the cluster.
    pub workload: WorkloadRef,
    /// Where the API has it.
    pub resource: ApiResource,
    /// Its UID.
    pub uid: String,
    /// Pods that it wants.
    pub desired: i32,
    /// Pods that it has, of any state.
    pub total: i32,
    /// The labels of its pods, as a selector; empty where it does not tell them: then its pods are
    /// those that it owns, whatever their labels.
    pub labels: String,
}

/// Whose the pods of custom resources are, by who owns them directly: a Rollout owns its pods through
/// ReplicaSets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Family {
    by_owner: BTreeMap<String, WorkloadRef>,
    /// What had to be read to know: API group and resource.
    pub read: BTreeSet<(String, String)>,
}

impl Family {
    /// The workload that a pod belongs to: as [`workload_of`], and a custom resource for those in
    /// between.
    pub fn workload_of(&self, pod: &Pod) -> Option<WorkloadRef> {
        let ours = owner_uid(pod).and_then(|owner| self.by_owner.get(owner));
        ours.cloned().or_else(|| workload_of(pod))
    }

    /// Together with that of another resource.
    pub fn extend(&mut self, other: Family) {
        self.by_owner.extend(other.by_owner);
        self.read.extend(other.read);
    }

    /// UIDs of the direct owners.
    pub fn owners(&self) -> impl Iterator<Item = &String> {
        self.by_owner.keys()
    }

    /// Adds a direct owner of pods that belong to a workload.
    pub fn add(&mut self, owner: String, workload: WorkloadRef) {
        self.by_owner.insert(owner, workload);
    }
}

impl Cluster {
    /// A custom resource of a namespace. `what` names the attempt in errors.
    ///
    /// # Errors
    /// The cluster has no such kind, it can't be scaled, there is none of that name, or it can't be
    /// read.
    pub async fn scaled(
        &self,
        namespace: &str,
        custom: &CustomName,
        what: &str,
    ) -> Result<Scaled, ReadError> {
        let resource = self.scalable(custom, what).await?;
        let api = namespaced(self, namespace, &resource);
        let read = self.read(what, || api.get_scale(&custom.name)).await;
        let scale = match read {
            Err(error) if error.kind == ReadErrorKind::NotFound => {
                let named = custom.to_string();
                return Err(self
                    .no_such_resource(what, namespace, (&named, &resource))
                    .await);
            }
            read => read?,
        };
        let status = scale.status.unwrap_or_default();
        Ok(Scaled {
            workload: WorkloadRef {
                kind: format!("{}.{}", resource.kind, resource.group),
                namespace: namespace.to_owned(),
                name: custom.name.clone(),
            },
            resource,
            uid: scale.metadata.uid.unwrap_or_default(),
            desired: scale.spec.and_then(|spec| spec.replicas).unwrap_or(0),
            total: status.replicas,
            labels: status.selector.unwrap_or_default(),
        })
    }

    /// Whose the pods with its labels are. `what` names the attempt in errors.
    ///
    /// # Errors
    /// The pods or their owners can't be read.
    pub async fn family_of(&self, scaled: &Scaled, what: &str) -> Result<Family, ReadError> {
        let mut family = Family::default();
        family.add(scaled.uid.clone(), scaled.workload.clone());
        for owner in self.owners_of_pods(scaled, what).await? {
            let uid = owner.uid.clone();
            if self.leads_to(owner, (scaled, &mut family), what).await? {
                family.add(uid, scaled.workload.clone());
            }
        }
        Ok(family)
    }

    /// The custom resources of this cluster that can be scaled, and are in namespaces.
    ///
    /// # Errors
    /// The API server does not tell what it has.
    pub async fn scalable_kinds(&self) -> Result<Vec<ApiResource>, ReadError> {
        let what = "look which custom resources can be scaled";
        let list = || self.client.list_api_groups_aggregated();
        let groups = self.read(what, list).await?;
        Ok(groups
            .items
            .iter()
            .filter_map(preferred)
            .flatten()
            .collect())
    }

    /// The names of the custom resources of a kind in a namespace.
    ///
    /// # Errors
    /// They can't be listed.
    pub async fn names_of(
        &self,
        namespace: &str,
        resource: &ApiResource,
    ) -> Result<Vec<CustomName>, ReadError> {
        let ApiResource { plural, group, .. } = resource;
        let api = namespaced(self, namespace, resource);
        let params = ListParams::default();
        let what = format!("list {plural}.{group} in namespace {namespace}");
        let add = |names: &mut Vec<String>, one: ObjectMeta| names.extend(one.name);
        let names = self
            .fold_metadata((&api, &params), what, (Vec::new, add))
            .await?;
        let custom = |name| CustomName {
            kind: resource.kind.to_lowercase(),
            group: group.clone(),
            name,
        };
        Ok(names.into_iter().map(custom).collect())
    }

    /// The controllers of the pods with its labels, each once.
    async fn owners_of_pods(
        &self,
        scaled: &Scaled,
        what: &str,
    ) -> Result<Vec<OwnerReference>, ReadError> {
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &scaled.workload.namespace);
        let params = ListParams::default().labels(&scaled.labels);
        let add = |owners: &mut BTreeMap<String, OwnerReference>, pod: ObjectMeta| {
            let controller = controller(pod.owner_references);
            owners.extend(controller.map(|owner| (owner.uid.clone(), owner)));
        };
        let owners = self
            .fold_metadata((&api, &params), what, (BTreeMap::new, add))
            .await?;
        Ok(owners.into_values().collect())
    }

    /// Whether an owner is the resource, or belongs to it through others.
    async fn leads_to(
        &self,
        mut owner: OwnerReference,
        (scaled, family): (&Scaled, &mut Family),
        what: &str,
    ) -> Result<bool, ReadError> {
        let namespace = &scaled.workload.namespace;
        for _ in 0..DEPTH {
            if owner.uid == scaled.uid {
                return Ok(true);
            }
            let Some(resource) = self.resource_of_owner(&owner, what).await? else {
                return Ok(false);
            };
            let key = (resource.group.clone(), resource.plural.clone());
            family.read.insert(key);
            let api = namespaced(self, namespace, &resource);
            let found = self
                .read(what, || api.get_metadata_opt(&owner.name))
                .await?;
            // Another one of its name owns other pods.
            let same = found.filter(|found| found.metadata.uid.as_ref() == Some(&owner.uid));
            match same.and_then(|found| controller(found.metadata.owner_references)) {
                Some(above) => owner = above,
                None => return Ok(false),
            }
        }
        Ok(false)
    }

    /// Where the API has an owner; `None` of what no custom resource owns, such as a node.
    async fn resource_of_owner(
        &self,
        owner: &OwnerReference,
        what: &str,
    ) -> Result<Option<ApiResource>, ReadError> {
        let Some((group, version)) = owner.api_version.split_once('/') else {
            return Ok(None);
        };
        let list = || self.client.list_api_group_resources(&owner.api_version);
        let listed = self.read(what, list).await?;
        let mut resources = whole(&listed);
        let found = resources.find(|one| one.kind == owner.kind && one.namespaced);
        Ok(found.map(|one| resource(one, group, version)))
    }

    /// The custom resource of this kind, if it has the subresource `scale`.
    async fn scalable(&self, custom: &CustomName, what: &str) -> Result<ApiResource, ReadError> {
        let CustomName { kind, group, .. } = custom;
        let none = |why: String| {
            ReadError::new(what, ReadErrorKind::NotFound, why)
                .hint(format!("kubectl api-resources --api-group={group}"))
        };
        let groups = self.read(what, || self.client.list_api_groups()).await?;
        let mut groups = groups.groups.into_iter();
        let found = groups
            .find(|one| &one.name == group)
            .and_then(|one| one.preferred_version.or(one.versions.into_iter().next()))
            .ok_or_else(|| none(format!("the cluster has no API group {group}")))?;
        let version = &found.group_version;
        let list = || self.client.list_api_group_resources(version);
        let listed = self.read(what, list).await?;
        let one = of_kind(&listed, kind)
            .ok_or_else(|| none(format!("{version} has no {kind}{}", others(&listed))))?;
        if !can_scale(&listed, &one.name) {
            let why = format!("{kind}.{group} has no subresource scale");
            let hint = "name the pods by their labels: selector=app=shop";
            return Err(ReadError::other(what, why).hint(hint));
        }
        Ok(resource(one, group, &found.version))
    }
}

/// The scalable resources of a group of custom resources, in the version that it prefers.
fn preferred(group: &APIGroupDiscovery) -> Option<Vec<ApiResource>> {
    let name = group.metadata.as_ref()?.name.as_deref()?;
    if !is_custom_group(name) {
        return None;
    }
    let version = group.versions.first()?;
    let number = version.version.as_deref()?;
    let can_scale = |one: &&APIResourceDiscovery| {
        let mut below = one.subresources.iter();
        one.scope.as_deref() == Some("Namespaced")
            && below.any(|sub| sub.subresource.as_deref() == Some("scale"))
    };
    let resource = |one: &APIResourceDiscovery| {
        Some(ApiResource {
            group: name.to_owned(),
            version: number.to_owned(),
            api_version: format!("{name}/{number}"),
            kind: one.response_kind.as_ref()?.kind.clone()?,
            plural: one.resource.clone()?,
        })
    };
    let scalable = version.resources.iter().filter(can_scale);
    Some(scalable.filter_map(resource).collect())
}

/// How to reach the objects of a resource in a namespace.
fn namespaced(cluster: &Cluster, namespace: &str, resource: &ApiResource) -> Api<DynamicObject> {
    Api::namespaced_with(cluster.client.clone(), namespace, resource)
}

fn controller(owners: Option<Vec<OwnerReference>>) -> Option<OwnerReference> {
    let mut owners = owners.into_iter().flatten();
    owners.find(|owner| owner.controller == Some(true))
}

fn resource(found: &APIResource, group: &str, version: &str) -> ApiResource {
    ApiResource {
        group: group.to_owned(),
        version: version.to_owned(),
        api_version: format!("{group}/{version}"),
        kind: found.kind.clone(),
        plural: found.name.clone(),
    }
}

/// The resources themselves, without what is below them.
fn whole(listed: &APIResourceList) -> impl Iterator<Item = &APIResource> {
    let resources = listed.resources.iter();
    resources.filter(|one| !one.name.contains('/'))
}

/// The resource that kubectl takes a kind for.
fn of_kind<'l>(listed: &'l APIResourceList, kind: &str) -> Option<&'l APIResource> {
    let kind = kind.to_lowercase();
    whole(listed).find(|one| {
        one.name == kind
            || one.singular_name == kind
            || one.kind.to_lowercase() == kind
            || one.short_names.iter().flatten().any(|short| *short == kind)
    })
}

fn can_scale(listed: &APIResourceList, plural: &str) -> bool {
    let scale = format!("{plural}/scale");
    listed.resources.iter().any(|one| one.name == scale)
}

/// What else can be scaled in a group, for whoever named what is not there.
fn others(listed: &APIResourceList) -> String {
    let scalable = whole(listed).filter(|one| can_scale(listed, &one.name));
    let kinds: Vec<String> = scalable.map(|one| one.kind.to_lowercase()).collect();
    if kinds.is_empty() {
        return String::new();
    }
    format!("; it has {}", kinds.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rollouts() -> APIResourceList {
        serde_saphyr::from_str(
            "{groupVersion: argoproj.io/v1alpha1, resources: [
               {name: rollouts, singularName: rollout, kind: Rollout, namespaced: true, shortNames: [ro], verbs: []},
               {name: rollouts/scale, singularName: '', kind: Scale, namespaced: true, verbs: []},
               {name: experiments, singularName: experiment, kind: Experiment, namespaced: true, verbs: []}]}",
        )
        .expect("a list")
    }

    #[test]
    fn a_kind_is_found_as_kubectl_finds_it() {
        let listed = rollouts();
        for kind in ["rollout", "Rollouts", "ro", "Rollout"] {
            let found = of_kind(&listed, kind).map(|one| one.name.as_str());
            assert_eq!(found, Some("rollouts"), "{kind}");
        }
        assert!(of_kind(&listed, "scale").is_none());
        assert!(can_scale(&listed, "rollouts") && !can_scale(&listed, "experiments"));
        assert_eq!(others(&listed), "; it has rollout");
    }

    #[test]
    fn a_pod_is_of_the_resource_that_its_owner_belongs_to() {
        let pod: Pod = serde_saphyr::from_str(
            "{metadata: {namespace: prod, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: shop-1, uid: set, controller: true}]}}",
        )
        .expect("a pod");
        let mut family = Family::default();
        let named = |family: &Family| family.workload_of(&pod).map(|one| one.to_string());
        assert_eq!(named(&family).as_deref(), Some("replicaset/shop-1"));
        let rollout = WorkloadRef {
            kind: "Rollout.argoproj.io".to_owned(),
            namespace: "prod".to_owned(),
            name: "shop".to_owned(),
        };
        family.add("set".to_owned(), rollout);
        let expected = "rollout.argoproj.io/shop";
        assert_eq!(named(&family).as_deref(), Some(expected));
    }
}
