//! `export` and `import`: runs leave the archive as one file, and come into another one.

use std::fs::{self, File};
use std::io::{self, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use chaos_common::exit::{Exit, Failure};
use chaos_common::output::printable;

use super::archived;
use crate::archive::{self, BundleError, BundledRun, Draft, Unpacked};
use crate::index::{Depth, Entry, Index};
use crate::store::{NewStream, Store, StoreError, StoredBytes, in_folder};

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
    /// Have the command of report.sign sign the file
    #[arg(long, requires = "to")]
    sign: bool,
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
/// There is no such run, a file can't be read, or the bundle can't be written or signed.
pub(crate) fn export(
    store: &mut dyn Store,
    args: &ExportArgs,
    signer: &[String],
) -> Result<Exit, Failure> {
    if args.sign && signer.is_empty() {
        return Err(Failure::usage("no command signs exports").hint(
            "name one in chaos.toml: [report] sign = \
             [\"ssh-keygen\", \"-Y\", \"sign\", \"-n\", \"chaos-report\", \"-f\", \"KEY\"]",
        ));
    }
    let index = archived::open(store, Depth::Facts)?;
    let mut entries = if args.all {
        index.entries.iter().collect()
    } else {
        named(&index, &args.runs)?
    };
    let by_hand = entries.iter().filter(|entry| entry.is_by_hand()).count();
    if by_hand > 0 {
        archived::tell(&format!(
            "{by_hand} reports that were written by hand have no stream, and are left out"
        ));
        entries.retain(|entry| !entry.is_by_hand());
    }
    if entries.is_empty() {
        return Err(Failure::usage("the archive holds nothing to export"));
    }
    // The same runs make the same bundle, wherever they are kept.
    entries.sort_by(|a, b| a.stem().cmp(b.stem()));
    let mut count = 0;
    let files = entries.into_iter().flat_map(|entry| {
        let files = files_of(store, entry).map_err(io::Error::other);
        let files = files.map_or_else(
            |error| vec![Err(error)],
            |mut files| {
                files.sort();
                files.into_iter().map(Ok).collect()
            },
        );
        count += files.len();
        files
    });
    let failed = |error: io::Error| Failure::unknown(format!("cannot export: {error}"));
    match &args.to {
        Some(path) => to_file(files, path).map_err(failed)?,
        None if io::stdout().is_terminal() => {
            return Err(Failure::usage("a bundle is nothing for a terminal")
                .hint("name a file with --to, or redirect standard output"));
        }
        None => {
            let mut out = io::stdout().lock();
            archive::pack(files, &mut out).map_err(failed)?;
            out.flush().map_err(failed)?;
        }
    }
    archived::tell(&format!("exported {count} files"));
    if let Some(path) = args.to.as_deref().filter(|_| args.sign) {
        let signature = sign(path, signer).map_err(|why| {
            let shown = path.display();
            Failure::unknown(format!("{shown} is written, and not signed: {why}"))
                .hint("mend report.sign in chaos.toml, or sign the file by hand")
        })?;
        archived::tell(&format!("signed: {}", signature.display()));
    }
    Ok(if args.all {
        archived::exit(&index)
    } else {
        Exit::Pass
    })
}

/// The file appears whole or not at all.
fn to_file(files: impl Iterator<Item = io::Result<StoredBytes>>, path: &Path) -> io::Result<()> {
    let beside = path.parent().filter(|it| !it.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new("."));
    let mut draft = Draft::create(beside)?;
    archive::pack(files, &mut draft)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    draft.replace(beside, &name)
}

/// Why a file is not signed.
#[derive(Debug, thiserror::Error)]
enum NotSigned {
    #[error("cannot start {program}: {source}")]
    NotStarted { program: String, source: io::Error },
    #[error("{program} ended with {status}{said}")]
    Refused {
        program: String,
        status: ExitStatus,
        said: String,
    },
    #[error("{0} ended well, and left no signature beside it")]
    Nothing(String),
    #[error("cannot look for the signature: {0}")]
    Unseen(io::Error),
}

/// Has the signer write a signature beside the file, and gives its path. One of an earlier file of
/// this name goes first: it would look like this one's.
fn sign(path: &Path, signer: &[String]) -> Result<PathBuf, NotSigned> {
    let (program, arguments) = signer.split_first().expect("a signer is configured");
    for old in signatures(path).map_err(NotSigned::Unseen)? {
        fs::remove_file(&old).map_err(NotSigned::Unseen)?;
    }
    let ended = Command::new(program)
        .args(arguments)
        .arg(path)
        .stdin(Stdio::inherit())
        .output()
        .map_err(|source| NotSigned::NotStarted {
            program: program.clone(),
            source,
        })?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr);
        let said = said.trim();
        return Err(NotSigned::Refused {
            program: program.clone(),
            status: ended.status,
            said: if said.is_empty() {
                String::new()
            } else {
                format!(": {}", printable(said))
            },
        });
    }
    let found = signatures(path).map_err(NotSigned::Unseen)?;
    let found = found.into_iter().next();
    found.ok_or_else(|| NotSigned::Nothing(program.clone()))
}

/// Files beside this one whose name is its own and the ending of a signature.
fn signatures(path: &Path) -> io::Result<Vec<PathBuf>> {
    const ENDINGS: [&str; 4] = ["sig", "minisig", "asc", "sigstore.json"];
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let beside = ENDINGS.map(|ending| path.with_file_name(format!("{name}.{ending}")));
    let mut found = Vec::new();
    for path in beside {
        if path.try_exists()? {
            found.push(path);
        }
    }
    Ok(found)
}

/// The reports of an entry, and its stream as it is kept.
fn files_of(store: &mut dyn Store, entry: &Entry) -> Result<Vec<StoredBytes>, StoreError> {
    let mut files = store.reports(entry)?;
    files.extend(store.stored(entry)?);
    Ok(files)
}

/// The streams of these runs, and the notes on them.
fn named<'i>(index: &'i Index, runs: &[String]) -> Result<Vec<&'i Entry>, Failure> {
    let mut entries: Vec<&Entry> = Vec::new();
    for text in runs {
        let entry = archived::one(index, text)?;
        let run = entry.stream.run.as_str();
        let about = |entry: &&Entry| {
            let mut notes = entry.stream.notes.iter();
            entry.stream.is_no_run() && notes.any(|it| it.data.about.as_deref() == Some(run))
        };
        for entry in index.entries.iter().filter(about).chain([entry]) {
            if entries.iter().all(|known| known.file != entry.file) {
                entries.push(entry);
            }
        }
    }
    Ok(entries)
}

/// Takes runs into the archive. Those that it holds already are left.
///
/// # Errors
/// A bundle can't be read, is damaged, or can't be kept.
pub(crate) fn import(store: &mut dyn Store, args: &ImportArgs) -> Result<Exit, Failure> {
    for path in &args.files {
        let shown = path.display();
        let failed = |why: BundleError| {
            let text = format!("cannot import {shown}: {why}");
            match why {
                BundleError::Foreign(_) => Failure::usage(text),
                _ => Failure::unknown(text),
            }
            .hint("nothing of the file was taken; other files before it were")
        };
        let file = File::open(path).map_err(|error| failed(BundleError::Unreadable(error)))?;
        let unpacked = archive::unpack(&store.workplace(), file).map_err(failed)?;
        let (mut added, mut known) = (0, 0);
        for run in &unpacked.runs {
            let taken = take(store, &unpacked, run).map_err(|error| {
                let hint = error.hint();
                let text = format!(
                    "cannot import all of {shown}: {error}; {added} streams of it are in the archive"
                );
                Failure::unknown(text).hint(format!("{hint}; then import it again"))
            })?;
            added += usize::from(taken);
            known += usize::from(!taken);
        }
        archived::tell(&format!(
            "{shown}: {added} streams added, {known} were there"
        ));
    }
    Ok(Exit::Pass)
}

/// Takes a run of a bundle into the archive; whether it was not there yet.
fn take(store: &mut dyn Store, of: &Unpacked, run: &BundledRun) -> Result<bool, StoreError> {
    let workplace = store.workplace();
    let draft = of.stream(run).map_err(in_folder(&workplace))?;
    let reports = of.reports(run).map_err(in_folder(&workplace))?;
    let stream = NewStream {
        stem: run.stem.clone(),
        ending: run.ending.clone(),
        draft,
    };
    store.take(stream, &run.sha256, reports)
}
