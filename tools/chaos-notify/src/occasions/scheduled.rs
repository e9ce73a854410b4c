//! An experiment is going to run.

use chaos_common::config::{Config, Span};
use chaos_common::record::{Check, Occasion, Plan, Target, Time};
use clap::Args as ClapArgs;
use jiff::SignedDuration;

use crate::facts::Facts;
use crate::template::{Message, NOT_KNOWN, Page, contact_lines, field, line, lines};

/// The most targets that are listed.
const MOST_TARGETS: usize = 20;

/// What is announced where the stream holds no plan, and the start.
#[derive(ClapArgs, Debug, Default)]
pub(crate) struct Args {
    /// Announce this experiment, where the stream holds no plan
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// Name this as hit, where the stream holds no plan; may be repeated
    #[arg(long, value_name = "WORKLOAD")]
    target: Vec<String>,
    /// Give this as the start, for example 2026-11-22T16:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Time>,
    /// Give this as the longest duration, for example 10m, where the stream holds no plan
    #[arg(long = "for", value_name = "DURATION")]
    duration: Option<Span>,
}

/// An argument that is no time.
#[derive(Debug, thiserror::Error)]
#[error("it is not a time such as 2026-11-22T16:00:00Z")]
struct NotATime(#[source] jiff::Error);

fn time(text: &str) -> Result<Time, NotATime> {
    text.parse().map(Time).map_err(NotATime)
}

/// What is known of the experiment, from its plan or else from the flags.
struct Notice {
    experiment: Option<String>,
    targets: Vec<String>,
    duration: Option<Span>,
}

impl Notice {
    fn of_plan(plan: &Plan) -> Notice {
        Notice {
            experiment: Some(line(&plan.experiment)),
            targets: lines(plan.targets.iter().map(target)),
            duration: Some(Span::milliseconds(plan.worst_case_ms)),
        }
    }

    fn of_flags(args: &Args) -> Notice {
        Notice {
            experiment: args.experiment.as_deref().map(line),
            targets: lines(&args.target),
            duration: args.duration,
        }
    }
}

fn target(target: &Target) -> String {
    let kind = target.kind.to_lowercase();
    format!("{kind}/{} of {}", target.name, target.owner)
}

pub(crate) fn message(facts: &Facts, config: &Config, args: &Args, now: Time) -> Message {
    let notice = match &facts.plan {
        Some(plan) => Notice::of_plan(&plan.data),
        None => Notice::of_flags(args),
    };
    let name = notice.experiment.as_deref().unwrap_or(NOT_KNOWN);
    let start = args.at.unwrap_or(now);
    let end = notice.duration.and_then(|duration| end(start, duration));
    let known = |text: Option<String>| text.unwrap_or_else(|| NOT_KNOWN.to_owned());
    let (start, end) = (start.human(), known(end.map(Time::human)));
    let duration = known(notice.duration.map(|duration| duration.to_string()));
    let text = format!(
        "Chaos Engineering Experiment Scheduled\n\n\
         Experiment: {name}\nTime: {start} - {end}\nDuration: {duration}\n{}\n{}\n\
         Please be available for support if needed.\n\n{}\n",
        field("Target", &notice.targets, MOST_TARGETS),
        missing_plan(facts).map_or_else(String::new, |why| format!("Plan: {why}\n")),
        field("Contact", &contact_lines(config), usize::MAX),
    );
    Message {
        occasion: Occasion::Scheduled,
        subject: "Chaos Engineering Experiment Notification",
        text,
        short: format!("Chaos Engineering Experiment Scheduled: {name} at {start}"),
        page: Some(Page::MAINTENANCE),
        names_contacts: true,
        gaps: missing_plan(facts).map(gap).into_iter().collect(),
    }
}

fn end(start: Time, duration: Span) -> Option<Time> {
    let duration = SignedDuration::try_from(duration.0).ok()?;
    start.0.checked_add(duration).ok().map(Time)
}

/// Why the notice is not made from a plan; `None` where it is.
fn missing_plan(facts: &Facts) -> Option<String> {
    if facts.plan.is_some() {
        return None;
    }
    Some(match facts.doubts.first() {
        None => "the stream holds none".to_owned(),
        Some(doubt) => format!("the stream holds none that can be read: {}", line(doubt)),
    })
}

/// A notice from flags is a notice too: the check leaves the verdict as it is.
fn gap(why: String) -> Check {
    Check::skipped("notify.plan", "", why)
        .hint("pipe the plan to it: chaos-inject plan EXPERIMENT | chaos-notify scheduled")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::config::Contact;
    use chaos_common::record::Status;
    use chaos_common::stream::Upstream;

    fn config() -> Config {
        let contact = |role: &str, phone: &str| Contact {
            role: role.into(),
            name: "N".into(),
            phone: phone.into(),
        };
        Config {
            contacts: vec![
                contact("Primary Contact", "+1"),
                contact("Emergency Contact", "+2"),
            ],
            ..Config::default()
        }
    }

    fn notice(stream: &str, args: &Args) -> Message {
        let upstream = match stream {
            "" => Upstream::default(),
            text => Upstream::from_reader(text.as_bytes()).expect("memory can be read"),
        };
        let now: Time = serde_json::from_str("\"2026-11-22T16:00:00Z\"").expect("RFC 3339");
        message(&Facts::of(&upstream), &config(), args, now)
    }

    #[test]
    fn without_a_plan_the_notice_is_of_the_flags_and_says_so() {
        let args = Args {
            experiment: Some("game-day".into()),
            target: vec!["deployment/backend".into()],
            at: None,
            duration: Some(Span::seconds(125)),
        };
        let message = notice("", &args);
        assert_eq!(
            message.text,
            "Chaos Engineering Experiment Scheduled\n\nExperiment: game-day\n\
             Time: 2026-11-22 16:00:00 UTC - 2026-11-22 16:02:05 UTC\nDuration: 2m 5s\n\
             Target: deployment/backend\nPlan: the stream holds none\n\n\
             Please be available for support if needed.\n\n\
             Contact:\n- Primary Contact: N - +1\n- Emergency Contact: N - +2\n"
        );
        assert_eq!(message.gaps[0].status, Status::Skipped);
    }

    #[test]
    fn what_nobody_knows_is_not_known() {
        let text = notice("", &Args::default()).text;
        let part = "Experiment: not known\nTime: 2026-11-22 16:00:00 UTC - not known\n\
                    Duration: not known\nTarget: not known\nPlan: the stream holds none\n";
        assert!(text.contains(part), "{text}");
    }

    #[test]
    fn a_plan_that_cannot_be_read_is_no_plan() {
        let newer = serde_json::json!({
            "schema": "chaos.plan/2", "id": "1", "run": "r", "time": "2026-11-22T16:00:00.000Z",
            "tool": "t 1", "verdict": "pass", "summary": "s", "data": {},
        });
        let message = notice(&format!("{newer}\n"), &Args::default());
        let part = "Plan: the stream holds none that can be read: chaos.plan/2 is newer";
        assert!(message.text.contains(part), "{}", message.text);
    }
}
