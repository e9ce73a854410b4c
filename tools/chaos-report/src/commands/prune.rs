//! `prune`: old runs leave the archive.

use std::collections::HashSet;

use chaos_common::exit::{Exit, Failure};
use chaos_common::record::Time;
use chaos_common::stream::Format;

use super::archived;
use crate::actions::{self, Action};
use crate::index::{Depth, Entry};
use crate::store::Store;

/// How much is kept.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Keep the runs of so many last days
    #[arg(long, value_name = "DAYS")]
    keep: u32,
    /// Say what would be removed, and remove nothing
    #[arg(long, conflicts_with = "yes")]
    dry_run: bool,
    /// Remove it; without this nothing is removed
    #[arg(long)]
    yes: bool,
}

/// Removes old runs: streams, reports, and notes on them. Runs that may have left a fault behind
/// stay, and runs with a next step that is not done.
///
/// # Errors
/// The archive can't be listed, or a file can't be removed.
pub(crate) fn prune(
    store: &mut dyn Store,
    args: &Args,
    format: Option<Format>,
) -> Result<Exit, Failure> {
    if !args.dry_run && !args.yes {
        return Err(Failure::usage("what is removed can't be had back")
            .hint("look at it with --dry-run, then give --yes"));
    }
    let archive = archived::open(store, Depth::Facts)?;
    let old = old(&archive.entries, args.keep, Time::now());
    archived::print(&old, format, |_| Vec::new());
    let verb = if args.dry_run {
        "would be removed"
    } else {
        "removed"
    };
    if args.yes {
        store.remove(&old).map_err(|error| {
            let hint = error.hint();
            Failure::unknown(format!("cannot remove all of it: {error}")).hint(hint)
        })?;
    }
    archived::tell(&format!(
        "{} of {} streams {verb}",
        old.len(),
        archive.entries.len()
    ));
    Ok(Exit::Pass)
}

/// What is older than so many days and may go.
fn old(entries: &[Entry], days: u32, now: Time) -> Vec<&Entry> {
    let keep = i64::from(days) * 24 * 60 * 60 * 1000;
    let is_old = |entry: &Entry| {
        let began = entry.stream.began();
        began.is_some_and(|began| now.since_ms(began) > keep)
    };
    let actions = actions::all(entries);
    let open: Vec<&Action> = actions.iter().filter(|it| it.done.is_none()).collect();
    let has_open = |run: &str| open.iter().any(|action| action.about == Some(run));
    let goes = |entry: &Entry| {
        let left = archived::word_of(entry) == "NOT RESTORED";
        is_old(entry) && !left && !has_open(&entry.stream.run)
    };
    let runs = || entries.iter().filter(|entry| !entry.stream.is_no_run());
    let going: HashSet<&str> = runs().filter(|it| goes(it)).map(run_of).collect();
    let staying: HashSet<&str> = runs().filter(|it| !goes(it)).map(run_of).collect();
    // A note goes with the run that it is about, unless something in it is still to be done.
    let note_goes = |entry: &Entry| {
        entry.stream.notes.iter().all(|note| {
            let about = note.data.about.as_deref();
            let with_run = about.is_some_and(|run| going.contains(run));
            let alone = !about.is_some_and(|run| staying.contains(run)) && is_old(entry);
            let steps = &note.data.next_steps;
            let undone = steps
                .iter()
                .any(|step| open.iter().any(|it| it.step.id == step.id));
            (with_run || alone) && !undone
        })
    };
    let wanted = |entry: &&Entry| {
        if entry.stream.is_no_run() {
            note_goes(entry) && (!entry.stream.notes.is_empty() || is_old(entry))
        } else {
            goes(entry)
        }
    };
    entries.iter().filter(wanted).collect()
}

fn run_of(entry: &Entry) -> &str {
    &entry.stream.run
}
