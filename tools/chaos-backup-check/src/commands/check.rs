//! Every configured backup, and all that is to be known of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Instant;

use chaos_common::cli;
use chaos_common::config::Loaded;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Backup, BackupAction, Check, Time, Verdict};

use super::deadline::Deadline;
use super::reporter::{Reporter, backup_of};
use super::{Args, setup};
use crate::context::Context;
use crate::item::{self, ItemReport, Scope, pg_dump_program};
use crate::monitoring::{say, write_textfile};
use crate::progress::Progress;

/// Files that are read at the same time.
const READERS: usize = 2;

/// What one part of the work found.
enum Part {
    Item(usize, Box<ItemReport>),
    Program(Option<Check>),
}

/// Checks all backups.
pub(super) fn run(args: &Args, loaded: &Loaded, start: Instant) -> Result<Exit, Failure> {
    let context = setup::context(args, loaded)?;
    let reporter = Reporter::open(args)?;
    let _lock = setup::lock(args, "check", loaded)?;
    let mut backup = examine(args, &context, start);
    backup.checks.extend(reporter.upstream_check());
    let told = write_metrics(args, &backup, start);
    let own = told.worst(Verdict::of(&backup.checks).into());
    Ok(reporter.finish(backup, own))
}

/// Looks at all backups, and shows how far it is.
pub(super) fn examine(args: &Args, context: &Context, start: Instant) -> Backup {
    let progress = Progress::start(!args.cron.alone());
    let context = Context {
        readings: progress.readings(),
        ..context.clone()
    };
    all(&context, Deadline::after(start, args.cron.deadline))
}

/// Writes the metrics, if they are wanted. Monitoring that is not told must not go unseen.
pub(super) fn write_metrics(args: &Args, backup: &Backup, start: Instant) -> Exit {
    let Some(path) = &args.cron.textfile else {
        return Exit::Pass;
    };
    match write_textfile(path, backup, Time::now(), start.elapsed()) {
        Ok(()) => Exit::Pass,
        Err(error) => {
            let path = path.display();
            say(&format!("cannot write the metrics to {path}: {error}"));
            Exit::Unknown
        }
    }
}

/// Looks at all backups, some at a time, and at the program that makes them; what has not ended at
/// the deadline is unknown, and left alone: a read that hangs can't be stopped.
fn all(context: &Context, deadline: Option<Deadline>) -> Backup {
    let backups = &context.config.backups;
    let parts = start_parts(context);
    let mut examined: Vec<Option<ItemReport>> = backups.iter().map(|_| None).collect();
    let mut program = None;
    while let Some(part) = next(&parts, deadline) {
        match part {
            Part::Item(number, report) => examined[number] = Some(*report),
            Part::Program(check) => program = Some(check),
        }
    }
    let unfinished = |(backup, examined): (_, Option<ItemReport>)| {
        examined.unwrap_or_else(|| {
            let item = item::unseen(backup);
            let checks = vec![late(&item.path, deadline)];
            ItemReport { item, checks }
        })
    };
    let reports: Vec<_> = backups.iter().zip(examined).map(unfinished).collect();
    let mut backup = backup_of(reports, BackupAction::Check, context);
    if backup.items.is_empty() {
        backup.checks.push(
            Check::unknown("backup.configured", "", "no backup is configured").hint(
                "name each in chaos.toml as [[backup]]; chaos-health init -n NAMESPACE - shows how",
            ),
        );
    }
    let program = program.unwrap_or_else(|| Some(late("pg_dump --version", deadline)));
    backup.checks.extend(program);
    backup
}

/// Starts the threads that look; they end when there is nothing more to look at.
fn start_parts(context: &Context) -> mpsc::Receiver<Part> {
    let number = context.config.backups.len();
    let (send, parts) = mpsc::channel();
    let queue: VecDeque<usize> = (0..number).collect();
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..READERS.min(number) {
        let (context, queue, send) = (context.clone(), queue.clone(), send.clone());
        std::thread::spawn(move || {
            loop {
                let next = queue
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front();
                let Some(number) = next else { break };
                let backup = &context.config.backups[number];
                let report = item::check(backup, Scope::Everything, &context);
                // Nobody waits any more after the deadline.
                let _ = send.send(Part::Item(number, Box::new(report)));
            }
        });
    }
    let of = context.clone();
    std::thread::spawn(move || {
        let check = pg_dump_program::check(&of.access, &of.config, &of.namespace);
        // As above.
        let _ = send.send(Part::Program(cli::block_on(check)));
    });
    parts
}

/// The next part; `None` when all have come or the deadline has.
fn next(parts: &mpsc::Receiver<Part>, deadline: Option<Deadline>) -> Option<Part> {
    match deadline {
        None => parts.recv().ok(),
        Some(deadline) => parts.recv_timeout(deadline.left()).ok(),
    }
}

/// The check of something that had no end.
///
/// # Panics
/// Without a deadline, when a thread has ended without its result: that is its panic.
fn late(object: &str, deadline: Option<Deadline>) -> Check {
    let limit = deadline
        .filter(|deadline| Instant::now() >= deadline.end)
        .map(|deadline| deadline.limit);
    let limit = limit.expect("a part without result has panicked, or the deadline has passed");
    let message = format!("was not finished in {limit}");
    Check::unknown("backup.deadline", object, message).hint(
        "give it a longer --deadline, or look at what holds it up: \
         a slow disk, a file system over the network",
    )
}
