//! CloudNativePG and Velero, by their objects as an API server lists them.

use std::sync::LazyLock;

use serde_json::{Value, json};

use crate::place::Place;
use crate::server::{Answer, serve};

/// A time so many hours before this test began: each answer tells the same, whenever it is asked for, and never less
/// than so many hours before the tool started.
fn ago(hours: i64) -> String {
    static BEGAN: LazyLock<jiff::Timestamp> = LazyLock::new(jiff::Timestamp::now);
    let then = *BEGAN - jiff::SignedDuration::from_hours(hours);
    then.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn listed(group: &str, kind: &str, items: &[Value]) -> Answer {
    let list = json!({"apiVersion": format!("{group}/v1"), "kind": format!("{kind}List"),
        "metadata": {"resourceVersion": "1"}, "items": items});
    (
        "200 OK\r\nContent-Type: application/json".to_owned(),
        list.to_string(),
    )
}

fn none() -> Answer {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
        "message": "the server could not find the requested resource", "code": 404});
    (
        "404 Not Found\r\nContent-Type: application/json".to_owned(),
        status.to_string(),
    )
}

fn place(port: u16, table: &str) -> Place {
    ago(0);
    let place = Place::new();
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: \
         {{cluster: c, user: u}}}}], clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{port}'}}}}], \
         users: [{{name: u, user: {{token: t}}}}]}}"
    );
    place.file(".kube/config", kubeconfig.as_bytes(), 1);
    place.config(&format!("[[backup]]\nname = 'x'\n{table}"));
    place
}

#[test]
fn backups_of_cloudnative_pg_are_judged() {
    let backup = |name: &str, phase: &str, hours: i64| {
        json!({"metadata": {"name": name, "namespace": "shop", "creationTimestamp": ago(hours)},
            "spec": {"cluster": {"name": "shop-db"}, "method": "barmanObjectStore"},
            "status": {"phase": phase, "startedAt": ago(hours), "stoppedAt": ago(hours), "method": "barmanObjectStore"}})
    };
    let schedule = json!({"metadata": {"name": "nightly", "namespace": "shop"},
        "spec": {"cluster": {"name": "shop-db"}, "schedule": "0 0 0 * * *"}, "status": {"nextScheduleTime": ago(-5)}});
    let port = serve(move |path, _| {
        let group = "postgresql.cnpg.io";
        match path.strip_prefix("/apis/postgresql.cnpg.io/v1/namespaces/shop/") {
            Some("backups") => listed(
                group,
                "Backup",
                &[
                    backup("old", "completed", 50),
                    backup("new", "completed", 3),
                    backup("later", "failed", 1),
                ],
            ),
            Some("scheduledbackups") => {
                listed(group, "ScheduledBackup", std::slice::from_ref(&schedule))
            }
            _ => none(),
        }
    });
    let table = "kind = 'cloudnative-pg'\ncloudnative_pg = { cluster = 'shop-db' }\n";
    let ran = place(port, table).run(&[]);
    ran.exits(0)
        .says("backup.present", "cluster/shop-db", "pass", "is new");
    ran.says("backup.fresh", "cluster/shop-db", "pass", "3h");
    ran.says("backup.attempts", "cluster/shop-db", "warn", "later");
    ran.says("backup.scheduled", "cluster/shop-db", "pass", "nightly");
    let contents = ran.record()["data"]["items"][0]["contents"].clone();
    assert_eq!(
        contents["unproven"].as_array().map(Vec::len),
        Some(2),
        "{contents}"
    );
    let old = place(port, &format!("{table}max_age = '2h'\n")).run(&[]);
    assert_eq!(
        old.exits(1).check("backup.fresh", "cluster/shop-db").0,
        "fail"
    );
    let other = place(port, &table.replace("shop-db", "other")).run(&[]);
    other.exits(1).says(
        "backup.present",
        "cluster/other",
        "fail",
        "has no Backup of cluster other",
    );
}

#[test]
fn backups_of_velero_are_judged() {
    let port = serve(|path, query| {
        let backup = json!({"metadata": {"name": "nightly-1", "namespace": "velero"}, "spec": {"includedNamespaces": ["shop"]},
            "status": {"phase": "Completed", "startTimestamp": ago(4), "expiration": ago(-700), "warnings": 1}});
        let ours = query.contains("velero.io%2Fschedule-name%3Dnightly");
        match path {
            "/apis/velero.io/v1/namespaces/velero/backups" if ours => {
                listed("velero.io", "Backup", &[backup])
            }
            "/apis/velero.io/v1/namespaces/velero/backups" => listed("velero.io", "Backup", &[]),
            _ => none(),
        }
    });
    let table = "kind = 'velero'\nvelero = { schedule = 'nightly' }\n";
    let ran = place(port, table).run(&[]);
    ran.exits(0)
        .says("backup.complete", "schedule/nightly", "pass", "completed");
    ran.says("backup.warnings", "schedule/nightly", "warn", "1 warnings");
    let empty = place(port, "kind = 'velero'\nvelero = {}\n").run(&[]);
    empty
        .exits(1)
        .says("backup.present", "velero:backups", "fail", "has no Backup");
    let elsewhere = place(port, "kind = 'velero'\nvelero = { namespace = 'x' }\n").run(&[]);
    elsewhere.exits(3).says(
        "backup.present",
        "velero:backups",
        "unknown",
        "does not know backups of velero.io/v1",
    );
    let nobody = place(1, table).run(&[]);
    assert_eq!(
        nobody
            .exits(3)
            .check("backup.present", "schedule/nightly")
            .0,
        "unknown"
    );
}
