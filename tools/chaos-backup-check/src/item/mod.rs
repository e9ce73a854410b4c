//! One configured backup, from its place to its record: locate, open, inspect, judge, assemble.

mod criteria;
mod drift;
pub(crate) mod evidence;
pub(crate) mod freshness;
mod inspect;
mod judge;
pub(crate) mod pg_dump_program;
mod reads;
pub(crate) mod resource_kinds;
mod size_trend;
mod snapshot;
mod told;

use chaos_common::config::Backup;
use chaos_common::record::{BackupItem, Check};
use jiff::Timestamp;

use self::criteria::Criteria;
use self::inspect::{Facts, Inspected, inspect};
use self::judge::{Judgement, judge};
use crate::context::Context;
use crate::source;

pub(crate) use self::criteria::Scope;
pub(crate) use self::inspect::expectations;

/// A backup by its record, and the checks of it.
pub(crate) struct ItemReport {
    pub(crate) item: BackupItem,
    pub(crate) checks: Vec<Check>,
}

/// A backup that nothing is known of yet.
pub(crate) fn unseen(backup: &Backup) -> BackupItem {
    BackupItem {
        name: backup.name.clone(),
        path: source::label(backup),
        resolved: None,
        size_bytes: None,
        made: None,
        age_s: None,
        max_age_s: backup.max_age.map(freshness::seconds),
        blake3: None,
        contents: None,
        drill: None,
    }
}

/// Checks one backup. It waits for disks and networks.
pub(crate) fn check(backup: &Backup, scope: Scope, context: &Context) -> ItemReport {
    let criteria = Criteria::of(backup, scope, Timestamp::now());
    let opened = source::locate(backup).and_then(|located| located.open(context));
    let facts = inspect(opened, &criteria, context);
    let judgement = judge(&facts, &criteria);
    assemble(facts, judgement, &criteria)
}

/// The record of a backup, of what was found out and what that means.
fn assemble(facts: Facts, judgement: Judgement, criteria: &Criteria) -> ItemReport {
    let named = criteria.backup.snapshot.is_some();
    let mut item = BackupItem {
        max_age_s: criteria.due.max_age_s(),
        made: judgement.age.map(|age| age.made),
        age_s: judgement.age.map(|age| age.age_s),
        drill: judgement.drill,
        ..unseen(criteria.backup)
    };
    match facts.found {
        Inspected::Absent(_) => {}
        Inspected::Snapshot(snapshot) => {
            item.resolved = (!named).then(|| format!("volumesnapshot/{}", snapshot.name));
            item.size_bytes = snapshot.size;
            item.contents = Some(snapshot::contents(&snapshot));
        }
        Inspected::Told(account) => {
            item.resolved = Some(account.backup.clone());
            item.size_bytes = account.size;
            item.contents = Some(account.contents());
        }
        Inspected::Stored(stored) => {
            item.resolved = stored.resolved;
            item.size_bytes = Some(stored.size);
            if let Ok(verified) = stored.content {
                item.size_bytes = Some(verified.size_bytes);
                item.blake3 = Some(verified.blake3);
                item.contents = Some(verified.found.contents);
            }
        }
    }
    ItemReport {
        item,
        checks: judgement.checks,
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::path::Path;
    use std::sync::Arc;

    use chaos_backup_check::formats::inspection::COMPLETE;
    use chaos_common::cluster::Access;
    use chaos_common::record::{Status, Verdict};

    use super::*;
    use crate::progress::Readings;
    use crate::source::Opened;
    use crate::source::claim::ClaimPods;

    fn context() -> Context {
        Context {
            access: Access::default(),
            namespace: "shop".into(),
            config: Arc::default(),
            readings: Readings::default(),
            claim_pods: ClaimPods::default(),
            trust_unchanged: None,
        }
    }

    fn backup(path: &Path) -> Backup {
        serde_json::from_value(serde_json::json!({
            "name": "x", "kind": "kubernetes", "path": path, "max_age": "60s", "live": false
        }))
        .expect("a backup")
    }

    const TEXT: &str = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";

    /// Whether a backup is known to be whole to which this is done while it is read.
    fn complete_after(change: impl FnOnce(&Path)) -> (Status, String) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("objects.yaml");
        std::fs::write(&path, TEXT).expect("written");
        let backup = backup(&path);
        let report = check(&backup, Scope::Everything, &context());
        let (checks, verdict) = (&report.checks, Verdict::of(&report.checks));
        assert_eq!(verdict, Verdict::Pass, "{checks:?}");
        let opened = source::open_stored(&backup, &context());
        let stored = opened.map_err(|absent| absent.why).expect("there");
        change(&path);
        let criteria = Criteria::of(&backup, Scope::Content, Timestamp::now());
        let facts = inspect(Ok(Opened::Stored(stored)), &criteria, &context());
        let judged = judge(&facts, &criteria);
        let complete = judged.checks.into_iter().find(|check| check.id == COMPLETE);
        let complete = complete.expect("it was read");
        (complete.status, complete.message)
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_unknown() {
        let (status, message) = complete_after(|path| {
            let mut file = File::options().append(true).open(path).expect("open");
            file.write_all(b"# more\n").expect("written");
        });
        assert_eq!(status, Status::Unknown);
        assert!(message.contains("still being written"), "{message}");
    }

    #[test]
    fn a_file_that_is_replaced_or_removed_while_it_is_read_is_unknown() {
        let (status, message) = complete_after(|path| {
            let other = path.with_extension("new");
            std::fs::write(&other, TEXT).expect("written");
            std::fs::rename(&other, path).expect("renamed");
        });
        assert_eq!(status, Status::Unknown, "{message}");
        let (status, message) = complete_after(|path| {
            std::fs::remove_file(path).expect("removed");
        });
        assert_eq!(status, Status::Unknown, "{message}");
    }
}
