//! How response times are measured and judged, and the kinds of load.

use schemars::JsonSchema;
use serde::Deserialize;

use super::Span;

/// `[performance]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Performance {
    /// Requests to each timed path, one after the other, where no load is asked for.
    pub requests: usize,
    /// How many times the baseline's median, 95th and 99th percentile may be afterwards, and the
    /// processor time and memory that a workload uses under load.
    pub max_ratio: f64,
    /// Milliseconds that they may be longer whatever the ratio says: quick answers vary a lot.
    pub allowance_ms: f64,
    /// Percentage points by which more requests may fail under load than in the baseline.
    pub max_error_points: f64,
    /// How long after the end of a fault answers under load may still be slow. Failures are never
    /// excused.
    pub return_limit: Span,
    /// Image with `chaos-verify` in its `PATH`: load then comes from pods of a Job in the
    /// application's namespace. Left out, it comes from the tool itself, which must be where it
    /// reaches the Services directly.
    pub image: Option<String>,
    /// Kinds of load that `--load` names: `[[performance.profile]]`.
    #[serde(rename = "profile")]
    pub profiles: Vec<LoadProfile>,
}

impl Default for Performance {
    fn default() -> Performance {
        Performance {
            requests: 50,
            max_ratio: 1.5,
            allowance_ms: 20.0,
            max_error_points: 1.0,
            return_limit: Span::seconds(60),
            image: None,
            profiles: vec![LoadProfile::default()],
        }
    }
}

/// `[[performance.profile]]`
#[derive(Clone, Debug, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LoadProfile {
    /// Its name.
    pub name: String,
    /// Requests to each timed path a second, whether or not earlier ones are answered.
    pub rate: f64,
    /// How long the load lasts that counts.
    pub duration: Span,
    /// How long load lasts before that, uncounted.
    pub warm_up: Span,
    /// Time that one request may take, from when it was due.
    pub timeout: Span,
    /// Connections to each Service from the start, all pods together. A Service gives each
    /// connection one of its pods, so there should be several times as many.
    pub connections: usize,
    /// Speak HTTP/2 rather than HTTP/1.1.
    pub http2: bool,
    /// Pods that share the load, where `image` is set.
    pub pods: u16,
}

impl Default for LoadProfile {
    fn default() -> LoadProfile {
        LoadProfile {
            name: "normal".to_owned(),
            rate: 20.0,
            duration: Span::seconds(5 * 60),
            warm_up: Span::seconds(5),
            timeout: Span::seconds(5),
            connections: 16,
            http2: false,
            pods: 1,
        }
    }
}
