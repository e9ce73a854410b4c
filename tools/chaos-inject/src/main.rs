//! `chaos-inject`: what happens when this breaks, and does it recover?

mod abort;
mod change;
mod cli;
mod commands;
mod context;
mod experiments;
mod labels;
mod observe;
mod permissions;
mod plan;
mod run;
mod safety;
#[cfg(test)]
mod testing;

use std::process::ExitCode;

use chaos_common::cluster::ports;

/// For the help of each command.
const EXAMPLES: &str = include_str!("../examples.txt");

fn main() -> ExitCode {
    chaos_common::cli::main(env!("CARGO_PKG_NAME"), EXAMPLES, |args: cli::Args| {
        chaos_common::cli::block_on_apart(cli::run(args))
    })
}
