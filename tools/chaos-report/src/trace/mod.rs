//! A run as a trace of OpenTelemetry: a span for the run, one for the work of each tool, those of
//! an experiment's phases, and what happened as events in them.
//!
//! Ids are made of the run and its records, so that the same stream exported twice is one trace.

mod export;
mod phases;
mod spans;

pub(crate) use self::export::{destination, send};
pub(crate) use self::spans::spans;
