//! What was tried, and what was not.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::scope::{Reviewed, Scope};
use chaos_common::conclusion::Conclusion;

/// An experiment or a workload that was not tried in the review's time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Untried {
    /// The day of the last run; never if absent.
    pub(crate) last: Option<String>,
    pub(crate) name: String,
}

impl Untried {
    /// For people.
    pub(crate) fn text(&self) -> String {
        match &self.last {
            Some(day) => format!("{}: last on {day}", self.name),
            None => format!("{}: never", self.name),
        }
    }
}

/// Runs that wrote something, by experiment.
fn touched<'s, 'i>(scope: &'s Scope<'i>) -> impl Iterator<Item = &'s Reviewed<'i>> {
    let runs = scope.history.iter();
    runs.filter(|it| it.run.facts.conclusion != Conclusion::Refused)
}

/// Experiments that did not run in the review's time, those that never did first: of those that ran
/// before or are configured.
pub(crate) fn experiments(scope: &Scope, configured: &[String]) -> Vec<Untried> {
    let mut last: BTreeMap<&str, Option<&Reviewed>> = BTreeMap::new();
    for name in configured {
        last.insert(name, None);
    }
    for reviewed in touched(scope) {
        last.insert(reviewed.name(), Some(reviewed));
    }
    untried(scope, last)
}

/// Workloads that no experiment was to hit in the review's time: of those that the latest run of
/// each namespace saw.
pub(crate) fn workloads(scope: &Scope) -> Vec<Untried> {
    let mut seen: BTreeMap<&str, &[String]> = BTreeMap::new();
    for reviewed in &scope.history {
        let run = reviewed.run;
        if !run.workloads.is_empty() {
            seen.insert(&run.facts.namespace, &run.workloads);
        }
    }
    let workloads = seen.into_values().flatten();
    let mut last: BTreeMap<&str, Option<&Reviewed>> =
        workloads.map(|name| (name.as_str(), None)).collect();
    for reviewed in touched(scope) {
        for target in &reviewed.run.facts.targets {
            if let Some(known) = last.get_mut(target.as_str()) {
                *known = Some(reviewed);
            }
        }
    }
    untried(scope, last)
}

fn untried(scope: &Scope, last: BTreeMap<&str, Option<&Reviewed>>) -> Vec<Untried> {
    let not_now = last
        .into_iter()
        .filter(|(_, last)| last.is_none_or(|last| !scope.holds(last)));
    let mut untried: Vec<Untried> = not_now
        .map(|(name, last)| Untried {
            last: last.map(Reviewed::day),
            name: name.to_owned(),
        })
        .collect();
    untried.sort();
    untried
}

/// The most experiments that are proposed.
const MOST_PROPOSALS: usize = 10;

/// Experiments that were never tried on a workload: first those on workloads that nothing ever hit,
/// then the others, in order of names. Proposed are only experiments that hit a single workload
/// when they ran, as it is these that can be pointed at another one.
pub(crate) fn proposals(scope: &Scope) -> Vec<String> {
    let mut hit: BTreeSet<(&str, &str)> = BTreeSet::new();
    let mut names: BTreeSet<&str> = BTreeSet::new();
    for reviewed in touched(scope) {
        let facts = &reviewed.run.facts;
        hit.extend(
            facts
                .targets
                .iter()
                .map(|it| (reviewed.name(), it.as_str())),
        );
        if facts.targets.len() == 1 {
            names.insert(reviewed.name());
        }
    }
    let all: BTreeSet<&str> = scope
        .history
        .iter()
        .flat_map(|it| &it.run.workloads)
        .map(String::as_str)
        .collect();
    let mut proposals = Vec::new();
    for workload in all {
        let never = !hit.iter().any(|(_, target)| *target == workload);
        let missing = names
            .iter()
            .filter(|name| !hit.contains(&(**name, workload)));
        proposals.extend(missing.map(|name| (!never, workload, *name)));
    }
    proposals.sort_unstable();
    let text = |(hit_before, workload, name): (bool, &str, &str)| {
        let why = if hit_before {
            "never tried on it"
        } else {
            "nothing was ever tried on it"
        };
        format!("{name} on {workload}: {why}")
    };
    proposals
        .into_iter()
        .map(text)
        .take(MOST_PROPOSALS)
        .collect()
}

/// How an alert was heard in the review's time.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct AlertCoverage {
    pub(crate) name: String,
    /// Runs that expected it, and in which it was not firing already.
    pub(crate) expected: usize,
    /// In how many of these it fired.
    pub(crate) fired: usize,
    /// Runs in which it fired unexpectedly.
    pub(crate) unexpected: usize,
}

impl AlertCoverage {
    /// Runs that expected it in vain.
    pub(crate) fn silent(&self) -> usize {
        self.expected - self.fired
    }
}

/// The alerts of the review's runs.
pub(crate) fn alerts(scope: &Scope) -> Vec<AlertCoverage> {
    let mut alerts: BTreeMap<&str, AlertCoverage> = BTreeMap::new();
    for reviewed in &scope.runs {
        for alert in &reviewed.run.alerts {
            let known = alerts.entry(&alert.name).or_default();
            if alert.expected && !alert.before {
                known.expected += 1;
                known.fired += usize::from(alert.fired);
            } else if !alert.expected && alert.fired {
                known.unexpected += 1;
            }
        }
    }
    let named = alerts.into_iter().map(|(name, coverage)| AlertCoverage {
        name: name.to_owned(),
        ..coverage
    });
    named.filter(|it| it.expected + it.unexpected > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{AlertFact, Run};
    use crate::review::examples::{archive, run, scope};

    fn on(day: &str, name: &str, target: &str) -> Run {
        let mut run = run(day, name, Conclusion::Pass, &[]);
        run.facts.targets = vec![target.to_owned()];
        run.workloads = vec!["deployment/a".to_owned(), "deployment/b".to_owned()];
        run
    }

    #[test]
    fn what_was_not_tried_is_told_with_its_last_day() {
        let mut refused = on("2026-11-03", "gone", "deployment/a");
        refused.facts.conclusion = Conclusion::Refused;
        let index = archive(&[
            on("2026-09-01", "gone", "deployment/b"),
            on("2026-11-02", "kept", "deployment/a"),
            refused,
        ]);
        let scope = scope(&index);
        let texts =
            |untried: Vec<Untried>| -> Vec<String> { untried.iter().map(Untried::text).collect() };
        let configured = ["kept".to_owned(), "new".to_owned()];
        assert_eq!(
            texts(experiments(&scope, &configured)),
            ["new: never", "gone: last on 2026-09-01"]
        );
        assert_eq!(
            texts(workloads(&scope)),
            ["deployment/b: last on 2026-09-01"]
        );
        assert_eq!(
            proposals(&scope),
            [
                "gone on deployment/a: never tried on it",
                "kept on deployment/b: never tried on it"
            ]
        );
    }

    #[test]
    fn an_alert_that_fired_before_says_nothing() {
        let with = |day: &str, expected: bool, fired: bool, before: bool| {
            let mut run = on(day, "x", "deployment/a");
            run.alerts = vec![AlertFact {
                name: "Down".to_owned(),
                expected,
                fired,
                before,
            }];
            run
        };
        let index = archive(&[
            with("2026-11-01", true, true, false),
            with("2026-11-02", true, false, false),
            with("2026-11-03", true, false, true),
            with("2026-11-04", false, true, false),
            with("2026-10-01", true, true, false),
        ]);
        let found = alerts(&scope(&index));
        assert_eq!(found.len(), 1);
        let one = &found[0];
        assert_eq!((one.expected, one.silent(), one.unexpected), (2, 1, 1));
    }
}
