//! The index as a file: a head, a line of facts for each stream, then a line of details for each, so
//! that a list reads the first part only.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::Path;
use std::thread;

use serde::{Deserialize, Serialize};

use super::answers::StoredAnswers;
use super::facts::AlertFact;
use super::folder::Known;
use super::{Depth, Entry, Names, Run};
use crate::archive;

/// The fewest entries that are worth a thread.
const LEAST_SHARE: usize = 500;
/// The file's name in the archive.
const NAME: &str = ".chaos-report-index.ndjson";
/// What its entries hold; another number, and all is read anew.
pub(super) const VERSION: u32 = 3;

#[derive(Debug, Serialize, Deserialize)]
struct Head {
    index: u32,
    entries: usize,
    gone: Vec<String>,
}

/// What is kept of a run besides its facts.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Details<'a> {
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    issues: Cow<'a, [String]>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    alerts: Cow<'a, [AlertFact]>,
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    workloads: Cow<'a, [String]>,
    #[serde(borrow)]
    checks: StoredAnswers<'a>,
    #[serde(borrow)]
    health: StoredAnswers<'a>,
}

impl Details<'_> {
    /// Those of an experiment; none without one.
    pub(super) fn of(run: Option<&Run>) -> Details<'_> {
        let details = run.map(|run| Details {
            issues: Cow::Borrowed(&run.issues),
            alerts: Cow::Borrowed(&run.alerts),
            workloads: Cow::Borrowed(&run.workloads),
            checks: run.checks.stored(),
            health: run.health.stored(),
        });
        details.unwrap_or_default()
    }

    pub(super) fn give_to(self, run: &mut Run, names: &mut Names) {
        run.issues = self.issues.into_owned();
        run.alerts = self.alerts.into_owned();
        run.workloads = self.workloads.into_owned();
        run.checks = self.checks.shared(names);
        run.health = self.health.shared(names);
    }
}

/// What the index knows. One that is missing, damaged or of another version knows nothing.
pub(super) fn load(folder: &Path, depth: Depth) -> Known {
    read(&folder.join(NAME), depth).unwrap_or_default()
}

fn read(path: &Path, depth: Depth) -> Option<Known> {
    let mut lines = Lines {
        input: BufReader::with_capacity(1 << 16, File::open(path).ok()?),
        line: Vec::new(),
    };
    let head: Head = serde_json::from_slice(lines.next()?).ok()?;
    if head.index != VERSION {
        return None;
    }
    let mut known = Known {
        gone: head.gone,
        ..Known::default()
    };
    let mut order = Vec::new();
    for entry in lines.entries(head.entries)? {
        if depth == Depth::Details {
            order.push(entry.file.clone());
        }
        known.entries.insert(entry.file.clone(), entry);
    }
    for file in order {
        let details: Details = serde_json::from_slice(lines.next()?).ok()?;
        let entry = known.entries.get_mut(&file)?;
        if let Some(run) = &mut entry.stream.experiment {
            details.give_to(run, &mut known.names);
        }
    }
    Some(known)
}

/// Whole lines of a file.
struct Lines<R> {
    input: R,
    line: Vec<u8>,
}

impl<R: BufRead> Lines<R> {
    fn next(&mut self) -> Option<&[u8]> {
        self.line.clear();
        self.input.read_until(b'\n', &mut self.line).ok()?;
        self.line.strip_suffix(b"\n")
    }

    /// The next lines, an entry each, read by several threads.
    fn entries(&mut self, count: usize) -> Option<Vec<Entry>> {
        let (mut text, mut ends) = (Vec::new(), Vec::new());
        for _ in 0..count {
            self.input.read_until(b'\n', &mut text).ok()?;
            text.ends_with(b"\n").then_some(())?;
            ends.push(text.len());
        }
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let share = count.div_ceil(threads).max(LEAST_SHARE);
        let text = text.as_slice();
        thread::scope(|scope| {
            let mut begin = 0;
            let readers: Vec<_> = ends
                .chunks(share)
                .map(|ends| {
                    let start = std::mem::replace(&mut begin, ends[ends.len() - 1]);
                    scope.spawn(move || entries(text, start, ends))
                })
                .collect();
            let mut all = Vec::with_capacity(count);
            for reader in readers {
                all.extend(reader.join().expect("reading panics nowhere")?);
            }
            Some(all)
        })
    }
}

/// The entries of the lines of a text that end there, the first of which begins at `start`.
fn entries(text: &[u8], mut start: usize, ends: &[usize]) -> Option<Vec<Entry>> {
    let entry = |end: &usize| {
        let line = &text[std::mem::replace(&mut start, *end)..*end];
        serde_json::from_slice(line).ok()
    };
    ends.iter().map(entry).collect()
}

/// Replaces the index in one step.
pub(super) fn save(folder: &Path, entries: &[Entry], gone: &[String]) -> io::Result<()> {
    let mut out = BufWriter::new(archive::Draft::create(folder)?);
    let head = Head {
        index: VERSION,
        entries: entries.len(),
        gone: gone.to_vec(),
    };
    line(&mut out, &head)?;
    for entry in entries {
        line(&mut out, entry)?;
    }
    for entry in entries {
        line(&mut out, &Details::of(entry.stream.experiment.as_ref()))?;
    }
    let draft = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    // Not synced: what a crash leaves of it is noticed, and made again.
    draft.replace(folder, NAME)
}

fn line(out: &mut impl Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"\n")
}
