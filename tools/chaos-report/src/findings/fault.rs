//! What the stream tells of the fault itself: what was written, how long it was on, and how far the
//! run is known to have come.

use chaos_common::record::{Change, EventKind, Outcome, Time};

use super::run_record::RunRecord;
use super::words::{self, count};

/// The most changes that a sentence names.
const NAMED: usize = 2;

/// How far a run is known to have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// No write of the fault is known of.
    NothingWritten,
    /// The fault was begun, and nothing tells that it was taken back.
    FaultOn,
    /// Writes that take it back are known of, and no return to the steady state.
    Undone,
    /// Everything that was hit was seen at its steady state again.
    Restored,
}

/// How far the run came, by its record, and where it has none by its events.
pub(crate) fn progress(run: &RunRecord) -> Progress {
    let seen = |kind| run.events_of(kind).next().is_some();
    let data = run.experiment_data();
    let restored = data.is_some_and(|data| data.restored.is_some());
    let not_restored = data.is_some_and(|data| data.outcome == Outcome::NotRestored);
    let injected = data.is_some_and(|data| data.injected.is_some()) || seen(EventKind::Injected);
    if not_restored {
        return Progress::FaultOn;
    }
    if restored || (data.is_none() && seen(EventKind::Restored)) {
        Progress::Restored
    } else if seen(EventKind::Undo) {
        Progress::Undone
    } else if injected {
        Progress::FaultOn
    } else {
        Progress::NothingWritten
    }
}

/// When the first write of the fault was accepted.
pub(crate) fn injected(run: &RunRecord) -> Option<Time> {
    let data = run.experiment_data();
    match data {
        Some(data) => data.injected,
        None => run
            .events_of(EventKind::Injected)
            .next()
            .map(|event| event.time),
    }
}

/// From the injection to the first write that took the fault back, in milliseconds; `None` where
/// there was none, or where it is not known.
pub(crate) fn fault_ms(run: &RunRecord) -> Option<f64> {
    let undo = run.events_of(EventKind::Undo).next()?;
    undo.data.since_injection_ms
}

/// From the injection until everything that was hit was at its steady state again, in milliseconds.
pub(crate) fn restored_ms(run: &RunRecord) -> Option<f64> {
    let data = run.experiment_data()?;
    let (injected, restored) = (data.injected?, data.restored?);
    #[expect(clippy::cast_precision_loss, reason = "no run lasts 2^52 milliseconds")]
    let ms = restored.since_ms(injected) as f64;
    Some(ms)
}

/// The changes of the plan that were made: those whose object an event tells of, or all of them
/// where the stream holds no such event.
pub(crate) fn changes(run: &RunRecord) -> Vec<&Change> {
    let Some(plan) = &run.plan else {
        return Vec::new();
    };
    let objects = run.events_of(EventKind::Injected);
    let objects: Vec<&str> = objects
        .filter_map(|event| event.data.object.as_deref())
        .collect();
    let made = |change: &&Change| {
        objects.is_empty() || objects.contains(&change.object().to_string().as_str())
    };
    plan.data.changes.iter().filter(made).collect()
}

/// What was changed, in the past tense: `deleted 2 pods (a and b)`.
pub(crate) fn in_words(changes: &[&Change]) -> Option<String> {
    let mut deleted = Vec::new();
    let mut others = Vec::new();
    for change in changes {
        let object = change.object();
        match change {
            Change::Delete { .. } => deleted.push(object.name.clone()),
            Change::Create { .. } => others.push(format!("made {object}")),
            Change::Patch {
                field,
                original,
                faulted,
                ..
            } => {
                let field = field.last().map_or("a field", String::as_str);
                others.push(format!(
                    "set {field} of {object} from {original} to {faulted}"
                ));
            }
        }
    }
    let mut parts = Vec::new();
    if !deleted.is_empty() {
        let pods = count(deleted.len(), "pod", "pods");
        parts.push(format!("deleted {pods} ({})", words::list(&deleted, NAMED)));
    }
    parts.extend(others);
    (!parts.is_empty()).then(|| words::list(&parts, NAMED))
}
