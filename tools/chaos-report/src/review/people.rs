//! Who ran experiments, stopped them, and practised.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chaos_common::record::{RollbackCause, Verdict};

use super::scope::Scope;

/// What one person did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) name: String,
    pub(crate) ran: usize,
    /// Aborts and rollbacks in earnest.
    pub(crate) stopped: usize,
    /// Aborts and rollbacks with a dry run.
    pub(crate) rehearsed: usize,
}

/// What each person did in the review's time. The executor is whom a note names, else whom the
/// experiment's record does.
pub(crate) fn people(scope: &Scope) -> Vec<Person> {
    let mut named: HashMap<&str, &str> = HashMap::new();
    for note in scope.index.entries.iter().flat_map(|it| &it.stream.notes) {
        if let (Some(run), Some(who)) = (&note.data.about, &note.data.executor) {
            named.insert(run, who);
        }
    }
    let mut people: BTreeMap<&str, Person> = BTreeMap::new();
    for reviewed in &scope.runs {
        let run = reviewed.entry.stream.run.as_str();
        let recorded = reviewed.run.facts.executor.as_str();
        let who = named.get(run).copied().unwrap_or(recorded);
        people.entry(who).or_default().ran += 1;
    }
    let mut known = BTreeSet::new();
    for exercise in scope
        .index
        .entries
        .iter()
        .flat_map(|it| &it.stream.exercises)
    {
        let id = (exercise.time, exercise.executor.as_str());
        if !scope.days.hold(exercise.time) || !known.insert(id) {
            continue;
        }
        let person = people.entry(&exercise.executor).or_default();
        match exercise.cause {
            _ if exercise.dry_run => person.rehearsed += 1,
            RollbackCause::Status
            | RollbackCause::Lock
            | RollbackCause::Unlock
            | RollbackCause::Watch => {}
            RollbackCause::Abort | RollbackCause::Recover | RollbackCause::Rollback => {
                person.stopped += 1;
            }
        }
    }
    let people = people.into_iter();
    people
        .map(|(name, person)| Person {
            name: name.to_owned(),
            ..person
        })
        .collect()
}

/// The restore drills of one backup.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Drills {
    pub(crate) backup: String,
    pub(crate) made: usize,
    pub(crate) passed: usize,
    /// The day of the last one, in this time or before.
    pub(crate) last: String,
}

/// The restore drills of the review's time, by backup. A backup that had one before and none in
/// this time is named with none.
pub(crate) fn drills(scope: &Scope) -> Vec<Drills> {
    let mut known = BTreeSet::new();
    let mut found: BTreeMap<&str, Drills> = BTreeMap::new();
    let entries = scope.index.entries.iter();
    let mut drills: Vec<_> = entries.flat_map(|it| &it.stream.drills).collect();
    drills.sort_by_key(|drill| drill.time);
    for drill in drills {
        let later = crate::review::day(drill.time) > scope.days.last;
        if later || !known.insert((drill.time, drill.backup.as_str())) {
            continue;
        }
        let of = found.entry(&drill.backup).or_insert_with(|| Drills {
            backup: drill.backup.clone(),
            made: 0,
            passed: 0,
            last: String::new(),
        });
        of.last = drill.time.0.strftime("%Y-%m-%d").to_string();
        if scope.days.hold(drill.time) {
            of.made += 1;
            of.passed += usize::from(drill.verdict == Verdict::Pass);
        }
    }
    found.into_values().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::index::{Drill, Exercise};
    use crate::review::examples::{archive, at, run, scope};
    use chaos_common::conclusion::Conclusion;

    #[test]
    fn drills_and_rehearsals_of_this_time_count_once() {
        let mut index = archive(&[run("2026-11-02", "a", Conclusion::Pass, &[])]);
        let exercise = |day: &str, dry_run: bool| Exercise {
            time: at(day),
            cause: RollbackCause::Rollback,
            executor: "bo@desk".to_owned(),
            dry_run,
        };
        let drill = |day: &str, verdict| Drill {
            backup: "database".to_owned(),
            time: at(day),
            verdict,
            restore_ms: None,
        };
        let stream = &mut index.entries[0].stream;
        stream.exercises = vec![
            exercise("2026-11-03", true),
            exercise("2026-11-03", true),
            exercise("2026-11-04", false),
            exercise("2026-10-04", false),
        ];
        stream.drills = vec![
            drill("2026-11-05", Verdict::Pass),
            drill("2026-11-05", Verdict::Pass),
            drill("2026-11-06", Verdict::Fail),
            drill("2026-12-06", Verdict::Pass),
        ];
        let scope = scope(&index);
        let words: Vec<_> = people(&scope)
            .into_iter()
            .map(|it| (it.name, it.ran, it.stopped, it.rehearsed))
            .collect();
        assert_eq!(
            words,
            [
                ("bo@desk".to_owned(), 0, 1, 1),
                ("ops@laptop".to_owned(), 1, 0, 0)
            ]
        );
        let found = drills(&scope);
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].made, found[0].passed), (2, 1));
        assert_eq!(found[0].last, "2026-11-06");
    }
}
