//! What an experiment has to say of itself. The engine gives it gates, limits, intent, probes and
//! the record.

use std::time::Duration;

use chaos_common::cluster::ReadError;
use chaos_common::record::{Availability, Check, Plan, PodRecovery};
use tokio::sync::watch;

use crate::context::Context;

/// Whether somebody asked for the experiment to stop, and why.
pub type Abort = watch::Receiver<Option<String>>;

/// How the observation of a fault ended.
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

/// An experiment: how it plans, injects, proves and undoes. One file in [`crate::faults`] each.
pub trait Fault {
    /// Its name, as people type it.
    const NAME: &'static str;

    /// What it would do. Reads only.
    async fn plan(&self, context: &Context) -> Result<Plan, ReadError>;

    /// Whether data could be lost, so that a good backup is a condition.
    async fn data_at_stake(&self, context: &Context, plan: &Plan) -> Result<bool, ReadError>;

    /// Gets ready to observe, before the first write.
    async fn prepare(&mut self, context: &mut Context, plan: &Plan) -> Result<(), String>;

    /// Makes the fault. An error names what stopped it half-way; what was done is observed and undone
    /// all the same.
    async fn inject(&mut self, context: &mut Context, plan: &Plan) -> Result<(), String>;

    /// Undoes the fault where it does not go by itself, and watches until everything is whole. Called
    /// again later, it looks whether that is still so.
    async fn restore(&mut self, context: &mut Context, plan: &Plan, abort: &mut Abort) -> End;

    /// The validation criteria as checks: the effect, the recovery, what callers saw.
    fn judge(&self, context: &Context, availability: &[Availability]) -> Vec<Check>;

    /// How each pod came back.
    fn recoveries(&self) -> Vec<PodRecovery>;

    /// Time between two questions to a pod that is coming back.
    const POD_PROBE_INTERVAL: Duration = Duration::from_millis(50);
}
