//! The subcommands, each with its arguments.

pub mod choice;
pub mod experiments;
pub mod plan;
pub mod rollout_undo;
pub mod run;
pub mod runs;

use chaos_common::config::Config;
use chaos_common::exit::Failure;

pub use self::choice::Choice;
use crate::experiments::Entry;
use crate::observe::availability::guard::check_guard;
use crate::run::experiment::Experiment;

/// Which experiment, and what it hits.
#[derive(clap::Args, Debug)]
pub struct ExperimentArgs {
    /// The experiment
    #[arg(value_parser = crate::experiments::parser())]
    experiment: &'static Entry,
    #[command(flatten)]
    pub choice: Choice,
}

impl ExperimentArgs {
    /// This experiment, with this choice.
    pub fn new(experiment: &'static Entry, choice: Choice) -> ExperimentArgs {
        ExperimentArgs { experiment, choice }
    }

    /// The experiment that is named.
    ///
    /// # Errors
    /// Neither arguments nor configuration say what it is to hit, or its guard could never act.
    pub fn experiment(&self, config: &Config) -> Result<Box<dyn Experiment>, Failure> {
        check_guard(&config.experiment)?;
        let config = self.choice.configure(self.experiment, config)?;
        self.experiment.experiment(&self.choice.selection, &config)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        what: ExperimentArgs,
    }

    /// A guard that could never act must not stop `recover` or `abort`, which name no experiment.
    #[test]
    fn an_experiment_whose_guard_could_never_act_is_not_made() {
        let line = ["chaos-inject", "scale-down", "--workload", "deployment/a"];
        let what = Line::parse_from(line).what;
        let mut config = Config::default();
        assert!(what.experiment(&config).is_ok());
        config.experiment.guard_window = config.experiment.probe_interval;
        let error = what.experiment(&config).err().expect("one probe");
        assert_eq!(error.exit, chaos_common::exit::Exit::Usage);
    }
}
