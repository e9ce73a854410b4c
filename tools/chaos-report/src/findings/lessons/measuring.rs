//! What could not be measured.

use chaos_common::record::{Check, Status};

use super::failures::{Group, grouped};
use super::{Found, Rule, Topic};
use crate::findings::callers::paths;
use crate::findings::run_record::RunRecord;
use crate::findings::words::list;

/// This machine could not send all requests: they prove nothing.
pub(super) const MISSED: Rule = Rule {
    name: "missed-probes",
    topic: Topic::Process,
    derive: missed,
};

fn missed(run: &RunRecord) -> Vec<Found> {
    let all = run.experiment_data().map_or_else(Vec::new, paths);
    let missed: Vec<_> = all.iter().filter(|path| path.seen.missed > 0).collect();
    let requests: u64 = missed.iter().map(|path| path.seen.missed).sum();
    if requests == 0 {
        return Vec::new();
    }
    let names: Vec<String> = missed.iter().map(|path| path.name()).collect();
    let text = format!(
        "Run from a machine with time to spare: {requests} requests to {} could not be sent in time",
        list(&names, 3)
    );
    vec![Found::new(text, "experiment: availability")]
}

/// A check of any record could not tell.
pub(super) const UNKNOWN: Rule = Rule {
    name: "unmeasured",
    topic: Topic::Process,
    derive: unknown,
};

fn unknown(run: &RunRecord) -> Vec<Found> {
    let checks = run.checks().into_iter().map(|(_, check)| check);
    let noted = run.noted();
    // An issue tells of it already.
    let told = |check: &&Check| noted.iter().any(|issue| issue.contains(&check.message));
    let news = checks.filter(|check| !told(check) && !is_of_missed(run, check));
    let groups = grouped(news, Status::Unknown);
    let found = |group: &Group<'_>| {
        let hint = group.checks.iter().find_map(|check| check.hint.as_deref());
        let hint = hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        let text = format!("Make measurable: {}{hint}", group.describe());
        Found::new(text, run.place(group.checks[0]))
    };
    groups.iter().map(found).collect()
}

/// It is on the availability of a Service or URL for which requests could not be sent: the rule on
/// those tells.
fn is_of_missed(run: &RunRecord, check: &Check) -> bool {
    let object = check.object.as_deref().unwrap_or_default();
    let object = object.strip_prefix("service/").unwrap_or(object);
    let all = run.experiment_data().map_or_else(Vec::new, paths);
    check.id.ends_with(".available")
        && all
            .iter()
            .any(|path| path.seen.missed > 0 && object.starts_with(&path.seen.service))
}
