//! What became better, and what to do next month.

use std::collections::BTreeMap;

use chaos_common::conclusion::Conclusion;
use chaos_common::record::Status;

use super::archived::{Archive, Run};
use super::month::Month;

/// What is known of a check up to a run.
#[derive(Clone, Copy)]
struct Course<'a> {
    /// The run that it failed in, if it fails still as far as is known.
    failed: Option<&'a Run>,
    /// The run since which it passes, if it failed before.
    mended: Option<&'a Run>,
}

/// Checks that failed before and, in the last run of the same experiment this month, pass. Why
/// they do, no stream tells; but that what failed is left out now is no improvement.
pub(crate) fn improvements(runs: &[Run], month: Month) -> Vec<String> {
    let mut courses: BTreeMap<(&str, &str), Course> = BTreeMap::new();
    for run in runs.iter().filter(|run| Month::of(run.began) <= month) {
        for (check, status) in &run.checks {
            let course = courses.entry((&run.name, check)).or_insert(Course {
                failed: None,
                mended: None,
            });
            match (status, course.failed) {
                (Status::Fail, _) => {
                    *course = Course {
                        failed: Some(run),
                        mended: None,
                    };
                }
                (Status::Pass, Some(failed)) if all_asked_again(check, failed, run) => {
                    *course = Course {
                        failed: None,
                        mended: Some(run),
                    };
                }
                _ => {}
            }
        }
    }
    let of_month = courses.into_iter().filter_map(|((name, check), course)| {
        let mended = course.mended.filter(|run| Month::of(run.began) == month)?;
        let day = mended.began.0.strftime("%Y-%m-%d");
        Some(format!(
            "{name}: {check} failed before and passes since {day}"
        ))
    });
    of_month.collect()
}

/// Whether a check that passes now stands for all that it failed for: one that sums up others
/// passes as well once what failed among them is left out.
fn all_asked_again(check: &str, failed: &Run, now: &Run) -> bool {
    let parts: fn(&Run) -> Vec<(String, Status)> = match id_of(check) {
        "gate.health" => |run| run.health.clone(),
        "recovery.time" => recovery,
        _ => return true,
    };
    let now = parts(now);
    let asked = |id: &str| {
        let mut same = now.iter().filter(|(check, _)| id_of(check) == id);
        same.any(|(_, status)| *status != Status::Skipped)
    };
    let bad = |status: &Status| matches!(status, Status::Fail | Status::Unknown);
    let parts = parts(failed).into_iter();
    parts
        .filter(|(_, status)| bad(status))
        .all(|(check, _)| asked(id_of(&check)))
}

/// The health checks that were made again after the experiment.
fn recovery(run: &Run) -> Vec<(String, Status)> {
    let checks = run.checks.iter();
    let parts = checks.filter(|(check, _)| {
        let id = id_of(check);
        id.starts_with("recovery.") && id != "recovery.time"
    });
    parts.cloned().collect()
}

/// A check's id, without its object.
fn id_of(check: &str) -> &str {
    check.split_once(' ').map_or(check, |(id, _)| id)
}

/// What to do in the next month.
pub(crate) fn recommendations(archive: &Archive, month: Month) -> Vec<String> {
    let runs = archive.of(month);
    let mut out = Vec::new();
    let mut last: BTreeMap<&str, &Run> = BTreeMap::new();
    for run in &runs {
        last.insert(&run.name, run);
    }
    for (name, run) in &last {
        let day = run.began.0.strftime("%Y-%m-%d");
        match run.conclusion {
            Conclusion::Pass => {}
            Conclusion::Fail => out.push(format!(
                "Resolve what failed in {name} on {day}, and run it again"
            )),
            Conclusion::NotRestored => {
                out.insert(
                    0,
                    format!(
                        "Make sure that the fault of {name} of {day} is gone: chaos-inject recover"
                    ),
                );
            }
            word => out.push(format!(
                "Run {name} again: its last run, on {day}, is {}",
                word.word()
            )),
        }
    }
    let mut earlier: Vec<&str> = archive.runs.iter().map(|run| run.name.as_str()).collect();
    earlier.sort_unstable();
    earlier.dedup();
    let idle = earlier.into_iter().filter(|name| !last.contains_key(name));
    out.extend(idle.map(|name| format!("Run {name} again: it did not run in {month}")));
    if runs.is_empty() {
        out.push("Run an experiment: none of this month is in the archive".to_owned());
    }
    if !archive.damaged.is_empty() || !archive.unreadable.is_empty() {
        out.push(
            "Find out why streams in the archive are damaged; they are named below".to_owned(),
        );
    }
    if out.is_empty() {
        out.push("Repeat the experiments after the next change to what they hit".to_owned());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::archived::examples::{month, run};

    #[test]
    fn an_improvement_is_a_check_that_failed_and_passes_now() {
        use Conclusion::Pass;
        use Status::{Fail, Unknown};
        let of = |runs: &[Run]| improvements(runs, month());
        let fail = run("2026-10-02", "a", Conclusion::Fail, &[("x", Fail)]);
        let pass = run("2026-11-02", "a", Pass, &[("x", Status::Pass)]);
        assert_eq!(
            of(&[fail.clone(), pass.clone()]),
            ["a: x failed before and passes since 2026-11-02"]
        );
        assert!(of(std::slice::from_ref(&pass)).is_empty(), "never failed");
        let other = run("2026-11-02", "b", Pass, &[("x", Status::Pass)]);
        assert!(of(&[fail.clone(), other]).is_empty(), "another experiment");
        let again = run("2026-11-03", "a", Conclusion::Fail, &[("x", Fail)]);
        assert!(of(&[fail.clone(), pass, again]).is_empty(), "fails again");
        let unknown = run("2026-11-02", "a", Conclusion::Unknown, &[("x", Unknown)]);
        assert!(
            of(&[fail.clone(), unknown]).is_empty(),
            "unknown is no improvement"
        );
        let early = run("2026-10-09", "a", Pass, &[("x", Status::Pass)]);
        assert!(
            of(&[fail, early]).is_empty(),
            "already reported the month before"
        );
    }

    #[test]
    fn what_is_left_out_is_no_improvement() {
        let with = |day: &str, gate: Status, health: &[(&str, Status)]| {
            let mut run = run(day, "a", Conclusion::Pass, &[("gate.health", gate)]);
            let answer = |(check, status): &(&str, Status)| ((*check).to_owned(), *status);
            run.health = health.iter().map(answer).collect();
            run
        };
        let (pass, fail, skipped) = (Status::Pass, Status::Fail, Status::Skipped);
        let alerts = "monitoring.alerts alert/Full";
        let before = with("2026-11-02", fail, &[(alerts, fail), ("pods.ready", pass)]);
        let of = |after: &Run| improvements(&[before.clone(), after.clone()], month());
        let left_out = &[("monitoring.alerts", skipped), ("pods.ready", pass)];
        let left_out = with("2026-11-03", pass, left_out);
        assert!(of(&left_out).is_empty());
        let mended = &[
            ("monitoring.alerts http://p/api", pass),
            ("pods.ready", pass),
        ];
        let mended = with("2026-11-04", pass, mended);
        let words = ["a: gate.health failed before and passes since 2026-11-04"];
        assert_eq!(of(&mended), words);
        // Left out for a while, and then really mended.
        let course = [before.clone(), left_out, mended];
        assert_eq!(improvements(&course, month()), words);
        let recovery = |day: &str, time: Status, alerts: Status| {
            let checks = [
                ("recovery.time", time),
                ("recovery.monitoring.alerts", alerts),
            ];
            run(day, "a", Conclusion::Pass, &checks)
        };
        let before = recovery("2026-11-02", fail, fail);
        let after = recovery("2026-11-03", pass, skipped);
        assert!(improvements(&[before, after], month()).is_empty());
    }

    #[test]
    fn what_did_not_pass_or_run_is_recommended() {
        let runs = vec![
            run("2026-10-02", "old", Conclusion::Pass, &[]),
            run("2026-11-02", "bad", Conclusion::Fail, &[]),
            run("2026-11-03", "left", Conclusion::NotRestored, &[]),
            run("2026-11-04", "good", Conclusion::Pass, &[]),
        ];
        let archive = Archive {
            runs,
            ..Archive::default()
        };
        let out = recommendations(&archive, month());
        assert!(out[0].contains("the fault of left"), "{out:?}");
        assert!(
            out.iter()
                .any(|text| text.starts_with("Resolve what failed in bad")),
            "{out:?}"
        );
        assert!(
            out.iter()
                .any(|text| text == "Run old again: it did not run in 2026-11"),
            "{out:?}"
        );
        assert!(!out.iter().any(|text| text.contains("good")), "{out:?}");
    }
}
