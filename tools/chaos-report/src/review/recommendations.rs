//! What to do next, by plain rules.

use std::collections::BTreeMap;

use chaos_common::conclusion::Conclusion;

use super::coverage::AlertCoverage;
use super::scope::{Reviewed, Scope};
use crate::actions::Action;

/// What a recommendation is made of besides the runs.
pub(crate) struct Around<'a> {
    pub(crate) untried: &'a [super::coverage::Untried],
    pub(crate) alerts: &'a [AlertCoverage],
    /// Next steps that are not done.
    pub(crate) open: &'a [&'a Action<'a>],
    /// Months with experiments that have no monthly report in the archive.
    pub(crate) unreviewed: &'a [String],
    /// The review's time, in words.
    pub(crate) period: &'a str,
}

/// What to do next, the most urgent first.
pub(crate) fn recommendations(scope: &Scope, around: &Around) -> Vec<String> {
    let mut out = Vec::new();
    out.extend(not_restored(scope));
    out.extend(last_runs(scope));
    let silent = around.alerts.iter().filter(|alert| alert.silent() > 0);
    out.extend(silent.map(|alert| {
        let (silent, expected) = (alert.silent(), alert.expected);
        format!(
            "Make {} fire: it was expected in {expected} runs and silent in {silent}",
            alert.name
        )
    }));
    let late = around
        .open
        .iter()
        .filter(|it| it.is_overdue(scope.days.last));
    out.extend(late.map(|action| {
        let owner = action.step.owner.as_deref().unwrap_or("nobody's");
        let due = action.step.due.as_deref().unwrap_or_default();
        format!(
            "Finish what was due on {due} ({owner}): {}",
            action.step.text
        )
    }));
    let idle = around.untried.iter().map(|it| match &it.last {
        Some(_) => format!("Run {} again: it did not run in {}", it.name, around.period),
        None => format!("Run {}: it is configured and never ran", it.name),
    });
    out.extend(idle);
    out.extend(unreviewed(around.unreviewed));
    if scope.runs.is_empty() {
        let period = around.period;
        out.push(format!(
            "Run an experiment: none of {period} is in the archive"
        ));
    }
    let index = scope.index;
    if !(index.unreadable.is_empty() && index.gone.is_empty() && scope.damaged().is_empty()) {
        out.push(
            "Find out why streams in the archive are damaged or gone; they are named below"
                .to_owned(),
        );
    }
    if out.is_empty() {
        out.push("Repeat the experiments after the next change to what they hit".to_owned());
    }
    out
}

fn unreviewed(months: &[String]) -> Option<String> {
    let command = "chaos-report monthly --month";
    match months {
        [] => None,
        [month] => Some(format!(
            "Review {month}, which has experiments and no report: {command} {month}"
        )),
        [first, ..] => Some(format!(
            "Review the months that have experiments and no report: {} ({command} {first}, and so on)",
            months.join(", ")
        )),
    }
}

/// The last run of each experiment on each target, if none of them came out well since.
fn last_runs(scope: &Scope) -> Vec<String> {
    let mut last: BTreeMap<(&str, String), &Reviewed> = BTreeMap::new();
    for run in &scope.runs {
        last.insert((run.name(), run.run.facts.target()), run);
    }
    let text = |((name, target), run): ((&str, String), &Reviewed)| {
        let what = format!("{name} on {target}");
        let day = run.day();
        match run.run.facts.conclusion {
            Conclusion::Pass | Conclusion::NotRestored => None,
            Conclusion::Fail => Some(format!(
                "Resolve what failed in {what} on {day}, and run it again"
            )),
            word => Some(format!(
                "Run {what} again: its last run, on {day}, is {}",
                word.word()
            )),
        }
    };
    last.into_iter().filter_map(text).collect()
}

/// Runs that may have left a fault behind.
fn not_restored(scope: &Scope) -> Vec<String> {
    let runs = scope.runs.iter();
    let left = runs.filter(|it| it.run.facts.conclusion == Conclusion::NotRestored);
    left.map(|run| {
        format!(
            "Make sure that the fault of {} of {} is gone: chaos-inject recover",
            run.name(),
            run.day()
        )
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::coverage::experiments;
    use crate::review::examples::{archive, run, scope};

    #[test]
    fn what_did_not_pass_or_run_is_recommended() {
        let index = archive(&[
            run("2026-10-02", "old", Conclusion::Pass, &[]),
            run("2026-11-02", "bad", Conclusion::Fail, &[]),
            run("2026-11-03", "left", Conclusion::NotRestored, &[]),
            run("2026-11-04", "good", Conclusion::Pass, &[]),
        ]);
        let scope = scope(&index);
        let around = Around {
            untried: &experiments(&scope, &[]),
            alerts: &[],
            open: &[],
            unreviewed: &[],
            period: "2026-11",
        };
        assert_eq!(
            recommendations(&scope, &around),
            [
                "Make sure that the fault of left of 2026-11-03 is gone: chaos-inject recover",
                "Resolve what failed in bad on deployment/backend on 2026-11-02, and run it again",
                "Run old again: it did not run in 2026-11",
            ]
        );
    }
}
