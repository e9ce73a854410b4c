//! The subcommands, each with its arguments.

pub mod experiments;
pub mod plan;
pub mod rollout_undo;
pub mod run;
pub mod runs;
pub mod watch;

use chaos_common::config::Config;
use chaos_common::exit::Failure;

use crate::context::Context;
use crate::experiments::Entry;
use crate::experiments::flag::{self, Flag};
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
    /// Let the experiment take all pods of a workload
    #[arg(long)]
    allow_outage: bool,
    /// Let it hit at most this share of the namespace's ready pods, instead of limits.max_share_percent
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    max_share: Option<u8>,
    /// Set this policy aside for the pods that are hit while the fault is on, by its name in the
    /// plan (repeatable)
    #[arg(long, value_name = "networkpolicy/NAME", value_delimiter = ',')]
    set_aside: Vec<String>,
}

impl ExperimentArgs {
    /// The experiment that is named.
    ///
    /// # Errors
    /// Neither arguments nor configuration say what it is to hit, or its guard could never act.
    pub fn experiment(&self, config: &Config) -> Result<Box<dyn Experiment>, Failure> {
        check_guard(&config.experiment)?;
        let entry = self.experiment;
        flag::check(entry.name, &self.given(), entry.flags)?;
        entry.experiment(&self.selection, config)
    }

    /// The flags that are there.
    fn given(&self) -> Vec<Flag> {
        let selection = &self.selection;
        let given = [
            (Flag::Pod, !selection.pods.is_empty()),
            (Flag::Selector, selection.selector.is_some()),
            (Flag::Workload, !selection.workloads.is_empty()),
            (Flag::Count, selection.count.is_some()),
            (Flag::Share, selection.share.is_some()),
            (Flag::AllowOutage, self.allow_outage),
            (Flag::MaxShare, self.max_share.is_some()),
            (Flag::SetAside, !self.set_aside.is_empty()),
        ];
        let there = given.into_iter().filter(|(_, is_given)| *is_given);
        there.map(|(flag, _)| flag).collect()
    }

    /// Tells what the operator accepts and how far the experiment may go.
    pub fn tell(&self, context: &mut Context) {
        context.accepted.clone_from(&self.accepted);
        context.allow_outage = self.allow_outage;
        context.set_aside.clone_from(&self.set_aside);
        if let Some(percent) = self.max_share {
            context.config.limits.max_share_percent = percent.into();
        }
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
