//! An experiment of which a test says how each of its steps goes.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::bail;
use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::record::{Change, Check, Plan};

use crate::abort::Abort;
use crate::context::Context;
use crate::observe::Observations;
use crate::plan::Draft;
use crate::run::experiment::{Effect, Experiment, Injection, Recovery, RunningExperiment};

/// The experiment.
#[derive(Clone)]
pub struct Stub {
    /// What it changes.
    pub changes: Vec<Change>,
    /// Its own limits.
    pub checks: Vec<Check>,
    /// How long the fault stays.
    pub hold: Duration,
    /// Whether losing data is possible.
    pub data_at_stake: bool,
    /// Why it can't be observed.
    pub unobservable: Option<&'static str>,
    /// Whether the fault has an effect.
    pub effect: Effect,
    /// Whether the first look after the rollback, and the second one, find the steady state.
    pub steady: [bool; 2],
    /// Why neither look can see anything.
    pub unseen: Option<&'static str>,
    /// The engine's calls, in order.
    pub log: Rc<RefCell<Vec<String>>>,
}

impl Stub {
    /// An experiment that makes these changes, and in which all goes well.
    pub fn of(changes: Vec<Change>) -> Stub {
        Stub {
            changes,
            checks: Vec::new(),
            hold: Duration::from_secs(30),
            data_at_stake: false,
            unobservable: None,
            effect: Effect::Proven("nobody answers".to_owned()),
            steady: [true, true],
            unseen: None,
            log: Rc::default(),
        }
    }

    fn note(&self, what: impl Into<String>) {
        self.log.borrow_mut().push(what.into());
    }

    fn recovery(&self, look: usize) -> Recovery {
        if let Some(why) = self.unseen {
            return Recovery::Unseen(why.to_owned());
        }
        if self.steady[look] {
            return Recovery::SteadyState;
        }
        Recovery::NotRecovered {
            what: "deployment/shop has 0 of 3 ready pods".to_owned(),
            hint: "kubectl get pods".to_owned(),
        }
    }
}

#[async_trait(?Send)]
impl Experiment for Stub {
    fn name(&self) -> &'static str {
        "stub"
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let draft = Draft {
            experiment: "stub",
            changes: self.changes.clone(),
            checks: self.checks.clone(),
            hold: self.hold,
            ..Draft::default()
        };
        draft.finish(context).await
    }

    async fn data_at_stake(&self, _context: &Context, _plan: &Plan) -> Result<bool, ReadError> {
        Ok(self.data_at_stake)
    }

    async fn prepare(
        &self,
        _context: &mut Context,
        _plan: &Plan,
    ) -> anyhow::Result<Box<dyn RunningExperiment>> {
        self.note("prepare");
        if let Some(why) = self.unobservable {
            bail!(why);
        }
        Ok(Box::new(self.clone()))
    }
}

#[async_trait(?Send)]
impl RunningExperiment for Stub {
    async fn prove_effect(&mut self, _context: &mut Context, _injection: &Injection) -> Effect {
        self.note("prove effect");
        self.effect.clone()
    }

    async fn before_rollback(&mut self, _context: &mut Context, _injection: &Injection) {
        self.note("before rollback");
    }

    async fn await_steady_state(
        &mut self,
        _context: &mut Context,
        injection: &Injection,
        _abort: &mut Abort,
    ) -> Recovery {
        for one in &injection.applied {
            self.note(format!("applied {}", one.change.object()));
        }
        for change in &injection.skipped {
            self.note(format!("skipped {}", change.object()));
        }
        self.note("await steady state");
        self.recovery(0)
    }

    async fn confirm_steady_state(
        &mut self,
        _context: &mut Context,
        _abort: &mut Abort,
    ) -> Recovery {
        self.note("confirm steady state");
        self.recovery(1)
    }

    fn judge(
        &self,
        _context: &Context,
        _injection: &Injection,
        _seen: &Observations,
    ) -> Vec<Check> {
        self.note("judge");
        Vec::new()
    }
}
