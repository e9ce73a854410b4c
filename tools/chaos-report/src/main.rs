//! `chaos-report`: what did we learn, and are we getting better?

mod archive;
mod commands;
mod findings;
mod render;
mod review;

use std::path::PathBuf;
use std::process::ExitCode;

use chaos_common::cli::{self, Common};
use chaos_common::exit::{Exit, Failure};
use clap::{Parser, Subcommand};

/// Write the report of an experiment, or of a month of experiments
///
/// Without a command, reads the stream of a run on standard input, writes the runbook's report into
/// the archive, with the stream that it was made from beside it, and passes the stream on. Nothing
/// in a report comes from anywhere but the stream.
#[derive(Parser, Debug)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0 saved, 2 usage, 3 could not be saved or made in full; \
                  never better than the worst in the stream."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    /// Keep reports in this folder instead of the configured one
    #[arg(long, value_name = "FOLDER", global = true)]
    archive: Option<PathBuf>,
    #[command(flatten)]
    report: commands::experiment::Args,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Report on the experiment in the stream on standard input (as without a command)
    Run(commands::experiment::Args),
    /// Report on all experiments of a month that are in the archive
    Monthly(commands::monthly::Args),
}

fn main() -> ExitCode {
    cli::main("chaos-report", run)
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let (config, output) = (cli.common.load()?.config, cli.common.output);
    let folder = cli.archive.unwrap_or(config.report.archive);
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    match cli.command {
        None => commands::experiment::report(&folder, &cli.report, output),
        Some(Command::Run(args)) => commands::experiment::report(&folder, &args, output),
        Some(Command::Monthly(args)) => commands::monthly::report(&folder, &args, output),
    }
}
