//! What the runs of a review come to.

use std::collections::BTreeMap;

use chaos_common::conclusion::Conclusion;
use chaos_common::output::duration;

use super::scope::Reviewed;
use super::statistics::{Interval, float, median, median_interval, wilson};

/// How the runs came out.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) total: usize,
    pub(crate) successful: usize,
    pub(crate) failed: usize,
    /// Refused, aborted or unknown: neither successful nor failed.
    pub(crate) other: BTreeMap<&'static str, usize>,
    /// Issues in the words of the runs.
    pub(crate) issues: usize,
}

impl Totals {
    pub(crate) fn of(runs: &[Reviewed]) -> Totals {
        let mut totals = Totals {
            total: runs.len(),
            issues: runs.iter().map(|it| it.run.facts.issue_count).sum(),
            ..Totals::default()
        };
        for reviewed in runs {
            match reviewed.run.facts.conclusion {
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

    /// The runs that are neither, in words.
    pub(crate) fn neither(&self) -> String {
        let other = self.other.iter().map(|(word, n)| format!("{n} {word}"));
        let other: Vec<String> = other.collect();
        if other.is_empty() {
            "none".to_owned()
        } else {
            other.join(", ")
        }
    }

    /// The success rate with its interval, in per cent.
    pub(crate) fn rate_text(&self) -> String {
        let (good, all) = self.rate();
        let Some(interval) = wilson(good, all) else {
            return match self.total {
                0 => "not known: no experiments".to_owned(),
                _ => "not known: no experiment has an answer".to_owned(),
            };
        };
        let rate = 100.0 * float(good) / float(all);
        format!(
            "{rate:.0} % ({good} of {all} with an answer; 95 % interval {:.0} to {:.0} %)",
            100.0 * interval.low,
            100.0 * interval.high
        )
    }
}

/// How long the system took in each of some runs.
#[derive(Debug, Default)]
pub(crate) struct Recoveries {
    /// Milliseconds, in order of size.
    pub(crate) sorted: Vec<f64>,
    /// Runs that hit something which was not seen to recover in full.
    pub(crate) without: usize,
}

impl Recoveries {
    pub(crate) fn of<'i>(runs: impl IntoIterator<Item = &'i Reviewed<'i>>) -> Recoveries {
        let mut found = Recoveries::default();
        for reviewed in runs {
            let facts = &reviewed.run.facts;
            if facts.unrecovered > 0 {
                found.without += 1;
            } else if let Some(took) = facts.recovery_ms() {
                found.sorted.push(took);
            }
        }
        found.sorted.sort_by(f64::total_cmp);
        found
    }

    /// The median, in milliseconds.
    pub(crate) fn median(&self) -> Option<f64> {
        median(&self.sorted)
    }

    /// In words: mean, median with its interval, slowest, and of how many runs.
    pub(crate) fn text(&self) -> String {
        let sorted = &self.sorted;
        let (Some(median), Some(slowest)) = (median(sorted), sorted.last()) else {
            return match self.without {
                0 => "not known: no recovery was measured".to_owned(),
                n => format!("not known: {n} runs did not recover in full, none did"),
            };
        };
        let mean = sorted.iter().sum::<f64>() / float(sorted.len());
        let runs = match (sorted.len(), self.without) {
            (1, 0) => "of 1 run".to_owned(),
            (n, 0) => format!("of {n} runs"),
            (n, without) => format!("of {n} runs; {without} more did not recover in full"),
        };
        format!(
            "{} (median {}{}, slowest {}, {runs}{})",
            duration(mean),
            duration(median),
            interval_text(median_interval(sorted)),
            duration(*slowest),
            if sorted.len() < FEWEST {
                "; too few runs for an interval"
            } else {
                ""
            }
        )
    }
}

/// The fewest runs whose median has an interval.
pub(crate) const FEWEST: usize = 6;

/// A range of durations, behind the figure that it is of.
pub(crate) fn interval_text(interval: Option<Interval>) -> String {
    let text = |it: Interval| {
        let (low, high) = (duration(it.low), duration(it.high));
        format!(" with the 95 % interval {low} to {high}")
    };
    interval.map(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Run;
    use crate::review::examples::{archive, run, scope};

    fn of<T>(runs: &[Run], wanted: impl Fn(&[Reviewed]) -> T) -> T {
        let index = archive(runs);
        wanted(&scope(&index).runs)
    }

    #[test]
    fn only_answers_make_the_success_rate() {
        use Conclusion::{Aborted, Fail, NotRestored, Pass, Refused, Unknown};
        let runs: Vec<Run> = [Pass, Pass, Fail, NotRestored, Unknown, Refused, Aborted]
            .into_iter()
            .enumerate()
            .map(|(number, conclusion)| {
                run(&format!("2026-11-{:02}", number + 1), "a", conclusion, &[])
            })
            .collect();
        let totals = of(&runs, Totals::of);
        assert_eq!((totals.total, totals.successful, totals.failed), (7, 2, 2));
        assert_eq!(totals.neither(), "1 aborted, 1 refused, 1 unknown");
        assert_eq!(
            totals.rate_text(),
            "50 % (2 of 4 with an answer; 95 % interval 15 to 85 %)"
        );
        let refused = [run("2026-11-02", "a", Refused, &[])];
        assert_eq!(
            of(&refused, Totals::of).rate_text(),
            "not known: no experiment has an answer"
        );
    }

    #[test]
    fn a_run_recovers_when_its_slowest_pod_does_and_few_runs_have_no_interval() {
        let took = |number: usize, recoveries: &[f64]| {
            let mut run = run(&format!("2026-11-{number:02}"), "a", Conclusion::Pass, &[]);
            run.facts.recoveries = recoveries.to_vec();
            run
        };
        let mut runs: Vec<Run> = vec![took(1, &[1000.0, 3000.0]), took(2, &[2000.0])];
        let text = |runs: &[Run]| of(runs, |runs| Recoveries::of(runs).text());
        assert_eq!(
            text(&runs),
            "2.5 s (median 2.5 s, slowest 3.0 s, of 2 runs; too few runs for an interval)"
        );
        runs.extend((3..=8).map(|number| took(number, &[2000.0])));
        runs[7].facts.unrecovered = 1;
        assert_eq!(
            text(&runs),
            "2.1 s (median 2.0 s with the 95 % interval 2.0 s to 3.0 s, slowest 3.0 s, \
             of 7 runs; 1 more did not recover in full)"
        );
        assert!(text(&[]).starts_with("not known"));
    }
}
