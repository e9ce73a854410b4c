//! Why YAML can't be read: where, and nothing of what stands there.

use std::fmt;

use crate::formats::error::FormatError;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum YamlErrorKind {
    /// It is not YAML.
    Syntax,
    /// It is YAML, and not what an object has at this place.
    NoObject,
    /// A map has a key twice.
    KeyTwice,
    /// It has a merge key (`<<`).
    Merge,
    /// It is deeper, or its aliases stand for more, than is read.
    TooMuch,
}

/// What is wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct YamlError {
    kind: YamlErrorKind,
    /// Line and column.
    at: Option<(usize, usize)>,
}

impl YamlError {
    pub(super) fn at(kind: YamlErrorKind, at: (usize, usize)) -> YamlError {
        YamlError { kind, at: Some(at) }
    }

    /// With a place, where it has none.
    pub(super) fn or_at(self, at: (usize, usize)) -> YamlError {
        YamlError {
            at: self.at.or(Some(at)),
            ..self
        }
    }

    /// What it says of the file.
    pub(in super::super) fn into_format_error(self) -> FormatError {
        let why = self.to_string();
        match self.kind {
            YamlErrorKind::Merge | YamlErrorKind::TooMuch => FormatError::CannotTell(why),
            _ => FormatError::Damaged(why),
        }
    }
}

impl fmt::Display for YamlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            YamlErrorKind::Syntax => "is not YAML",
            YamlErrorKind::NoObject => "holds something that is no Kubernetes object",
            YamlErrorKind::KeyTwice => "has the same key twice",
            YamlErrorKind::Merge => "has a merge key (<<), which this version does not read",
            YamlErrorKind::TooMuch => "is larger or deeper than this version reads",
        })?;
        match self.at {
            Some((line, column)) => write!(f, ", at line {line}, column {column}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for YamlError {}

impl serde::de::Error for YamlError {
    // serde's words repeat the value.
    fn custom<T: fmt::Display>(_: T) -> YamlError {
        YamlError {
            kind: YamlErrorKind::NoObject,
            at: None,
        }
    }
}
