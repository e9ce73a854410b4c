//! What the archive holds, without reading every stream anew.
//!
//! The index is a file beside the streams that repeats what lists and reviews need of each. It can
//! be thrown away: an entry counts only while the stream's file has the size and the time of
//! change that it was made from, and what has no entry is read.

mod answers;
mod cache;
mod entry;
mod facts;
mod find;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;

use crate::archive::{self, StoredFile};

pub(crate) use self::answers::{Answers, Names};
#[cfg(test)]
pub(crate) use self::entry::{Drill, Exercise};
pub(crate) use self::entry::{Entry, Run, Stream};
#[cfg(test)]
pub(crate) use self::facts::AlertFact;
pub(crate) use self::facts::{Facts, conclusion};
pub(crate) use self::find::{NotFound, find};

/// How much of the index is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    /// What a list shows.
    Facts,
    /// The answer of each check as well.
    Answers,
}

/// What the archive holds.
#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Every stream that could be read, in order of time.
    pub(crate) entries: Vec<Entry>,
    /// Streams that could not be read, each with the reason.
    pub(crate) unreadable: Vec<String>,
    /// Streams that were in the archive and are in no file of it any more.
    pub(crate) gone: Vec<String>,
    /// How many streams had to be read.
    pub(crate) read: usize,
    /// Why the index could not be kept, if it could not: all is read again the next time.
    pub(crate) not_kept: Option<String>,
}

impl Index {
    /// Looks at the archive, reads what the index does not know, and keeps that for the next time.
    /// `progress` is told of a reading that takes long.
    ///
    /// # Errors
    /// The archive can't be listed.
    pub(crate) fn open(
        folder: &Path,
        depth: Depth,
        mut progress: impl FnMut(usize, usize),
    ) -> io::Result<Index> {
        let files = archive::files(folder)?;
        let known = cache::load(folder, depth);
        let is_new = |file: &StoredFile| {
            let entry = known.entries.get(&file.name);
            entry.is_none_or(|entry| !entry.is_of(file))
        };
        let fresh = files.iter().filter(|file| is_new(file)).count();
        let vanished = known.entries.len() > files.len() - fresh;
        if depth == Depth::Facts && (fresh > 0 || vanished) {
            // What is kept holds the answers as well.
            return Index::open(folder, Depth::Answers, progress);
        }
        let mut index = Index::default();
        let Known {
            mut entries,
            gone,
            mut names,
        } = known;
        let mut read = 0;
        for file in &files {
            match entries.remove(&file.name) {
                Some(entry) if entry.is_of(file) => index.entries.push(entry),
                _ => {
                    progress(read, fresh);
                    read += 1;
                    index.add(folder, file, &mut names);
                }
            }
        }
        index.gone = gone;
        index.note_gone(entries);
        index.entries.sort_by(Entry::in_order);
        index.read = read;
        if read > index.unreadable.len() || vanished {
            let kept = cache::save(folder, &index.entries, &index.gone);
            index.not_kept = kept.err().map(|error| error.to_string());
        }
        Ok(index)
    }

    fn add(&mut self, folder: &Path, file: &StoredFile, names: &mut Names) {
        match Stream::read(&folder.join(&file.name), names) {
            Ok(stream) => self.entries.push(Entry::new(file, stream)),
            Err(why) => self.unreadable.push(format!("{}: {why}", file.name)),
        }
    }

    /// Names the streams whose files are not there any more, unless another file holds the same.
    fn note_gone(&mut self, left: HashMap<String, Entry>) {
        if !left.is_empty() {
            let here = self.entries.iter().map(|entry| entry.stream.identity());
            let here: HashSet<String> = here.collect();
            let lost = left.into_iter();
            let lost = lost.filter(|(_, entry)| !here.contains(&entry.stream.identity()));
            self.gone.extend(lost.map(|(name, _)| name));
        }
        if self.gone.is_empty() {
            return;
        }
        let files: HashSet<&str> = self.entries.iter().map(|it| it.file.as_str()).collect();
        self.gone.retain(|name| !files.contains(name.as_str()));
        self.gone.sort();
        self.gone.dedup();
    }
}

/// Forgets that streams are gone, after they were removed on purpose. An index that can't be kept
/// goes on naming them.
pub(crate) fn forget_gone(folder: &Path) {
    let known = cache::load(folder, Depth::Answers);
    let entries: Vec<Entry> = known.entries.into_values().collect();
    let _ = cache::save(folder, &entries, &[]);
}

/// What a stored index knows.
#[derive(Debug, Default)]
struct Known {
    entries: HashMap<String, Entry>,
    gone: Vec<String>,
    names: Names,
}
