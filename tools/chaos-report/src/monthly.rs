//! The monthly report, over the streams in the archive.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use chaos_common::conclusion::Conclusion;
use chaos_common::output::duration;
use chaos_common::record::{Status, Time};
use chaos_common::stream::Upstream;

use crate::markdown::{cap, escape, field, table};
use crate::month::Month;
use crate::story::Story;
use crate::{archive, trend};

/// The figures of one experiment.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// The stream's file.
    pub(crate) file: String,
    /// Id of the experiment's record: a run that is archived twice counts once.
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) began: Time,
    pub(crate) duration_ms: u64,
    pub(crate) conclusion: Conclusion,
    /// Each measured recovery, in milliseconds.
    pub(crate) recoveries: Vec<f64>,
    pub(crate) issues: usize,
    /// The answer of each check, by its name and object.
    pub(crate) checks: Vec<(String, Status)>,
}

/// What the archive holds up to the end of a month.
#[derive(Clone, Debug, Default)]
pub(crate) struct Archive {
    /// Experiments in order of their time.
    pub(crate) runs: Vec<Run>,
    /// Files that could not be read at all, with the reason.
    pub(crate) unreadable: Vec<String>,
    /// This month's streams that are damaged, with the damage. What they hold counts all the same.
    pub(crate) damaged: Vec<String>,
    /// This month's streams without an experiment.
    pub(crate) without: Vec<String>,
}

impl Archive {
    /// Reads every stream that is not of a later month.
    pub(crate) fn read(folder: &Path, month: Month) -> std::io::Result<Archive> {
        let mut archive = Archive::default();
        for path in archive::streams(folder)? {
            let file = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let named = Month::of_file(&file);
            if named.is_some_and(|named| named > month) {
                continue;
            }
            let read = archive::open(&path).and_then(|input| {
                Upstream::from_reader(input).map_err(|error| format!("cannot read it: {error}"))
            });
            match read {
                Ok(upstream) => archive.add(&file, named, month, &Story::of(&upstream, "")),
                Err(why) => archive.unreadable.push(format!("{file}: {why}")),
            }
        }
        archive.runs.sort_by_key(|run| run.began);
        Ok(archive)
    }

    fn add(&mut self, file: &str, named: Option<Month>, month: Month, story: &Story) {
        let of_month = story
            .began()
            .map(Month::of)
            .or(named)
            .is_none_or(|began| began == month);
        if of_month {
            let damage = story.broken.iter().chain(&story.unreadable);
            self.damaged
                .extend(damage.map(|why| format!("{file}: {why}")));
        }
        match Run::of(file, story) {
            Some(run) if self.runs.iter().any(|known| known.id == run.id) => {}
            Some(run) if Month::of(run.began) <= month => self.runs.push(run),
            None if of_month => self.without.push(file.to_owned()),
            Some(_) | None => {}
        }
    }

    pub(crate) fn of(&self, month: Month) -> Vec<&Run> {
        self.runs
            .iter()
            .filter(|run| Month::of(run.began) == month)
            .collect()
    }
}

impl Run {
    fn of(file: &str, story: &Story) -> Option<Run> {
        let record = story.experiment.as_ref()?;
        let key = |id: &str, object: &Option<String>| match object {
            Some(object) => format!("{id} {object}"),
            None => id.to_owned(),
        };
        Some(Run {
            file: file.to_owned(),
            id: record.id.clone(),
            name: record.data.experiment.clone(),
            began: record.data.started,
            duration_ms: record.data.duration_ms,
            conclusion: story.conclusion,
            recoveries: record
                .data
                .recoveries
                .iter()
                .filter_map(|pod| pod.recovery_ms)
                .collect(),
            issues: story.issues().len(),
            checks: story
                .judged()
                .into_iter()
                .map(|check| (key(&check.id, &check.object), check.status))
                .collect(),
        })
    }
}

/// What a month's runs come to.
pub(crate) struct Totals {
    pub(crate) total: usize,
    pub(crate) successful: usize,
    pub(crate) failed: usize,
    /// Refused, aborted or unknown: neither successful nor failed.
    pub(crate) other: BTreeMap<&'static str, usize>,
    pub(crate) issues: usize,
    pub(crate) recoveries: Vec<f64>,
}

impl Totals {
    pub(crate) fn of(runs: &[&Run]) -> Totals {
        let mut totals = Totals {
            total: runs.len(),
            successful: 0,
            failed: 0,
            other: BTreeMap::new(),
            issues: runs.iter().map(|run| run.issues).sum(),
            recoveries: runs
                .iter()
                .flat_map(|run| run.recoveries.iter().copied())
                .collect(),
        };
        for run in runs {
            match run.conclusion {
                Conclusion::Pass => totals.successful += 1,
                Conclusion::Fail | Conclusion::NotRestored => totals.failed += 1,
                other => *totals.other.entry(other.word()).or_default() += 1,
            }
        }
        totals
    }

    /// Successes, and experiments that have an answer at all.
    pub(crate) fn rate(&self) -> (usize, usize) {
        (self.successful, self.successful + self.failed)
    }

    #[allow(clippy::cast_precision_loss, reason = "counts of a month")]
    fn rate_text(&self) -> String {
        match self.rate() {
            (_, 0) if self.total == 0 => "not known: no experiments".to_owned(),
            (_, 0) => "not known: no experiment has an answer".to_owned(),
            (good, all) => format!(
                "{:.0} % ({good} of {all} with an answer)",
                100.0 * good as f64 / all as f64
            ),
        }
    }
}

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

/// The whole monthly report.
pub(crate) fn render(archive: &Archive, month: Month) -> String {
    let (runs, before) = (archive.of(month), archive.of(month.previous()));
    let (now, then) = (Totals::of(&runs), Totals::of(&before));
    let other: usize = now.other.values().sum();
    let other = match other {
        0 => "none".to_owned(),
        _ => now
            .other
            .iter()
            .map(|(word, n)| format!("{n} {word}"))
            .collect::<Vec<_>>()
            .join(", "),
    };
    let one = |text: String| [text];
    let mut out =
        format!("# Chaos Engineering Monthly Report\n\nMonth of UTC: {month}\n\n## Summary\n");
    field(&mut out, "Total Experiments", &one(now.total.to_string()));
    field(
        &mut out,
        "Successful Experiments",
        &one(now.successful.to_string()),
    );
    field(&mut out, "Failed Experiments", &one(now.failed.to_string()));
    field(&mut out, "Neither", &one(other));
    field(&mut out, "Success Rate", &one(now.rate_text()));
    out.push_str("\n## Key Metrics\n");
    field(
        &mut out,
        "Average Recovery Time",
        &one(trend::recovery_figures(&now.recoveries)),
    );
    field(&mut out, "Issues Discovered", &one(now.issues.to_string()));
    field(
        &mut out,
        "Improvements Implemented",
        &cap(improvements(&archive.runs, month), 20),
    );
    let _ = write!(out, "\n## Trends\n\nAgainst {}.\n\n", month.previous());
    field(
        &mut out,
        "Recovery Time Trend",
        &one(trend::recovery(&then.recoveries, &now.recoveries)),
    );
    let issues = trend::issues((then.issues, then.total), (now.issues, now.total));
    field(&mut out, "Issue Discovery Trend", &one(issues));
    field(
        &mut out,
        "Success Rate Trend",
        &one(trend::success(then.rate(), now.rate())),
    );
    out.push_str("\n## Recommendations\n");
    for recommendation in recommendations(archive, month) {
        let _ = writeln!(out, "- {}", escape(&recommendation));
    }
    experiments(&mut out, &runs);
    out.push_str("\n## Not in the figures\n");
    field(
        &mut out,
        "Streams that could not be read",
        &archive.unreadable,
    );
    field(
        &mut out,
        "Damaged streams (what they hold counts)",
        &archive.damaged,
    );
    field(&mut out, "Streams without an experiment", &archive.without);
    out
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
        let slowest = run
            .recoveries
            .iter()
            .copied()
            .fold(None, |most: Option<f64>, ms| {
                Some(most.unwrap_or(0.0).max(ms))
            });
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

    fn run(day: &str, name: &str, conclusion: Conclusion, checks: &[(&str, Status)]) -> Run {
        Run {
            file: format!("{day}.ndjson"),
            id: format!("{day}{name}"),
            name: name.to_owned(),
            began: serde_json::from_value(format!("{day}T10:00:00.000Z").into()).expect("RFC 3339"),
            duration_ms: 10_000,
            conclusion,
            recoveries: vec![4000.0],
            issues: 1,
            checks: checks
                .iter()
                .map(|(check, status)| ((*check).to_owned(), *status))
                .collect(),
        }
    }

    fn month() -> Month {
        "2026-11".parse().expect("a month")
    }

    #[test]
    fn no_experiments_have_no_success_rate() {
        let text = render(&Archive::default(), month());
        assert!(
            text.contains("- **Success Rate**: not known: no experiments\n"),
            "{text}"
        );
        assert!(
            text.contains("- **Average Recovery Time**: not known"),
            "{text}"
        );
        let runs = [run("2026-11-02", "a", Conclusion::Refused, &[])];
        let totals = Totals::of(&runs.iter().collect::<Vec<_>>());
        assert_eq!(totals.rate_text(), "not known: no experiment has an answer");
    }

    #[test]
    fn only_answers_make_the_success_rate() {
        use Conclusion::{Aborted, Fail, NotRestored, Pass, Refused, Unknown};
        let runs: Vec<Run> = [Pass, Pass, Fail, NotRestored, Unknown, Refused, Aborted]
            .into_iter()
            .map(|conclusion| run("2026-11-02", "a", conclusion, &[]))
            .collect();
        let totals = Totals::of(&runs.iter().collect::<Vec<_>>());
        assert_eq!((totals.total, totals.successful, totals.failed), (7, 2, 2));
        assert_eq!(totals.other.values().sum::<usize>(), 3);
        assert_eq!(totals.rate_text(), "50 % (2 of 4 with an answer)");
    }

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
