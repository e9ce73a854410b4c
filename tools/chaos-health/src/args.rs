//! What people type.

use chaos_common::cli::Common;
use chaos_common::config::Span;
use clap::{Parser, Subcommand};

use crate::access::AccessArgs;
use crate::init::InitArgs;
use crate::namespaces::NamespaceArgs;

/// Check pods, services, resource usage and monitoring of an application
///
/// Looks at what the runbook's chapter on health verification looks at, and passes only if all of
/// it could be seen and is as it should be. Begins a run; with -, adds to the stream on standard input.
#[derive(Parser, Debug)]
#[command(version)]
#[command(after_help = "Exit status: 0 healthy, 1 not healthy, 2 usage, 3 could not tell.")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(flatten)]
    pub(crate) namespaces: NamespaceArgs,
    /// Leave this check out; may be given again
    #[arg(long, value_name = "CHECK")]
    pub(crate) skip: Vec<String>,
    /// End a look after so long; what is not known then is unknown
    #[arg(long, value_name = "DURATION", default_value = "30s")]
    pub(crate) deadline: Span,
    /// Wait so long for the system to become healthy
    #[arg(long, value_name = "DURATION")]
    pub(crate) wait: Option<Span>,
    /// Keep looking, and show it on the terminal
    #[arg(long, conflicts_with = "wait")]
    pub(crate) watch: bool,
    /// Add to the stream of records on standard input; without it, that is not read
    #[arg(value_name = "-", value_parser = ["-"], hide_possible_values = true)]
    pub(crate) input: Option<String>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Look at a namespace, and write a chaos.toml of what is there
    ///
    /// What could not be known stands in it as comments. Nothing in the cluster is changed.
    Init(InitArgs),
    /// Say of every part of the configuration whether it can be reached, and with which rights
    #[command(after_help = "Exit status: 0 all of it, 1 not all, 2 usage, 3 could not tell.")]
    Access(AccessArgs),
    /// Say what a check asks, when it fails, and what to do then
    Explain {
        /// The check, for example pods.ready; all of them if left out
        check: Option<String>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::cli;

    #[test]
    fn the_arguments_fit_together() {
        <Args as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn only_a_dash_reads_standard_input() {
        let input = |args: &[&str]| Args::try_parse_from(args).map(|args| args.input.is_some());
        assert_eq!(input(&["chaos-health"]).ok(), Some(false));
        assert_eq!(input(&["chaos-health", "-n", "shop", "-"]).ok(), Some(true));
        assert!(input(&["chaos-health", "shop"]).is_err());
        assert_eq!(input(&["chaos-health", "explain"]).ok(), Some(false));
    }

    #[test]
    fn the_namespace_stands_before_or_after_a_subcommand() {
        for line in ["chaos-health -n shop init", "chaos-health init -n shop"] {
            let args = cli::parse::<Args>(line.split(' ').map(Into::into)).expect(line);
            let Some(Command::Init(init)) = args.command else {
                panic!("{line} is init");
            };
            let shown = format!("{init:?}");
            assert!(shown.contains("namespace: Some(\"shop\")"), "{shown}");
        }
    }
}
