//! Steps of the runbook that were left out or overridden.

use chaos_common::record::{EventKind, Overridden};

use super::{Found, Rule, Topic};
use crate::findings::fault::{self, Progress};
use crate::findings::run_record::RunRecord;

/// A gate was overridden, and should pass the next time.
pub(super) const OVERRIDDEN: Rule = Rule {
    name: "overridden",
    topic: Topic::Process,
    derive: overridden,
};

fn overridden(run: &RunRecord) -> Vec<Found> {
    let gates = run
        .experiment_data()
        .map_or(&[][..], |data| &data.overridden);
    let found = |gate: &Overridden| {
        let text = format!(
            "Make the gate pass before the next run that was overridden in this one ({gate})"
        );
        Found::new(text, "experiment: overridden")
    };
    gates.iter().map(found).collect()
}

/// A step of the runbook left no record.
pub(super) const MISSING: Rule = Rule {
    name: "step-missing",
    topic: Topic::Process,
    derive: missing,
};

/// The experiment was under way, and its record is what is missing.
fn was_begun(run: &RunRecord) -> bool {
    run.events_of(EventKind::Intent).next().is_some()
        || fault::progress(run) != Progress::NothingWritten
}

fn missing(run: &RunRecord) -> Vec<Found> {
    let steps = [
        (run.health.is_none(), "the health check (chaos-health)"),
        (
            run.backup.is_none(),
            "the backup check (chaos-backup-check)",
        ),
        (
            run.baseline.is_none(),
            "the baseline (chaos-verify baseline)",
        ),
        (
            run.notifications.is_empty(),
            "the notification of the team (chaos-notify scheduled)",
        ),
        (
            run.experiment.is_none() && !was_begun(run),
            "the experiment (chaos-inject run)",
        ),
        (
            run.verification.is_none() && run.touched(),
            "the verification (chaos-verify)",
        ),
    ];
    let missing = steps.into_iter().filter(|(missing, _)| *missing);
    missing
        .map(|(_, step)| {
            let text = format!("Have {step} in the pipeline: the stream holds no record of it");
            Found::new(text, "the stream")
        })
        .collect()
}
