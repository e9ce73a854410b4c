//! `note`: people's own words on a run, kept as a record beside what was recorded.

use chaos_common::executor::executor;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Data as _, NextStep, Note, Record, Time, Verdict, new_id};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;
use jiff::civil::Date;

use super::archived;
use crate::archive::{self, Draft};
use crate::index::Depth;
use crate::store::{NewStream, Notice, Store, in_folder};

/// What people say.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Words {
    /// Say who ran the experiment, where its record names only a user
    #[arg(long, value_name = "NAME", help_heading = "Your own words")]
    executor: Option<String>,
    /// Say what was learned; may be given again
    #[arg(long, value_name = "TEXT", help_heading = "Your own words")]
    lesson: Vec<String>,
    /// Say what was made better; may be given again
    #[arg(long, value_name = "TEXT", help_heading = "Your own words")]
    improvement: Vec<String>,
    /// Say what is to be done; may be given again
    #[arg(long, value_name = "TEXT", help_heading = "Your own words")]
    next_step: Vec<String>,
    /// Say who does the next steps
    #[arg(
        long,
        value_name = "NAME",
        requires = "next_step",
        help_heading = "Your own words"
    )]
    owner: Option<String>,
    /// Say by which day
    #[arg(
        long,
        value_name = "YYYY-MM-DD",
        requires = "next_step",
        help_heading = "Your own words"
    )]
    due: Option<Date>,
}

/// Which run, and what of it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The run: its id, the end of it, the name of its files, or last
    #[arg(value_name = "RUN")]
    run: String,
    #[command(flatten)]
    words: Words,
}

impl Words {
    fn is_empty(&self) -> bool {
        let texts = [&self.lesson, &self.improvement, &self.next_step];
        self.executor.is_none() && texts.iter().all(|texts| texts.is_empty())
    }

    /// The words as a record's data, if there are any.
    pub(crate) fn note(&self, about: Option<&str>) -> Option<Note> {
        let step = |text: &String| NextStep {
            id: new_id(),
            text: text.clone(),
            owner: self.owner.clone(),
            due: self.due.map(|due| due.to_string()),
        };
        (!self.is_empty()).then(|| Note {
            about: about.map(str::to_owned),
            author: executor(),
            executor: self.executor.clone(),
            lessons: self.lesson.clone(),
            improvements: self.improvement.clone(),
            next_steps: self.next_step.iter().map(step).collect(),
            done: Vec::new(),
        })
    }
}

/// Keeps a note on a run.
///
/// # Errors
/// There is no such run, nothing is said, or it can't be kept.
pub(crate) fn note(
    store: &mut dyn Store,
    args: &Args,
    format: Option<Format>,
) -> Result<Exit, Failure> {
    let index = archived::open(store, Depth::Facts)?;
    let entry = archived::one(&index, &args.run)?;
    let note = args.words.note(Some(&entry.stream.run)).ok_or_else(|| {
        Failure::usage("nothing is said of the run")
            .hint("give --lesson, --improvement, --next-step or --executor")
    })?;
    keep(store, note, format)
}

/// Keeps a note, and writes its record.
///
/// # Errors
/// It can't be kept.
pub(crate) fn keep(
    store: &mut dyn Store,
    note: Note,
    format: Option<Format>,
) -> Result<Exit, Failure> {
    let mut stream = Stream::alone(tool!(), format)?;
    let summary = summary(&note);
    if let Some(notice) = self::store(store, &note, &stream.run)? {
        archived::tell(&format!("{}\n  hint: {}", notice.text, notice.hint));
    }
    Ok(stream.result(Verdict::Pass, summary, note, Exit::Pass))
}

/// Keeps a note as a stream of its own in the archive; what people have to know of that.
///
/// # Errors
/// It can't be kept.
pub(crate) fn store(
    store: &mut dyn Store,
    note: &Note,
    run: &str,
) -> Result<Option<Notice>, Failure> {
    let record = Record {
        schema: Note::KIND.schema(),
        id: new_id(),
        run: run.to_owned(),
        time: Time::now(),
        tool: format!("{} {}", tool!().name, tool!().version),
        verdict: Some(Verdict::Pass),
        summary: summary(note),
        data: note.clone(),
    };
    let mut line = serde_json::to_vec(&record).expect("a note has string keys");
    line.push(b'\n');
    let stem = archive::stem(record.time, "note", &record.id);
    let workplace = store.workplace();
    let draft = Draft::of(&workplace, &line).map_err(in_folder(&workplace));
    let saved = draft.and_then(|draft| {
        let stream = NewStream {
            stem,
            ending: "ndjson".to_owned(),
            draft,
        };
        store.save(stream, &|_| Vec::new())
    });
    saved.map(|saved| saved.notice).map_err(|error| {
        let hint = format!("nothing was kept; {}", error.hint());
        Failure::unknown(format!("cannot keep the note in {error}")).hint(hint)
    })
}

/// How much a note says, in words.
pub(super) fn summary(note: &Note) -> String {
    let counts = [
        (note.lessons.len(), "lesson", "lessons"),
        (note.improvements.len(), "improvement", "improvements"),
        (note.next_steps.len(), "next step", "next steps"),
        (note.done.len(), "next step done", "next steps done"),
        (
            usize::from(note.executor.is_some()),
            "executor",
            "executors",
        ),
    ];
    let counts = counts.into_iter().filter(|(number, ..)| *number > 0);
    let counts: Vec<String> = counts
        .map(|(number, one, more)| format!("{number} {}", if number == 1 { one } else { more }))
        .collect();
    let about = note.about.as_ref().map(|run| format!(" on run {run}"));
    format!("{}{}", counts.join(", "), about.unwrap_or_default())
}
