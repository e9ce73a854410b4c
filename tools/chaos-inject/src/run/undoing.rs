//! The undo of a run: what is in its way is told at once, and that it was late stays in the record.

use std::pin::pin;
use std::time::Duration;

use chaos_common::record::{Check, EventKind, Plan, Status};
use tokio::sync::mpsc;

use crate::context::Context;
use crate::safety::intent::Intent;
use crate::safety::rollback::{RolledBack, roll_back};

/// Undoes the changes, and tells at once what is in the way. Gives that, too.
pub async fn undo(
    context: &mut Context,
    intent: &Intent,
    uncertain: bool,
) -> (RolledBack, Option<String>) {
    let (sender, mut refusals) = mpsc::unbounded_channel();
    let refused = |why: &str| drop(sender.send(why.to_owned()));
    let cluster = context.cluster.clone();
    let mut undoing = pin!(roll_back(&cluster, intent, uncertain, &refused));
    let mut first = None;
    loop {
        tokio::select! {
            biased;
            Some(why) = refusals.recv() => {
                context.issue(EventKind::Observed, None, why.clone());
                first.get_or_insert(why);
            }
            undone = &mut undoing => return (undone, first),
        }
    }
}

/// `NAME.undo`: it was refused at first. `took` is how long it took, and how long the fault was on.
pub fn late(plan: &Plan, why: &str, (took, fault): (Duration, Duration)) -> Check {
    let id = format!("{}.undo", plan.experiment);
    let planned = Duration::from_millis(plan.hold_ms);
    let message = format!(
        "took {:.1} s: {why}; the fault was on for {:.1} s, and {:.1} s were planned",
        took.as_secs_f64(),
        fault.as_secs_f64(),
        planned.as_secs_f64()
    );
    Check::new(&id, "", Status::Warn, message)
}
