//! What a configuration was read from, so that an error names line and column of the file, or the
//! option of the command line.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use super::setting::Setting;
use crate::exit::Failure;

/// A configuration's text, where it was found, and what the command line sets besides.
#[derive(Clone, Default)]
pub(super) struct Source {
    path: PathBuf,
    text: Arc<str>,
    settings: Vec<Setting>,
}

/// Why a configuration can't be taken.
enum Problem {
    /// The text, at this offset.
    Text(usize, String),
    /// What the command line sets, by its place among the settings.
    Setting(usize, String),
}

impl Source {
    /// The text of a file.
    pub(super) fn new(path: &Path, text: &str) -> Source {
        Source {
            path: path.to_owned(),
            text: text.into(),
            settings: Vec::new(),
        }
    }

    /// The same, with what the command line sets besides.
    pub(super) fn with(mut self, settings: &[Setting]) -> Source {
        self.settings.extend_from_slice(settings);
        self
    }

    /// Reads a value out of the whole.
    ///
    /// # Errors
    /// A usage error that names the place in the file, or the option, which made it unreadable.
    pub(super) fn read<T>(
        &self,
        read: impl Fn(DeTable<'_>) -> Result<T, toml::de::Error>,
    ) -> Result<T, Failure> {
        let with = |count: usize| self.read_with(count, &read);
        let all = self.settings.len();
        with(all).map_err(|whole| {
            // The file alone is looked at first; then the option is to blame that brought the error.
            match (with(0), &whole) {
                (Err(Problem::Text(offset, message)), _) => self.error(offset, &message),
                (_, Problem::Setting(at, message)) => self.refused(*at, message),
                (_, Problem::Text(_, message)) => {
                    let same = |count: &usize| matches!(with(*count), Err(Problem::Text(_, other)) if other == *message);
                    let at = (1..all).find(same).unwrap_or(all) - 1;
                    self.refused(at, message)
                }
            }
        })
    }

    /// As [`Source::read`], with the first settings only.
    fn read_with<T>(
        &self,
        count: usize,
        read: impl Fn(DeTable<'_>) -> Result<T, toml::de::Error>,
    ) -> Result<T, Problem> {
        let in_text = |error: toml::de::Error| {
            let offset = error.span().map_or(0, |span| span.start);
            Problem::Text(offset, error.message().to_owned())
        };
        let mut root = DeTable::parse(&self.text).map_err(in_text)?.into_inner();
        for (at, setting) in self.settings.iter().take(count).enumerate() {
            let applied = setting.apply(&mut root);
            applied.map_err(|error| Problem::Setting(at, error.to_string()))?;
        }
        read(root).map_err(in_text)
    }

    fn refused(&self, at: usize, message: &str) -> Failure {
        let option = self.settings.get(at).map_or("--set", Setting::option);
        Failure::usage(format!("{option}: {message}"))
            .hint("scripts/ecommerce.toml shows every key with its meaning")
    }

    /// A usage error at this offset of the text. It does not repeat the text, which could be a
    /// secret in the wrong place.
    pub(super) fn error(&self, offset: usize, message: &str) -> Failure {
        if self.text.is_empty() {
            return Failure::usage(message.to_owned());
        }
        let (line, column) = position(&self.text, offset);
        Failure::usage(format!(
            "{}:{line}:{column}: {message}",
            self.path.display()
        ))
        .hint("scripts/ecommerce.toml shows every key with its meaning")
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
