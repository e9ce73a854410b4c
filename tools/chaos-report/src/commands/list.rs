//! `list`: the runs in the archive.

use chaos_common::exit::{Exit, Failure};
use chaos_common::stream::Format;

use super::archived::{self, Filter};
use crate::index::{Depth, Entry};
use crate::store::Store;

/// Which runs.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(flatten)]
    filter: Filter,
    /// Only the latest runs, this many
    #[arg(long, value_name = "NUMBER")]
    last: Option<usize>,
}

/// Lists runs, the latest last.
///
/// # Errors
/// The archive can't be listed.
pub(crate) fn list(
    store: &mut dyn Store,
    args: &Args,
    format: Option<Format>,
) -> Result<Exit, Failure> {
    let index = archived::open(store, Depth::Facts)?;
    let mut runs: Vec<&Entry> = args.filter.of(&index.entries).collect();
    let skipped = runs.len().saturating_sub(args.last.unwrap_or(runs.len()));
    let runs = runs.split_off(skipped);
    archived::print(&runs, format, |_| Vec::new());
    Ok(archived::exit(&index))
}
