//! What the tool does when it is called: one file a command, and what they share.

mod ad_hoc;
mod check;
mod deadline;
mod drill;
mod drill_order;
mod export;
pub(crate) mod plugin;
mod reporter;
mod seal;
mod setup;

use std::time::Instant;

use chaos_common::cli::{ClusterArgs, Common};
use chaos_common::config::Span;
use chaos_common::exit::{Exit, Failure};
use chaos_common::tool;
use clap::{Parser, Subcommand};

use self::ad_hoc::AdHocArgs;
use crate::monitoring::CronArgs;

/// Check that backups are there, recent, and whole to the last byte
///
/// Reads every backup of the configuration, or each FILE, in full, on this machine, in a pod or in
/// object storage: PostgreSQL dumps, tar archives, exported Kubernetes objects; looks whether
/// snapshots of volumes are ready; asks pgBackRest, CloudNativePG, Velero and restic. Passes only if
/// each could be read and is as it should be. Starts a run, or adds to the stream on standard input;
/// with --quiet or --nagios, standard input is not read.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Exit status: 0 good, 1 missing, old, damaged or not restorable, 2 usage, \
                  3 could not tell, 4 refused, 6 a drill was stopped."
)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(flatten)]
    cron: CronArgs,
    #[command(flatten)]
    ad_hoc: AdHocArgs,
    /// Do not read a backup again that has not changed since it was read whole, no longer ago than
    /// this [default: each is read every time]
    #[arg(long, value_name = "TIME")]
    trust_unchanged: Option<Span>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Write a manifest beside a backup that was just made, which later checks hold it against
    Seal(seal::SealArgs),
    /// Back up the configuration of the cluster: the ConfigMaps, Secrets and other kinds that
    /// chaos.toml names
    Export(export::ExportArgs),
    /// Restore backups for a trial, into a place that is thrown away, and keep the evidence
    Drill(drill::DrillArgs),
}

/// Does what is asked.
pub(crate) fn run(args: &Args) -> Result<Exit, Failure> {
    let start = Instant::now();
    let loaded = setup::load(args)?;
    match &args.command {
        Some(Command::Seal(own)) => {
            let context = setup::context_of_files(args, &loaded)?;
            seal::run(own, &context, &tool!())
        }
        Some(Command::Export(own)) => export::run(own, args, &loaded),
        Some(Command::Drill(own)) => drill::run(own, args, &loaded, start),
        None => check::run(args, &loaded, start),
    }
}
