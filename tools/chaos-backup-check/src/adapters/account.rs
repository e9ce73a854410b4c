//! What a tool says of the backup that counts.

use chaos_common::record::{Contents, Status};
use jiff::Timestamp;

/// The backup that counts, and what is known of it.
#[derive(Debug)]
pub(crate) struct Account {
    /// The tool, with its version where it tells it.
    pub(crate) tool: String,
    /// Its name for the backup.
    pub(crate) backup: String,
    /// What there is, for people: `the newest of 7 backups is 20261129-140721F`.
    pub(crate) present: String,
    /// The moment that it holds the data of.
    pub(crate) made: Option<Timestamp>,
    /// In bytes, where the tool tells it.
    pub(crate) size: Option<u64>,
    pub(crate) findings: Vec<Finding>,
    /// What was proven, a phrase each.
    pub(crate) proven: Vec<String>,
    /// What was not.
    pub(crate) unproven: Vec<String>,
}

/// One thing that was looked at.
#[derive(Debug)]
pub(crate) struct Finding {
    /// Id of the check.
    pub(crate) id: &'static str,
    pub(crate) status: Status,
    pub(crate) message: String,
    /// What to do next, where it is not as it should be.
    pub(crate) hint: Option<&'static str>,
}

impl Finding {
    pub(super) fn new(id: &'static str, status: Status, message: impl Into<String>) -> Finding {
        Finding {
            id,
            status,
            message: message.into(),
            hint: None,
        }
    }

    pub(super) fn hint(mut self, hint: &'static str) -> Finding {
        self.hint = Some(hint);
        self
    }
}

impl Account {
    /// What it holds, for the record.
    pub(crate) fn contents(&self) -> Contents {
        Contents::Tool {
            tool: self.tool.clone(),
            backup: self.backup.clone(),
            proven: self.proven.clone(),
            unproven: self.unproven.clone(),
        }
    }
}
