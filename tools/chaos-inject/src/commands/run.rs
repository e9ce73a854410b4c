//! The arguments of `run`.

use chaos_common::config::Config;
use chaos_common::exit::Failure;
use chaos_common::record::{Plan, Record};
use chaos_common::stream::Upstream;

use crate::commands::{Choice, ExperimentArgs};
use crate::experiments::{self, Entry};
use crate::run::Order;

/// The arguments of `run`.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The experiment [default: carry out the plan of the stream, and nothing else]
    #[arg(value_parser = experiments::parser())]
    experiment: Option<&'static Entry>,
    #[command(flatten)]
    choice: Choice,
    /// Do not ask; needed where there is no terminal to ask on
    #[arg(short, long)]
    yes: bool,
}

impl Args {
    /// What is to be run: the experiment that is named, or the plan of the stream.
    ///
    /// # Errors
    /// Neither is there, flags are given that belong to the plan, or the experiment can't be made.
    pub fn order(&self, config: &Config, upstream: &Upstream) -> Result<Order, Failure> {
        let (what, announced) = if let Some(experiment) = self.experiment {
            (ExperimentArgs::new(experiment, self.choice.clone()), None)
        } else {
            let plan = self.announced(upstream)?;
            (choice_of(&plan)?, Some(plan))
        };
        Ok(Order {
            experiment: what.experiment(config)?,
            choice: what.choice,
            announced,
            yes: self.yes,
        })
    }

    fn announced(&self, upstream: &Upstream) -> Result<Record<Plan>, Failure> {
        if self.choice != Choice::default() {
            let message = "without an experiment, the plan of the stream is carried out as it is";
            return Err(Failure::usage(message)
                .hint("give chaos-inject plan what it is to hit and how, or name the experiment"));
        }
        if !upstream.present {
            return Err(Failure::usage("no experiment is named, and there is no stream").hint(
                "name one (chaos-inject experiments lists them), or put chaos-inject plan in front",
            ));
        }
        let plan = upstream.latest::<Plan>();
        let plan = plan.map_err(|error| Failure::unknown(error.to_string()))?;
        let plan = plan.ok_or_else(|| {
            Failure::unknown("no experiment is named, and the stream holds no plan")
                .hint("see what chaos-inject plan said on stderr")
        })?;
        if upstream.run().is_some_and(|run| run != plan.run) {
            let message = "the plan of the stream is of another run";
            return Err(Failure::unknown(message).hint("plan anew in this pipeline"));
        }
        Ok(plan)
    }
}

/// What the operator chose for this plan.
fn choice_of(plan: &Record<Plan>) -> Result<ExperimentArgs, Failure> {
    let name = &plan.data.experiment;
    let entry = experiments::all().iter().find(|entry| entry.name == name);
    let entry = entry.ok_or_else(|| {
        Failure::unknown(format!(
            "the plan is of an experiment that is not known: {name}"
        ))
    })?;
    let choice = serde_json::from_value(plan.data.choice.clone()).map_err(|error| {
        Failure::unknown(format!("the plan does not say what it hits: {error}"))
            .hint("make it with a chaos-inject plan of the same version")
    })?;
    Ok(ExperimentArgs::new(entry, choice))
}
