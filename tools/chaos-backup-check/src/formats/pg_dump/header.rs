//! The header of a custom-format dump (`ReadHead` in PostgreSQL's `pg_backup_archiver.c`).

use std::io::BufRead;

use jiff::civil::DateTime;

use super::input::Input;
use crate::formats::decompress::Codec;
use crate::formats::error::FormatError;

/// The forms of an archive, which share header and table of contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// One file (`archCustom`, `pg_dump -Fc`).
    Custom = 1,
    /// The file `toc.dat` in a folder (`pg_dump -Fd`) or in a tar archive (`-Ft`): both are marked
    /// as that of a tar dump (`archTar`).
    Directory = 3,
}

/// What the header says.
#[derive(Debug)]
pub(super) struct Header {
    /// Minor version of the format; the major version is 1.
    pub(super) minor: u8,
    pub(super) codec: Codec,
    /// When the dump was begun, in local time; `None` on a day that no calendar has.
    pub(super) created: Option<DateTime>,
    /// The database that was dumped.
    pub(super) database: String,
    /// The version of its server.
    pub(super) server_version: String,
    /// Entries in the table of contents.
    pub(super) entries: i64,
}

/// Bytes of names and versions that are kept.
const KEEP: usize = 1024;

/// Reads the header and tells the input the sizes of its numbers.
pub(super) fn read<R: BufRead>(input: &mut Input<R>, form: Form) -> Result<Header, FormatError> {
    let what = "the header";
    foreign(input.fill()?)?;
    for _ in 0..MAGIC.len() {
        input.byte(what)?;
    }
    let (major, minor, revision) = (input.byte(what)?, input.byte(what)?, input.byte(what)?);
    if major != 1 || !(12..=16).contains(&minor) || revision != 0 {
        return FormatError::cannot_tell(format!(
            "has format {major}.{minor}-{revision}, and this version reads 1.12 to 1.16 (PostgreSQL 9.0 to 18)"
        ));
    }
    input.int_size = size_of_number(input)?;
    input.off_size = size_of_number(input)?;
    let format = input.byte(what)?;
    if format != form as u8 {
        let expected = form as u8;
        return FormatError::damaged(match format {
            3 => "is the toc.dat of a dump in directory format (pg_dump -Fd): name its folder instead".to_owned(),
            _ => format!("is not a dump in this format, or is damaged: byte 10 is {format}, not {expected}"),
        });
    }
    let codec = codec(input, minor)?;
    let created = creation_time(input)?;
    let database = input.text(KEEP, "the database's name")?.unwrap_or_default();
    let server_version = input
        .text(KEEP, "the server's version")?
        .unwrap_or_default();
    input.text(0, "pg_dump's version")?;
    let entries = input.int_in(0..=i64::from(i32::MAX), "the number of entries")?;
    Ok(Header {
        minor,
        codec,
        created,
        database,
        server_version,
        entries,
    })
}

pub(super) const MAGIC: &[u8] = b"PGDMP";

/// Says what a file is that is not a custom-format dump.
fn foreign(start: &[u8]) -> Result<(), FormatError> {
    let known = start.len().min(MAGIC.len());
    if start[..known] == MAGIC[..known] {
        return Ok(());
    }
    let tar = start.get(257..262) == Some(b"ustar");
    let what = if tar {
        "it is a tar archive"
    } else if start.is_empty() {
        return FormatError::damaged(
            "is empty once it is unpacked: what made the dump wrote nothing",
        );
    } else if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
        "it is in UTF-16, as PowerShell's > writes it: pg_restore and psql cannot read that \
         (dump with pg_dump -f FILE)"
    } else if start.iter().all(|byte| *byte == 0) {
        "it begins with zero bytes"
    } else {
        "it begins neither with PGDMP nor as pg_dump's scripts do"
    };
    FormatError::damaged(format!("is not a dump of PostgreSQL: {what}"))
}

fn size_of_number<R: BufRead>(input: &mut Input<R>) -> Result<usize, FormatError> {
    let at = input.position();
    match input.byte("the header")? {
        size @ 4..=8 => Ok(usize::from(size)),
        size => FormatError::damaged(format!(
            "is damaged at byte {at}: a number cannot have {size} bytes"
        )),
    }
}

/// Until 1.14 the header has zlib's level, where 0 is none; since then it names the algorithm.
fn codec<R: BufRead>(input: &mut Input<R>, minor: u8) -> Result<Codec, FormatError> {
    if minor < 15 {
        return Ok(match input.int_in(-1..=9, "the level of compression")? {
            0 => Codec::None,
            _ => Codec::Gzip,
        });
    }
    let at = input.position();
    match input.byte("the header")? {
        0 => Ok(Codec::None),
        1 => Ok(Codec::Gzip),
        2 => Ok(Codec::Lz4),
        3 => Ok(Codec::Zstd),
        other => FormatError::damaged(format!(
            "is damaged at byte {at}: no compression has the number {other}"
        )),
    }
}

/// When the dump was begun, as a C `struct tm`: local time, without saying where.
fn creation_time<R: BufRead>(input: &mut Input<R>) -> Result<Option<DateTime>, FormatError> {
    let parts = [
        (0, 60, "second"),
        (0, 59, "minute"),
        (0, 23, "hour"),
        (1, 31, "day"),
        (0, 11, "month"),
    ];
    let mut read = [0_i8; 5];
    for ((first, last, part), value) in parts.into_iter().zip(&mut read) {
        let number = input.int_in(first..=last, &format!("the {part} of its creation"))?;
        *value = i8::try_from(number).expect("no part is larger");
    }
    let year = input.int_in(90..=400, "the year of its creation (since 1900)")?;
    input.int_in(-1..=1, "the daylight saving flag of its creation")?;
    let year = i16::try_from(1900 + year).expect("no year is later");
    let [second, minute, hour, day, month] = read;
    // A leap second is one that no calendar here knows.
    Ok(DateTime::new(year, month + 1, day, hour, minute, second.min(59), 0).ok())
}
