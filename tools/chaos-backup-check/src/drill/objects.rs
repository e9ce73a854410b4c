//! The drill of a cluster's configuration: every object applied, as a dry run that the API server
//! does with all its checks and does not keep.

use std::time::Instant;

use chaos_backup_check::formats::error::count;
use chaos_backup_check::formats::kubernetes;
use chaos_common::cluster::{Cluster, ReadError};
use kube::api::{Patch, PatchParams};
use serde::Deserialize as _;
use serde_json::Value;

use super::Restored;
use super::error::DrillError;
use super::feed::Feed;
use crate::context::Context;
use crate::item::resource_kinds::{KindOf, clean};

/// The name under which the dry run would own what it applies.
const MANAGER: &str = "chaos-backup-check";
/// Problems that are told one by one.
const TOLD: usize = 3;

/// Applies every object, for a trial.
pub(super) async fn drill(context: &Context, mut file: Feed) -> Result<Restored, DrillError> {
    let mut text = Vec::new();
    while let Some(piece) = file.next().await? {
        text.extend(piece);
    }
    let (size_bytes, blake3) = file.read();
    let objects = objects(&text)?;
    drop(text);
    let cluster = Cluster::connect(&context.access).await;
    let cluster = cluster.map_err(|error| unknown(&error))?;
    let start = Instant::now();
    let mut refused = Vec::new();
    for object in &objects {
        refused.extend(apply(&cluster, &context.namespace, object).await?);
    }
    let took = start.elapsed();
    if !refused.is_empty() {
        let (first, rest) = refused.split_at(refused.len().min(TOLD));
        let more = match rest.len() {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        let told = first.join(", ");
        let message = format!("the API server would not take {told}{more}");
        return Err(DrillError::fail(message)
            .hint("kubectl apply --server-side --dry-run=server -f FILE says why"));
    }
    let into = format!("the cluster at {}, as a dry run", cluster.server);
    let (ms, number) = (took.as_millis(), count(objects.len() as u64, "object"));
    Ok(Restored {
        message: format!("applied in {ms} ms to {into}: {number}, each accepted"),
        took,
        size_bytes,
        blake3,
        into,
        rows: None,
    })
}

/// Applies one object; gives its name if the API server does not take it.
async fn apply(
    cluster: &Cluster,
    namespace: &str,
    object: &Value,
) -> Result<Option<String>, DrillError> {
    let text = |path: &str| {
        let value = object.pointer(path).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    };
    let (version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let own = text("/metadata/namespace");
    let namespace = if own.is_empty() { namespace } else { &own };
    let kind_of = KindOf::of(cluster, &version, &kind).await;
    let kind_of = kind_of.map_err(|error| unknown(&error))?;
    let params = PatchParams::apply(MANAGER).dry_run().force();
    let api = kind_of.api(cluster, namespace);
    match api.patch(&name, &params, &Patch::Apply(object)).await {
        Ok(_) => Ok(None),
        // What the server says of a bad value may repeat it.
        Err(kube::Error::Api(status)) if matches!(status.code, 400 | 409 | 422) => {
            Ok(Some(format!("{kind} {name} ({})", status.reason)))
        }
        Err(error) => {
            let what = format!("apply {kind} {name} for a trial");
            Err(unknown(&ReadError::from_kube(what, &error)))
        }
    }
}

fn unknown(error: &ReadError) -> DrillError {
    let unknown = DrillError::unknown(error.to_string());
    match error.next_step() {
        Some(hint) => unknown.hint(hint),
        None => unknown,
    }
}

/// The objects of a file, without what only a server makes. The file was read and judged before.
fn objects(text: &[u8]) -> Result<Vec<Value>, DrillError> {
    // An error's own words may repeat a value.
    let wrong = || DrillError::fail("is not YAML or JSON any more");
    let documents = kubernetes::documents::<Value>(text).map_err(|_| wrong())?;
    let mut objects = Vec::new();
    let mut waiting: Vec<Value> = documents.into_iter().rev().collect();
    while let Some(mut document) = waiting.pop() {
        if let Some(Value::Array(items)) = document.get_mut("items").map(Value::take) {
            let of = |key: &str| {
                document[key]
                    .as_str()
                    .unwrap_or_default()
                    .trim_end_matches("List")
                    .to_owned()
            };
            let (version, kind) = (of("apiVersion"), of("kind"));
            for mut item in items.into_iter().rev() {
                if let Some(fields) = item.as_object_mut().filter(|_| !kind.is_empty()) {
                    fields
                        .entry("apiVersion")
                        .or_insert_with(|| version.clone().into());
                    fields.entry("kind").or_insert_with(|| kind.clone().into());
                }
                waiting.push(item);
            }
        } else if !document.is_null() {
            let object = kube::api::DynamicObject::deserialize(document).map_err(|_| wrong())?;
            objects.push(clean(object).map_err(|_| wrong())?);
        }
    }
    Ok(objects)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_documents_become_objects_without_server_made_fields() {
        let text = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, \
            metadata: {name: a, uid: u}}\n- {apiVersion: v1, kind: Secret, metadata: {name: b}, \
            status: {x: y}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: c}\n";
        let found = objects(text.as_bytes()).expect("objects");
        let names: Vec<_> = found
            .iter()
            .map(|object| object["metadata"]["name"].as_str())
            .collect();
        assert_eq!(names, [Some("a"), Some("b"), Some("c")]);
        assert!(
            found[0]["metadata"].get("uid").is_none() && found[1].get("status").is_none(),
            "{found:?}"
        );
        let typed =
            br#"{"apiVersion":"v1","kind":"SecretList","items":[{"metadata":{"name":"a"}}]}"#;
        assert_eq!(objects(typed).expect("objects")[0]["kind"], "Secret");
    }
}
