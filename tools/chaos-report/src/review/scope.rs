//! What a review looks at: the runs of its time, those before, and what else the archive tells.

use std::collections::HashSet;

use chaos_common::record::Time;
use jiff::civil::Date;

use super::period::{Days, Period, day};
use crate::index::{Entry, Index, Run};

/// Which runs a review is of.
#[derive(Clone, Debug)]
pub(crate) enum Subject {
    /// Those of a time.
    Period(Period),
    /// Those that were named, by the ids of their streams.
    Runs(Vec<String>),
}

/// A run and the file that it is in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reviewed<'i> {
    pub(crate) run: &'i Run,
    pub(crate) entry: &'i Entry,
}

impl Reviewed<'_> {
    pub(crate) fn began(&self) -> Time {
        self.run.facts.began
    }
    pub(crate) fn name(&self) -> &str {
        &self.run.facts.name
    }
    pub(crate) fn day(&self) -> String {
        self.began().0.strftime("%Y-%m-%d").to_string()
    }
}

/// The runs of a review.
#[derive(Debug)]
pub(crate) struct Scope<'i> {
    pub(crate) index: &'i Index,
    /// Its days; of runs that were named, from the first to the last.
    pub(crate) days: Days,
    /// The runs of the review, in order of time; each once.
    pub(crate) runs: Vec<Reviewed<'i>>,
    /// The runs of the time before, that it is compared with.
    pub(crate) before: Vec<Reviewed<'i>>,
    /// All runs up to the end of the review, in order of time.
    pub(crate) history: Vec<Reviewed<'i>>,
    ids: HashSet<&'i str>,
}

impl<'i> Scope<'i> {
    /// All runs of the archive.
    pub(crate) fn all(index: &'i Index) -> Scope<'i> {
        let runs = distinct(&index.entries);
        let first = runs.first().map_or(Date::MIN, |it| day(it.began()));
        let last = runs.last().map_or(Date::MAX, |it| day(it.began()));
        Scope {
            index,
            days: Days { first, last },
            before: Vec::new(),
            ids: runs.iter().map(|it| it.run.facts.id.as_str()).collect(),
            history: runs.clone(),
            runs,
        }
    }

    /// What a review looks at; nothing if none of the runs that it names is in the archive.
    pub(crate) fn of(index: &'i Index, subject: &Subject) -> Option<Scope<'i>> {
        let mut history = distinct(&index.entries);
        let (days, previous) = match subject {
            Subject::Period(period) => (period.days(), Some(period.previous().days())),
            Subject::Runs(named) => {
                let named = |it: &&Reviewed| named.contains(&it.entry.stream.run);
                let mut times = history.iter().filter(named).map(Reviewed::began);
                let first = times.next()?;
                let last = times.next_back().unwrap_or(first);
                (Period::between(first, last).days(), None)
            }
        };
        history.retain(|it| day(it.began()) <= days.last);
        let of = |wanted: &dyn Fn(&Reviewed) -> bool| {
            let runs = history.iter().filter(|it| wanted(it));
            runs.copied().collect::<Vec<Reviewed>>()
        };
        let runs = match subject {
            Subject::Period(_) => of(&|it| days.hold(it.began())),
            Subject::Runs(named) => of(&|it| named.contains(&it.entry.stream.run)),
        };
        let before = previous.map(|days| of(&|it| days.hold(it.began())));
        Some(Scope {
            index,
            days,
            before: before.unwrap_or_default(),
            ids: runs.iter().map(|it| it.run.facts.id.as_str()).collect(),
            runs,
            history,
        })
    }

    /// It is of the review's time.
    pub(crate) fn holds(&self, run: &Reviewed) -> bool {
        self.ids.contains(run.run.facts.id.as_str())
    }

    /// The streams of the review's time that are no experiment and no notes.
    pub(crate) fn without_experiment(&self) -> Vec<&str> {
        let entries = self.index.entries.iter();
        let without = entries.filter(|entry| {
            let stream = &entry.stream;
            stream.experiment.is_none() && !stream.is_no_run() && self.is_of_time(entry)
        });
        without.map(|entry| entry.file.as_str()).collect()
    }

    /// The damage of streams of the review's time.
    pub(crate) fn damaged(&self) -> Vec<String> {
        let entries = self
            .index
            .entries
            .iter()
            .filter(|entry| self.is_of_time(entry));
        entries
            .flat_map(|entry| {
                let damage = entry.stream.damage.iter();
                damage.map(|why| format!("{}: {why}", entry.file))
            })
            .collect()
    }

    /// A stream without any time may be of this one.
    fn is_of_time(&self, entry: &Entry) -> bool {
        let began = entry.stream.began().or_else(|| entry.named_time());
        began.is_none_or(|began| self.days.hold(began))
    }
}

/// Each experiment once, in order of time.
fn distinct(entries: &[Entry]) -> Vec<Reviewed<'_>> {
    let mut known = HashSet::new();
    let mut runs: Vec<Reviewed> = entries
        .iter()
        .filter_map(|entry| {
            let run = entry.stream.experiment.as_ref()?;
            known
                .insert(run.facts.id.as_str())
                .then_some(Reviewed { run, entry })
        })
        .collect();
    runs.sort_by_key(Reviewed::began);
    runs
}
