//! `show`: the report of a run in the archive, and what people said of it since.

use std::io::Read as _;

use chaos_common::exit::{Exit, Failure};
use chaos_common::output::printable;

use super::archived;
use crate::index::{Depth, Entry, Index};
use crate::store::Store;

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
pub(crate) fn show(store: &mut dyn Store, args: &Args) -> Result<Exit, Failure> {
    let index = archived::open(store, Depth::Facts)?;
    let entry = archived::one(&index, &args.run)?;
    if args.stream {
        return stream(store, entry);
    }
    let report = report(store, entry)?;
    archived::write(&report);
    archived::write(said(&index, entry).as_bytes());
    Ok(Exit::Pass)
}

fn stream(store: &mut dyn Store, entry: &Entry) -> Result<Exit, Failure> {
    if entry.is_by_hand() {
        let text = format!("{} was written by hand: there is no stream", entry.file);
        return Err(Failure::usage(text));
    }
    let unreadable = |why: &dyn std::fmt::Display| {
        Failure::unknown(format!("cannot read {}: {why}", entry.file))
    };
    let mut input = store.read(entry).map_err(|error| unreadable(&error))?;
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
fn report(store: &mut dyn Store, entry: &Entry) -> Result<Vec<u8>, Failure> {
    let name = entry.report();
    let reports = store.reports(entry).map_err(|error| {
        let hint = error.hint();
        Failure::unknown(format!("cannot read the report {name}: {error}")).hint(hint)
    })?;
    let report = reports.into_iter().find(|(file, _)| *file == name);
    report.map(|(_, bytes)| bytes).ok_or_else(|| {
        Failure::unknown(format!(
            "the run has a stream in the archive and no report: there is no {name} in {}",
            store.place()
        ))
        .hint(format!(
            "make one again: chaos-report show {} --stream | chaos-report",
            archived::short(&entry.stream.run)
        ))
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
