//! What belongs into the team's documents.

use chaos_common::record::{PodRecovery, Status};

use super::failures::grouped;
use super::{Found, Rule, Topic};
use crate::findings::run_record::RunRecord;
use crate::findings::words::{count, duration};

/// Something failed that a troubleshooting guide should tell of.
pub(super) const TROUBLE: Rule = Rule {
    name: "document-failures",
    topic: Topic::Documentation,
    derive: trouble,
};

fn trouble(run: &RunRecord) -> Vec<Found> {
    let failures = grouped(run.judged(), Status::Fail).len();
    // A gate that was closed is no trouble of the system.
    if failures == 0 || !run.touched() {
        return Vec::new();
    }
    let text = format!(
        "Add to troubleshooting-guide.md: {} of this run, and the remedy",
        count(failures, "failure", "failures")
    );
    vec![Found::new(text, "the failures above")]
}

/// A recovery was measured that a runbook may promise.
pub(super) const FIGURES: Rule = Rule {
    name: "document-recovery",
    topic: Topic::Documentation,
    derive: figures,
};

fn figures(run: &RunRecord) -> Vec<Found> {
    let pods = run
        .experiment_data()
        .map_or(&[][..], |data| &data.recoveries);
    let mut slowest: Vec<(&PodRecovery, f64)> = Vec::new();
    for pod in pods {
        let Some(took) = pod.recovery_ms else {
            continue;
        };
        match slowest.iter_mut().find(|(of, _)| of.owner == pod.owner) {
            Some((_, most)) => *most = most.max(took),
            None => slowest.push((pod, took)),
        }
    }
    let found = |(pod, took): &(&PodRecovery, f64)| {
        let text = format!(
            "Note in chaos-runbook.md that a pod of {} was replaced in {}",
            pod.owner,
            duration(*took)
        );
        Found::new(text, "experiment: recoveries")
    };
    slowest.iter().map(found).collect()
}
