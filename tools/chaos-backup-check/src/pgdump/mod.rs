//! Reads a PostgreSQL dump in custom format (`pg_dump -Fc`) from its first byte to its last, without
//! a server and in bounded memory.
//!
//! `pg_restore --list` reads the table of contents and stops: it passes a dump whose data is cut,
//! and `pg_restore -f /dev/null` passes one with bytes appended. Here every block is decoded, every
//! table must be there exactly once and whole, and the last block must end with the file.
//!
//! What the format can't show: it has no checksum but that of zlib over each table's data. A bit that
//! flips in a name or a definition of the table of contents, or in data that is not compressed
//! (`pg_dump -Z0`), passes as long as what it makes is possible. Adler-32 is weak besides: of 64536
//! flips in the compressed data of a fixture, each bit once, 2 changed a row unseen (30 changed
//! nothing). PostgreSQL cannot see these either; only a digest made with the backup could.

mod data;
mod header;
mod input;
mod rows;
#[cfg(test)]
mod tests;
mod toc;

use std::io::Read;

use chaos_common::record::{Check, Contents, Status};

use crate::trouble::{Trouble, count};

/// What was found in a dump that is whole.
#[derive(Debug)]
pub(crate) struct Found {
    /// For the record.
    pub(crate) contents: Contents,
    /// For people.
    pub(crate) message: String,
    /// Whether what it holds makes a database: pass, warn or fail, and why.
    pub(crate) restorable: (Status, String),
}

/// Reads a dump of `size` bytes.
pub(crate) fn examine(reader: impl Read, size: u64) -> Result<Found, Trouble> {
    let mut input = input::Input::new(reader, size);
    let header = header::read(&mut input)?;
    let toc = toc::read(&mut input, &header)?;
    let data = data::read(&mut input, header.codec, &toc)?;
    let blocks = toc.data.len() as u64;
    if !data::codec_is_read(header.codec) {
        return Trouble::cannot_tell(format!(
            "its data is compressed with {}, which this version does not decompress; {} end where they should",
            header.codec.word(),
            count(blocks, "block")
        ));
    }
    let rows: u64 = data.tables.iter().map(|table| table.rows).sum();
    let message = format!(
        "{} decoded to the end (compression: {}): {} in {}{}",
        count(blocks, "block"),
        header.codec.word(),
        count(rows, "row"),
        count(data.tables.len() as u64, "table"),
        blobs(", ", &data)
    );
    Ok(Found {
        restorable: restorable(&toc, &data, rows),
        message,
        contents: Contents::Postgres {
            version: format!("1.{}", header.minor),
            database: header.database,
            server_version: header.server_version,
            compression: header.codec.word().to_owned(),
            entries: usize::try_from(header.entries).unwrap_or(usize::MAX),
            tables: data.tables,
        },
    })
}

/// Whether what a whole dump holds makes a database.
fn restorable(toc: &toc::Toc, data: &data::Data, rows: u64) -> (Status, String) {
    let blocks = toc.data.len() as u64;
    if !toc.defines && blocks > 0 {
        return (
            Status::Fail,
            "holds data but no definitions (pg_dump --data-only): there is nothing to load it into".into(),
        );
    }
    if toc.tables == 0 {
        return (Status::Fail, "defines no table: was the right database dumped?".to_owned());
    }
    let tables = count(toc.tables, "table");
    if blocks == 0 {
        return (Status::Warn, format!("defines {tables} and holds no data (pg_dump --schema-only)"));
    }
    let counted = toc.data.iter().all(|entry| matches!(entry.kind, toc::Kind::Copy(_)));
    if counted && rows == 0 {
        return (Status::Warn, format!("defines {tables}, and all of them are empty"));
    }
    let blobs = blobs(" and ", data);
    (Status::Pass, format!("defines {tables}, and holds the data of {}{blobs}", toc.tables_with_data()))
}

/// How many large objects there are, behind `before`; nothing if there is none.
fn blobs(before: &str, data: &data::Data) -> String {
    let number = data.blobs.len() as u64;
    if number > 0 { format!("{before}{}", count(number, "large object")) } else { String::new() }
}

/// The check that goes with [`Found::restorable`].
pub(crate) fn restorable_check(found: &Found, object: &str) -> Check {
    let (status, message) = &found.restorable;
    let check = Check::new("backup.restorable", object, *status, message);
    if *status == Status::Fail { check.hint("dump the whole database: pg_dump -Fc DATABASE") } else { check }
}
