//! Runs in one file, to keep elsewhere or to hand on: a tar archive packed with gzip that holds the
//! streams, the reports, and the digest of each, as `sha256sum --check SHA256SUMS` reads them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use super::{Draft, Saved, save, stem_of};

/// The member that holds the digests.
const SUMS: &str = "SHA256SUMS";
/// The largest member that is read, in bytes.
const MAX_MEMBER: u64 = 256 << 20;
/// The largest report that is read, in bytes.
const MAX_REPORT: u64 = 64 << 20;
/// Endings of reports.
pub(super) const REPORTS: [&str; 5] = ["md", "html", "json", "junit.xml", "summary.txt"];

/// Why a bundle is not taken in.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BundleError {
    #[error("cannot read it: {0}")]
    Unreadable(#[source] io::Error),
    #[error("it holds {0:?}, which is no stream or report of a run")]
    Foreign(String),
    #[error("{0} is larger than is read")]
    TooLarge(String),
    #[error("it holds no {SUMS}: it is cut, or no export of chaos-report")]
    NoSums,
    #[error("{0} is not what its digest in {SUMS} says: it was changed or damaged")]
    Changed(String),
    #[error("{0} is named in {SUMS} and missing")]
    Missing(String),
    #[error("cannot keep it in the archive: {0}")]
    NotKept(#[source] io::Error),
}

/// Writes these files of the archive as a bundle. Each is read once.
///
/// # Errors
/// One can't be read, or the bundle can't be written.
pub(crate) fn pack(folder: &Path, files: &[PathBuf], out: impl Write) -> io::Result<()> {
    let mut builder = Builder::new(GzEncoder::new(out, Compression::default()));
    let mut sums = String::new();
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut bytes = Vec::new();
        File::open(folder.join(path))?.read_to_end(&mut bytes)?;
        add(&mut builder, &name, &bytes)?;
        sums.extend([&digest(&bytes), "  ", &name, "\n"]);
    }
    add(&mut builder, SUMS, sums.as_bytes())?;
    builder.into_inner()?.finish()?.flush()
}

fn add(builder: &mut Builder<impl Write>, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    // The same runs make the same bundle, whenever it is made.
    header.set_mtime(0);
    header.set_size(bytes.len() as u64);
    builder.append_data(&mut header, name, bytes)
}

fn digest(bytes: &[u8]) -> String {
    HEXLOWER.encode(&Sha256::digest(bytes))
}

/// What became of a bundle.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    /// Streams that are in the archive now.
    pub(crate) added: Vec<Saved>,
    /// Streams that were there before.
    pub(crate) known: usize,
}

/// A stream and its reports, unpacked.
#[derive(Default)]
struct Group {
    stream: Option<(String, Draft, String)>,
    reports: Vec<(&'static str, Vec<u8>)>,
}

/// Takes the runs of a bundle into the archive: none before all digests are confirmed.
///
/// # Errors
/// It is no bundle, is damaged, or can't be kept.
pub(crate) fn unpack(folder: &Path, input: impl Read) -> Result<Unpacked, BundleError> {
    let mut archive = Archive::new(MultiGzDecoder::new(input));
    let (mut groups, mut digests, mut sums) = (BTreeMap::new(), BTreeMap::new(), None);
    for member in archive.entries().map_err(BundleError::Unreadable)? {
        let mut member = member.map_err(BundleError::Unreadable)?;
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        if member.header().entry_type() != EntryType::Regular {
            return Err(BundleError::Foreign(name));
        }
        if member.size() > MAX_MEMBER {
            return Err(BundleError::TooLarge(name));
        }
        if name == SUMS {
            let mut text = String::new();
            member
                .read_to_string(&mut text)
                .map_err(BundleError::Unreadable)?;
            sums = Some(text);
            continue;
        }
        let digest = take(folder, &name, member, &mut groups)?;
        digests.insert(name, digest);
    }
    check(&sums.ok_or(BundleError::NoSums)?, &digests)?;
    keep(folder, groups)
}

/// Reads a member; its digest.
fn take(
    folder: &Path,
    name: &str,
    mut member: impl Read,
    groups: &mut BTreeMap<String, Group>,
) -> Result<String, BundleError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let foreign = || BundleError::Foreign(name.to_owned());
    if name.starts_with('.') || !name.chars().all(plain) {
        return Err(foreign());
    }
    if name.contains(".ndjson") {
        let mut draft = Draft::create(folder).map_err(BundleError::NotKept)?;
        let digest = copy(&mut member, &mut draft)?;
        let group = groups.entry(stem_of(name).to_owned()).or_default();
        group.stream = Some((name.to_owned(), draft, digest.clone()));
        return Ok(digest);
    }
    let (stem, ending) = name.split_once('.').ok_or_else(foreign)?;
    let ending = REPORTS
        .into_iter()
        .find(|known| *known == ending)
        .ok_or_else(foreign)?;
    let mut bytes = Vec::new();
    let mut member = member.take(MAX_REPORT + 1);
    member
        .read_to_end(&mut bytes)
        .map_err(BundleError::Unreadable)?;
    if bytes.len() as u64 > MAX_REPORT {
        return Err(BundleError::TooLarge(name.to_owned()));
    }
    let digest = digest(&bytes);
    let group = groups.entry(stem.to_owned()).or_default();
    group.reports.push((ending, bytes));
    Ok(digest)
}

fn copy(input: &mut impl Read, out: &mut impl Write) -> Result<String, BundleError> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = input.read(&mut buffer).map_err(BundleError::Unreadable)?;
        if read == 0 {
            return Ok(HEXLOWER.encode(&hasher.finalize()));
        }
        hasher.update(&buffer[..read]);
        out.write_all(&buffer[..read])
            .map_err(BundleError::NotKept)?;
    }
}

/// Whether the members are those of the digests.
fn check(sums: &str, digests: &BTreeMap<String, String>) -> Result<(), BundleError> {
    let named: BTreeMap<&str, &str> = sums
        .lines()
        .filter_map(|line| line.split_once("  "))
        .map(|(digest, name)| (name, digest))
        .collect();
    for (name, digest) in digests {
        if named.get(name.as_str()) != Some(&digest.as_str()) {
            return Err(BundleError::Changed(name.clone()));
        }
    }
    let missing = named.keys().find(|name| !digests.contains_key(**name));
    missing.map_or(Ok(()), |name| Err(BundleError::Missing((*name).to_owned())))
}

/// Gives each stream and its reports their names. One that the archive holds already is left.
fn keep(folder: &Path, groups: BTreeMap<String, Group>) -> Result<Unpacked, BundleError> {
    let mut unpacked = Unpacked::default();
    for (stem, group) in groups {
        let Some((name, draft, digest)) = group.stream else {
            return Err(BundleError::Missing(format!("{stem}.ndjson")));
        };
        if holds(folder, &name, &digest) {
            unpacked.known += 1;
            continue;
        }
        let ending = &name[stem.len() + 1..];
        let reports = |_: &str| group.reports.clone();
        let saved = save(folder, &stem, (draft, ending), reports);
        unpacked.added.push(saved.map_err(BundleError::NotKept)?);
    }
    Ok(unpacked)
}

/// Whether the archive has this file, or one with a number behind its stem, with this digest.
fn holds(folder: &Path, name: &str, wanted: &str) -> bool {
    let stem = stem_of(name);
    let ending = &name[stem.len()..];
    let names = (1..1000).map(|number| match number {
        1 => name.to_owned(),
        number => format!("{stem}-{number}{ending}"),
    });
    names
        .map_while(|name| fs::read(folder.join(name)).ok())
        .any(|bytes| digest(&bytes) == wanted)
}
