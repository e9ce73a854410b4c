//! The subcommands, each with its arguments.

pub mod experiments;
pub mod plan;
pub mod rollout_undo;
pub mod run;
pub mod runs;

use chaos_common::config::Config;
use chaos_common::exit::Failure;

use crate::experiments::Entry;
use crate::plan::target::Selection;
use crate::run::experiment::Experiment;

/// Which experiment, and what it hits.
#[derive(clap::Args, Debug)]
pub struct ExperimentArgs {
    /// The experiment
    #[arg(value_parser = crate::experiments::parser())]
    experiment: &'static Entry,
    #[command(flatten)]
    selection: Selection,
}

impl ExperimentArgs {
    /// The experiment that is named.
    ///
    /// # Errors
    /// Neither arguments nor configuration say what it is to hit.
    pub fn experiment(&self, config: &Config) -> Result<Box<dyn Experiment>, Failure> {
        self.experiment.experiment(&self.selection, config)
    }
}
