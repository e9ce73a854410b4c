//! What was measured of the performance, and the checks on it.

use chaos_common::exit::Exit;
use chaos_common::record::{Check, Judgement, Timing, WorkloadUsage};

/// Measurements and checks, as they go into a record.
#[derive(Clone, Debug, Default)]
pub(crate) struct PerformanceReport {
    pub(crate) checks: Vec<Check>,
    pub(crate) timings: Vec<Timing>,
    /// What the workloads used under the load; empty without load.
    pub(crate) usage: Vec<WorkloadUsage>,
    /// Empty without load.
    pub(crate) judgements: Vec<Judgement>,
    /// This process was asked to end meanwhile.
    pub(crate) interrupted: bool,
}

impl PerformanceReport {
    /// How a tool ends that measured this, and would end with `own` else.
    pub(crate) fn exit(interrupted: bool, own: Exit) -> Exit {
        if interrupted { Exit::Aborted } else { own }
    }

    /// Nothing was measured, and why.
    pub(crate) fn not_examined(why: &str) -> PerformanceReport {
        let check = Check::unknown("performance", "", format!("not looked at: {why}"));
        PerformanceReport {
            checks: vec![check],
            ..PerformanceReport::default()
        }
    }
}

/// The baseline's measurement of the URL of this one.
pub(crate) fn earlier<'a>(baseline: &'a [Timing], now: &Timing) -> Option<&'a Timing> {
    baseline
        .iter()
        .find(|was| (&was.service, &was.path) == (&now.service, &now.path))
}
