//! The report of an experiment as plain data: what all formats show, in the same words.
//!
//! It is made once, from the stream and nothing else; a format only lays it out.

use chaos_common::record::Status;
use serde::Serialize;

use super::pictures::Pictures;

/// The whole report.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ExperimentReport {
    /// Name of the file with the stream, which lies beside the report.
    pub(crate) stream: String,
    /// The experiment's name, and where it was run.
    pub(crate) title: String,
    /// The word behind `Status:`.
    pub(crate) status: &'static str,
    /// How that word is to look.
    pub(crate) tone: Status,
    /// How long the run took.
    pub(crate) duration: String,
    /// How many issues there were.
    pub(crate) issues: usize,
    /// What matters, a sentence or two a question.
    pub(crate) opening: Vec<Answer>,
    /// What happened when.
    pub(crate) story: Vec<Moment>,
    /// The head of the runbook's form.
    pub(crate) details: Vec<Field>,
    /// The execution, as the runbook's form has it.
    pub(crate) execution: Vec<Field>,
    /// Before and after.
    pub(crate) state: StateComparison,
    /// What was learned.
    pub(crate) lessons: Vec<Section>,
    /// What to do.
    pub(crate) next_steps: Vec<Section>,
    /// What the tools looked at, and how much of it passed.
    pub(crate) records: Vec<RecordChecks>,
    /// What the figures are drawn from.
    pub(crate) pictures: Pictures,
    /// The evidence.
    pub(crate) evidence: Vec<Table>,
    /// Where all this comes from.
    pub(crate) source: Vec<Field>,
}

/// One of the questions that a reader has first.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Answer {
    /// In a few words.
    pub(crate) question: &'static str,
    /// In whole sentences.
    pub(crate) answer: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Moment {
    /// The time of day in UTC.
    pub(crate) time: String,
    /// Seconds from the injection, with a sign; absent where nothing was injected.
    pub(crate) since: Option<String>,
    /// What it was.
    pub(crate) what: String,
}

/// A field of the runbook's form.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Field {
    pub(crate) name: &'static str,
    /// Its values; none is shown as such.
    pub(crate) values: Vec<String>,
}

impl Field {
    pub(crate) fn new(name: &'static str, values: Vec<String>) -> Field {
        Field { name, values }
    }

    /// A field of one value.
    pub(crate) fn one(name: &'static str, value: impl Into<String>) -> Field {
        Field::new(name, vec![value.into()])
    }
}

/// The system before and after, side by side.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct StateComparison {
    /// What the form asks for, whether it changed or not.
    pub(crate) form: Vec<StateRow>,
    /// What is not the same any more, or can't be told.
    pub(crate) changed: Vec<StateRow>,
    /// How many other things were compared and are the same.
    pub(crate) same: usize,
    /// What was not compared, and why.
    pub(crate) missing: Vec<String>,
}

/// One thing before and after.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct StateRow {
    pub(crate) what: String,
    pub(crate) before: String,
    pub(crate) after: String,
    /// Better (pass), worse (fail), only different (warn), or not known; absent where nothing is
    /// said of it.
    pub(crate) change: Option<Status>,
}

/// A field of the form that holds lessons.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) lessons: Vec<Lesson>,
}

/// One lesson or step, by one rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Lesson {
    /// The rule that it follows from.
    pub(crate) rule: &'static str,
    pub(crate) text: String,
    /// What in the stream it rests on.
    pub(crate) evidence: String,
}

/// The checks of one record.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct RecordChecks {
    /// The record's kind without its prefix, for example `health`.
    pub(crate) record: String,
    pub(crate) verdict: Option<Status>,
    pub(crate) time: String,
    pub(crate) summary: String,
    pub(crate) counts: Counts,
    pub(crate) checks: Vec<CheckLine>,
}

/// How many checks came out how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) pass: usize,
    pub(crate) fail: usize,
    pub(crate) unknown: usize,
    pub(crate) warn: usize,
    pub(crate) skipped: usize,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CheckLine {
    pub(crate) id: String,
    pub(crate) object: String,
    pub(crate) status: Status,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// A table of the evidence.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Table {
    pub(crate) title: &'static str,
    /// How the figures were measured, and in which unit.
    pub(crate) method: String,
    pub(crate) head: Vec<&'static str>,
    pub(crate) rows: Vec<Row>,
    /// What is said where there is no row.
    pub(crate) empty: &'static str,
}

/// A row of a table.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Row {
    /// The answer that stands in the first cell, where one does.
    pub(crate) status: Option<Status>,
    pub(crate) cells: Vec<String>,
}

impl Row {
    pub(crate) fn of(cells: impl Into<Vec<String>>) -> Row {
        Row {
            status: None,
            cells: cells.into(),
        }
    }
}
