//! The monthly report.

use std::fs::File;
use std::io::Read as _;

use chaos_common::record::{Check, Occasion};

use crate::facts::{Facts, line};
use crate::message::Message;

/// The largest report that is sent, in bytes.
const MAX_REPORT: u64 = 1 << 20;

/// What a monthly report begins with. The stream names the file, and a stream must not be able to
/// have any other file sent.
const TITLE: &str = "# Chaos Engineering Monthly Report";

/// The message with the report's text.
///
/// # Errors
/// A check that says why there is nothing to send.
pub(crate) fn message(facts: &Facts) -> Result<Message, Box<Check>> {
    let Some(report) = &facts.monthly else {
        let check = Check::unknown("notify.report", "", "the stream holds no monthly report");
        return Err(Box::new(check.hint(
            "pipe it: chaos-report monthly </dev/null | chaos-notify monthly",
        )));
    };
    let location = &report.data.location;
    let text = read(location).map_err(|why| {
        let check = Check::unknown("notify.report", line(location), why);
        Box::new(check.hint("make it again with chaos-report monthly"))
    })?;
    let month = line(&report.data.subject);
    let found = report
        .data
        .findings
        .iter()
        .map(|text| line(text))
        .collect::<Vec<_>>()
        .join(". ");
    Ok(Message {
        occasion: Occasion::Monthly,
        subject: "Chaos Engineering Monthly Report",
        text,
        short: format!(
            "Chaos Engineering Monthly Report {month}: {found}. Report: {}",
            line(location)
        ),
        page: None,
        names_contacts: false,
        gaps: Vec::new(),
    })
}

fn read(location: &str) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot read the report: {error}");
    let metadata = std::fs::metadata(location).map_err(cannot)?;
    if !metadata.is_file() || metadata.len() > MAX_REPORT {
        return Err(format!("it is no file of at most {MAX_REPORT} bytes"));
    }
    let mut text = String::new();
    File::open(location)
        .map_err(cannot)?
        .take(MAX_REPORT)
        .read_to_string(&mut text)
        .map_err(cannot)?;
    if text.lines().next() == Some(TITLE) {
        Ok(text)
    } else {
        Err("it is no monthly report".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_monthly_report_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.md");
        let location = path.to_str().expect("UTF-8");
        assert!(
            read(location)
                .expect_err("missing")
                .starts_with("cannot read")
        );
        std::fs::write(&path, "root:x:0:0\n").expect("writable");
        assert_eq!(read(location), Err("it is no monthly report".to_owned()));
        std::fs::write(&path, format!("{TITLE}\n\nx\n")).expect("writable");
        assert_eq!(read(location), Ok(format!("{TITLE}\n\nx\n")));
        assert!(read("/dev/zero").is_err());
    }
}
