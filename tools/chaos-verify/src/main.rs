//! `chaos-verify`: is everything as it was: pods, data, speed?

mod answers;
mod baseline;
mod before;
mod changes;
mod configuration;
mod database;
mod generate;
mod job;
mod judge;
mod load;
mod logs;
mod mask;
#[cfg(test)]
mod misbehaving;
mod recovery;
mod site;
mod speed;
mod timing;
mod usage;
mod verification;

use std::process::ExitCode;
use std::time::Duration;

use chaos_common::cli::{self, ClusterArgs, Common};
use chaos_common::cluster::probe::HttpProbe;
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::Span;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Verdict, summarize};
use chaos_common::stream::Stream;
use chaos_common::tool;
use clap::{Parser, Subcommand};

use crate::site::Site;
use crate::speed::SpeedArgs;

/// How long recovery is waited for if nothing else is said.
const WAIT: Duration = Duration::from_secs(30);

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
    /// Wait so long for pods and services to recover [default: 30s]
    #[arg(long, value_name = "TIME")]
    wait: Option<Span>,
    #[command(flatten)]
    speed: SpeedArgs,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand, Debug, Clone)]
enum Command {
    /// Take the baseline that a later chaos-verify compares with
    Baseline(SpeedArgs),
    /// Put load on URLs from here, and tell how they answer; no cluster is asked
    Load(generate::LoadArgs),
}

fn main() -> ExitCode {
    cli::main("chaos-verify", |args: Args| cli::block_on(run(args)))
}

async fn run(args: Args) -> Result<Exit, Failure> {
    if let Some(Command::Load(load)) = &args.command {
        return generate::run(load, &args.common).await;
    }
    if args.command.is_some() && !args.speed.is_empty() {
        return Err(Failure::usage(
            "--load and --duration of a baseline go behind the word baseline",
        ));
    }
    if args.command.is_some() && args.wait.is_some() {
        return Err(Failure::usage(
            "a baseline does not wait: --wait is for the check after the experiment",
        ));
    }
    let config = args.common.load()?.config;
    let speed = if let Some(Command::Baseline(speed)) = &args.command {
        speed
    } else {
        &args.speed
    };
    let profile = speed.profile(&config.performance)?;
    let namespace = args.cluster.namespace(&config)?;
    let cluster = Cluster::connect(&args.cluster.access())
        .await
        .map_err(ReadError::usage)?;
    let mut stream = Stream::open(tool!(), args.common.output)?;
    let asker = HttpProbe::new(&cluster);
    let site = Site {
        cluster: &cluster,
        asker: &asker,
        config: &config,
        namespace: &namespace,
    };
    if args.command.is_some() {
        let mut data = baseline::take(&site, &stream.run, profile.as_ref()).await;
        data.checks.extend(stream.upstream.check());
        let verdict = Verdict::of(&data.checks);
        return Ok(stream.result(verdict, summarize(&data.checks), data, verdict.into()));
    }
    let wait = args.wait.map_or(WAIT, |span| span.0);
    let mut data = Box::pin(verification::verify(&site, &stream, wait, profile)).await;
    data.checks.extend(stream.upstream.check());
    let verdict = Verdict::of(&data.checks);
    Ok(stream.result(verdict, summarize(&data.checks), data, verdict.into()))
}
