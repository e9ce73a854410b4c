//! Why a file's contents can't be passed: they are damaged, or it could not be told.

use std::{fmt, io};

/// What stands between a file and a pass.
#[derive(Debug, PartialEq, Eq)]
pub enum FormatError {
    /// It was looked at, and would not restore: what is wrong, and where.
    Damaged(String),
    /// It could not be looked at in full, and why.
    CannotTell(String),
}

impl FormatError {
    /// Something is wrong with the contents.
    ///
    /// # Errors
    ///
    /// Always this one.
    pub fn damaged<T>(message: impl Into<String>) -> Result<T, FormatError> {
        Err(FormatError::Damaged(message.into()))
    }

    /// The contents are beyond what this version reads.
    ///
    /// # Errors
    ///
    /// Always this one.
    pub fn cannot_tell<T>(message: impl Into<String>) -> Result<T, FormatError> {
        Err(FormatError::CannotTell(message.into()))
    }

    /// A read from the file itself failed, which says nothing about the contents.
    pub fn reading(position: u64, error: &io::Error) -> FormatError {
        FormatError::CannotTell(format!("cannot be read at byte {position}: {error}"))
    }
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::Damaged(why) | FormatError::CannotTell(why) => f.write_str(why),
        }
    }
}

/// Number and noun: `1 table`, `2 tables`.
pub fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}

/// Why a file beside a backup, its manifest or the evidence of a drill, says nothing.
#[derive(Debug, thiserror::Error)]
pub enum SidecarError {
    /// Not JSON with a manifest's fields.
    #[error("is damaged or no manifest: {0}")]
    Manifest(#[source] serde_json::Error),
    /// Not JSON with the fields of a drill's evidence.
    #[error("is damaged: {0}")]
    Evidence(#[source] serde_json::Error),
    /// Of another kind, or of a later version.
    #[error("is of kind {found:?}, and this version reads {wanted}")]
    Schema {
        /// The kind that it names.
        found: String,
        /// The kind that is read here.
        wanted: &'static str,
    },
}

impl SidecarError {
    /// Whether a file is of the kind that is read.
    pub(crate) fn check_schema(found: &str, wanted: &'static str) -> Result<(), SidecarError> {
        if found == wanted {
            return Ok(());
        }
        Err(SidecarError::Schema {
            found: found.to_owned(),
            wanted,
        })
    }
}
