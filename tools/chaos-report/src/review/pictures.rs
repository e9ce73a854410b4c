//! What the pictures of a review are drawn from.

use std::collections::BTreeMap;

use chaos_common::conclusion::Conclusion;
use chaos_common::output::duration;

use super::period::{Days, Period};
use super::scope::{Reviewed, Scope};
use super::statistics::{median, median_interval};
use super::totals::{Recoveries, interval_text};

/// Up to so many runs each has a mark of its own.
const MOST_MARKS: usize = 40;
/// So few runs have no half in the middle.
const ENOUGH: usize = 8;
/// The most rows of a picture; what is left out stands in the tables.
const MOST_ROWS: usize = 14;

/// The pictures of a review.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pictures {
    /// How the runs of each part of the time came out; nothing where there is one part only.
    pub(crate) outcomes: Vec<Outcomes>,
    /// How long each experiment's runs took to recover.
    pub(crate) recoveries: Vec<RecoveryRow>,
}

/// How the runs of some days came out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcomes {
    pub(crate) name: String,
    pub(crate) successful: usize,
    pub(crate) failed: usize,
    pub(crate) neither: usize,
}

/// How long the runs of an experiment took to recover, in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RecoveryRow {
    pub(crate) name: String,
    pub(crate) note: String,
    /// Each run, in order of size, where there are few.
    pub(crate) runs: Vec<f64>,
    pub(crate) median: f64,
    /// From the quickest run to the slowest.
    pub(crate) all: (f64, f64),
    /// The half of the runs in the middle, where there are enough to tell.
    pub(crate) middle: Option<(f64, f64)>,
}

impl Pictures {
    pub(super) fn of(scope: &Scope) -> Pictures {
        Pictures {
            outcomes: outcomes(scope),
            recoveries: recoveries(&scope.runs),
        }
    }
}

/// The months of the time; of a shorter time its weeks.
fn outcomes(scope: &Scope) -> Vec<Outcomes> {
    let days = scope.days;
    let months = Period::Days(days).months();
    let parts: Vec<(String, Days)> = if months.len() > 1 {
        let part = |month: Period| (month.to_string(), month.days());
        months.into_iter().map(part).collect()
    } else {
        weeks(days)
    };
    if parts.len() < 2 || parts.len() > MOST_ROWS || scope.runs.is_empty() {
        return Vec::new();
    }
    let of = |(name, days): (String, Days)| {
        let runs = scope.runs.iter().filter(|it| days.hold(it.began()));
        let mut outcomes = Outcomes {
            name,
            ..Outcomes::default()
        };
        for run in runs {
            match run.run.facts.conclusion {
                Conclusion::Pass => outcomes.successful += 1,
                Conclusion::Fail | Conclusion::NotRestored => outcomes.failed += 1,
                _ => outcomes.neither += 1,
            }
        }
        outcomes
    };
    parts.into_iter().map(of).collect()
}

/// Seven days each from the first on; the last may be shorter.
fn weeks(days: Days) -> Vec<(String, Days)> {
    let mut weeks = Vec::new();
    let mut first = days.first;
    while first <= days.last && weeks.len() <= MOST_ROWS {
        let last = first
            .saturating_add(jiff::Span::new().days(6))
            .min(days.last);
        weeks.push((format!("{first} to {last}"), Days { first, last }));
        first = last.saturating_add(jiff::Span::new().days(1));
    }
    weeks
}

fn recoveries(runs: &[Reviewed]) -> Vec<RecoveryRow> {
    let mut by_name: BTreeMap<&str, Vec<&Reviewed>> = BTreeMap::new();
    for run in runs {
        by_name.entry(run.name()).or_default().push(run);
    }
    let rows = by_name
        .into_iter()
        .filter_map(|(name, runs)| row(name, &Recoveries::of(runs)));
    rows.take(MOST_ROWS).collect()
}

fn row(name: &str, found: &Recoveries) -> Option<RecoveryRow> {
    let sorted = &found.sorted;
    let (median, first, last) = (median(sorted)?, *sorted.first()?, *sorted.last()?);
    let at = |quarters: usize| sorted[(sorted.len() - 1) * quarters / 4];
    let interval = interval_text(median_interval(sorted));
    let without = match found.without {
        0 => String::new(),
        n => format!("; {n} more did not recover in full"),
    };
    Some(RecoveryRow {
        name: name.to_owned(),
        note: format!(
            "median {}{interval}, of {}{without}",
            duration(median),
            sorted.len()
        ),
        runs: if sorted.len() <= MOST_MARKS {
            sorted.clone()
        } else {
            Vec::new()
        },
        median,
        all: (first, last),
        middle: (sorted.len() >= ENOUGH).then(|| (at(1), at(3))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::examples::{archive, run, scope};

    #[test]
    fn weeks_of_a_month_count_their_own_runs() {
        let index = archive(&[
            run("2026-11-01", "a", Conclusion::Pass, &[]),
            run("2026-11-07", "a", Conclusion::Fail, &[]),
            run("2026-11-08", "a", Conclusion::Refused, &[]),
            run("2026-11-30", "a", Conclusion::Pass, &[]),
        ]);
        let pictures = Pictures::of(&scope(&index));
        let counts = |it: &Outcomes| [it.successful, it.failed, it.neither];
        let counts: Vec<_> = pictures.outcomes.iter().map(counts).collect();
        assert_eq!(
            counts,
            [[1, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0], [1, 0, 0]]
        );
        assert_eq!(pictures.outcomes[4].name, "2026-11-29 to 2026-11-30");
    }

    #[test]
    fn a_row_holds_each_run_or_where_they_are() {
        let found = |sorted: Vec<f64>| Recoveries { sorted, without: 1 };
        let few = row("a", &found(vec![1000.0, 2000.0, 9000.0])).expect("a row");
        assert_eq!((few.runs.len(), few.middle), (3, None));
        assert_eq!((few.median, few.all), (2000.0, (1000.0, 9000.0)));
        assert_eq!(
            few.note,
            "median 2.0 s, of 3; 1 more did not recover in full"
        );
        let many = row("a", &found((0..101).map(f64::from).collect())).expect("a row");
        assert_eq!((many.runs.len(), many.middle), (0, Some((25.0, 75.0))));
        assert_eq!(row("a", &found(Vec::new())), None);
    }
}
