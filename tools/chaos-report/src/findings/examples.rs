//! Runs for tests: those that the tool's own tests feed it.

#[path = "../../tests/report/fixture.rs"]
mod fixture;

use chaos_common::stream::Upstream;

pub(crate) use self::fixture::*;
use super::run_record::RunRecord;

/// A run that went well in every part.
pub(crate) fn run() -> Run {
    Run::good("2026-11-22")
}

/// What its stream tells.
pub(crate) fn read(run: &Run) -> RunRecord {
    let upstream = Upstream::from_reader(run.stream().as_slice());
    RunRecord::of(&upstream.expect("memory can be read"), RUN)
}

/// What the stream of a good run tells after a change.
pub(crate) fn changed(change: impl Fn(&mut Run)) -> RunRecord {
    let mut run = run();
    change(&mut run);
    read(&run)
}

/// The experiment of a good run.
pub(crate) fn experiment() -> chaos_common::record::Experiment {
    run().experiment.expect("a run with an experiment")
}
