//! What is kept of a stored stream.

use std::borrow::Cow;
use std::io::Read;
use std::path::Path;

use chaos_common::record::{Backup, Note, Record, Rollback, RollbackCause, Time, Verdict};
use chaos_common::stream::Upstream;
use serde::{Deserialize, Serialize};

use super::facts::{self, AlertFact};
use super::{Answers, Facts, Names};
use crate::archive::{self, ReadError, StoredFile};
use crate::findings::RunRecord;

/// A stored stream and what is kept of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The file's name, from the archive's folder on.
    pub(crate) file: String,
    /// Its size in bytes when it was read.
    pub(crate) size: u64,
    /// When it was changed last, in nanoseconds since 1970.
    pub(crate) modified: i64,
    pub(crate) stream: Stream,
}

impl Entry {
    pub(crate) fn new(file: &StoredFile, stream: Stream) -> Entry {
        Entry {
            file: file.name.clone(),
            size: file.size,
            modified: file.modified,
            stream,
        }
    }

    /// Whether the file is still the one that was read.
    pub(crate) fn is_of(&self, file: &StoredFile) -> bool {
        (&self.file, self.size, self.modified) == (&file.name, file.size, file.modified)
    }

    /// By time, then by name.
    pub(crate) fn in_order(a: &Entry, b: &Entry) -> std::cmp::Ordering {
        let key = |entry: &Entry| entry.stream.began();
        key(a).cmp(&key(b)).then_with(|| a.file.cmp(&b.file))
    }

    /// The time that the file's name begins with, if one does.
    pub(crate) fn named_time(&self) -> Option<Time> {
        let stamp = self.stem().get(..16)?;
        let at = jiff::civil::DateTime::strptime("%Y%m%dT%H%M%SZ", stamp).ok()?;
        at.to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
            .map(|at| Time(at.timestamp()))
    }

    /// It is a report that somebody wrote by hand, and no stream.
    pub(crate) fn is_by_hand(&self) -> bool {
        archive::is_document(&self.file)
    }

    /// The name of its report in Markdown, without folder.
    pub(crate) fn report(&self) -> String {
        if self.is_by_hand() {
            return self.stem().to_owned();
        }
        format!("{}.md", self.stem())
    }

    /// The file's name without folder and endings, which its reports have as well.
    pub(crate) fn stem(&self) -> &str {
        archive::stem_of(&self.file)
    }
}

/// What is kept of a stream.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Stream {
    /// The run of its records; empty if there is none.
    pub(crate) run: String,
    /// The time of the first record that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) first: Option<Time>,
    /// The experiment, if it holds one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) experiment: Option<Run>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notes: Vec<Record<Note>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) exercises: Vec<Exercise>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) drills: Vec<Drill>,
    /// Why it can't be trusted in full.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) damage: Vec<String>,
}

/// An experiment. (Kept as its facts alone: to flatten them into more would take twice as long to
/// read, and lists show no more.)
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Run {
    pub(crate) facts: Facts,
    /// The first of its issues in words.
    #[serde(skip)]
    pub(crate) issues: Vec<String>,
    #[serde(skip)]
    pub(crate) alerts: Vec<AlertFact>,
    /// The workloads that there were, as `deployment/backend`.
    #[serde(skip)]
    pub(crate) workloads: Vec<String>,
    /// The answer of each check of the experiment and of the verification after it.
    #[serde(skip)]
    pub(crate) checks: Answers,
    /// The same of the health before it.
    #[serde(skip)]
    pub(crate) health: Answers,
}

/// Runs were looked for, stopped or rolled back, in earnest or for practice.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Exercise {
    pub(crate) time: Time,
    pub(crate) cause: RollbackCause,
    pub(crate) executor: String,
    /// Only to practise: nothing was written.
    pub(crate) dry_run: bool,
}

/// A backup that was restored for a trial.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Drill {
    /// The backup's name.
    pub(crate) backup: String,
    pub(crate) time: Time,
    pub(crate) verdict: Verdict,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) restore_ms: Option<u64>,
}

impl Run {
    /// The experiment of a run; nothing without one.
    fn of(record: &RunRecord, names: &mut Names) -> Option<Run> {
        let experiment = record.experiment.as_ref()?;
        let health = record.health.iter().flat_map(|health| &health.data.checks);
        let issues = facts::issues(record);
        Some(Run {
            issues: facts::kept(&issues),
            alerts: facts::alerts(&experiment.data),
            workloads: facts::workloads(record),
            checks: Answers::of(record.judged(), names),
            health: Answers::of(health, names),
            ..Run::from(Facts::of(record, issues.len())?)
        })
    }
}

impl From<Facts> for Run {
    /// An experiment of which nothing more is known.
    fn from(facts: Facts) -> Run {
        Run {
            facts,
            issues: Vec::new(),
            alerts: Vec::new(),
            workloads: Vec::new(),
            checks: Answers::default(),
            health: Answers::default(),
        }
    }
}

impl Stream {
    /// Reads a stored stream.
    ///
    /// # Errors
    /// It can't be read at all.
    pub(crate) fn read(path: &Path, names: &mut Names) -> Result<Stream, ReadError> {
        Stream::from_reader(archive::open(path)?, names)
    }

    /// Reads a stream that is not packed.
    ///
    /// # Errors
    /// It can't be read at all.
    pub(super) fn from_reader(input: impl Read, names: &mut Names) -> Result<Stream, ReadError> {
        let upstream = Upstream::from_reader(input).map_err(ReadError::Unreadable)?;
        Ok(Stream::of(&upstream, names))
    }

    /// What is kept of a stream that was read.
    fn of(upstream: &Upstream, names: &mut Names) -> Stream {
        let record = RunRecord::of(upstream, "");
        let experiment = Run::of(&record, names);
        let notes: Vec<Record<Note>> = upstream.all();
        let exercises = upstream.all::<Rollback>();
        let exercises: Vec<Exercise> = exercises.into_iter().filter_map(exercise).collect();
        let drills = upstream.all::<Backup>();
        let damage = record.broken.iter().chain(&record.unreadable).cloned();
        let first_note = notes.iter().map(|note| note.time).min();
        let first_exercise = exercises.iter().map(|it| it.time).min();
        Stream {
            run: upstream.run().unwrap_or_default().to_owned(),
            first: record.began().or(first_note).or(first_exercise),
            experiment,
            drills: drills.iter().flat_map(drilled).collect(),
            notes,
            exercises,
            damage: damage.collect(),
        }
    }

    /// When it began: the experiment, else the first record that there is.
    pub(crate) fn began(&self) -> Option<Time> {
        let experiment = self.experiment.as_ref().map(|run| run.facts.began);
        experiment.or(self.first)
    }

    /// It says nothing of a run: somebody's notes, a look at runs.
    pub(crate) fn is_no_run(&self) -> bool {
        let more = !self.notes.is_empty() || !self.exercises.is_empty();
        self.experiment.is_none() && more
    }

    /// What tells it from other streams, wherever it is kept.
    pub(crate) fn identity(&self) -> Cow<'_, str> {
        let experiment = self.experiment.as_ref().map(|run| &run.facts.id);
        let note = self.notes.last().map(|note| &note.id);
        if let Some(id) = experiment.or(note) {
            return Cow::Borrowed(id);
        }
        let began = self.began().map(|time| time.to_string());
        Cow::Owned(format!("{} {}", self.run, began.unwrap_or_default()))
    }
}

/// Rollbacks that did more than look.
fn exercise(record: Record<Rollback>) -> Option<Exercise> {
    let data = record.data;
    let done = matches!(
        data.cause,
        RollbackCause::Abort | RollbackCause::Recover | RollbackCause::Rollback
    );
    done.then_some(Exercise {
        time: record.time,
        cause: data.cause,
        executor: data.executor,
        dry_run: data.dry_run,
    })
}

fn drilled(record: &Record<Backup>) -> Vec<Drill> {
    let items = record.data.items.iter();
    let drill = |item: &chaos_common::record::BackupItem| {
        let drill = item.drill.as_ref()?;
        Some(Drill {
            backup: item.name.clone(),
            time: drill.time,
            verdict: drill.verdict,
            restore_ms: drill.restore_ms,
        })
    };
    items.filter_map(drill).collect()
}
