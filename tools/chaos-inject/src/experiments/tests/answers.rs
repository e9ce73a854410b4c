//! Replacements of deleted pods that are asked themselves: over TLS, with the status that is
//! configured, and where they can't be asked at all.

use chaos_common::exit::Exit;
use serde_json::json;
use tokio::time::{Duration, sleep};

use super::{experiment, of};
use crate::testing::application::{application, service, with};
use crate::testing::controllers;
use crate::testing::test_bed::{Ended, TestBed};

const ANSWERS: &str = "pod-failure.answers";

/// Three pods behind a Service, and how that is configured.
fn bed(settings: &str) -> TestBed {
    let mut bed = TestBed::with(application("StatefulSet", "other", 6));
    bed.server.add_all(application("Deployment", "shop", 3));
    bed.server.add(service("front", "shop"));
    bed.server.answer("front", 200, "ok");
    let limit = "[experiment.pod_failure]\nrecovery_limit = \"30s\"\n";
    let front = "[[service]]\nname = \"front\"\nport = 443\nhealth = \"/health\"\n\
                 vantage = \"api-proxy\"\n";
    bed.config = format!("{front}{settings}\n{limit}");
    bed
}

async fn run(bed: &TestBed) -> Ended {
    let experiment = experiment("pod-failure", &of("shop"), &bed.context());
    let _controllers = controllers::start(&bed.server);
    bed.run_experiment(experiment.expect("it is named")).await
}

#[track_caller]
fn is_unlocked(bed: &TestBed) {
    assert_eq!(bed.server.names("lease"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_behind_an_https_service_is_asked_over_tls() {
    let bed = bed("https = true");
    bed.server.answer_of_pod("pod/https:*", 200, "ok");
    // As a server that speaks TLS answers to whoever does not.
    bed.server.answer_of_pod("pod/*", 400, "TLS, please");
    let ended = run(&bed).await;
    assert_eq!(ended.verdict, "pass", "{:#}", ended.record);
    let phases = &ended.record["recoveries"][0]["phases"];
    assert!(phases["first_answer_ms"].is_number(), "{phases}");
    is_unlocked(&bed);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_answers_well_with_the_status_that_is_configured() {
    for status in [302, 401] {
        let bed = bed(&format!("expect = {{ status = {status} }}"));
        bed.server.answer("front", status, "");
        bed.server.answer_of_pod("pod/*", status, "");
        let ended = run(&bed).await;
        assert_eq!(ended.verdict, "pass", "{:#}", ended.record);
        let phases = &ended.record["recoveries"][0]["phases"];
        assert!(phases["first_answer_ms"].is_number(), "{phases}");
        is_unlocked(&bed);
    }
}

#[tokio::test(start_paused = true)]
async fn pods_that_can_not_be_asked_before_the_fault_are_not_missed_after_it() {
    // They want a certificate, or the API server has no way to them: no pod answers at all.
    let bed = bed("https = true");
    let ended = run(&bed).await;
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    assert_eq!(ended.check(ANSWERS), Some("skipped"), "{:#}", ended.record);
    let message = ended.message(ANSWERS).unwrap_or_default();
    assert!(message.contains("before the fault"), "{message}");
    assert_eq!(ended.check("pod-failure.recreated"), Some("pass"));
    is_unlocked(&bed);
}

#[tokio::test(start_paused = true)]
async fn pods_that_can_not_be_asked_any_more_are_unknown_and_keep_no_lock() {
    let bed = bed("");
    bed.server.answer_of_pod("pod/*", 200, "ok");
    let server = bed.server.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(1)).await;
        server.answer_of_pod("pod/*", 502, "no way to this node");
    });
    let ended = run(&bed).await;
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    assert_eq!(ended.check(ANSWERS), Some("unknown"), "{:#}", ended.record);
    assert_eq!(ended.exit, Exit::Unknown);
    is_unlocked(&bed);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_is_silent_while_its_sibling_answers_is_not_restored() {
    let bed = bed("");
    for pod in ["shop-0", "shop-1", "shop-2"] {
        bed.server.answer_of_pod(&format!("pod/{pod}"), 200, "ok");
    }
    bed.server.answer_of_pod("pod/*", 500, "no");
    let ended = run(&bed).await;
    assert_eq!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
    assert!(
        ended.reason().contains("does not answer"),
        "{}",
        ended.reason()
    );
}

#[tokio::test(start_paused = true)]
async fn a_service_of_the_leader_alone_does_not_wait_for_the_replacement() {
    let bed = bed("");
    bed.server.answer_of_pod("pod/*", 200, "ok");
    let leads = json!({ "metadata": { "labels": { "role": "leader" } } });
    bed.server.edit("pod/shop-0", &leads);
    let selects = json!({ "spec": { "selector": { "role": "leader" } } });
    bed.server.add(with(service("leader", "shop"), &selects));
    let server = bed.server.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(8)).await;
        server.edit("pod/shop-1", &leads);
    });
    let ended = run(&bed).await;
    let recovery = &ended.record["recoveries"][0];
    assert_eq!(recovery["deleted"]["name"], "shop-0", "{recovery:#}");
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    assert_eq!(ended.verdict, "pass", "{:#}", ended.record);
    is_unlocked(&bed);
}

#[tokio::test(start_paused = true)]
async fn pods_that_nobody_can_see_any_more_are_unknown_and_keep_no_lock() {
    let bed = bed("");
    bed.server.answer_of_pod("pod/*", 200, "ok");
    let server = bed.server.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(2100)).await;
        for list in ["GET namespaces/prod/pods", "GET endpointslices"] {
            server.always(list, crate::testing::Behaviour::Status(503));
        }
        server.break_watches(true);
    });
    let ended = run(&bed).await;
    assert_eq!(ended.exit, Exit::Unknown, "{:#}", ended.record);
    assert_eq!(ended.check("pod-failure.restored"), Some("unknown"));
    is_unlocked(&bed);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_nobody_configured_is_measured_as_its_pods_are_probed() {
    for probed in [true, false] {
        let mut bed = bed("");
        bed.config = String::new();
        let container = json!({ "name": "main", "readinessProbe": { "httpGet": {
            "path": "/ready", "port": 8000,
        } } });
        let patch = json!({ "spec": { "containers": [container] } });
        for pod in ["pod/shop-0", "pod/shop-1", "pod/shop-2"] {
            if probed {
                bed.server.edit(pod, &patch);
            }
        }
        let ports = json!({ "spec": { "ports": [{ "port": 80, "targetPort": 8000 }] } });
        bed.server.edit("service/front", &ports);
        let ended = run(&bed).await;
        let expected = if probed { "pass" } else { "skipped" };
        let check = ended.check("pod-failure.available");
        assert_eq!(check, Some(expected), "{:#}", ended.record);
        assert_eq!(ended.summary.contains("was not measured"), !probed);
        if probed {
            assert_eq!(ended.record["availability"][0]["service"], "front");
            assert_eq!(ended.record["availability"][0]["path"], "/ready");
        }
    }
}
