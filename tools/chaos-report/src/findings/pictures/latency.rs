//! How long answers took.

use chaos_common::record::{AnswerWindow, Experiment};
use serde::Serialize;

use super::ms;
use crate::findings::callers::{self, Path};
use crate::findings::fault;
use crate::findings::run_record::RunRecord;

/// The most paths whose times to answer are drawn.
const CURVES: usize = 6;

/// How long answers took.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) from_ms: f64,
    pub(crate) to_ms: f64,
    /// From the injection to the steady state, where that was seen.
    pub(crate) disturbed_ms: Option<f64>,
    pub(crate) paths: Vec<Curve>,
}

/// The answers of one path.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Curve {
    pub(crate) name: String,
    pub(crate) vantage: String,
    pub(crate) highest_ms: f64,
    pub(crate) points: Vec<Point>,
}

/// The good answers of one window.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Point {
    /// The middle of the window.
    pub(crate) at_ms: f64,
    /// The median, in milliseconds; absent where no good answer came.
    pub(crate) median: Option<f64>,
    /// The slowest, in milliseconds.
    pub(crate) slowest: Option<f64>,
}

pub(super) fn of(run: &RunRecord, data: &Experiment) -> Option<Latency> {
    let paths = callers::paths(data);
    let mut curves: Vec<Curve> = paths.iter().filter_map(curve).collect();
    curves.sort_by(|a, b| b.highest_ms.total_cmp(&a.highest_ms));
    curves.truncate(CURVES);
    let all = || {
        curves
            .iter()
            .flat_map(|curve| &curve.points)
            .map(|point| point.at_ms)
    };
    let (from_ms, to_ms) = (all().fold(0.0, f64::min), all().fold(0.0, f64::max));
    (to_ms > from_ms).then(|| Latency {
        from_ms,
        to_ms,
        disturbed_ms: fault::restored_ms(run),
        paths: curves,
    })
}

fn curve(path: &Path<'_>) -> Option<Curve> {
    let point = |window: &AnswerWindow| Point {
        at_ms: ms(window.from_ms) + ms(window.length_ms) / 2.0,
        median: window.p50_ms,
        slowest: window.max_ms,
    };
    let points: Vec<Point> = path.seen.windows.iter().map(point).collect();
    let slowest = points.iter().filter_map(|point| point.slowest);
    let highest_ms = slowest.max_by(f64::total_cmp)?;
    Some(Curve {
        name: path.name(),
        vantage: path.seen.vantage.clone(),
        highest_ms,
        points,
    })
}
