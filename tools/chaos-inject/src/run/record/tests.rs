use serde_json::Value;

use super::*;
use crate::testing::experiment::Stub;
use crate::testing::objects::{deployment, plan, scale_to_zero};
use crate::testing::test_bed::{Ended, TestBed};

/// A record with these checks that ends so.
fn ended(checks: Vec<Check>, outcome: Outcome) -> Ended {
    let bed = TestBed::with([]);
    let mut context = bed.context();
    let mut record = RunRecord::begin("stub");
    record.checks = checks;
    record.restored = Some(Time::now());
    record.plan = Some(plan(&[], &["shop"]));
    let reason = (outcome != Outcome::Completed).then(|| "somebody asked".to_owned());
    let exit = record.end(&mut context, outcome, reason, Exit::Pass);
    bed.ended(exit)
}

fn good() -> Vec<Check> {
    vec![Check::pass("stub.effect", "", "seen")]
}

#[tokio::test(start_paused = true)]
async fn only_a_completed_run_whose_checks_are_good_passes() {
    let completed = ended(good(), Outcome::Completed);
    assert_eq!(
        (completed.exit, completed.verdict.as_str()),
        (Exit::Pass, "pass")
    );
    for outcome in [Outcome::Refused, Outcome::Aborted, Outcome::NotRestored] {
        let ended = ended(good(), outcome);
        assert_ne!(ended.verdict, "pass", "{outcome:?}");
        assert_ne!(ended.exit, Exit::Pass, "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_checks_nothing_proves_nothing() {
    let ended = ended(Vec::new(), Outcome::Completed);
    assert_ne!(ended.verdict, "pass");
}

#[tokio::test(start_paused = true)]
async fn one_bad_check_decides_of_a_completed_run() {
    let fail = Check::fail("stub.available", "", "half of the questions");
    let unknown = Check::unknown("stub.rules", "", "not compared");
    let with = |check: &Check| [good(), vec![check.clone()]].concat();
    assert_eq!(ended(with(&fail), Outcome::Completed).verdict, "fail");
    assert_eq!(ended(with(&unknown), Outcome::Completed).verdict, "unknown");
    let both = [with(&unknown), vec![fail]].concat();
    assert_eq!(ended(both, Outcome::Completed).verdict, "fail");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_restored_has_no_time_of_restoration_and_fails() {
    let ended = ended(good(), Outcome::NotRestored);
    assert_eq!(
        (ended.exit, ended.verdict.as_str()),
        (Exit::NotRestored, "fail")
    );
    assert_eq!(ended.record["restored"], Value::Null);
    assert_eq!(ended.reason(), "somebody asked");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_first_check_that_closed_it() {
    let bed = TestBed::with([]);
    let mut context = bed.context();
    let mut record = RunRecord::begin("stub");
    record.checks = vec![
        Check::pass("limit.share", "", "small"),
        Check::fail("limit.survivors", "", "none is left"),
        Check::fail("limit.lock", "", "held"),
    ];
    let exit = record.refuse(&mut context);
    assert_eq!(exit, Exit::Refused);
    assert_eq!(
        bed.ended(exit).reason(),
        "limit.survivors fail: none is left"
    );
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_can_not_be_read_is_no_refusal_by_a_limit() {
    let mut bed = TestBed::with([deployment("shop", 3)]);
    (bed.overridden, bed.upstream) = (None, "no record\n".to_owned());
    let ended = bed.run(Stub::of(vec![scale_to_zero("shop", 3)])).await;
    assert_eq!(ended.exit, Exit::Unknown, "{:#}", ended.record);
    assert_eq!(ended.record["outcome"], "refused");
    assert!(
        ended.reason().starts_with("gate.stream"),
        "{}",
        ended.reason()
    );
    assert_eq!(bed.server.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_steps_and_issues_of_the_run_go_into_its_record_once() {
    let bed = TestBed::with([]);
    let mut context = bed.context();
    context.actions.push("scaled down".to_owned());
    context.issues.push("somebody scaled up".to_owned());
    let record = RunRecord::begin("stub");
    let exit = record.end(&mut context, Outcome::Aborted, None, Exit::Pass);
    let ended = bed.ended(exit);
    assert_eq!(ended.record["actions"][0], "scaled down");
    assert_eq!(ended.record["issues"][0], "somebody scaled up");
    assert!(context.actions.is_empty() && context.issues.is_empty());
}

#[test]
fn the_executor_is_a_user_at_a_host() {
    let executor = executor();
    let (user, host) = executor.split_once('@').expect("user@host");
    assert!(!user.is_empty() && !host.is_empty() && !host.contains('\n'));
}
