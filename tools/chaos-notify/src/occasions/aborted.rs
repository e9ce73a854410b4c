//! An experiment was aborted.

use chaos_common::record::{Check, Occasion, Outcome, Time};
use clap::Args as ClapArgs;

use super::{Scene, Silence};
use crate::facts::Facts;
use crate::template::{Alerts, Draft, Page, Severity, line};

/// What is known of an abort beyond the stream.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct Args {
    /// Give this reason instead of the one in the stream
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Tell of this action instead of those in the stream; may be repeated
    #[arg(long, value_name = "TEXT")]
    action: Vec<String>,
}

/// The alarm.
///
/// # Errors
/// Nothing was aborted.
pub(super) fn draft(scene: &Scene<'_>, args: &Args) -> Result<Draft, Silence> {
    let facts = scene.facts;
    if args.reason.is_none() && !facts.was_aborted() {
        return Err(Silence::Nothing {
            why: "the stream tells of nothing that was aborted, and no reason is given",
            hint: "pipe it: chaos-inject abort --reason \"WHY\" | chaos-notify aborted; \
                   or say why with --reason",
        });
    }
    let mut draft = scene.draft(Occasion::Aborted, Severity::Error, time(scene));
    let given = args.reason.as_deref().map(line);
    if let Some(reason) = given.or_else(|| facts.abort_reason()) {
        draft.values.reason = reason;
    }
    draft.values.actions = facts.actions(&args.action);
    draft.values.system_status = facts.system_status();
    if !is_restored(facts) {
        draft.values.recover = scene.recover();
    }
    draft.page = Some(page(facts));
    draft.alerts = Some(Alerts::Over);
    draft.gaps = gaps(facts);
    Ok(draft)
}

/// When it was over, as the experiment says, or when it was rolled back.
fn time(scene: &Scene<'_>) -> Time {
    let experiment = scene.facts.experiment.as_ref();
    let ended = experiment
        .filter(|record| stopped(record.data.outcome))
        .map(|record| record.data.ended);
    let rolled_back = scene.facts.rolled_back().map(|record| record.time);
    ended.or(rolled_back).unwrap_or_else(|| scene.time())
}

fn stopped(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Aborted | Outcome::NotRestored)
}

/// Whether the stream shows that the fault is gone.
fn is_restored(facts: &Facts) -> bool {
    let by_run = facts.outcome() == Some(Outcome::Aborted);
    let by_hand = facts.rolled_back().is_some() && facts.failed_rollback().is_none();
    (by_run || by_hand) && facts.outcome() != Some(Outcome::NotRestored)
}

fn page(facts: &Facts) -> Page {
    match facts.outcome() {
        Some(Outcome::NotRestored) => Page::MajorOutage,
        _ if facts.failed_rollback().is_some() => Page::MajorOutage,
        _ if facts.system_is_well() => Page::Operational,
        _ => Page::Degraded,
    }
}

/// An experiment that ran to its end was not aborted.
fn gaps(facts: &Facts) -> Vec<Check> {
    let other = facts.outcome().filter(|outcome| !stopped(*outcome));
    let gap = |_| {
        Check::unknown(
            "notify.experiment",
            "",
            "the stream's experiment was not aborted",
        )
        .hint("chaos-notify completed tells of an experiment that ended by itself")
    };
    other.map(gap).into_iter().collect()
}
