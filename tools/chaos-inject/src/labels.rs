//! The labels that tie an object to the run that creates or changes it.

pub use chaos_common::cluster::RUN_LABEL;
use serde_json::Value;

/// Label of the objects that an experiment creates: its name.
pub const EXPERIMENT_LABEL: &str = "chaos-runbook/experiment";

/// The run whose label an object carries.
pub fn run_of(object: &Value) -> Option<&str> {
    object["metadata"]["labels"][RUN_LABEL].as_str()
}
