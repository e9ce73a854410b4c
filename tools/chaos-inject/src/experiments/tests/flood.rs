//! An experiment as somebody would add it, which is all of its code: a ConfigMap is created in the
//! application's namespace, and has to be seen there while it lasts.

use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::config::{Config, Span};
use chaos_common::exit::Failure;
use chaos_common::record::{Change, Check, Plan};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use crate::abort::Abort;
use crate::context::Context;
use crate::experiments::Definition;
use crate::experiments::flag::Flag;
use crate::observe::Observations;
use crate::plan::Draft;
use crate::plan::target::Selection;
use crate::run::experiment::{Effect, Experiment, Injection, Recovery, RunningExperiment};

/// `[experiment.flood]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long it lasts.
    pub duration: Span,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            duration: Span::seconds(5),
        }
    }
}

/// The experiment.
#[derive(Debug)]
pub struct Flood {
    settings: Settings,
}

impl Definition for Flood {
    const NAME: &'static str = "flood";
    const ABOUT: &'static str = "Create a ConfigMap for a while";
    const FLAGS: &'static [Flag] = &[];
    type Settings = Settings;

    fn new(_selection: &Selection, settings: Settings, _config: &Config) -> Result<Self, Failure> {
        Ok(Flood { settings })
    }
}

#[async_trait(?Send)]
impl Experiment for Flood {
    fn name(&self) -> &'static str {
        Self::NAME
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let name = "chaos-flood".to_owned();
        let object = context.own_object("v1", "ConfigMap", "configmaps", name);
        let manifest = json!({ "metadata": { "name": object.name } });
        let draft = Draft {
            experiment: Self::NAME,
            changes: vec![Change::Create { object, manifest }],
            hold: self.settings.duration.0,
            undo: "the ConfigMap is deleted".to_owned(),
            ..Draft::default()
        };
        draft.finish(context).await
    }

    async fn data_at_stake(&self, _context: &Context, _plan: &Plan) -> Result<bool, ReadError> {
        Ok(false)
    }

    async fn prepare(
        &self,
        _context: &mut Context,
        _plan: &Plan,
    ) -> anyhow::Result<Box<dyn RunningExperiment>> {
        Ok(Box::new(Running))
    }
}

/// It runs.
struct Running;

#[async_trait(?Send)]
impl RunningExperiment for Running {
    async fn prove_effect(&mut self, _context: &mut Context, injection: &Injection) -> Effect {
        Effect::Proven(format!("{} objects are created", injection.applied.len()))
    }

    async fn await_steady_state(
        &mut self,
        _context: &mut Context,
        _injection: &Injection,
        _abort: &mut Abort,
    ) -> Recovery {
        Recovery::SteadyState
    }

    async fn confirm_steady_state(
        &mut self,
        _context: &mut Context,
        _abort: &mut Abort,
    ) -> Recovery {
        Recovery::SteadyState
    }

    fn judge(
        &self,
        _context: &Context,
        _injection: &Injection,
        _seen: &Observations,
    ) -> Vec<Check> {
        Vec::new()
    }
}
