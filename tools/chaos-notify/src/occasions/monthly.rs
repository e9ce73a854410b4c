//! The monthly report.

use chaos_common::record::{Check, Occasion};

use super::{Scene, Silence, report};
use crate::template::{Draft, Severity, line, lines};

/// The message with the report's text.
///
/// # Errors
/// The stream holds no monthly report, or the file that it names is none.
pub(super) fn draft(scene: &Scene<'_>) -> Result<Draft, Silence> {
    let record = scene.facts.monthly.as_ref().ok_or(Silence::Nothing {
        why: "the stream holds no monthly report",
        hint: "pipe it: chaos-report monthly </dev/null | chaos-notify monthly",
    })?;
    let data = &record.data;
    let text = report::monthly(&data.location).map_err(|why| {
        let check = Check::unknown("notify.report", line(&data.location), why.to_string());
        Silence::Lost(Box::new(
            check.hint("make it again with chaos-report monthly"),
        ))
    })?;
    let mut draft = scene.draft(Occasion::Monthly, Severity::Info, record.time);
    draft.contacts.clear();
    draft.link = report::link(scene.config, &data.location);
    draft.values.report_text = text;
    draft.values.time = line(&data.subject);
    draft.values.findings = lines(&data.findings);
    draft.values.report = draft.link.clone().unwrap_or_else(|| line(&data.location));
    Ok(draft)
}
