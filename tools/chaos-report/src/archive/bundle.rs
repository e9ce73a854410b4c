//! Runs in one file, to keep elsewhere or to hand on: a tar archive packed with gzip that holds the
//! streams, the reports, and the digest of each, as `sha256sum --check SHA256SUMS` reads them.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;
use sha2::{Digest as _, Sha256};
use tar::{Archive, Builder, EntryType, Header};

use tempfile::TempDir;

use super::{Draft, NewReport, REPORTS, digest, stem_of};

/// The member that holds the digests.
const SUMS: &str = "SHA256SUMS";
/// The largest member that is read, in bytes.
const MAX_MEMBER: u64 = 256 << 20;
/// The largest report that is read, in bytes: it is held in memory.
const MAX_REPORT: u64 = 64 << 20;

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

/// Writes files as a bundle: each with its name.
///
/// # Errors
/// One can't be had, or the bundle can't be written.
pub(crate) fn pack(
    files: impl Iterator<Item = io::Result<(String, Vec<u8>)>>,
    out: impl Write,
) -> io::Result<()> {
    let mut builder = Builder::new(GzEncoder::new(out, Compression::default()));
    let mut sums = String::new();
    for file in files {
        let (name, bytes) = file?;
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

/// A bundle that was read, and whose digests are confirmed. It takes no room any more once it is
/// dropped.
#[derive(Debug)]
pub(crate) struct Unpacked {
    staging: TempDir,
    /// Its runs, in order of their names.
    pub(crate) runs: Vec<BundledRun>,
}

/// A stream of a bundle, and its reports.
#[derive(Debug)]
pub(crate) struct BundledRun {
    pub(crate) stem: String,
    /// `ndjson`, or how it is packed: `ndjson.gz`.
    pub(crate) ending: String,
    pub(crate) sha256: String,
    reports: Vec<&'static str>,
}

impl Unpacked {
    /// The stream of a run, which can be had once.
    ///
    /// # Errors
    /// It can't be read.
    pub(crate) fn stream(&self, run: &BundledRun) -> io::Result<Draft> {
        Draft::at(&self.path(run, &run.ending))
    }

    /// The reports on a run.
    ///
    /// # Errors
    /// One can't be read.
    pub(crate) fn reports(&self, run: &BundledRun) -> io::Result<Vec<NewReport>> {
        let read = |ending: &&'static str| Ok((*ending, fs::read(self.path(run, ending))?));
        run.reports.iter().map(read).collect()
    }

    fn path(&self, run: &BundledRun, ending: &str) -> PathBuf {
        self.staging.path().join(format!("{}.{ending}", run.stem))
    }
}

/// Reads a bundle into a hidden folder in `folder`, and checks all digests.
///
/// # Errors
/// It is no bundle, is damaged, or there is no room for it.
pub(crate) fn unpack(folder: &Path, input: impl Read) -> Result<Unpacked, BundleError> {
    let staging = staging(folder).map_err(BundleError::NotKept)?;
    let mut archive = Archive::new(MultiGzDecoder::new(input));
    let (mut digests, mut sums) = (BTreeMap::new(), None);
    for member in archive.entries().map_err(BundleError::Unreadable)? {
        let mut member = member.map_err(BundleError::Unreadable)?;
        let name = String::from_utf8_lossy(&member.path_bytes()).into_owned();
        if member.header().entry_type() != EntryType::Regular {
            return Err(BundleError::Foreign(name));
        }
        let most = match Member::of(&name) {
            Some(Member::Report(_)) => MAX_REPORT,
            Some(Member::Stream) | None => MAX_MEMBER,
        };
        if member.size() > most {
            return Err(BundleError::TooLarge(name));
        }
        if name == SUMS {
            let mut text = String::new();
            let read = member.read_to_string(&mut text);
            read.map_err(BundleError::Unreadable)?;
            sums = Some(text);
            continue;
        }
        if Member::of(&name).is_none() {
            return Err(BundleError::Foreign(name));
        }
        let digest = copy(&mut member, &staging.path().join(&name))?;
        digests.insert(name, digest);
    }
    check(&sums.ok_or(BundleError::NoSums)?, &digests)?;
    let runs = runs(&digests)?;
    Ok(Unpacked { staging, runs })
}

fn staging(folder: &Path) -> io::Result<TempDir> {
    fs::create_dir_all(folder)?;
    tempfile::Builder::new()
        .prefix(".chaos-report-")
        .suffix(".tmp")
        .tempdir_in(folder)
}

/// What a member is, by its name.
enum Member {
    Stream,
    Report(&'static str),
}

impl Member {
    fn of(name: &str) -> Option<Member> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.starts_with('.') || !name.chars().all(plain) {
            return None;
        }
        if name.contains(".ndjson") {
            return Some(Member::Stream);
        }
        let (_, ending) = name.split_once('.')?;
        let known = REPORTS.into_iter().find(|known| *known == ending);
        known.map(Member::Report)
    }
}

fn copy(input: &mut impl Read, path: &Path) -> Result<String, BundleError> {
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o644)
        .open(path)
        .map_err(BundleError::NotKept)?;
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

/// The streams, each with its reports.
fn runs(digests: &BTreeMap<String, String>) -> Result<Vec<BundledRun>, BundleError> {
    let mut runs: BTreeMap<&str, BundledRun> = BTreeMap::new();
    let mut reports = Vec::new();
    for (name, sha256) in digests {
        if let Some(Member::Report(ending)) = Member::of(name) {
            reports.push((name.as_str(), ending));
            continue;
        }
        let stem = stem_of(name);
        let run = BundledRun {
            stem: stem.to_owned(),
            ending: name[stem.len() + 1..].to_owned(),
            sha256: sha256.clone(),
            reports: Vec::new(),
        };
        runs.insert(stem, run);
    }
    for (name, ending) in reports {
        let stem = &name[..name.len() - ending.len() - 1];
        let run = runs.get_mut(stem);
        let run = run.ok_or_else(|| BundleError::Missing(format!("{stem}.ndjson")))?;
        run.reports.push(ending);
    }
    Ok(runs.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_larger_than_memory_has_room_for_is_refused_before_it_is_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let unpacked = |name: &str, size: u64| {
            let mut bundle = Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
            let mut header = Header::new_gnu();
            header.set_entry_type(EntryType::Regular);
            header.set_size(size);
            let bytes = io::repeat(b'x').take(size);
            bundle
                .append_data(&mut header, name, bytes)
                .expect("memory");
            let packed = bundle.into_inner().and_then(GzEncoder::finish);
            unpack(folder.path(), &packed.expect("memory")[..])
        };
        let large = unpacked("run.html", MAX_REPORT + 1);
        assert!(matches!(large, Err(BundleError::TooLarge(name)) if name == "run.html"));
        let fits = unpacked("run.html", 1);
        assert!(matches!(fits, Err(BundleError::NoSums)), "{fits:?}");
    }
}
