//! What a test needs that a machine may lack.

use std::io::Write as _;
use std::path::PathBuf;

/// Says loudly that a test is left out; scripts/test.sh counts it as skipped. The test harness would
/// swallow what `eprintln!` says.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {why}");
}

/// The programs of the newest PostgreSQL that Debian's packages installed. Where there is none, the
/// test is left out.
#[allow(
    dead_code,
    reason = "not every test that includes this file starts a server"
)]
pub fn postgres() -> Option<PathBuf> {
    let programs = |version: u32| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin"));
    let folders = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let newest = folders
        .flatten()
        .filter_map(|folder| folder.file_name().to_str()?.parse().ok())
        .filter(|version| programs(*version).join("initdb").exists())
        .max()
        .map(programs);
    if newest.is_none() {
        skipped("PostgreSQL is not installed; scripts/setup.sh does that");
    }
    newest
}
