//! The parsers of chaos-backup-check, as its own files have them, and what must hold for any bytes:
//! no panic, no hang, bounded memory, and the same answer however the bytes arrive.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Cursor, Read};

use chaos_backup_check::formats::decompress::Unpacked;
use chaos_backup_check::formats::drill_evidence::DrillEvidence;
use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::identify::Identity;
use chaos_backup_check::formats::inspection::{Expectations, Inspection};
use chaos_backup_check::formats::manifest::Manifest;
use chaos_backup_check::formats::pg_dump::directory::{self, Files};
use chaos_backup_check::formats::{kubernetes, pg_dump, tar as tar_archive};

/// Bytes that are unpacked at most. More only costs time: the tool reads on in the same memory.
const UNPACKED: u64 = 4 << 20;

/// Files in memory, in place of those of a disk, a pod, or an object storage.
struct InMemory(BTreeMap<String, Vec<u8>>);

impl Files for InMemory {
    fn list(&self) -> Result<Vec<(String, bool)>, FormatError> {
        Ok(self.0.keys().map(|name| (name.clone(), true)).collect())
    }
    fn open_in(&self, name: &str) -> Result<(Box<dyn Read + Send>, u64), FormatError> {
        let Some(bytes) = self.0.get(name) else {
            return FormatError::cannot_tell("is not there");
        };
        Ok((Box::new(Cursor::new(bytes.clone())), bytes.len() as u64))
    }
}

/// A dump in custom format, or a script.
pub fn dump(bytes: &[u8]) {
    let want = Expectations {
        database: Some("shop".to_owned()),
        expect: vec!["users".to_owned()],
        ..Expectations::default()
    };
    let size = Some(bytes.len() as u64);
    same(bytes, |reader| pg_dump::examine(reader, size, &want, "fuzz"));
}

/// The folder of a dump in directory format: `toc.dat`, and behind lines of the form `==> NAME <==`
/// its other files.
pub fn folder(bytes: &[u8]) {
    let mut files = BTreeMap::new();
    let mut name = "toc.dat".to_owned();
    let mut rest = bytes;
    loop {
        let (content, next) = split(rest);
        files.insert(name, content.to_vec());
        let Some((following, after)) = next else {
            break;
        };
        name = following;
        rest = after;
    }
    let _ = directory::verify(&InMemory(files), &Expectations::default(), "fuzz");
}

/// A tar archive that is decompressed.
pub fn tar(bytes: &[u8]) {
    let want = Expectations {
        expect: vec!["app/config".to_owned()],
        ..Expectations::default()
    };
    same(bytes, |reader| tar_archive::examine(reader, &want, "fuzz"));
}

/// What gzip, zstd, lz4, xz and bzip2 made, and anything else; and what it seems to be.
pub fn unpack(bytes: &[u8]) {
    let _ = Identity::of(bytes).kind();
    let all = |mut unpacked: Box<dyn Read + '_>, piece: usize| {
        let (mut buffer, mut unpacked_bytes) = (vec![0; piece], Vec::new());
        while unpacked_bytes.len() < usize::try_from(UNPACKED).expect("small") {
            match unpacked.read(&mut buffer) {
                Ok(0) => return Some(unpacked_bytes),
                Ok(read) => unpacked_bytes.extend_from_slice(&buffer[..read]),
                Err(_) => return None,
            }
        }
        Some(unpacked_bytes)
    };
    let Ok(unpacked) = Unpacked::sniff(bytes) else {
        return;
    };
    let whole = all(Box::new(unpacked), 1 << 16);
    let Ok(unpacked) = Unpacked::sniff(BufReader::with_capacity(13, bytes)) else {
        panic!("cannot be told from its first bytes");
    };
    let in_pieces = all(Box::new(unpacked), 997);
    let cut = |bytes: Option<Vec<u8>>| {
        bytes.map(|bytes| bytes[..bytes.len().min(UNPACKED as usize)].to_vec())
    };
    let whole = cut(whole);
    assert!(
        whole == cut(in_pieces),
        "the same bytes, in pieces, are something else"
    );
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let theirs = cut(all(
            Box::new(flate2::bufread::MultiGzDecoder::new(bytes)),
            1 << 16,
        ));
        // Zeros behind the last member are none of it, as for gzip itself.
        let padded = theirs.is_none() && bytes.ends_with(&[0]);
        assert!(whole == theirs || padded, "another decoder sees it otherwise");
    }
}

/// Kubernetes objects, in YAML or JSON.
pub fn objects(bytes: &[u8]) {
    let _ = kubernetes::examine(bytes, Some(bytes.len() as u64));
}

/// What stands beside a backup: its manifest, and the evidence of drills.
pub fn sidecar(bytes: &[u8]) {
    // Times are written in milliseconds, so it is the second text that must be the first.
    if let Ok(manifest) = Manifest::parse(bytes) {
        let text = manifest.text();
        assert_eq!(
            Manifest::parse(&text)
                .expect("written and read again")
                .text(),
            text
        );
        let _ = manifest.differs(0, "");
    }
    if let Ok(evidence) = DrillEvidence::parse(bytes) {
        let text = |evidence| serde_json::to_vec(&evidence).expect("has no keys but text");
        let first = text(evidence);
        assert_eq!(
            text(DrillEvidence::parse(&first).expect("written and read again")),
            first
        );
    }
}

/// Parses bytes that come all at once, and again as they come from a slow pipe: the answer must be
/// the same.
fn same(bytes: &[u8], parse: impl Fn(Box<dyn BufRead + Send + '_>) -> Result<Inspection, FormatError>) {
    let told = |found: Result<Inspection, FormatError>| match found {
        Ok(found) => Ok((
            found.message,
            found
                .checks
                .iter()
                .map(|check| check.status)
                .collect::<Vec<_>>(),
        )),
        Err(FormatError::Damaged(_)) => Err("damaged"),
        Err(FormatError::CannotTell(_)) => Err("cannot tell"),
    };
    let whole = told(parse(Box::new(Cursor::new(bytes))));
    let size = 1 + bytes.len() % 61;
    // What begins a backup is there at once, also from a pipe.
    let (start, rest) = bytes.split_at(bytes.len().min(512));
    assert_eq!(
        told(parse(Box::new(
            start.chain(BufReader::with_capacity(size, rest))
        ))),
        whole,
        "in pieces of {size}"
    );
}

/// Up to the next line that names a file; its name, and what is behind it.
fn split(bytes: &[u8]) -> (&[u8], Option<(String, &[u8])>) {
    let mut finder = memchr::memmem::find_iter(bytes, b"\n==> ");
    let found = finder.find_map(|at| {
        let line = &bytes[at + 5..];
        let end = memchr::memmem::find(&line[..line.len().min(80)], b" <==\n")?;
        let name = std::str::from_utf8(&line[..end]).ok().filter(|name| {
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
                && !name.starts_with('.')
        })?;
        (!name.is_empty()).then(|| (at, name.to_owned(), &line[end + 5..]))
    });
    match found {
        None => (bytes, None),
        Some((at, name, rest)) => (&bytes[..at], Some((name, rest))),
    }
}
