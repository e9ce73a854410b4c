//! A dump in tar format (`pg_dump -Ft`; `pg_backup_tar.c`): the files of one in directory format,
//! not compressed, as the members of a tar archive. The table of contents comes first, and a script
//! for psql, which `pg_restore` does not read, last.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use chaos_common::record::TableRows;

use super::data::{Data, same_blobs};
use super::data_error::DataError;
use super::directory::{TOC, blob_line};
use super::header::{self, Form, Header};
use super::input::Input;
use super::rows::Sink;
use super::toc::{self, DataLocation, Kind, Toc};
use crate::formats::error::FormatError;
use crate::formats::tar::{self, Visitor};

/// The script for psql.
const SCRIPT: &str = "restore.sql";
/// The largest table of contents, or list of large objects, that is read: it is in memory.
const MAX_LIST: u64 = 256 << 20;

/// Whether a dump in tar format begins here.
pub(super) fn begins(start: &[u8]) -> bool {
    start.starts_with(b"toc.dat\0") && start.get(257..262) == Some(b"ustar")
}

/// Reads a dump to its last byte.
pub(super) fn read(reader: impl BufRead) -> Result<(Header, Toc, Data), FormatError> {
    let mut dump = Dump::default();
    tar::walk(reader, &mut dump)?;
    dump.finish()
}

/// What was read so far.
#[derive(Default)]
struct Dump {
    contents: Option<(Header, Toc)>,
    /// The entry of each file with data that has not come yet, by its name.
    missing: BTreeMap<String, usize>,
    data: Data,
    /// The large objects of the lists that have come.
    listed: BTreeSet<u32>,
    member: Member,
    /// The name of the member.
    name: String,
}

/// The member that is read.
#[derive(Default)]
enum Member {
    /// One that nobody reads.
    #[default]
    Other,
    /// The table of contents.
    Contents(Vec<u8>),
    /// A list of large objects.
    List(Vec<u8>),
    /// The data of this entry, or a large object.
    Data(Option<usize>, Sink),
}

impl Visitor for Dump {
    fn begins(&mut self, name: &str, size: u64) -> Result<(), FormatError> {
        name.clone_into(&mut self.name);
        self.member = match &self.contents {
            None if name == TOC && size <= MAX_LIST => Member::Contents(Vec::new()),
            None if name == TOC => return too_large(name, size),
            None => return FormatError::damaged(format!("does not begin with its {TOC}")),
            Some((_, toc)) => match self.missing.remove(&self.listed_as(name, toc)) {
                Some(number) if toc.data[number].kind != Kind::Blobs => {
                    let sink = Sink::new(&toc.data[number].kind, toc.encoding);
                    Member::Data(Some(number), sink)
                }
                Some(_) if size <= MAX_LIST => Member::List(Vec::new()),
                Some(_) => return too_large(name, size),
                None if name == SCRIPT => Member::Other,
                None => self.blob(name)?,
            },
        };
        Ok(())
    }

    fn bytes(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        match &mut self.member {
            Member::Other => Ok(()),
            Member::Contents(kept) | Member::List(kept) => {
                kept.extend_from_slice(bytes);
                Ok(())
            }
            Member::Data(_, sink) => sink.take(bytes).map_err(|why| damaged(&self.name, &why)),
        }
    }

    fn ends(&mut self) -> Result<(), FormatError> {
        match std::mem::take(&mut self.member) {
            Member::Other | Member::Data(None, _) => {}
            Member::Contents(bytes) => self.take_contents(&bytes)?,
            Member::List(bytes) => self.take_list(&bytes)?,
            Member::Data(Some(number), sink) => {
                let ended = sink.ends_as_written().and_then(|()| sink.finish());
                let rows = ended.map_err(|why| damaged(&self.name, &why))?;
                let (_, toc) = self.contents.as_ref().expect("it came before the data");
                let table = toc.data[number].name.clone();
                let counted = rows.map(|rows| TableRows { table, rows });
                self.data.tables.extend(counted);
            }
        }
        Ok(())
    }
}

impl Dump {
    /// The name of a member as it is in `missing`. Until PostgreSQL 16 there is one list of large
    /// objects, whose name does not say of which entry it is.
    fn listed_as(&self, name: &str, toc: &Toc) -> String {
        let mut lists = self.missing.iter();
        let list = lists.find(|(_, number)| toc.data[**number].kind == Kind::Blobs);
        match list.filter(|_| name == "blobs.toc") {
            Some((list, _)) => list.clone(),
            None => name.to_owned(),
        }
    }

    /// A member that no entry names: a large object, whose list comes behind it.
    fn blob(&mut self, name: &str) -> Result<Member, FormatError> {
        let oid = name
            .strip_prefix("blob_")
            .and_then(|rest| rest.strip_suffix(".dat")?.parse().ok());
        let Some(oid) = oid else {
            return FormatError::damaged(format!(
                "holds the member {name} twice, or it is not in its table of contents"
            ));
        };
        self.data.blobs.push(oid);
        Ok(Member::Data(None, Sink::Blob))
    }

    fn take_contents(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        let mut input = Input::new(bytes, Some(bytes.len() as u64));
        let header = header::read(&mut input, Form::Directory)?;
        let toc = toc::read(&mut input, &header, Form::Directory)?;
        if !input.fill()?.is_empty() {
            return FormatError::damaged(format!("has a {TOC} that goes on behind its last entry"));
        }
        for (number, entry) in toc.data.iter().enumerate() {
            let name = match &entry.place {
                // The entry of a list has another name than its member.
                _ if entry.kind == Kind::Blobs => format!("blobs_{}.toc", entry.id),
                DataLocation::File(name) => name.clone(),
                DataLocation::Offset(_) => continue,
            };
            self.missing.insert(name, number);
        }
        self.contents = Some((header, toc));
        Ok(())
    }

    fn take_list(&mut self, bytes: &[u8]) -> Result<(), FormatError> {
        let text = String::from_utf8_lossy(bytes);
        for line in text.split_inclusive('\n') {
            let (oid, _) = blob_line(line).ok_or_else(|| {
                FormatError::Damaged(format!(
                    "is damaged: its {} has a line that names no large object: {:?}",
                    self.name,
                    line.trim_end()
                ))
            })?;
            self.listed.insert(oid);
        }
        Ok(())
    }

    /// The archive is at its end.
    fn finish(mut self) -> Result<(Header, Toc, Data), FormatError> {
        let Some((header, toc)) = self.contents else {
            return FormatError::damaged(format!("has no {TOC}"));
        };
        if let Some((name, number)) = self.missing.first_key_value() {
            return FormatError::damaged(format!(
                "is not whole: the member {name} with the data of {} is missing",
                toc.data[*number].name
            ));
        }
        self.data.blobs.sort_unstable();
        let listed: Vec<u32> = self.listed.into_iter().collect();
        if listed != self.data.blobs {
            return FormatError::damaged(
                "is damaged: its large objects are not those that its list of them names",
            );
        }
        same_blobs(&toc.blobs, &self.data.blobs)?;
        Ok((header, toc, self.data))
    }
}

fn too_large<T>(name: &str, size: u64) -> Result<T, FormatError> {
    FormatError::cannot_tell(format!(
        "has a member {name} of {size} bytes, and no more than {MAX_LIST} are read"
    ))
}

fn damaged(name: &str, why: &DataError) -> FormatError {
    FormatError::Damaged(format!("is damaged: the data in its member {name} {why}"))
}
