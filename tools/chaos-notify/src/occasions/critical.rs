//! The system failed; management is told.

use chaos_common::config::Config;
use chaos_common::record::{Availability, Occasion, Outcome, Status, Time};
use clap::Args as ClapArgs;

use crate::facts::Facts;
use crate::template::{MOST_ACTIONS, Message, Page, contact_lines, field, line, lines};

/// The most issues and impacts that are listed: management reads the first few.
const MOST: usize = 5;

/// What is known of a failure beyond the stream.
#[derive(ClapArgs, Debug)]
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
}

pub(crate) fn message(facts: &Facts, config: &Config, args: &Args, now: Time) -> Message {
    let issues = match &args.issue {
        Some(text) => vec![line(text)],
        None => recorded_issues(facts),
    };
    let impact = match &args.impact {
        Some(text) => vec![line(text)],
        None => recorded_impact(facts),
    };
    let issues = field("Issue", &issues, MOST);
    let impact = field("Impact", &impact, MOST);
    let status = facts.system_status();
    let text = format!(
        "CRITICAL: System failure during chaos experiment\n\n\
         Time: {}\n{issues}\n{impact}\n{}\n\n\
         System Status: {status}\n\nImmediate response required.\n\n{}\n",
        now.human(),
        field("Actions Taken", &facts.actions(&args.action), MOST_ACTIONS),
        field("Contact", &contact_lines(config), usize::MAX),
    );
    Message {
        occasion: Occasion::Critical,
        subject: "CRITICAL: System Failure",
        text,
        short: format!(
            "CRITICAL: System failure during chaos experiment. {issues}. {impact}. \
             System status: {status}"
        ),
        page: Some(Page::MAJOR_OUTAGE),
        names_contacts: true,
        gaps: Vec::new(),
    }
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
    let mut issues: Vec<String> = left.into_iter().collect();
    issues.extend(experiment.map_or_else(Vec::new, |r| lines(&r.data.issues)));
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
