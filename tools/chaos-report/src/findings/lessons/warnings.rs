//! What warns: it made no verdict worse, and is worth a look.

use chaos_common::record::{Check, Status};

use super::failures::{Group, grouped};
use super::{Found, Rule, Topic};
use crate::findings::run_record::RunRecord;

/// A check of the experiment or of the verification warns that did not warn before.
pub(super) const WARNED: Rule = Rule {
    name: "warned",
    topic: Topic::Improvements,
    derive: warned,
};

fn warned(run: &RunRecord) -> Vec<Found> {
    // What limits say of a run that was refused is part of the refusal.
    let is_moot = |check: &Check| !run.touched() && check.id.starts_with("limit.");
    let is_news =
        |check: &&Check| !was_so(run, check) && !is_of_alert(run, check) && !is_moot(check);
    let news = run.judged().into_iter().filter(is_news);
    let groups = grouped(news, Status::Warn);
    groups.iter().map(|group| found_in(run, group)).collect()
}

/// The health check warned of the same before the experiment.
fn was_so(run: &RunRecord, check: &Check) -> bool {
    let id = check.id.strip_prefix("recovery.").unwrap_or(&check.id);
    let before = run.health.iter().flat_map(|record| &record.data.checks);
    before
        .filter(|was| was.status == Status::Warn)
        .any(|was| was.id == id && was.object == check.object)
}

/// It is about an alert that the record tells of: the rules on alerts do.
fn is_of_alert(run: &RunRecord, check: &Check) -> bool {
    let alerts = run.experiment_data().map_or(&[][..], |data| &data.alerts);
    let object = check
        .object
        .as_deref()
        .and_then(|object| object.strip_prefix("alert/"));
    object.is_some_and(|name| alerts.iter().any(|alert| alert.name == name))
}

/// A check of the backups warns.
pub(super) const BACKUP: Rule = Rule {
    name: "backup-warned",
    topic: Topic::Improvements,
    derive: backup,
};

fn backup(run: &RunRecord) -> Vec<Found> {
    let checks = run.backup.iter().flat_map(|record| &record.data.checks);
    let groups = grouped(checks, Status::Warn);
    groups.iter().map(|group| found_in(run, group)).collect()
}

fn found_in(run: &RunRecord, group: &Group<'_>) -> Found {
    let text = format!("Look at {}", group.describe());
    Found::new(text, run.place(group.checks[0]))
}
