//! The index of a database: what is kept beside each stream.

use super::cache::{Details, VERSION};
use super::{Depth, Entry, Index, Names, Stream};
use crate::archive::{self, ReadError};
use crate::database::{Database, DatabaseError, Kept, Row};

/// What is gathered of the rows.
#[derive(Debug, Default)]
struct Gathered {
    index: Index,
    names: Names,
    with_details: bool,
    /// Rows of which something else is kept than this version needs.
    others: Vec<Row>,
}

impl Index {
    /// Looks at what is kept in a database, and makes it anew where another version made it.
    /// `progress` is told of that.
    ///
    /// # Errors
    /// The database can't be used.
    pub(crate) fn of_database(
        database: &mut Database,
        depth: Depth,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Index, DatabaseError> {
        let with_details = depth == Depth::Details;
        let state = Gathered {
            with_details,
            ..Gathered::default()
        };
        let mut gathered = database.fold(with_details, state, Gathered::add)?;
        let others = std::mem::take(&mut gathered.others);
        for (number, mut row) in others.iter().cloned().enumerate() {
            progress(number, others.len());
            let Some(bytes) = database.stream(&row.stem)? else {
                continue;
            };
            row.kept = kept(&file(&row), &bytes);
            database.update(&row.stem, row.kept.clone())?;
            gathered.add(row);
        }
        let mut index = gathered.index;
        index.entries.sort_by(Entry::in_order);
        Ok(index)
    }
}

impl Gathered {
    fn add(&mut self, row: Row) {
        if row.kept.form != form() {
            self.others.push(row);
            return;
        }
        if let Some(why) = &row.kept.unreadable {
            self.index.unreadable.push(format!("{}: {why}", file(&row)));
            return;
        }
        match self.entry(&row) {
            Some(entry) => self.index.entries.push(entry),
            // What is kept of it is damaged.
            None => self.others.push(row),
        }
    }

    fn entry(&mut self, row: &Row) -> Option<Entry> {
        let mut stream: Stream = serde_json::from_str(row.kept.facts.as_deref()?).ok()?;
        if let Some(run) = stream.experiment.as_mut().filter(|_| self.with_details) {
            let details: Details = serde_json::from_str(row.kept.answers.as_deref()?).ok()?;
            details.give_to(run, &mut self.names);
        }
        Some(Entry {
            file: file(row),
            size: row.size,
            modified: 0,
            stream,
        })
    }
}

/// The name that the stream would have in a folder.
fn file(row: &Row) -> String {
    format!("{}.{}", row.stem, row.ending)
}

fn form() -> i32 {
    i32::try_from(VERSION).expect("a small number")
}

/// What is to be kept beside a stream, given the name that its file would have.
pub(crate) fn kept(file: &str, bytes: &[u8]) -> Kept {
    let mut names = Names::default();
    let read = archive::unpacked(file, bytes);
    let read = read.and_then(|input| Stream::from_reader(input, &mut names));
    let json = |value: Result<String, serde_json::Error>| value.expect("plain data");
    let unreadable = |why: ReadError| why.to_string().replace('\0', "");
    match read {
        Ok(stream) => {
            let details = Details::of(stream.experiment.as_ref());
            Kept {
                form: form(),
                answers: Some(json(serde_json::to_string(&details))),
                facts: Some(json(serde_json::to_string(&stream))),
                unreadable: None,
            }
        }
        Err(why) => Kept {
            form: form(),
            unreadable: Some(unreadable(why)),
            ..Kept::default()
        },
    }
}
