//! Issues through time: a check that fails is one, from then until it passes again.

use std::collections::BTreeMap;
use std::sync::Arc;

use chaos_common::conclusion::Conclusion;
use chaos_common::record::Status;

use super::scope::{Reviewed, Scope};
use crate::index::{Answers, Run};

/// A check of an experiment that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Issue<'i> {
    pub(crate) experiment: &'i str,
    /// The check's id and object.
    pub(crate) check: &'i str,
    /// The run that it failed in first.
    pub(crate) since: Reviewed<'i>,
    /// The run that it passed in again.
    pub(crate) closed: Option<Reviewed<'i>>,
}

/// The issues that a review tells of.
#[derive(Debug, Default)]
pub(crate) struct Issues<'i> {
    /// Those that came up in its time.
    pub(crate) opened: Vec<Issue<'i>>,
    /// Those that were closed in its time.
    pub(crate) closed: Vec<Issue<'i>>,
    /// Those that are open at its end.
    pub(crate) open: Vec<Issue<'i>>,
}

/// What is known of a check so far.
#[derive(Clone, Copy)]
struct Course<'i> {
    /// The run since which it fails.
    since: Reviewed<'i>,
    /// The last run that it failed in.
    failed: Reviewed<'i>,
    closed: Option<Reviewed<'i>>,
}

/// Follows the checks of each experiment up to the end of the review. Why one passes again, no
/// stream tells; but that what failed is left out now closes nothing, and a refused run answers for
/// its gates only.
pub(crate) fn issues<'i>(scope: &Scope<'i>) -> Issues<'i> {
    let mut courses: BTreeMap<(&'i str, &'i Arc<str>), Course<'i>> = BTreeMap::new();
    let mut found = Issues::default();
    for reviewed in &scope.history {
        let run: &'i Run = reviewed.run;
        if run.facts.conclusion == Conclusion::Refused {
            continue;
        }
        for (check, status) in run.checks.iter() {
            let key = (run.facts.name.as_str(), check);
            let open = courses.get(&key).filter(|it| it.closed.is_none()).copied();
            match (status, open) {
                (Status::Fail, None) => {
                    let course = Course {
                        since: *reviewed,
                        failed: *reviewed,
                        closed: None,
                    };
                    courses.insert(key, course);
                    if scope.holds(reviewed) {
                        found.opened.push(course.issue(key));
                    }
                }
                (Status::Fail, Some(course)) => {
                    let failed = *reviewed;
                    courses.insert(key, Course { failed, ..course });
                }
                (Status::Pass, Some(course)) if all_asked_again(check, course.failed.run, run) => {
                    let closed = Some(*reviewed);
                    courses.insert(key, Course { closed, ..course });
                }
                _ => {}
            }
        }
    }
    for (key, course) in courses {
        match course.closed {
            None => found.open.push(course.issue(key)),
            Some(closed) if scope.holds(&closed) => found.closed.push(course.issue(key)),
            Some(_) => {}
        }
    }
    found
}

impl<'i> Course<'i> {
    fn issue(self, (experiment, check): (&'i str, &'i Arc<str>)) -> Issue<'i> {
        Issue {
            experiment,
            check,
            since: self.since,
            closed: self.closed,
        }
    }
}

/// Whether a check that passes now stands for all that it failed for: one that sums up others
/// passes as well once what failed among them is left out.
fn all_asked_again(check: &str, failed: &Run, now: &Run) -> bool {
    let part: fn(&str) -> bool = match id_of(check) {
        "gate.health" => |_| true,
        "recovery.time" => |id| id.starts_with("recovery.") && id != "recovery.time",
        _ => return true,
    };
    let parts = |run: &'_ Run| -> Answers {
        if id_of(check) == "gate.health" {
            run.health.clone()
        } else {
            run.checks.clone()
        }
    };
    let (before, after) = (parts(failed), parts(now));
    let asked = |id: &str| {
        let mut same = after.iter().filter(|(name, _)| id_of(name) == id);
        same.any(|(_, status)| status != Status::Skipped)
    };
    let bad = |status: Status| matches!(status, Status::Fail | Status::Unknown);
    before
        .iter()
        .filter(|(name, status)| part(id_of(name)) && bad(*status))
        .all(|(name, _)| asked(id_of(name)))
}

/// A check's id, without its object.
fn id_of(check: &str) -> &str {
    check.split_once(' ').map_or(check, |(id, _)| id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::examples::{archive, run, scope};

    /// The issues of 2026-11: opened, closed and open, by check.
    fn of(runs: &[Run]) -> [Vec<String>; 3] {
        let index = archive(runs);
        let found = issues(&scope(&index));
        let words = |issues: &[Issue]| {
            let words = |it: &Issue| format!("{} {}", it.experiment, it.check);
            issues.iter().map(words).collect()
        };
        [
            words(&found.opened),
            words(&found.closed),
            words(&found.open),
        ]
    }

    #[test]
    fn an_issue_is_closed_when_the_check_that_failed_passes() {
        use Conclusion::Pass;
        use Status::{Fail, Unknown};
        let fail = run("2026-10-02", "a", Conclusion::Fail, &[("x", Fail)]);
        let pass = run("2026-11-02", "a", Pass, &[("x", Status::Pass)]);
        let is = |runs: &[Run], counts: [usize; 3]| {
            let found = of(runs);
            assert_eq!(found.each_ref().map(Vec::len), counts, "{found:?}");
        };
        is(&[fail.clone(), pass.clone()], [0, 1, 0]);
        is(std::slice::from_ref(&pass), [0, 0, 0]);
        let other = run("2026-11-02", "b", Pass, &[("x", Status::Pass)]);
        is(&[fail.clone(), other], [0, 0, 1]);
        let again = run("2026-11-03", "a", Conclusion::Fail, &[("x", Fail)]);
        is(&[fail.clone(), pass, again], [1, 0, 1]);
        let unknown = run("2026-11-02", "a", Conclusion::Unknown, &[("x", Unknown)]);
        is(&[fail.clone(), unknown], [0, 0, 1]);
        let early = run("2026-10-09", "a", Pass, &[("x", Status::Pass)]);
        is(&[fail.clone(), early], [0, 0, 0]);
        let refused = run("2026-11-04", "a", Conclusion::Refused, &[("y", Fail)]);
        is(&[fail, refused], [0, 0, 1]);
    }

    #[test]
    fn what_is_left_out_closes_nothing() {
        let with = |day: &str, gate: Status, health: &[(&str, Status)]| {
            let mut run = run(day, "a", Conclusion::Pass, &[("gate.health", gate)]);
            run.health = Answers::example(health);
            run
        };
        let (pass, fail, skipped) = (Status::Pass, Status::Fail, Status::Skipped);
        let alerts = "monitoring.alerts alert/Full";
        let before = with("2026-11-02", fail, &[(alerts, fail), ("pods.ready", pass)]);
        let left_out = &[("monitoring.alerts", skipped), ("pods.ready", pass)];
        let left_out = with("2026-11-03", pass, left_out);
        let closed = |runs: &[Run]| of(runs)[1].clone();
        assert!(closed(&[before.clone(), left_out.clone()]).is_empty());
        let mended = &[
            ("monitoring.alerts http://p/api", pass),
            ("pods.ready", pass),
        ];
        let mended = with("2026-11-04", pass, mended);
        assert_eq!(closed(&[before.clone(), mended.clone()]), ["a gate.health"]);
        // Left out for a while, and then really mended.
        assert_eq!(closed(&[before, left_out, mended]), ["a gate.health"]);
        let recovery = |day: &str, time: Status, alerts: Status| {
            let checks = [
                ("recovery.time", time),
                ("recovery.monitoring.alerts", alerts),
            ];
            run(day, "a", Conclusion::Pass, &checks)
        };
        let before = recovery("2026-11-02", fail, fail);
        let after = recovery("2026-11-03", pass, skipped);
        let left = of(&[before, after]);
        assert!(left[1].is_empty(), "{left:?}");
    }
}
