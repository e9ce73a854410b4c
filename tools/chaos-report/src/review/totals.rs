//! What a month's runs come to.

use std::collections::BTreeMap;

use chaos_common::conclusion::Conclusion;

use super::archived::Run;

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
    /// The same for people, in per cent.
    pub(crate) fn rate_text(&self) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::archived::examples::run;

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
    fn a_refused_experiment_is_no_answer() {
        let runs = [run("2026-11-02", "a", Conclusion::Refused, &[])];
        let totals = Totals::of(&runs.iter().collect::<Vec<_>>());
        assert_eq!(totals.rate_text(), "not known: no experiment has an answer");
    }
}
