//! `--nagios`: the check as a monitoring plugin. One line, four statuses, whatever happens.

use std::ffi::OsStr;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Instant;

use chaos_common::exit::{Exit, Failure};
use clap::Parser as _;

use super::{Args, check, setup};
use crate::monitoring::{Plugin, nagios, nagios_line};

/// Whether it is asked for. A plugin's statuses hold for its usage errors too, so this can't wait
/// until the arguments are parsed.
pub(crate) fn is_asked() -> bool {
    std::env::args_os().any(|argument| argument == OsStr::new("--nagios"))
}

/// Runs as a plugin.
pub(crate) fn run() -> ExitCode {
    let start = Instant::now();
    let (plugin, line) = match Args::try_parse() {
        Ok(args) => checked(&args, start).unwrap_or_else(|failure| unknown(&words(&failure))),
        Err(error) if !error.use_stderr() => {
            // A reader that closed early is normal.
            let _ = error.print();
            return Plugin::Ok.into();
        }
        Err(error) => {
            let text = error.to_string();
            unknown(&format!(
                "usage: {}",
                text.lines().next().unwrap_or_default()
            ))
        }
    };
    match std::io::stdout().write_all(line.as_bytes()) {
        Ok(()) => plugin.into(),
        Err(_) => Plugin::Unknown.into(),
    }
}

fn unknown(why: &str) -> (Plugin, String) {
    (Plugin::Unknown, nagios_line(Plugin::Unknown, why))
}

fn words(failure: &Failure) -> String {
    match &failure.hint {
        Some(hint) => format!("{} ({hint})", failure.message),
        None => failure.message.clone(),
    }
}

fn checked(args: &Args, start: Instant) -> Result<(Plugin, String), Failure> {
    let loaded = setup::load(args)?;
    let context = setup::context(args, &loaded)?;
    let _lock = setup::lock(args, "check", &loaded)?;
    let backup = check::examine(args, &context, start);
    if check::write_metrics(args, &backup, start) != Exit::Pass {
        return Err(Failure::unknown(
            "the metrics could not be written; stderr says why",
        ));
    }
    Ok(nagios(&backup, start.elapsed()))
}
