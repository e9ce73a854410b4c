//! `chaos-notify`: does everyone concerned know?

mod channels;
mod facts;
mod message;
mod notify;
mod occasions;
mod retry;

use std::process::ExitCode;

use chaos_common::cli::{self, Common};
use chaos_common::config::Span;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::Time;
use clap::{Args, Parser, Subcommand};

/// Tell the team by mail, chat and status page
///
/// Fills the runbook's messages from the stream on standard input, sends them on every channel that
/// is configured, all at the same time, and records what became of each. What may have arrived is
/// never sent twice: such a channel is unknown. With --dry-run nobody is told, so that the verdict
/// is unknown too, or fail where a channel could not be used.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Exit status: 0 sent on every channel, 1 a channel failed, 2 usage, 3 could not tell whether it arrived, \
                  or no channel is configured, or --dry-run; never better than the worst in the stream."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    /// Show on stderr what would be sent, and send nothing
    #[arg(long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    occasion: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Announce an experiment; what a plan in the stream tells goes before the flags
    Scheduled(ScheduledArgs),
    /// Share the results of the experiment in the stream
    Completed,
    /// Tell that an experiment was aborted
    Aborted(AbortedArgs),
    /// Tell management that the system failed
    Critical(CriticalArgs),
    /// Send the monthly report in the stream to team and management
    Monthly,
}

/// What is announced.
#[derive(Args, Debug)]
struct ScheduledArgs {
    /// Announce this experiment
    #[arg(long, value_name = "NAME", default_value = "pod-failure")]
    experiment: String,
    /// Name this as hit [default: the workloads configured for the experiment]; may be repeated
    #[arg(long, value_name = "WORKLOAD")]
    target: Vec<String>,
    /// Give this as the start, for example 2026-11-22T16:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<Time>,
    /// Give this as the longest duration, for example 10m [default: from the configured limits]
    #[arg(long = "for", value_name = "DURATION")]
    duration: Option<Span>,
}

/// What is known of an abort beyond the stream.
#[derive(Args, Debug)]
struct AbortedArgs {
    /// Give this reason instead of the one in the stream
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Tell of this action instead of those in the stream; may be repeated
    #[arg(long, value_name = "TEXT")]
    action: Vec<String>,
}

/// What is known of a failure beyond the stream.
#[derive(Args, Debug)]
struct CriticalArgs {
    /// Describe the issue so instead of from the stream
    #[arg(long, value_name = "TEXT")]
    issue: Option<String>,
    /// Describe the impact so instead of from the stream
    #[arg(long, value_name = "TEXT")]
    impact: Option<String>,
    /// Tell of this action instead of those in the stream; may be repeated
    #[arg(long, value_name = "TEXT")]
    action: Vec<String>,
}

fn time(text: &str) -> Result<Time, String> {
    text.parse()
        .map(Time)
        .map_err(|_| "it is not a time such as 2026-11-22T16:00:00Z".to_owned())
}

fn main() -> ExitCode {
    cli::main("chaos-notify", |cli: Cli| cli::block_on(run(cli)))
}

async fn run(cli: Cli) -> Result<Exit, Failure> {
    let config = cli.common.load()?.config;
    notify::run(&config, cli.common.output, cli.dry_run, &cli.occasion).await
}
