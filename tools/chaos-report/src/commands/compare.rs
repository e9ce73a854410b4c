//! `compare`: two runs of the archive beside each other.

use chaos_common::exit::{Exit, Failure};
use chaos_common::output::printable;
use chaos_common::stream::Format;
use serde_json::json;

use super::archived;
use crate::compare::{Compared, compare};
use crate::index::{Depth, Entry, Index, Run};
use crate::store::Store;

/// Which runs.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The first run: its id, the end of it, the name of its files, or last
    #[arg(value_name = "RUN")]
    before: String,
    /// The run that is compared with it
    #[arg(value_name = "RUN")]
    after: String,
}

/// Prints what is worse, better, the same, and what can't be compared.
///
/// # Errors
/// There is no such run, or it holds no experiment.
pub(crate) fn compare_runs(
    store: &mut dyn Store,
    args: &Args,
    format: Option<Format>,
) -> Result<Exit, Failure> {
    let index = archived::open(store, Depth::Details)?;
    let (before, first) = experiment(&index, &args.before)?;
    let (after, second) = experiment(&index, &args.after)?;
    let found = compare(first, second);
    let text = if Format::or_default(format) == Format::Text {
        table(before, after, &found)
    } else {
        let runs = [&before.stream.run, &after.stream.run];
        format!("{}\n", json!({ "runs": runs, "compared": found }))
    };
    archived::write(text.as_bytes());
    Ok(Exit::Pass)
}

fn experiment<'i>(index: &'i Index, text: &str) -> Result<(&'i Entry, &'i Run), Failure> {
    let entry = archived::one(index, text)?;
    let run =
        entry.stream.experiment.as_ref().ok_or_else(|| {
            Failure::usage(format!("the stream {} holds no experiment", entry.file))
        })?;
    Ok((entry, run))
}

fn table(before: &Entry, after: &Entry, found: &[Compared]) -> String {
    let mut text = format!("first   {}\nsecond  {}\n\n", before.stem(), after.stem());
    let width = found
        .iter()
        .map(|it| it.what.chars().count())
        .max()
        .unwrap_or(0);
    for it in found {
        let why = it.why.as_ref().map(|why| format!(" ({why})"));
        let line = format!(
            "{:10}  {:width$}  {} -> {}{}",
            it.change.word(),
            it.what,
            it.before,
            it.after,
            why.unwrap_or_default()
        );
        text.extend([&printable(&line), "\n"]);
    }
    text.push_str(
        "\nOne run each: times differ by chance as well; chaos-report review tells trends.\n",
    );
    text
}
