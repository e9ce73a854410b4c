//! The system failed; management is told.

use chaos_common::record::{Availability, Occasion, Outcome, Status};
use clap::Args as ClapArgs;

use super::{Escalate, Scene, Silence};
use crate::facts::Facts;
use crate::template::{Alerts, Draft, Page, Severity, line, lines};

/// What is known of a failure beyond the stream.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct Args {
    /// Describe the issue so instead of from the stream
    #[arg(long, value_name = "TEXT")]
    issue: Option<String>,
    /// Describe the impact so instead of from the stream
    #[arg(long, value_name = "TEXT")]
    impact: Option<String>,
    /// Tell of this action instead of those in the stream; may be repeated
    #[arg(long, value_name = "TEXT")]
    action: Vec<String>,
    #[command(flatten)]
    pub(super) escalation: Escalate,
}

/// The alarm.
///
/// # Errors
/// Neither the stream nor the flags tell of anything that is wrong.
pub(super) fn draft(scene: &Scene<'_>, args: &Args) -> Result<Draft, Silence> {
    let facts = scene.facts;
    let issues = match &args.issue {
        Some(text) => vec![line(text)],
        None => recorded_issues(facts),
    };
    if issues.is_empty() {
        return Err(Silence::Nothing {
            why: "the stream tells of nothing that is wrong, and no issue is given",
            hint: "pipe the stream of the run to it, or say what is wrong with --issue",
        });
    }
    let mut draft = scene.draft(Occasion::Critical, Severity::Critical, scene.time());
    draft.values.issues = issues;
    draft.values.impact = match &args.impact {
        Some(text) => vec![line(text)],
        None => recorded_impact(facts),
    };
    draft.values.actions = facts.actions(&args.action);
    draft.values.system_status = facts.system_status();
    draft.values.recover = scene.recover();
    draft.page = Some(Page::MajorOutage);
    draft.alerts = Some(Alerts::Over);
    Ok(draft)
}

/// What the stream says is wrong: a fault that is left, then what failed, the latest check first.
fn recorded_issues(facts: &Facts) -> Vec<String> {
    let experiment = facts.experiment.as_ref();
    let left = experiment
        .filter(|record| record.data.outcome == Outcome::NotRestored)
        .map(|record| {
            let reason = record.data.reason.as_deref();
            let reason = reason.unwrap_or("no reason is recorded");
            line(&format!("a fault may still be in place: {reason}"))
        });
    let rollback = facts.failed_rollback();
    let not_rolled_back = rollback.map(|r| line(&format!("the rollback: {}", r.summary)));
    let mut issues: Vec<String> = left.into_iter().chain(not_rolled_back).collect();
    issues.extend(experiment.map_or_else(Vec::new, |r| lines(&r.data.issues)));
    issues.extend(rollback.map_or_else(Vec::new, |r| lines(&r.data.issues)));
    issues.extend(facts.checks(Status::Fail));
    issues
}

/// What callers of the services met.
fn recorded_impact(facts: &Facts) -> Vec<String> {
    let records = facts.experiment.iter();
    let services = records.flat_map(|record| &record.data.availability);
    let impaired = services.filter(|service| service.good < service.requests);
    lines(impaired.map(impact))
}

fn impact(service: &Availability) -> String {
    format!(
        "{}{} answered {:.2} % of {} requests, {:.1} s without an answer at a stretch",
        service.service,
        service.path,
        service.percent,
        service.requests,
        service.longest_gap_ms / 1000.0
    )
}
