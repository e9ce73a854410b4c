//! The index of a folder.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::thread;

use super::{Depth, Entry, Index, Names, Stream, by_hand, cache};
use crate::archive::{self, StoredFile};

/// What a stored index knows.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) entries: HashMap<String, Entry>,
    pub(super) gone: Vec<String>,
    pub(super) names: Names,
}

impl Known {
    fn has(&self, file: &StoredFile) -> bool {
        let entry = self.entries.get(&file.name);
        entry.is_some_and(|entry| entry.is_of(file))
    }
}

/// What was read, by the names of the files; nothing of documents that are no reports.
type Read = HashMap<String, Option<Result<Stream, String>>>;

impl Index {
    /// Looks at the folder, reads what the index does not know, and keeps that for the next time.
    /// `progress` is told of a reading that takes long.
    ///
    /// # Errors
    /// The folder can't be listed.
    pub(crate) fn open(
        folder: &Path,
        depth: Depth,
        progress: &mut dyn FnMut(usize, usize),
    ) -> io::Result<Index> {
        let (files, mut known) = thread::scope(|scope| {
            let files = scope.spawn(|| files(folder));
            let known = cache::load(folder, depth);
            (files.join().expect("listing panics nowhere"), known)
        });
        let files = files?;
        let fresh: Vec<&StoredFile> = files.iter().filter(|file| !known.has(file)).collect();
        let vanished = known.entries.len() > files.len() - fresh.len();
        let mut read = Read::new();
        for (number, file) in fresh.iter().enumerate() {
            progress(number, fresh.len());
            let stream = read_file(folder, file, &mut known.names);
            read.insert(file.name.clone(), stream);
        }
        // What can't be read is in no index, and tried each time.
        let changed = vanished || read.values().flatten().any(Result::is_ok);
        if changed && depth == Depth::Facts {
            // What is kept holds the details as well.
            known = cache::load(folder, Depth::Details);
        }
        let mut index = Index::default();
        for file in &files {
            let entry = known.entries.remove(&file.name);
            match (entry, read.remove(&file.name)) {
                (Some(entry), _) if entry.is_of(file) => index.entries.push(entry),
                (_, Some(stream)) => index.add(file, stream),
                // It was in the index a moment ago: another program has replaced that.
                _ => index.add(file, read_file(folder, file, &mut known.names)),
            }
        }
        index.gone = known.gone;
        index.note_gone(known.entries);
        index.entries.sort_by(Entry::in_order);
        if changed {
            let kept = cache::save(folder, &index.entries, &index.gone);
            index.not_kept = kept.err().map(|error| error.to_string());
        }
        Ok(index)
    }

    fn add(&mut self, file: &StoredFile, stream: Option<Result<Stream, String>>) {
        match stream {
            Some(Ok(stream)) => self.entries.push(Entry::new(file, stream)),
            Some(Err(why)) => self.unreadable.push(format!("{}: {why}", file.name)),
            None => {}
        }
    }

    /// Names the streams whose files are not there any more, unless another file holds the same.
    fn note_gone(&mut self, left: HashMap<String, Entry>) {
        if !left.is_empty() {
            let here = self.entries.iter().map(|entry| entry.stream.identity());
            let here: HashSet<Cow<'_, str>> = here.collect();
            let lost = left.into_iter();
            let lost = lost.filter(|(_, entry)| !here.contains(&*entry.stream.identity()));
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

/// The streams of the folder, and the documents that belong to none.
fn files(folder: &Path) -> io::Result<Vec<StoredFile>> {
    let found = archive::found(folder)?;
    let mut files = found.streams;
    for name in found.documents {
        match archive::stored_file(folder, name) {
            // It vanished meanwhile, or is a link that leads nowhere.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            file => files.push(file?),
        }
    }
    Ok(files)
}

/// Reads a stream, or a report that was written by hand. Nothing if a document is no such report.
fn read_file(
    folder: &Path,
    file: &StoredFile,
    names: &mut Names,
) -> Option<Result<Stream, String>> {
    let path = folder.join(&file.name);
    if archive::is_document(&file.name) {
        let read = by_hand::read_file(&path, &file.name).transpose()?;
        return Some(read.and_then(|read| read.map_err(|why| why.to_string())));
    }
    Some(Stream::read(&path, names).map_err(|why| why.to_string()))
}

/// Forgets that streams are gone, after they were removed on purpose. An index that can't be kept
/// goes on naming them.
pub(crate) fn forget_gone(folder: &Path) {
    let known = cache::load(folder, Depth::Details);
    let entries: Vec<Entry> = known.entries.into_values().collect();
    let _ = cache::save(folder, &entries, &[]);
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const NOTE: &str = r#"{"schema":"chaos.note/1","id":"n","run":"r","time":"2026-11-22T16:00:00.000Z","tool":"t 1","summary":"s","data":{"author":"a","lessons":["l"]}}"#;

    #[test]
    fn a_stream_that_cannot_be_read_makes_nobody_write_the_index_anew() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path();
        fs::write(folder.join("a.ndjson"), format!("{NOTE}\n")).expect("writable");
        fs::write(folder.join("b.ndjson.xz"), "packed").expect("writable");
        let index = folder.join(".chaos-report-index.ndjson");
        let open = || Index::open(folder, Depth::Facts, &mut |_, _| {}).expect("listed");
        assert_eq!((open().entries.len(), open().unreadable.len()), (1, 1));
        // A list reads a part of it: what is behind the facts is not looked at.
        let text = fs::read_to_string(&index).expect("readable");
        let lines: Vec<&str> = text.lines().collect();
        let cut = format!("{}\nno details\n", lines[..2].join("\n"));
        fs::write(&index, &cut).expect("writable");
        let again = open();
        assert_eq!((again.entries.len(), again.unreadable.len()), (1, 1));
        assert_eq!(fs::read_to_string(&index).expect("readable"), cut);
    }
}
