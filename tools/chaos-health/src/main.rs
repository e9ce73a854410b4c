//! `chaos-health`: is the system healthy enough to hurt?

use std::process::ExitCode;

use chaos_common::cli::{self, ClusterArgs, Common};
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Verdict, summarize};
use chaos_common::stream::Stream;
use chaos_common::vantage::Asker;
use chaos_common::{health, tool};
use clap::Parser;

/// Check pods, services, resource usage and monitoring of an application
///
/// Looks at what the runbook's chapter on health verification looks at, and passes only if all of it
/// could be seen and is as it should be. Starts a run, or adds to the stream on standard input.
#[derive(Parser, Debug)]
#[command(version, after_help = "Exit status: 0 healthy, 1 not healthy, 2 usage, 3 could not tell.")]
struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    cluster: ClusterArgs,
}

fn main() -> ExitCode {
    cli::main("chaos-health", |args: Args| cli::block_on(run(args)))
}

async fn run(args: Args) -> Result<Exit, Failure> {
    let config = args.common.load()?.config;
    let namespace = args.cluster.namespace(&config)?;
    let cluster = Cluster::connect(&args.cluster.access()).await.map_err(ReadError::usage)?;
    let mut stream = Stream::open(tool!(), args.common.output)?;
    let mut health = health::examine(&cluster, &Asker::new(&cluster), &config, &namespace).await;
    health.checks.extend(stream.upstream.check());
    let verdict = Verdict::of(&health.checks);
    Ok(stream.result(verdict, summarize(&health.checks), health, verdict.into()))
}
