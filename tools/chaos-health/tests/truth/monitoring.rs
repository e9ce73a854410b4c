//! Monitoring wherever it is: of any kind of workload, behind a path, outside of the cluster, or only
//! in part.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use chaos_common::config::Config;
use chaos_common::record::{Check, Status};
use serde_json::{Value, json};

use crate::world::{World, alerts, rules};
use crate::{Bed, run};

fn configured(bed: &mut Bed, monitoring: &str) {
    let config: Config = toml::from_str(monitoring).expect("a configuration");
    bed.config.monitoring = config.monitoring;
}

async fn look(monitoring: &str, world: World) -> Vec<Check> {
    let mut bed = Bed::new().await;
    configured(&mut bed, monitoring);
    let checks = bed.examine(world).await.checks;
    let of_monitoring = |check: &Check| check.id.starts_with("monitoring");
    checks.into_iter().filter(of_monitoring).collect()
}

fn status(checks: &[Check], id: &str) -> Vec<Status> {
    let of = checks.iter().filter(|check| check.id == id);
    of.map(|check| check.status).collect()
}

/// As the chart kube-prometheus-stack lays it out, with a route prefix.
fn stack() -> World {
    let mut world = World::healthy();
    let set = |name: &str| {
        json!({ "metadata": { "name": name, "namespace": "monitoring", "generation": 1 },
            "spec": { "replicas": 1, "selector": {}, "serviceName": "x", "template": { "spec": { "containers": [] } } },
            "status": { "observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
                "availableReplicas": 1 } })
    };
    let sets = world.lists.get_mut("statefulsets").expect("there");
    sets.push(set("prometheus-kps"));
    let answers = [
        ("prometheus:9090/-/ready", "kps:9090/prom/-/ready"),
        ("prometheus:9090/api/v1/query", "kps:9090/prom/api/v1/query"),
        (
            "prometheus:9090/api/v1/alerts",
            "kps:9090/prom/api/v1/alerts",
        ),
        ("prometheus:9090/api/v1/rules", "kps:9090/prom/api/v1/rules"),
    ];
    for (old, new) in answers {
        let answer = world.answers.remove(old).expect("there");
        world.answers.insert(new, answer);
    }
    world
}

const STACK: &str = r#"
[monitoring]
namespace = "monitoring"
[monitoring.prometheus]
workload = "sts/prometheus-kps"
service = "kps"
port = 9090
path = "/prom"
"#;

#[test]
fn a_stateful_set_behind_a_path_is_looked_at_and_what_is_left_out_is_said() {
    run(async {
        let checks = look(STACK, stack()).await;
        let pass = Status::Pass;
        assert_eq!(
            status(&checks, "monitoring.prometheus"),
            [pass; 3],
            "{checks:?}"
        );
        assert_eq!(status(&checks, "monitoring.alerts"), [pass]);
        assert_eq!(status(&checks, "monitoring.grafana"), [Status::Skipped]);
        assert_eq!(
            status(&checks, "monitoring.alertmanager"),
            [Status::Skipped]
        );
        let mut lacking = stack();
        lacking.object("statefulsets", "prometheus-kps")["status"]["readyReplicas"] = json!(0);
        let checks = look(STACK, lacking).await;
        let failed = checks.iter().find(|check| check.status == Status::Fail);
        let failed = failed.expect("it lacks a pod");
        assert_eq!(failed.object.as_deref(), Some("statefulset/prometheus-kps"));
    });
}

#[test]
fn pods_named_by_labels_are_counted() {
    run(async {
        let text = STACK.replace("sts/prometheus-kps", "selector=app=prometheus");
        let checks = look(&text, stack()).await;
        let none = checks.iter().find(|check| check.status == Status::Fail);
        let none = none.expect("there are none in this world");
        assert_eq!(none.object.as_deref(), Some("selector=app=prometheus"));
        assert!(
            none.message.contains("none of its pods is ready"),
            "{none:?}"
        );
    });
}

#[test]
fn the_scope_of_alerts_is_the_configurations() {
    run(async {
        let fire = |labels: &Value| {
            let mut world = stack();
            let alerts = json!({ "status": "success", "data": { "alerts": [{ "labels": labels,
                "annotations": {}, "state": "firing", "activeAt": "2026-11-26T16:51:40Z" }] } });
            let said = world
                .answers
                .get_mut("kps:9090/prom/api/v1/alerts")
                .expect("there");
            said.1 = alerts.to_string();
            world
        };
        let of_team = |team: &str| json!({ "alertname": "Down", "severity": "critical", "namespace": "shop", "team": team });
        let scoped = STACK.replace(
            "namespace = \"monitoring\"",
            "namespace = \"monitoring\"\nalerts = ['team=\"shop\"']",
        );
        for (text, team, expected) in [
            (STACK, "other", Status::Fail),
            (scoped.as_str(), "shop", Status::Fail),
            (scoped.as_str(), "other", Status::Warn),
        ] {
            let checks = look(text, fire(&of_team(team))).await;
            assert_eq!(
                status(&checks, "monitoring.alerts"),
                [expected],
                "{team} {text}"
            );
        }
    });
}

/// A Prometheus outside of the cluster that wants a token.
fn outside() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = [0; 4096];
            let length = stream.read(&mut head).unwrap_or(0);
            let head = String::from_utf8_lossy(&head[..length]).to_lowercase();
            let known = head.contains("authorization: bearer word");
            let body = match head.split_whitespace().nth(1).unwrap_or_default() {
                path if path.contains("/query") => {
                    json!({ "status": "success", "data": { "result": [
                    { "metric": { "job": "web", "instance": "a" }, "value": [1.0, "1"] }] } })
                    .to_string()
                }
                path if path.ends_with("/alerts") => alerts(&[]),
                path if path.ends_with("/rules") => rules(&[("Down", "alerting", "")]),
                _ => "ready".to_owned(),
            };
            let (status, body) = if known {
                (200, body)
            } else {
                (401, String::new())
            };
            let length = body.len();
            let answer = format!(
                "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    format!("http://{address}/tenant")
}

#[test]
fn a_prometheus_outside_of_the_cluster_is_asked_with_a_token() {
    run(async {
        let token = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(token.path(), "word").expect("room on the disk");
        let url = outside();
        let plain = format!("[monitoring.prometheus]\nurl = {url:?}\n");
        let text = format!("{plain}token = {{ file = {:?} }}\n", token.path());
        let checks = look(&text, World::healthy()).await;
        assert!(checks.iter().all(|check| !check.is_bad()), "{checks:?}");
        assert_eq!(status(&checks, "monitoring.prometheus"), [Status::Pass; 2]);
        assert_eq!(status(&checks, "monitoring.targets"), [Status::Pass]);
        let vantages = checks.iter().filter_map(|check| check.vantage.as_deref());
        assert!(vantages.into_iter().all(|vantage| vantage == "direct"));
        let checks = look(&plain, World::healthy()).await;
        let refused = [Status::Unknown; 2];
        assert_eq!(
            status(&checks, "monitoring.prometheus"),
            refused,
            "{checks:?}"
        );
        let hint = checks.iter().find_map(|check| check.hint.clone());
        assert!(hint.is_some_and(|hint| hint.contains("monitoring.prometheus.token")));
    });
}
