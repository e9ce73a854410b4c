//! `chaos.baseline`: data, configuration and speed before the experiment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Bar, Check, ClusterRef, Data, DatabaseState, Kind, LoadFigures, Steps, Window, WorkloadUsage,
};

/// Data, configuration and speed at one moment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Baseline {
    /// The cluster that was looked at.
    pub cluster: ClusterRef,
    /// The application's namespace.
    pub namespace: String,
    /// Whether each part of the baseline could be taken.
    pub checks: Vec<Check>,
    /// The database; absent where none is configured or it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseState>,
    /// ConfigMaps and Secrets of the namespace by digest.
    pub configuration: Vec<ObjectDigest>,
    /// What the application's data URLs answered.
    pub answers: Vec<ApiAnswer>,
    /// How quickly the configured URLs answered.
    pub timings: Vec<Timing>,
    /// What the workloads used under that load; empty without load or without the metrics API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<WorkloadUsage>,
}

impl Data for Baseline {
    const KIND: Kind = Kind::Baseline;
    fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// A ConfigMap or Secret, by the digest of what it holds and never by a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectDigest {
    /// `ConfigMap` or `Secret`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// SHA-256 over the run's id, its keys and its values in the order of keys, in hex. The run's
    /// id makes it worthless for a comparison between runs; within one it shows any change.
    pub digest: String,
}

/// What a URL of the application answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ApiAnswer {
    /// The Service asked.
    pub service: String,
    /// The path asked for.
    pub path: String,
    /// How it was reached.
    pub vantage: String,
    /// HTTP status.
    pub status: u16,
    /// Elements, where the answer is a JSON list (or an object whose only list is one).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
}

/// How quickly a URL answered: over a number of requests sent one after the other, or under `load`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// The Service asked.
    pub service: String,
    /// The path asked for.
    pub path: String,
    /// How it was reached: times hold the way there too, so only equal vantages compare.
    pub vantage: String,
    /// Requests sent.
    pub requests: usize,
    /// Requests without a good answer; their times are not in the figures.
    pub errors: usize,
    /// Median, in milliseconds; absent if nothing answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// 95th percentile (nearest rank), in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
    /// 99th percentile, in milliseconds; absent from records without load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// 99.9th percentile, in milliseconds; absent from records without load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p999_ms: Option<f64>,
    /// Slowest, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<f64>,
    /// What the failed requests met, most frequent first, with how often.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<String>,
    /// The load that it was measured under; absent where requests went one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadFigures>,
    /// What takes how long in a single request; absent where the vantage does not show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Steps>,
    /// Length of a window, in milliseconds; absent where windows are not of time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_ms: Option<f64>,
    /// The measurement in stretches, for comparisons and plots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub windows: Vec<Window>,
    /// How the times are spread, for plots.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub distribution: Vec<Bar>,
    /// All times in microseconds, to three significant digits: an HdrHistogram in its V2 format,
    /// compressed, in base64; absent without load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub histogram: Option<String>,
}
