//! Lessons and next steps, by plain rules from what the stream holds. A rule that finds nothing
//! says nothing.

use chaos_common::conclusion::Conclusion;
use chaos_common::output::duration;
use chaos_common::record::{
    Availability, ChannelOutcome, Check, Notification, PodRecovery, Record, Status, SystemState,
};

use crate::markdown::cap;
use crate::story::{Story, describe};

/// The most that one field of the report lists.
const MOST: usize = 12;

/// What stands under "Lessons Learned" and "Next Steps".
pub(crate) struct Lessons {
    pub(crate) successes: Vec<String>,
    pub(crate) failures: Vec<String>,
    pub(crate) improvements: Vec<String>,
    pub(crate) recommendations: Vec<String>,
    pub(crate) follow_up: Vec<String>,
    pub(crate) process: Vec<String>,
    pub(crate) documentation: Vec<String>,
}

impl Lessons {
    /// Applies every rule. `recovery_limit_ms` is the configured limit of this kind of experiment,
    /// where there is one.
    pub(crate) fn of(story: &Story, recovery_limit_ms: Option<f64>) -> Lessons {
        let checks: Vec<&Check> = story.checks().into_iter().map(|(_, check)| check).collect();
        let judged = story.judged();
        let mut improvements = Vec::new();
        let mut process = Vec::new();
        if let Some(experiment) = &story.experiment {
            let data = &experiment.data;
            let limit = recovery_limit_ms.unwrap_or(f64::INFINITY);
            improvements.extend(
                data.recoveries
                    .iter()
                    .filter_map(|pod| slow_recovery(pod, limit)),
            );
            improvements.extend(data.availability.iter().filter_map(gap));
            process.extend(data.availability.iter().filter_map(missed_probes));
            process.extend(overridden(data.overridden.as_deref()));
        }
        improvements.extend(judged.iter().filter_map(|check| silent_alert(check)));
        if let (Some(before), Some(after), true) =
            (&story.health, &story.verification, story.touched())
        {
            improvements.extend(restarts(&before.data.state, &after.data.state));
        }
        improvements.extend(judged.iter().filter_map(|check| warning(check)));
        process.extend(checks.iter().filter_map(|check| measurable(check)));
        process.extend(undelivered(&story.notifications));
        process.extend(missing(story));
        let failures: Vec<String> = with_status(&checks, Status::Fail);
        Lessons {
            successes: cap(with_status(&learned(&judged), Status::Pass), MOST),
            documentation: documentation(&failures),
            follow_up: cap(follow_up(&judged), MOST),
            failures: cap(failures, MOST),
            improvements: cap(unique(improvements), MOST),
            recommendations: recommendations(story.conclusion),
            process: cap(unique(process), MOST),
        }
    }

    /// What to do next, the most pressing first.
    pub(crate) fn next_steps(&self) -> Vec<String> {
        let steps = [
            &self.recommendations,
            &self.follow_up,
            &self.improvements,
            &self.process,
        ];
        unique(
            steps
                .into_iter()
                .flatten()
                .filter(|step| !step.starts_with("and "))
                .cloned()
                .collect(),
        )
    }
}

/// The checks that say something of the system. That a gate was open or a limit kept is a condition
/// of the experiment and no finding.
fn learned<'a>(checks: &[&'a Check]) -> Vec<&'a Check> {
    let condition = |check: &Check| {
        ["limit.", "gate.", "intent."]
            .iter()
            .any(|part| check.id.starts_with(part))
    };
    checks
        .iter()
        .copied()
        .filter(|check| !condition(check))
        .collect()
}

fn with_status(checks: &[&Check], status: Status) -> Vec<String> {
    checks
        .iter()
        .filter(|check| check.status == status)
        .map(|check| describe(check))
        .collect()
}

fn unique(values: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    values
        .into_iter()
        .filter(|value| seen.insert(value.clone()))
        .collect()
}

/// A recovery that took more than half of what is allowed leaves little room.
fn slow_recovery(pod: &PodRecovery, limit_ms: f64) -> Option<String> {
    let took = pod.recovery_ms.filter(|took| *took > limit_ms / 2.0)?;
    Some(format!(
        "Make {} recover faster: {} of the {} that are allowed",
        pod.owner,
        duration(took),
        duration(limit_ms)
    ))
}

/// Callers that went without an answer.
fn gap(a: &Availability) -> Option<String> {
    (a.longest_gap_ms > 0.0 || a.good < a.requests).then(|| {
        format!(
            "Close the gap that callers of {} saw: {} of {} requests without a good answer, {} at a stretch",
            a.service,
            a.requests.saturating_sub(a.good),
            a.requests,
            duration(a.longest_gap_ms)
        )
    })
}

/// Probes that this machine could not send prove nothing.
fn missed_probes(a: &Availability) -> Option<String> {
    (a.missed > 0).then(|| {
        format!(
            "Run from a machine with time to spare: {} probes of {} could not be sent in time",
            a.missed, a.service
        )
    })
}

/// A gate that was overridden should pass the next time.
fn overridden(reason: Option<&str>) -> Option<String> {
    reason.map(|reason| {
        format!("Make the gate pass that was overridden ({reason}) before the next run")
    })
}

/// An alert that should have fired and was not seen to.
fn silent_alert(check: &Check) -> Option<String> {
    let about_alerts = check
        .id
        .split(['.', '-', '_'])
        .any(|part| part == "alert" || part == "alerts");
    let silent = matches!(check.status, Status::Fail | Status::Unknown | Status::Warn);
    (about_alerts && silent).then(|| format!("Make the alert heard: {}", describe(check)))
}

/// A check that could not tell.
fn measurable(check: &Check) -> Option<String> {
    (check.status == Status::Unknown).then(|| match &check.hint {
        Some(hint) => format!("Make measurable: {} ({hint})", describe(check)),
        None => format!("Make measurable: {}", describe(check)),
    })
}

fn warning(check: &Check) -> Option<String> {
    (check.status == Status::Warn).then(|| format!("Look at {}", describe(check)))
}

/// Containers that restarted between the health check and the verification.
fn restarts(before: &SystemState, after: &SystemState) -> Vec<String> {
    let more = |now: &chaos_common::record::WorkloadState| {
        let was = before
            .workloads
            .iter()
            .find(|was| was.workload == now.workload)?;
        let grown = now.restarts - was.restarts;
        (grown > 0).then(|| {
            format!(
                "Find out why containers of {} restarted ({grown} more than before)",
                now.workload
            )
        })
    };
    after.workloads.iter().filter_map(more).collect()
}

/// Messages that did not reach anybody for sure.
fn undelivered(notifications: &[Record<Notification>]) -> Vec<String> {
    let channels = notifications
        .iter()
        .flat_map(|record| &record.data.channels);
    let lost = channels.filter(|channel| channel.outcome != ChannelOutcome::Sent);
    lost.map(|channel| format!("Repair the channel {}: {}", channel.channel, channel.detail))
        .collect()
}

/// Steps of the runbook that left no record.
fn missing(story: &Story) -> Vec<String> {
    let steps = [
        ("the health check (chaos-health)", story.health.is_none()),
        (
            "the backup check (chaos-backup-check)",
            story.backup.is_none(),
        ),
        (
            "the baseline (chaos-verify baseline)",
            story.baseline.is_none(),
        ),
        (
            "the notification of the team (chaos-notify scheduled)",
            story.notifications.is_empty(),
        ),
        (
            "the experiment (chaos-inject run)",
            story.experiment.is_none(),
        ),
        (
            "the verification (chaos-verify)",
            story.verification.is_none() && story.touched(),
        ),
    ];
    let missing = steps.into_iter().filter(|(_, missing)| *missing);
    missing
        .map(|(step, _)| format!("Have {step} in the pipeline: the stream holds no record of it"))
        .collect()
}

/// What each failed check wants done.
fn follow_up(judged: &[&Check]) -> Vec<String> {
    let failed = judged.iter().filter(|check| check.status == Status::Fail);
    failed
        .map(|check| match &check.hint {
            Some(hint) => format!("Resolve {} ({hint})", describe(check)),
            None => format!("Resolve {}", describe(check)),
        })
        .collect()
}

fn recommendations(conclusion: Conclusion) -> Vec<String> {
    let text = match conclusion {
        Conclusion::Pass => "Repeat the experiment after the next change to what it hit",
        Conclusion::Fail => {
            "Resolve what failed, then run the same experiment again before a larger one"
        }
        Conclusion::Unknown => {
            "Run the experiment again once everything in it can be measured: this run proves nothing"
        }
        Conclusion::Refused => "Clear what the experiment was refused for, then run it",
        Conclusion::Aborted => "Find out what made the experiment stop before it is run again",
        Conclusion::NotRestored => "Run chaos-inject recover now, and chaos-health after it",
    };
    vec![text.to_owned()]
}

/// Failures belong into the runbook's troubleshooting guide; nothing else is known of documents.
fn documentation(failures: &[String]) -> Vec<String> {
    match failures.len() {
        0 => vec!["none: nothing failed that a document should tell of".to_owned()],
        n => vec![format!(
            "Add what failed here ({n}) and its remedy to troubleshooting-guide.md"
        )],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::{ChannelResult, PodRef, RecoveryPhases, WorkloadRef, WorkloadState};

    fn pod(recovery_ms: Option<f64>) -> PodRecovery {
        PodRecovery {
            deleted: PodRef {
                name: "a-1".into(),
                uid: "1".into(),
            },
            replacement: None,
            owner: workload(),
            phases: RecoveryPhases::default(),
            recovery_ms,
            error_bound_ms: 1.0,
        }
    }

    fn workload() -> WorkloadRef {
        WorkloadRef {
            kind: "Deployment".into(),
            namespace: "n".into(),
            name: "a".into(),
        }
    }

    fn probes(good: u64, missed: u64, longest_gap_ms: f64) -> Availability {
        Availability {
            service: "backend".into(),
            path: "/health".into(),
            vantage: "direct".into(),
            interval_ms: 100,
            requests: 100,
            good,
            missed,
            percent: 0.0,
            longest_gap_ms,
            p50_ms: None,
            max_ms: None,
            errors: Vec::new(),
        }
    }

    #[test]
    fn slower_than_half_the_limit_is_worth_improving() {
        assert_eq!(slow_recovery(&pod(Some(50_000.0)), 120_000.0), None);
        assert_eq!(slow_recovery(&pod(None), 120_000.0), None);
        assert_eq!(slow_recovery(&pod(Some(70_000.0)), f64::INFINITY), None);
        let text = slow_recovery(&pod(Some(70_000.0)), 120_000.0).expect("slow");
        assert_eq!(
            text,
            "Make deployment/a recover faster: 70.0 s of the 120.0 s that are allowed"
        );
    }

    #[test]
    fn a_gap_and_a_bad_answer_are_worth_improving() {
        assert_eq!(gap(&probes(100, 0, 0.0)), None);
        assert!(
            gap(&probes(99, 0, 0.0))
                .expect("one bad")
                .contains("1 of 100 requests")
        );
        assert!(
            gap(&probes(90, 0, 900.0))
                .expect("gap")
                .contains("900 ms at a stretch")
        );
    }

    #[test]
    fn missed_probes_ask_for_a_quieter_machine() {
        assert_eq!(missed_probes(&probes(100, 0, 0.0)), None);
        assert!(
            missed_probes(&probes(100, 7, 0.0))
                .expect("missed")
                .contains("7 probes of backend")
        );
    }

    #[test]
    fn a_silent_alert_is_told_from_alertmanagers_health() {
        assert!(silent_alert(&Check::unknown("alert.fired", "PodDown", "not seen")).is_some());
        assert_eq!(
            silent_alert(&Check::pass("alert.fired", "PodDown", "fired")),
            None
        );
        assert_eq!(
            silent_alert(&Check::fail("monitoring.alertmanager", "", "down")),
            None
        );
    }

    #[test]
    fn what_could_not_be_told_should_become_measurable() {
        let check = Check::unknown("resources.nodes", "node-a", "no metrics API")
            .hint("install metrics-server");
        let text = measurable(&check).expect("unknown");
        assert_eq!(
            text,
            "Make measurable: resources.nodes node-a: no metrics API (install metrics-server)"
        );
        assert_eq!(measurable(&Check::pass("x", "", "")), None);
    }

    #[test]
    fn only_more_restarts_count() {
        let state = |restarts| SystemState {
            workloads: vec![WorkloadState {
                workload: workload(),
                wants: 1,
                ready: 1,
                images: Vec::new(),
                restarts,
                nodes: Vec::new(),
                cpu_cores: None,
                memory_bytes: None,
            }],
            ..SystemState::default()
        };
        assert!(restarts(&state(3), &state(3)).is_empty());
        assert!(restarts(&state(3), &state(0)).is_empty());
        assert!(restarts(&state(3), &state(5))[0].contains("2 more"));
    }

    #[test]
    fn a_channel_that_did_not_send_is_to_be_repaired() {
        let channel = |outcome| ChannelResult {
            channel: "mail".into(),
            to: "t".into(),
            outcome,
            attempts: 1,
            detail: "refused".into(),
        };
        let data = Notification {
            occasion: chaos_common::record::Occasion::Scheduled,
            subject: String::new(),
            text: String::new(),
            contacts: Vec::new(),
            channels: vec![
                channel(ChannelOutcome::Sent),
                channel(ChannelOutcome::Unknown),
            ],
            checks: Vec::new(),
        };
        let record = Record {
            schema: String::new(),
            id: String::new(),
            run: String::new(),
            time: chaos_common::record::Time::now(),
            tool: String::new(),
            verdict: None,
            summary: String::new(),
            data,
        };
        assert_eq!(undelivered(&[record]), ["Repair the channel mail: refused"]);
    }

    #[test]
    fn the_hint_of_a_failed_check_is_the_follow_up() {
        let failed =
            Check::fail("data.tables", "orders", "2 rows lost").hint("restore from the dump");
        let pass = Check::pass("x", "", "");
        assert_eq!(
            follow_up(&[&failed, &pass]),
            ["Resolve data.tables orders: 2 rows lost (restore from the dump)"]
        );
    }
}
