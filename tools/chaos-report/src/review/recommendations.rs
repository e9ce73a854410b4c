//! What became better, and what to do next month.

use std::collections::BTreeMap;

use chaos_common::conclusion::Conclusion;
use chaos_common::record::Status;

use super::archived::{Archive, Run};
use super::month::Month;

/// Checks that failed before and, in the last run of the same experiment this month, pass. Why
/// they do, no stream tells.
pub(crate) fn improvements(runs: &[Run], month: Month) -> Vec<String> {
    let mut last: BTreeMap<(&str, &str), (&Run, Status, Option<&Run>)> = BTreeMap::new();
    for run in runs.iter().filter(|run| Month::of(run.began) <= month) {
        for (check, status) in &run.checks {
            if !matches!(status, Status::Pass | Status::Fail) {
                continue;
            }
            let entry = last
                .entry((&run.name, check))
                .or_insert((run, *status, None));
            let mended = match (entry.1, status) {
                (Status::Fail, Status::Pass) => Some(run),
                (_, Status::Fail) => None,
                _ => entry.2,
            };
            *entry = (run, *status, mended);
        }
    }
    let of_month = last
        .into_iter()
        .filter_map(|((name, check), (_, _, mended))| {
            let mended = mended.filter(|run| Month::of(run.began) == month)?;
            let day = mended.began.0.strftime("%Y-%m-%d");
            Some(format!(
                "{name}: {check} failed before and passes since {day}"
            ))
        });
    of_month.collect()
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
