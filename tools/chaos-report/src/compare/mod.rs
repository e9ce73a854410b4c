//! Two runs beside each other: what is better, what is worse, and what can't be compared.

use std::collections::BTreeMap;

use chaos_common::output::duration;
use chaos_common::record::Status;
use serde::Serialize;

use crate::index::{Answers, Facts, Run};

/// A difference of less than this share, or of less than [`NOTABLE_MS`], is none: so much two runs
/// of the same system differ.
const NOTABLE: f64 = 0.1;
/// See [`NOTABLE`]; in milliseconds.
const NOTABLE_MS: f64 = 100.0;

/// How the second run compares with the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Change {
    Worse,
    Better,
    Same,
    /// It can't be compared.
    NotComparable,
}

impl Change {
    /// For people.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Change::Worse => "worse",
            Change::Better => "better",
            Change::Same => "same",
            Change::NotComparable => "can't tell",
        }
    }
}

/// One thing, in both runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Compared {
    pub(crate) change: Change,
    pub(crate) what: String,
    pub(crate) before: String,
    pub(crate) after: String,
    /// Why it can't be compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

/// Everything that is known of both runs, what is worse first; what is the same is left out of the
/// checks.
pub(crate) fn compare(before: &Run, after: &Run) -> Vec<Compared> {
    let mut found = vec![
        conclusion(&before.facts, &after.facts),
        recovery(&before.facts, &after.facts),
        gap(&before.facts, &after.facts),
        number("issues", before.facts.issue_count, after.facts.issue_count),
    ];
    found.extend(alerts(before, after));
    found.extend(checks("", &before.checks, &after.checks));
    found.extend(checks("health: ", &before.health, &after.health));
    found.sort_by_key(|it| it.change);
    found
}

fn conclusion(before: &Facts, after: &Facts) -> Compared {
    let (was, is) = (before.conclusion, after.conclusion);
    Compared {
        change: order(is.cmp(&was)),
        what: "status".to_owned(),
        before: was.word().to_owned(),
        after: is.word().to_owned(),
        why: None,
    }
}

/// Less is better.
fn order(after: std::cmp::Ordering) -> Change {
    match after {
        std::cmp::Ordering::Less => Change::Better,
        std::cmp::Ordering::Equal => Change::Same,
        std::cmp::Ordering::Greater => Change::Worse,
    }
}

/// Why times of the two say nothing about each other.
fn different(before: &Facts, after: &Facts) -> Option<String> {
    let named = |what: &str, was: &str, is: &str| {
        (was != is).then(|| format!("the {what} differs: {was}, then {is}"))
    };
    named("experiment", &before.name, &after.name)
        .or_else(|| named("target", &before.target(), &after.target()))
        .or_else(|| named("namespace", &before.namespace, &after.namespace))
        .or_else(|| {
            let cluster = |facts: &Facts| facts.cluster.clone().unwrap_or_default();
            named("cluster", &cluster(before), &cluster(after))
        })
}

fn recovery(before: &Facts, after: &Facts) -> Compared {
    let took = |facts: &Facts| facts.recovery_ms().filter(|_| facts.unrecovered == 0);
    let why = different(before, after).or_else(|| {
        let kind = |facts: &Facts| facts.recoveries.is_empty();
        (kind(before) != kind(after))
            .then(|| "one is of pods, the other from the end of the fault on".to_owned())
    });
    times("recovery", took(before), took(after), why)
}

fn gap(before: &Facts, after: &Facts) -> Compared {
    let why = different(before, after);
    times(
        "longest time without a good answer",
        before.gap_ms,
        after.gap_ms,
        why,
    )
}

fn times(what: &str, was: Option<f64>, is: Option<f64>, why: Option<String>) -> Compared {
    let shown = |ms: Option<f64>| ms.map_or_else(|| "not measured".to_owned(), duration);
    let missing = || Some("it was not measured in both".to_owned());
    let (change, why) = match (was, is, why) {
        (Some(was), Some(is), None) => (time_change(was, is), None),
        (_, _, Some(why)) => (Change::NotComparable, Some(why)),
        _ => (Change::NotComparable, missing()),
    };
    Compared {
        change,
        what: what.to_owned(),
        before: shown(was),
        after: shown(is),
        why,
    }
}

fn time_change(was: f64, is: f64) -> Change {
    if (is - was).abs() <= (NOTABLE * was).max(NOTABLE_MS) {
        Change::Same
    } else {
        order(is.total_cmp(&was))
    }
}

fn number(what: &str, was: usize, is: usize) -> Compared {
    Compared {
        change: order(is.cmp(&was)),
        what: what.to_owned(),
        before: was.to_string(),
        after: is.to_string(),
        why: None,
    }
}

/// Alerts that both runs expected.
fn alerts(before: &Run, after: &Run) -> Vec<Compared> {
    let of = |run: &Run, name: &str| {
        let mut alerts = run.alerts.iter();
        let alert = alerts.find(|it| it.name == name && it.expected)?;
        (!alert.before).then_some(alert.fired)
    };
    let word = |fired: bool| if fired { "fired" } else { "silent" }.to_owned();
    let compared = after.alerts.iter().filter_map(|alert| {
        let (was, is) = (of(before, &alert.name)?, of(after, &alert.name)?);
        (was != is).then(|| Compared {
            change: if is { Change::Better } else { Change::Worse },
            what: format!("alert {}", alert.name),
            before: word(was),
            after: word(is),
            why: None,
        })
    });
    compared.collect()
}

/// Checks whose answer differs. One that was not asked in both can't be compared if it is not good
/// where it was.
fn checks(prefix: &str, before: &Answers, after: &Answers) -> Vec<Compared> {
    let mut both: BTreeMap<&str, [Option<Status>; 2]> = BTreeMap::new();
    for (side, answers) in [before, after].into_iter().enumerate() {
        for (name, status) in answers.iter() {
            both.entry(name).or_default()[side] = Some(status);
        }
    }
    let compared = both.into_iter().filter_map(|(name, [was, is])| {
        let (change, why) = check_change(was, is)?;
        let word = |status: Option<Status>| status.map_or("not asked", Status::word).to_owned();
        Some(Compared {
            change,
            what: format!("{prefix}{name}"),
            before: word(was),
            after: word(is),
            why: why.map(str::to_owned),
        })
    });
    compared.collect()
}

fn check_change(was: Option<Status>, is: Option<Status>) -> Option<(Change, Option<&'static str>)> {
    use Status::{Fail, Pass, Skipped, Unknown, Warn};
    let cannot = |why| Some((Change::NotComparable, Some(why)));
    match (was?, is?) {
        _ if was == is => None,
        (Unknown, _) => cannot("it could not be told in the first run"),
        (_, Unknown) => cannot("it could not be told in the second run"),
        (Skipped, _) => cannot("it was left out in the first run"),
        (_, Skipped) => cannot("it was left out in the second run"),
        (Fail, _) | (Warn, Pass) => Some((Change::Better, None)),
        (_, Fail) | (Pass, Warn) => Some((Change::Worse, None)),
        (Pass, Pass) | (Warn, Warn) => None,
    }
}

#[cfg(test)]
mod tests {
    use chaos_common::conclusion::Conclusion;

    use super::*;
    use crate::review::examples::run;

    fn found(before: &Run, after: &Run) -> Vec<(Change, String)> {
        let all = compare(before, after).into_iter();
        all.map(|it| (it.change, it.what)).collect()
    }

    #[test]
    fn what_is_better_worse_or_not_to_be_compared_is_told_apart() {
        use Status::{Fail, Pass, Skipped, Unknown};
        let checks = |a, b, c, d| [("a", a), ("b", b), ("c", c), ("d", d)];
        let before = checks(Fail, Pass, Pass, Pass);
        let mut before = run("2026-11-01", "x", Conclusion::Fail, &before);
        let after = checks(Pass, Fail, Unknown, Skipped);
        let mut after = run("2026-11-02", "x", Conclusion::Unknown, &after);
        before.facts.recoveries = vec![9000.0];
        after.facts.recoveries = vec![4000.0, 2000.0];
        let found = found(&before, &after);
        let of = |what: &str| {
            let mut all = found.iter().filter(|it| it.1 == what).map(|it| it.0);
            all.next()
        };
        assert_eq!(of("status"), Some(Change::Better));
        assert_eq!(of("recovery"), Some(Change::Better));
        assert_eq!(of("issues"), Some(Change::Same));
        assert_eq!(of("a"), Some(Change::Better));
        assert_eq!(of("b"), Some(Change::Worse));
        assert_eq!(
            (of("c"), of("d")),
            (Some(Change::NotComparable), Some(Change::NotComparable))
        );
        assert_eq!(found[0].1, "b", "what is worse comes first");
    }

    #[test]
    fn times_of_other_targets_and_unrecovered_pods_are_not_compared() {
        let before = run("2026-11-01", "x", Conclusion::Pass, &[]);
        let mut after = run("2026-11-02", "x", Conclusion::Pass, &[]);
        let recovery = |after: &Run| super::recovery(&before.facts, &after.facts);
        assert_eq!(recovery(&after).change, Change::Same);
        after.facts.unrecovered = 1;
        assert_eq!(recovery(&after).change, Change::NotComparable);
        after.facts.unrecovered = 0;
        after.facts.targets = vec!["deployment/other".to_owned()];
        let why = recovery(&after).why.expect("a reason");
        assert_eq!(
            why,
            "the target differs: deployment/backend, then deployment/other"
        );
        assert_eq!(time_change(1000.0, 1090.0), Change::Same, "a tenth is none");
        assert_eq!(time_change(1000.0, 1200.0), Change::Worse);
    }
}
