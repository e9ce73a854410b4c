//! Why a file's contents can't be passed: they are damaged, or it could not be told.

use std::{fmt, io};

/// What stands between a file and a pass.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// It was looked at, and would not restore: what is wrong, and where.
    Damaged(String),
    /// It could not be looked at in full, and why.
    CannotTell(String),
}

impl Trouble {
    /// Something is wrong with the contents.
    pub(crate) fn damaged<T>(message: impl Into<String>) -> Result<T, Trouble> {
        Err(Trouble::Damaged(message.into()))
    }

    /// The contents are beyond what this version reads.
    pub(crate) fn cannot_tell<T>(message: impl Into<String>) -> Result<T, Trouble> {
        Err(Trouble::CannotTell(message.into()))
    }

    /// A read from the file itself failed, which says nothing about the contents.
    pub(crate) fn reading(position: u64, error: &io::Error) -> Trouble {
        Trouble::CannotTell(format!("cannot be read at byte {position}: {error}"))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Damaged(why) | Trouble::CannotTell(why) => f.write_str(why),
        }
    }
}

/// Number and noun: `1 table`, `2 tables`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    if number == 1 {
        format!("1 {noun}")
    } else {
        format!("{number} {noun}s")
    }
}
