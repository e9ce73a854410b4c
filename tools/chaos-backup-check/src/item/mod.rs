//! One configured backup: is it there, is it young enough, is it whole?

use std::time::Duration;

use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::inspection::{COMPLETE, Expectations, Verified};
use chaos_backup_check::formats::kubernetes::Object;
use chaos_backup_check::formats::manifest::{Manifest, SEALED};
use chaos_common::cli;
use chaos_common::config::{Backup, BackupKind, Config, Place};
use chaos_common::record::{BackupItem, Check, Status, Time};
use jiff::Timestamp;

pub(crate) mod drift;
pub(crate) mod evidence;
pub(crate) mod freshness;
pub(crate) mod pg_dump_program;
pub(crate) mod resource_kinds;
mod size_trend;

use self::drift::ID as LIVE;
use self::freshness::{Due, FRESH, aged};
use crate::context::Context;
use crate::source::volume_snapshot as snapshot;
use crate::source::{self, Found, PRESENT};

/// A file that was written to so short ago may still be written.
const YOUNG: Duration = Duration::from_secs(60);
/// How long it is waited for whether more of it is written.
const SETTLE: Duration = Duration::from_millis(1500);

/// A backup that nothing is known of yet.
pub(crate) fn unseen(backup: &Backup) -> BackupItem {
    BackupItem {
        name: backup.name.clone(),
        path: source::label(backup),
        resolved: None,
        size_bytes: None,
        made: None,
        age_s: None,
        max_age_s: i64::try_from(backup.max_age.0.as_secs()).unwrap_or(i64::MAX),
        blake3: None,
        contents: None,
        drill: None,
    }
}

/// Looks at one backup, and at what proves that it restores.
pub(crate) fn examine(
    backup: &Backup,
    now: Timestamp,
    context: &Context,
) -> (BackupItem, Vec<Check>) {
    let (mut item, mut checks) = look(backup, now, context);
    if backup.kind == BackupKind::VolumeSnapshot {
        checks.push(
            Check::skipped(
                evidence::ID,
                &item.path,
                "is a volume's snapshot, which no drill restores",
            )
            .hint("make a claim of it in a namespace for trials, and start the database on that"),
        );
        return (item, checks);
    }
    checks.push(evidence::check(
        &context.config,
        &context.namespace,
        &mut item,
        Time(now),
    ));
    (item, checks)
}

/// Reads one backup to its end, whatever its age and what the cluster has now.
pub(crate) fn read_whole(
    backup: &Backup,
    now: Timestamp,
    context: &Context,
) -> (BackupItem, Vec<Check>) {
    let alone = Backup {
        live: false,
        ..backup.clone()
    };
    let (item, mut checks) = look(&alone, now, context);
    checks.retain(|check| !matches!(check.id.as_str(), FRESH | LIVE));
    (item, checks)
}

fn look(backup: &Backup, now: Timestamp, context: &Context) -> (BackupItem, Vec<Check>) {
    let mut item = unseen(backup);
    let due = Due::of(backup, now);
    item.max_age_s = due.max_age_s();
    if backup.place() == Ok(Place::Snapshot) {
        let checks = cli::block_on(snapshot::examine(backup, context, now, &due, &mut item));
        return (item, checks);
    }
    let object = item.path.clone();
    let found = match source::find(backup, context) {
        Ok(found) => found,
        Err(absent) => {
            let skipped = |id| Check::skipped(id, &object, "there is no file to look at");
            return (
                item,
                vec![
                    absent.check(PRESENT, &object),
                    skipped(FRESH),
                    skipped(COMPLETE),
                ],
            );
        }
    };
    let size = found.before.size;
    item.resolved.clone_from(&found.resolved);
    item.size_bytes = Some(size);
    let leads = if matches!(backup.place(), Ok(Place::S3 { .. })) {
        "the newest is"
    } else {
        "a link to"
    };
    let to = item
        .resolved
        .as_ref()
        .map(|path| format!(", {leads} {path}"))
        .unwrap_or_default();
    let mut checks = vec![Check::pass(
        PRESENT,
        &object,
        format!("{} of {size} bytes{to}", found.noun),
    )];
    let manifest = found.manifest();
    let mut read = Vec::new();
    let objects = complete(&found, backup, context, &mut item, &mut read, &manifest);
    let sealed = read
        .iter()
        .any(|check| check.id == SEALED && check.status == Status::Pass);
    let sealed = manifest
        .ok()
        .flatten()
        .filter(|_| sealed)
        .map(|manifest| manifest.made.0);
    checks.push(fresh(&found, now, sealed, &due, &mut item));
    checks.extend(read);
    if !found.folder {
        let neighbours = found.source().neighbours();
        checks.extend(size_trend::check(
            &found.name,
            neighbours,
            size,
            found.before.modified,
            &object,
        ));
    }
    if let Some(objects) = objects.filter(|_| backup.kind == BackupKind::Kubernetes) {
        let made = item.made.map(|made| made.0);
        let live = drift::check(
            &context.access,
            &context.namespace,
            backup,
            &objects,
            made,
            &object,
        );
        checks.push(cli::block_on(live));
    }
    (item, checks)
}

fn fresh(
    found: &Found,
    now: Timestamp,
    sealed: Option<Timestamp>,
    due: &Due,
    item: &mut BackupItem,
) -> Check {
    let object = &item.path;
    let judged = match (sealed, found.modified()) {
        (Some(made), _) => freshness::judge_sealed(now, made, due),
        (None, Some(modified)) => freshness::judge(now, modified, found.stamp(), due),
        (None, None) => {
            return Check::unknown(
                FRESH,
                object,
                "the file system gives it no modification time",
            );
        }
    };
    aged(judged, item)
}

/// Reads the file in full.
fn complete(
    found: &Found,
    backup: &Backup,
    context: &Context,
    item: &mut BackupItem,
    checks: &mut Vec<Check>,
    manifest: &Result<Option<Manifest>, FormatError>,
) -> Option<Vec<Object>> {
    let object = item.path.clone();
    let object = object.as_str();
    let want = want(backup, &context.config);
    let read = found.verify(Some(backup.kind), &want, &context.readings, object);
    // A backup that is being made looks cut, and may stand still for a moment.
    if read.is_err() && found.is_young() && found.written_meanwhile().is_none() {
        std::thread::sleep(SETTLE);
    }
    let read = match found.written_meanwhile() {
        Some(change) => Err(Check::unknown(
            COMPLETE,
            object,
            format!("is still being written: {change}"),
        )
        .hint(
            "check again when the backup has ended; write to another name and rename at the end",
        )),
        None => read.map_err(|trouble| match trouble {
            FormatError::Damaged(why) => Check::fail(COMPLETE, object, why)
                .hint("do not count on this file: make a new backup, and keep the last good one"),
            FormatError::CannotTell(why) => Check::unknown(COMPLETE, object, why),
        }),
    };
    match read {
        Ok(verified) => {
            checks.push(Check::pass(COMPLETE, object, &verified.found.message));
            checks.push(sealed(&verified, object, manifest));
            checks.extend(verified.found.checks);
            item.size_bytes = Some(verified.size_bytes);
            item.blake3 = Some(verified.blake3);
            item.contents = Some(verified.found.contents);
            Some(verified.found.objects)
        }
        Err(check) => {
            checks.push(check);
            None
        }
    }
}

/// What a backup has to hold.
pub(crate) fn want(backup: &Backup, config: &Config) -> Expectations {
    let postgres = backup.kind == BackupKind::Postgres;
    let database = backup
        .database
        .clone()
        .or_else(|| Some(config.database.as_ref()?.name.clone()));
    Expectations {
        database: database.filter(|_| postgres),
        expect: backup.expect.clone(),
    }
}

/// Whether the backup is what it was when it was sealed.
fn sealed(
    verified: &Verified,
    object: &str,
    manifest: &Result<Option<Manifest>, FormatError>,
) -> Check {
    let manifest = match manifest {
        Ok(Some(manifest)) => manifest,
        Ok(None) => {
            return Check::skipped(
                SEALED,
                object,
                format!(
                    "has no manifest, without which this goes unseen: {}",
                    verified.found.limit
                ),
            )
            .hint("run chaos-backup-check seal on each backup right after it is made");
        }
        Err(trouble) => return Check::unknown(SEALED, object, trouble.to_string()),
    };
    match manifest.differs(verified.size_bytes, &verified.blake3) {
        None => Check::pass(
            SEALED,
            object,
            format!("is what was sealed at {}", manifest.sealed.human()),
        ),
        Some(why) => Check::fail(
            SEALED,
            object,
            format!(
                "is not what was sealed at {}: it {why}",
                manifest.sealed.human()
            ),
        )
        .hint("find out what changed it; restore the file from another copy, or make a new backup"),
    }
}

impl Found {
    /// Whether it was written to just now.
    fn is_young(&self) -> bool {
        let age = self
            .before
            .modified
            .and_then(|modified| modified.elapsed().ok());
        age.is_some_and(|age| age < YOUNG)
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::sync::Arc;

    use chaos_common::cluster::Access;
    use chaos_common::config::Span;
    use chaos_common::record::Verdict;

    use super::*;
    use crate::progress::Readings;

    fn context() -> Context {
        Context {
            access: Access::default(),
            namespace: "shop".into(),
            config: Arc::default(),
            readings: Readings::default(),
        }
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_unknown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("objects.yaml");
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
        std::fs::write(&path, text).expect("written");
        let backup = Backup {
            name: "x".into(),
            kind: BackupKind::Kubernetes,
            path: path.clone(),
            pod: None,
            container: None,
            snapshot: None,
            selector: None,
            claim: None,
            max_age: Span::seconds(60),
            resources: Vec::new(),
            live: false,
            schedule: None,
            database: None,
            expect: Vec::new(),
        };
        let (mut item, checks) = examine(&backup, Timestamp::now(), &context());
        assert_eq!(Verdict::of(&checks), Verdict::Pass, "{checks:?}");
        let found = source::find(&backup, &context())
            .map_err(|absent| absent.why)
            .expect("there");
        let mut file = File::options().append(true).open(&path).expect("open");
        file.write_all(b"# more\n").expect("written");
        let mut checks = Vec::new();
        complete(
            &found,
            &backup,
            &context(),
            &mut item,
            &mut checks,
            &Ok(None),
        );
        assert_eq!(checks[0].status, Status::Unknown);
        assert!(
            checks[0].message.contains("still being written"),
            "{}",
            checks[0].message
        );
    }
}
