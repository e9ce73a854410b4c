//! What callers see through a whole run: each path for itself, and not only the health of a Service.

use chaos_common::exit::Exit;
use serde_json::{Value, json};
use tokio::time::Duration;

use super::{bed, during_the_fault, in_local_set, is_restored, stub};
use crate::testing::test_bed::{Ended, TestBed};

/// A front end that answers well to whoever asks for its health and its items.
fn front(settings: &str) -> TestBed {
    let mut bed = bed();
    bed.config = format!(
        "[[service]]\nname = \"front\"\nport = 80\nhealth = \"/health\"\ndata = [\"/api/items\"]\n\
         vantage = \"api-proxy\"\n[experiment]\n{settings}\n"
    );
    bed.server.answer("front", 200, "[]");
    bed
}

/// While the fault is on, it goes on to say that it is well, and has no items.
fn loses_its_items(bed: &TestBed) {
    during_the_fault(bed, async |server| {
        server.answer_path("front", "/api/items", 502, "");
    });
}

/// Status of the availability of an object.
fn available<'e>(ended: &'e Ended, object: &str) -> Option<&'e str> {
    let checks = ended.record["checks"].as_array()?;
    let ours = |check: &&Value| check["id"] == "stub.available" && check["object"] == *object;
    checks.iter().find(ours)?["status"].as_str()
}

#[tokio::test(start_paused = true)]
async fn a_front_end_that_is_well_and_has_no_items_was_not_available() {
    let bed = front("guard_percent = 0");
    in_local_set(async {
        loses_its_items(&bed);
        let ended = bed.run(stub()).await;
        assert_eq!(ended.exit, Exit::Fail, "{:#}", ended.record);
        assert_eq!(available(&ended, "service/front"), Some("pass"));
        assert_eq!(available(&ended, "service/front /api/items"), Some("fail"));
        let paths = ended.record["availability"].as_array().expect("a list");
        let paths: Vec<&Value> = paths.iter().map(|one| &one["path"]).collect();
        assert_eq!(paths, ["/health", "/api/items"]);
    })
    .await;
    is_restored(&bed);
}

#[tokio::test(start_paused = true)]
async fn the_guard_looks_at_each_path() {
    let bed = front("");
    in_local_set(async {
        loses_its_items(&bed);
        let mut stub = stub();
        stub.hold = Duration::from_secs(3600);
        let ended = bed.run(stub).await;
        assert_eq!(ended.exit, Exit::Aborted, "{:#}", ended.record);
        let guard = "steady state guard: service/front /api/items answered";
        assert!(ended.reason().starts_with(guard), "{}", ended.reason());
    })
    .await;
    is_restored(&bed);
}

#[tokio::test(start_paused = true)]
async fn a_path_that_never_answered_well_aborts_nothing_and_was_not_available() {
    let bed = front("");
    bed.server.answer_path("front", "/api/items", 404, "");
    let ended = bed.run(stub()).await;
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    assert_eq!(available(&ended, "service/front /api/items"), Some("fail"));
}

#[tokio::test(start_paused = true)]
async fn that_nobody_measured_it_is_in_the_summary() {
    let words = "availability was not measured";
    let ended = bed().run(stub()).await;
    assert!(ended.summary.ends_with(words), "{}", ended.summary);
    let ended = front("").run(stub()).await;
    assert!(!ended.summary.contains(words), "{}", ended.summary);
    assert_eq!(ended.record["availability"][0]["percent"], json!(100.0));
}

/// `chaos.toml` with a probe that is a program, asked often, and little else to wait for.
fn with_probe(program: &str, during: &str) -> String {
    format!(
        "[experiment]\nwarm_up = \"200ms\"\nsettle = \"10ms\"\n\
         [[probe]]\nname = \"orders\"\ncommand = [{program:?}]\nduring = {during:?}\n\
         interval = \"50ms\"\n"
    )
}

/// Programs take their own time, so this clock is not paused.
async fn with_a_probe(program: &str, during: &str) -> Ended {
    let mut bed = bed();
    bed.config = with_probe(program, during);
    let mut stub = stub();
    stub.hold = Duration::from_millis(500);
    let ended = bed.run(stub).await;
    is_restored(&bed);
    ended
}

#[tokio::test]
async fn a_probe_that_must_hold_is_asked_and_judged() {
    let ended = with_a_probe("true", "must-hold").await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    assert_eq!(ended.check("stub.probe"), Some("pass"));
}

#[tokio::test]
async fn a_probe_that_does_not_hold_aborts_the_experiment() {
    let ended = with_a_probe("false", "must-hold").await;
    assert_eq!(ended.exit, Exit::Aborted, "{:#}", ended.record);
    let guard = "steady state guard: the probe \"orders\" does not hold";
    assert!(ended.reason().starts_with(guard), "{}", ended.reason());
}

#[tokio::test]
async fn a_probe_that_must_fail_and_holds_fails_the_experiment() {
    let ended = with_a_probe("true", "must-fail").await;
    assert_eq!(ended.exit, Exit::Fail, "{:#}", ended.record);
    assert_eq!(ended.check("stub.probe"), Some("fail"));
    let ended = with_a_probe("false", "must-fail").await;
    assert_eq!(
        ended.check("stub.probe"),
        Some("pass"),
        "{:#}",
        ended.record
    );
}
