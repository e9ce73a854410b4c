//! The command line: which subcommand there is, and what each one needs before it can begin.

use std::net::SocketAddr;

use chaos_common::cli::{self, Common};
use chaos_common::exit::{Exit, Failure};
use clap::{Parser, Subcommand};
use rustix::process::{DumpableBehavior, set_dumpable_behavior};

use crate::commands::{self, How};
use crate::occasions::Told;
use crate::settings::Require;

/// Tell everyone concerned, once: by mail, chat, pager and status page
///
/// Fills messages from the stream on standard input, sends them on every channel that is
/// configured, all at the same time, and records what became of each. What may have arrived is
/// never sent twice: such a channel is unknown. What certainly did not arrive waits in the spool.
/// With --dry-run nobody is told, so that the verdict is unknown too, or fail where a channel
/// could not be used.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Exit status: 0 sent on every channel, 1 a channel failed, 2 usage, or nothing to \
                  tell, 3 could not tell whether it arrived, or no channel is configured, or \
                  --dry-run; never better than the worst in the stream."
)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    /// Show on stderr what would be sent, and send nothing
    #[arg(long, global = true)]
    dry_run: bool,
    /// Send it although the same message was sent before
    #[arg(long, global = true)]
    again: bool,
    /// Want it taken by all channels, any of them, or the one of this name [default:
    /// notify.require]
    #[arg(long, value_name = "all|any|CHANNEL", global = true)]
    require: Option<Require>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    #[command(flatten)]
    Tell(Told),
    /// Pass a running experiment's stream on, and tell at once that it started or was aborted
    Follow,
    /// Send what waits in the spool
    Flush,
    /// Take acknowledgements by the links of messages, until a signal
    ///
    /// A GET shows a page, and only the button on it (a POST) acknowledges, so that programs that
    /// look at links do not. It uses the spool of the processes that wait, as the same user, and may
    /// be restarted at any time. Readers reach it at notify.escalation.link, by a proxy with TLS.
    AckServer {
        /// Listen at this address and port
        #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8479")]
        listen: SocketAddr,
    },
    /// Print what would be sent, and send nothing
    Render {
        #[command(subcommand)]
        told: Told,
    },
}

/// Does what the command line says.
///
/// # Errors
///
/// When nothing can be told, or nobody can be.
pub fn run(args: Args) -> Result<Exit, Failure> {
    // A core would hold the secrets that are read from here on. Where it can't be had, the tool is
    // of use all the same.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    let loaded = args.common.load()?;
    let format = args.common.output;
    let how = How {
        dry_run: args.dry_run,
        again: args.again,
        require: args.require,
        escalate: match &args.command {
            Command::Tell(told) | Command::Render { told } => told.escalates(),
            _ => false,
        },
    };
    match args.command {
        Command::Tell(told) => cli::block_on(commands::send(loaded, format, &told, &how)),
        Command::Follow => commands::follow(loaded, format, how),
        // The option is every command's; here it would be ignored, and people be told.
        Command::Flush if how.dry_run => Err(Failure::usage(
            "flush has no --dry-run: it sends what waits; nothing was sent",
        )),
        Command::Flush => cli::block_on(commands::flush(loaded, format)),
        Command::AckServer { listen } => cli::block_on(commands::ack_server(loaded, listen)),
        Command::Render { told } => cli::block_on(async { commands::render(loaded, &told, &how) }),
    }
}
