//! What the pictures of a report are drawn from. All times are milliseconds from the injection.

mod latency;
mod recovery;
mod timeline;
mod usage;

#[cfg(test)]
mod tests;

use serde::Serialize;

pub(crate) use self::latency::{Curve, Latency, Point};
pub(crate) use self::recovery::{PodRow, Recovery};
pub(crate) use self::timeline::{AlertRow, PathRow, Phase, Slot, Timeline};
pub(crate) use self::usage::{Usage, UsageRow};
use super::run_record::RunRecord;

/// The most rows of a picture; what is left out stands in the tables.
const ROWS: usize = 12;

/// All pictures; one that there is nothing to draw of is absent.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Pictures {
    pub(crate) timeline: Option<Timeline>,
    pub(crate) recovery: Option<Recovery>,
    pub(crate) latency: Option<Latency>,
    pub(crate) usage: Option<Usage>,
}

/// All pictures of a run.
pub(crate) fn pictures(run: &RunRecord) -> Pictures {
    let injected = run.experiment_data().filter(|data| data.injected.is_some());
    Pictures {
        timeline: injected.map(|data| timeline::of(run, data)),
        recovery: injected.and_then(recovery::of),
        latency: injected.and_then(|data| latency::of(run, data)),
        usage: usage::of(run),
    }
}

#[expect(clippy::cast_precision_loss, reason = "no run lasts 2^52 milliseconds")]
fn ms(whole: i64) -> f64 {
    whole as f64
}
