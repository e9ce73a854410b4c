use std::fs::OpenOptions;

use serde_json::{Value, json};

use super::*;
use crate::testing::test_bed::TestBed;

fn bed() -> TestBed {
    TestBed::with([])
}

/// A context whose run has a journal.
fn with_journal(bed: &TestBed) -> Context {
    let mut context = bed.context();
    let folder = context.journals.as_ref().expect("a folder");
    let journal = Journal::create(folder, "run-1").expect("a journal");
    context.journal = Some(journal);
    context
}

/// The records that it wrote to the stream.
fn records(bed: &TestBed) -> Vec<Value> {
    let text = std::fs::read_to_string(bed.path("out.ndjson")).expect("readable");
    let parse = |line: &str| serde_json::from_str(line).expect("JSON");
    text.lines().map(parse).collect()
}

#[tokio::test(start_paused = true)]
async fn two_runs_of_one_stream_are_told_apart() {
    let bed = bed();
    let (one, mut two) = (bed.context(), bed.context());
    two.stream.run.clone_from(&one.stream.run);
    assert!(one.run.starts_with(&one.stream.run), "{}", one.run);
    assert_ne!(one.run, two.run);
}

#[tokio::test(start_paused = true)]
async fn an_event_is_in_the_journal_and_in_the_stream() {
    let bed = bed();
    let mut context = with_journal(&bed);
    let object = Some("deployment/shop".to_owned());
    context.event(EventKind::Observed, object, "two pods are ready");
    let journal = bed.journal();
    assert!(journal.contains("two pods are ready"), "{journal}");
    assert!(journal.contains("deployment/shop"), "{journal}");
    let record = &records(&bed)[0];
    assert_eq!(record["summary"], "two pods are ready");
    assert_eq!(record["data"]["object"], "deployment/shop");
}

#[tokio::test(start_paused = true)]
async fn the_time_of_an_event_counts_from_the_first_write() {
    let bed = bed();
    let mut context = bed.context();
    context.event(EventKind::Started, None, "before");
    context.injected = Some(Instant::now());
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    context.event(EventKind::Observed, None, "after");
    let times: Vec<Value> = records(&bed)
        .iter()
        .map(|record| record["data"]["since_injection_ms"].clone())
        .collect();
    assert_eq!(times, [json!(null), json!(1500.0)]);
}

#[tokio::test(start_paused = true)]
async fn steps_and_surprises_are_kept_apart_for_the_record() {
    let bed = bed();
    let mut context = bed.context();
    context.action(EventKind::Injected, None, "scaled down");
    context.issue(EventKind::Observed, None, "somebody scaled up");
    context.event(EventKind::Observed, None, "nothing of note");
    assert_eq!(context.actions, ["scaled down"]);
    assert_eq!(context.issues, ["somebody scaled up"]);
    assert_eq!(records(&bed).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_fails_on_the_way_is_an_issue_and_stops_nothing() {
    let bed = bed();
    let mut context = with_journal(&bed);
    context.event(EventKind::Observed, None, "first");
    let path = context
        .journal
        .as_ref()
        .expect("a journal")
        .path()
        .to_owned();
    // Somebody empties the file and takes it away.
    let file = OpenOptions::new().write(true).open(&path).expect("a file");
    file.set_len(0).expect("shorter");
    std::fs::remove_file(&path).expect("removed");
    context.event(EventKind::Observed, None, "second");
    context.event(EventKind::Observed, None, "third");
    assert_eq!(context.issues.len(), 1, "{:?}", context.issues);
    assert!(
        context.issues[0].contains("could not be written"),
        "{:?}",
        context.issues
    );
    let told: Vec<Value> = records(&bed)
        .iter()
        .map(|record| record["summary"].clone())
        .collect();
    assert_eq!(told, ["first", "second", "third"]);
}
