//! `runbook`: what experiments showed, written into a team's own documents.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use chaos_common::exit::{Exit, Failure};
use tempfile::NamedTempFile;

use super::archived;
use crate::index::Depth;
use crate::store::Store;
use crate::upkeep::{difference, section, with_section};

/// Which documents.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Documents in Markdown, such as chaos-runbook.md
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Write nothing; status 1 if a document is not up to date, for CI
    #[arg(long)]
    check: bool,
    /// Write nothing, and show what would change
    #[arg(long, conflicts_with = "check")]
    dry_run: bool,
}

/// A document and what it is to hold.
struct Document {
    path: PathBuf,
    before: String,
    after: String,
}

/// Shows what changes in the documents, and writes it. None is written if one can't be.
///
/// # Errors
/// The archive can't be listed, or a document can't be read or written, or its marks are broken.
pub(crate) fn runbook(store: &mut dyn Store, args: &Args) -> Result<Exit, Failure> {
    let index = archived::open(store, Depth::Details)?;
    let text = section(&index);
    let documents = args.files.iter().map(|path| read(path, &text));
    let documents: Vec<Document> = documents.collect::<Result<_, _>>()?;
    let stale = || documents.iter().filter(|it| it.before != it.after);
    for document in stale() {
        let name = document.path.display().to_string();
        let change = difference(&name, &document.before, &document.after);
        archived::write(change.as_bytes());
    }
    if args.check && stale().next().is_some() {
        let names: Vec<String> = stale().map(|it| it.path.display().to_string()).collect();
        archived::tell(&format!(
            "not up to date: {} (chaos-report runbook writes them)",
            names.join(", ")
        ));
        return Ok(Exit::Fail);
    }
    if !args.check && !args.dry_run {
        for document in stale() {
            write(document)?;
        }
    }
    Ok(archived::exit(&index))
}

fn read(path: &Path, text: &str) -> Result<Document, Failure> {
    let shown = path.display();
    // A link stays one: the file that it leads to is written.
    let real = fs::canonicalize(path);
    let real = real.map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
    let before = fs::read_to_string(&real)
        .map_err(|error| Failure::usage(format!("cannot read {shown}: {error}")))?;
    let after = with_section(&before, text).map_err(|why| {
        Failure::usage(format!("{shown} is left as it is: {why}"))
            .hint("make it one part between one pair of marks, or take all of them out")
    })?;
    Ok(Document {
        path: real,
        before,
        after,
    })
}

/// Replaces a document in one step, with its permissions.
fn write(document: &Document) -> Result<(), Failure> {
    let path = &document.path;
    let replace = || {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut draft = NamedTempFile::new_in(folder)?;
        draft.write_all(document.after.as_bytes())?;
        draft
            .as_file()
            .set_permissions(fs::metadata(path)?.permissions())?;
        draft.as_file().sync_all()?;
        draft.persist(path).map_err(|error| error.error)
    };
    let replaced: std::io::Result<fs::File> = replace();
    replaced.map(drop).map_err(|error| {
        Failure::unknown(format!("cannot write {}: {error}", path.display()))
            .hint("it is as it was; make its folder one that this user may write to")
    })
}
