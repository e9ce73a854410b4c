//! The report that the stream names: a link to it, and its text.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use chaos_common::config::Config;

use crate::template::{Attachment, line};

/// The largest report that is sent, in bytes.
const MAX_REPORT: u64 = 1 << 20;

/// The largest report that goes with a mail, in bytes.
const MAX_ATTACHED: u64 = 256 << 10;

/// What reports begin with. The stream names the file, and a stream must not be able to have any
/// other file sent.
pub(super) const MONTHLY: &str = "# Chaos Engineering Monthly Report";
const EXPERIMENT: &str = "# Chaos Engineering Experiment Report";

/// Why a file is not sent as a report.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadReport {
    #[error("cannot read the report: {0}")]
    Unreadable(#[from] io::Error),
    #[error("the report is no file of at most {0} bytes")]
    NotAFile(u64),
    #[error("the report's file holds none")]
    NotAReport,
}

/// The text of the monthly report in this file.
///
/// # Errors
/// It can't be read, is too large, or is something else.
pub(super) fn monthly(location: &str) -> Result<String, BadReport> {
    text(location, MONTHLY, MAX_REPORT)
}

/// The report of an experiment, to go with a mail; nothing where it is large, or not there: the
/// message says where it is.
pub(super) fn attachment(location: &str) -> Option<Attachment> {
    let text = text(location, EXPERIMENT, MAX_ATTACHED).ok()?;
    let name = Path::new(location).file_name()?.to_str()?;
    Some(Attachment {
        name: line(name),
        text,
    })
}

/// Where people find a report: its file in the archive that `[report] url` names.
pub(super) fn link(config: &Config, location: &str) -> Option<String> {
    let archive = config.report.url.as_deref()?.trim_end_matches('/');
    let name = Path::new(location).file_name()?.to_str()?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let plain = name.chars().all(is_plain);
    plain.then(|| format!("{archive}/{name}"))
}

fn text(location: &str, title: &str, most: u64) -> Result<String, BadReport> {
    let metadata = std::fs::metadata(location)?;
    if !metadata.is_file() || metadata.len() > most {
        return Err(BadReport::NotAFile(most));
    }
    let mut text = String::new();
    let file = File::open(location)?;
    file.take(most).read_to_string(&mut text)?;
    if text.lines().next() == Some(title) {
        Ok(text)
    } else {
        Err(BadReport::NotAReport)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_report_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("x.md");
        let location = path.to_str().expect("UTF-8");
        let missing = monthly(location).expect_err("missing").to_string();
        assert!(missing.starts_with("cannot read"), "{missing}");
        std::fs::write(&path, "root:x:0:0\n").expect("writable");
        let other = monthly(location).expect_err("another file");
        assert!(matches!(other, BadReport::NotAReport), "{other}");
        assert_eq!(attachment(location), None);
        let report = format!("{MONTHLY}\n\nx\n");
        std::fs::write(&path, &report).expect("writable");
        assert_eq!(monthly(location).expect("a report"), report);
        assert!(monthly("/dev/zero").is_err());
    }

    #[test]
    fn a_link_leads_to_a_file_of_the_archive_and_nowhere_else() {
        let mut config = Config::default();
        assert_eq!(link(&config, "/reports/a.md"), None);
        config.report.url = Some("https://reports.example.com/chaos/".into());
        let link = |location| link(&config, location);
        assert_eq!(
            link("/tmp/a-1.md").as_deref(),
            Some("https://reports.example.com/chaos/a-1.md")
        );
        assert_eq!(link("/tmp/a b?c.md"), None);
    }
}
