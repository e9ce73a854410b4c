//! The blocks of data of a custom-format dump (`_StartData`, `_StartLOs` and their likes in
//! PostgreSQL's `pg_backup_custom.c`; `compress_gzip.c` and `compress_none.c`).
//!
//! A block is a type, the id of its entry, and its data: chunks of a length and so many bytes, up
//! to a length of 0. Large objects are a block of (oid, chunks) up to an oid of 0. Nothing says how
//! many blocks there are, so that a dump which is cut between two of them looks whole by itself:
//! only the table of contents knows.
//!
//! `pg_dump` of PostgreSQL 16 and later opens its standard output for appending. So when it goes back
//! to write the places of the blocks into the table of contents, a second one comes to stand behind
//! the last block. `pg_restore` reads the first, and so do we; the second must be the same.

use std::collections::HashMap;
use std::io::{self, BufRead, Read};

use chaos_common::record::TableRows;

use super::data_error::DataError;
use super::encoding::Encoding;
use super::header::{Form, Header};
use super::input::Input;
use super::rows::Sink;
use super::toc::{self, DataLocation, Entry, Kind, Toc};
use crate::formats::decompress::{Codec, Unpacked};
use crate::formats::error::{FormatError, count};
use crate::formats::pipe::read_buffered;

/// `BLK_DATA`: a table's data.
const TABLE: u8 = 1;
/// `BLK_BLOBS`: large objects.
const BLOBS: u8 = 3;
/// The first byte of a number that is not negative.
const NUMBER: u8 = 0;

/// What the data blocks hold.
#[derive(Debug, Default)]
pub(super) struct Data {
    /// Rows of each table whose rows can be counted, in the order of the data.
    pub(super) tables: Vec<TableRows>,
    /// The oids of the large objects, in the order of the data.
    pub(super) blobs: Vec<u32>,
}

/// Reads every block up to the end of the file.
pub(super) fn read<R: BufRead + Send>(
    input: &mut Input<R>,
    header: &Header,
    toc: &Toc,
) -> Result<Data, FormatError> {
    let codec = header.codec;
    let index: HashMap<i64, usize> = toc
        .data
        .iter()
        .enumerate()
        .map(|(at, entry)| (entry.id, at))
        .collect();
    let mut starts = vec![None; toc.data.len()];
    let mut data = Data::default();
    while let Some(first) = input.fill()?.first().copied() {
        let at = input.position();
        if first == NUMBER && toc.has_no_places() && starts.iter().all(Option::is_some) {
            second_contents(input, header, toc, &starts)?;
            break;
        }
        let kind = input.byte("a block of data")?;
        if kind != TABLE && kind != BLOBS {
            return Err(no_block(at, kind));
        }
        let id = input.int("a block of data")?;
        let Some(&number) = index.get(&id) else {
            return FormatError::damaged(format!(
                "is damaged: the block of data at byte {at} has the unknown id {id}"
            ));
        };
        let entry = &toc.data[number];
        expect(entry, kind, at, starts[number].replace(at).is_some())?;
        if kind == TABLE {
            let mut sink = Sink::new(&entry.kind, toc.encoding);
            payload(input, codec, &mut sink, &entry.name)?;
            let rows = sink
                .finish()
                .map_err(|why| in_data(&entry.name, at, &why))?;
            data.tables.extend(rows.map(|rows| TableRows {
                table: entry.name.clone(),
                rows,
            }));
        } else {
            data.blobs.extend(blobs(input, codec)?);
        }
    }
    all_seen(toc, &starts, input.position())?;
    data.blobs.sort_unstable();
    same_blobs(&toc.blobs, &data.blobs)?;
    Ok(data)
}

/// Says what stands where a block should begin.
fn no_block(at: u64, kind: u8) -> FormatError {
    let what = match kind {
        b'P' => "perhaps a second dump".to_owned(),
        other => format!("a byte of {other:#04x}"),
    };
    FormatError::Damaged(format!(
        "has something behind its data, or is damaged: no block begins at byte {at}, but {what}"
    ))
}

/// Whether a block is what the table of contents says of it.
fn expect(entry: &Entry, kind: u8, at: u64, seen: bool) -> Result<(), FormatError> {
    let name = &entry.name;
    if seen {
        return FormatError::damaged(format!(
            "is damaged: a second block with the data of {name} begins at byte {at}"
        ));
    }
    if (kind == BLOBS) != (entry.kind == Kind::Blobs) {
        return FormatError::damaged(format!(
            "is damaged: the block of {name} at byte {at} is of the wrong type"
        ));
    }
    match entry.place {
        DataLocation::Offset(Some(offset)) if offset != at => FormatError::damaged(format!(
            "is damaged: the data of {name} begins at byte {at}, and should at byte {offset} by the table of contents"
        )),
        _ => Ok(()),
    }
}

/// Reads the table of contents that stands behind the data, to the end of the file. `starts` is
/// where the block of each entry begins.
fn second_contents<R: BufRead + Send>(
    input: &mut Input<R>,
    header: &Header,
    first: &Toc,
    starts: &[Option<u64>],
) -> Result<(), FormatError> {
    let at = input.position();
    let differs = |what: &str| {
        FormatError::damaged(format!(
            "is damaged: the table of contents behind its data, at byte {at}, {what}"
        ))
    };
    let entries = input.int("the number of entries behind the data")?;
    if entries != header.entries {
        return differs(&format!(
            "has {entries} entries, and the one before it {}",
            header.entries
        ));
    }
    input.encoding = Encoding::AnyBytes;
    let second = toc::read(input, header, Form::Custom)?;
    if second.digest != first.digest {
        return differs("is not the one before it");
    }
    for (entry, start) in second.data.iter().zip(starts) {
        if let (DataLocation::Offset(Some(offset)), Some(start)) = (&entry.place, start)
            && offset != start
        {
            return differs(&format!(
                "places the data of {} at byte {offset}, and it is at byte {start}",
                entry.name
            ));
        }
    }
    if input.fill()?.is_empty() {
        return Ok(());
    }
    FormatError::damaged(format!(
        "goes on behind its second table of contents, at byte {}",
        input.position()
    ))
}

fn all_seen(toc: &Toc, starts: &[Option<u64>], end: u64) -> Result<(), FormatError> {
    let missing = starts.iter().filter(|start| start.is_none()).count();
    let first = toc.data.iter().zip(starts).find(|(_, at)| at.is_none());
    match first {
        None => Ok(()),
        Some((first, _)) => FormatError::damaged(format!(
            "is cut: it ends at byte {end} and lacks {missing} of {}, the first of them that of {}",
            count(starts.len() as u64, "block"),
            first.name
        )),
    }
}

/// Reads large objects up to the end of their list, and gives their oids.
fn blobs<R: BufRead + Send>(input: &mut Input<R>, codec: Codec) -> Result<Vec<u32>, FormatError> {
    let mut oids = Vec::new();
    loop {
        let at = input.position();
        // An oid is unsigned, and written as if it had a sign.
        let oid = match input.int("the list of large objects")? {
            0 => return Ok(oids),
            oid if oid < 0 => oid + (1 << 32),
            oid => oid,
        };
        let oid = u32::try_from(oid).map_err(|_| {
            FormatError::Damaged(format!(
                "is damaged at byte {at}: no large object can have the oid {oid}"
            ))
        })?;
        payload(
            input,
            codec,
            &mut Sink::Blob,
            &format!("large object {oid}"),
        )?;
        oids.push(oid);
    }
}

/// Whether the large objects are those that the table of contents lists, if it does; both sorted.
pub(super) fn same_blobs(listed: &[u32], found: &[u32]) -> Result<(), FormatError> {
    if let Some((twice, _)) = found
        .iter()
        .zip(found.iter().skip(1))
        .find(|(one, next)| one == next)
    {
        return FormatError::damaged(format!("is damaged: large object {twice} is there twice"));
    }
    if listed.is_empty() || found.is_empty() || listed == found {
        return Ok(());
    }
    let absent = |from: &[u32], of: &[u32]| {
        of.iter()
            .find(|oid| from.binary_search(oid).is_err())
            .copied()
    };
    FormatError::damaged(match (absent(listed, found), absent(found, listed)) {
        (Some(oid), _) => format!("is damaged: large object {oid} is not in the table of contents"),
        (None, Some(oid)) => format!("is damaged: the data of large object {oid} is missing"),
        (None, None) => "is damaged: the table of contents lists a large object twice".to_owned(),
    })
}

fn in_data(name: &str, at: u64, why: &DataError) -> FormatError {
    FormatError::Damaged(format!("is damaged: the data of {name} at byte {at} {why}"))
}

/// Reads the chunks of one table or large object. `name` is what they belong to.
fn payload<R: BufRead + Send>(
    input: &mut Input<R>,
    codec: Codec,
    sink: &mut Sink,
    name: &str,
) -> Result<(), FormatError> {
    if codec == Codec::None {
        return plain(input, sink, name);
    }
    let at = input.position();
    let mut chunks = Chunks::new(input, name);
    // pg_dump writes nothing at all for an empty large object, with lz4.
    let empty = chunks.fill_buf().is_ok_and(<[u8]>::is_empty) && codec != Codec::Gzip;
    let unpacked = if empty {
        Ok(())
    } else {
        let mut unpacked = match codec {
            Codec::Gzip => Unpacked::zlib(&mut chunks),
            _ => Unpacked::new(&mut chunks, codec)?,
        };
        unpack(&mut unpacked, sink)
    };
    // What is wrong with the chunks goes before what it does to the stream in them.
    match chunks.trouble {
        Some(trouble) => Err(trouble),
        None => unpacked.map_err(|why| in_data(name, at, &why)),
    }
}

/// Reads the chunks of one table or large object that are not compressed.
fn plain<R: BufRead>(input: &mut Input<R>, sink: &mut Sink, name: &str) -> Result<(), FormatError> {
    let at = input.position();
    // Every row is a chunk: this is not made anew for each.
    let what = format!("the data of {name}");
    let damaged = |why: DataError| in_data(name, at, &why);
    loop {
        let chunk = input.position();
        let mut left = match input.int(&what)? {
            0 => return Ok(()),
            length => u64::try_from(length)
                .map_err(|_| damaged(DataError::ChunkLength { length, at: chunk }))?,
        };
        input.room_for(left, chunk, &what)?;
        while left > 0 {
            let bytes = input.fill()?;
            let bytes = &bytes[..bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
            if bytes.is_empty() {
                return Err(input.cut(&what));
            }
            sink.take(bytes).map_err(damaged)?;
            let taken = bytes.len();
            left -= taken as u64;
            input.consume(taken);
        }
    }
}

/// Judges all that a decoder gives. `Err` says what is wrong with it.
fn unpack<R: BufRead + Send>(
    unpacked: &mut Unpacked<'_, R>,
    sink: &mut Sink,
) -> Result<(), DataError> {
    // Most tables are small: a thread is for those that are more than one buffer.
    if take(unpacked, sink)? && take(unpacked, sink)? {
        return unpacked.ahead(|bytes| {
            while take(bytes, sink)? {}
            Ok(())
        });
    }
    Ok(())
}

/// Judges what a decoder gives next; false at the end.
fn take(decoder: &mut (impl BufRead + ?Sized), sink: &mut Sink) -> Result<bool, DataError> {
    match decoder.fill_buf() {
        Ok([]) => Ok(false),
        Ok(bytes) => {
            let taken = bytes.len();
            sink.take(bytes)?;
            decoder.consume(taken);
            Ok(true)
        }
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(DataError::StreamIsCut),
        Err(error) => Err(DataError::Decompress(error)),
    }
}

/// Bytes of chunks that a decoder is given together. It is slow at the end of what it is given, and
/// with gzip a chunk has 4 KB.
const GATHER: usize = 64 << 10;

/// The chunks of one table or large object, as one stream.
struct Chunks<'i, R> {
    input: &'i mut Input<R>,
    /// What they belong to.
    name: &'i str,
    /// Bytes of the current chunk.
    left: u64,
    ended: bool,
    /// Bytes of chunks that were read, and how many of them were used.
    gathered: Vec<u8>,
    used: usize,
    /// What is wrong behind them.
    behind: Option<FormatError>,
    /// What is wrong with the chunks; then the stream ends here.
    trouble: Option<FormatError>,
}

impl<'i, R: BufRead> Chunks<'i, R> {
    fn new(input: &'i mut Input<R>, name: &'i str) -> Chunks<'i, R> {
        Chunks {
            input,
            name,
            left: 0,
            ended: false,
            gathered: Vec::new(),
            used: 0,
            behind: None,
            trouble: None,
        }
    }

    /// The bytes at hand of the current or the next chunk; none at the end.
    fn next(&mut self) -> Result<usize, FormatError> {
        if self.left == 0 && !self.ended {
            let at = self.input.position();
            let what = format!("the data of {}", self.name);
            let length = self.input.int(&what)?;
            self.left = u64::try_from(length)
                .map_err(|_| in_data(self.name, at, &DataError::ChunkLength { length, at }))?;
            self.input.room_for(self.left, at, &what)?;
            self.ended = self.left == 0;
        }
        if self.ended {
            return Ok(0);
        }
        let there = self.input.fill()?.len();
        if there == 0 {
            return Err(self.input.cut(&format!("the data of {}", self.name)));
        }
        Ok(there.min(usize::try_from(self.left).unwrap_or(usize::MAX)))
    }

    /// Reads chunks until there are enough of their bytes, or nothing more. What is wrong behind
    /// some bytes waits until they are used: what is wrong with them goes before it.
    fn gather(&mut self) {
        self.gathered.clear();
        self.used = 0;
        if let Some(trouble) = self.behind.take() {
            self.trouble = Some(trouble);
            return;
        }
        while self.gathered.len() < GATHER {
            let room = GATHER - self.gathered.len();
            let taken = self.next().and_then(|there| {
                let there = there.min(room);
                self.gathered
                    .extend_from_slice(&self.input.fill()?[..there]);
                Ok(there)
            });
            match taken {
                Ok(0) => return,
                Ok(taken) => {
                    self.input.consume(taken);
                    self.left -= taken as u64;
                }
                Err(trouble) if self.gathered.is_empty() => {
                    self.trouble = Some(trouble);
                    return;
                }
                Err(trouble) => {
                    self.behind = Some(trouble);
                    return;
                }
            }
        }
    }
}

impl<R: BufRead> BufRead for Chunks<'_, R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.used == self.gathered.len() && self.trouble.is_none() {
            self.gather();
        }
        Ok(&self.gathered[self.used..])
    }

    fn consume(&mut self, amount: usize) {
        self.used += amount;
    }
}

impl<R: BufRead> Read for Chunks<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        read_buffered(self, buffer)
    }
}
