//! `chaos.event`: something happened; it has no verdict.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Data, Kind};

/// Something that happened while a tool worked. The record's `time` says when, its `summary` what.
///
/// A tool writes a [`EventKind::Started`] when its input has ended. A stream that ends in an event
/// therefore shows that the tool which wrote it died before it had a result.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// What sort of thing happened.
    pub event: EventKind,
    /// What it happened to, where there is an object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object: Option<String>,
    /// Milliseconds since the injection, by a clock that does not jump; absent before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_injection_ms: Option<f64>,
}

impl Data for Event {
    const KIND: Kind = Kind::Event;
}

/// The sorts of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A tool has read its input and starts its work.
    Started,
    /// What will be undone is durable; nothing was changed yet.
    Intent,
    /// A write that makes the fault.
    Injected,
    /// The fault was seen to have an effect.
    Effect,
    /// Something was seen in the cluster.
    Observed,
    /// A guard stops the experiment.
    Abort,
    /// A write that takes the fault back.
    Undo,
    /// The system was seen to be at its steady state again.
    Restored,
}
