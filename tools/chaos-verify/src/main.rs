//! `chaos-verify`: is everything as it was: pods, data, speed?

use std::process::ExitCode;

use chaos_common::cli::{self, ClusterArgs, Common};
use chaos_common::exit::{Exit, Failure};
use chaos_verify::baseline;
use chaos_verify::performance::load_command::{self, LoadArgs};
use chaos_verify::performance::profile::LoadProfileArgs;
use chaos_verify::verification::{self, VerificationArgs};
use clap::{Parser, Subcommand};

/// Check that pods, data, configuration and speed are as they were
///
/// `chaos-verify baseline` goes before the experiment and takes rows, digests, answers and response
/// times. `chaos-verify` goes after it, waits for the system to recover, and compares with the
/// records in the stream on standard input. What it has nothing to compare with is unknown.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Exit status: 0 as it was, 1 not as it was, 2 usage, 3 could not tell.\n\n\
        The database is only read, in a read-only transaction."
)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    verification: VerificationArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Take the baseline that a later chaos-verify compares with
    Baseline(LoadProfileArgs),
    /// Put load on URLs from here, and tell how they answer; no cluster is asked
    Load(LoadArgs),
}

/// For the help of each command.
const EXAMPLES: &str = include_str!("../examples.txt");

fn main() -> ExitCode {
    cli::main(env!("CARGO_PKG_NAME"), EXAMPLES, |args: Args| {
        cli::block_on(run(args))
    })
}

async fn run(args: Args) -> Result<Exit, Failure> {
    match &args.command {
        Some(Command::Load(load)) => load_command::run(load, &args.common).await,
        Some(Command::Baseline(load)) => baseline::run(load, &args.common, &args.cluster).await,
        None => verification::run(&args.verification, &args.common, &args.cluster).await,
    }
}
