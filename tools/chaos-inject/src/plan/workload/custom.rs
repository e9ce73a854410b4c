//! A custom resource that can be scaled, as a workload: how many pods it wants its subresource `scale`
//! tells, and where it keeps their number the definition of its kind. Its pods are those that it owns,
//! if through others; what they are made from is seen in them.

use std::collections::{BTreeMap, BTreeSet};

use chaos_common::cluster::custom::{Family, Scaled};
use chaos_common::cluster::{Cluster, ReadError, is_ready};
use chaos_common::record::{Check, CustomName, ObjectRef, Permission};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use kube::core::ApiResource;
use serde_json::{Value, json};

use super::{Workload, others, services, to_look_around};
use crate::change::apply;
use crate::context::Context;
use crate::permissions::{need, need_one};
use crate::plan::selector;
use crate::plan::storage;

const DEFINITIONS: &str = "apiextensions.k8s.io";

/// Reads it.
///
/// # Errors
/// The cluster has no such kind or none of that name, or it can't be read.
pub(super) async fn read(
    context: &Context,
    namespace: &str,
    name: &CustomName,
) -> Result<Workload, ReadError> {
    let cluster = &context.cluster;
    let what = format!("read {name} in namespace {namespace}");
    let scaled = cluster.scaled(namespace, name, &what).await?;
    let family = cluster.family_of(&scaled, &what).await?;
    let object = object_of(&scaled);
    let now = cluster
        .read(&what, || apply::read_object(cluster, &object))
        .await?;
    let Some(now) = now else {
        let named = name.to_string();
        return Err(cluster.no_such_workload(&what, namespace, &named).await);
    };
    let field = replicas_field(cluster, &scaled.resource).await?;
    let pods = own_pods(cluster, &scaled, &family).await?;
    let which = scaled.workload.clone();
    let mut checks = match others::held(&which, &now) {
        Some(check) => vec![check],
        None => vec![is_settled(&scaled, &pods)],
    };
    checks.extend(others::kept(&which, &now));
    checks.extend(others::autoscaled(cluster, &which, &object).await);
    let template = template(&pods);
    Ok(Workload {
        replicas: scaled.desired.into(),
        ready: i64::try_from(ready(&pods)).unwrap_or(i64::MAX),
        field,
        pod_selector: pod_selector(&scaled, &what)?,
        services: services(cluster, &which, &template["metadata"]["labels"]).await?,
        permissions: permissions(&scaled, &family),
        mounted: pods.iter().flat_map(claims).collect(),
        selector: scaled.labels,
        family,
        which,
        object,
        now,
        template,
        checks,
    })
}

fn object_of(scaled: &Scaled) -> ObjectRef {
    let resource = &scaled.resource;
    ObjectRef {
        api_version: resource.api_version.clone(),
        kind: resource.kind.clone(),
        resource: resource.plural.clone(),
        namespace: Some(scaled.workload.namespace.clone()),
        name: scaled.workload.name.clone(),
        uid: Some(scaled.uid.clone()),
    }
}

/// What reading it needs.
fn permissions(scaled: &Scaled, family: &Family) -> Vec<Permission> {
    let (namespace, resource) = (&scaled.workload.namespace, &scaled.resource);
    let (group, plural) = (&resource.group, &resource.plural);
    let name = &scaled.workload.name;
    let of_owner = |(group, plural): &(String, String)| need(namespace, "get", group, plural);
    let definition = format!("{plural}.{group}");
    let own = [
        need_one(namespace, "get", group, plural, name),
        need_one(namespace, "get", group, &format!("{plural}/scale"), name),
        need_one(
            "",
            "get",
            DEFINITIONS,
            "customresourcedefinitions",
            &definition,
        ),
    ];
    let owners = family.read.iter().map(of_owner);
    let around = to_look_around(namespace).into_iter();
    own.into_iter().chain(owners).chain(around).collect()
}

/// Where a custom resource holds the number of its pods, as the definition of its kind says.
async fn replicas_field(
    cluster: &Cluster,
    resource: &ApiResource,
) -> Result<Vec<String>, ReadError> {
    let name = format!("{}.{}", resource.plural, resource.group);
    let what = format!("read customresourcedefinition {name}, which says where its replicas are");
    let definition = ObjectRef {
        api_version: format!("{DEFINITIONS}/v1"),
        kind: "CustomResourceDefinition".to_owned(),
        resource: "customresourcedefinitions".to_owned(),
        namespace: None,
        name,
        uid: None,
    };
    let found = cluster
        .read(&what, || apply::read_object(cluster, &definition))
        .await?;
    let found = found.ok_or_else(|| ReadError::other(&what, "there is none"))?;
    let unknown = "it does not say so for its version in use";
    path_of_replicas(&found, &resource.version).ok_or_else(|| ReadError::other(&what, unknown))
}

/// The field in `.spec.replicas`, as its parts.
fn path_of_replicas(definition: &Value, version: &str) -> Option<Vec<String>> {
    let mut versions = definition["spec"]["versions"].as_array()?.iter();
    let used = versions.find(|one| one["name"] == version)?;
    let path = used["subresources"]["scale"]["specReplicasPath"].as_str()?;
    let parts = path.strip_prefix('.')?.split('.').map(str::to_owned);
    Some(parts.collect())
}

/// Its pods that have not ended.
async fn own_pods(
    cluster: &Cluster,
    scaled: &Scaled,
    family: &Family,
) -> Result<Vec<Pod>, ReadError> {
    let workload = &scaled.workload;
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), &workload.namespace);
    let what = format!("list the pods of {workload}");
    let params = ListParams::default().labels(&scaled.labels);
    let mut pods = cluster.list(&api, &params, what).await?;
    pods.retain(|pod| {
        let status = pod.status.as_ref();
        let phase = status.and_then(|status| status.phase.as_deref());
        let ended = matches!(phase, Some("Failed" | "Succeeded"));
        !ended && family.workload_of(pod).as_ref() == Some(workload)
    });
    pods.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
    Ok(pods)
}

fn ready(pods: &[Pod]) -> usize {
    pods.iter().filter(|pod| is_ready(pod)).count()
}

fn claims(pod: &Pod) -> BTreeSet<String> {
    storage::claims_of_spec(&json!(pod.spec))
}

/// `limit.others`: it has the pods that it wants, all of them ready.
fn is_settled(scaled: &Scaled, pods: &[Pod]) -> Check {
    const ID: &str = "limit.others";
    let object = scaled.workload.to_string();
    let (desired, total, ready) = (scaled.desired, scaled.total, ready(pods));
    let settled =
        total == desired && i32::try_from(pods.len()) == Ok(desired) && ready == pods.len();
    if settled {
        let message = format!("settled at {desired} replicas, and nobody is changing it");
        return Check::pass(ID, object, message);
    }
    let message = format!(
        "of {desired} replicas, it counts {total}; {} of its pods are there and {ready} are ready: \
         it is being changed, or pods fail",
        pods.len()
    );
    let hint = format!("kubectl describe {object} -n {}", scaled.workload.namespace);
    Check::fail(ID, object, message).hint(hint)
}

/// The selector of its pods as an object has it, where it tells that.
fn pod_selector(scaled: &Scaled, what: &str) -> Result<Option<Value>, ReadError> {
    if scaled.labels.is_empty() {
        return Ok(None);
    }
    let parsed = selector::parse(&scaled.labels);
    let parsed = parsed.map_err(|error| ReadError::other(what, error.to_string()))?;
    Ok(Some(json!(parsed)))
}

/// What its pods are made from, as far as they show it: the labels that all bear, and the first one's
/// spec.
fn template(pods: &[Pod]) -> Value {
    let mut labels: Option<BTreeMap<String, String>> = None;
    for pod in pods {
        let theirs = pod.metadata.labels.clone().unwrap_or_default();
        labels = Some(match labels {
            None => theirs,
            Some(mut all) => {
                all.retain(|key, value| theirs.get(key) == Some(value));
                all
            }
        });
    }
    let spec = pods.first().and_then(|pod| pod.spec.as_ref());
    json!({ "metadata": { "labels": labels.unwrap_or_default() }, "spec": spec })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_says_where_the_replicas_are() {
        let version = |name: &str, path: &str| json!({ "name": name, "subresources": { "scale": { "specReplicasPath": path } } });
        let versions = [
            version("v1alpha1", ".spec.old"),
            version("v1", ".spec.instances"),
        ];
        let definition = json!({ "spec": { "versions": versions } });
        let path = path_of_replicas(&definition, "v1");
        assert_eq!(path, Some(vec!["spec".to_owned(), "instances".to_owned()]));
        assert_eq!(path_of_replicas(&definition, "v2"), None);
        let none = json!({ "spec": { "versions": [{ "name": "v1", "subresources": {} }] } });
        assert_eq!(path_of_replicas(&none, "v1"), None);
    }

    #[test]
    fn what_all_pods_bear_is_taken_for_their_template() {
        let pod = |name: &str| -> Pod {
            let text = format!(
                "{{metadata: {{name: {name}, labels: {{app: db, pod: {name}}}}},
                   spec: {{containers: [], volumes: [{{name: data, persistentVolumeClaim: {{claimName: data-{name}}}}}]}}}}"
            );
            serde_saphyr::from_str(&text).expect("a pod")
        };
        let pods = [pod("a"), pod("b")];
        let made_from = template(&pods);
        assert_eq!(made_from["metadata"]["labels"], json!({ "app": "db" }));
        let mounted: BTreeSet<String> = pods.iter().flat_map(claims).collect();
        let expected = ["data-a", "data-b"].map(str::to_owned);
        assert_eq!(mounted, BTreeSet::from(expected));
    }
}
