//! The fault, what each path answered meanwhile, and the alerts, on one axis.

use chaos_common::record::{AlertSeen, AnswerWindow, Experiment, Outcome};
use serde::Serialize;

use super::{ROWS, ms};
use crate::findings::callers::{self, Path};
use crate::findings::fault;
use crate::findings::run_record::RunRecord;
use crate::findings::words::duration;

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

pub(super) fn of(run: &RunRecord, data: &Experiment) -> Timeline {
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

pub(super) fn slot(window: &AnswerWindow) -> Slot {
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
