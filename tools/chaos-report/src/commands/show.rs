//! `show`: the report of a run in the archive, and what people said of it since.

use std::io::{self, Read as _};
use std::path::Path;

use chaos_common::exit::{Exit, Failure};
use chaos_common::output::printable;

use super::archived;
use crate::archive;
use crate::index::{Depth, Entry, Index};

/// Which run, and what of it.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The run: its id, the end of it, the name of its files, or last
    #[arg(value_name = "RUN")]
    run: String,
    /// Print the stream that the report was made from, byte for byte
    #[arg(long)]
    stream: bool,
}

/// Shows a run.
///
/// # Errors
/// There is no such run, or its files can't be read.
pub(crate) fn show(folder: &Path, args: &Args) -> Result<Exit, Failure> {
    let index = archived::open(folder, Depth::Facts)?;
    let entry = archived::one(&index, &args.run)?;
    if args.stream {
        return stream(folder, entry);
    }
    let report = report(folder, entry)?;
    archived::write(report.as_bytes());
    archived::write(said(&index, entry).as_bytes());
    Ok(Exit::Pass)
}

fn stream(folder: &Path, entry: &Entry) -> Result<Exit, Failure> {
    let unreadable = |why: &dyn std::fmt::Display| {
        Failure::unknown(format!("cannot read {}: {why}", entry.file))
    };
    let path = folder.join(&entry.file);
    let mut input = archive::open(&path).map_err(|error| unreadable(&error))?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = input
            .read(&mut buffer)
            .map_err(|error| unreadable(&error))?;
        if read == 0 {
            return Ok(Exit::Pass);
        }
        archived::write(&buffer[..read]);
    }
}

/// The report in Markdown, beside the stream.
fn report(folder: &Path, entry: &Entry) -> Result<String, Failure> {
    let path = folder
        .join(&entry.file)
        .with_file_name(format!("{}.md", entry.stem()));
    std::fs::read_to_string(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Failure::unknown(format!(
            "the run has a stream in the archive and no report: there is no {}",
            path.display()
        ))
        .hint(format!(
            "make one again: chaos-report show {} --stream | chaos-report",
            archived::short(&entry.stream.run)
        )),
        _ => Failure::unknown(format!(
            "cannot read the report {}: {error}",
            path.display()
        )),
    })
}

/// What people said of the run, as another part of the report.
fn said(index: &Index, entry: &Entry) -> String {
    let notes = archived::notes_on(&index.entries, &entry.stream.run);
    if notes.is_empty() {
        return String::new();
    }
    let lines = notes.iter().map(|note| format!("- {}\n", printable(note)));
    format!("\n## Notes\n\n{}", lines.collect::<String>())
}
