//! What an experiment is known to have left, and how it goes.

use super::*;
use crate::pipeline_input::tests::health;
use serde_json::{Value, json};

fn at(time: &str) -> Time {
    Time(format!("2026-11-22T{time}Z").parse().expect("a time"))
}

fn experiment(alerts: &Value) -> Record<Experiment> {
    serde_json::from_value(json!({
        "schema": "chaos.experiment/1", "id": "1", "run": "r", "time": at("10:03:00"),
        "tool": "t", "verdict": "pass", "summary": "", "data": {
            "experiment": "x", "outcome": "completed", "namespace": "shop", "executor": "e",
            "targets": [], "started": at("10:01:00"), "restored": at("10:02:00"),
            "ended": at("10:03:00"), "duration_ms": 1, "checks": [], "recoveries": [],
            "availability": [], "alerts": alerts, "actions": [], "issues": [],
        },
    }))
    .expect("an experiment")
}

fn known<'a>(health: Option<&'a Health>, experiments: &'a [Record<Experiment>]) -> Known<'a> {
    Known {
        health,
        experiments,
        scope: AlertScope::default().and(["shop"]),
        before: at("10:01:00"),
    }
}

fn alert(name: &str, namespace: &str, since: &str) -> Alert {
    serde_json::from_value(json!({
        "labels": { "alertname": name, "namespace": namespace, "severity": "warning" },
        "state": "firing", "activeAt": at(since),
    }))
    .expect("an alert")
}

#[test]
fn alerts_that_the_experiment_caused_are_those_that_fire_since() {
    let seen = json!([
        { "name": "Old", "expected": false, "before": true },
        { "name": "Far", "expected": true, "before": false, "fired_ms": 9.0 },
    ]);
    let experiments = [experiment(&seen)];
    let known = known(None, &experiments);
    let of = |alert: Alert| known.alerts(&[alert]);
    assert_eq!(of(alert("Down", "shop", "10:01:30")), ["Down fires"]);
    assert_eq!(of(alert("Down", "", "10:01:30")), ["Down fires"]);
    let nothing: [String; 0] = [];
    assert_eq!(
        of(alert("Down", "shop", "09:00:00")),
        nothing,
        "it did before"
    );
    assert_eq!(
        of(alert("Old", "shop", "10:01:30")),
        nothing,
        "it did before"
    );
    assert_eq!(
        of(alert("Down", "other", "10:01:30")),
        nothing,
        "it is not ours"
    );
    assert_eq!(
        of(alert("Far", "other", "10:01:30")),
        ["Far fires"],
        "it was raised"
    );
    assert_eq!(
        of(alert("Watchdog", "shop", "10:01:30")),
        nothing,
        "it fires by design"
    );
    let mut pending = alert("Down", "shop", "10:01:30");
    pending.state = chaos_common::prometheus::AlertState::Pending;
    assert_eq!(of(pending), nothing);
}

#[test]
fn an_alert_that_was_expected_by_its_labels_is_known_by_them() {
    let seen = json!([
        { "name": "Far{severity=\"warning\"}", "expected": true, "before": false, "fired_ms": 9.0 },
        { "name": "Near{severity=\"critical\"}", "expected": true, "before": true },
    ]);
    let experiments = [experiment(&seen)];
    let known = known(None, &experiments);
    let of = |alert: Alert| known.alerts(&[alert]);
    assert_eq!(of(alert("Far", "other", "10:01:30")), ["Far fires"]);
    let near = alert("Near", "shop", "10:01:30");
    assert_eq!(of(near), ["Near fires"], "it was another that fired before");
}

#[test]
fn targets_that_were_down_before_are_not_the_experiments() {
    let target: Series = serde_json::from_value(json!({
        "metric": { "job": "api", "instance": "10.0.0.1:80", "namespace": "shop" },
        "value": [0.0, "0"],
    }))
    .expect("a series");
    let now = std::slice::from_ref(&target);
    assert_eq!(
        known(None, &[]).targets(now),
        ["target/api/10.0.0.1:80 is down"]
    );
    let before = Health {
        checks: vec![Check::fail(
            "monitoring.targets",
            "target/api/10.0.0.1:80",
            "is down",
        )],
        ..health()
    };
    assert!(known(Some(&before), &[]).targets(now).is_empty());
}

#[test]
fn roll_outs_that_could_not_be_seen_are_not_over() {
    let ready = Check::pass("workload.ready", "deployment/a", "has 2 of 2 ready pods");
    let lacking = Check::fail("workload.ready", "deployment/b", "has 1 of 2 ready pods");
    let all = [ready.clone(), lacking.clone()];
    let open = |names: &[&str]| Sight::Open(names.iter().map(|one| (*one).into()).collect());
    assert_eq!(
        rollouts(&all, None),
        open(&["deployment/b has 1 of 2 ready pods"])
    );
    let before = Health {
        checks: vec![lacking],
        ..health()
    };
    assert_eq!(rollouts(&all, Some(&before)), open(&[]));
    let unread = Check::unknown("workload.ready", "daemonset of namespace/shop", "403");
    assert_eq!(
        rollouts(&[ready, unread], None),
        Sight::Unseen("403".to_owned())
    );
    let gone = Check::unknown("cluster.reachable", "https://x", "no route");
    assert_eq!(
        rollouts(&[gone], None),
        Sight::Unseen("no route".to_owned())
    );
}

fn looked(open: [&[&str]; 3]) -> Sights {
    Sights(open.map(|open| Sight::Open(open.iter().map(|one| (*one).to_owned()).collect())))
}

#[test]
fn what_is_over_says_when_and_what_is_not_fails() {
    let mut after = Aftermath::of(&[experiment(&json!([]))], at("10:03:00"));
    after.note(
        looked([&["Down fires"], &["target/a is down"], &[]]),
        at("10:02:05"),
    );
    assert!(!after.is_over());
    after.note(looked([&[], &["target/a is down"], &[]]), at("10:02:12"));
    after.note(looked([&[], &["target/a is down"], &[]]), at("10:02:30"));
    let checks = after.checks(at("10:02:30"));
    let said: Vec<_> = checks.iter().map(|check| check.status).collect();
    assert_eq!(
        said,
        [Status::Pass, Status::Fail, Status::Pass],
        "{checks:?}"
    );
    assert!(
        checks[0].message.starts_with("over 12.0 s after"),
        "{checks:?}"
    );
    assert!(
        checks[1]
            .message
            .contains("target/a is down, 30.0 s after the end of the fault"),
        "{checks:?}"
    );
    after.note(looked([&[], &[], &[]]), at("10:02:40"));
    assert!(after.is_over());
}

#[test]
fn an_alert_that_was_resolved_before_the_first_look_is_told_too() {
    let raised = json!([{ "name": "Down", "expected": true, "before": false, "fired_ms": 9.0 }]);
    let mut after = Aftermath::of(&[experiment(&raised)], at("10:03:00"));
    after.note(looked([&[], &[], &[]]), at("10:02:04"));
    let told = &after.checks(at("10:02:04"))[0];
    assert_eq!(told.status, Status::Pass);
    assert!(
        told.message.contains("Down was resolved 4.0 s after"),
        "{}",
        told.message
    );
    after.note(
        Sights([
            Sight::Unseen("Prometheus does not answer".to_owned()),
            Sight::NotAsked("x"),
            Sight::Open(Vec::new()),
        ]),
        at("10:02:05"),
    );
    let said: Vec<_> = after
        .checks(at("10:02:05"))
        .iter()
        .map(|one| one.status)
        .collect();
    assert_eq!(said, [Status::Unknown, Status::Skipped, Status::Pass]);
}
