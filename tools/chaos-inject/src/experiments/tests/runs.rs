//! Whole runs of experiments against an API server in memory whose controllers do their work.

use chaos_common::exit::Exit;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use super::{experiment, of};
use crate::plan::target::Selection;
use crate::testing::Behaviour;
use crate::testing::application::{application, bound_claim, mounting, owned_pod, with};
use crate::testing::controllers::{self, pods_of};
use crate::testing::test_bed::{Ended, TestBed};

const PROMETHEUS: &str = r#"
[monitoring]
namespace = "prod"
prometheus = { deployment = "prom", service = "prom", port = 9090, vantage = "api-proxy" }
"#;

fn bed(name: &str, replicas: u32) -> TestBed {
    let bed = TestBed::with(application("StatefulSet", "other", 6));
    bed.server
        .add_all(application("Deployment", name, replicas));
    bed
}

async fn run(bed: &TestBed, name: &str, selection: &Selection) -> Ended {
    let experiment = experiment(name, selection, &bed.context()).expect("it is named");
    let _controllers = controllers::start(&bed.server);
    bed.run_experiment(experiment).await
}

#[track_caller]
fn is_whole(bed: &TestBed, name: &str, replicas: usize) {
    let deployment = bed.server.get(&format!("deployment/{name}"));
    let wanted = deployment.expect("it exists")["spec"]["replicas"].clone();
    assert_eq!(wanted, json!(replicas));
    assert_eq!(pods_of(&bed.server, name).len(), replicas);
    assert_eq!(bed.server.names("lease"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_is_scaled_down_stays_there_and_gets_its_pods_back() {
    let bed = bed("shop", 3);
    let ended = run(&bed, "scale-down", &of("shop")).await;
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    assert_eq!(ended.verdict, "pass", "{:#}", ended.record);
    assert_eq!(ended.check("scale-down.effect"), Some("pass"));
    assert_eq!(ended.check("scale-down.held"), Some("pass"));
    is_whole(&bed, "shop", 3);
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_somebody_scales_up_again_did_not_hold_and_does_not_pass() {
    let bed = bed("shop", 3);
    let server = bed.server.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(30)).await;
        server.edit("deployment/shop", &json!({ "spec": { "replicas": 4 } }));
    });
    let ended = run(&bed, "scale-down", &of("shop")).await;
    assert_eq!(
        ended.check("scale-down.held"),
        Some("unknown"),
        "{:#}",
        ended.record
    );
    assert_ne!(ended.verdict, "pass");
    is_whole(&bed, "shop", 4);
}

#[tokio::test(start_paused = true)]
async fn a_workload_whose_pods_do_not_go_shows_no_effect_and_is_undone() {
    let bed = bed("shop", 3);
    let experiment = experiment("scale-down", &of("shop"), &bed.context());
    // Nobody deletes a pod: the controllers are not there.
    let ended = bed.run_experiment(experiment.expect("it is named")).await;
    assert_eq!(
        ended.check("scale-down.effect"),
        Some("unknown"),
        "{:#}",
        ended.record
    );
    assert_eq!(ended.verdict, "unknown");
    is_whole(&bed, "shop", 3);
}

/// Prometheus says that it is ready, as people read it, and has collected up to now.
fn answers(bed: &TestBed) {
    let now = chaos_common::record::Time::now().0.as_second();
    let samples: Vec<Value> = (-30..600)
        .map(|second| json!([now + second, "1"]))
        .collect();
    let up = json!({ "data": { "result": [{ "values": samples }] } });
    let rules = json!({ "data": { "groups": [{ "rules": [{ "name": "Down" }] }] } });
    let server = &bed.server;
    server.answer_path("prom", "/-/ready", 200, "Prometheus Server is Ready.\n");
    server.answer_path("prom", "/api/v1/rules", 200, &rules.to_string());
    server.answer_path("prom", "/api/v1/query", 200, &up.to_string());
}

fn monitored() -> TestBed {
    let mut bed = bed("prom", 1);
    bed.config = PROMETHEUS.to_owned();
    bed.accepted = vec!["deployment/prom".to_owned()];
    answers(&bed);
    bed
}

#[tokio::test(start_paused = true)]
async fn a_prometheus_that_answers_though_its_pods_are_gone_is_not_the_one_that_went() {
    let bed = monitored();
    let ended = run(&bed, "monitoring-failure", &Selection::default()).await;
    let effect = "monitoring-failure.effect";
    assert_eq!(ended.check(effect), Some("unknown"), "{:#}", ended.record);
    let message = ended.message(effect).unwrap_or_default();
    assert!(
        message.contains("answers although its pods are gone"),
        "{message}"
    );
    is_whole(&bed, "prom", 1);
}

#[tokio::test(start_paused = true)]
async fn a_prometheus_that_is_silent_and_collects_again_passes() {
    let bed = monitored();
    // It is asked for this only while it has no pods.
    bed.server
        .answer_path("prom", "/-/ready", 503, "no endpoints");
    let ended = run(&bed, "monitoring-failure", &Selection::default()).await;
    for id in ["effect", "collecting", "rules"] {
        let id = format!("monitoring-failure.{id}");
        assert_eq!(ended.check(&id), Some("pass"), "{id}: {:#}", ended.record);
    }
    is_whole(&bed, "prom", 1);
}

#[tokio::test(start_paused = true)]
async fn the_proof_says_so_where_prometheus_may_not_be_asked() {
    let bed = monitored();
    bed.server
        .always("GET proxy/-/ready", Behaviour::Status(403));
    let ended = run(&bed, "monitoring-failure", &Selection::default()).await;
    let message = ended.message("monitoring-failure.effect");
    let message = message.unwrap_or_default();
    assert!(message.contains("could not be asked"), "{message}");
    assert!(!message.contains("does not answer"), "{message}");
    is_whole(&bed, "prom", 1);
}

#[tokio::test(start_paused = true)]
async fn where_no_prometheus_is_configured_none_is_said_to_be_silent() {
    let mut bed = bed("graf", 1);
    bed.config = PROMETHEUS
        .replace("prometheus", "grafana")
        .replace("prom", "graf");
    bed.accepted = vec!["deployment/graf".to_owned()];
    let ended = run(&bed, "monitoring-failure", &Selection::default()).await;
    let effect = "monitoring-failure.effect";
    assert_eq!(ended.check(effect), Some("pass"), "{:#}", ended.record);
    let message = ended.message(effect).unwrap_or_default();
    assert!(!message.contains("Prometheus"), "{message}");
    assert_ne!(
        ended.verdict, "pass",
        "nothing shows that it collects again"
    );
    is_whole(&bed, "graf", 1);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_deleted_is_paired_with_the_one_that_replaces_it() {
    let bed = bed("shop", 3);
    let ended = run(&bed, "pod-failure", &of("shop")).await;
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    assert_eq!(ended.check("pod-failure.effect"), Some("pass"));
    let recovery = &ended.record["recoveries"][0];
    assert_eq!(recovery["deleted"]["name"], "shop-0", "{recovery:#}");
    assert_eq!(ended.verdict, "pass", "{:#}", ended.record);
    is_whole(&bed, "shop", 3);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_nobody_replaces_is_not_restored_and_its_target_stays_locked() {
    let bed = bed("shop", 3);
    let experiment = experiment("pod-failure", &of("shop"), &bed.context());
    let ended = bed.run_experiment(experiment.expect("it is named")).await;
    assert_eq!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
    assert_eq!(ended.verdict, "fail");
    assert_eq!(bed.server.names("lease"), ["chaos-deployment-shop"]);
}

/// The API server refuses every connection, and ends those that there are, for some seconds from
/// this millisecond on.
fn goes_away(bed: &TestBed, after_ms: u64, seconds: u64) {
    let server = bed.server.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(after_ms)).await;
        server.always("* /", Behaviour::NoConnection);
        server.break_watches(false);
        sleep(Duration::from_secs(seconds)).await;
        server.mend();
    });
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_for_a_second_while_the_fault_is_on_changes_nothing() {
    for name in ["scale-down", "pod-failure"] {
        let bed = bed("shop", 3);
        goes_away(&bed, 3000, 1);
        let ended = run(&bed, name, &of("shop")).await;
        let outcome = ended.record["outcome"].as_str();
        assert_eq!(outcome, Some("completed"), "{name}: {:#}", ended.record);
        let effect = ended.check(&format!("{name}.effect"));
        assert_eq!(effect, Some("pass"), "{name}: {:#}", ended.record);
        is_whole(&bed, "shop", 3);
    }
}

#[tokio::test(start_paused = true)]
async fn whenever_the_api_server_is_away_nothing_is_said_to_be_broken_and_nothing_stays_locked() {
    // Every second was tried; these are enough to see it break.
    for (name, last, step) in [("pod-failure", 7, 2), ("scale-down", 67, 13)] {
        for moment in (0..last).step_by(step) {
            let bed = bed("shop", 3);
            goes_away(&bed, moment * 1000 + moment * 137 % 1000, 1);
            let ended = run(&bed, name, &of("shop")).await;
            let (exit, outcome) = (ended.exit, ended.record["outcome"].as_str());
            assert_ne!(
                exit,
                Exit::NotRestored,
                "{name} {moment}: {:#}",
                ended.record
            );
            assert_ne!(outcome, Some("not_restored"), "{name} {moment}");
            // What was seen to have come true is a pass, and nothing else.
            let proven = ended.check(&format!("{name}.effect")) == Some("pass");
            assert!(proven || ended.verdict != "pass", "{name} {moment}");
            is_whole(&bed, "shop", 3);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_whose_end_nobody_saw_did_not_hold_and_is_no_pass() {
    let bed = bed("shop", 3);
    // The minute is over while nobody can look.
    goes_away(&bed, 55_000, 20);
    let ended = run(&bed, "scale-down", &of("shop")).await;
    let held = ended.check("scale-down.held");
    assert_eq!(held, Some("unknown"), "{:#}", ended.record);
    assert_eq!(ended.check("scale-down.undo"), Some("warn"));
    assert_eq!(ended.exit, Exit::Unknown);
    is_whole(&bed, "shop", 3);
}

#[tokio::test(start_paused = true)]
async fn a_database_loses_its_storage_and_has_it_again() {
    let bed = bed("db", 1);
    let volume = json!({ "name": "v", "persistentVolumeClaim": { "claimName": "data" } });
    let mounts = json!({ "spec": { "template": { "spec": { "volumes": [volume] } } } });
    bed.server.edit("deployment/db", &mounts);
    bed.server.add(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data", "namespace": "prod" },
        "spec": { "volumeName": "pv-1" }, "status": { "phase": "Bound" },
    }));
    let ended = run(&bed, "storage-failure", &of("db")).await;
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    assert_eq!(ended.check("storage-failure.effect"), Some("pass"));
    is_whole(&bed, "db", 1);
}

#[tokio::test(start_paused = true)]
async fn a_scaled_workload_beside_a_canary_with_its_labels_passes() {
    let bed = bed("shop", 3);
    bed.server
        .add(crate::testing::objects::replica_set("canary-5d8f"));
    let canary = owned_pod("canary-0", "shop", ("ReplicaSet", "canary-5d8f"));
    bed.server.add(canary);
    let experiment = experiment("scale-down", &of("shop"), &bed.context()).expect("named");
    let _controllers = controllers::start(&bed.server);
    let ended = bed.run_experiment(experiment).await;
    assert_eq!(ended.verdict, "pass", "{:#}", ended.record);
}

/// Somebody does this to the database while it has no pods.
async fn with_a_database(
    act: impl Fn(&crate::testing::ApiServer) + Send + 'static,
) -> (TestBed, Ended) {
    let bed = bed("db", 1);
    let claim = json!({ "persistentVolumeClaim": { "claimName": "data" } });
    let template = json!({ "spec": { "template": { "spec": mounting(&claim) } } });
    bed.server.edit("deployment/db", &template);
    bed.server.add(bound_claim("data", "pv-1"));
    let server = bed.server.clone();
    tokio::spawn(async move {
        let replicas = || {
            server
                .get("deployment/db")
                .map(|db| db["spec"]["replicas"].clone())
        };
        while replicas() != Some(json!(0)) {
            sleep(Duration::from_millis(50)).await;
        }
        sleep(Duration::from_secs(2)).await;
        act(&server);
    });
    let ended = run(&bed, "storage-failure", &of("db")).await;
    (bed, ended)
}

/// Deletes the database and makes it anew from what it is now, changed by a patch.
fn replace(server: &crate::testing::ApiServer, patch: &Value) {
    let mut export = server.get("deployment/db").expect("it is there");
    server.remove("deployment/db");
    export["metadata"]["managedFields"] = Value::Null;
    export["metadata"]["resourceVersion"] = Value::Null;
    export["metadata"]["uid"] = "anew".into();
    server.add(with(export, patch));
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_made_anew_from_a_live_export_is_put_right() {
    let (bed, ended) = with_a_database(|server| replace(server, &json!({}))).await;
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    is_whole(&bed, "db", 1);
}

#[tokio::test(start_paused = true)]
async fn a_database_that_is_made_anew_without_pods_is_not_restored() {
    let off = json!({ "metadata": { "labels": null } });
    let (_, ended) = with_a_database(move |server| replace(server, &off)).await;
    assert_eq!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
    assert!(
        ended.reason().contains("was made anew by somebody"),
        "{}",
        ended.reason()
    );
}

#[tokio::test(start_paused = true)]
async fn a_database_whose_label_somebody_takes_off_gets_its_pods_back() {
    let off = json!({ "metadata": { "labels": { crate::labels::RUN_LABEL: null } } });
    let (bed, ended) = with_a_database(move |server| server.edit("deployment/db", &off)).await;
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    is_whole(&bed, "db", 1);
}

#[tokio::test(start_paused = true)]
async fn less_than_before_that_somebody_else_set_is_never_a_pass() {
    let bed = bed("shop", 3);
    let server = bed.server.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(30)).await;
        server.edit("deployment/shop", &json!({ "spec": { "replicas": 1 } }));
    });
    let ended = run(&bed, "scale-down", &of("shop")).await;
    assert_eq!(
        ended.check("scale-down.as-before"),
        Some("fail"),
        "{:#}",
        ended.record
    );
    assert_eq!(ended.verdict, "fail", "{:#}", ended.record);
    let told = ended.message("scale-down.as-before").unwrap_or_default();
    assert!(told.contains("somebody"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_is_deleted_meanwhile_is_named_as_the_cause() {
    let (_, ended) = with_a_database(crate::testing::ApiServer::delete_namespace).await;
    assert_eq!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
    let reason = ended.reason();
    assert!(
        reason.contains("namespace prod is being deleted"),
        "{reason}"
    );
}
