//! A dump in directory format (`pg_dump -Fd`; `pg_backup_directory.c`): a folder with the table of
//! contents in `toc.dat` and a file for the data of each table and each large object.

use std::collections::BTreeMap;
use std::io::{BufRead, ErrorKind, Read};
use std::path::Path;

use chaos_common::record::TableRows;

use super::data::{Data, same_blobs};
use super::data_error::DataError;
use super::found;
use super::header::{self, Form};
use super::input::Input;
use super::rows::Sink;
use super::toc::{self, DataLocation, Kind, Toc};
use crate::formats::decompress::{self, Codec, Unpacked};
use crate::formats::digest::{self, read_all};
use crate::formats::error::FormatError;
use crate::formats::inspection::{Expectations, Verified};

/// The file with the table of contents.
pub(super) const TOC: &str = "toc.dat";
/// Endings of compressed files, which `pg_restore` looks for in turn.
const ENDINGS: [(&str, Codec); 4] = [
    ("", Codec::None),
    (".gz", Codec::Gzip),
    (".lz4", Codec::Lz4),
    (".zst", Codec::Zstd),
];
/// So many pieces of a decoder's output are judged before it is worth a thread.
const SMALL: usize = 2;
/// The longest line of a list of large objects.
const MAX_LINE: u64 = 1024;

/// The files of a folder, wherever it is.
pub trait Files {
    /// Their names, each with whether it is one.
    ///
    /// # Errors
    ///
    /// They cannot be listed.
    fn list(&self) -> Result<Vec<(String, bool)>, FormatError>;
    /// The bytes of one, and how many there are.
    ///
    /// # Errors
    ///
    /// It is not there, or cannot be opened.
    fn open_in(&self, name: &str) -> Result<(Box<dyn Read + Send>, u64), FormatError>;
}

/// The files of a folder that were read so far.
struct Folder<'f> {
    source: &'f dyn Files,
    /// Names of all files, and the digests of those that were read.
    files: BTreeMap<String, Option<String>>,
    size_bytes: u64,
}

/// Reads all files of a folder.
///
/// # Errors
///
/// A file of it is damaged, missing or too many, or cannot be read.
pub fn verify(
    source: &dyn Files,
    want: &Expectations,
    object: &str,
) -> Result<Verified, FormatError> {
    let mut folder = Folder::open(source)?;
    if !folder.files.contains_key(TOC) {
        return FormatError::damaged(
            "is a folder without toc.dat: it is no dump in directory format (pg_dump -Fd)",
        );
    }
    let (header, toc) = folder.read(TOC, |reader| {
        let mut input = Input::new(reader, None);
        let header = header::read(&mut input, Form::Directory)?;
        let toc = toc::read(&mut input, &header, Form::Directory)?;
        match input.fill()?.len() {
            0 => Ok((header, toc)),
            _ => FormatError::damaged(format!(
                "goes on behind its last entry, at byte {}",
                input.position()
            )),
        }
    })?;
    let data = folder.data(&toc, header.codec)?;
    folder.rest()?;
    let mut found = found(header, &toc, data, want, object);
    found.message = format!("{}, in {} files", found.message, folder.files.len());
    let lines: String = folder
        .files
        .iter()
        .map(|(name, blake3)| line(name, blake3.as_deref()))
        .collect();
    Ok(Verified {
        found,
        size_bytes: folder.size_bytes,
        blake3: digest::of(lines.as_bytes()),
    })
}

/// As `b3sum` prints it.
pub fn line(name: &str, blake3: Option<&str>) -> String {
    format!("{}  {name}\n", blake3.unwrap_or_default())
}

impl Folder<'_> {
    fn open(source: &dyn Files) -> Result<Folder<'_>, FormatError> {
        let mut files = BTreeMap::new();
        for (name, is_file) in source.list()? {
            if !is_file {
                return FormatError::damaged(format!(
                    "holds {name:?}, which is not a file; pg_dump makes nothing else"
                ));
            }
            files.insert(name, None);
        }
        Ok(Folder {
            source,
            files,
            size_bytes: 0,
        })
    }

    /// Reads one file to its end.
    fn read<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&mut (dyn BufRead + Send)) -> Result<T, FormatError>,
    ) -> Result<T, FormatError> {
        if !self.files.contains_key(name) {
            return FormatError::damaged(format!("is not whole: its file {name} is missing"));
        }
        let (file, size) = self
            .source
            .open_in(name)
            .map_err(|trouble| in_file(name, &trouble.to_string()))?;
        let read = read_all(file, Some(size), parse).map_err(|trouble| match trouble {
            FormatError::Damaged(why) => {
                FormatError::Damaged(format!("is damaged: its file {name} {why}"))
            }
            FormatError::CannotTell(why) => in_file(name, &why),
        })?;
        self.size_bytes += read.size_bytes;
        self.files.insert(name.to_owned(), Some(read.blake3));
        Ok(read.parsed)
    }

    /// Reads the data of all entries.
    fn data(&mut self, toc: &Toc, codec: Codec) -> Result<Data, FormatError> {
        let mut data = Data::default();
        for entry in &toc.data {
            let DataLocation::File(file) = &entry.place else {
                unreachable!("so it was read from this format")
            };
            if entry.kind == Kind::Blobs {
                for (oid, file) in self.blobs(file)? {
                    self.payload(
                        &file,
                        &mut Sink::Blob,
                        &format!("large object {oid}"),
                        codec,
                    )?;
                    data.blobs.push(oid);
                }
                continue;
            }
            let mut sink = Sink::new(&entry.kind, toc.encoding);
            self.payload(file, &mut sink, &entry.name, codec)?;
            let rows = sink
                .finish()
                .map_err(|why| in_data(&entry.name, file, &why))?;
            data.tables.extend(rows.map(|rows| TableRows {
                table: entry.name.clone(),
                rows,
            }));
        }
        data.blobs.sort_unstable();
        same_blobs(&toc.blobs, &data.blobs)?;
        Ok(data)
    }

    /// Reads a list of large objects: their oids and files.
    fn blobs(&mut self, list: &str) -> Result<Vec<(u32, String)>, FormatError> {
        self.read(list, |reader| {
            let mut blobs = Vec::new();
            loop {
                let mut line = String::new();
                let read = reader.take(MAX_LINE).read_line(&mut line);
                match read {
                    Ok(0) => return Ok(blobs),
                    Ok(_) => {}
                    Err(error) => return Err(decompress::trouble(&error, 0)),
                }
                blobs.push(blob_line(&line).ok_or_else(|| {
                    FormatError::Damaged(format!(
                        "has a line that names no large object: {:?}",
                        line.trim_end()
                    ))
                })?);
            }
        })
    }

    /// Reads the data of one table or large object. The file may have been compressed by hand.
    fn payload(
        &mut self,
        file: &str,
        sink: &mut Sink,
        name: &str,
        codec: Codec,
    ) -> Result<(), FormatError> {
        let there: Vec<_> = ENDINGS
            .into_iter()
            .map(|(ending, codec)| (format!("{file}{ending}"), codec))
            .filter(|(name, _)| self.files.contains_key(name))
            .collect();
        let (found, codec) = match &there[..] {
            [] => {
                let ending = ENDINGS
                    .into_iter()
                    .find(|(_, with)| *with == codec)
                    .map_or("", |(ending, _)| ending);
                return FormatError::damaged(format!(
                    "is not whole: the file {file}{ending} with the data of {name} is missing"
                ));
            }
            [one] => one.clone(),
            [one, two, ..] => {
                return FormatError::damaged(format!(
                    "holds the data of {name} twice, as {} and {}",
                    one.0, two.0
                ));
            }
        };
        let damaged = |why: DataError| FormatError::Damaged(why.to_string());
        self.read(&found, |reader| {
            // An empty large object is an empty file, with lz4 and zstd.
            let empty = reader.fill_buf().is_ok_and(<[u8]>::is_empty);
            if empty && matches!(sink, Sink::Blob) && codec != Codec::Gzip {
                return Ok(());
            }
            // Rows end with a mark; that a large object is there twice only a second stream shows.
            let mut unpacked = match sink {
                Sink::Blob => Unpacked::first(&mut *reader, codec)?,
                _ => Unpacked::new(&mut *reader, codec)?,
            };
            let position = unpack(&mut unpacked, sink)?;
            drop(unpacked);
            if !reader
                .fill_buf()
                .map_err(|error| decompress::trouble(&error, position))?
                .is_empty()
            {
                return FormatError::damaged("has something behind its compressed stream");
            }
            if codec == Codec::None {
                sink.ends_as_written().map_err(damaged)
            } else {
                Ok(())
            }
        })
    }

    /// Reads the files that no entry names; none of them may look like data.
    fn rest(&mut self) -> Result<(), FormatError> {
        let rest: Vec<String> = self
            .files
            .iter()
            .filter(|(_, blake3)| blake3.is_none())
            .map(|(name, _)| name.clone())
            .collect();
        for name in rest {
            let base = ENDINGS[1..]
                .iter()
                .find_map(|(ending, _)| name.strip_suffix(ending))
                .unwrap_or(&name);
            if Path::new(base)
                .extension()
                .is_some_and(|extension| extension == "dat" || extension == "toc")
            {
                return FormatError::damaged(format!(
                    "holds the file {name}, which is not in its table of contents: the files of two dumps may be mixed"
                ));
            }
            self.read(&name, |_| Ok(()))?;
        }
        Ok(())
    }
}

/// Judges all that a decoder gives, while another thread decompresses where that is more than a
/// little of both. Gives how many bytes there were.
fn unpack<R: BufRead + Send>(
    unpacked: &mut Unpacked<'_, R>,
    sink: &mut Sink,
) -> Result<u64, FormatError> {
    let alone = unpacked.codec == Codec::None || matches!(sink, Sink::Blob);
    let (mut position, mut pieces) = (0, 0);
    while alone || pieces < SMALL {
        if !take(unpacked, sink, &mut position)? {
            return Ok(position);
        }
        pieces += 1;
    }
    unpacked.ahead(|bytes| {
        while take(bytes, sink, &mut position)? {}
        Ok(position)
    })
}

/// Judges what a decoder gives next, behind `position` bytes; false at the end.
fn take(
    decoder: &mut (impl BufRead + ?Sized),
    sink: &mut Sink,
    position: &mut u64,
) -> Result<bool, FormatError> {
    match decoder.fill_buf() {
        Ok([]) => Ok(false),
        Ok(bytes) => {
            let taken = bytes.len();
            sink.take(bytes)
                .map_err(|why| FormatError::Damaged(why.to_string()))?;
            decoder.consume(taken);
            *position += taken as u64;
            Ok(true)
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
        Err(error) => Err(decompress::trouble(&error, *position)),
    }
}

/// The oid and the file in a line of a list of large objects, with its end.
pub(super) fn blob_line(line: &str) -> Option<(u32, String)> {
    let (oid, file) = line.strip_suffix('\n')?.split_once(' ')?;
    let named = file.starts_with("blob_") && !file.contains('/');
    named.then_some((oid.parse().ok()?, file.to_owned()))
}

fn in_file(name: &str, why: &str) -> FormatError {
    FormatError::CannotTell(format!("has a file {name} that could not be read: {why}"))
}

fn in_data(name: &str, file: &str, why: &DataError) -> FormatError {
    FormatError::Damaged(format!("is damaged: the data of {name} in {file} {why}"))
}
