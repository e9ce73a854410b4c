//! What a verification has looked at, so that its verdict says no more than that.

use chaos_common::record::{Check, Experiment, Record, Status, Verification};

use crate::recovery::aftermath;

/// The gate that an experiment has wanted a backup at, where data was at stake.
const BACKUP_GATE: &str = "gate.backup";

/// What was looked at and what was not, in words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Coverage {
    looked: Vec<String>,
    not: Vec<&'static str>,
}

impl Coverage {
    fn add(&mut self, what: &'static str, looked: Option<String>) {
        match looked {
            Some(text) => self.looked.push(text),
            None => self.not.push(what),
        }
    }

    fn of(verification: &Verification, experiments: &[Record<Experiment>]) -> Coverage {
        let mut coverage = Coverage::default();
        let some = |count: usize, what: &str| (count > 0).then(|| format!("{count} {what}"));
        let state = &verification.state;
        coverage.add("workloads", some(state.workloads.len(), "workloads"));
        let rows = verification
            .database
            .as_ref()
            .map(|database| database.tables.len());
        let lists = lists(verification);
        match rows {
            None => coverage.add("the content of any database", None),
            Some(rows) => coverage.looked.extend(some(rows, "tables row by row")),
        }
        let counted = some(lists, "answers by their number of items");
        coverage.looked.extend(counted);
        coverage.add(
            "logs",
            some(verification.log_errors.len(), "workloads' logs"),
        );
        let under_load = verification
            .timings
            .iter()
            .filter(|one| one.load.is_some())
            .count();
        let alone = verification.timings.len() - under_load;
        let requests = verification.timings.iter().map(|one| one.requests).max();
        let alone = some(alone, "URLs' response times")
            .map(|text| format!("{text} coarsely ({} requests each)", requests.unwrap_or(0)));
        coverage.add(
            "response times",
            some(under_load, "URLs under load").or(alone),
        );
        if !experiments.is_empty() {
            let probed = experiments
                .iter()
                .map(|one| one.data.availability.len())
                .sum();
            coverage.add(
                "availability during the fault",
                some(probed, "URLs' availability during the fault"),
            );
        }
        coverage
    }
}

/// Answers of which items were counted.
fn lists(verification: &Verification) -> usize {
    let answers = verification.answers.iter();
    answers.filter(|answer| answer.items.is_some()).count()
}

/// `data.content`: where data was at stake and nobody read any, it is not known to be as before. That
/// answers have as many items as before says a little of it, which is a warning.
pub(crate) fn content(
    verification: &Verification,
    experiments: &[Record<Experiment>],
) -> Option<Check> {
    if verification.database.is_some() {
        return None;
    }
    let at_stake: Vec<&str> = experiments
        .iter()
        .filter(|one| data_at_stake(&one.data))
        .map(|one| one.data.experiment.as_str())
        .collect();
    if at_stake.is_empty() {
        return None;
    }
    let at_stake = at_stake.join(", ");
    let (status, message) = match lists(verification) {
        0 => (
            Status::Unknown,
            format!("data was at stake ({at_stake}), and none was read before and after"),
        ),
        lists => (
            Status::Warn,
            format!(
                "data was at stake ({at_stake}); of {lists} answers the items were counted, and no \
                 database was read"
            ),
        ),
    };
    Some(Check::new("data.content", "", status, message).hint(
        "name the database under [database], or paths of a Service that answer with lists as data",
    ))
}

/// Whether an experiment touched what may hold data: it wanted a backup, or hit a StatefulSet.
fn data_at_stake(experiment: &Experiment) -> bool {
    let gates = experiment
        .checks
        .iter()
        .filter(|check| check.id == BACKUP_GATE);
    let mut gates = gates.map(|check| check.status != Status::Skipped);
    let mut targets = experiment.targets.iter();
    experiment.injected.is_some()
        && (gates.any(|wanted| wanted) || targets.any(|one| one.owner.kind == "StatefulSet"))
}

/// The sentence of a verdict: what has not recovered, how many checks pass, what they cover.
pub(crate) fn summary(verification: &Verification, experiments: &[Record<Experiment>]) -> String {
    let checks = &verification.checks;
    let left: Vec<&str> = checks
        .iter()
        .filter(|check| aftermath::IDS.contains(&check.id.as_str()) && check.status == Status::Fail)
        .map(|check| check.message.as_str())
        .collect();
    let first = match left.as_slice() {
        [] => String::new(),
        left => format!("not recovered: {}; ", left.join("; ")),
    };
    let Coverage { looked, not } = Coverage::of(verification, experiments);
    let not = match not.as_slice() {
        [] => String::new(),
        not => format!("; not looked at: {}", not.join(", ")),
    };
    let looked = match looked.as_slice() {
        [] => String::new(),
        looked => format!("; looked at {}", looked.join(", ")),
    };
    let passed = chaos_common::record::summarize(checks);
    format!("{first}{passed}{looked}{not}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn verification(more: &Value) -> Verification {
        let mut record = json!({
            "cluster": { "id": "a", "server": "https://a" }, "namespace": "shop",
            "since": "2026-11-22T16:00:00Z", "checks": [],
            "state": { "workloads": [], "services": [], "nodes": [] },
            "configuration": [], "answers": [], "log_errors": [], "timings": [],
        });
        let fields = record.as_object_mut().expect("an object");
        fields.extend(more.as_object().expect("an object").clone());
        serde_json::from_value(record).expect("a verification")
    }

    fn experiment(gate: &str, kind: &str) -> Record<Experiment> {
        let time = "2026-11-22T16:00:00Z";
        serde_json::from_value(json!({
            "schema": "chaos.experiment/1", "id": "1", "run": "r", "time": time, "tool": "t",
            "verdict": "pass", "summary": "", "data": {
                "experiment": "storage-failure", "outcome": "completed", "namespace": "shop",
                "executor": "e", "started": time, "injected": time, "ended": time,
                "duration_ms": 1, "recoveries": [], "availability": [], "actions": [],
                "issues": [],
                "targets": [{
                    "kind": kind, "namespace": "shop", "name": "db", "uid": "u",
                    "owner": { "kind": kind, "namespace": "shop", "name": "db" },
                }],
                "checks": [{ "id": BACKUP_GATE, "status": gate, "message": "" }],
            },
        }))
        .expect("an experiment")
    }

    fn list() -> Value {
        json!({ "answers": [{
            "service": "s", "path": "/", "vantage": "direct", "status": 200, "items": 3,
        }] })
    }

    #[test]
    fn data_that_was_at_stake_and_that_nobody_read_is_unknown() {
        let blind = verification(&json!({}));
        for (gate, kind) in [
            ("pass", "Deployment"),
            ("warn", "Deployment"),
            ("skipped", "StatefulSet"),
        ] {
            let check = content(&blind, &[experiment(gate, kind)]).expect("it was at stake");
            assert_eq!(check.status, Status::Unknown, "{gate} {kind}");
        }
        assert_eq!(
            content(&blind, &[experiment("skipped", "Deployment")]),
            None
        );
        assert_eq!(content(&blind, &[]), None);
        let counted = verification(&list());
        let check = content(&counted, &[experiment("pass", "StatefulSet")]);
        let check = check.expect("it was at stake");
        assert_eq!(check.status, Status::Warn, "{check:?}");
        let text = summary(&counted, &[experiment("pass", "StatefulSet")]);
        assert!(
            text.contains("not looked at: workloads, the content of any database"),
            "{text}"
        );
    }

    #[test]
    fn the_sentence_says_what_was_and_what_was_not_looked_at() {
        let blind = summary(
            &verification(&json!({})),
            &[experiment("pass", "Deployment")],
        );
        let words = "not looked at: workloads, the content of any database, logs, response times, \
                     availability during the fault";
        assert!(blind.ends_with(words), "{blind}");
        let mut more = list();
        more["timings"] = json!([{
            "service": "s", "path": "/", "vantage": "direct", "requests": 50, "errors": 0,
        }]);
        let seen = summary(&verification(&more), &[]);
        assert!(
            seen.contains("1 URLs' response times coarsely (50 requests each)")
                && seen.contains("1 answers by their number of items"),
            "{seen}"
        );
    }

    #[test]
    fn what_has_not_recovered_comes_first() {
        let checks = json!({ "checks": [
            { "id": "recovery.pods.ready", "status": "fail", "message": "not ready" },
            { "id": "recovery.alerts", "status": "fail", "message": "Down fires, 45 s after" },
        ] });
        let text = summary(&verification(&checks), &[]);
        assert!(
            text.starts_with("not recovered: Down fires, 45 s after; "),
            "{text}"
        );
    }
}
