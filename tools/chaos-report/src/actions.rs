//! Next steps that people wrote down, and which of them are done.

use std::collections::HashMap;

use chaos_common::record::{NextStep, Note, Record, Time};

use crate::index::Entry;

/// A next step and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Action<'e> {
    pub(crate) step: &'e NextStep,
    /// The run that it came of.
    pub(crate) about: Option<&'e str>,
    /// When it was written down.
    pub(crate) since: Time,
    /// When it was first said to be done.
    pub(crate) done: Option<Time>,
}

impl Action<'_> {
    /// Its day is over, and it was not done by then.
    pub(crate) fn is_overdue(&self, today: jiff::civil::Date) -> bool {
        let due = self.step.due.as_deref().and_then(|due| due.parse().ok());
        self.done.is_none() && due.is_some_and(|due: jiff::civil::Date| due < today)
    }
}

/// All next steps, in the order in which they were written down.
pub(crate) fn all(entries: &[Entry]) -> Vec<Action<'_>> {
    let mut notes: Vec<&Record<Note>> = entries.iter().flat_map(|it| &it.stream.notes).collect();
    notes.sort_by_key(|note| note.time);
    let mut done: HashMap<&str, Time> = HashMap::new();
    for note in &notes {
        for id in &note.data.done {
            done.entry(id).or_insert(note.time);
        }
    }
    let mut actions: Vec<Action> = Vec::new();
    for note in notes {
        for step in &note.data.next_steps {
            // A note may be in several files.
            if actions.iter().all(|action| action.step.id != step.id) {
                actions.push(Action {
                    step,
                    about: note.data.about.as_deref(),
                    since: note.time,
                    done: done.get(step.id.as_str()).copied(),
                });
            }
        }
    }
    actions
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::Stream;

    fn entry(minute: u8, note: Note) -> Entry {
        let time = format!("2026-11-22T16:{minute:02}:00.000Z");
        let record = Record {
            schema: "chaos.note/1".into(),
            id: format!("n{minute}"),
            run: "r".into(),
            time: serde_json::from_value(time.into()).expect("RFC 3339"),
            tool: "t 1".into(),
            verdict: None,
            summary: "s".into(),
            data: note,
        };
        Entry {
            file: format!("{minute}.ndjson"),
            size: 1,
            modified: 1,
            stream: Stream {
                notes: vec![record],
                ..Stream::default()
            },
        }
    }

    #[test]
    fn a_step_is_done_when_a_note_says_so_and_late_when_its_day_is_over() {
        let step = |id: &str| NextStep {
            id: id.into(),
            text: "do it".into(),
            owner: None,
            due: Some("2026-11-30".into()),
        };
        let first = Note {
            next_steps: vec![step("a"), step("b")],
            ..Note::default()
        };
        let second = Note {
            done: vec!["a".into()],
            ..Note::default()
        };
        // The same note in two files, and the order of files is not that of time.
        let entries = [entry(2, second), entry(1, first.clone()), entry(1, first)];
        let actions = all(&entries);
        let done: Vec<bool> = actions.iter().map(|action| action.done.is_some()).collect();
        assert_eq!(done, [true, false]);
        let on = |day: i8| jiff::civil::date(2026, 12, day);
        assert!(actions[1].is_overdue(on(1)) && !actions[0].is_overdue(on(1)));
        assert!(!actions[1].is_overdue(jiff::civil::date(2026, 11, 30)));
    }
}
