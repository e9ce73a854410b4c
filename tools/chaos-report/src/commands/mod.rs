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

use chaos_common::exit::Exit;
use chaos_common::record::{Check, Report, Status, Verdict};
use chaos_common::stream::Stream;

pub(crate) use self::archived::tell;
use crate::store::{Notice, StoreError};

/// What `location` says in the record when there is no file.
const NOT_SAVED: &str = "not saved";

/// The check of the report's own file; `saved` is where it is and what people have to know of it.
fn saved_check(place: String, saved: Result<(&str, Option<&Notice>), &StoreError>) -> Check {
    const ID: &str = "report.saved";
    match saved {
        Ok((location, None)) => Check::pass(ID, location, "saved"),
        Ok((location, Some(notice))) => {
            let text = notice.text.clone();
            Check::new(ID, location, Status::Warn, text).hint(notice.hint.clone())
        }
        Err(error) => {
            let why = format!("cannot save the report: {}", error.why());
            Check::unknown(ID, place, why).hint(format!(
                "{}; the stream on standard output is whole",
                error.hint()
            ))
        }
    }
}

/// Writes the record, and tells people where no report was saved. The record's verdict is on the
/// report's own making; what the report tells of is in the exit status through the stream.
fn finish(stream: &mut Stream, data: Report, saved: &Check) -> Exit {
    let verdict = Verdict::of(&data.checks);
    let outcome = format!("{} is {}", data.subject, data.status);
    let hint = saved.hint.as_deref().unwrap_or_default();
    if saved.status == Status::Warn {
        stream.progress(&format!("{}\n  hint: {hint}", saved.message));
    }
    let summary = if saved.is_bad() {
        let place = saved.object.as_deref().unwrap_or_default();
        stream.progress(&format!("{} in {place}\n  hint: {hint}", saved.message));
        format!("{outcome}, and the report of it could not be saved")
    } else {
        format!("{outcome}; the report is {}", data.location)
    };
    stream.result(verdict, summary, data, verdict.into())
}
