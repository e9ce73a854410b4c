//! `chaos-notify`: does everyone concerned know?

mod channels;
mod cli;
mod commands;
mod delivery;
mod escalation;
mod facts;
mod occasions;
mod receiver;
mod settings;
mod spool;
mod template;

use std::process::ExitCode;

/// For the help of each command.
const EXAMPLES: &str = include_str!("../examples.txt");

fn main() -> ExitCode {
    chaos_common::cli::main(env!("CARGO_PKG_NAME"), EXAMPLES, cli::run)
}
