//! `chaos.verification`: is everything as it was?

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    ApiAnswer, Check, ClusterRef, Data, DatabaseState, Kind, ObjectDigest, Status, SystemState,
    Time, Timing, WorkloadUsage,
};

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
    /// What the workloads used under that load; empty without load or without the metrics API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub usage: Vec<WorkloadUsage>,
    /// How the times under load were judged against the baseline's, a question each; empty without
    /// load.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub judgements: Vec<Judgement>,
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
    /// Lines that match one of the patterns, without those of `outage_lines`.
    pub lines: u64,
    /// Such lines from when an experiment had Services that it expected to suffer: from its first
    /// write until everything was at its steady state again, or to its end if that was not seen,
    /// and then for `limits.log_quiet`, in which requests that were on their way are given up.
    #[serde(default)]
    pub outage_lines: u64,
    /// How long after everything was at its steady state again the last of those came; absent if
    /// none came after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quiet_ms: Option<u64>,
    /// The patterns, and how many lines match each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub patterns: Vec<PatternCount>,
    /// The first few of them, cut to 200 characters, what looks like a secret masked.
    pub samples: Vec<String>,
}

/// How many lines of a log match a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PatternCount {
    /// The regular expression.
    pub pattern: String,
    /// Lines that match it.
    pub lines: u64,
}

/// Whether one figure of a URL under load is proven to keep its limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judgement {
    /// The Service asked.
    pub service: String,
    /// The path asked for.
    pub path: String,
    /// `p50`, `p95` or `p99`, in milliseconds, or `errors`, the share of requests that failed (0 to
    /// 1).
    pub figure: String,
    /// Proven to keep its limit (`pass`), proven to break it (`fail`), or neither (`unknown`).
    pub status: Status,
    /// The figure in the baseline.
    pub before: f64,
    /// The figure now.
    pub after: f64,
    /// The most that it may be.
    pub limit: f64,
    /// Lower bound of the true figure now, with the baseline's uncertainty in it, so that it
    /// compares with `limit`: wrong in at most one of 400 cases. Absent if it could not be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<f64>,
    /// Upper bound, wrong in at most one of 100 cases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<f64>,
    /// Requests that it would probably take before and after to tell; absent if told, or if nothing
    /// can be said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs_requests: Option<u64>,
}
