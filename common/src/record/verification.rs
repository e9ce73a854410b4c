//! `chaos.verification`: is everything as it was?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApiAnswer, Check, ClusterRef, Data, DatabaseState, Kind, ObjectDigest, SystemState, Time, Timing};

/// The system after the experiment, held against the records from before.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verification {
    /// The cluster that was looked at.
    pub cluster: ClusterRef,
    /// The application's namespace.
    pub namespace: String,
    /// Start of the time that logs were searched from.
    pub since: Time,
    /// Recovery, data integrity and performance, each as checks (`recovery.…`, `data.…`,
    /// `performance.…`).
    pub checks: Vec<Check>,
    /// What the system looks like now.
    pub state: SystemState,
    /// The database now; absent where none is configured or it could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<DatabaseState>,
    /// ConfigMaps and Secrets now.
    pub configuration: Vec<ObjectDigest>,
    /// What the application's data URLs answer now.
    pub answers: Vec<ApiAnswer>,
    /// Lines in the logs that report errors, a workload each.
    pub log_errors: Vec<LogErrors>,
    /// How quickly the configured URLs answer now.
    pub timings: Vec<Timing>,
}

impl Data for Verification {
    const KIND: Kind = Kind::Verification;
    fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// Error lines in the logs of one workload's pods.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LogErrors {
    /// The workload, as `deployment/NAME`.
    pub workload: String,
    /// Pods whose logs were read in full.
    pub pods: usize,
    /// Lines that hold `ERROR`.
    pub lines: u64,
    /// The first few of them, cut to 200 characters, what looks like a secret masked.
    pub samples: Vec<String>,
}
