//! An experiment was aborted.

use chaos_common::config::Config;
use chaos_common::record::{Check, EventKind, Occasion, Outcome, Time};
use clap::Args as ClapArgs;

use crate::facts::Facts;
use crate::template::{MOST_ACTIONS, Message, NOT_KNOWN, Page, contact_lines, field, line};

/// What is known of an abort beyond the stream.
#[derive(ClapArgs, Debug)]
pub(crate) struct Args {
    /// Give this reason instead of the one in the stream
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Tell of this action instead of those in the stream; may be repeated
    #[arg(long, value_name = "TEXT")]
    action: Vec<String>,
}

pub(crate) fn message(facts: &Facts, config: &Config, args: &Args, now: Time) -> Message {
    let reason = args.reason.clone().or_else(|| told_reason(facts));
    let reason = reason.map_or_else(|| NOT_KNOWN.to_owned(), |reason| line(&reason));
    let status = facts.system_status();
    let text = format!(
        "EMERGENCY: Chaos experiment aborted due to critical issues\n\n\
         Time: {}\nReason: {reason}\n{}\n\n\
         System Status: {status}\n\nPlease respond immediately.\n\n{}\n",
        time(facts, now).human(),
        field("Actions Taken", &facts.actions(&args.action), MOST_ACTIONS),
        field("Contact", &contact_lines(config), usize::MAX),
    );
    Message {
        occasion: Occasion::Aborted,
        subject: "EMERGENCY: Chaos Experiment Aborted",
        text,
        short: format!(
            "EMERGENCY: Chaos experiment aborted: {}. Reason: {reason}. \
             System status: {status}",
            facts.name()
        ),
        page: Some(page(facts)),
        names_contacts: true,
        gaps: gaps(facts),
    }
}

/// When it was over, as the experiment says; else now.
fn time(facts: &Facts, now: Time) -> Time {
    facts
        .experiment
        .as_ref()
        .filter(|record| stopped(record.data.outcome))
        .map_or(now, |record| record.data.ended)
}

fn stopped(outcome: Outcome) -> bool {
    matches!(outcome, Outcome::Aborted | Outcome::NotRestored)
}

fn told_reason(facts: &Facts) -> Option<String> {
    let experiment = facts
        .experiment
        .as_ref()
        .filter(|record| stopped(record.data.outcome));
    let event = facts
        .events
        .iter()
        .rev()
        .find(|record| record.data.event == EventKind::Abort);
    experiment
        .and_then(|record| record.data.reason.clone())
        .or_else(|| event.map(|record| record.summary.clone()))
}

fn page(facts: &Facts) -> Page {
    match facts.outcome() {
        Some(Outcome::NotRestored) => Page::MAJOR_OUTAGE,
        _ if facts.system_is_well() => Page::OPERATIONAL,
        _ => Page::DEGRADED,
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
