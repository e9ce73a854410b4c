//! `chaos.load`, and what a measurement under load adds to a [`Timing`].

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Check, Data, Kind, Time, Timing, WorkloadRef};

/// Load on URLs, and how they answered under it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Load {
    /// Whether each URL could be measured and answered.
    pub checks: Vec<Check>,
    /// The measurements, a URL each.
    pub timings: Vec<Timing>,
}

impl Data for Load {
    const KIND: Kind = Kind::Load;
    fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// Under what load times were measured, and what the load generator has to say of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LoadFigures {
    /// The profile of the configuration; absent for flags alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// When the load that counts began, after the warm-up.
    pub started: Time,
    /// How long it lasted, in milliseconds.
    pub duration_ms: u64,
    /// Requests that fell due each second (an open loop: they leave when they are due, answered or
    /// not); absent for a closed loop, which asks as fast as it is answered and is never judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offered_rate: Option<f64>,
    /// Requests that were over each second, good or bad, before the time was.
    pub achieved_rate: f64,
    /// Connections to the URL from the start.
    pub connections: usize,
    /// `HTTP/1.1` or `HTTP/2`.
    pub protocol: String,
    /// Pods that the load came from; absent when it came from the tool itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pods: Option<usize>,
    /// How late requests left the generator, the median, in milliseconds. It is part of all times.
    pub lag_p50_ms: f64,
    /// The same, the 99th percentile.
    pub lag_p99_ms: f64,
    /// The generator could not do its part, so that the times say nothing, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saturated: Option<String>,
    /// How often a request was sent again, since what had been sent was certainly not taken up: the
    /// connection that had rested did not take it, or the server said over HTTP/2 that it goes.
    /// Whatever else got no answer is a failure.
    #[serde(default)]
    pub sent_again: u64,
    /// How far the load came, in milliseconds, when it was interrupted; absent if it ran to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted_ms: Option<u64>,
}

/// What takes how long in a single request on a fresh connection, in milliseconds, medians of five
/// such requests without load. Each step counts from the end of the one before it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Steps {
    /// Looking the name up.
    pub lookup_ms: f64,
    /// Opening the TCP connection.
    pub connect_ms: f64,
    /// The TLS handshake; absent without TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_ms: Option<f64>,
    /// From the request to the first byte of the answer.
    pub first_byte_ms: f64,
    /// All steps together, and the rest of the answer.
    pub total_ms: f64,
}

/// Requests that were due in one stretch of time. At most sixty stand in a [`Timing`], so that a
/// record stays small: some 300 bytes each.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// Requests that were due.
    pub requests: u64,
    /// Those without a good answer in time.
    pub errors: u64,
    /// Median of the others, in milliseconds; absent if there were none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    /// Their 99th percentile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    /// All their times in microseconds, to two significant digits: an HdrHistogram in its V2
    /// format, compressed, in base64.
    pub histogram: String,
}

/// A bar of a plot: how many answers took at most so long, and longer than the bar before it says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Bar {
    /// The bar's upper end, in milliseconds.
    pub up_to_ms: f64,
    /// Answers in it.
    pub count: u64,
}

/// What the pods of a workload used together while load lasted, from its second half on: the
/// metrics API tells of what was some time ago.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadUsage {
    /// Which workload.
    #[serde(flatten)]
    pub workload: WorkloadRef,
    /// Pods that it is the use of, at the last look.
    pub pods: usize,
    /// How often it was looked at.
    pub samples: usize,
    /// Processor time, in cores, on average.
    pub cpu_cores: f64,
    /// The most memory, in bytes.
    pub memory_bytes: u64,
}
