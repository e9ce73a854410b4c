//! What the facts about a backup mean: decisions on values, and nothing else.

use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::inspection::{COMPLETE, Verified};
use chaos_backup_check::formats::kubernetes::RESOURCES;
use chaos_backup_check::formats::manifest::{Manifest, SEALED};
use chaos_common::config::Location;
use chaos_common::record::{Check, RestoreDrill, Status, Time};
use jiff::Timestamp;

use super::criteria::{Criteria, Scope};
use super::drift::ClusterView;
use super::freshness::{self, Age, Dates, FRESH, Freshness};
use super::inspect::{Drills, Facts, Inspected, NotWhole, StoredFacts};
use super::{drift, evidence, size_trend, snapshot, told};
use crate::source::name_stamp::Stamp;
use crate::source::{Absent, PRESENT};

/// What the facts mean.
pub(super) struct Judgement {
    /// In the order in which people read them.
    pub(super) checks: Vec<Check>,
    /// `None` where nothing tells when it was made.
    pub(super) age: Option<Age>,
    /// The drill that says the most.
    pub(super) drill: Option<RestoreDrill>,
}

/// Judges a backup.
pub(super) fn judge(facts: &Facts, criteria: &Criteria) -> Judgement {
    let (mut checks, age) = match &facts.found {
        Inspected::Absent(absent) => (nothing(absent, criteria), None),
        Inspected::Snapshot(found) => snapshot::judge(found, criteria),
        Inspected::Told(account) => told::judge(account, criteria),
        Inspected::Stored(stored) => whole(stored, criteria),
    };
    if criteria.scope == Scope::Content {
        checks.retain(|check| check.id != FRESH);
    }
    let blake3 = match &facts.found {
        Inspected::Stored(stored) => stored.content.as_ref().ok().map(|read| &*read.blake3),
        _ => None,
    };
    let (check, drill) = restore_tested(&facts.drills, blake3, criteria);
    checks.extend(check);
    Judgement { checks, age, drill }
}

fn nothing(absent: &Absent, criteria: &Criteria) -> Vec<Check> {
    let object = &criteria.object;
    let noun = match criteria.backup.place() {
        Ok(Location::Snapshot) => "snapshot",
        Ok(Location::Tool(_)) => "backup",
        _ => "file",
    };
    let skipped = |id| Check::skipped(id, object, format!("there is no {noun} to look at"));
    vec![
        absent.check(PRESENT, object),
        skipped(FRESH),
        skipped(COMPLETE),
    ]
}

fn whole(stored: &StoredFacts, criteria: &Criteria) -> (Vec<Check>, Option<Age>) {
    let object = &criteria.object;
    let fresh = fresh(stored, criteria);
    let mut checks = vec![present(stored, object)];
    checks.push(match &fresh {
        Some(fresh) => fresh.check(object),
        None => Check::unknown(
            FRESH,
            object,
            "the file system gives it no modification time",
        ),
    });
    checks.extend(content(stored, object));
    checks.extend(size_trend::check(stored, object));
    let age = fresh.map(|fresh| fresh.age);
    if let (Some(cluster), Ok(verified)) = (&stored.cluster, &stored.content) {
        let made = age.map(|age| age.made.0);
        checks.push(drift::check(cluster, &verified.found.objects, made, object));
        // What the cluster has says more than a list of kinds, of some of which it may have none.
        if matches!(cluster, ClusterView::Read { .. }) {
            checks.retain(|check| check.id != RESOURCES);
        }
    }
    (checks, age)
}

fn present(stored: &StoredFacts, object: &str) -> Check {
    let leads = if stored.chosen {
        "the newest is"
    } else {
        "a link to"
    };
    let to = match &stored.resolved {
        Some(path) => format!(", {leads} {path}"),
        None => String::new(),
    };
    let besides = match &stored.passed_over {
        Some(what) => format!("; {what}"),
        None => String::new(),
    };
    let message = format!("{} of {} bytes{to}{besides}", stored.noun, stored.size);
    Check::pass(PRESENT, object, message)
}

/// The manifest's time counts where the backup is what the manifest says.
fn fresh(stored: &StoredFacts, criteria: &Criteria) -> Option<Freshness> {
    let (now, due) = (criteria.now, &criteria.due);
    if let Some(made) = sealed_at(stored) {
        return Some(freshness::judge_sealed(now, made, due));
    }
    let header = stored
        .content
        .as_ref()
        .ok()
        .and_then(|read| read.found.created);
    let dates = Dates {
        modified: stored.modified_at()?,
        header: header.and_then(Stamp::local),
        name: stored.named,
    };
    Some(freshness::judge(now, &dates, due))
}

fn sealed_at(stored: &StoredFacts) -> Option<Timestamp> {
    let manifest = stored.manifest.as_ref().ok()?.as_ref()?;
    let verified = stored.content.as_ref().ok()?;
    let differs = manifest.differs(verified.size_bytes, &verified.blake3);
    differs.is_none().then_some(manifest.made.0)
}

/// Whether it is whole, and what it holds.
fn content(stored: &StoredFacts, object: &str) -> Vec<Check> {
    match &stored.content {
        Ok(verified) => {
            let mut checks = vec![
                Check::pass(COMPLETE, object, &verified.found.message),
                sealed(verified, &stored.manifest, object),
            ];
            checks.extend(verified.found.checks.iter().cloned());
            checks
        }
        Err(why) => vec![not_whole(why, object)],
    }
}

fn not_whole(why: &NotWhole, object: &str) -> Check {
    match why {
        NotWhole::BeingWritten(change) => {
            let message = format!("is still being written: {change}");
            Check::unknown(COMPLETE, object, message).hint(
                "check again when the backup has ended; \
                 write to another name and rename at the end",
            )
        }
        NotWhole::Unsound(FormatError::Damaged(why)) => Check::fail(COMPLETE, object, why)
            .hint("do not count on this file: make a new backup, and keep the last good one"),
        NotWhole::Unsound(FormatError::CannotTell(why)) => Check::unknown(COMPLETE, object, why),
    }
}

/// Whether the backup is what it was when it was sealed.
fn sealed(
    verified: &Verified,
    manifest: &Result<Option<Manifest>, FormatError>,
    object: &str,
) -> Check {
    let manifest = match manifest {
        Ok(Some(manifest)) => manifest,
        Ok(None) => {
            let unseen = verified.found.limit;
            let message = format!("has no manifest, without which this goes unseen: {unseen}");
            return Check::skipped(SEALED, object, message)
                .hint("run chaos-backup-check seal on each backup right after it is made");
        }
        Err(error) => return Check::unknown(SEALED, object, error.to_string()),
    };
    let at = manifest.sealed.human();
    match manifest.differs(verified.size_bytes, &verified.blake3) {
        None => Check::pass(SEALED, object, format!("is what was sealed at {at}")),
        Some(why) => {
            let message = format!("is not what was sealed at {at}: it {why}");
            Check::fail(SEALED, object, message).hint(
                "find out what changed it; restore the file from another copy, \
                 or make a new backup",
            )
        }
    }
}

/// What the drills prove.
fn restore_tested(
    drills: &Drills,
    blake3: Option<&str>,
    criteria: &Criteria,
) -> (Option<Check>, Option<RestoreDrill>) {
    let object = &criteria.object;
    let skipped = |why: String| Check::skipped(evidence::ID, object, why);
    let check = match drills {
        Drills::NotAsked => return (None, None),
        Drills::NotPossible(what) => skipped(format!("{what}, which no drill restores"))
            .hint("restore it for a trial by hand, into a place of its own, and look at the data"),
        Drills::NotConfigured => {
            skipped("is not asked: there is no [drill] in the configuration".to_owned())
        }
        Drills::Kept(kept, max_age) => {
            let advice = format!(
                "chaos-backup-check drill {} restores it for a trial, into a place of its own",
                criteria.backup.name
            );
            let latest = match kept {
                Ok(drills) => evidence::telling(drills, blake3),
                Err(error) => {
                    let check = Check::unknown(evidence::ID, object, error.to_string());
                    return (Some(check.hint(advice)), None);
                }
            };
            let (status, message) = match &latest {
                Some(told) => evidence::judge(told, *max_age, Time(criteria.now)),
                None => (Status::Unknown, "no drill has restored it".to_owned()),
            };
            let check = Check::new(evidence::ID, object, status, message).hint(advice);
            return (Some(check), latest.map(|told| told.drill.clone()));
        }
    };
    (Some(check), None)
}
