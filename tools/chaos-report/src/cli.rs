//! The command line: which subcommand there is, and the archive that each one works on.

use std::path::PathBuf;

use chaos_common::cli::Common;
use chaos_common::config::Config;
use chaos_common::exit::{Exit, Failure};
use clap::{Parser, Subcommand};

use crate::commands;
use crate::store::{self, Store};

/// Write the report of an experiment, or of a month of experiments
///
/// Without a command, reads the stream of a run on standard input, writes the runbook's report into
/// the archive, with the stream that it was made from beside it, and passes the stream on. Nothing
/// in a report comes from anywhere but the stream.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Exit status: 0 saved, 2 usage, 3 could not be saved or made in full; \
                  never better than the worst in the stream."
)]
// Not `Args`, as clap knows the arguments of a report by that name.
pub struct CommandLine {
    #[command(flatten)]
    common: Common,
    /// Keep reports in this folder instead of the configured folder or database
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
    /// List the runs in the archive
    List(commands::list::Args),
    /// Show the report of a run, and what people said of it since
    Show(commands::show::Args),
    /// Find runs by words
    Search(commands::search::Args),
    /// Say something of a run in your own words
    Note(commands::note::Args),
    /// Write down next steps, list them, and say which are done
    #[command(subcommand)]
    Action(commands::action::Command),
    /// Report on a month, a quarter, a year, some days or some runs
    Review(commands::review::Args),
    /// Report on all experiments of a month that are in the archive (as review month)
    Monthly(commands::review::MonthlyArgs),
    /// Compare two runs: what is better, what is worse, what can't be compared
    Compare(commands::compare::Args),
    /// Write what experiments showed into documents, under a marked heading of its own
    Runbook(commands::runbook::Args),
    /// Write the archive or a stream as metrics for Prometheus, or a dashboard for Grafana
    Metrics(commands::metrics::Args),
    /// Write runs into one file, with their reports, notes and digests
    Export(commands::transfer::ExportArgs),
    /// Take runs from such a file into the archive
    Import(commands::transfer::ImportArgs),
    /// Remove old runs from the archive
    Prune(commands::prune::Args),
}

/// Does what the command line says.
///
/// # Errors
///
/// As the commands say, and when the archive cannot be opened.
pub fn run(args: CommandLine) -> Result<Exit, Failure> {
    let config = args.common.load()?.config;
    let mut store = store::open(args.archive.clone(), &config.report);
    let done = command(args, &config, &mut *store);
    for news in store.news() {
        commands::tell(&news);
    }
    done
}

fn command(args: CommandLine, config: &Config, store: &mut dyn Store) -> Result<Exit, Failure> {
    let output = args.common.output;
    let Some(command) = args.command else {
        return commands::experiment::report(store, &args.report, output);
    };
    match command {
        Command::Run(args) => commands::experiment::report(store, &args, output),
        Command::List(args) => commands::list::list(store, &args, output),
        Command::Show(args) => commands::show::show(store, &args),
        Command::Search(args) => commands::search::search(store, &args, output),
        Command::Note(args) => commands::note::note(store, &args, output),
        Command::Action(command) => commands::action::run(store, &command, output),
        Command::Review(args) => commands::review::review(store, &args, config, output),
        Command::Monthly(args) => commands::review::review(store, &args.into(), config, output),
        Command::Compare(args) => commands::compare::compare_runs(store, &args, output),
        Command::Runbook(args) => commands::runbook::runbook(store, &args),
        Command::Metrics(args) => commands::metrics::write(store, &args),
        Command::Export(args) => commands::transfer::export(store, &args, &config.report.sign),
        Command::Import(args) => commands::transfer::import(store, &args),
        Command::Prune(args) => commands::prune::prune(store, &args, output),
    }
}
