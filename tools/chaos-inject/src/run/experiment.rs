//! What an experiment has to say of itself. The engine gives it gates, limits, intent, guardian,
//! probes, alerts, the writes, their rollback, and the record.
//!
//! The types keep the order: an [`Experiment`] plans and prepares, and only `prepare` gives the
//! [`RunningExperiment`] that can prove an effect, wait for the steady state, and judge. What the
//! engine did meanwhile comes as values: an [`Injection`] exists once a write was sent.

use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::record::{Change, Check, Plan, PodRecovery, Time};
use tokio::time::Instant;

use crate::abort::Abort;
use crate::change::apply::Applied;
use crate::context::Context;
use crate::observe::Observations;

/// Whether everything that was hit is at its steady state again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It was seen to be.
    SteadyState,
    /// The changes are undone, and whether everything is at its steady state can't be seen: those
    /// who watched are gone, and nobody else can. Says why, with what is known of the objects. It
    /// is no reason to keep a lock, and none to say that all is well.
    Unseen(String),
    /// The limit passed, and it was seen not to be; what is missing, and what to type.
    NotRecovered {
        /// What is not at its steady state.
        what: String,
        /// A command for the person who is needed now.
        hint: String,
    },
}

/// Whether the fault was seen to work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It was; says how.
    Proven(String),
    /// It was not, and why that may be. The experiment proves nothing then.
    NotSeen(String),
    /// That is only known when the experiment is over: see
    /// [`RunningExperiment::effect_afterwards`].
    KnownAfterwards,
}

/// A change of the plan, with the call that made it.
#[derive(Clone, Debug)]
pub struct AppliedChange {
    /// The change.
    pub change: Change,
    /// The call. It may not have been carried out, where it was not answered.
    pub call: Applied,
}

/// The writes of the fault, as far as they came.
#[derive(Clone, Debug)]
pub struct Injection {
    /// When the first write was sent.
    pub began: Instant,
    /// The same, as the clock on the wall shows it.
    pub began_at: Time,
    /// Changes that were applied, or may have been.
    pub applied: Vec<AppliedChange>,
    /// Changes that were not applied.
    pub skipped: Vec<Change>,
}

/// An experiment that touches nothing yet. One file in [`crate::experiments`] each.
#[async_trait(?Send)]
pub trait Experiment {
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

    /// Starts its observers, before the first write.
    ///
    /// # Errors
    /// Something that it has to see can't be seen.
    async fn prepare(
        &self,
        context: &mut Context,
        plan: &Plan,
    ) -> anyhow::Result<Box<dyn RunningExperiment>>;
}

/// An experiment whose observers run.
#[async_trait(?Send)]
pub trait RunningExperiment {
    /// Waits until the fault is seen to work. Without an effect, the fault is rolled back at once.
    async fn prove_effect(&mut self, context: &mut Context, injection: &Injection) -> Effect;

    /// The fault's time is over, and it is still on.
    async fn before_rollback(&mut self, _context: &mut Context, _injection: &Injection) {}

    /// The changes are undone: waits until everything is at its steady state. An abort does not end
    /// the wait: what was broken has to recover all the same.
    async fn await_steady_state(
        &mut self,
        context: &mut Context,
        injection: &Injection,
        abort: &mut Abort,
    ) -> Recovery;

    /// Looks, a while after it was at its steady state, whether it still is. What has gone again is
    /// waited for anew.
    async fn confirm_steady_state(&mut self, context: &mut Context, abort: &mut Abort) -> Recovery;

    /// The effect of a fault whose effect is only known when it is over.
    fn effect_afterwards(&self) -> Effect {
        Effect::KnownAfterwards
    }

    /// The validation criteria as checks, besides effect, availability and alerts.
    fn judge(&self, context: &Context, injection: &Injection, seen: &Observations) -> Vec<Check>;

    /// How each pod came back.
    fn recoveries(&self) -> Vec<PodRecovery> {
        Vec::new()
    }
}
