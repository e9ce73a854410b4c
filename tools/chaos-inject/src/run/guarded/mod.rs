//! The safety of a run: its intent is durable in two places, and a guardian stands by, before the
//! first write of the fault.

use std::collections::BTreeMap;

use chaos_common::cluster::error_chain;
use chaos_common::record::{Check, EventKind, Outcome, Plan};

use crate::abort::AbortSignal;
use crate::change::decide::Owner;
use crate::context::Context;
use crate::run::record::executor;
use crate::safety::guardian::Guardian;
use crate::safety::intent::{DeclareError, Intent};
use crate::safety::journal::Journal;
use crate::safety::journal_entry::Entry;

/// A run whose intent is durable, and which is guarded.
pub struct Guarded {
    /// What is undone, whatever happens.
    pub intent: Intent,
    /// For each namespace, the Lease that owns the run's objects there.
    pub owners: BTreeMap<String, Owner>,
    guardian: Guardian,
}

impl Guarded {
    /// Makes the intent durable, in the local journal and in the cluster, and starts the guardian
    /// between the two: what is written to the cluster from then on does not stay.
    pub async fn declare(
        context: &mut Context,
        plan: &Plan,
        alarm: &AbortSignal,
    ) -> Result<Guarded, Check> {
        let advice = "what will be undone must be on the disk before anything is broken; \
                      make room, or set XDG_STATE_HOME";
        let intent = Intent::of(
            plan,
            &context.run,
            &executor(),
            context.config.experiment.undo_limit.0,
        );
        let opened = context
            .journals
            .as_ref()
            .map_err(ToString::to_string)
            .and_then(|folder| {
                let failed =
                    |error| format!("cannot write a journal in {}: {error}", folder.display());
                let mut journal = Journal::create(folder, &intent.run).map_err(failed)?;
                journal
                    .write(&Entry::Began {
                        intent: Box::new(intent.clone()),
                        plan: Box::new(plan.clone()),
                    })
                    .map_err(failed)?;
                Ok(journal)
            });
        let journal = opened.map_err(|why| Check::fail("intent.journal", "", why).hint(advice))?;
        let path = journal.path().to_owned();
        context.journal = Some(journal);
        let guardian = Guardian::start(&context.launcher, &intent, &path, alarm)
            .await
            .map_err(|error| Check::fail("intent.guardian", "", error_chain(&error)))?;
        match intent.declare(&context.cluster).await {
            Ok(owners) => {
                context.event(
                    EventKind::Intent,
                    None,
                    "the intent is durable: in the journal and in the cluster",
                );
                Ok(Guarded {
                    intent,
                    owners,
                    guardian,
                })
            }
            Err(why) => {
                guardian.dismiss().await;
                let id = match why {
                    DeclareError::Conflict { .. } => "limit.lock",
                    DeclareError::Write { .. } | DeclareError::LeftLeases { .. } => {
                        "intent.cluster"
                    }
                };
                Err(Check::fail(id, "", why.to_string()))
            }
        }
    }

    /// The run is over. What is not restored stays locked, so that nobody breaks it further; while
    /// something is still to be `taken_back`, the guardian goes on trying.
    pub async fn end(self, context: &mut Context, outcome: Outcome, taken_back: bool) {
        if outcome == Outcome::NotRestored {
            if taken_back {
                let why = "what was hit is not at its steady state";
                self.intent.give_up(&context.cluster, why).await;
                self.guardian.dismiss().await;
            } else {
                self.guardian.leave();
            }
            return;
        }
        if let Err(left) = self.intent.release(&context.cluster).await {
            context.issue(
                EventKind::Observed,
                None,
                format!("the lock is still in the cluster: {left}"),
            );
        }
        self.guardian.dismiss().await;
    }
}

#[cfg(test)]
mod tests;
