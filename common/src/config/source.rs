//! The file that a configuration was read from, so that an error names its line and column.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::exit::Failure;

/// A configuration's text, and where it was found.
#[derive(Clone, Default)]
pub(super) struct Source {
    path: PathBuf,
    text: Arc<str>,
}

impl Source {
    /// The text of a file.
    pub(super) fn new(path: &Path, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.into(),
        }
    }

    /// The text.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// A usage error at this offset of the text. It does not repeat the text, which could be a
    /// secret in the wrong place.
    pub(super) fn error(&self, offset: usize, message: &str) -> Failure {
        let (line, column) = position(&self.text, offset);
        Failure::usage(format!(
            "{}:{line}:{column}: {message}",
            self.path.display()
        ))
        .hint("chaos-health init -n NAMESPACE - prints a file to begin with")
    }
}

// The text may hold a secret in the wrong place.
impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Source").field(&self.path).finish()
    }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = &text[..offset.min(text.len())];
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_one() {
        assert_eq!(position("a\nbc\nd", 3), (2, 2));
        assert_eq!(position("a", 0), (1, 1));
    }

    #[test]
    fn the_text_is_not_shown() {
        let source = Source::new(Path::new("chaos.toml"), "webhook = \"hunter2\"");
        assert!(!format!("{source:?}").contains("hunter2"));
    }
}
