//! Every configured backup, and all that is to be known of it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Instant;

use chaos_common::cli;
use chaos_common::config::Span;
use chaos_common::record::{Backup, BackupAction, BackupItem, Check};
use jiff::Timestamp;

use crate::context::Context;
use crate::item;
use crate::item::pg_dump_program;

/// Files that are read at the same time.
const READERS: usize = 2;

/// The end that a run is given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deadline {
    pub(crate) end: Instant,
    pub(crate) limit: Span,
}

impl Deadline {
    /// So long after `start`.
    pub(crate) fn after(start: Instant, limit: Span) -> Option<Deadline> {
        start
            .checked_add(limit.0)
            .map(|end| Deadline { end, limit })
    }
}

/// What one part of the work found.
enum Part {
    Item(usize, Box<BackupItem>, Vec<Check>),
    Tool(Option<Check>),
}

/// Looks at all backups, some at a time, and at the tool that makes them; what has not ended at the
/// deadline is unknown, and left alone: a read that hangs can't be stopped.
pub(crate) fn all(context: &Context, deadline: Option<Deadline>) -> Backup {
    let backups = &context.config.backups;
    let (send, parts) = mpsc::channel();
    let queue: VecDeque<usize> = (0..backups.len()).collect();
    let queue = Arc::new(Mutex::new(queue));
    for _ in 0..READERS.min(backups.len()) {
        let (context, queue, send) = (context.clone(), queue.clone(), send.clone());
        std::thread::spawn(move || {
            loop {
                let next = queue
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .pop_front();
                let Some(number) = next else { break };
                let (item, checks) =
                    item::examine(&context.config.backups[number], Timestamp::now(), &context);
                // Nobody waits any more after the deadline.
                let _ = send.send(Part::Item(number, Box::new(item), checks));
            }
        });
    }
    let told = send.clone();
    let of = context.clone();
    std::thread::spawn(move || {
        let _ = told.send(Part::Tool(cli::block_on(pg_dump_program::check(
            &of.access,
            &of.config,
            &of.namespace,
        ))));
    });
    drop(send);
    let mut examined: Vec<Option<(BackupItem, Vec<Check>)>> =
        backups.iter().map(|_| None).collect();
    let mut tool = None;
    while let Some(part) = next(&parts, deadline) {
        match part {
            Part::Item(number, item, checks) => examined[number] = Some((*item, checks)),
            Part::Tool(check) => tool = Some(check),
        }
    }
    let late = |object: String| late(&object, deadline);
    let mut checks = Vec::new();
    let mut items = Vec::new();
    for (backup, examined) in backups.iter().zip(examined) {
        let (item, own) = examined.unwrap_or_else(|| {
            let item = item::unseen(backup);
            let check = late(item.path.clone());
            (item, vec![check])
        });
        items.push(item);
        checks.extend(own);
    }
    if items.is_empty() {
        checks.push(
            Check::unknown("backup.configured", "", "no backup is configured")
                .hint("name each in chaos.toml as [[backup]]; scripts/ecommerce.toml shows how"),
        );
    }
    checks.extend(tool.unwrap_or_else(|| Some(late("pg_dump --version".to_owned()))));
    Backup {
        namespace: context.namespace.clone(),
        action: BackupAction::Check,
        checks,
        items,
    }
}

/// The next part; `None` when all have come or the deadline has.
fn next(parts: &mpsc::Receiver<Part>, deadline: Option<Deadline>) -> Option<Part> {
    match deadline {
        None => parts.recv().ok(),
        Some(deadline) => parts
            .recv_timeout(deadline.end.saturating_duration_since(Instant::now()))
            .ok(),
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
    Check::unknown("backup.deadline", object, format!("was not finished in {limit}"))
        .hint("give it a longer --deadline, or look at what holds it up: a slow disk, a file system over the network")
}
