//! Reads a backup from its first byte to its last, whatever it comes from.
//!
//! One thread reads and makes the digest, another decompresses, and where there is much to judge in
//! what comes out, a third does that. No more than a few buffers are in memory, however large the
//! backup is.

use std::io::{BufRead, Cursor, Read};

use chaos_common::config::BackupKind;

use crate::formats::decompress::{self, Codec, Unpacked};
use crate::formats::decrypt::{self, STALL};
use crate::formats::digest::read_all;
use crate::formats::encryption::Encryption;
use crate::formats::error::FormatError;
use crate::formats::identify::{Content, Identity, Packing, START};
use crate::formats::inspection::{Expectations, Inspection, Verified};
use crate::formats::{kubernetes, pg_dump, tar};

/// Reads all of a backup. `kind` is what it should be, or else what its first bytes say; `size` is
/// its length if that is known; `object` is its name in checks.
///
/// # Errors
///
/// It is damaged, or cannot be read to its end.
pub fn verify(
    reader: impl Read + Send,
    kind: Option<BackupKind>,
    size: Option<u64>,
    want: &Expectations,
    object: &str,
) -> Result<Verified, FormatError> {
    let read = read_all(reader, size, |bytes| {
        if want.decrypt.is_empty() {
            return examine(bytes, kind, size, want, object);
        }
        decrypt::through(&want.decrypt, bytes, STALL, |plain| {
            let (mut found, checksum) = examine(plain, kind, None, want, object)?;
            found.message = format!("{}; decrypted by {}", found.message, want.decrypt[0]);
            Ok((found, checksum))
        })
    })?;
    let (mut found, checksum) = read.parsed;
    if checksum {
        found.limit = "another whole file in its place";
    }
    Ok(Verified {
        found,
        size_bytes: read.size_bytes,
        blake3: read.blake3,
    })
}

/// Decompresses and judges; gives besides whether a checksum covers all bytes.
fn examine(
    reader: &mut (dyn BufRead + Send),
    kind: Option<BackupKind>,
    size: Option<u64>,
    want: &Expectations,
    object: &str,
) -> Result<(Inspection, bool), FormatError> {
    let start = reader.fill_buf();
    not_encrypted(start.map_err(|error| FormatError::reading(0, &error))?)?;
    let mut unpacked = Unpacked::sniff(reader)?;
    let checksum = unpacked.checksum;
    let size = size.filter(|_| unpacked.codec == Codec::None);
    let mut start = Vec::new();
    unpacked
        .by_ref()
        .take(START)
        .read_to_end(&mut start)
        .map_err(|error| decompress::trouble(&error, 0))?;
    not_encrypted(&start)?;
    if kind == Some(BackupKind::Tar) && start.starts_with(b"PGDMP") {
        return FormatError::damaged(
            "is not a tar archive, but a PostgreSQL dump in custom format",
        );
    }
    let kind = kind.map_or_else(|| kind_of(&start), Ok)?;
    if unpacked.codec == Codec::None {
        return judge(Cursor::new(start).chain(unpacked), kind, size, want, object)
            .map(|found| (found, false));
    }
    let codec = unpacked.codec;
    let mut found = match kind {
        // What is in an archive is passed over, which is not worth a thread by itself.
        BackupKind::Tar if codec != Codec::Gzip => {
            judge(Cursor::new(start).chain(unpacked), kind, size, want, object)
        }
        _ => {
            unpacked.ahead(|bytes| judge(Cursor::new(start).chain(bytes), kind, size, want, object))
        }
    }?;
    found.message = format!(
        "{}; {} decompressed as a whole",
        found.message,
        codec.word()
    );
    Ok((found, checksum))
}

/// Refuses what cannot be read without a key.
fn not_encrypted(start: &[u8]) -> Result<(), FormatError> {
    match Encryption::of(start) {
        None => Ok(()),
        Some(by) => FormatError::cannot_tell(format!(
            "is encrypted ({by}): what is in it is not read unless decrypt in chaos.toml says how"
        )),
    }
}

/// What a file seems to be, where nobody says it.
fn kind_of(start: &[u8]) -> Result<BackupKind, FormatError> {
    let content = Content::of(start);
    let identity = Identity {
        packing: Packing::Known(Codec::None),
        content,
    };
    match content {
        Content::Empty => FormatError::damaged("is empty once it is unpacked"),
        _ => identity.kind().map_or_else(
            || FormatError::cannot_tell("begins like no backup that this version knows"),
            Ok,
        ),
    }
}

fn judge(
    reader: impl BufRead + Send,
    kind: BackupKind,
    size: Option<u64>,
    want: &Expectations,
    object: &str,
) -> Result<Inspection, FormatError> {
    match kind {
        BackupKind::Postgres => pg_dump::examine(reader, size, want, object),
        BackupKind::Tar => tar::examine(reader, want, object),
        BackupKind::Kubernetes => kubernetes::examine(reader, size).map(|found| Inspection {
            checks: std::iter::once(kubernetes::restorable_check(&found.all, object))
                .chain(kubernetes::expected_checks(&found.all, want, object))
                .collect(),
            contents: found.contents,
            message: found.message,
            objects: found.all,
            created: None,
            limit: "changed values; documents that are missing at the end",
        }),
        _ => unreachable!("snapshots and what tools keep have no bytes that are read"),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::formats::digest;

    /// Gives its bytes, and then an error.
    struct Breaks<'b>(&'b [u8]);

    impl Read for Breaks<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "the connection is gone",
                )),
                read => Ok(read),
            }
        }
    }

    #[test]
    fn the_digest_is_that_of_all_bytes() {
        let text = b"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
        let verified = verify(&text[..], None, None, &Expectations::default(), "x").expect("whole");
        assert_eq!(verified.size_bytes, text.len() as u64);
        assert_eq!(verified.blake3, digest::of(text));
    }

    #[test]
    fn an_encrypted_backup_is_unknown_unless_it_is_decrypted() {
        let text = b"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
        let encrypted = [b"Salted__", &text[..]].concat();
        let kind = Some(BackupKind::Kubernetes);
        let mut want = Expectations::default();
        let judged = verify(&encrypted[..], kind, None, &want, "x");
        let Err(FormatError::CannotTell(why)) = judged else {
            panic!("{judged:?}")
        };
        assert!(why.contains("encrypted (openssl enc)"), "{why}");
        want.decrypt = ["tail", "-c", "+9"].map(str::to_owned).to_vec();
        let read = verify(&encrypted[..], kind, None, &want, "x").expect("decrypted");
        assert_eq!(read.blake3, digest::of(&encrypted), "of what is stored");
        assert!(
            read.found.message.contains("decrypted by tail"),
            "{}",
            read.found.message
        );
        want.decrypt = ["false".to_owned()].to_vec();
        let judged = verify(&encrypted[..], kind, None, &want, "x");
        assert!(
            matches!(judged, Err(FormatError::CannotTell(_))),
            "{judged:?}"
        );
    }

    #[test]
    fn a_source_that_breaks_is_unknown_and_not_damage() {
        let dump = include_bytes!("../../tests/fixtures/pgdump/gzip.dump");
        let whole = verify(&dump[..], None, None, &Expectations::default(), "x").expect("whole");
        assert_eq!(whole.size_bytes, dump.len() as u64);
        for (length, size) in [0, 3, 4000, dump.len()]
            .into_iter()
            .flat_map(|length| [(length, None), (length, Some(dump.len() as u64))])
        {
            let broken = verify(
                Breaks(&dump[..length]),
                Some(BackupKind::Postgres),
                size,
                &Expectations::default(),
                "x",
            );
            let Err(FormatError::CannotTell(why)) = broken else {
                panic!("{broken:?}")
            };
            assert!(
                why.contains(&format!("byte {length}: the connection is gone")),
                "{why}"
            );
        }
    }
}
