//! What an experiment has to say of itself. The engine gives it gates, limits, intent, guardian,
//! probes, alerts, the writes, their undo, and the record.

use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::record::{Change, Check, Plan, PodRecovery};

use crate::abort::Abort;
use crate::change::apply::Applied;
use crate::context::Context;
use crate::observe::Seen;

/// How the way back ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Everything is whole again, and was seen to be.
    Restored,
    /// The limit passed, or it can't be seen any more; what is missing, and what to type.
    NotRestored {
        /// What is not whole.
        what: String,
        /// A command for the person who is needed now.
        hint: String,
    },
}

/// An experiment: how it plans, proves and judges. One file in [`crate::experiments`] each.
#[async_trait(?Send)]
pub trait Fault {
    /// Its name, as people type it.
    fn name(&self) -> &'static str;

    /// What it would do. Reads only.
    async fn plan(&self, context: &Context) -> Result<Plan, ReadError>;

    /// Whether data could be lost, so that a good backup is a condition.
    async fn data_at_stake(&self, context: &Context, plan: &Plan) -> Result<bool, ReadError>;

    /// Whether it takes away what alerts are seen with.
    fn blinds_monitoring(&self) -> bool {
        false
    }

    /// Gets ready to observe, before the first write.
    async fn prepare(&mut self, context: &mut Context, plan: &Plan) -> Result<(), String>;

    /// One of the plan's changes was made, or may have been.
    fn made(&mut self, _change: &Change, _made: Applied) {}

    /// The remaining changes, from this one on, were not made.
    fn spared(&mut self, _change: &Change) {}

    /// Waits until the fault is seen to work, and says how; nothing, if that is only known when it
    /// is over.
    ///
    /// # Errors
    /// No effect is seen, and why that may be. The fault is undone then, and the experiment proves
    /// nothing.
    async fn effect(
        &mut self,
        context: &mut Context,
        plan: &Plan,
    ) -> Result<Option<String>, String>;

    /// The fault's time is over, and it is still on.
    async fn before_undo(&mut self, _context: &mut Context, _plan: &Plan) {}

    /// Watches until everything is whole after the undo. Called again later, it looks whether that
    /// is still so.
    async fn restored(&mut self, context: &mut Context, plan: &Plan, abort: &mut Abort) -> End;

    /// The validation criteria as checks, besides effect, availability and alerts.
    fn judge(&self, context: &Context, plan: &Plan, seen: &Seen) -> Vec<Check>;

    /// How each pod came back.
    fn recoveries(&self) -> Vec<PodRecovery> {
        Vec::new()
    }
}
