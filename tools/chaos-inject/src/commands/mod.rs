//! The subcommands, each with its arguments.

pub mod experiments;
pub mod plan;
pub mod rollout_undo;
pub mod run;
pub mod runs;

use chaos_common::config::Config;
use chaos_common::exit::Failure;

use crate::experiments::Entry;
use crate::observe::availability::guard::check_guard;
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
    /// Accept that this is lost for good, by its name in the plan (repeatable)
    #[arg(long = "accept-loss", value_name = "NAME", value_delimiter = ',')]
    pub accepted: Vec<String>,
}

impl ExperimentArgs {
    /// The experiment that is named.
    ///
    /// # Errors
    /// Neither arguments nor configuration say what it is to hit, or its guard could never act.
    pub fn experiment(&self, config: &Config) -> Result<Box<dyn Experiment>, Failure> {
        check_guard(&config.experiment)?;
        self.experiment.experiment(&self.selection, config)
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
