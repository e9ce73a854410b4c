//! Reads a backup from its first byte to its last, whatever it comes from.
//!
//! One thread reads and makes the digest, another decompresses, and where there is much to judge in what comes out,
//! a third does that. No more than a few buffers are in memory, however large the backup is.

use std::io::{self, BufRead, Cursor, Read};

use chaos_common::config::BackupKind;
use chaos_common::record::{Check, Contents, TableRows};

use crate::digest::{self, Sha256};
use crate::manifests::Object;
use crate::pgdump::is_table;
use crate::pipe::{BUFFER, Writer, ahead, pipe};
use crate::trouble::{Trouble, count};
use crate::unpack::{self, Codec, Unpacked};
use crate::{manifests, pgdump, tarball};

/// Bytes that show what a file is.
const START: u64 = 512;

/// What a backup has to hold, by the configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Want {
    /// The database that is dumped.
    pub(crate) database: Option<String>,
    /// Tables, or members of an archive, that are there and not empty.
    pub(crate) expect: Vec<String>,
}

/// What a parser found in a backup that is whole.
#[derive(Debug)]
pub(crate) struct Found {
    /// For the record.
    pub(crate) contents: Contents,
    /// For people.
    pub(crate) message: String,
    /// What was found besides, such as whether it makes a database.
    pub(crate) checks: Vec<Check>,
    /// The objects of a backup of a cluster's configuration.
    pub(crate) objects: Vec<Object>,
    /// Damage that the format does not show.
    pub(crate) limit: &'static str,
}

/// What a backup is that was read to its end and is whole.
#[derive(Debug)]
pub(crate) struct Verified {
    /// For the record.
    pub(crate) contents: Contents,
    /// What was read, for people.
    pub(crate) message: String,
    /// What was found besides, such as whether it makes a database.
    pub(crate) checks: Vec<Check>,
    /// The objects of a backup of a cluster's configuration.
    pub(crate) objects: Vec<Object>,
    /// Damage that would go unseen without a manifest.
    pub(crate) limit: &'static str,
    /// Bytes read.
    pub(crate) size_bytes: u64,
    /// Their SHA-256, in hexadecimal digits.
    pub(crate) sha256: String,
}

/// Reads all of a backup. `kind` is what it should be, or else what its first bytes say; `size` is its length
/// if that is known; `object` is its name in checks.
pub(crate) fn verify(
    reader: impl Read + Send,
    kind: Option<BackupKind>,
    size: Option<u64>,
    want: &Want,
    object: &str,
) -> Result<Verified, Trouble> {
    let read = read_all(reader, size, |bytes| examine(bytes, kind, size, want, object))?;
    let (Found { contents, message, checks, objects, limit }, checksum) = read.parsed;
    let limit = if checksum { "another whole file in its place" } else { limit };
    Ok(Verified { contents, message, checks, objects, limit, size_bytes: read.size_bytes, sha256: read.sha256 })
}

/// What all bytes of something make.
pub(crate) struct Whole<T> {
    pub(crate) parsed: T,
    pub(crate) size_bytes: u64,
    pub(crate) sha256: String,
}

/// Reads all bytes, and makes their digest while `parse` reads them; what it leaves is read as well.
pub(crate) fn read_all<T>(
    mut reader: impl Read + Send,
    size: Option<u64>,
    parse: impl FnOnce(&mut (dyn BufRead + Send)) -> Result<T, Trouble>,
) -> Result<Whole<T>, Trouble> {
    // A thread for a small file costs more than it saves.
    let small = size.filter(|size| *size < BUFFER as u64);
    let (parsed, source) = match small {
        Some(size) => {
            let mut bytes = Vec::new();
            let error = reader.by_ref().take(size + 1).read_to_end(&mut bytes).err();
            let mut source = Source { size_bytes: bytes.len() as u64, digest: Sha256::default(), error };
            source.digest.update(&bytes);
            (parse(&mut &bytes[..]), source)
        }
        None => std::thread::scope(|scope| {
            let (writer, mut bytes) = pipe();
            let source = scope.spawn(move || Source::read(reader, &writer));
            let parsed = parse(&mut bytes);
            if parsed.is_ok() {
                // What is left is part of the digest.
                let _ = io::copy(&mut bytes, &mut io::sink());
            }
            drop(bytes);
            (parsed, source.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        }),
    };
    // Without its end, what was read looks cut.
    if let Some(error) = source.error {
        return Err(Trouble::reading(source.size_bytes, &error));
    }
    Ok(Whole { parsed: parsed?, size_bytes: source.size_bytes, sha256: digest::hex(source.digest) })
}

/// Decompresses and judges; gives besides whether a checksum covers all bytes.
fn examine(
    reader: &mut (dyn BufRead + Send),
    kind: Option<BackupKind>,
    size: Option<u64>,
    want: &Want,
    object: &str,
) -> Result<(Found, bool), Trouble> {
    let mut unpacked = Unpacked::sniff(reader)?;
    let checksum = unpacked.checksum;
    let size = size.filter(|_| unpacked.codec == Codec::None);
    let mut start = Vec::new();
    unpacked.by_ref().take(START).read_to_end(&mut start).map_err(|error| unpack::trouble(&error, 0))?;
    if kind == Some(BackupKind::Tar) && start.starts_with(b"PGDMP") {
        return Trouble::damaged("is not a tar archive, but a PostgreSQL dump in custom format");
    }
    let kind = kind.unwrap_or_else(|| kind_of(&start));
    if unpacked.codec == Codec::None {
        return judge(Cursor::new(start).chain(unpacked), kind, size, want, object).map(|found| (found, false));
    }
    let codec = unpacked.codec;
    let mut found = match kind {
        // What is in an archive is passed over, which is not worth a thread.
        BackupKind::Tar => judge(Cursor::new(start).chain(unpacked), kind, size, want, object),
        _ => ahead(&mut unpacked, |bytes| judge(Cursor::new(start).chain(bytes), kind, size, want, object)),
    }?;
    found.message = format!("{}; {} decompressed as a whole", found.message, codec.word());
    Ok((found, checksum))
}

/// What a file seems to be.
fn kind_of(start: &[u8]) -> BackupKind {
    if start.starts_with(b"PGDMP") || pgdump::is_script(start) {
        BackupKind::Postgres
    } else if start.get(257..262) == Some(b"ustar") || start.contains(&0) {
        BackupKind::Tar
    } else {
        BackupKind::Kubernetes
    }
}

fn judge(
    reader: impl BufRead + Send,
    kind: BackupKind,
    size: Option<u64>,
    want: &Want,
    object: &str,
) -> Result<Found, Trouble> {
    match kind {
        BackupKind::Postgres => pgdump::examine(reader, size, want, object),
        BackupKind::Tar => tarball::examine(reader, want, object),
        BackupKind::VolumeSnapshot => unreachable!("a volume's snapshot has no bytes that are read"),
        BackupKind::Kubernetes => manifests::examine(reader, size).map(|found| Found {
            checks: vec![manifests::restorable_check(&found.all, object)],
            contents: found.contents,
            message: found.message,
            objects: found.all,
            limit: "changed values; documents that are missing at the end",
        }),
    }
}

impl Want {
    /// Whether the right database was dumped, if the dump names one.
    pub(crate) fn database(&self, dumped: &[String], object: &str) -> Option<Check> {
        const ID: &str = "backup.database";
        let wanted = self.database.as_ref()?;
        if dumped.is_empty() {
            return Some(Check::skipped(
                ID,
                object,
                format!("does not say of which database it is: {wanted} is expected"),
            ));
        }
        let found = dumped.contains(wanted);
        let message =
            if found { format!("is of {wanted}") } else { format!("is of {}, and not of {wanted}", dumped.join(", ")) };
        Some(
            Check::judge(found, ID, object, message)
                .hint("dump the database of the configuration, or correct it there"),
        )
    }

    /// Whether all tables that are expected have rows.
    pub(crate) fn tables(&self, tables: &[TableRows], object: &str) -> Option<Check> {
        let rows = |name: &String| tables.iter().filter(|table| is_table(table, name)).map(|table| table.rows).max();
        self.judge(object, "row", |name| rows(name).map(|rows| rows > 0))
    }

    /// Judges what is expected: `there` says whether it is there, and if so whether it holds something.
    pub(crate) fn judge(&self, object: &str, noun: &str, there: impl Fn(&String) -> Option<bool>) -> Option<Check> {
        const ID: &str = "backup.expected";
        if self.expect.is_empty() {
            return None;
        }
        let wrong = self.expect.iter().find_map(|name| match there(name) {
            None => Some(format!("lacks {name}")),
            Some(false) => Some(format!("has no {noun} in {name}")),
            Some(true) => None,
        });
        let message = || format!("has {} that it must", count(self.expect.len() as u64, "thing"));
        Some(match wrong {
            None => Check::pass(ID, object, message()),
            Some(wrong) => Check::fail(ID, object, format!("{wrong}, which it must have"))
                .hint("see what the job that makes this backup leaves out"),
        })
    }
}

/// What was read from where the backup is.
struct Source {
    size_bytes: u64,
    digest: Sha256,
    error: Option<io::Error>,
}

impl Source {
    /// Reads up to the end, an error, or until nobody wants more.
    fn read(mut reader: impl Read, writer: &Writer) -> Source {
        let mut source = Source { size_bytes: 0, digest: Sha256::default(), error: None };
        let mut end = false;
        while !end {
            let wanted = writer.send(|buffer| {
                let (read, error) = fill(&mut reader, buffer);
                source.digest.update(&buffer[..read]);
                source.size_bytes += read as u64;
                end = read < buffer.len();
                source.error = error;
                read
            });
            end |= !wanted;
        }
        source
    }
}

/// Fills a buffer as far as it goes.
pub(crate) fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> (usize, Option<io::Error>) {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (filled, Some(error)),
        }
    }
    (filled, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives its bytes, and then an error.
    struct Breaks<'b>(&'b [u8]);

    impl Read for Breaks<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the connection is gone")),
                read => Ok(read),
            }
        }
    }

    #[test]
    fn the_digest_is_that_of_all_bytes() {
        let text = b"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
        let verified = verify(&text[..], None, None, &Want::default(), "x").expect("whole");
        assert_eq!(verified.size_bytes, text.len() as u64);
        assert_eq!(verified.sha256, digest::of(text));
    }

    #[test]
    fn a_source_that_breaks_is_unknown_and_not_damage() {
        let dump = include_bytes!("../tests/fixtures/pgdump/gzip.dump");
        let whole = verify(&dump[..], None, None, &Want::default(), "x").expect("whole");
        assert_eq!(whole.size_bytes, dump.len() as u64);
        for (length, size) in
            [0, 3, 4000, dump.len()].into_iter().flat_map(|length| [(length, None), (length, Some(dump.len() as u64))])
        {
            let broken = verify(Breaks(&dump[..length]), Some(BackupKind::Postgres), size, &Want::default(), "x");
            let Err(Trouble::CannotTell(why)) = broken else { panic!("{broken:?}") };
            assert!(why.contains(&format!("byte {length}: the connection is gone")), "{why}");
        }
    }
}
