//! An experiment is going to run.

use chaos_common::config::{Config, Span};
use chaos_common::record::{Occasion, Time};
use jiff::SignedDuration;

use crate::ScheduledArgs;
use crate::facts::{Facts, NOT_KNOWN, field, line};
use crate::message::{Message, Page, contact_lines};

/// The most targets that are listed.
const MOST_TARGETS: usize = 20;

pub(crate) fn message(facts: &Facts, config: &Config, args: &ScheduledArgs, now: Time) -> Message {
    let plan = facts.plan.as_ref().map(|record| &record.data);
    let name = line(plan.map_or(args.experiment.as_str(), |plan| plan.experiment.as_str()));
    let start = args.at.unwrap_or(now);
    let duration =
        plan.map(|plan| Span::milliseconds(plan.worst_case_ms)).or(args.duration).or_else(|| longest(config, &name));
    let end = duration.and_then(|duration| SignedDuration::try_from(duration.0).ok());
    let end = end.and_then(|duration| start.0.checked_add(duration).ok()).map(Time);
    let targets: Vec<String> = match plan {
        Some(plan) => {
            let name =
                |t: &chaos_common::record::Target| format!("{}/{} of {}", t.kind.to_lowercase(), t.name, t.owner);
            plan.targets.iter().map(|target| line(&name(target))).collect()
        }
        None if !args.target.is_empty() => args.target.iter().map(|text| line(text)).collect(),
        None => configured(config, &name).iter().map(|text| line(text)).collect(),
    };
    let text = format!(
        "Chaos Engineering Experiment Scheduled\n\nExperiment: {name}\nTime: {} - {}\nDuration: {}\n{}\n\n\
         Please be available for support if needed.\n\n{}\n",
        start.human(),
        end.map_or_else(|| NOT_KNOWN.to_owned(), Time::human),
        duration.map_or_else(|| NOT_KNOWN.to_owned(), |duration| duration.to_string()),
        field("Target", &targets, MOST_TARGETS),
        field("Contact", &contact_lines(config), usize::MAX),
    );
    Message {
        occasion: Occasion::Scheduled,
        subject: "Chaos Engineering Experiment Notification",
        text,
        short: format!("Chaos Engineering Experiment Scheduled: {name} at {}", start.human()),
        page: Some(Page::MAINTENANCE),
        names_contacts: true,
        gaps: Vec::new(),
    }
}

/// The longest that an experiment may take by the configured limits; known of `pod-failure` only.
fn longest(config: &Config, name: &str) -> Option<Span> {
    let settings = &config.experiment;
    let sum = settings.warm_up.0.checked_add(settings.pod_failure.recovery_limit.0)?.checked_add(settings.settle.0)?;
    (name == "pod-failure").then_some(Span(sum))
}

fn configured<'a>(config: &'a Config, name: &str) -> &'a [String] {
    if name == "pod-failure" { &config.experiment.pod_failure.workloads } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::stream::Upstream;

    fn text(args: &ScheduledArgs) -> String {
        let mut config = Config::default();
        config.experiment.pod_failure.workloads = vec!["deployment/backend".into()];
        let contact = |role: &str, phone: &str| chaos_common::config::Contact {
            role: role.into(),
            name: "N".into(),
            phone: phone.into(),
        };
        config.contacts = vec![contact("Primary Contact", "+1"), contact("Emergency Contact", "+2")];
        let facts = Facts::of(&Upstream::default());
        let now: Time = serde_json::from_str("\"2026-11-22T16:00:00Z\"").expect("RFC 3339");
        message(&facts, &config, args, now).text
    }

    #[test]
    fn what_is_left_out_comes_from_the_configuration() {
        let args = ScheduledArgs { experiment: "pod-failure".into(), target: vec![], at: None, duration: None };
        assert_eq!(
            text(&args),
            "Chaos Engineering Experiment Scheduled\n\nExperiment: pod-failure\n\
             Time: 2026-11-22 16:00:00 UTC - 2026-11-22 16:02:05 UTC\nDuration: 2m 5s\nTarget: deployment/backend\n\n\
             Please be available for support if needed.\n\n\
             Contact:\n- Primary Contact: N - +1\n- Emergency Contact: N - +2\n"
        );
    }

    #[test]
    fn what_nobody_knows_is_not_known() {
        let args = ScheduledArgs { experiment: "network-partition".into(), target: vec![], at: None, duration: None };
        let text = text(&args);
        assert!(text.contains("16:00:00 UTC - not known\nDuration: not known\nTarget: not known\n"), "{text}");
    }
}
