//! The snapshot of a volume: whether it is there, ready, and young enough, by what its driver says
//! of it.

use chaos_backup_check::formats::inspection::COMPLETE;
use chaos_backup_check::formats::manifest::SEALED;
use chaos_common::cluster::metrics::quantity;
use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind};
use chaos_common::config::Backup;
use chaos_common::record::{BackupItem, Check, Contents, Status, Time};
use jiff::Timestamp;
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};

use crate::context::Context;
use crate::item::freshness::{self, Due, FRESH, aged};
use crate::progress::bytes;
use crate::source::PRESENT;

const EXPECTED: &str = "backup.expected";

/// What a VolumeSnapshot says of itself (`snapshot.storage.k8s.io/v1`).
#[derive(Debug)]
struct Snapshot {
    name: String,
    claim: Option<String>,
    /// When the driver took it, else when it was asked for.
    made: Option<Timestamp>,
    taken: bool,
    ready: bool,
    error: Option<String>,
    /// The size of the volume that it makes.
    size: Option<u64>,
    bound_to: Option<String>,
    going: bool,
}

/// Looks at the snapshot of a backup.
pub(crate) async fn examine(
    backup: &Backup,
    context: &Context,
    now: Timestamp,
    due: &Due,
    item: &mut BackupItem,
) -> Vec<Check> {
    let object = item.path.clone();
    let skipped = |id| Check::skipped(id, &object, "there is no snapshot to look at");
    match list(backup, context).await {
        Ok(all) => {
            if let Some(snapshot) = choose(&all, backup) {
                return judge(snapshot, backup, now, due, item);
            }
            let missing = Check::fail(PRESENT, &object, none(&all, backup, &context.namespace))
                .hint("kubectl get volumesnapshots shows what there is; see why what makes them has not");
            vec![missing, skipped(FRESH), skipped(COMPLETE)]
        }
        Err(error) if error.kind == ReadErrorKind::NotFound => {
            let absent =
                Check::unknown(PRESENT, &object, "cannot be looked at: the cluster does not know VolumeSnapshots")
                    .hint("its CRDs (snapshot.storage.k8s.io/v1) and the snapshot controller are not installed there");
            vec![absent, skipped(FRESH), skipped(COMPLETE)]
        }
        Err(error) => {
            let mut absent = error.check(PRESENT, &object);
            if error.kind == ReadErrorKind::Forbidden {
                absent.hint = Some("the Role needs list on volumesnapshots of snapshot.storage.k8s.io; test it with kubectl auth can-i".to_owned());
            }
            vec![absent, skipped(FRESH), skipped(COMPLETE)]
        }
    }
}

/// The snapshots of the namespace, those of a name or with labels where these are given.
async fn list(backup: &Backup, context: &Context) -> Result<Vec<Snapshot>, ReadError> {
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
        .map(Snapshot::of)
        .collect())
}

impl Snapshot {
    fn of(object: &DynamicObject) -> Snapshot {
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
        Snapshot {
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
fn choose<'s>(all: &'s [Snapshot], backup: &Backup) -> Option<&'s Snapshot> {
    let named = backup.snapshot.is_some();
    let ours =
        |snapshot: &&Snapshot| named || backup.claim.is_none() || snapshot.claim == backup.claim;
    all.iter()
        .filter(ours)
        .max_by_key(|snapshot| (snapshot.made, snapshot.name.as_str()))
}

fn none(all: &[Snapshot], backup: &Backup, namespace: &str) -> String {
    match (&backup.snapshot, &backup.claim) {
        (Some(_), _) => format!("does not exist in namespace {namespace}"),
        (None, Some(claim)) if !all.is_empty() => {
            format!(
                "is not there: of {} snapshots in namespace {namespace}, none is of the claim {claim}",
                all.len()
            )
        }
        _ => format!("is not there: there is no such snapshot in namespace {namespace}"),
    }
}

fn judge(
    snapshot: &Snapshot,
    backup: &Backup,
    now: Timestamp,
    due: &Due,
    item: &mut BackupItem,
) -> Vec<Check> {
    let object = item.path.clone();
    if backup.snapshot.is_none() {
        item.resolved = Some(format!("volumesnapshot/{}", snapshot.name));
    }
    item.size_bytes = snapshot.size;
    item.contents = Some(Contents::VolumeSnapshot {
        claim: snapshot.claim.clone(),
        bound_to: snapshot.bound_to.clone(),
    });
    let of = snapshot
        .claim
        .as_ref()
        .map_or("contents that were there before".to_owned(), |claim| {
            format!("claim {claim}")
        });
    let size = snapshot.size.map_or(String::new(), |size| {
        format!(", makes a volume of {}", bytes(size))
    });
    let newest = if backup.snapshot.is_none() {
        format!("the newest is {}, ", snapshot.name)
    } else {
        String::new()
    };
    let mut checks = vec![Check::pass(
        PRESENT,
        &object,
        format!("a snapshot: {newest}of {of}{size}"),
    )];
    checks.push(match snapshot.made {
        Some(made) if snapshot.taken => aged(freshness::judge_snapshot(now, made, due), item),
        _ => Check::unknown(FRESH, &object, "does not say when it was taken"),
    });
    let (status, message) = state(snapshot);
    let mut complete = Check::new(COMPLETE, &object, status, message);
    if status != Status::Pass {
        complete = complete.hint(format!(
            "kubectl describe volumesnapshot {} says what its controller and driver do",
            snapshot.name
        ));
    }
    checks.push(complete);
    checks.push(
        Check::skipped(
            SEALED,
            &object,
            "is not read: what the application had not written yet, and damage that was there before, go unseen",
        )
        .hint("keep a dump beside it, which can be read and restored for a trial"),
    );
    if let (Some(wanted), found) = (&backup.claim, &snapshot.claim) {
        let message = format!("is of {of}");
        checks.push(if found.as_ref() == Some(wanted) {
            Check::pass(EXPECTED, &object, message)
        } else {
            Check::fail(
                EXPECTED,
                &object,
                format!("{message}, and not of claim {wanted}"),
            )
            .hint("name a snapshot of the right claim, or correct the claim in the configuration")
        });
    }
    checks
}

/// Whether a volume can be made of it.
fn state(snapshot: &Snapshot) -> (Status, String) {
    match snapshot {
        Snapshot { going: true, .. } => (Status::Fail, "is being deleted".to_owned()),
        Snapshot {
            ready: true,
            error: None,
            ..
        } => (
            Status::Pass,
            "is ready to use, as its driver says; its blocks are not read".to_owned(),
        ),
        Snapshot {
            ready: true,
            error: Some(error),
            ..
        } => (
            Status::Warn,
            format!(
                "is ready to use, as its driver says, which had trouble with it besides: {error}"
            ),
        ),
        Snapshot {
            error: Some(error), ..
        } => (Status::Fail, format!("is not ready to use: {error}")),
        Snapshot { made, .. } => {
            let since = made.map_or(String::new(), |made| {
                format!("; it was asked for at {}", Time(made).human())
            });
            (Status::Unknown, format!("is not ready to use yet{since}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use chaos_common::config::BackupKind;
    use serde_json::{Value, json};

    use super::*;

    fn snapshot(name: &str, claim: &str, status: &Value) -> Snapshot {
        let object = json!({
            "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
            "metadata": {"name": name, "creationTimestamp": "2026-11-22T01:00:00Z"},
            "spec": {"source": {"persistentVolumeClaimName": claim}}, "status": status,
        });
        Snapshot::of(&serde_json::from_value(object).expect("an object"))
    }

    fn backup(table: &str) -> Backup {
        let config: chaos_common::config::Config =
            toml_of(&format!("name = 'x'\nkind = 'volume-snapshot'\n{table}"));
        config.backups[0].clone()
    }

    fn toml_of(table: &str) -> chaos_common::config::Config {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("chaos.toml");
        std::fs::write(&path, format!("[[backup]]\n{table}\n")).expect("written");
        chaos_common::config::load(Some(&path))
            .expect("good")
            .config
    }

    fn judged(snapshot: &Snapshot, table: &str) -> Vec<(String, Status, String)> {
        let backup = backup(table);
        assert_eq!(backup.kind, BackupKind::VolumeSnapshot);
        let now = "2026-11-22T16:00:00Z".parse().expect("a time");
        let mut item = crate::item::unseen(&backup);
        let checks = judge(snapshot, &backup, now, &Due::of(&backup, now), &mut item);
        checks
            .into_iter()
            .map(|check| (check.id, check.status, check.message))
            .collect()
    }

    fn status(snapshot: &Snapshot, table: &str, id: &str) -> Status {
        let checks = judged(snapshot, table);
        checks
            .iter()
            .find(|(of, ..)| of == id)
            .unwrap_or_else(|| panic!("no {id}: {checks:?}"))
            .1
    }

    const READY: &str =
        r#"{"readyToUse": true, "creationTime": "2026-11-22T01:00:05Z", "restoreSize": "10Gi"}"#;

    fn ready() -> Value {
        serde_json::from_str(READY).expect("JSON")
    }

    #[test]
    fn only_what_is_ready_and_young_passes() {
        let of = |status: Value| snapshot("a", "data", &status);
        assert_eq!(
            status(&of(ready()), "claim = 'data'", COMPLETE),
            Status::Pass
        );
        assert_eq!(status(&of(ready()), "claim = 'data'", FRESH), Status::Pass);
        assert_eq!(
            status(&of(ready()), "claim = 'data'", EXPECTED),
            Status::Pass
        );
        assert_eq!(
            status(&of(ready()), "claim = 'data'\nmax_age = '1h'", FRESH),
            Status::Fail
        );
        assert_eq!(of(ready()).size, Some(10 << 30));
        for nothing in [json!(null), json!({}), json!({"readyToUse": false})] {
            assert_eq!(
                status(&of(nothing.clone()), "claim = 'data'", COMPLETE),
                Status::Unknown,
                "{nothing}"
            );
            assert_eq!(
                status(&of(nothing), "claim = 'data'", FRESH),
                Status::Unknown,
                "when it was asked for is not when it was taken"
            );
        }
        let failed = json!({"readyToUse": false, "error": {"message": "the driver is gone"}});
        assert_eq!(
            status(&of(failed), "claim = 'data'", COMPLETE),
            Status::Fail
        );
        let troubled = json!({"readyToUse": true, "error": {"message": "x"}});
        assert_eq!(
            status(&of(troubled), "claim = 'data'", COMPLETE),
            Status::Warn
        );
        let going = Snapshot {
            going: true,
            ..of(ready())
        };
        assert_eq!(status(&going, "claim = 'data'", COMPLETE), Status::Fail);
        assert_eq!(
            status(&of(ready()), "snapshot = 'a'\nclaim = 'other'", EXPECTED),
            Status::Fail
        );
    }

    #[test]
    fn the_newest_of_the_claim_counts_whether_it_is_ready_or_not() {
        let late = json!({"readyToUse": false, "creationTime": "2026-11-22T09:00:00Z"});
        let foreign = json!({"readyToUse": true, "creationTime": "2026-11-22T12:00:00Z"});
        let all = [
            snapshot("a", "data", &ready()),
            snapshot("b", "data", &late),
            snapshot("c", "logs", &foreign),
        ];
        let chosen =
            |table: &str| choose(&all, &backup(table)).map(|snapshot| snapshot.name.clone());
        assert_eq!(chosen("claim = 'data'").as_deref(), Some("b"));
        assert_eq!(
            chosen("selector = 'app=db'").as_deref(),
            Some("c"),
            "the API server minds the labels"
        );
        assert_eq!(chosen("claim = 'none'"), None);
        assert!(none(&all, &backup("claim = 'none'"), "shop").contains("of 3 snapshots"));
    }
}
