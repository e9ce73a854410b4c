//! What the commands on archived runs share: which runs, and how a list of them looks.

use std::io::Write as _;
use std::time::{Duration, Instant};

use chaos_common::exit::{Exit, Failure};
use chaos_common::output::{duration, printable};
use chaos_common::record::{NextStep, Note, Record, Time};
use chaos_common::stream::Format;
use jiff::civil::Date;
use serde::Serialize;

use crate::index::{Depth, Entry, Index, NotFound, conclusion, find};
use crate::review::day;
use crate::store::{Store, StoreError};

/// A reading that takes longer is told.
const QUIET: Duration = Duration::from_secs(2);

/// Which runs of the archive.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Filter {
    /// Only runs of this experiment
    #[arg(long, value_name = "NAME")]
    experiment: Option<String>,
    /// Only runs that were to hit this workload, such as deployment/backend or backend
    #[arg(long, value_name = "WORKLOAD")]
    target: Option<String>,
    /// Only runs with this status: pass, fail, unknown, refused, aborted, "NOT RESTORED"
    #[arg(long, value_name = "STATUS", value_parser = status)]
    status: Option<String>,
    /// Only runs of this executor, or of one that has this in the name
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Only runs that began on this day of UTC or later
    #[arg(long, value_name = "YYYY-MM-DD")]
    since: Option<Date>,
    /// Only runs that began on this day of UTC or earlier
    #[arg(long, value_name = "YYYY-MM-DD")]
    until: Option<Date>,
}

/// A word that is no status.
#[derive(Debug, thiserror::Error)]
#[error("it is none of pass, fail, unknown, refused, aborted, \"NOT RESTORED\"")]
struct NoStatus;

fn status(text: &str) -> Result<String, NoStatus> {
    let known = conclusion(text).ok_or(NoStatus)?;
    Ok(known.word().to_owned())
}

impl Filter {
    /// The runs that are wanted, in order. A run that is archived several times is in its latest
    /// file.
    pub(crate) fn of<'e>(&'e self, entries: &'e [Entry]) -> impl Iterator<Item = &'e Entry> {
        let mut latest = std::collections::HashMap::new();
        for (number, entry) in entries.iter().enumerate() {
            latest.insert(entry.stream.identity(), number);
        }
        let entries = entries.iter().enumerate();
        entries
            .filter(move |(number, entry)| latest.get(&entry.stream.identity()) == Some(number))
            .map(|(_, entry)| entry)
            .filter(|entry| !entry.stream.is_no_run() && self.wants(entry))
    }

    fn wants(&self, entry: &Entry) -> bool {
        let facts = entry.stream.experiment.as_ref().map(|run| &run.facts);
        let says = |wanted: &Option<String>, holds: &dyn Fn(&str) -> bool| {
            wanted.as_deref().is_none_or(holds)
        };
        let day = entry.stream.began().map(day);
        says(&self.experiment, &|name| {
            facts.is_some_and(|it| it.name == name)
        }) && says(&self.status, &|word| word_of(entry) == word)
            && says(&self.by, &|who| {
                facts.is_some_and(|it| it.executor.contains(who))
            })
            && says(&self.target, &|target| {
                let is = |name: &String| {
                    name == target || name.split_once('/').is_some_and(|(_, it)| it == target)
                };
                facts.is_some_and(|it| it.targets.iter().any(is))
            })
            && self
                .since
                .is_none_or(|since| day.is_some_and(|day| day >= since))
            && self
                .until
                .is_none_or(|until| day.is_some_and(|day| day <= until))
    }
}

/// How a run came out.
pub(crate) fn word_of(entry: &Entry) -> &'static str {
    let run = entry.stream.experiment.as_ref();
    run.map_or("unknown", |run| run.facts.conclusion.word())
}

/// Opens the index of the archive. A reading that takes long is told on stderr.
///
/// # Errors
/// The archive can't be listed.
pub(crate) fn open(store: &mut dyn Store, depth: Depth) -> Result<Index, Failure> {
    let start = Instant::now();
    let mut told = Duration::ZERO;
    let mut progress = |read: usize, of: usize| {
        if start.elapsed() >= told + QUIET {
            told = start.elapsed();
            tell(&format!(
                "reading the archive into its index: {read} of {of} streams"
            ));
        }
    };
    let index = store
        .index(depth, &mut progress)
        .map_err(|error| unlisted(&error))?;
    if let Some(why) = &index.not_kept {
        tell(&format!(
            "cannot keep the index of the archive {}: {why}; every command reads all streams",
            store.place()
        ));
    }
    Ok(index)
}

fn unlisted(error: &StoreError) -> Failure {
    let hint = error.hint();
    Failure::unknown(format!("cannot list the archive {error}")).hint(hint)
}

/// Says on stderr what is not in a list, and gives the exit status for that.
pub(crate) fn exit(index: &Index) -> Exit {
    for why in &index.unreadable {
        tell(&format!("not in the list: {why}"));
    }
    for file in &index.gone {
        tell(&format!(
            "not in the list: {file}: it was in the archive and is gone"
        ));
    }
    if index.unreadable.is_empty() && index.gone.is_empty() {
        Exit::Pass
    } else {
        Exit::Unknown
    }
}

/// Tells people on stderr.
pub(crate) fn tell(message: &str) {
    // Nobody may be listening on stderr.
    let text = format!("{}: {}\n", env!("CARGO_PKG_NAME"), printable(message));
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// The run that is meant, or why there is none.
///
/// # Errors
/// There is none, or more than one.
pub(crate) fn one<'i>(index: &'i Index, text: &str) -> Result<&'i Entry, Failure> {
    find(&index.entries, text).map_err(|why| {
        let hint = match &why {
            NotFound::Several { .. } => "give more of the run's id",
            NotFound::None(_) | NotFound::Empty => {
                "chaos-report list shows the runs; name one by its id, the end of it, or last"
            }
        };
        Failure::usage(why.to_string()).hint(hint)
    })
}

/// Prints runs: a table, or a JSON object each. `more` gives lines below the run of this number.
pub(crate) fn print(runs: &[&Entry], format: Option<Format>, more: impl Fn(usize) -> Vec<String>) {
    let text = if Format::or_default(format) == Format::Text {
        table(runs, more)
    } else {
        let mut text = String::new();
        for (number, entry) in runs.iter().enumerate() {
            let line = Line::of(entry, more(number));
            text += &serde_json::to_string(&line).expect("texts and numbers are JSON");
            text.push('\n');
        }
        text
    };
    write(text.as_bytes());
}

/// Writes to standard output. A reader that closed early has what it wanted.
pub(crate) fn write(bytes: &[u8]) {
    let _ = std::io::stdout().write_all(bytes);
}

fn table(runs: &[&Entry], more: impl Fn(usize) -> Vec<String>) -> String {
    const HEAD: [&str; 8] = [
        "BEGAN (UTC)",
        "RUN",
        "EXPERIMENT",
        "TARGET",
        "STATUS",
        "LASTED",
        "RECOVERY",
        "ISSUES",
    ];
    let rows: Vec<[String; 8]> = runs.iter().map(|entry| row(entry)).collect();
    let mut widths = HEAD.map(str::len);
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String; 8]| {
        let cells = cells.iter().zip(widths);
        let cells: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    let mut text = line(&HEAD.map(str::to_owned));
    for (number, row) in rows.iter().enumerate() {
        text.push_str(&line(row));
        for place in more(number) {
            text.extend(["    ", &printable(&place), "\n"]);
        }
    }
    text
}

fn row(entry: &Entry) -> [String; 8] {
    let began = entry.stream.began();
    let began = began.map_or_else(unknown, |at| at.0.strftime("%Y-%m-%d %H:%M").to_string());
    let facts = entry.stream.experiment.as_ref().map(|run| &run.facts);
    let of = |text: &dyn Fn(&crate::index::Facts) -> String| facts.map_or_else(unknown, text);
    [
        began,
        short(&entry.stream.run),
        of(&|it| it.name.clone()),
        of(&|it| it.target()),
        word_of(entry).to_owned(),
        of(&|it| it.lasted().map_or_else(unknown, duration)),
        of(&|it| it.recovery_ms().map_or_else(unknown, duration)),
        of(&|it| it.issue_count.to_string()),
    ]
    .map(|cell| printable(&cell))
}

fn unknown() -> String {
    "-".to_owned()
}

/// The end of an id, which tells most runs apart.
pub(crate) fn short(id: &str) -> String {
    let skip = id.chars().count().saturating_sub(8);
    id.chars().skip(skip).collect()
}

/// A run as JSON.
#[derive(Serialize)]
struct Line<'e> {
    run: &'e str,
    file: &'e str,
    began: Option<Time>,
    status: &'static str,
    #[serde(flatten)]
    experiment: Option<ExperimentLine<'e>>,
    /// Where a text was found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    places: Vec<String>,
}

/// What a line says of its experiment.
#[derive(Serialize)]
struct ExperimentLine<'e> {
    experiment: &'e str,
    namespace: &'e str,
    cluster: Option<&'e str>,
    targets: &'e [String],
    executor: &'e str,
    duration_ms: Option<u64>,
    recovery_ms: Option<f64>,
    issues: usize,
}

impl Line<'_> {
    fn of(entry: &Entry, places: Vec<String>) -> Line<'_> {
        let facts = entry.stream.experiment.as_ref().map(|run| &run.facts);
        Line {
            run: &entry.stream.run,
            file: &entry.file,
            began: entry.stream.began(),
            status: word_of(entry),
            experiment: facts.map(|facts| ExperimentLine {
                experiment: &facts.name,
                namespace: &facts.namespace,
                cluster: facts.cluster.as_deref(),
                targets: &facts.targets,
                executor: &facts.executor,
                duration_ms: facts.duration_ms,
                recovery_ms: facts.recovery_ms(),
                issues: facts.issue_count,
            }),
            places,
        }
    }
}

/// All notes in order.
pub(crate) fn notes(entries: &[Entry]) -> impl Iterator<Item = &Record<Note>> {
    entries.iter().flat_map(|entry| &entry.stream.notes)
}

/// What people say of a run, a text each.
pub(crate) fn notes_on(entries: &[Entry], run: &str) -> Vec<String> {
    let mut about: Vec<&Record<Note>> = notes(entries)
        .filter(|note| note.data.about.as_deref() == Some(run))
        .collect();
    about.sort_by_key(|note| note.time);
    // A note that was made with the report is in the run's stream and in its own.
    about.dedup_by(|a, b| a.id == b.id);
    about.into_iter().flat_map(words).collect()
}

fn words(note: &Record<Note>) -> Vec<String> {
    let data = &note.data;
    let said = |what: &str, text: &str| {
        let day = note.time.0.strftime("%Y-%m-%d");
        format!("{what}: {text} ({}, {day})", data.author)
    };
    let mut texts = Vec::new();
    texts.extend(data.executor.iter().map(|who| said("executor", who)));
    texts.extend(data.lessons.iter().map(|text| said("lesson", text)));
    texts.extend(
        data.improvements
            .iter()
            .map(|text| said("improvement", text)),
    );
    texts.extend(
        data.next_steps
            .iter()
            .map(|step| said("next step", &in_words(step))),
    );
    texts
}

/// A next step with its owner and day.
pub(crate) fn in_words(step: &NextStep) -> String {
    let owner = step.owner.as_ref().map(|owner| format!(", {owner}"));
    let due = step.due.as_ref().map(|due| format!(", due {due}"));
    format!(
        "{}{}{}",
        step.text,
        owner.unwrap_or_default(),
        due.unwrap_or_default()
    )
}
