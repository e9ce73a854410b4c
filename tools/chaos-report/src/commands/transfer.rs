//! `export` and `import`: runs leave the archive as one file, and come into another one.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use chaos_common::exit::{Exit, Failure};

use super::archived;
use crate::archive::{self, BundleError, Draft};
use crate::index::{Depth, Entry, Index};

/// Which runs, and where to.
#[derive(clap::Args, Debug)]
pub(crate) struct ExportArgs {
    /// Runs: their ids, the ends of them, the names of their files, or last
    #[arg(value_name = "RUN", required_unless_present = "all")]
    runs: Vec<String>,
    /// All that the archive holds
    #[arg(long, conflicts_with = "runs")]
    all: bool,
    /// Write this file; standard output if left out
    #[arg(long, value_name = "FILE.tar.gz")]
    to: Option<PathBuf>,
}

/// Which bundles.
#[derive(clap::Args, Debug)]
pub(crate) struct ImportArgs {
    /// Files that chaos-report export wrote
    #[arg(value_name = "FILE.tar.gz", required = true)]
    files: Vec<PathBuf>,
}

/// Writes runs as a bundle, with the notes on them.
///
/// # Errors
/// There is no such run, a file can't be read, or the bundle can't be written.
pub(crate) fn export(folder: &Path, args: &ExportArgs) -> Result<Exit, Failure> {
    let index = archived::open(folder, Depth::Facts)?;
    let files = if args.all {
        all(folder, &index)
    } else {
        files(folder, &index, &args.runs)?
    };
    if files.is_empty() {
        return Err(Failure::usage("the archive holds nothing to export"));
    }
    let failed = |error: io::Error| Failure::unknown(format!("cannot export: {error}"));
    match &args.to {
        Some(path) => to_file(folder, &files, path).map_err(failed)?,
        None if io::stdout().is_terminal() => {
            return Err(Failure::usage("a bundle is nothing for a terminal")
                .hint("name a file with --to, or redirect standard output"));
        }
        None => {
            let mut out = io::stdout().lock();
            archive::pack(folder, &files, &mut out).map_err(failed)?;
            out.flush().map_err(failed)?;
        }
    }
    archived::tell(&format!("exported {} files", files.len()));
    Ok(if args.all {
        archived::exit(&index)
    } else {
        Exit::Pass
    })
}

/// The file appears whole or not at all.
fn to_file(folder: &Path, files: &[PathBuf], path: &Path) -> io::Result<()> {
    let beside = path.parent().filter(|it| !it.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new("."));
    let mut draft = Draft::create(beside)?;
    archive::pack(folder, files, &mut draft)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    draft.replace(beside, &name)
}

fn all(folder: &Path, index: &Index) -> Vec<PathBuf> {
    let files = index.entries.iter().flat_map(|entry| of(folder, entry));
    files.collect()
}

/// The files of these runs, in order.
fn files(folder: &Path, index: &Index, runs: &[String]) -> Result<Vec<PathBuf>, Failure> {
    let mut files = BTreeSet::new();
    for text in runs {
        let entry = archived::one(index, text)?;
        files.extend(of(folder, entry));
        let run = entry.stream.run.as_str();
        let about = |entry: &&Entry| {
            let mut notes = entry.stream.notes.iter();
            entry.stream.is_no_run() && notes.any(|it| it.data.about.as_deref() == Some(run))
        };
        let notes = index.entries.iter().filter(about);
        files.extend(notes.flat_map(|entry| of(folder, entry)));
    }
    Ok(files.into_iter().collect())
}

/// A stream and its reports.
fn of(folder: &Path, entry: &Entry) -> Vec<PathBuf> {
    let stream = folder.join(&entry.file);
    let mut files = archive::reports_of(&stream);
    files.push(stream);
    files
}

/// Takes runs into the archive. Those that it holds already are left.
///
/// # Errors
/// A bundle can't be read, is damaged, or can't be kept.
pub(crate) fn import(folder: &Path, args: &ImportArgs) -> Result<Exit, Failure> {
    for path in &args.files {
        let failed = |why: BundleError| {
            let text = format!("cannot import {}: {why}", path.display());
            match why {
                BundleError::Foreign(_) => Failure::usage(text),
                _ => Failure::unknown(text),
            }
            .hint("nothing of the file was taken unless the archive was full; other files before it were")
        };
        let file = File::open(path).map_err(|error| failed(BundleError::Unreadable(error)))?;
        let unpacked = archive::unpack(folder, file).map_err(failed)?;
        archived::tell(&format!(
            "{}: {} streams added, {} were there",
            path.display(),
            unpacked.added.len(),
            unpacked.known
        ));
    }
    Ok(Exit::Pass)
}
