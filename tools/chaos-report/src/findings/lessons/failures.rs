//! What failed, and what to do about it.

use chaos_common::record::{Check, Loss, Status};

use super::{Found, Rule, Topic};
use crate::findings::run_record::{RunRecord, describe};
use crate::findings::words::{count, list};

/// The most objects that one failure names.
const NAMED: usize = 4;

/// Checks of one name with the same answer, as one failure.
pub(in crate::findings) struct Group<'a> {
    pub(in crate::findings) checks: Vec<&'a Check>,
}

impl Group<'_> {
    /// All of them in one sentence.
    pub(in crate::findings) fn describe(&self) -> String {
        let first = self.checks[0];
        if self.checks.len() == 1 {
            return describe(first);
        }
        let objects = self.checks.iter().filter_map(|check| check.object.clone());
        let objects: Vec<String> = objects.collect();
        format!("{} {}: {}", first.id, list(&objects, NAMED), first.message)
    }

    fn hint(&self) -> Option<&str> {
        self.checks.iter().find_map(|check| check.hint.as_deref())
    }
}

/// Checks with an answer, those of one name and message together.
pub(in crate::findings) fn grouped<'a>(
    checks: impl IntoIterator<Item = &'a Check>,
    status: Status,
) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    for check in checks.into_iter().filter(|check| check.status == status) {
        let same = |group: &&mut Group<'_>| {
            let first = group.checks[0];
            first.id == check.id && first.message == check.message
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.checks.push(check),
            None => groups.push(Group {
                checks: vec![check],
            }),
        }
    }
    groups
}

/// A check of the experiment or of the verification failed.
pub(super) const FAILED: Rule = Rule {
    name: "failed-check",
    topic: Topic::Failures,
    derive: failed,
};

fn failed(run: &RunRecord) -> Vec<Found> {
    let groups = grouped(run.judged(), Status::Fail);
    let found = |group: &Group<'_>| Found::new(group.describe(), run.place(group.checks[0]));
    groups.iter().map(found).collect()
}

/// Data is lost.
pub(super) const LOST: Rule = Rule {
    name: "data-lost",
    topic: Topic::Failures,
    derive: lost,
};

fn lost(run: &RunRecord) -> Vec<Found> {
    let losses = run.experiment_data().map_or(&[][..], |data| &data.losses);
    let found = |loss: &Loss| {
        let accepted = if loss.accepted {
            "accepted beforehand"
        } else {
            "accepted by nobody"
        };
        let text = format!("Lost, {accepted}: {} ({})", loss.name, loss.message);
        Found::new(text, "experiment: losses")
    };
    losses.iter().map(found).collect()
}

/// A check from before the experiment failed, and the experiment was refused.
pub(super) const BEFORE: Rule = Rule {
    name: "failed-before",
    topic: Topic::Failures,
    derive: before,
};

fn before(run: &RunRecord) -> Vec<Found> {
    if run.touched() {
        return Vec::new();
    }
    let health = run.health.iter().flat_map(|record| &record.data.checks);
    let backup = run.backup.iter().flat_map(|record| &record.data.checks);
    let groups = grouped(health.chain(backup), Status::Fail);
    let found = |group: &Group<'_>| Found::new(group.describe(), run.place(group.checks[0]));
    groups.iter().map(found).collect()
}

/// What the check of a failure says is to be done.
pub(super) const FOLLOW_UP: Rule = Rule {
    name: "follow-up",
    topic: Topic::FollowUp,
    derive: follow_up,
};

fn follow_up(run: &RunRecord) -> Vec<Found> {
    let groups = grouped(run.judged(), Status::Fail);
    let mut found = Vec::new();
    let mut rest = Vec::new();
    for group in &groups {
        let id = &group.checks[0].id;
        match group.hint() {
            Some(hint) => {
                let place = run.place(group.checks[0]);
                found.push(Found::new(format!("For {id}: {hint}"), place));
            }
            None => rest.push(id.clone()),
        }
    }
    rest.dedup();
    if !rest.is_empty() {
        let causes = count(rest.len(), "failure", "failures");
        let text = format!("Find the cause of {causes}: {}", list(&rest, NAMED));
        found.push(Found::new(text, "their checks"));
    }
    found
}
