//! The report of a month of the archive.

use std::io;
use std::path::{Path, PathBuf};

use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Check, Report, ReportForm, Status};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;

use super::{finish, location, saved_check};
use crate::archive::{self, Draft};
use crate::render;
use crate::review::{Archive, Month, Totals, recommendations, trend};

/// Which month.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Report on this month of UTC, for example 2026-11 [default: the current one]
    #[arg(long, value_name = "YYYY-MM")]
    month: Option<Month>,
}

/// Reports on a month of the archive.
///
/// # Errors
/// Standard input can't be read.
pub(crate) fn report(folder: &Path, args: &Args, format: Option<Format>) -> Result<Exit, Failure> {
    let month = args.month.unwrap_or_else(Month::current);
    let mut stream = Stream::open(tool!(), format)?;
    let mut checks: Vec<Check> = stream.upstream.check().into_iter().collect();
    let archive = Archive::read(folder, month);
    checks.push(archive_check(folder, archive.as_ref()));
    let saved = match &archive {
        Ok(archive) => save(folder, archive, month),
        Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
    };
    let saved_check = saved_check(folder, saved.as_ref().map(PathBuf::as_path));
    checks.push(saved_check.clone());
    let archive = archive.unwrap_or_default();
    let runs = archive.of(month);
    let worst = runs.iter().map(|run| run.conclusion).max();
    let data = Report {
        form: ReportForm::Monthly,
        subject: month.to_string(),
        status: worst.map_or("unknown", |worst| worst.word()).to_owned(),
        location: location(saved.as_ref().ok()),
        files: Vec::new(),
        stream: None,
        findings: findings(&Totals::of(&runs), month),
        next_steps: recommendations(&archive, month),
        checks,
    };
    Ok(finish(&mut stream, data, &saved_check))
}

fn save(folder: &Path, archive: &Archive, month: Month) -> io::Result<PathBuf> {
    // The folder is made where it is missing, as it is for a report of an experiment.
    drop(Draft::create(folder)?);
    let name = format!("monthly-{month}.md");
    archive::replace(folder, &name, &render::month(archive, month))
}

fn archive_check(folder: &Path, archive: Result<&Archive, &io::Error>) -> Check {
    let (id, object) = ("report.archive", folder.display().to_string());
    let archive = match archive {
        Ok(archive) => archive,
        Err(error) => {
            let why = format!("cannot list the archive: {error}");
            return Check::unknown(id, object, why)
                .hint("name the folder with --archive or report.archive in chaos.toml");
        }
    };
    let (unreadable, damaged) = (&archive.unreadable, &archive.damaged);
    if !unreadable.is_empty() {
        let (n, names) = (unreadable.len(), unreadable.join("; "));
        let why = format!("{n} streams could not be read: {names}");
        return Check::unknown(id, object, why);
    }
    if !damaged.is_empty() {
        let why = format!("{} damaged streams: {}", damaged.len(), damaged.join("; "));
        return Check::new(id, object, Status::Warn, why);
    }
    let n = archive.runs.len();
    Check::pass(
        id,
        object,
        format!("{n} experiments up to the end of the month"),
    )
}

fn findings(totals: &Totals, month: Month) -> Vec<String> {
    if totals.total == 0 {
        return vec![format!("No experiments in {month}")];
    }
    let (good, answered) = totals.rate();
    let total = totals.total;
    vec![
        format!(
            "{total} experiments in {month}: {good} of {answered} with an answer were successful"
        ),
        format!(
            "Average recovery time: {}",
            trend::recovery_figures(&totals.recoveries)
        ),
        format!("Issues discovered: {}", totals.issues),
    ]
}
