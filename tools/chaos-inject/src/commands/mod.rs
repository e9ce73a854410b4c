//! The subcommands, each with its arguments.

pub mod choice;
pub mod experiments;
pub mod plan;
pub mod rollout_undo;
pub mod run;
pub mod runs;
pub mod watch;

use chaos_common::config::Config;
use chaos_common::exit::Failure;

pub use self::choice::Choice;
use crate::experiments::Entry;
use crate::experiments::flag;
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
        let entry = self.experiment;
        flag::check(entry.name, &self.choice.given(), entry.flags)?;
        let config = self.choice.configure(entry, config)?;
        entry.experiment(&self.choice.selection, &config)
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

    #[test]
    fn a_flag_that_an_experiment_can_not_honour_is_refused_and_never_ignored() {
        let config = Config::default();
        let refused = |line: &str| {
            let words = format!("chaos-inject {line}");
            let what = Line::parse_from(words.split(' ')).what;
            let failure = what.experiment(&config).err()?;
            failure
                .message
                .contains("can't honour")
                .then_some(failure.exit)
        };
        let usage = Some(chaos_common::exit::Exit::Usage);
        for line in [
            "network-partition --workload a --share 20",
            "network-partition --count 1",
            "dns-failure --allow-outage",
            "storage-failure --set-aside networkpolicy/a",
            "monitoring-failure --workload deployment/a",
            "resource-exhaustion --workload deployment/a",
            "resource-exhaustion --max-share 10",
            "scale-down --pod a",
        ] {
            assert_eq!(refused(line), usage, "{line}");
        }
        for line in [
            "pod-failure --workload deployment/a --share 20 --allow-outage --max-share 100",
            "scale-down --workload deployment/a --count 1 --allow-outage",
            "dns-failure --workload deployment/a --set-aside networkpolicy/a,networkpolicy/b",
        ] {
            assert_eq!(refused(line), None, "{line}");
        }
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
