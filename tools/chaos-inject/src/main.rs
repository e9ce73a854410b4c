//! `chaos-inject`: what happens when this breaks, and is it whole again?

mod availability;
mod blast_radius;
mod context;
mod engine;
mod fault;
mod faults;
mod gates;
mod intent;
mod journal;
mod limits;
mod permissions;
mod recovery;
mod select;
mod sightings;

use std::process::ExitCode;

use chaos_common::cli::{self, ClusterArgs, Common};
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::exit::{Exit, Failure};
use chaos_common::stream::Stream;
use chaos_common::tool;
use chaos_common::vantage::Asker;
use clap::{Parser, Subcommand, ValueEnum};

use context::Context;
use faults::pod_failure::PodFailure;
use select::Selection;

/// Break something on purpose, prove that it broke, and prove that it is whole again
///
/// `plan` shows what an experiment would do and touches nothing. `run` does it: it wants the stream of
/// a run whose health record passes, asks on a terminal, and wants --yes in a pipe.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Exit status: 0 pass, 1 fail, 2 usage, 3 could not tell, 4 refused and nothing touched,\n\
                  5 NOT RESTORED and a person is needed, 6 aborted and everything restored."
)]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    cluster: ClusterArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Show the exact objects, calls, blast radius, undo and permissions; touch nothing
    Plan(What),
    /// Run the experiment
    Run {
        #[command(flatten)]
        what: What,
        /// Do not ask; needed where there is no terminal to ask on
        #[arg(short, long)]
        yes: bool,
        /// Go on although a gate is closed, for this reason, which is recorded
        #[arg(long = "override", value_name = "REASON", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        reason: Option<String>,
    },
}

#[derive(clap::Args, Debug)]
struct What {
    /// The experiment
    #[arg(value_enum)]
    experiment: Experiment,
    #[command(flatten)]
    selection: Selection,
}

#[derive(ValueEnum, Clone, Copy, Debug)]
enum Experiment {
    /// Delete pods and measure how they come back
    PodFailure,
}

fn main() -> ExitCode {
    cli::main("chaos-inject", |args: Args| cli::block_on(run(args)))
}

async fn run(args: Args) -> Result<Exit, Failure> {
    let config = args.common.load()?.config;
    let namespace = args.cluster.namespace(&config)?;
    let cluster = Cluster::connect(&args.cluster.access()).await.map_err(ReadError::usage)?;
    let stream = Stream::open(tool!(), args.common.output)?;
    let asker = Asker::new(&cluster);
    let mut context = Context::new(cluster, asker, config, namespace, stream);
    let (what, consent) = match args.command {
        Command::Plan(what) => (what, None),
        Command::Run { what, yes, reason } => (what, Some(gates::Consent { yes, reason })),
    };
    let fault = match what.experiment {
        Experiment::PodFailure => PodFailure::new(what.selection, &context.config.experiment.pod_failure)?,
    };
    Ok(match consent {
        None => engine::plan(&mut context, &fault).await,
        Some(consent) => engine::run(&mut context, fault, &consent).await,
    })
}
