//! Reads a PostgreSQL dump from its first byte to its last, without a server and in bounded memory:
//! custom format (`pg_dump -Fc`), directory format (`-Fd`), tar format (`-Ft`), and scripts of SQL
//! (`-Fp`, `pg_dumpall`).
//!
//! `pg_restore --list` reads the table of contents and stops: it passes a dump whose data is cut,
//! and `pg_restore -f /dev/null` passes one with bytes appended. Here every block is decoded, every
//! table must be there exactly once and whole, and the last block must end with the file.
//!
//! What the formats can't show: they have no checksum but that of gzip over each table's data. A
//! bit that flips in a name or a definition of the table of contents, or in data that is not
//! compressed or compressed with lz4 or zstd, passes as long as what it makes is possible. Adler-32
//! is weak besides: of 64536 flips in the compressed data of a fixture, each bit once, 2 changed a
//! row unseen (30 changed nothing). PostgreSQL cannot see these either; the digest of a manifest
//! can.

mod data;
mod data_error;
pub mod directory;
mod encoding;
mod header;
mod input;
mod inserts;
mod parts;
mod rows;
mod script;
mod settings;
mod tar_form;
#[cfg(test)]
mod tests;
mod text;
mod toc;

use std::io::BufRead;

use chaos_common::config::DumpHolds;
use chaos_common::record::{Check, Contents, Status, TableRows};

use self::header::Form;
use self::parts::Parts;
use crate::formats::decompress::Codec;
use crate::formats::error::{FormatError, count};
use crate::formats::inspection::{Expectations, Inspection};

/// Reads a dump of `size` bytes, if that is known.
///
/// # Errors
///
/// It is damaged, or cannot be read to its end.
pub fn examine(
    reader: impl BufRead + Send,
    size: Option<u64>,
    want: &Expectations,
    object: &str,
) -> Result<Inspection, FormatError> {
    let mut input = input::Input::new(reader, size);
    if script::begins(input.fill()?) {
        let script = script::read(&mut input)?;
        return Ok(found_script(script, want, object));
    }
    if tar_form::begins(input.fill()?) {
        let (header, toc, data) = tar_form::read(input.into_reader())?;
        let mut found = found(header, &toc, data, want, object);
        found.message = format!("{}, in tar format", found.message);
        return Ok(found);
    }
    let header = header::read(&mut input, Form::Custom)?;
    let toc = toc::read(&mut input, &header, Form::Custom)?;
    let data = data::read(&mut input, &header, &toc)?;
    Ok(found(header, &toc, data, want, object))
}

/// What was found in an archive that is whole.
fn found(
    header: header::Header,
    toc: &toc::Toc,
    data: data::Data,
    want: &Expectations,
    object: &str,
) -> Inspection {
    let rows: u64 = data.tables.iter().map(|table| table.rows).sum();
    let message = format!(
        "{} decoded to the end (compression: {}): {} in {}{}",
        count(toc.data.len() as u64, "block"),
        header.codec.word(),
        count(rows, "row"),
        count(data.tables.len() as u64, "table"),
        blobs(", ", data.blobs.len() as u64)
    );
    let mut checks = vec![restorable_check(
        restorable(toc, &data, rows, want.holds),
        object,
    )];
    checks.extend(want.database(std::slice::from_ref(&header.database), object));
    checks.extend(expected(want, &data.tables, &toc.parts, object));
    Inspection {
        message,
        checks,
        objects: Vec::new(),
        created: header.created,
        limit: match header.codec {
            Codec::Gzip => "changed names and definitions",
            _ => "changed names, definitions and rows",
        },
        contents: Contents::Postgres {
            version: format!("1.{}", header.minor),
            database: header.database,
            server_version: header.server_version,
            compression: header.codec.word().to_owned(),
            entries: usize::try_from(header.entries).unwrap_or(usize::MAX),
            tables: data.tables,
        },
    }
}

/// What was found in a script that is whole.
fn found_script(script: script::Script, want: &Expectations, object: &str) -> Inspection {
    let rows: u64 = script.tables.iter().map(|table| table.rows).sum();
    let message = format!(
        "{} read to the end of the script: {} in {}{}",
        count(script.statements as u64, "statement"),
        count(rows, "row"),
        count(script.tables.len() as u64, "table"),
        blobs(", ", script.blobs)
    );
    let holds = script.copies > 0 || script.inserts > 0 || script.blobs > 0;
    let tables = count(script.created, "table");
    let restorable = if want.holds == DumpHolds::Globals {
        globals(script.roles)
    } else if script.created == 0 && script.cluster && script.roles > 0 {
        (
            Status::Fail,
            format!(
                "holds {} and no database (pg_dumpall --globals-only)",
                count(script.roles, "role")
            ),
        )
    } else if script.created == 0 {
        (
            Status::Fail,
            "defines no table: was the right database dumped, and whole?".to_owned(),
        )
    } else if want.holds == DumpHolds::Schema {
        (Status::Pass, format!("defines {tables}"))
    } else if !holds && script.announcements == 0 {
        (
            Status::Fail,
            format!("defines {tables} and holds no data (pg_dump --schema-only)"),
        )
    } else if rows == 0 && script.inserts == 0 {
        (
            Status::Warn,
            format!("defines {tables}, and all of them are empty"),
        )
    } else {
        (
            Status::Pass,
            format!(
                "defines {tables}, and holds the data of {}",
                script.tables.len()
            ),
        )
    };
    let mut checks = vec![restorable_check(restorable, object)];
    checks.extend(want.database(&script.databases, object));
    checks.extend(expected(want, &script.tables, &script.parts, object));
    Inspection {
        message,
        checks,
        objects: Vec::new(),
        created: None,
        limit: "changed names, definitions and rows; statements that are missing",
        contents: Contents::Postgres {
            version: if script.cluster {
                "cluster script"
            } else {
                "script"
            }
            .to_owned(),
            database: script.databases.into_iter().next_back().unwrap_or_default(),
            server_version: script.server_version,
            compression: Codec::None.word().to_owned(),
            entries: script.statements,
            tables: script.tables,
        },
    }
}

/// Whether what a whole dump holds makes a database.
fn restorable(toc: &toc::Toc, data: &data::Data, rows: u64, holds: DumpHolds) -> (Status, String) {
    if holds == DumpHolds::Globals {
        // Only pg_dumpall writes roles.
        return globals(0);
    }
    let blocks = toc.data.len() as u64;
    if !toc.defines && blocks > 0 {
        return (
            Status::Fail,
            "holds data but no definitions (pg_dump --data-only): there is nothing to load it into"
                .into(),
        );
    }
    if toc.tables == 0 {
        return (
            Status::Fail,
            "defines no table: was the right database dumped?".to_owned(),
        );
    }
    let tables = count(toc.tables, "table");
    if holds == DumpHolds::Schema {
        return (Status::Pass, format!("defines {tables}"));
    }
    if blocks == 0 {
        return (
            Status::Fail,
            format!("defines {tables} and holds no data (pg_dump --schema-only)"),
        );
    }
    let counted = toc.data.iter().all(|entry| entry.kind != toc::Kind::Blobs);
    if counted && rows == 0 {
        return (
            Status::Warn,
            format!("defines {tables}, and all of them are empty"),
        );
    }
    let blobs = blobs(" and ", data.blobs.len() as u64);
    (
        Status::Pass,
        format!(
            "defines {tables}, and holds the data of {}{blobs}",
            toc.tables_with_data()
        ),
    )
}

/// Whether all tables that are expected have rows.
fn expected(
    want: &Expectations,
    tables: &[TableRows],
    parts: &Parts,
    object: &str,
) -> Option<Check> {
    let holds = |name: &String| parts.rows(tables, name).map(|rows| rows > 0);
    want.judge(object, "row", holds)
}

/// Whether a script that should hold the globals of a cluster does.
fn globals(roles: u64) -> (Status, String) {
    if roles == 0 {
        return (
            Status::Fail,
            "holds no role: it is not what pg_dumpall --globals-only writes".to_owned(),
        );
    }
    (Status::Pass, format!("holds {}", count(roles, "role")))
}

/// How many large objects there are, behind `before`; nothing if there is none.
fn blobs(before: &str, number: u64) -> String {
    if number > 0 {
        format!("{before}{}", count(number, "large object"))
    } else {
        String::new()
    }
}

/// The check of whether what a dump holds makes a database.
fn restorable_check((status, message): (Status, String), object: &str) -> Check {
    let check = Check::new("backup.restorable", object, status, message);
    if status == Status::Fail {
        check.hint(
            "dump the whole database (pg_dump -Fc DATABASE), or say what it is to hold: \
             holds = \"schema\" or \"globals\"",
        )
    } else {
        check
    }
}

/// Whether a file begins as a script of `pg_dump` does.
pub fn is_script(start: &[u8]) -> bool {
    script::begins(start)
}
