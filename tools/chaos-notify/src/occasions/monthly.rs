//! The monthly report.

use std::fs::File;
use std::io::{self, Read as _};

use chaos_common::record::{Check, Occasion};

use crate::facts::Facts;
use crate::template::{Message, line, lines};

/// The largest report that is sent, in bytes.
const MAX_REPORT: u64 = 1 << 20;

/// What a monthly report begins with. The stream names the file, and a stream must not be able to
/// have any other file sent.
const TITLE: &str = "# Chaos Engineering Monthly Report";

/// Why there is no report to send.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoReport {
    #[error("the stream holds no monthly report")]
    NotInStream,
    #[error("{source}")]
    BadFile { location: String, source: BadReport },
}

/// Why a file is not sent as the monthly report.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadReport {
    #[error("cannot read the report: {0}")]
    Unreadable(#[from] io::Error),
    #[error("it is no file of at most {MAX_REPORT} bytes")]
    NotAFile,
    #[error("it is no monthly report")]
    NotAReport,
}

impl NoReport {
    /// The same as a check, which says what to do.
    pub(crate) fn check(&self) -> Check {
        let why = self.to_string();
        match self {
            NoReport::NotInStream => Check::unknown("notify.report", "", why)
                .hint("pipe it: chaos-report monthly </dev/null | chaos-notify monthly"),
            NoReport::BadFile { location, .. } => {
                Check::unknown("notify.report", line(location), why)
                    .hint("make it again with chaos-report monthly")
            }
        }
    }
}

/// The message with the report's text.
///
/// # Errors
/// The stream holds no monthly report, or the file that it names is none.
pub(crate) fn message(facts: &Facts) -> Result<Message, NoReport> {
    let report = facts.monthly.as_ref().ok_or(NoReport::NotInStream)?;
    let report = &report.data;
    let text = report_text(&report.location).map_err(|source| NoReport::BadFile {
        location: report.location.clone(),
        source,
    })?;
    let found = lines(&report.findings).join(". ");
    Ok(Message {
        occasion: Occasion::Monthly,
        subject: "Chaos Engineering Monthly Report",
        text,
        short: format!(
            "Chaos Engineering Monthly Report {}: {found}. Report: {}",
            line(&report.subject),
            line(&report.location)
        ),
        page: None,
        names_contacts: false,
        gaps: Vec::new(),
    })
}

fn report_text(location: &str) -> Result<String, BadReport> {
    let metadata = std::fs::metadata(location)?;
    if !metadata.is_file() || metadata.len() > MAX_REPORT {
        return Err(BadReport::NotAFile);
    }
    let mut text = String::new();
    let file = File::open(location)?;
    file.take(MAX_REPORT).read_to_string(&mut text)?;
    if text.lines().next() == Some(TITLE) {
        Ok(text)
    } else {
        Err(BadReport::NotAReport)
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
        let missing = report_text(location).expect_err("missing").to_string();
        assert!(missing.starts_with("cannot read"), "{missing}");
        std::fs::write(&path, "root:x:0:0\n").expect("writable");
        let other = report_text(location).expect_err("another file");
        assert!(matches!(other, BadReport::NotAReport), "{other}");
        let report = format!("{TITLE}\n\nx\n");
        std::fs::write(&path, &report).expect("writable");
        assert_eq!(report_text(location).expect("a report"), report);
        assert!(report_text("/dev/zero").is_err());
    }
}
