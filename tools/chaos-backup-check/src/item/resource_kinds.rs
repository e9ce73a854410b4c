//! Kinds of Kubernetes objects, as people name them (`configmaps`, `deployments.apps`) and as
//! objects do (`v1` and `ConfigMap`), and the objects themselves.

use chaos_common::cluster::{Cluster, ReadError};
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::{GroupVersionKind, TypeMeta};
use kube::discovery::{self, ApiResource, Scope};
use serde_json::Value;

/// A kind that the cluster has.
#[derive(Clone, Debug)]
pub(crate) struct KindOf {
    pub(crate) resource: ApiResource,
    pub(crate) namespaced: bool,
}

impl KindOf {
    /// The kind that people call `name`: the plural, and behind a dot the group.
    pub(crate) async fn named(cluster: &Cluster, name: &str) -> Result<KindOf, ReadError> {
        let (plural, group) = name.split_once('.').unwrap_or((name, ""));
        let what = format!("find the kind {name}");
        let found = cluster
            .read(&what, || discovery::group(&cluster.client, group))
            .await?;
        let mut resources = found.recommended_resources().into_iter();
        let (resource, capabilities) = resources
            .find(|(resource, _)| resource.plural == plural)
            .ok_or_else(|| {
                ReadError::other(&what, "the cluster has no such kind").hint(
                    "kubectl api-resources lists them: the plural, and behind a dot the group \
                    if it has one",
                )
            })?;
        Ok(KindOf {
            resource,
            namespaced: capabilities.scope == Scope::Namespaced,
        })
    }

    /// The kind that an object names.
    pub(crate) async fn of(
        cluster: &Cluster,
        api_version: &str,
        kind: &str,
    ) -> Result<KindOf, ReadError> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let wanted = GroupVersionKind::gvk(group, version, kind);
        let what = format!("find the kind {kind} of {api_version}");
        let (resource, capabilities) = cluster
            .read(&what, || discovery::pinned_kind(&cluster.client, &wanted))
            .await?;
        Ok(KindOf {
            resource,
            namespaced: capabilities.scope == Scope::Namespaced,
        })
    }

    /// The way to the objects of this kind in a namespace, or in the cluster if it has no
    /// namespaces.
    pub(crate) fn api(&self, cluster: &Cluster, namespace: &str) -> Api<DynamicObject> {
        if self.namespaced {
            Api::namespaced_with(cluster.client.clone(), namespace, &self.resource)
        } else {
            Api::all_with(cluster.client.clone(), &self.resource)
        }
    }

    /// All objects of this kind, each with its kind.
    pub(crate) async fn list(
        &self,
        cluster: &Cluster,
        namespace: &str,
    ) -> Result<Vec<DynamicObject>, ReadError> {
        let place = if self.namespaced {
            format!(" in namespace {namespace}")
        } else {
            String::new()
        };
        let what = format!("list {}{place}", self.resource.plural);
        let mut objects = cluster
            .list(&self.api(cluster, namespace), &ListParams::default(), what)
            .await?;
        let types = TypeMeta {
            api_version: self.resource.api_version.clone(),
            kind: self.resource.kind.clone(),
        };
        for object in &mut objects {
            object.types = Some(types.clone());
        }
        Ok(objects)
    }
}

/// Whether the cluster makes this object by itself, so that no backup needs it.
pub(crate) fn makes_itself(object: &DynamicObject) -> bool {
    let kind = object
        .types
        .as_ref()
        .map_or("", |types| types.kind.as_str());
    match kind {
        "ConfigMap" => object.metadata.name.as_deref() == Some("kube-root-ca.crt"),
        "Secret" => object.data["type"] == "kubernetes.io/service-account-token",
        _ => false,
    }
}

/// An object without what only a server makes.
pub(crate) fn clean(object: DynamicObject) -> serde_json::Result<Value> {
    let mut json = serde_json::to_value(object)?;
    if let Some(fields) = json.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = json.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in [
            "uid",
            "resourceVersion",
            "creationTimestamp",
            "generation",
            "managedFields",
            "selfLink",
            // It names its owner by UID; restored beside another owner of that name, it would be
            // deleted at once.
            "ownerReferences",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ] {
            metadata.remove(field);
        }
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cluster_makes_itself_is_known() {
        let object = |json: serde_json::Value| {
            serde_json::from_value::<DynamicObject>(json).expect("an object")
        };
        let map = |name: &str| {
            object(
                serde_json::json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}),
            )
        };
        assert!(makes_itself(&map("kube-root-ca.crt")));
        assert!(!makes_itself(&map("shop")));
        let secret = |kind: &str| {
            object(
                serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "a"}, "type": kind}),
            )
        };
        assert!(makes_itself(&secret("kubernetes.io/service-account-token")));
        assert!(!makes_itself(&secret("Opaque")));
    }
}
