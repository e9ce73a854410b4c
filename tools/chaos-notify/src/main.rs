//! `chaos-notify`: does everyone concerned know?

mod channels;
mod delivery;
mod facts;
mod notify;
mod occasions;
mod template;

use std::process::ExitCode;

use chaos_common::cli::{self, Common};
use chaos_common::exit::{Exit, Failure};
use clap::Parser;

/// Tell the team by mail, chat and status page
///
/// Fills the runbook's messages from the stream on standard input, sends them on every channel that
/// is configured, all at the same time, and records what became of each. What may have arrived is
/// never sent twice: such a channel is unknown. With --dry-run nobody is told, so that the verdict
/// is unknown too, or fail where a channel could not be used.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Exit status: 0 sent on every channel, 1 a channel failed, 2 usage, \
                  3 could not tell whether it arrived, or no channel is configured, or --dry-run; \
                  never better than the worst in the stream."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    /// Show on stderr what would be sent, and send nothing
    #[arg(long, global = true)]
    dry_run: bool,
    #[command(subcommand)]
    command: occasions::Command,
}

fn main() -> ExitCode {
    cli::main("chaos-notify", |cli: Cli| cli::block_on(run(cli)))
}

async fn run(cli: Cli) -> Result<Exit, Failure> {
    let config = cli.common.load()?.config;
    notify::run(&config, cli.common.output, cli.dry_run, &cli.command).await
}
