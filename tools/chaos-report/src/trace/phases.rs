//! The phases of an experiment.

use chaos_common::record::{Event, EventKind, Experiment, Record, Time};

/// A part of an experiment's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    pub(super) name: &'static str,
    pub(super) start: Time,
    pub(super) end: Time,
}

/// The phases that an experiment came to, in order: what goes before the first write, the fault up
/// to its undo, and the recovery. A fault without an undo, such as a pod that is deleted, is over
/// when the system has recovered.
pub(super) fn phases(data: &Experiment, events: &[Record<Event>]) -> Vec<Phase> {
    let phase = |name, start, end| Phase { name, start, end };
    let Some(injected) = data.injected else {
        return vec![phase("preparation", data.started, data.ended)];
    };
    let over = data.restored.unwrap_or(data.ended);
    let undo = events.iter().find(|event| {
        event.data.event == EventKind::Undo && (injected..=over).contains(&event.time)
    });
    let mut phases = vec![phase("preparation", data.started, injected)];
    match undo {
        None => phases.push(phase("fault and recovery", injected, over)),
        Some(undo) => phases.extend([
            phase("fault", injected, undo.time),
            phase("recovery", undo.time, over),
        ]),
    }
    if over < data.ended {
        phases.push(phase("observation", over, data.ended));
    }
    phases
}
