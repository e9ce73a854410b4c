//! The command line: which subcommand there is, and what each one needs before it can begin.

use chaos_common::cli::{ClusterArgs, Common};
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::Config;
use chaos_common::exit::{Exit, Failure};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;
use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, Subcommand};

use crate::commands::{self, rollout_undo, runs};
use crate::context::Context;
use crate::experiments;
use crate::run;
use crate::safety::{guardian, replay};

/// Inject a fault, prove its effect, roll it back, and prove the recovery
///
/// `plan` shows what an experiment would do and touches nothing. `run` does it, or carries out the
/// plan of the stream: it wants the stream of a run whose health record passes, asks on the
/// terminal, and wants --yes where there is none. A fault does
/// not outlive its run: a second process undoes it when this one is killed, and `recover` does when
/// both are.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Exit status: 0 pass, 1 fail, 2 usage, 3 could not tell, 4 refused and nothing touched,\n\
                  5 NOT RESTORED and a person is needed, 6 aborted and everything restored."
)]
pub struct Args {
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
    Plan(commands::plan::Args),
    /// Run an experiment, or carry out the plan of the stream
    Run(commands::run::Args),
    /// List the experiments
    Experiments,
    /// Show the runs that are under way, what killed ones left behind, and locks
    Status,
    /// Stop every run, from anywhere: each undoes its fault at once
    Abort {
        /// Why, for the record of the run that is stopped
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
    /// Roll back what killed runs left behind, from any machine
    Recover,
    /// Tell of a run as its local journal does, also of one that was killed before it had a record
    Journal {
        /// The run, or how its id begins [default: the latest]
        run: Option<String>,
    },
    /// Refuse new runs from now on, from anywhere
    Lock {
        /// Why, for those who are refused
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
    /// Allow new runs again
    Unlock,
    /// Give the configured workloads their previous revision (kubectl rollout undo), and verify it
    Rollback(rollout_undo::Args),
    /// Stands by to undo the fault when the tool dies; started by `run`
    #[command(name = guardian::COMMAND, hide = true)]
    Guardian,
}

/// Carries out the subcommand.
///
/// # Errors
/// The arguments or the configuration are wrong, or the cluster can't be reached: nothing was done.
pub async fn run(args: Args) -> Result<Exit, Failure> {
    let Args {
        common,
        cluster,
        command,
    } = args;
    let start = Start { common, cluster };
    Ok(match command {
        Command::Guardian => guardian::run(&start.cluster.access()).await,
        Command::Journal { run } => replay::replay(&mut start.pipeline()?, run.as_deref())?,
        Command::Experiments => commands::experiments::list(start.common.output),
        // A script or a Role is no record.
        Command::Plan(args) if args.is_text() => {
            let text = || Stream::alone(tool!(), Some(Format::Text));
            commands::plan::print(&start.context(text).await?, &args).await?
        }
        Command::Plan(args) => {
            let mut context = start.context(|| start.pipeline()).await?;
            let experiment = args.what.experiment(&context.config)?;
            context.choice = args.what.choice;
            run::plan(&mut context, experiment.as_ref()).await
        }
        Command::Run(args) => {
            let mut context = start.context(|| start.pipeline()).await?;
            let order = args.order(&context.config, &context.stream.upstream)?;
            run::run(&mut context, order).await
        }
        Command::Status => runs::status(&mut start.alone().await?).await,
        Command::Abort { reason } => runs::abort(&mut start.alone().await?, reason).await,
        Command::Recover => runs::recover(&mut start.alone().await?).await,
        Command::Lock { reason } => runs::lock(&mut start.alone().await?, reason).await,
        Command::Unlock => runs::unlock(&mut start.alone().await?).await,
        Command::Rollback(args) => rollout_undo::rollback(&mut start.alone().await?, &args).await,
    })
}

/// What the arguments say before any subcommand.
struct Start {
    common: Common,
    cluster: ClusterArgs,
}

impl Start {
    /// Both ends of a pipeline.
    fn pipeline(&self) -> Result<Stream, Failure> {
        Stream::open(tool!(), self.common.output)
    }

    /// The surroundings of a command that reads no stream.
    async fn alone(&self) -> Result<Context, Failure> {
        self.context(|| Stream::alone(tool!(), self.common.output))
            .await
    }

    /// The surroundings of a command. Standard input is only read once configuration and cluster
    /// are known to be good: a tool upstream may take its time.
    async fn context(
        &self,
        stream: impl FnOnce() -> Result<Stream, Failure>,
    ) -> Result<Context, Failure> {
        let config: Config = self.common.load()?.config;
        experiments::check(&config)?;
        let namespace = self.cluster.namespace(&config)?;
        let access = self.cluster.access();
        let cluster = Cluster::connect_as(&access, "chaos-inject")
            .await
            .map_err(ReadError::usage)?;
        Ok(Context::new(cluster, access, config, namespace, stream()?))
    }
}
