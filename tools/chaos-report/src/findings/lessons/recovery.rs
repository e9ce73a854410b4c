//! How what was hit came back.

use chaos_common::record::{Outcome, PodRecovery, WorkloadState};

use super::{Found, Rule, Topic};
use crate::findings::fault;
use crate::findings::run_record::RunRecord;
use crate::findings::words::{count, duration, whole_duration};

/// Everything came back within the limit of the plan.
pub(super) const IN_TIME: Rule = Rule {
    name: "recovered-in-time",
    topic: Topic::Successes,
    derive: in_time,
};

fn in_time(run: &RunRecord) -> Vec<Found> {
    let (Some(data), Some(limit)) = (run.experiment_data(), run.recovery_limit_ms()) else {
        return Vec::new();
    };
    if data.outcome != Outcome::Completed {
        return Vec::new();
    }
    if data.recoveries.is_empty() {
        return fault_end(run, limit).into_iter().collect();
    }
    let took: Option<Vec<f64>> = data.recoveries.iter().map(|pod| pod.recovery_ms).collect();
    let slowest = took.and_then(|took| took.into_iter().max_by(f64::total_cmp));
    let slowest = slowest.filter(|slowest| *slowest <= ms(limit));
    let found = slowest.map(|slowest| {
        let pods = count(data.recoveries.len(), "pod was", "pods were");
        Found::new(
            format!(
                "{pods} replaced in at most {} of the {} that are allowed",
                duration(slowest),
                whole_duration(limit)
            ),
            "experiment: recoveries; plan: limits",
        )
    });
    found.into_iter().collect()
}

/// Of what is not replaced, from the beginning of the undo on.
fn fault_end(run: &RunRecord, limit: u64) -> Option<Found> {
    let data = run.experiment_data()?;
    fault::restored_ms(run)?;
    let took = data.timings.whole_ms.filter(|took| *took <= ms(limit))?;
    Some(Found::new(
        format!(
            "Everything that was hit was at its steady state {} after the undo of the fault began, \
             of the {} that are allowed",
            duration(took),
            whole_duration(limit)
        ),
        "experiment: timings, restored; plan: limits",
    ))
}

/// A recovery that took more than half of what is allowed leaves little room.
pub(super) const SLOW: Rule = Rule {
    name: "slow-recovery",
    topic: Topic::Improvements,
    derive: slow,
};

fn slow(run: &RunRecord) -> Vec<Found> {
    let (Some(data), Some(limit)) = (run.experiment_data(), run.recovery_limit_ms()) else {
        return Vec::new();
    };
    let of_pod = |pod: &PodRecovery| {
        let took = pod.recovery_ms.filter(|took| *took > ms(limit) / 2.0)?;
        Some(Found::new(
            format!(
                "Make {} recover faster: {} of the {} that are allowed",
                pod.owner,
                duration(took),
                whole_duration(limit)
            ),
            format!("experiment: recovery of {}; plan: limits", pod.deleted.name),
        ))
    };
    data.recoveries.iter().filter_map(of_pod).collect()
}

/// Containers restarted between the health check and the verification.
pub(super) const RESTARTED: Rule = Rule {
    name: "restarted",
    topic: Topic::Improvements,
    derive: restarted,
};

fn restarted(run: &RunRecord) -> Vec<Found> {
    let (Some(before), Some(after)) = (&run.health, &run.verification) else {
        return Vec::new();
    };
    if !run.touched() {
        return Vec::new();
    }
    let grown = |now: &WorkloadState| {
        let before = before.data.state.workloads.iter();
        let was = before.clone().find(|was| was.workload == now.workload)?;
        let grown = now.restarts - was.restarts;
        (grown > 0).then(|| {
            Found::new(
                format!(
                    "Find out why containers of {} restarted ({grown} more than before)",
                    now.workload
                ),
                "health and verification: restarts",
            )
        })
    };
    after
        .data
        .state
        .workloads
        .iter()
        .filter_map(grown)
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "no limit has 2^52 milliseconds")]
fn ms(limit: u64) -> f64 {
    limit as f64
}
