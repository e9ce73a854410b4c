//! `metrics`: the archive as metrics for Prometheus, or a stream, and a dashboard of the archive's.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use chaos_common::exit::{Exit, Failure};
use chaos_common::record::Time;
use chaos_common::stream::Upstream;

use super::archived;
use crate::archive;
use crate::index::Depth;
use crate::metrics::{DASHBOARD, of_archive, of_stream};
use crate::store::Store;

/// Of what, and where they go.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Write the metrics of the stream on standard input, with its exit status, instead of those of
    /// the archive
    #[arg(value_name = "-", value_parser = ["-"], hide_possible_values = true)]
    input: Option<String>,
    /// Replace this file in one step, such as one that node_exporter reads; standard output if left
    /// out
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Print a dashboard of the archive's metrics for Grafana instead
    #[arg(long, conflicts_with_all = ["to", "input"])]
    dashboard: bool,
}

/// Writes metrics in the text form of OpenMetrics.
///
/// # Errors
/// The archive can't be listed, standard input can't be read, or the file can't be written.
pub(crate) fn write(store: &mut dyn Store, args: &Args) -> Result<Exit, Failure> {
    if args.dashboard {
        archived::write(DASHBOARD.as_bytes());
        return Ok(Exit::Pass);
    }
    if args.input.is_some() {
        return stream(args.to.as_deref());
    }
    let index = archived::open(store, Depth::Details)?;
    put(args.to.as_deref(), &of_archive(&index, Time::now()))?;
    Ok(archived::exit(&index))
}

/// The metrics of the stream on standard input. A tool that wrote no record shows in them: so does
/// an input that is empty.
fn stream(to: Option<&Path>) -> Result<Exit, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        return Err(Failure::usage("there is no stream on standard input")
            .hint("end a pipeline with it: chaos-health | chaos-report metrics - --to FILE"));
    }
    let upstream = Upstream::from_reader(stdin.lock())
        .map_err(|error| Failure::unknown(format!("cannot read standard input: {error}")))?;
    // What is not there yet, or can't be read, tells nothing of earlier runs.
    let before = to.and_then(|path| std::fs::read_to_string(path).ok());
    put(
        to,
        &of_stream(&upstream, before.as_deref().unwrap_or_default()),
    )?;
    let broken = match &upstream.broken {
        Some(why) => {
            archived::tell(why);
            Exit::Unknown
        }
        None => Exit::Pass,
    };
    Ok(broken.worst(upstream.worst.unwrap_or(Exit::Pass)))
}

/// Prints the text, or replaces the file with it.
fn put(to: Option<&Path>, text: &str) -> Result<(), Failure> {
    let Some(path) = to else {
        archived::write(text.as_bytes());
        return Ok(());
    };
    let beside = path.parent().filter(|it| !it.as_os_str().is_empty());
    let beside = beside.unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // What reads the file looks in one folder: another one that is made for it would hide a slip.
    let written = beside
        .metadata()
        .and_then(|_| archive::replace(beside, &name, text.as_bytes()));
    written
        .map(drop)
        .map_err(|error| Failure::unknown(format!("cannot write {}: {error}", path.display())))
}
