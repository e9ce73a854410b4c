//! `metrics`: the archive as metrics for Prometheus, and a dashboard of them.

use std::path::{Path, PathBuf};

use chaos_common::exit::{Exit, Failure};
use chaos_common::record::Time;

use super::archived;
use crate::archive;
use crate::index::Depth;
use crate::metrics::{DASHBOARD, metrics};
use crate::store::Store;

/// Where they go.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Replace this file in one step, such as one that node_exporter reads; standard output if left
    /// out
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
    /// Print a dashboard of these metrics for Grafana instead
    #[arg(long, conflicts_with = "to")]
    dashboard: bool,
}

/// Writes the archive's metrics in the text form of OpenMetrics.
///
/// # Errors
/// The archive can't be listed, or the file can't be written.
pub(crate) fn write(store: &mut dyn Store, args: &Args) -> Result<Exit, Failure> {
    if args.dashboard {
        archived::write(DASHBOARD.as_bytes());
        return Ok(Exit::Pass);
    }
    let index = archived::open(store, Depth::Answers)?;
    let text = metrics(&index, Time::now());
    match &args.to {
        None => archived::write(text.as_bytes()),
        Some(path) => {
            let beside = path.parent().filter(|it| !it.as_os_str().is_empty());
            let beside = beside.unwrap_or(Path::new("."));
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            archive::replace(beside, &name, text.as_bytes()).map_err(|error| {
                Failure::unknown(format!("cannot write {}: {error}", path.display()))
            })?;
        }
    }
    Ok(archived::exit(&index))
}
