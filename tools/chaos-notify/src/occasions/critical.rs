//! The system failed; management is told.

use chaos_common::config::Config;
use chaos_common::record::{Occasion, Outcome, Status, Time};

use super::aborted::MOST_ACTIONS;
use crate::CriticalArgs;
use crate::facts::{Facts, field, line};
use crate::message::{Message, Page, contact_lines};

/// The most issues and impacts that are listed: management reads the first few.
const MOST: usize = 5;

pub(crate) fn message(facts: &Facts, config: &Config, args: &CriticalArgs, now: Time) -> Message {
    let issues = args
        .issue
        .as_ref()
        .map_or_else(|| told_issues(facts), |text| vec![line(text)]);
    let impact = args
        .impact
        .as_ref()
        .map_or_else(|| told_impact(facts), |text| vec![line(text)]);
    let (issues, impact) = (
        field("Issue", &issues, MOST),
        field("Impact", &impact, MOST),
    );
    let status = facts.system_status();
    let text = format!(
        "CRITICAL: System failure during chaos experiment\n\nTime: {}\n{issues}\n{impact}\n{}\n\n\
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
            "CRITICAL: System failure during chaos experiment. {issues}. {impact}. System status: {status}"
        ),
        page: Some(Page::MAJOR_OUTAGE),
        names_contacts: true,
        gaps: Vec::new(),
    }
}

/// What the stream says is wrong: a fault that is left, then what failed, the latest look first.
fn told_issues(facts: &Facts) -> Vec<String> {
    let experiment = facts.experiment.as_ref();
    let left = experiment
        .filter(|record| record.data.outcome == Outcome::NotRestored)
        .map(|record| {
            let reason = record
                .data
                .reason
                .as_deref()
                .unwrap_or("no reason is recorded");
            line(&format!("a fault may still be in place: {reason}"))
        });
    let noted = experiment
        .into_iter()
        .flat_map(|record| &record.data.issues)
        .map(|text| line(text));
    left.into_iter()
        .chain(noted)
        .chain(facts.checks(Status::Fail))
        .collect()
}

/// What callers of the services saw.
fn told_impact(facts: &Facts) -> Vec<String> {
    let seen = facts
        .experiment
        .iter()
        .flat_map(|record| &record.data.availability);
    let hurt = seen.filter(|a| a.good < a.requests);
    hurt.map(|a| {
        line(&format!(
            "{} answered {:.2} % of {} requests, {:.1} s without an answer at a stretch",
            a.service,
            a.percent,
            a.requests,
            a.longest_gap_ms / 1000.0
        ))
    })
    .collect()
}
