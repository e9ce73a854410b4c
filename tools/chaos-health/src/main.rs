//! `chaos-health`: is the system healthy enough to hurt?

mod access;
mod args;
mod command;
mod explain;
mod init;
mod namespaces;
mod watch;

use std::process::ExitCode;

use args::{Args, Command};
use chaos_common::cli;

/// For the help of each command.
const EXAMPLES: &str = include_str!("../examples.txt");

fn main() -> ExitCode {
    cli::main(env!("CARGO_PKG_NAME"), EXAMPLES, |args: Args| {
        match args.command {
            Some(Command::Explain { check }) => explain::explain(check.as_deref()),
            Some(Command::Init(init)) => cli::block_on(init::run(init, &args.common)),
            Some(Command::Access(access)) => cli::block_on(access::run(access, &args.common)),
            None => cli::block_on(command::run(args)),
        }
    })
}
