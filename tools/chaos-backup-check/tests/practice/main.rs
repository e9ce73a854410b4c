//! The tool with backups as people really make and keep them.

mod ad_hoc;
mod adapters;
mod drills;
mod encodings;
mod folders;
mod hypertables;
mod live;
mod objects;
mod operators;
mod place;
mod server;
mod trust;

use std::io::Write as _;

/// Says loudly that a test is left out; scripts/test.sh counts it as skipped. The test harness would
/// swallow what `eprintln!` says.
fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}
