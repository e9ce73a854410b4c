//! What the experiment itself proved.

use chaos_common::record::{Check, Status};

use super::{Found, Rule, Topic};
use crate::findings::run_record::RunRecord;

/// The fault was seen to have its effect: what was withstood was really there.
pub(super) const EFFECT: Rule = Rule {
    name: "effect-proven",
    topic: Topic::Successes,
    derive: effect,
};

fn effect(run: &RunRecord) -> Vec<Found> {
    passed(run, ".effect", |check| {
        format!("The fault had its effect: {}", check.message)
    })
}

/// No write was lost that the database had acknowledged while it was broken.
pub(super) const WRITES: Rule = Rule {
    name: "writes-kept",
    topic: Topic::Successes,
    derive: writes,
};

fn writes(run: &RunRecord) -> Vec<Found> {
    passed(run, ".writes", |check| {
        format!("Writes while it was broken: {}", check.message)
    })
}

/// A check of the experiment whose id ends so and that passed.
fn passed(run: &RunRecord, ending: &str, text: impl Fn(&Check) -> String) -> Vec<Found> {
    let checks = run.experiment.iter().flat_map(|record| &record.data.checks);
    let passed = checks.filter(|check| check.status == Status::Pass && check.id.ends_with(ending));
    passed
        .map(|check| Found::new(text(check), run.place(check)))
        .collect()
}
