//! What the pictures of a report are drawn from. All times are milliseconds from the injection.

use chaos_common::record::{AlertSeen, AnswerWindow, Experiment, NodeState, PodRecovery};
use chaos_common::record::{Outcome, RecoveryPhases};
use serde::Serialize;

use super::callers::{self, Path};
use super::fault;
use super::run_record::RunRecord;
use super::state::gib;
use super::words::duration;

/// The most rows of a picture; what is left out stands in the tables.
const ROWS: usize = 12;

/// The most paths whose times to answer are drawn.
const CURVES: usize = 6;

/// All pictures; one that there is nothing to draw of is absent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pictures {
    pub(crate) timeline: Option<Timeline>,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) latency: Option<Latency>,
    pub(crate) usage: Option<Usage>,
}

/// The fault, what each path answered meanwhile, and the alerts, on one axis.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Timeline {
    pub(crate) from_ms: f64,
    pub(crate) to_ms: f64,
    pub(crate) phases: Vec<Phase>,
    pub(crate) paths: Vec<PathRow>,
    pub(crate) alerts: Vec<AlertRow>,
}

/// A stretch of the run.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    pub(crate) from_ms: f64,
    /// Absent where its end was not seen.
    pub(crate) to_ms: Option<f64>,
}

/// What the requests for a path met.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PathRow {
    pub(crate) name: String,
    pub(crate) note: String,
    /// Absent, where the record does not tell when which answers came.
    pub(crate) windows: Vec<Slot>,
}

/// The requests of a window.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Slot {
    pub(crate) from_ms: f64,
    pub(crate) to_ms: f64,
    /// The share that was answered well, 0 to 1, of the requests that fell due.
    pub(crate) good: f64,
    /// The share that could not be sent, so that nothing is known.
    pub(crate) unknown: f64,
}

/// When an alert fired.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct AlertRow {
    pub(crate) name: String,
    pub(crate) note: String,
    pub(crate) fired_ms: Option<f64>,
    pub(crate) delivered_ms: Option<f64>,
}

/// The steps of each pod's recovery, from its deletion on.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Recovery {
    pub(crate) to_ms: f64,
    pub(crate) pods: Vec<PodRow>,
}

/// One pod.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct PodRow {
    pub(crate) name: String,
    pub(crate) note: String,
    /// The steps that were seen, in order, each up to its end.
    pub(crate) steps: Vec<Step>,
    pub(crate) recovered_ms: Option<f64>,
    pub(crate) error_bound_ms: f64,
}

/// A step of a recovery, and when it was seen to be over.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Step {
    pub(crate) name: &'static str,
    pub(crate) end_ms: f64,
}

/// How long answers took.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) from_ms: f64,
    pub(crate) to_ms: f64,
    /// From the injection to the steady state, where that was seen.
    pub(crate) disturbed_ms: Option<f64>,
    pub(crate) paths: Vec<Curve>,
}

/// The answers of one path.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) vantage: String,
    pub(crate) highest_ms: f64,
    pub(crate) points: Vec<Point>,
}

/// The good answers of one window.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Point {
    /// The middle of the window.
    pub(crate) at_ms: f64,
    /// The median, in milliseconds; absent where no good answer came.
    pub(crate) median: Option<f64>,
    /// The slowest, in milliseconds.
    pub(crate) slowest: Option<f64>,
}

/// Use of the nodes before and after.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Usage {
    pub(crate) rows: Vec<UsageRow>,
}

/// Use of one thing, as a share of what there is, 0 to 1; absent where it is not known.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct UsageRow {
    pub(crate) name: String,
    pub(crate) unit: String,
    pub(crate) before: Option<f64>,
    pub(crate) after: Option<f64>,
}

/// All pictures of a run.
pub(crate) fn pictures(run: &RunRecord) -> Pictures {
    let injected = run.experiment_data().filter(|data| data.injected.is_some());
    Pictures {
        timeline: injected.map(|data| timeline(run, data)),
        recovery: injected.and_then(recovery),
        latency: injected.and_then(|data| latency(run, data)),
        usage: usage(run),
    }
}

#[expect(clippy::cast_precision_loss, reason = "no run lasts 2^52 milliseconds")]
fn ms(whole: i64) -> f64 {
    whole as f64
}

fn timeline(run: &RunRecord, data: &Experiment) -> Timeline {
    let windows = || data.availability.iter().flat_map(|one| &one.windows);
    let starts = windows().map(|window| ms(window.from_ms));
    let injected = data.injected.unwrap_or(data.started);
    let from_ms = starts.fold(-1000.0, f64::min);
    let alerts = data
        .alerts
        .iter()
        .flat_map(|alert| [alert.fired_ms, alert.delivered_ms]);
    let ended = ms(data.ended.since_ms(injected));
    let to_ms = windows()
        .map(|window| ms(window.from_ms + window.length_ms))
        .chain(alerts.flatten())
        .fold(ended.max(1000.0), f64::max);
    Timeline {
        from_ms,
        to_ms,
        phases: phases(run, data),
        paths: callers::paths(data)
            .iter()
            .take(ROWS)
            .map(path_row)
            .collect(),
        alerts: data.alerts.iter().take(ROWS).map(alert_row).collect(),
    }
}

/// The fault, and then the way back.
fn phases(run: &RunRecord, data: &Experiment) -> Vec<Phase> {
    let restored = fault::restored_ms(run);
    let undone = fault::fault_ms(run).filter(|_| data.outcome != Outcome::NotRestored);
    // The clocks of events and of the record are not the same to a millisecond.
    let whole = |from_ms: f64| Phase {
        name: "until the steady state",
        from_ms,
        to_ms: restored.map(|restored| restored.max(from_ms)),
    };
    let held = run.plan.as_ref().is_some_and(|plan| plan.data.hold_ms > 0);
    match undone {
        Some(undone) => vec![
            Phase {
                name: "fault on",
                from_ms: 0.0,
                to_ms: Some(undone),
            },
            whole(undone),
        ],
        // Deleted pods are replaced: there is nothing to take back.
        None if !held => vec![whole(0.0)],
        None => vec![Phase {
            name: "fault on",
            from_ms: 0.0,
            to_ms: restored,
        }],
    }
}

fn path_row(path: &Path<'_>) -> PathRow {
    let expected = if path.affected {
        "expected to suffer; "
    } else {
        ""
    };
    let gap = if path.suffered() {
        format!(", gap {}", duration(path.seen.longest_gap_ms))
    } else {
        String::new()
    };
    let missed = match path.seen.missed {
        0 => String::new(),
        missed => format!(", {missed} not sent"),
    };
    let note = if path.was_asked() {
        let (good, requests) = (path.seen.good, path.seen.requests);
        format!("{expected}{good} of {requests} good{missed}{gap}")
    } else {
        "could not be asked".to_owned()
    };
    PathRow {
        name: path.name(),
        note: format!("{note}, from {}", path.seen.vantage),
        windows: path.seen.windows.iter().map(slot).collect(),
    }
}

fn slot(window: &AnswerWindow) -> Slot {
    #[expect(clippy::cast_precision_loss, reason = "requests of one window")]
    let share = |count: u64| count as f64 / (window.requests + window.missed).max(1) as f64;
    Slot {
        from_ms: ms(window.from_ms),
        to_ms: ms(window.from_ms + window.length_ms),
        good: share(window.good),
        unknown: share(window.missed),
    }
}

fn alert_row(alert: &AlertSeen) -> AlertRow {
    let expected = if alert.expected {
        "expected"
    } else {
        "not expected"
    };
    let note = match (alert.before, alert.fired_ms, alert.delivered_ms) {
        (true, ..) => "was firing before, so it says nothing".to_owned(),
        (_, None, _) => format!("{expected}, not seen to fire"),
        (_, Some(fired), None) => format!(
            "{expected}, fired after {}, not seen in Alertmanager",
            duration(fired)
        ),
        (_, Some(fired), Some(delivered)) => format!(
            "{expected}, fired after {}, in Alertmanager after {}",
            duration(fired),
            duration(delivered)
        ),
    };
    AlertRow {
        name: alert.name.clone(),
        note,
        fired_ms: alert.fired_ms,
        delivered_ms: alert.delivered_ms,
    }
}

fn recovery(data: &Experiment) -> Option<Recovery> {
    let mut pods: Vec<&PodRecovery> = data.recoveries.iter().collect();
    // What was not seen to recover comes first, then the slowest.
    let took = |pod: &PodRecovery| pod.recovery_ms.unwrap_or(f64::INFINITY);
    pods.sort_by(|a, b| took(b).total_cmp(&took(a)));
    let pods: Vec<PodRow> = pods.into_iter().take(ROWS).map(pod_row).collect();
    let ends = pods.iter().flat_map(|pod| {
        let last = pod.steps.last().map(|step| step.end_ms);
        last.into_iter().chain(pod.recovered_ms)
    });
    let to_ms = ends.fold(1000.0, f64::max);
    (!pods.is_empty()).then_some(Recovery { to_ms, pods })
}

fn pod_row(pod: &PodRecovery) -> PodRow {
    let note = match (&pod.replacement, pod.recovery_ms) {
        (Some(new), Some(took)) => format!("{} after {}", new.name, duration(took)),
        (Some(new), None) => format!("{} was not seen to recover", new.name),
        (None, _) => "no replacement was seen".to_owned(),
    };
    PodRow {
        name: pod.deleted.name.clone(),
        note,
        steps: steps(&pod.phases),
        recovered_ms: pod.recovery_ms,
        error_bound_ms: pod.error_bound_ms,
    }
}

/// The steps in the order in which they were seen. Each lasts from the end of the one before it, so
/// one that was seen earlier than that takes no time.
fn steps(phases: &RecoveryPhases) -> Vec<Step> {
    let all = [
        ("created", phases.created_ms),
        ("scheduled", phases.scheduled_ms),
        ("started", phases.started_ms),
        ("ready", phases.ready_ms),
        ("in endpoints", phases.in_endpoints_ms),
        ("first answer", phases.first_answer_ms),
    ];
    let seen = all.into_iter().filter_map(|(name, end)| Some((name, end?)));
    let mut steps: Vec<Step> = seen.map(|(name, end_ms)| Step { name, end_ms }).collect();
    steps.sort_by(|a, b| a.end_ms.total_cmp(&b.end_ms));
    steps
}

fn latency(run: &RunRecord, data: &Experiment) -> Option<Latency> {
    let paths = callers::paths(data);
    let mut curves: Vec<Curve> = paths.iter().filter_map(curve).collect();
    curves.sort_by(|a, b| b.highest_ms.total_cmp(&a.highest_ms));
    curves.truncate(CURVES);
    let all = || {
        curves
            .iter()
            .flat_map(|curve| &curve.points)
            .map(|point| point.at_ms)
    };
    let (from_ms, to_ms) = (all().fold(0.0, f64::min), all().fold(0.0, f64::max));
    (to_ms > from_ms).then(|| Latency {
        from_ms,
        to_ms,
        disturbed_ms: fault::restored_ms(run),
        paths: curves,
    })
}

fn curve(path: &Path<'_>) -> Option<Curve> {
    let point = |window: &AnswerWindow| Point {
        at_ms: ms(window.from_ms) + ms(window.length_ms) / 2.0,
        median: window.p50_ms,
        slowest: window.max_ms,
    };
    let points: Vec<Point> = path.seen.windows.iter().map(point).collect();
    let slowest = points.iter().filter_map(|point| point.slowest);
    let highest_ms = slowest.max_by(f64::total_cmp)?;
    Some(Curve {
        name: path.name(),
        vantage: path.seen.vantage.clone(),
        highest_ms,
        points,
    })
}

fn usage(run: &RunRecord) -> Option<Usage> {
    let nodes = |state: Option<&chaos_common::record::SystemState>| {
        state.map(|state| state.nodes.clone()).unwrap_or_default()
    };
    let before = nodes(run.health.as_ref().map(|record| &record.data.state));
    let after = nodes(run.verification.as_ref().map(|record| &record.data.state));
    let all = if after.is_empty() { &before } else { &after };
    let of = |nodes: &[NodeState], name: &str| nodes.iter().find(|node| node.name == name).cloned();
    let rows = all.iter().take(ROWS).flat_map(|node| {
        let (was, is) = (of(&before, &node.name), of(&after, &node.name));
        let cpu = |node: Option<&NodeState>| {
            let node = node?;
            Some(node.cpu_cores? / positive(node.cpu_allocatable_cores)?)
        };
        let memory = |node: Option<&NodeState>| {
            let node = node?;
            Some(gib(node.memory_bytes?) / positive(gib(node.memory_allocatable_bytes))?)
        };
        let row = |what: &str, unit: String, share: &dyn Fn(Option<&NodeState>) -> Option<f64>| {
            UsageRow {
                name: format!("{} {what}", node.name),
                unit,
                before: share(was.as_ref()),
                after: share(is.as_ref()),
            }
        };
        [
            row(
                "processor",
                format!("{:.2} cores", node.cpu_allocatable_cores),
                &cpu,
            ),
            row(
                "memory",
                format!("{:.1} GiB", gib(node.memory_allocatable_bytes)),
                &memory,
            ),
        ]
    });
    let rows: Vec<UsageRow> = rows.collect();
    (!rows.is_empty()).then_some(Usage { rows })
}

fn positive(value: f64) -> Option<f64> {
    (value > 0.0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::examples::{self, event_after};
    use chaos_common::record::EventKind;

    fn window(from_ms: i64, requests: u64, good: u64) -> AnswerWindow {
        AnswerWindow {
            from_ms,
            length_ms: 1000,
            requests,
            good,
            missed: 10 - requests,
            p50_ms: (good > 0).then_some(4.0),
            max_ms: (good > 0).then_some(9.0),
        }
    }

    #[test]
    fn what_could_not_be_asked_is_no_answer() {
        let shares = |requests, good| {
            let slot = slot(&window(0, requests, good));
            (slot.good, slot.unknown)
        };
        assert_eq!(shares(10, 5), (0.5, 0.0));
        assert_eq!(shares(5, 5), (0.5, 0.5));
        assert_eq!(shares(0, 0), (0.0, 1.0));
    }

    #[test]
    fn a_fault_that_stays_ends_with_its_undo_and_one_that_is_not_restored_has_no_end() {
        let mut run = examples::run();
        run.plan().hold_ms = 30_000;
        run.events.push(event_after(EventKind::Undo, 2000.0));
        let found = pictures(&examples::read(&run)).timeline.expect("there");
        let ends: Vec<_> = found
            .phases
            .iter()
            .map(|phase| (phase.name, phase.to_ms))
            .collect();
        assert_eq!(
            ends,
            [
                ("fault on", Some(2000.0)),
                ("until the steady state", Some(5000.0))
            ]
        );
        run.experiment().outcome = Outcome::NotRestored;
        run.experiment().restored = None;
        let found = pictures(&examples::read(&run)).timeline.expect("there");
        let ends: Vec<_> = found
            .phases
            .iter()
            .map(|phase| (phase.name, phase.to_ms))
            .collect();
        assert_eq!(ends, [("fault on", None)]);
    }

    #[test]
    fn the_axis_holds_all_that_is_drawn() {
        let run = examples::changed(|run| {
            let seen = &mut run.experiment().availability[0];
            seen.windows = vec![window(-3000, 10, 10), window(14_000, 10, 10)];
        });
        let pictures = pictures(&run);
        let timeline = pictures.timeline.expect("there");
        assert_eq!((timeline.from_ms, timeline.to_ms), (-3000.0, 15_000.0));
        let latency = pictures.latency.expect("there");
        assert_eq!((latency.from_ms, latency.to_ms), (-2500.0, 14_500.0));
    }

    #[test]
    fn a_run_without_a_fault_has_nothing_to_draw_but_the_nodes() {
        let run = examples::changed(|run| {
            let data = run.experiment();
            data.outcome = Outcome::Refused;
            (data.injected, data.restored) = (None, None);
        });
        let pictures = pictures(&run);
        assert!(pictures.timeline.is_none() && pictures.recovery.is_none());
        assert!(pictures.usage.is_some());
    }
}
