//! The steps of each pod's recovery.

use chaos_common::record::{Experiment, PodRecovery, RecoveryPhases};
use serde::Serialize;

use super::ROWS;
use crate::findings::words::duration;

/// The steps of each pod's recovery, from its deletion on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Recovery {
    pub(crate) to_ms: f64,
    pub(crate) pods: Vec<PodRow>,
}

/// One pod.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PodRow {
    pub(crate) name: String,
    pub(crate) note: String,
    /// The steps that were seen, in order, each up to its end.
    pub(crate) steps: Vec<Step>,
    pub(crate) recovered_ms: Option<f64>,
    pub(crate) error_bound_ms: f64,
}

/// A step of a recovery, and when it was seen to be over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) end_ms: f64,
}

pub(super) fn of(data: &Experiment) -> Option<Recovery> {
    let mut pods: Vec<&PodRecovery> = data.recoveries.iter().collect();
    // What was not seen to recover comes first, then the slowest.
    let took = |pod: &PodRecovery| pod.recovery_ms.unwrap_or(f64::INFINITY);
    pods.sort_by(|a, b| took(b).total_cmp(&took(a)));
    let pods: Vec<PodRow> = pods.into_iter().take(ROWS).map(pod_row).collect();
    let ends = pods.iter().flat_map(|pod| {
        let last = pod.steps.last().map(|step| step.end_ms);
        last.into_iter().chain(pod.recovered_ms)
    });
    let to_ms = ends.fold(1000.0, f64::max);
    (!pods.is_empty()).then_some(Recovery { to_ms, pods })
}

fn pod_row(pod: &PodRecovery) -> PodRow {
    let note = match (&pod.replacement, pod.recovery_ms) {
        (Some(new), Some(took)) => format!("{} after {}", new.name, duration(took)),
        (Some(new), None) => format!("{} was not seen to recover", new.name),
        (None, _) => "no replacement was seen".to_owned(),
    };
    PodRow {
        name: pod.deleted.name.clone(),
        note,
        steps: steps(&pod.phases),
        recovered_ms: pod.recovery_ms,
        error_bound_ms: pod.error_bound_ms,
    }
}

/// The steps in the order in which they were seen. Each lasts from the end of the one before it, so
/// one that was seen earlier than that takes no time.
fn steps(phases: &RecoveryPhases) -> Vec<Step> {
    let all = [
        ("created", phases.created_ms),
        ("scheduled", phases.scheduled_ms),
        ("started", phases.started_ms),
        ("ready", phases.ready_ms),
        ("in endpoints", phases.in_endpoints_ms),
        ("first answer", phases.first_answer_ms),
    ];
    let seen = all.into_iter().filter_map(|(name, end)| Some((name, end?)));
    let mut steps: Vec<Step> = seen.map(|(name, end_ms)| Step { name, end_ms }).collect();
    steps.sort_by(|a, b| a.end_ms.total_cmp(&b.end_ms));
    steps
}
