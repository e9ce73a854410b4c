//! `chaos-backup-check`: would the backups restore?

mod adapters;
mod commands;
mod context;
mod drill;
mod item;
mod monitoring;
mod own_pod;
mod program_messages;
mod progress;
mod source;

use std::process::ExitCode;

use chaos_common::cli;

/// For the help of each command.
const EXAMPLES: &str = include_str!("../examples.txt");

fn main() -> ExitCode {
    if commands::plugin::is_asked() {
        return commands::plugin::run();
    }
    cli::main(env!("CARGO_PKG_NAME"), EXAMPLES, |args| {
        commands::run(&args)
    })
}
