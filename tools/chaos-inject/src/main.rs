//! `chaos-inject`: what happens when this breaks, and is it whole again?

mod abort;
mod change;
mod commands;
mod context;
mod experiments;
mod labels;
mod observe;
mod permissions;
mod plan;
mod run;
mod safety;

use std::process::ExitCode;

use chaos_common::cli::{self, ClusterArgs, Common};
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::Config;
use chaos_common::exit::{Exit, Failure};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;
use clap::builder::NonEmptyStringValueParser;
use clap::{Parser, Subcommand, ValueEnum};

use context::Context;
use experiments::dns_failure::DnsFailure;
use experiments::monitoring_failure::MonitoringFailure;
use experiments::network_partition::NetworkPartition;
use experiments::pod_failure::PodFailure;
use experiments::resource_exhaustion::ResourceExhaustion;
use experiments::scale_down::ScaleDown;
use experiments::storage_failure::StorageFailure;
use plan::target::Selection;
use run::fault::Fault;

/// Break something on purpose, prove that it broke, and prove that it is whole again
///
/// `plan` shows what an experiment would do and touches nothing. `run` does it: it wants the stream
/// of a run whose health record passes, asks on a terminal, and wants --yes in a pipe. A fault does
/// not outlive its run: a second process undoes it when this one is killed, and `recover` does when
/// both are.
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
    Plan {
        #[command(flatten)]
        what: What,
        /// Print the Role that fault, undo and observation need, instead of the plan
        #[arg(long, conflicts_with = "script")]
        rbac: bool,
        /// Print a rollback script in plain kubectl, instead of the plan
        #[arg(long)]
        script: bool,
    },
    /// Run the experiment
    Run {
        #[command(flatten)]
        what: What,
        /// Do not ask; needed where there is no terminal to ask on
        #[arg(short, long)]
        yes: bool,
        /// Go on although a gate is closed, for this reason, which is recorded
        #[arg(long = "override", value_name = "REASON", value_parser = NonEmptyStringValueParser::new())]
        reason: Option<String>,
    },
    /// Show the runs that are under way, what killed ones left behind, and locks
    Status,
    /// Stop every run, from anywhere: each undoes its fault at once
    Abort {
        /// Why, for the record of the run that is stopped
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
    },
    /// Take back what killed runs left behind, from any machine
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
    Rollback(commands::rollout_undo::Args),
    /// Stands by to undo the fault when the tool dies; started by `run`
    #[command(name = safety::guardian::COMMAND, hide = true)]
    Guardian,
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
    /// Cut a workload's pods off from the network
    NetworkPartition,
    /// Burn processor time and hold memory beside the application
    ResourceExhaustion,
    /// Take the pods away that have the database's volume mounted
    StorageFailure,
    /// Take Prometheus, Grafana and Alertmanager away
    MonitoringFailure,
    /// Let a workload do with fewer pods for a while
    ScaleDown,
    /// Let a workload's pods find no names
    DnsFailure,
}

fn main() -> ExitCode {
    cli::main("chaos-inject", |args: Args| cli::block_on_apart(run(args)))
}

async fn run(args: Args) -> Result<Exit, Failure> {
    let access = args.cluster.access();
    if matches!(args.command, Command::Guardian) {
        return Ok(safety::guardian::stand_by(&access).await);
    }
    if let Command::Journal { run } = &args.command {
        return safety::replay::retell(
            &mut Stream::open(tool!(), args.common.output)?,
            run.as_deref(),
        );
    }
    let config = args.common.load()?.config;
    let namespace = args.cluster.namespace(&config)?;
    let cluster = Cluster::connect_as(&access, "chaos-inject")
        .await
        .map_err(ReadError::usage)?;
    let stream = match &args.command {
        // A script or a Role is no record.
        Command::Plan { rbac, script, .. } if *rbac || *script => {
            Stream::alone(tool!(), Some(Format::Text))?
        }
        Command::Plan { .. } | Command::Run { .. } => Stream::open(tool!(), args.common.output)?,
        _ => Stream::alone(tool!(), args.common.output)?,
    };
    let mut context = Context::new(cluster, access, config, namespace, stream);
    Ok(match args.command {
        Command::Plan { what, rbac, script } => {
            let fault = fault(what, &context.config)?;
            if rbac || script {
                print(&context, fault.as_ref(), rbac).await?
            } else {
                run::plan(&mut context, fault.as_ref()).await
            }
        }
        Command::Run { what, yes, reason } => {
            let fault = fault(what, &context.config)?;
            run::run(&mut context, fault, &run::gates::Consent { yes, reason }).await
        }
        Command::Status => commands::runs::status(&mut context).await,
        Command::Abort { reason } => commands::runs::abort(&mut context, reason).await,
        Command::Recover => commands::runs::recover(&mut context).await,
        Command::Lock { reason } => commands::runs::lock(&mut context, reason).await,
        Command::Unlock => commands::runs::unlock(&mut context).await,
        Command::Rollback(args) => commands::rollout_undo::rollback(&mut context, &args).await,
        Command::Guardian | Command::Journal { .. } => {
            unreachable!("they need no cluster, and are over already")
        }
    })
}

fn fault(what: What, config: &Config) -> Result<Box<dyn Fault>, Failure> {
    let (selection, settings) = (what.selection, &config.experiment);
    Ok(match what.experiment {
        Experiment::PodFailure => Box::new(PodFailure::new(selection, &settings.pod_failure)?),
        Experiment::NetworkPartition => Box::new(NetworkPartition::new(
            &selection,
            &settings.network_partition,
        )?),
        Experiment::ResourceExhaustion => {
            Box::new(ResourceExhaustion::new(&settings.resource_exhaustion))
        }
        Experiment::StorageFailure => Box::new(StorageFailure::new(&selection, config)?),
        Experiment::MonitoringFailure => Box::new(MonitoringFailure::new(config)?),
        Experiment::DnsFailure => Box::new(DnsFailure::new(&selection, &settings.dns_failure)?),
        Experiment::ScaleDown => Box::new(ScaleDown::new(&selection, &settings.scale_down)?),
    })
}

/// Prints what a plan makes for others to use: a Role, or a script.
async fn print(context: &Context, fault: &dyn Fault, rbac: bool) -> Result<Exit, Failure> {
    let plan = fault.plan(context).await.map_err(|error| Failure {
        exit: Exit::Unknown,
        message: error.to_string(),
        hint: error.next_step().map(str::to_owned),
    })?;
    let text = if rbac {
        permissions::roles(&plan.experiment, &plan.permissions)
    } else {
        plan::rollback_script::rollback(&plan, &context.config.contacts)
    };
    // A reader that closed early has what it wanted.
    let _ = std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes());
    Ok(Exit::Pass)
}
