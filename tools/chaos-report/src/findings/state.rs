//! The system before and after, side by side: what the runbook's form asks for, and what is not the
//! same any more.

use std::collections::{BTreeMap, BTreeSet};

use chaos_common::record::{
    Check, Data, NodeState, ObjectDigest, Record, ServiceState, Status, SystemState, TableRows,
    WorkloadState, tally,
};

use super::model::{StateComparison, StateRow};
use super::run_record::{RunRecord, describe};
use super::subject::is_about_monitoring;
use super::words::NOT_KNOWN;

/// The most nodes whose usage is shown.
const NODES: usize = 20;

/// The comparison.
pub(crate) fn compare(run: &RunRecord) -> StateComparison {
    let before = run.health.as_ref();
    let after = run.verification.as_ref();
    let mut found = Found::default();
    match (before, after) {
        (Some(before), Some(after)) => {
            found.states(&before.data.state, &after.data.state);
            found.checks(&before.data.checks, &after.data.checks);
        }
        (None, _) => found.missing("there is no health record from before to compare with"),
        (_, None) => found.missing("there is no verification after the experiment to compare"),
    }
    match (&run.baseline, after) {
        (Some(before), Some(after)) => {
            found.configuration(&before.data.configuration, &after.data.configuration);
            let tables = |database: Option<&chaos_common::record::DatabaseState>| {
                database
                    .map(|database| database.tables.clone())
                    .unwrap_or_default()
            };
            let (before, after) = (&before.data.database, &after.data.database);
            found.tables(&tables(before.as_ref()), &tables(after.as_ref()));
        }
        (None, Some(_)) => {
            found.missing("there is no baseline, so data and configuration were not compared");
        }
        (_, None) => {}
    }
    StateComparison {
        form: form(run),
        ..found.0
    }
}

/// What the form asks for.
fn form(run: &RunRecord) -> Vec<StateRow> {
    let before = run.health.as_ref();
    let after = run.verification.as_ref();
    let nodes = |state: Option<&SystemState>| state.map_or(NOT_KNOWN.to_owned(), usage);
    let row = |what: &str, before: String, after: String| StateRow {
        what: what.to_owned(),
        before,
        after,
        change: None,
    };
    vec![
        row("System Health", health(before), health(after)),
        row(
            "Resource Usage",
            nodes(before.map(|record| &record.data.state)),
            nodes(after.map(|record| &record.data.state)),
        ),
        row("Monitoring Status", monitoring(before), monitoring(after)),
    ]
}

/// How the checks came out; those that failed stand among the failures.
fn health<D: Data>(record: Option<&Record<D>>) -> String {
    let Some(record) = record else {
        return format!("{NOT_KNOWN}: no record tells");
    };
    let counts = tally(record.data.checks());
    match record.verdict {
        Some(verdict) => format!("{verdict}: {counts}"),
        None => counts,
    }
}

/// How the checks of the monitoring systems came out.
fn monitoring<D: Data>(record: Option<&Record<D>>) -> String {
    let Some(record) = record else {
        return format!("{NOT_KNOWN}: no record tells");
    };
    let checks = record.data.checks();
    let checks: Vec<&Check> = checks
        .iter()
        .filter(|check| is_about_monitoring(check))
        .collect();
    if checks.is_empty() {
        return format!("{NOT_KNOWN}: it was not checked");
    }
    let bad = checks.iter().filter(|check| check.is_bad());
    let bad: Vec<String> = bad.map(|check| describe(check)).collect();
    match bad.as_slice() {
        [] => tally(checks.iter().copied()),
        bad => format!("{}: {}", tally(checks.iter().copied()), bad.join("; ")),
    }
}

/// Processor and memory use of the nodes.
fn usage(state: &SystemState) -> String {
    if state.nodes.is_empty() {
        return format!("{NOT_KNOWN}: no node could be read");
    }
    let mut nodes: Vec<String> = state.nodes.iter().take(NODES).map(node_usage).collect();
    if let Some(more) = state
        .nodes
        .len()
        .checked_sub(NODES)
        .filter(|more| *more > 0)
    {
        nodes.push(format!("{more} more nodes"));
    }
    nodes.join("; ")
}

fn node_usage(node: &NodeState) -> String {
    let cpu = node.cpu_cores.map_or_else(
        || format!("processor {NOT_KNOWN}"),
        |used| {
            let all = node.cpu_allocatable_cores;
            format!("{used:.2} of {all:.2} cores{}", share(used, all))
        },
    );
    let all = gib(node.memory_allocatable_bytes);
    let memory = node.memory_bytes.map(gib).map_or_else(
        || format!("memory {NOT_KNOWN}"),
        |used| format!("{used:.1} of {all:.1} GiB{}", share(used, all)),
    );
    format!("{}: {cpu}, {memory}", node.name)
}

/// Bytes as gibibytes.
#[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
pub(crate) fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

fn share(used: f64, of: f64) -> String {
    if of > 0.0 {
        format!(" ({:.0} %)", 100.0 * used / of)
    } else {
        String::new()
    }
}

/// What was compared so far.
#[derive(Default)]
struct Found(StateComparison);

impl Found {
    fn missing(&mut self, why: &str) {
        self.0.missing.push(why.to_owned());
    }

    /// Notes one thing; `change` is how it changed if it did.
    fn note(&mut self, what: &str, before: String, after: String, change: Status) {
        if before == after {
            self.0.same += 1;
        } else {
            self.0.changed.push(StateRow {
                what: what.to_owned(),
                before,
                after,
                change: Some(change),
            });
        }
    }

    fn states(&mut self, before: &SystemState, after: &SystemState) {
        let workload = |one: &WorkloadState| (one.workload.to_string(), one.clone());
        let before_by: BTreeMap<_, _> = before.workloads.iter().map(workload).collect();
        let after_by: BTreeMap<_, _> = after.workloads.iter().map(workload).collect();
        for (name, (was, is)) in pairs(&before_by, &after_by) {
            self.workload(name, was, is);
        }
        let service = |one: &ServiceState| (format!("service/{}", one.name), one.clone());
        let before_by: BTreeMap<_, _> = before.services.iter().map(service).collect();
        let after_by: BTreeMap<_, _> = after.services.iter().map(service).collect();
        for (name, (was, is)) in pairs(&before_by, &after_by) {
            let text = |one: Option<&ServiceState>| {
                one.map_or("not there".to_owned(), |one| {
                    format!("{} ready endpoints", one.ready)
                })
            };
            let ready = |one: Option<&ServiceState>| one.map(|one| one.ready);
            self.note(name, text(was), text(is), fewer(ready(was), ready(is)));
        }
        let node = |one: &NodeState| (format!("node/{}", one.name), one.ready);
        let before_by: BTreeMap<_, _> = before.nodes.iter().map(node).collect();
        let after_by: BTreeMap<_, _> = after.nodes.iter().map(node).collect();
        for (name, (was, is)) in pairs(&before_by, &after_by) {
            let text = |one: Option<&bool>| match one {
                None => "not there".to_owned(),
                Some(true) => "ready".to_owned(),
                Some(false) => "not ready".to_owned(),
            };
            self.note(name, text(was), text(is), fewer(was.copied(), is.copied()));
        }
    }

    fn workload(&mut self, name: &str, was: Option<&WorkloadState>, is: Option<&WorkloadState>) {
        let pods = |one: Option<&WorkloadState>| {
            one.map_or("not there".to_owned(), |one| {
                format!("{} of {} pods ready", one.ready, one.wants)
            })
        };
        let ready = |one: Option<&WorkloadState>| one.map(|one| one.ready);
        self.note(name, pods(was), pods(is), fewer(ready(was), ready(is)));
        let (Some(was), Some(is)) = (was, is) else {
            return;
        };
        let images = |one: &WorkloadState| one.images.join(", ");
        self.note(
            &format!("{name} images"),
            images(was),
            images(is),
            Status::Warn,
        );
        // Fewer only means that pods with restarts are gone.
        if is.restarts > was.restarts {
            let (before, after) = (was.restarts.to_string(), is.restarts.to_string());
            self.note(
                &format!("{name} container restarts"),
                before,
                after,
                Status::Fail,
            );
        } else {
            self.0.same += 1;
        }
    }

    /// The checks that were made before and after under the same name.
    fn checks(&mut self, before: &[Check], after: &[Check]) {
        let key = |check: &Check| (check.id.clone(), check.object.clone().unwrap_or_default());
        let before: BTreeMap<_, _> = before
            .iter()
            .map(|check| (key(check), check.status))
            .collect();
        for check in after {
            let Some(id) = check.id.strip_prefix("recovery.") else {
                continue;
            };
            let object = check.object.clone().unwrap_or_default();
            let Some(was) = before.get(&(id.to_owned(), object)) else {
                continue;
            };
            let change = match (was, check.status) {
                (_, Status::Pass) => Status::Pass,
                (_, Status::Unknown | Status::Skipped) => Status::Unknown,
                _ => Status::Fail,
            };
            let (before, after) = (was.word().to_owned(), check.status.word().to_owned());
            self.note(&super::words::question(check), before, after, change);
        }
    }

    fn configuration(&mut self, before: &[ObjectDigest], after: &[ObjectDigest]) {
        let of = |one: &ObjectDigest| {
            let name = format!("{}/{}", one.kind.to_lowercase(), one.name);
            (name, one.digest.clone())
        };
        let before: BTreeMap<_, _> = before.iter().map(of).collect();
        let after: BTreeMap<_, _> = after.iter().map(of).collect();
        for (name, (was, is)) in pairs(&before, &after) {
            let text = |one: Option<&String>| {
                one.map_or("not there".to_owned(), |digest| {
                    let short: String = digest.chars().take(8).collect();
                    format!("digest {short}")
                })
            };
            self.note(name, text(was), text(is), Status::Warn);
        }
    }

    fn tables(&mut self, before: &[TableRows], after: &[TableRows]) {
        let of = |one: &TableRows| (format!("table {}", one.table), one.rows);
        let before: BTreeMap<_, _> = before.iter().map(of).collect();
        let after: BTreeMap<_, _> = after.iter().map(of).collect();
        for (name, (was, is)) in pairs(&before, &after) {
            let text = |rows: Option<&u64>| {
                rows.map_or("not read".to_owned(), |rows| format!("{rows} rows"))
            };
            self.note(name, text(was), text(is), fewer(was.copied(), is.copied()));
        }
    }
}

/// Fewer is worse, more is only different; what can't be seen any more is worse too.
fn fewer<T: PartialOrd + Copy>(before: Option<T>, after: Option<T>) -> Status {
    if after < before {
        Status::Fail
    } else {
        Status::Warn
    }
}

/// What is on either side under a name.
fn pairs<'a, T>(
    before: &'a BTreeMap<String, T>,
    after: &'a BTreeMap<String, T>,
) -> impl Iterator<Item = (&'a str, (Option<&'a T>, Option<&'a T>))> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    names
        .into_iter()
        .map(|name| (name.as_str(), (before.get(name), after.get(name))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::examples;

    #[test]
    fn what_is_the_same_is_counted_and_not_listed() {
        let found = compare(&examples::read(&examples::run()));
        assert_eq!(found.changed, []);
        // Pods, images and restarts of a workload, a node, two checks.
        assert_eq!(found.same, 6);
        assert_eq!(found.missing, [""; 0]);
    }

    #[test]
    fn fewer_pods_more_restarts_and_a_check_that_fails_now_are_worse() {
        let run = examples::changed(|run| {
            let after = run.verification();
            after.state.workloads[0].ready = 1;
            after.state.workloads[0].restarts = 2;
            after.checks[0].status = Status::Fail;
        });
        let found = compare(&run);
        let seen: Vec<_> = found
            .changed
            .iter()
            .map(|row| (row.what.as_str(), row.after.as_str(), row.change))
            .collect();
        assert_eq!(
            seen,
            [
                (
                    "deployment/backend",
                    "1 of 2 pods ready",
                    Some(Status::Fail)
                ),
                (
                    "deployment/backend container restarts",
                    "2",
                    Some(Status::Fail)
                ),
                (
                    "recovery.workload.ready deployment/backend",
                    "fail",
                    Some(Status::Fail)
                ),
            ]
        );
    }

    #[test]
    fn restarts_that_went_with_their_pods_are_no_change() {
        let run = examples::changed(|run| {
            run.health.as_mut().expect("there").state.workloads[0].restarts = 3;
        });
        assert_eq!(compare(&run).changed, []);
    }

    #[test]
    fn what_can_not_be_compared_is_said() {
        let run = examples::changed(|run| run.verification = None);
        let found = compare(&run);
        assert_eq!((found.changed.len(), found.same), (0, 0));
        assert_eq!(found.missing.len(), 1);
        let run = examples::changed(|run| run.baseline = None);
        let said = compare(&run).missing.join("; ");
        assert!(said.contains("no baseline"), "{said}");
    }

    #[test]
    fn what_is_not_there_any_more_is_worse_and_what_came_is_different() {
        assert_eq!(fewer(Some(1), None), Status::Fail);
        assert_eq!(fewer(None, Some(1)), Status::Warn);
        assert_eq!(fewer(Some(2), Some(3)), Status::Warn);
    }
}
