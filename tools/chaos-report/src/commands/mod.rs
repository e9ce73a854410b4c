//! The commands. Those that make a report save it, and write the record that tells of it.

pub(crate) mod action;
mod archived;
pub(crate) mod compare;
pub(crate) mod experiment;
pub(crate) mod list;
pub(crate) mod metrics;
pub(crate) mod note;
pub(crate) mod prune;
pub(crate) mod review;
pub(crate) mod runbook;
pub(crate) mod search;
pub(crate) mod show;
pub(crate) mod transfer;

use std::io;
use std::path::{Path, PathBuf};

use chaos_common::exit::Exit;
use chaos_common::record::{Check, Report, Verdict};
use chaos_common::stream::Stream;

/// What `location` says in the record when there is no file.
const NOT_SAVED: &str = "not saved";

/// The check of the report's own file.
fn saved_check(folder: &Path, saved: Result<&Path, &io::Error>) -> Check {
    const ID: &str = "report.saved";
    let error = match saved {
        Ok(path) => return Check::pass(ID, path.display().to_string(), "saved"),
        Err(error) => error,
    };
    let hint = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "make room there, or name another folder"
        }
        _ => "make it a folder that this user may write to, or name another one",
    };
    let why = format!("cannot save the report: {error}");
    Check::unknown(ID, folder.display().to_string(), why).hint(format!(
        "{hint} with --archive; the stream on standard output is whole"
    ))
}

/// Where the report is, for the record.
fn location(saved: Option<&PathBuf>) -> String {
    saved.map_or_else(|| NOT_SAVED.to_owned(), |path| path.display().to_string())
}

/// Writes the record, and tells people where no report was saved. The record's verdict is on the
/// report's own making; what the report tells of is in the exit status through the stream.
fn finish(stream: &mut Stream, data: Report, saved: &Check) -> Exit {
    let verdict = Verdict::of(&data.checks);
    let outcome = format!("{} is {}", data.subject, data.status);
    let summary = if saved.is_bad() {
        let folder = saved.object.as_deref().unwrap_or_default();
        let hint = saved.hint.as_deref().unwrap_or_default();
        stream.progress(&format!("{} in {folder}\n  hint: {hint}", saved.message));
        format!("{outcome}, and the report of it could not be saved")
    } else {
        format!("{outcome}; the report is {}", data.location)
    };
    stream.result(verdict, summary, data, verdict.into())
}
