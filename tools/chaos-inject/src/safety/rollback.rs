//! Undoes all that an intent says, from wherever it is known: the tool itself, its guardian, or
//! `recover` on another machine.

use std::time::Duration;

use chaos_common::cluster::Cluster;
use chaos_common::record::Change;
use futures::future::join_all;
use tokio::time::{Instant, sleep};

use crate::change::{apply, fields};
use crate::safety::intent::{Intent, ReleaseError};

/// A call of a process that died may be carried out this much later: the Leases are deleted again
/// then, counted from the first time.
const LATE: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_millis(1200),
];

/// What came of an undo.
#[derive(Clone, Debug, Default)]
pub struct RolledBack {
    /// What was undone, a sentence each.
    pub actions: Vec<String>,
    /// What somebody else did meanwhile, which was left so.
    pub notes: Vec<String>,
    /// What is not undone, and why.
    pub failed: Vec<String>,
}

/// Undoes every change, all at the same time, and looks until the cluster shows it. With `fence`,
/// calls of a process that died and may still be on their way are turned away.
pub async fn roll_back(cluster: &Cluster, intent: &Intent, fence: bool) -> RolledBack {
    let deadline = intent.deadline();
    let to_write = intent
        .changes
        .iter()
        .filter(|change| !matches!(change, Change::Delete { .. }));
    // Side by side: one object that does not go must not keep the others broken.
    let one = |change| async move {
        let undone = apply::undo(cluster, change, &intent.run, fence, deadline).await;
        (change, undone)
    };
    let mut outcome = RolledBack::default();
    for (change, result) in join_all(to_write.map(one)).await {
        match result {
            Ok(None) => outcome.actions.push(describe(change)),
            Ok(Some(note)) => outcome.notes.push(note),
            Err(why) => outcome.failed.push(format!("{}: {why}", change.object())),
        }
    }
    outcome
}

/// Deletes the Leases of a process that died, also one whose creation was still on its way.
///
/// # Errors
/// Some could not be deleted; says which, and what to type.
pub async fn release_after_crash(cluster: &Cluster, intent: &Intent) -> Result<(), ReleaseError> {
    let start = Instant::now();
    for pause in LATE {
        sleep(pause.saturating_sub(start.elapsed())).await;
        intent.release(cluster).await?;
    }
    Ok(())
}

/// That a change is undone.
fn describe(change: &Change) -> String {
    match change {
        Change::Patch {
            object,
            field,
            original,
            ..
        } => format!("{object} has {} {original} again", fields::path(field)),
        Change::Create { object, .. } => format!("{object} is gone"),
        Change::Delete { object } => format!("{object} was left to its controller"),
    }
}
