//! `chaos-health`: is the system healthy enough to hurt?

mod args;
mod command;
mod explain;
mod namespaces;
mod watch;

use std::process::ExitCode;

use args::{Args, Command};
use chaos_common::cli;

fn main() -> ExitCode {
    cli::main("chaos-health", |args: Args| match args.command {
        Some(Command::Explain { check }) => explain::explain(check.as_deref()),
        None => cli::block_on(command::run(args)),
    })
}
