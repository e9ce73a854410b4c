//! Lessons and next steps, by plain rules from what the stream holds. A rule that finds nothing
//! says nothing.

use chaos_common::conclusion::Conclusion;
use chaos_common::output::duration;
use chaos_common::record::{
    Availability, ChannelOutcome, Check, Notification, Overridden, PodRecovery, Record, Status,
    SystemState,
};

use super::run_record::{RunRecord, describe};
use super::subject::{is_about_alerts, is_condition};

/// The most that one field of the report lists.
pub(crate) const MOST: usize = 12;

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
    /// Applies every rule.
    pub(crate) fn of(run: &RunRecord) -> Lessons {
        let checks: Vec<&Check> = run.checks().into_iter().map(|(_, check)| check).collect();
        let judged = run.judged();
        let failures = with_status(&checks, Status::Fail);
        Lessons {
            successes: with_status(&learned(&judged), Status::Pass),
            documentation: documentation(&failures),
            follow_up: follow_up(&judged),
            failures,
            improvements: unique(improvements(run, &judged)),
            recommendations: recommendations(run.conclusion),
            process: unique(process(run, &checks)),
        }
    }

    /// What to do next, the most pressing first.
    pub(crate) fn next_steps(&self) -> Vec<String> {
        let first = |steps: &[String]| steps.iter().take(MOST).cloned().collect();
        let steps: [Vec<String>; 4] = [
            first(&self.recommendations),
            first(&self.follow_up),
            first(&self.improvements),
            first(&self.process),
        ];
        unique(steps.concat())
    }
}

/// What could be better in the system.
fn improvements(run: &RunRecord, judged: &[&Check]) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(data) = run.experiment_data() {
        if let Some(limit) = run.recovery_limit_ms() {
            let slow = data.recoveries.iter();
            found.extend(slow.filter_map(|pod| slow_recovery(pod, limit)));
        }
        found.extend(data.availability.iter().filter_map(gap));
    }
    found.extend(judged.iter().filter_map(|check| silent_alert(check)));
    if let (Some(before), Some(after)) = (&run.health, &run.verification)
        && run.touched()
    {
        found.extend(restarts(&before.data.state, &after.data.state));
    }
    found.extend(judged.iter().filter_map(|check| warning(check)));
    found
}

/// What could be better in the way the experiment was run.
fn process(run: &RunRecord, checks: &[&Check]) -> Vec<String> {
    let mut found = Vec::new();
    if let Some(data) = run.experiment_data() {
        found.extend(data.availability.iter().filter_map(missed_probes));
        found.extend(data.overridden.iter().map(overridden));
    }
    found.extend(checks.iter().filter_map(|check| measurable(check)));
    found.extend(undelivered(&run.notifications));
    found.extend(missing(run));
    found
}

/// The checks that say something of the system. That a gate was open or a limit kept is a condition
/// of the experiment and no finding.
fn learned<'a>(checks: &[&'a Check]) -> Vec<&'a Check> {
    let all = checks.iter().copied();
    all.filter(|check| !is_condition(check)).collect()
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
#[allow(clippy::cast_precision_loss, reason = "no limit has 2^52 milliseconds")]
fn slow_recovery(pod: &PodRecovery, limit_ms: u64) -> Option<String> {
    let limit_ms = limit_ms as f64;
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
            "Close the gap that callers of {}{} saw: \
             {} of {} requests without a good answer, {} at a stretch",
            a.service,
            a.path,
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
            "Run from a machine with time to spare: {} probes of {}{} could not be sent in time",
            a.missed, a.service, a.path
        )
    })
}

/// A gate that was overridden should pass the next time.
fn overridden(gate: &Overridden) -> String {
    format!("Make the gate pass that was overridden ({gate}) before the next run")
}

/// An alert that should have fired and was not seen to.
fn silent_alert(check: &Check) -> Option<String> {
    let silent = matches!(check.status, Status::Fail | Status::Unknown | Status::Warn);
    (silent && is_about_alerts(check)).then(|| format!("Make the alert heard: {}", describe(check)))
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
fn missing(run: &RunRecord) -> Vec<String> {
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
            run.experiment.is_none(),
            "the experiment (chaos-inject run)",
        ),
        (
            run.verification.is_none() && run.touched(),
            "the verification (chaos-verify)",
        ),
    ];
    let missing = steps.into_iter().filter(|(missing, _)| *missing);
    missing
        .map(|(_, step)| format!("Have {step} in the pipeline: the stream holds no record of it"))
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
            "Run the experiment again once everything in it can be measured: \
             this run proves nothing"
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
        assert_eq!(slow_recovery(&pod(Some(50_000.0)), 120_000), None);
        assert_eq!(slow_recovery(&pod(None), 120_000), None);
        assert_eq!(slow_recovery(&pod(Some(70_000.0)), 7_200_000), None);
        let text = slow_recovery(&pod(Some(70_000.0)), 120_000).expect("slow");
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
