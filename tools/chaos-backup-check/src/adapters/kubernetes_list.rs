//! Objects of an operator that makes backups, as the API server lists them.

use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use serde_json::Value;

use crate::context::Context;
use crate::source::Absent;

/// A kind of objects.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) group: &'static str,
    pub(super) name: &'static str,
    pub(super) plural: &'static str,
}

/// All of them in a namespace, each as JSON.
pub(super) async fn list(
    kind: Kind,
    namespace: &str,
    labels: &str,
    context: &Context,
) -> Result<Vec<Value>, Absent> {
    let found = async {
        let cluster = Cluster::connect(&context.access).await?;
        let named = GroupVersionKind::gvk(kind.group, "v1", kind.name);
        let resource = ApiResource::from_gvk_with_plural(&named, kind.plural);
        let api: Api<DynamicObject> =
            Api::namespaced_with(cluster.client.clone(), namespace, &resource);
        let params = ListParams::default().labels(labels);
        let what = format!("list {} in namespace {namespace}", kind.plural);
        cluster.list(&api, &params, what).await
    };
    let objects = found.await.map_err(|error| absent(&error, kind))?;
    let json = |object| serde_json::to_value(object).expect("it came as JSON");
    Ok(objects.into_iter().map(json).collect())
}

fn absent(error: &ReadError, kind: Kind) -> Absent {
    let Kind { group, plural, .. } = kind;
    match error.kind {
        ReadErrorKind::NotFound => Absent::unknown(format!(
            "cannot be looked at: the cluster does not know {plural} of {group}/v1"
        ))
        .hint("is the operator installed there?"),
        ReadErrorKind::Forbidden => Absent::unknown(error.to_string())
            .hint("the Role needs list on them; test it with kubectl auth can-i"),
        _ => Absent {
            hint: error.next_step().map(str::to_owned),
            ..Absent::unknown(error.to_string())
        },
    }
}

/// A text in an object; nothing where there is none.
pub(super) fn text<'v>(object: &'v Value, path: &str) -> Option<&'v str> {
    object
        .pointer(path)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

/// A time in an object.
pub(super) fn time(object: &Value, path: &str) -> Option<jiff::Timestamp> {
    text(object, path)?.parse().ok()
}
