//! What those who called met.

use super::{Found, Rule, Topic};
use crate::findings::callers::{Path, paths};
use crate::findings::fault::{self, Progress};
use crate::findings::run_record::RunRecord;
use crate::findings::words::{count, list};

const EVIDENCE: &str = "experiment: availability";

/// The paths that were asked while a fault was on.
fn asked(run: &RunRecord) -> Vec<Path<'_>> {
    let data = run.experiment_data();
    let data = data.filter(|_| fault::progress(run) != Progress::NothingWritten);
    let all = data.map_or_else(Vec::new, paths);
    all.into_iter().filter(Path::was_asked).collect()
}

/// Nobody who called what was not expected to suffer was left without an answer.
pub(super) const UNHARMED: Rule = Rule {
    name: "callers-unharmed",
    topic: Topic::Successes,
    derive: unharmed,
};

fn unharmed(run: &RunRecord) -> Vec<Found> {
    let paths: Vec<Path<'_>> = asked(run)
        .into_iter()
        .filter(|path| !path.affected)
        .collect();
    let whole = |path: &Path<'_>| !path.suffered() && path.seen.missed == 0;
    if paths.is_empty() || !paths.iter().all(whole) {
        return Vec::new();
    }
    let requests: u64 = paths.iter().map(|path| path.seen.requests).sum();
    let text = format!(
        "Callers of {} went on being served: all {requests} requests were answered well",
        count(paths.len(), "path", "paths")
    );
    vec![Found::new(text, EVIDENCE)]
}

/// What was expected to suffer did not.
pub(super) const WITHSTOOD: Rule = Rule {
    name: "withstood",
    topic: Topic::Successes,
    derive: withstood,
};

fn withstood(run: &RunRecord) -> Vec<Found> {
    let whole = |path: &Path<'_>| path.affected && !path.suffered() && path.seen.missed == 0;
    let paths = asked(run);
    let names: Vec<String> = paths
        .iter()
        .filter(|path| whole(path))
        .map(Path::name)
        .collect();
    if names.is_empty() {
        return Vec::new();
    }
    let text = format!("Withstood, though expected to suffer: {}", list(&names, 4));
    vec![Found::new(text, EVIDENCE)]
}

/// Callers of what was not expected to suffer went without an answer.
pub(super) const GAP: Rule = Rule {
    name: "gap",
    topic: Topic::Improvements,
    derive: gap,
};

fn gap(run: &RunRecord) -> Vec<Found> {
    let close = |path: &Path<'_>| {
        (path.suffered() && !path.affected).then(|| {
            let text = format!(
                "Close the gap that callers saw: those of {} {}",
                path.name(),
                path.outage()
            );
            Found::new(text, EVIDENCE)
        })
    };
    asked(run).iter().filter_map(close).collect()
}
