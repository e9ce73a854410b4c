//! What the snapshot of a volume is worth: whether it is ready, and young enough, by what its
//! driver says of it.

use chaos_backup_check::formats::inspection::COMPLETE;
use chaos_backup_check::formats::manifest::SEALED;
use chaos_common::record::{Check, Contents, Status, Time};

use super::criteria::Criteria;
use super::freshness::{self, Age, FRESH};
use crate::progress::bytes;
use crate::source::PRESENT;
use crate::source::volume_snapshot::VolumeSnapshot;

const EXPECTED: &str = "backup.expected";

/// What it holds, for the record.
pub(super) fn contents(snapshot: &VolumeSnapshot) -> Contents {
    Contents::VolumeSnapshot {
        claim: snapshot.claim.clone(),
        bound_to: snapshot.bound_to.clone(),
    }
}

/// Its checks, and its age where its driver tells it.
pub(super) fn judge(snapshot: &VolumeSnapshot, criteria: &Criteria) -> (Vec<Check>, Option<Age>) {
    let object = &criteria.object;
    let fresh = snapshot
        .made
        .filter(|_| snapshot.taken)
        .map(|made| freshness::judge_snapshot(criteria.now, made, &criteria.due));
    let mut checks = vec![present(snapshot, criteria)];
    checks.push(match &fresh {
        Some(fresh) => fresh.check(object),
        None => Check::unknown(FRESH, object, "does not say when it was taken"),
    });
    let (status, message) = state(snapshot);
    checks.push(Check::new(COMPLETE, object, status, message).hint(format!(
        "kubectl describe volumesnapshot {} says what its controller and driver do",
        snapshot.name
    )));
    checks.push(
        Check::skipped(
            SEALED,
            object,
            "is not read: what the application had not written yet, \
             and damage that was there before, go unseen",
        )
        .hint("keep a dump beside it, which can be read and restored for a trial"),
    );
    checks.extend(of_claim(snapshot, criteria));
    (checks, fresh.map(|fresh| fresh.age))
}

fn source_of(snapshot: &VolumeSnapshot) -> String {
    match &snapshot.claim {
        Some(claim) => format!("claim {claim}"),
        None => "contents that were there before".to_owned(),
    }
}

fn present(snapshot: &VolumeSnapshot, criteria: &Criteria) -> Check {
    let of = source_of(snapshot);
    let size = snapshot.size.map_or(String::new(), |size| {
        format!(", makes a volume of {}", bytes(size))
    });
    let newest = if criteria.backup.snapshot.is_none() {
        format!("the newest is {}, ", snapshot.name)
    } else {
        String::new()
    };
    let message = format!("a snapshot: {newest}of {of}{size}");
    Check::pass(PRESENT, &criteria.object, message)
}

/// Whether it is of the claim that the configuration names, if it names one.
fn of_claim(snapshot: &VolumeSnapshot, criteria: &Criteria) -> Option<Check> {
    let (object, wanted) = (&criteria.object, criteria.backup.claim.as_ref()?);
    let message = format!("is of {}", source_of(snapshot));
    if snapshot.claim.as_ref() == Some(wanted) {
        return Some(Check::pass(EXPECTED, object, message));
    }
    let message = format!("{message}, and not of claim {wanted}");
    Some(
        Check::fail(EXPECTED, object, message)
            .hint("name a snapshot of the right claim, or correct the claim in the configuration"),
    )
}

/// Whether a volume can be made of it.
fn state(snapshot: &VolumeSnapshot) -> (Status, String) {
    match snapshot {
        VolumeSnapshot { going: true, .. } => (Status::Fail, "is being deleted".to_owned()),
        VolumeSnapshot {
            ready: true,
            error: None,
            ..
        } => (
            Status::Pass,
            "is ready to use, as its driver says; its blocks are not read".to_owned(),
        ),
        VolumeSnapshot {
            ready: true,
            error: Some(error),
            ..
        } => (
            Status::Warn,
            format!(
                "is ready to use, as its driver says, which had trouble with it besides: {error}"
            ),
        ),
        VolumeSnapshot {
            error: Some(error), ..
        } => (Status::Fail, format!("is not ready to use: {error}")),
        VolumeSnapshot { made, .. } => {
            let since = made.map_or(String::new(), |made| {
                format!("; it was asked for at {}", Time(made).human())
            });
            (Status::Unknown, format!("is not ready to use yet{since}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::item::criteria::Scope;
    use crate::source::volume_snapshot::tests::{backup, snapshot};

    fn status(snapshot: &VolumeSnapshot, table: &str, id: &str) -> Status {
        let backup = backup(table);
        let now = "2026-11-22T16:00:00Z".parse().expect("a time");
        let (checks, _) = judge(snapshot, &Criteria::of(&backup, Scope::Everything, now));
        let found = checks.iter().find(|check| check.id == id);
        found
            .unwrap_or_else(|| panic!("no {id}: {checks:?}"))
            .status
    }

    fn ready() -> Value {
        json!({"readyToUse": true, "creationTime": "2026-11-22T01:00:05Z", "restoreSize": "10Gi"})
    }

    #[test]
    fn only_what_is_ready_and_young_passes() {
        let of = |status: Value| snapshot("a", "data", &status);
        assert_eq!(
            status(&of(ready()), "claim = 'data'", COMPLETE),
            Status::Pass
        );
        assert_eq!(status(&of(ready()), "claim = 'data'", FRESH), Status::Pass);
        assert_eq!(
            status(&of(ready()), "claim = 'data'", EXPECTED),
            Status::Pass
        );
        assert_eq!(
            status(&of(ready()), "claim = 'data'\nmax_age = '1h'", FRESH),
            Status::Fail
        );
        assert_eq!(of(ready()).size, Some(10 << 30));
        for nothing in [json!(null), json!({}), json!({"readyToUse": false})] {
            assert_eq!(
                status(&of(nothing.clone()), "claim = 'data'", COMPLETE),
                Status::Unknown,
                "{nothing}"
            );
            assert_eq!(
                status(&of(nothing), "claim = 'data'", FRESH),
                Status::Unknown,
                "when it was asked for is not when it was taken"
            );
        }
        let failed = json!({"readyToUse": false, "error": {"message": "the driver is gone"}});
        assert_eq!(
            status(&of(failed), "claim = 'data'", COMPLETE),
            Status::Fail
        );
        let troubled = json!({"readyToUse": true, "error": {"message": "x"}});
        assert_eq!(
            status(&of(troubled), "claim = 'data'", COMPLETE),
            Status::Warn
        );
        let going = VolumeSnapshot {
            going: true,
            ..of(ready())
        };
        assert_eq!(status(&going, "claim = 'data'", COMPLETE), Status::Fail);
        assert_eq!(
            status(&of(ready()), "snapshot = 'a'\nclaim = 'other'", EXPECTED),
            Status::Fail
        );
    }
}
