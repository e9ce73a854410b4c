//! `[experiment]`: how experiments run. What each of them hits stands in a table of its own, which
//! only the tool that runs it understands.

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::Span;
use super::setting::Setting;
use super::source::Source;
use crate::exit::Failure;

/// `[experiment]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ExperimentSettings {
    /// Time between two availability probes of a Service's health path. Its `data` and `timed` paths
    /// and the URLs are probed twenty times a second, all of them together.
    pub probe_interval: Span,
    /// Time after which a probe counts as not answered.
    pub probe_timeout: Span,
    /// Share of probes of each path that must be answered well through the whole run, in per cent.
    pub min_availability_percent: f64,
    /// Share of probes of a path within `guard_window` below which the experiment is aborted and
    /// undone at once, in per cent. What the fault is expected to affect is not guarded.
    pub guard_percent: f64,
    /// See `guard_percent`.
    pub guard_window: Span,
    /// How long the probes measure before the fault.
    pub warm_up: Span,
    /// How long they go on after everything has recovered.
    pub settle: Span,
    /// How long after the injection the expected alerts may take to fire.
    pub alert_wait: Span,
    /// How long the undo is tried while the API server does not answer.
    pub undo_limit: Span,
    /// `[experiment.NAME]`: the settings of each experiment.
    #[serde(skip)]
    pub tables: ExperimentTables,
}

impl Default for ExperimentSettings {
    fn default() -> ExperimentSettings {
        ExperimentSettings {
            probe_interval: Span::milliseconds(100),
            probe_timeout: Span::seconds(2),
            min_availability_percent: 99.0,
            guard_percent: 50.0,
            guard_window: Span::seconds(10),
            warm_up: Span::seconds(2),
            settle: Span::seconds(3),
            alert_wait: Span::seconds(30),
            undo_limit: Span::seconds(300),
            tables: ExperimentTables::default(),
        }
    }
}

/// The tables of `[experiment]`, not read yet: whoever knows the experiment gives the type.
#[derive(Clone, Debug, Default)]
pub struct ExperimentTables {
    source: Source,
    /// The key of each table, and where it stands in the text.
    tables: Vec<(String, usize)>,
}

impl ExperimentTables {
    /// Takes them out of a parsed configuration, whose other keys are known to [`super::Config`].
    pub(super) fn split_off(root: &mut DeTable<'_>, source: Source) -> ExperimentTables {
        let mut tables = Vec::new();
        if let Some(DeValue::Table(settings)) = root.get_mut("experiment").map(Spanned::get_mut) {
            let own = settings
                .iter()
                .filter(|(_, value)| value.get_ref().is_table());
            tables.extend(own.map(|(name, _)| (name.get_ref().to_string(), name.span().start)));
            for (name, _) in &tables {
                settings.remove(name.as_str());
            }
        }
        ExperimentTables { source, tables }
    }

    /// The keys of the tables, such as `pod_failure`.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tables.iter().map(|(name, _)| name.as_str())
    }

    /// The settings in the table of this name; the defaults if there is none.
    ///
    /// # Errors
    /// A key is unknown or its value is wrong: a usage error that names file, line and column.
    pub fn settings<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, Failure> {
        self.source.read(|mut root| {
            let settings = root.get_mut("experiment").map(Spanned::get_mut);
            let table = match settings {
                Some(DeValue::Table(settings)) => settings.remove(name),
                _ => None,
            };
            table.map_or_else(
                || Ok(T::default()),
                |table| T::deserialize(ValueDeserializer::from(table)),
            )
        })
    }

    /// The same tables, with keys that the command line sets besides.
    #[must_use]
    pub fn with(&self, settings: &[Setting]) -> ExperimentTables {
        ExperimentTables {
            source: self.source.clone().with(settings),
            tables: self.tables.clone(),
        }
    }

    /// A usage error at the table of this name.
    pub fn error(&self, name: &str, message: &str) -> Failure {
        let found = self.tables.iter().find(|(table, _)| table == name);
        let offset = found.map_or(0, |(_, offset)| *offset);
        self.source.error(offset, message)
    }
}
