//! `chaos-backup-check drill`: restores backups for a trial, one after the other.

use std::time::Instant;

use chaos_common::cli;
use chaos_common::config::{Backup, Loaded, Location, Span};
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{BackupAction, Check, Verdict};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::deadline::Deadline;
use super::drill_order::{Ranked, in_order};
use super::reporter::{Reporter, backup_of};
use super::{Args, setup};
use crate::context::Context;
use crate::drill::{self, RESTORED};
use crate::item::{self, ItemReport};
use crate::progress::Progress;

/// Arguments of `drill`.
#[derive(clap::Args, Debug)]
pub(super) struct DrillArgs {
    /// Backups to restore for a trial [default: all that are configured]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Restore all, the one first that was not restored for the longest time
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// With --all: take no longer than this, and leave the rest for the next run
    #[arg(long, value_name = "TIME", requires = "all")]
    max_time: Option<Span>,
}

/// Drills the named backups, or all.
pub(super) fn run(
    own: &DrillArgs,
    args: &Args,
    loaded: &Loaded,
    start: Instant,
) -> Result<Exit, Failure> {
    let context = setup::context(args, loaded)?;
    let _lock = setup::lock(args, "drill", loaded)?;
    let progress = Progress::start(!args.cron.alone());
    let context = Context {
        readings: progress.readings(),
        ..context
    };
    let reporter = Reporter::open(args)?;
    let limits = [args.cron.deadline, own.max_time].into_iter().flatten();
    let deadline = Deadline::after(start, limits.min());
    let drilled = cli::block_on(all(own, &context, deadline))?;
    drop(progress);
    let mut backup = backup_of(drilled.reports, BackupAction::Drill, &context);
    backup.checks.extend(reporter.upstream_check());
    let verdict = Verdict::of(&backup.checks);
    // What was refused is an outcome of its own, unless something worse is known.
    let end = if drilled.refused && verdict == Verdict::Unknown {
        Exit::Refused
    } else {
        verdict.into()
    };
    Ok(reporter.finish(backup, end))
}

/// What came of all drills.
struct Drilled {
    reports: Vec<ItemReport>,
    /// Whether one was refused.
    refused: bool,
}

/// Restores each backup in turn, until done, told to stop, or out of time.
async fn all(
    own: &DrillArgs,
    context: &Context,
    deadline: Option<Deadline>,
) -> Result<Drilled, Failure> {
    let backups = wanted(&context.config.backups, &own.names)?;
    let mut stops = StopSignals::new()
        .map_err(|error| Failure::unknown(format!("cannot wait for signals: {error}")))?;
    let ranked = if own.all {
        in_order(backups, context)
    } else {
        backups.into_iter().map(Ranked::unranked).collect()
    };
    let (mut reports, mut refused) = (Vec::new(), false);
    for (number, ranked) in ranked.iter().enumerate() {
        let backup = ranked.backup;
        let left = own.max_time.and(deadline).map(Deadline::left);
        if !ranked.fits(left, number == 0) {
            reports.push(left_for_later(backup));
            continue;
        }
        // What is not finished is dropped, and all that was made for it goes with it.
        tokio::select! {
            drilled = drill::run(context, backup) => {
                refused |= drilled.refused;
                reports.push(drilled.report);
            }
            by = stops.next() => return Err(stopped(by, backup)),
            report = late(backup, deadline) => reports.push(report),
        }
    }
    Ok(Drilled { reports, refused })
}

fn stopped(by: &str, backup: &Backup) -> Failure {
    let name = &backup.name;
    Failure {
        exit: Exit::Aborted,
        message: format!("stopped by {by} in the drill of {name}; what was made for it is gone"),
        hint: None,
    }
}

/// What a backup is that another run will restore.
fn left_for_later(backup: &Backup) -> ItemReport {
    let item = item::unseen(backup);
    let message = "is left for the next run with --all: the time of this one does not suffice";
    let check = Check::skipped(RESTORED, &item.path, message);
    ItemReport {
        item,
        checks: vec![check],
    }
}

/// Waits for the deadline; what a backup is then that was not finished.
async fn late(backup: &Backup, deadline: Option<Deadline>) -> ItemReport {
    let Some(deadline) = deadline else {
        return std::future::pending().await;
    };
    tokio::time::sleep_until(deadline.end.into()).await;
    let item = item::unseen(backup);
    let message = format!(
        "was not finished in {}; what was made for it is gone",
        deadline.limit
    );
    let check = Check::unknown(RESTORED, &item.path, message).hint("give it a longer --deadline");
    ItemReport {
        item,
        checks: vec![check],
    }
}

/// The signals that stop a drill.
struct StopSignals {
    term: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl StopSignals {
    fn new() -> std::io::Result<StopSignals> {
        Ok(StopSignals {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// The name of the next one that comes.
    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.term.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.hangup.recv() => "SIGHUP",
        }
    }
}

fn wanted<'b>(backups: &'b [Backup], names: &[String]) -> Result<Vec<&'b Backup>, Failure> {
    if names.is_empty() {
        let all: Vec<_> = backups.iter().filter(|backup| can_be(backup)).collect();
        if all.is_empty() {
            let none = Failure::usage("no backup that can be restored is configured");
            let hint =
                "name each in chaos.toml as [[backup]]; chaos-health init -n NAMESPACE - shows how";
            return Err(none.hint(hint));
        }
        return Ok(all);
    }
    let find = |name: &String| {
        let found = backups.iter().find(|backup| backup.name == *name);
        let found = found.ok_or_else(|| {
            Failure::usage(format!("no backup is called {name:?} in the configuration"))
        })?;
        if !can_be(found) {
            let why = format!(
                "{name:?} is a volume's snapshot or kept by a tool, which no drill restores"
            );
            return Err(Failure::usage(why).hint(
                "restore it for a trial by hand, into a place of its own, and look at the data",
            ));
        }
        Ok(found)
    };
    names.iter().map(find).collect()
}

/// Whether a drill can restore it.
fn can_be(backup: &Backup) -> bool {
    !matches!(backup.place(), Ok(Location::Snapshot | Location::Tool(_)))
}
