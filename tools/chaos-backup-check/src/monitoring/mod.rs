//! For cron and monitoring: one line, a metric, silence when all is well, a deadline, and no two
//! runs at a time.

mod lock;
mod nagios;
mod prometheus_textfile;
pub(crate) mod state_folder;

use std::io::Write as _;
use std::path::PathBuf;

use chaos_common::config::Span;
use chaos_common::output::printable_lines;

pub(crate) use self::lock::{Held, Lock};
pub(crate) use self::nagios::{Plugin, line as nagios_line, of as nagios};
pub(crate) use self::prometheus_textfile::write as write_textfile;

/// How a run is started that no person watches.
#[derive(clap::Args, Debug)]
pub(crate) struct CronArgs {
    /// Print one line with perfdata and end with 0, 1, 2 or 3, as Nagios plugins do
    #[arg(long, conflicts_with_all = ["output", "quiet"], help_heading = "For cron and monitoring")]
    pub(crate) nagios: bool,
    /// Write metrics to this file, for the textfile collector of node_exporter
    #[arg(long, value_name = "PATH", help_heading = "For cron and monitoring")]
    pub(crate) textfile: Option<PathBuf>,
    /// Print nothing when all is well
    #[arg(short, long, global = true, help_heading = "For cron and monitoring")]
    pub(crate) quiet: bool,
    /// End after this time; what is not finished then is unknown
    #[arg(
        long,
        value_name = "TIME",
        global = true,
        help_heading = "For cron and monitoring"
    )]
    pub(crate) deadline: Option<Span>,
}

/// Says something on stderr that is no result.
pub(crate) fn say(message: &str) {
    // Nobody may be listening on stderr.
    let message = printable_lines(message);
    let _ = writeln!(std::io::stderr(), "{}: {message}", env!("CARGO_PKG_NAME"));
}

impl CronArgs {
    /// Whether the run is part of no pipeline: standard input, which is a pipe under cron, is not
    /// read.
    pub(crate) fn alone(&self) -> bool {
        self.nagios || self.quiet
    }

    /// Whether nobody waits for this run, so that the next one may come before it has ended.
    pub(crate) fn unattended(&self) -> bool {
        self.alone() || self.textfile.is_some()
    }
}
