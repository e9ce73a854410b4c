//! The snapshot of a volume: what its driver says of it (`snapshot.storage.k8s.io/v1`).

use chaos_common::cluster::metrics::quantity;
use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind};
use chaos_common::config::Backup;
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};

use super::Absent;
use crate::context::Context;

/// What a VolumeSnapshot says of itself.
#[derive(Debug)]
pub(crate) struct VolumeSnapshot {
    pub(crate) name: String,
    pub(crate) claim: Option<String>,
    /// When the driver took it, else when it was asked for.
    pub(crate) made: Option<Timestamp>,
    /// Whether the driver says when it took it.
    pub(crate) taken: bool,
    pub(crate) ready: bool,
    pub(crate) error: Option<String>,
    /// The size of the volume that it makes, in bytes.
    pub(crate) size: Option<u64>,
    /// Its VolumeSnapshotContent.
    pub(crate) bound_to: Option<String>,
    /// Whether it is being deleted.
    pub(crate) going: bool,
}

/// Finds the snapshot of a backup.
pub(super) async fn find(backup: &Backup, context: &Context) -> Result<VolumeSnapshot, Absent> {
    let all = list(backup, context)
        .await
        .map_err(|error| absent(&error))?;
    let missing = none(&all, backup, &context.namespace);
    choose(all, backup).ok_or_else(|| {
        Absent::fail(missing).hint(
            "kubectl get volumesnapshots shows what there is; \
             see why what makes them has not",
        )
    })
}

fn absent(error: &ReadError) -> Absent {
    match error.kind {
        ReadErrorKind::NotFound => {
            Absent::unknown("cannot be looked at: the cluster does not know VolumeSnapshots").hint(
                "its CRDs (snapshot.storage.k8s.io/v1) and the snapshot controller \
                 are not installed there",
            )
        }
        ReadErrorKind::Forbidden => Absent::unknown(error.to_string()).hint(
            "the Role needs list on volumesnapshots of snapshot.storage.k8s.io; \
             test it with kubectl auth can-i",
        ),
        _ => Absent {
            hint: error.next_step().map(str::to_owned),
            ..Absent::unknown(error.to_string())
        },
    }
}

/// The snapshots of the namespace, those of a name or with labels where these are given.
async fn list(backup: &Backup, context: &Context) -> Result<Vec<VolumeSnapshot>, ReadError> {
    let cluster = Cluster::connect(&context.access).await?;
    let kind = GroupVersionKind::gvk("snapshot.storage.k8s.io", "v1", "VolumeSnapshot");
    let resource = ApiResource::from_gvk_with_plural(&kind, "volumesnapshots");
    let api: Api<DynamicObject> =
        Api::namespaced_with(cluster.client.clone(), &context.namespace, &resource);
    // A list that is empty tells an absent snapshot from an absent kind, which a get does not.
    let mut params = ListParams::default();
    if let Some(name) = &backup.snapshot {
        params = params.fields(&format!("metadata.name={name}"));
    }
    if let Some(selector) = &backup.selector {
        params = params.labels(selector);
    }
    let what = format!("list volumesnapshots in namespace {}", context.namespace);
    Ok(cluster
        .list(&api, &params, what)
        .await?
        .iter()
        .map(VolumeSnapshot::of)
        .collect())
}

impl VolumeSnapshot {
    pub(crate) fn of(object: &DynamicObject) -> VolumeSnapshot {
        let text = |path: &str| {
            object
                .data
                .pointer(path)
                .and_then(|value| value.as_str())
                .map(str::to_owned)
        };
        let taken: Option<Timestamp> =
            text("/status/creationTime").and_then(|time| time.parse().ok());
        let asked = object
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0);
        let failed = object
            .data
            .pointer("/status/error")
            .is_some_and(|error| !error.is_null());
        let error = failed.then(|| {
            text("/status/error/message").unwrap_or_else(|| "it does not say why".to_owned())
        });
        let number = |quantity: f64| format!("{quantity:.0}").parse().ok();
        VolumeSnapshot {
            name: object.metadata.name.clone().unwrap_or_default(),
            claim: text("/spec/source/persistentVolumeClaimName"),
            made: taken.or(asked),
            taken: taken.is_some(),
            ready: object
                .data
                .pointer("/status/readyToUse")
                .and_then(serde_json::Value::as_bool)
                == Some(true),
            error,
            size: text("/status/restoreSize")
                .and_then(|size| quantity(&size))
                .and_then(number),
            bound_to: text("/status/boundVolumeSnapshotContentName"),
            going: object.metadata.deletion_timestamp.is_some(),
        }
    }
}

/// The one that counts: that of the name, or the newest that is of the claim.
fn choose(all: Vec<VolumeSnapshot>, backup: &Backup) -> Option<VolumeSnapshot> {
    let named = backup.snapshot.is_some();
    let ours = |snapshot: &VolumeSnapshot| {
        named || backup.claim.is_none() || snapshot.claim == backup.claim
    };
    all.into_iter()
        .filter(ours)
        .max_by(|one, other| (one.made, &one.name).cmp(&(other.made, &other.name)))
}

fn none(all: &[VolumeSnapshot], backup: &Backup, namespace: &str) -> String {
    match (&backup.snapshot, &backup.claim) {
        (Some(_), _) => format!("does not exist in namespace {namespace}"),
        (None, Some(claim)) if !all.is_empty() => {
            format!(
                "is not there: of {} snapshots in namespace {namespace}, none is of the claim \
                 {claim}",
                all.len()
            )
        }
        _ => format!("is not there: there is no such snapshot in namespace {namespace}"),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A snapshot of a claim with this status.
    pub(crate) fn snapshot(name: &str, claim: &str, status: &Value) -> VolumeSnapshot {
        let object = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
            "metadata": {"name": name, "creationTimestamp": "2026-11-22T01:00:00Z"},
            "spec": {"source": {"persistentVolumeClaimName": claim}}, "status": status,
        });
        VolumeSnapshot::of(&serde_json::from_value(object).expect("an object"))
    }

    /// The backup that a table of the configuration makes.
    pub(crate) fn backup(table: &str) -> Backup {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("chaos.toml");
        let text = format!("[[backup]]\nname = 'x'\nkind = 'volume-snapshot'\n{table}\n");
        std::fs::write(&path, text).expect("written");
        let loaded = chaos_common::config::load(Some(&path)).expect("good");
        loaded.config.backups[0].clone()
    }

    fn ready() -> Value {
        json!({"readyToUse": true, "creationTime": "2026-11-22T01:00:05Z", "restoreSize": "10Gi"})
    }

    #[test]
    fn the_newest_of_the_claim_counts_whether_it_is_ready_or_not() {
        let late = json!({"readyToUse": false, "creationTime": "2026-11-22T09:00:00Z"});
        let foreign = json!({"readyToUse": true, "creationTime": "2026-11-22T12:00:00Z"});
        let all = || {
            vec![
                snapshot("a", "data", &ready()),
                snapshot("b", "data", &late),
                snapshot("c", "logs", &foreign),
            ]
        };
        let chosen = |table: &str| choose(all(), &backup(table)).map(|snapshot| snapshot.name);
        assert_eq!(chosen("claim = 'data'").as_deref(), Some("b"));
        assert_eq!(
            chosen("selector = 'app=db'").as_deref(),
            Some("c"),
            "the API server minds the labels"
        );
        assert_eq!(chosen("claim = 'none'"), None);
        assert!(none(&all(), &backup("claim = 'none'"), "shop").contains("of 3 snapshots"));
    }
}
