use super::*;

fn check(status: Status) -> Check {
    Check::new("x", "", status, "")
}

#[test]
fn verdict_is_the_worst_of_its_checks() {
    use Status::{Fail, Pass, Skipped, Unknown, Warn};
    let of =
        |statuses: &[Status]| Verdict::of(&statuses.iter().map(|s| check(*s)).collect::<Vec<_>>());
    assert_eq!(of(&[Pass, Warn, Skipped]), Verdict::Pass);
    assert_eq!(of(&[Pass, Unknown]), Verdict::Unknown);
    assert_eq!(of(&[Unknown, Fail, Pass]), Verdict::Fail);
}

#[test]
fn no_evidence_is_not_a_pass() {
    assert_eq!(Verdict::of(&[]), Verdict::Unknown);
    assert_eq!(Verdict::of(&[check(Status::Skipped)]), Verdict::Unknown);
}

#[test]
fn a_check_is_bad_exactly_if_it_spoils_a_verdict_that_would_pass() {
    for status in [
        Status::Pass,
        Status::Fail,
        Status::Unknown,
        Status::Warn,
        Status::Skipped,
    ] {
        let spoilt = Verdict::of(&[check(Status::Pass), check(status)]) != Verdict::Pass;
        assert_eq!(check(status).is_bad(), spoilt, "{status:?}");
    }
}

#[test]
fn a_summary_counts_what_passed_and_says_what_warns_or_was_skipped() {
    use Status::{Fail, Pass, Skipped, Unknown, Warn};
    let of =
        |statuses: &[Status]| summarize(&statuses.iter().map(|s| check(*s)).collect::<Vec<_>>());
    assert_eq!(of(&[Pass, Pass]), "2 of 2 checks pass");
    assert_eq!(of(&[Pass, Warn]), "1 of 2 checks pass, 1 warns");
    assert_eq!(of(&[Pass, Skipped]), "1 of 1 checks pass, 1 was skipped");
    assert_eq!(
        of(&[Pass, Warn, Skipped, Warn, Skipped, Skipped]),
        "1 of 3 checks pass, 2 warn, 3 were skipped"
    );
    assert_eq!(of(&[Skipped]), "0 of 0 checks pass, 1 was skipped");
    assert_eq!(
        of(&[Unknown, Warn, Fail, Pass]),
        "1 of 4 checks pass, 1 warns; x fail: "
    );
}

#[test]
fn unknown_major_of_a_known_kind_is_told_apart_from_foreign() {
    assert_eq!(Kind::parse("chaos.health/1"), Ok(Some(Kind::Health)));
    assert_eq!(Kind::parse("chaos.health/2"), Err(Kind::Health));
    assert_eq!(Kind::parse("acme.thing/1"), Ok(None));
}
