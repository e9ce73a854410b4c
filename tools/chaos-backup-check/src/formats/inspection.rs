//! What is wanted of a backup, and what is found in one that is whole.

use chaos_common::config::DumpHolds;
use chaos_common::record::{Check, Contents};
use jiff::civil::DateTime;

use crate::formats::error::count;
use crate::formats::kubernetes::Object;

/// Id of the check of whether a backup was read to its end and is whole.
pub const COMPLETE: &str = "backup.complete";

/// What a backup has to hold, by the configuration, and how it is opened.
#[derive(Clone, Debug, Default)]
pub struct Expectations {
    /// The database that is dumped.
    pub database: Option<String>,
    /// The command that decrypts it; empty if it is not encrypted.
    pub decrypt: Vec<String>,
    /// What a dump is to hold.
    pub holds: DumpHolds,
    /// Tables, or members of an archive, that are there and not empty; objects of a cluster.
    pub expect: Vec<String>,
    /// Kinds of objects of which there is at least one.
    pub resources: Vec<String>,
}

/// What a parser found in a backup that is whole.
#[derive(Debug)]
pub struct Inspection {
    /// For the record.
    pub contents: Contents,
    /// For people.
    pub message: String,
    /// What was found besides, such as whether it makes a database.
    pub checks: Vec<Check>,
    /// The objects of a backup of a cluster's configuration.
    pub objects: Vec<Object>,
    /// When it was made by its own account, in the local time of a place that it does not name.
    pub created: Option<DateTime>,
    /// Damage that would go unseen without a manifest.
    pub limit: &'static str,
}

/// What a backup is that was read to its end and is whole.
#[derive(Debug)]
pub struct Verified {
    /// What its parser found.
    pub found: Inspection,
    /// Bytes read.
    pub size_bytes: u64,
    /// Their BLAKE3 digest, in hexadecimal digits.
    pub blake3: String,
}

impl Expectations {
    /// Whether the right database was dumped, if the dump names one.
    pub fn database(&self, dumped: &[String], object: &str) -> Option<Check> {
        const ID: &str = "backup.database";
        let wanted = self.database.as_ref()?;
        if dumped.is_empty() {
            return Some(Check::skipped(
                ID,
                object,
                format!("does not say of which database it is: {wanted} is expected"),
            ));
        }
        let found = dumped.contains(wanted);
        let message = if found {
            format!("is of {wanted}")
        } else {
            format!("is of {}, and not of {wanted}", dumped.join(", "))
        };
        Some(
            Check::judge(found, ID, object, message)
                .hint("dump the database of the configuration, or correct it there"),
        )
    }

    /// Judges what is expected: `there` says whether it is there, and if so whether it holds
    /// something.
    pub fn judge(
        &self,
        object: &str,
        noun: &str,
        there: impl Fn(&String) -> Option<bool>,
    ) -> Option<Check> {
        const ID: &str = "backup.expected";
        if self.expect.is_empty() {
            return None;
        }
        let wrong = self.expect.iter().find_map(|name| match there(name) {
            None => Some(format!("lacks {name}")),
            Some(false) => Some(format!("has no {noun} in {name}")),
            Some(true) => None,
        });
        let message = || {
            format!(
                "has {} that it must",
                count(self.expect.len() as u64, "thing")
            )
        };
        Some(match wrong {
            None => Check::pass(ID, object, message()),
            Some(wrong) => Check::fail(ID, object, format!("{wrong}, which it must have"))
                .hint("see what the job that makes this backup leaves out"),
        })
    }
}
