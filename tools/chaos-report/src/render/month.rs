//! The report of a month, over the runs in the archive.

use std::fmt::Write as _;

use chaos_common::output::duration;

use super::markdown::{cap, escape, field, table};
use crate::review::{Archive, Month, Run, Totals, improvements, recommendations, trend};

/// The most improvements that are listed.
const MOST_IMPROVEMENTS: usize = 20;

/// The whole report.
pub(crate) fn render(archive: &Archive, month: Month) -> String {
    let runs = archive.of(month);
    let now = Totals::of(&runs);
    let before = Totals::of(&archive.of(month.previous()));
    let mut out = format!("# Chaos Engineering Monthly Report\n\nMonth of UTC: {month}\n");
    summary(&mut out, &now);
    metrics(&mut out, &now, &improvements(&archive.runs, month));
    let _ = write!(out, "\n## Trends\n\nAgainst {}.\n\n", month.previous());
    trends(&mut out, &before, &now);
    out.push_str("\n## Recommendations\n");
    for recommendation in recommendations(archive, month) {
        let _ = writeln!(out, "- {}", escape(&recommendation));
    }
    experiments(&mut out, &runs);
    left_out(&mut out, archive);
    out
}

fn summary(out: &mut String, totals: &Totals) {
    let other = totals.other.iter().map(|(word, n)| format!("{n} {word}"));
    let other: Vec<String> = other.collect();
    let neither = match other.as_slice() {
        [] => "none".to_owned(),
        some => some.join(", "),
    };
    out.push_str("\n## Summary\n");
    field(out, "Total Experiments", &[totals.total.to_string()]);
    let successful = totals.successful.to_string();
    field(out, "Successful Experiments", &[successful]);
    field(out, "Failed Experiments", &[totals.failed.to_string()]);
    field(out, "Neither", &[neither]);
    field(out, "Success Rate", &[totals.rate_text()]);
}

fn metrics(out: &mut String, totals: &Totals, improvements: &[String]) {
    let recovery = trend::recovery_figures(&totals.recoveries);
    out.push_str("\n## Key Metrics\n");
    field(out, "Average Recovery Time", &[recovery]);
    field(out, "Issues Discovered", &[totals.issues.to_string()]);
    let improvements = cap(improvements.to_vec(), MOST_IMPROVEMENTS);
    field(out, "Improvements Implemented", &improvements);
}

fn trends(out: &mut String, before: &Totals, now: &Totals) {
    let recovery = trend::recovery(&before.recoveries, &now.recoveries);
    let issues = trend::issues((before.issues, before.total), (now.issues, now.total));
    let success = trend::success(before.rate(), now.rate());
    field(out, "Recovery Time Trend", &[recovery]);
    field(out, "Issue Discovery Trend", &[issues]);
    field(out, "Success Rate Trend", &[success]);
}

fn left_out(out: &mut String, archive: &Archive) {
    let (unreadable, damaged) = (&archive.unreadable, &archive.damaged);
    out.push_str("\n## Not in the figures\n");
    field(out, "Streams that could not be read", unreadable);
    field(out, "Damaged streams (what they hold counts)", damaged);
    field(out, "Streams without an experiment", &archive.without);
}

#[allow(
    clippy::cast_precision_loss,
    reason = "no experiment lasts 2^52 milliseconds"
)]
fn experiments(out: &mut String, runs: &[&Run]) {
    out.push_str("\n## Experiments\n\n");
    if runs.is_empty() {
        out.push_str("No experiment of this month is in the archive.\n");
        return;
    }
    let row = |run: &&Run| {
        let slowest = run.recoveries.iter().copied().reduce(f64::max);
        [
            run.began.0.strftime("%Y-%m-%d %H:%M").to_string(),
            run.name.clone(),
            run.conclusion.word().to_owned(),
            duration(run.duration_ms as f64),
            slowest.map_or_else(|| "not measured".to_owned(), duration),
            run.issues.to_string(),
            run.file.clone(),
        ]
    };
    let rows: Vec<[String; 7]> = runs.iter().map(row).collect();
    table(
        out,
        [
            "Began (UTC)",
            "Experiment",
            "Conclusion",
            "Lasted",
            "Slowest recovery",
            "Issues",
            "Stream",
        ],
        &rows,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_month_without_experiments_has_no_success_rate() {
        let text = render(&Archive::default(), "2026-11".parse().expect("a month"));
        assert!(
            text.contains("- **Success Rate**: not known: no experiments\n"),
            "{text}"
        );
        assert!(
            text.contains("- **Average Recovery Time**: not known"),
            "{text}"
        );
    }
}
