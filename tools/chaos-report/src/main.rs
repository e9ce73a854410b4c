//! `chaos-report`: what did we learn, and are we getting better?

mod archive;
mod experiment;
mod findings;
mod lessons;
mod markdown;
mod month;
mod monthly;
mod run;
mod story;
mod tables;
mod trend;

use std::path::PathBuf;
use std::process::ExitCode;

use chaos_common::cli::{self, Common};
use chaos_common::exit::{Exit, Failure};
use clap::{Args, Parser, Subcommand};

use crate::month::Month;

/// Write the report of an experiment, or of a month of experiments
///
/// Without a command, reads the stream of a run on standard input, writes the runbook's report as
/// Markdown into the archive, with the stream that it was made from beside it, and passes the
/// stream on. Nothing in a report comes from anywhere but the stream.
#[derive(Parser, Debug)]
#[command(
    version,
    args_conflicts_with_subcommands = true,
    after_help = "Exit status: 0 saved, 2 usage, 3 could not be saved or made in full; never better than the worst in the stream."
)]
struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    target: ArchiveArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

/// Where reports are kept.
#[derive(Args, Debug)]
struct ArchiveArgs {
    /// Keep reports in this folder instead of the configured one
    #[arg(long, value_name = "FOLDER", global = true)]
    archive: Option<PathBuf>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Report on the experiment in the stream on standard input (as without a command)
    Run,
    /// Report on all experiments of a month that are in the archive
    Monthly {
        /// Report on this month of UTC, for example 2026-11 [default: the current one]
        #[arg(long, value_name = "YYYY-MM")]
        month: Option<Month>,
    },
}

fn main() -> ExitCode {
    cli::main("chaos-report", run)
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let config = cli.common.load()?.config;
    let folder = cli
        .target
        .archive
        .unwrap_or_else(|| config.report.archive.clone());
    let folder = std::path::absolute(&folder).unwrap_or(folder);
    match cli.command {
        None | Some(Command::Run) => run::experiment(&config, &folder, cli.common.output),
        Some(Command::Monthly { month }) => run::monthly(
            &folder,
            month.unwrap_or_else(Month::current),
            cli.common.output,
        ),
    }
}
