//! The experiments, one file each, and the registry. Nothing outside this folder knows the name of
//! one: to add an experiment takes its file, its line here, and its table in the example of
//! `chaos.toml`.

pub mod support;

mod dns_failure;
mod monitoring_failure;
mod network_partition;
mod pod_failure;
mod resource_exhaustion;
mod scale_down;
mod storage_failure;

use chaos_common::config::Config;
use chaos_common::exit::Failure;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
use schemars::{JsonSchema, Schema, schema_for};
use serde::de::DeserializeOwned;

use crate::plan::target::Selection;
use crate::run::experiment::Experiment;

/// All experiments, in the order in which they are shown.
static REGISTRY: [Entry; 7] = [
    Entry::of::<pod_failure::PodFailure>(),
    Entry::of::<network_partition::NetworkPartition>(),
    Entry::of::<resource_exhaustion::ResourceExhaustion>(),
    Entry::of::<storage_failure::StorageFailure>(),
    Entry::of::<monitoring_failure::MonitoringFailure>(),
    Entry::of::<scale_down::ScaleDown>(),
    Entry::of::<dns_failure::DnsFailure>(),
];

/// What an experiment's file says for the registry.
pub trait Definition: Experiment + Sized + 'static {
    /// Its name, as people type it. Its table in `chaos.toml` has the same, with underscores.
    const NAME: &'static str;
    /// What it does, in a line.
    const ABOUT: &'static str;
    /// Its table in `chaos.toml`.
    type Settings: DeserializeOwned + Default + JsonSchema;

    /// The experiment, with what the operator selects, or else the configuration.
    ///
    /// # Errors
    /// Neither says what is to be hit.
    fn new(
        selection: &Selection,
        settings: Self::Settings,
        config: &Config,
    ) -> Result<Self, Failure>;
}

/// Makes an experiment of what the operator selects, or else the configuration.
type Constructor = fn(&Selection, &Config) -> Result<Box<dyn Experiment>, Failure>;

/// An experiment as the rest of the tool knows it.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name, as people type it.
    pub name: &'static str,
    /// What it does, in a line.
    pub about: &'static str,
    check: fn(&Config) -> Result<(), Failure>,
    make: Constructor,
    schema: fn() -> Schema,
}

impl Entry {
    const fn of<D: Definition>() -> Entry {
        Entry {
            name: D::NAME,
            about: D::ABOUT,
            check: |config| settings::<D>(config).map(drop),
            make: |selection, config| {
                let settings = settings::<D>(config)?;
                Ok(Box::new(D::new(selection, settings, config)?))
            },
            schema: || schema_for!(D::Settings),
        }
    }

    /// The experiment, with what the operator selects, or else the configuration.
    ///
    /// # Errors
    /// Neither says what is to be hit, or its settings are wrong.
    pub fn experiment(
        &self,
        selection: &Selection,
        config: &Config,
    ) -> Result<Box<dyn Experiment>, Failure> {
        (self.make)(selection, config)
    }

    /// The name of its table in `chaos.toml`.
    pub fn table(&self) -> String {
        table(self.name)
    }

    /// The JSON Schema of its table in `chaos.toml`.
    pub fn schema(&self) -> Schema {
        (self.schema)()
    }
}

fn table(name: &str) -> String {
    name.replace('-', "_")
}

fn settings<D: Definition>(config: &Config) -> Result<D::Settings, Failure> {
    config.experiment.tables.settings(&table(D::NAME))
}

/// All experiments.
pub fn all() -> &'static [Entry] {
    &REGISTRY
}

/// Checks the tables of all experiments, also of those that are not asked for: a configuration is
/// wrong before the day on which it is needed.
///
/// # Errors
/// A table is of no experiment, or a key in one is wrong; with file and line.
pub fn check(config: &Config) -> Result<(), Failure> {
    check_against(all(), config)
}

fn check_against(registry: &[Entry], config: &Config) -> Result<(), Failure> {
    let tables = &config.experiment.tables;
    for name in tables.names() {
        let entry = registry.iter().find(|entry| table(entry.name) == name);
        let entry = entry.ok_or_else(|| {
            let known = registry.iter().map(|entry| table(entry.name));
            let known: Vec<String> = known.map(|table| format!("`{table}`")).collect();
            let known = known.join(", ");
            let message = format!("unknown experiment `{name}`, expected one of {known}");
            tables.error(name, &message)
        })?;
        (entry.check)(config)?;
    }
    Ok(())
}

/// Understands an experiment's name on the command line.
pub fn parser() -> impl TypedValueParser<Value = &'static Entry> {
    let choice = |entry: &Entry| PossibleValue::new(entry.name).help(entry.about);
    PossibleValuesParser::new(REGISTRY.iter().map(choice)).map(|name| {
        REGISTRY
            .iter()
            .find(|entry| entry.name == name)
            .expect("only names of the registry are possible values")
    })
}

#[cfg(test)]
mod tests;
