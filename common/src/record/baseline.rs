//! `chaos.baseline`: data, configuration and speed before the experiment.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Check, ClusterRef, Data, Kind, TableRows};

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
}

impl Data for Baseline {
    const KIND: Kind = Kind::Baseline;
    fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// A database as one read-only transaction saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseState {
    /// How it was reached.
    pub vantage: String,
    /// The database's name.
    pub database: String,
    /// Version of the server.
    pub server_version: String,
    /// `pg_database_size`, in bytes.
    pub size_bytes: u64,
    /// Rows of the configured tables.
    pub tables: Vec<TableRows>,
}

/// A ConfigMap or Secret, by the digest of what it holds and never by a value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectDigest {
    /// `ConfigMap` or `Secret`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// SHA-256 over the run's id, its keys and its values in the order of keys, in hex. The run's id
    /// makes it worthless for a comparison between runs; within one it shows any change.
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

/// How quickly a URL answered, over a number of requests sent one after the other.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Timing {
    /// The Service asked.
    pub service: String,
    /// The path asked for.
    pub path: String,
    /// How it was reached: times hold the way there too, so only equal vantages compare.
    pub vantage: String,
    /// Requests sent.
    pub requests: usize,
    /// Requests without an answer in the 200s or 300s; their times are not in the figures.
    pub errors: usize,
    /// Median, in milliseconds; absent if nothing answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// 95th percentile (nearest rank), in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
    /// Slowest, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_ms: Option<f64>,
}
