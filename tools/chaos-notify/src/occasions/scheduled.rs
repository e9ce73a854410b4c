//! An experiment is going to run.

use std::time::Duration;

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
    let duration = plan
        .map(|plan| Span::milliseconds(plan.worst_case_ms))
        .or(args.duration)
        .or_else(|| longest(config, &name));
    let end = duration.and_then(|duration| SignedDuration::try_from(duration.0).ok());
    let end = end
        .and_then(|duration| start.0.checked_add(duration).ok())
        .map(Time);
    let targets: Vec<String> = match plan {
        Some(plan) => {
            let name = |t: &chaos_common::record::Target| {
                format!("{}/{} of {}", t.kind.to_lowercase(), t.name, t.owner)
            };
            plan.targets
                .iter()
                .map(|target| line(&name(target)))
                .collect()
        }
        None if !args.target.is_empty() => args.target.iter().map(|text| line(text)).collect(),
        None => configured(config, &name)
            .iter()
            .map(|text| line(text))
            .collect(),
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
        short: format!(
            "Chaos Engineering Experiment Scheduled: {name} at {}",
            start.human()
        ),
        page: Some(Page::MAINTENANCE),
        names_contacts: true,
        gaps: Vec::new(),
    }
}

/// The longest that an experiment may take by the configured limits; nothing for one that has none.
fn longest(config: &Config, name: &str) -> Option<Span> {
    let s = &config.experiment;
    let (hold, recovery) = match name {
        "pod-failure" => (Span::seconds(0), s.pod_failure.recovery_limit),
        "network-partition" => (
            s.network_partition.duration,
            s.network_partition.recovery_limit,
        ),
        "resource-exhaustion" => (
            s.resource_exhaustion.duration,
            s.resource_exhaustion.recovery_limit,
        ),
        "storage-failure" => (s.storage_failure.duration, s.storage_failure.recovery_limit),
        "monitoring-failure" => (
            s.monitoring_failure.duration,
            s.monitoring_failure.recovery_limit,
        ),
        _ => return None,
    };
    [s.warm_up, hold, recovery, s.settle]
        .iter()
        .try_fold(Duration::ZERO, |sum, part| sum.checked_add(part.0))
        .map(Span)
}

/// What an experiment hits by the configuration.
fn configured(config: &Config, name: &str) -> Vec<String> {
    let s = &config.experiment;
    match name {
        "pod-failure" => s.pod_failure.workloads.clone(),
        "network-partition" => s.network_partition.workload.iter().cloned().collect(),
        "resource-exhaustion" => config
            .application
            .namespace
            .iter()
            .map(|name| format!("namespace/{name}"))
            .collect(),
        "storage-failure" => {
            let database = config
                .database
                .as_ref()
                .map(|database| format!("deployment/{}", database.deployment));
            s.storage_failure
                .workload
                .clone()
                .or(database)
                .into_iter()
                .collect()
        }
        "monitoring-failure" => {
            let systems = config
                .monitoring
                .iter()
                .flat_map(|m| [&m.prometheus, &m.grafana, &m.alertmanager]);
            systems
                .flatten()
                .map(|system| format!("deployment/{}", system.deployment))
                .collect()
        }
        _ => Vec::new(),
    }
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
        config.contacts = vec![
            contact("Primary Contact", "+1"),
            contact("Emergency Contact", "+2"),
        ];
        let facts = Facts::of(&Upstream::default());
        let now: Time = serde_json::from_str("\"2026-11-22T16:00:00Z\"").expect("RFC 3339");
        message(&facts, &config, args, now).text
    }

    #[test]
    fn every_experiment_of_the_runbook_has_targets_and_a_longest_duration() {
        let example = "../../scripts/ecommerce.toml";
        let config = chaos_common::config::load(Some(example.as_ref()))
            .expect("the example")
            .config;
        for name in [
            "pod-failure",
            "network-partition",
            "resource-exhaustion",
            "storage-failure",
            "monitoring-failure",
        ] {
            assert!(
                longest(&config, name).is_some_and(|span| span.0 >= Duration::from_secs(120)),
                "{name}"
            );
            assert!(!configured(&config, name).is_empty(), "{name}");
        }
        assert_eq!(longest(&config, "other"), None);
    }

    #[test]
    fn what_is_left_out_comes_from_the_configuration() {
        let args = ScheduledArgs {
            experiment: "pod-failure".into(),
            target: vec![],
            at: None,
            duration: None,
        };
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
        let args = ScheduledArgs {
            experiment: "game-day".into(),
            target: vec![],
            at: None,
            duration: None,
        };
        let text = text(&args);
        assert!(
            text.contains("16:00:00 UTC - not known\nDuration: not known\nTarget: not known\n"),
            "{text}"
        );
    }
}
