//! `chaos-report`: what did we learn, and are we getting better?

mod actions;
mod archive;
mod cli;
mod commands;
mod compare;
mod database;
mod findings;
mod index;
mod metrics;
mod render;
mod review;
mod store;
mod trace;
mod upkeep;

use std::process::ExitCode;

/// For the help of each command.
const EXAMPLES: &str = include_str!("../examples.txt");

fn main() -> ExitCode {
    chaos_common::cli::main(env!("CARGO_PKG_NAME"), EXAMPLES, cli::run)
}
