//! `[notify]`: the channels that people are told on. Only the tool that uses them understands it.

use serde::de::DeserializeOwned;
use toml::de::{DeTable, ValueDeserializer};

use super::source::Source;
use crate::exit::Failure;

/// `[notify]`, not read yet: whoever sends notifications gives the type.
#[derive(Clone, Debug, Default)]
pub struct NotifyTable {
    source: Source,
    /// Where it stands in the text; nothing where there is none.
    offset: Option<usize>,
}

impl NotifyTable {
    /// Takes it out of a parsed configuration, whose other keys are known to [`super::Config`].
    pub(super) fn split_off(root: &mut DeTable<'_>, source: Source) -> NotifyTable {
        let table = root.remove("notify");
        NotifyTable {
            source,
            offset: table.map(|table| table.span().start),
        }
    }

    /// What the table says; the defaults if there is none.
    ///
    /// # Errors
    /// A key is unknown or its value is wrong: a usage error that names file, line and column.
    pub fn settings<T: DeserializeOwned + Default>(&self) -> Result<T, Failure> {
        self.source.read(|mut root| {
            let table = root.remove("notify");
            table.map_or_else(
                || Ok(T::default()),
                |table| T::deserialize(ValueDeserializer::from(table)),
            )
        })
    }

    /// A usage error at the table.
    pub fn error(&self, message: &str) -> Failure {
        self.source.error(self.offset.unwrap_or(0), message)
    }
}
