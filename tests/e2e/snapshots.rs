//! `chaos-backup-check` with snapshots of volumes.

use chaos_tests::cluster::{Cluster, OwnNamespace};
use chaos_tests::run::{Place, until};
use serde_json::{Value, json};

use crate::drills::found;

const SNAPSHOTS: &str = "chaos-test-snapshots";

/// The kind VolumeSnapshot, gone with this.
struct Kind<'c>(&'c Cluster);

impl Drop for Kind<'_> {
    fn drop(&mut self) {
        self.0.kubectl(&[
            "delete",
            "crd",
            "volumesnapshots.snapshot.storage.k8s.io",
            "--ignore-not-found",
        ]);
    }
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_snapshot_of_a_volume_is_judged_by_its_status() {
    let cluster = Cluster::new();
    let _own = OwnNamespace::new(&cluster, SNAPSHOTS);
    let place = Place::new().env("KUBECONFIG", cluster.state().join("admin.kubeconfig"));
    let config = |backup: &str| {
        place.file("chaos.toml", &format!("[application]\nnamespace = '{SNAPSHOTS}'\n[drill]\n[[backup]]\nname = 'x'\nkind = 'volume-snapshot'\n{backup}"));
    };
    let checked = |code: i32| {
        place
            .tool("chaos-backup-check", &[])
            .exits(code)
            .record("chaos.backup/1")
    };
    config("claim = 'data'\n");
    let (status, message) = found(&checked(3), "backup.present");
    assert!(
        status == "unknown" && message.contains("does not know VolumeSnapshots"),
        "{message}"
    );

    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let names = json!({"kind": "VolumeSnapshot", "plural": "volumesnapshots", "singular": "volumesnapshot"});
    cluster.apply(&json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "volumesnapshots.snapshot.storage.k8s.io", "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-csi/external-snapshotter/pull/814"}},
        "spec": {"group": "snapshot.storage.k8s.io", "scope": "Namespaced", "names": names,
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {"openAPIV3Schema": any}}]},
    }).to_string());
    let _kind = Kind(&cluster);
    cluster.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd/volumesnapshots.snapshot.storage.k8s.io",
        "--timeout=240s",
    ]);
    let hours = |ago: &str| {
        place
            .shell(&format!("date -u -d '{ago}' +%FT%TZ"))
            .stdout()
            .trim()
            .to_owned()
    };
    let put = |name: &str, claim: &str, status: Value| {
        cluster.apply(
            &json!({
                "apiVersion": "snapshot.storage.k8s.io/v1", "kind": "VolumeSnapshot",
                "metadata": {"name": name, "namespace": SNAPSHOTS, "labels": {"app": claim}},
                "spec": {"source": {"persistentVolumeClaimName": claim}}, "status": status,
            })
            .to_string(),
        );
    };
    until("the new kind", || {
        let ran = place.tool("chaos-backup-check", &[]);
        (ran.exits_any() != Some(3)).then_some(())
    });
    assert!(
        found(&checked(1), "backup.present")
            .1
            .contains("no such snapshot")
    );

    put(
        "old",
        "data",
        json!({"readyToUse": true, "creationTime": hours("2 days ago"), "restoreSize": "1Gi"}),
    );
    assert_eq!(found(&checked(1), "backup.fresh").0, "fail");
    put(
        "new",
        "data",
        json!({"readyToUse": true, "creationTime": hours("1 hour ago"), "restoreSize": "1Gi", "boundVolumeSnapshotContentName": "content"}),
    );
    let record = checked(0);
    let (status, message) = found(&record, "backup.present");
    assert!(
        status == "pass" && message.contains("the newest is new, of claim data"),
        "{message}"
    );
    let item = &record["data"]["items"][0];
    assert_eq!(
        (&item["resolved"], &item["size_bytes"]),
        (&"volumesnapshot/new".into(), &(1_u64 << 30).into())
    );
    assert_eq!(
        (&item["contents"]["format"], &item["contents"]["claim"]),
        (&"volume-snapshot".into(), &"data".into())
    );
    assert_eq!(found(&record, "backup.restore_tested").0, "skipped");
    place
        .tool("chaos-backup-check", &["drill", "x"])
        .exits(2)
        .says("no drill restores");
    place.tool("chaos-backup-check", &["-q"]).exits(0);

    config("selector = 'app=logs'\n");
    assert_eq!(found(&checked(1), "backup.present").0, "fail");
    put("busy", "logs", json!({"readyToUse": false}));
    assert_eq!(found(&checked(3), "backup.complete").0, "unknown");
    put(
        "busy",
        "logs",
        json!({"readyToUse": false, "error": {"message": "no such driver"}}),
    );
    let (status, message) = found(&checked(1), "backup.complete");
    assert!(
        status == "fail" && message.contains("no such driver"),
        "{message}"
    );
    config("snapshot = 'new'\nclaim = 'logs'\n");
    assert_eq!(found(&checked(1), "backup.expected").0, "fail");
    config("snapshot = 'none'\n");
    assert!(
        found(&checked(1), "backup.present")
            .1
            .contains("does not exist")
    );
    let ran = place
        .tool(
            "chaos-backup-check",
            &["--kubeconfig", &cluster.as_user("nobody")],
        )
        .exits(3);
    assert!(
        ran.stdout().contains("list on volumesnapshots"),
        "{}",
        ran.show()
    );
}
