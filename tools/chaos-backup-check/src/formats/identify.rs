//! What a file is, by its first bytes: how it is packed, and what is in it.
//!
//! This only looks; whether the file is whole is for [`crate::formats::verify`] to say.

use std::io::Read as _;

use chaos_common::config::BackupKind;

use crate::formats::decompress::{Codec, Unpacked};
use crate::formats::encryption::Encryption;
use crate::formats::pg_dump;

/// So many of a file's first bytes are enough, packed or not, where it has that many.
pub const LOOK: usize = 1 << 20;
/// Unpacked bytes that show what a file is.
pub(crate) const START: u64 = 4096;

/// What a file's first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    /// How it is packed.
    pub packing: Packing,
    /// What is in it.
    pub content: Content,
}

/// How a file is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// As this version unpacks it; [`Codec::None`] if not at all.
    Known(Codec),
    /// With a program of this name, which this version does not unpack.
    Foreign(&'static str),
}

/// What is in a file, once it is unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A dump of PostgreSQL, in this form.
    Dump(DumpForm),
    /// A tar archive.
    Tar,
    /// What may be Kubernetes objects: YAML or JSON with a kind.
    Objects,
    /// A manifest or the evidence of a drill, which stand beside a backup and are none.
    Sidecar,
    /// Anything, encrypted.
    Encrypted(Encryption),
    /// No byte at all.
    Empty,
    /// None of these, or its first bytes do not say.
    Unknown,
}

/// The forms of a dump that is one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DumpForm {
    /// `pg_dump -Fc`.
    Custom,
    /// `pg_dump -Ft`: a tar archive that begins with a table of contents.
    Tar,
    /// A script: `pg_dump -Fp`, `pg_dumpall`.
    Script,
}

impl Identity {
    /// Looks at a file's first bytes: [`LOOK`] of them, or all if it has fewer.
    pub fn of(start: &[u8]) -> Identity {
        if let Some(encryption) = Encryption::of(start) {
            return Identity {
                packing: Packing::Known(Codec::None),
                content: Content::Encrypted(encryption),
            };
        }
        match Codec::of(start) {
            Err(program) => Identity {
                packing: Packing::Foreign(program),
                content: Content::Unknown,
            },
            Ok(Codec::None) => Identity {
                packing: Packing::Known(Codec::None),
                content: Content::of(start),
            },
            Ok(codec) => Identity {
                packing: Packing::Known(codec),
                content: unpacked(start, codec),
            },
        }
    }

    /// The kind of backup that it is, if it is one that can be read.
    pub fn kind(&self) -> Option<BackupKind> {
        match self.content {
            Content::Dump(_) => Some(BackupKind::Postgres),
            Content::Tar => Some(BackupKind::Tar),
            Content::Objects => Some(BackupKind::Kubernetes),
            Content::Sidecar | Content::Encrypted(_) | Content::Empty | Content::Unknown => None,
        }
    }

    /// How it is encrypted, if it is.
    pub fn encryption(&self) -> Option<Encryption> {
        match self.content {
            Content::Encrypted(encryption) => Some(encryption),
            _ => None,
        }
    }
}

/// What is in a packed file, as far as its first bytes can be unpacked.
fn unpacked(packed: &[u8], codec: Codec) -> Content {
    let mut start = Vec::new();
    let read =
        Unpacked::new(packed, codec).map(|unpacked| unpacked.take(START).read_to_end(&mut start));
    match read {
        // It is cut here by ourselves: what came before that counts.
        Ok(Err(_)) | Err(_) if start.is_empty() => Content::Unknown,
        _ => Content::of(&start),
    }
}

impl Content {
    /// By the first [`START`] bytes of what is not packed, or is unpacked.
    pub(crate) fn of(start: &[u8]) -> Content {
        let tar = start.get(257..262) == Some(b"ustar");
        if start.is_empty() {
            Content::Empty
        } else if let Some(encryption) = Encryption::of(start) {
            Content::Encrypted(encryption)
        } else if start.starts_with(b"PGDMP") {
            Content::Dump(DumpForm::Custom)
        } else if tar && start.starts_with(b"toc.dat\0") {
            Content::Dump(DumpForm::Tar)
        } else if pg_dump::is_script(start) {
            Content::Dump(DumpForm::Script)
        } else if tar || old_tar(start) || is_end_of_tar(start) {
            Content::Tar
        } else if is_sidecar(start) {
            Content::Sidecar
        } else if is_text(start) && looks_like_objects(start) {
            Content::Objects
        } else {
            Content::Unknown
        }
    }
}

/// Whether a header of the time before ustar stands here: a name, and numbers in octal digits.
fn old_tar(start: &[u8]) -> bool {
    let number = |field: std::ops::Range<usize>| {
        start.get(field).is_some_and(|field| {
            let digits = field.iter().filter(|byte| byte.is_ascii_digit()).count();
            digits > 0
                && field
                    .iter()
                    .all(|byte| matches!(byte, b'0'..=b'7' | b' ' | b'\0'))
        })
    };
    start.first().is_some_and(|byte| *byte != 0) && number(100..108) && number(148..156)
}

/// Whether an archive without members stands here: its end marks and no more.
fn is_end_of_tar(start: &[u8]) -> bool {
    start.len() >= 1024 && start.iter().all(|byte| *byte == 0)
}

fn is_sidecar(start: &[u8]) -> bool {
    let text = start.trim_ascii_start();
    text.starts_with(b"{")
        && ["\"chaos.manifest/", "\"chaos.drill/"]
            .iter()
            .any(|schema| memchr::memmem::find(text, schema.as_bytes()).is_some())
}

fn is_text(start: &[u8]) -> bool {
    // UTF-16 has a zero byte beside every letter, and says so at its beginning.
    start.starts_with(b"\xff\xfe")
        || start.starts_with(b"\xfe\xff")
        || memchr::memchr(0, start).is_none()
}

/// Whether a line begins with a key that an object or a list of them has.
fn looks_like_objects(start: &[u8]) -> bool {
    let plain: Vec<u8> = start.iter().copied().filter(|byte| *byte != 0).collect();
    plain
        .split(|byte| matches!(byte, b'\n' | b'{' | b','))
        .any(|line| {
            let line = line.strip_prefix(b"- ").unwrap_or(line).trim_ascii_start();
            let key = line.split(|byte| *byte == b':').next().unwrap_or_default();
            let key = key.trim_ascii();
            let key = key.strip_prefix(b"\"").unwrap_or(key);
            let key = key.strip_suffix(b"\"").unwrap_or(key);
            key.len() < line.len()
                && matches!(key, b"apiVersion" | b"kind" | b"items" | b"metadata")
        })
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::path::Path;

    use super::*;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(Path::new("tests/fixtures").join(name)).expect("a fixture")
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(bytes).expect("memory");
        gzip.finish().expect("memory")
    }

    const OBJECTS: &[u8] = b"apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";

    #[test]
    fn backups_are_known_by_their_first_bytes() {
        for (bytes, codec, content) in [
            (
                fixture("pgdump/gzip.dump"),
                Codec::None,
                Content::Dump(DumpForm::Custom),
            ),
            (
                fixture("pgdump/plain.sql"),
                Codec::None,
                Content::Dump(DumpForm::Script),
            ),
            (
                gzip(&fixture("pgdump/plain.sql")),
                Codec::Gzip,
                Content::Dump(DumpForm::Script),
            ),
            (
                gzip(&fixture("pgdump/none.dump")),
                Codec::Gzip,
                Content::Dump(DumpForm::Custom),
            ),
            (fixture("tar/gnu.tar.gz"), Codec::Gzip, Content::Tar),
            (fixture("tar/v7.tar.gz"), Codec::Gzip, Content::Tar),
            (fixture("tar/ustar.tar.gz"), Codec::Gzip, Content::Tar),
            (OBJECTS.to_vec(), Codec::None, Content::Objects),
            (gzip(OBJECTS), Codec::Gzip, Content::Objects),
            (Vec::new(), Codec::None, Content::Empty),
            (gzip(b""), Codec::Gzip, Content::Empty),
            (
                b"#!/bin/sh\nexit 0\n".to_vec(),
                Codec::None,
                Content::Unknown,
            ),
            (vec![0; 4096], Codec::None, Content::Tar),
            (vec![0; 100], Codec::None, Content::Unknown),
        ] {
            let packing = Packing::Known(codec);
            assert_eq!(Identity::of(&bytes), Identity { packing, content });
        }
    }

    #[test]
    fn no_more_than_the_first_bytes_are_needed() {
        let packed = fixture("tar/gnu.tar.gz");
        let identity = Identity::of(&packed[..packed.len() / 2]);
        assert_eq!(identity.kind(), Some(BackupKind::Tar));
    }

    #[test]
    fn what_stands_beside_a_backup_is_none() {
        let manifest = b"{\n  \"schema\": \"chaos.manifest/1\",\n  \"tool\": \"x\"}";
        assert_eq!(Identity::of(manifest).content, Content::Sidecar);
        assert_eq!(Identity::of(manifest).kind(), None);
        let digest = b"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824  x.dump\n";
        assert_eq!(Identity::of(digest).kind(), None);
    }

    #[test]
    fn foreign_programs_are_named() {
        for (start, program) in [(&b"PK\x03\x04"[..], "zip"), (b"7z\xbc\xaf\x27\x1c", "7z")] {
            assert_eq!(Identity::of(start).packing, Packing::Foreign(program));
        }
    }
}
