//! One configured backup: is it there, is it young enough, is it whole?

use std::fs::{File, Metadata};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use chaos_common::cli;
use chaos_common::config::{Backup, BackupKind, Config};
use chaos_common::record::{BackupItem, Check, Status, Time};
use jiff::Timestamp;

use crate::check::Context;
use crate::freshness::{self, Due};
use crate::live::ID as LIVE;
use crate::manifest::Manifest;
use crate::manifests::Object;
use crate::progress::Readings;
use crate::trouble::Trouble;
use crate::verify::{Verified, Want, verify};
use crate::{evidence, live, pgdump, previous};

const PRESENT: &str = "backup.present";
const FRESH: &str = "backup.fresh";
const COMPLETE: &str = "backup.complete";
const SEALED: &str = "backup.sealed";
/// A file that was written to so short ago may still be written.
const YOUNG: Duration = Duration::from_secs(60);
/// How long it is waited for whether more of it is written.
const SETTLE: Duration = Duration::from_millis(1500);

/// A backup that nothing is known of yet.
pub(crate) fn unseen(backup: &Backup) -> BackupItem {
    BackupItem {
        name: backup.name.clone(),
        path: backup.path.display().to_string(),
        resolved: None,
        size_bytes: None,
        made: None,
        age_s: None,
        max_age_s: i64::try_from(backup.max_age.0.as_secs()).unwrap_or(i64::MAX),
        sha256: None,
        contents: None,
        drill: None,
    }
}

/// Looks at one backup, and at what proves that it restores.
pub(crate) fn examine(backup: &Backup, now: Timestamp, context: &Context) -> (BackupItem, Vec<Check>) {
    let (mut item, mut checks) = look(backup, now, context);
    checks.push(evidence::check(&context.config, &context.namespace, &mut item, Time(now)));
    (item, checks)
}

/// Reads one backup to its end, whatever its age and what the cluster has now.
pub(crate) fn read_whole(backup: &Backup, now: Timestamp, context: &Context) -> (BackupItem, Vec<Check>) {
    let alone = Backup { live: false, ..backup.clone() };
    let (item, mut checks) = look(&alone, now, context);
    checks.retain(|check| !matches!(check.id.as_str(), FRESH | LIVE));
    (item, checks)
}

fn look(backup: &Backup, now: Timestamp, context: &Context) -> (BackupItem, Vec<Check>) {
    let mut item = unseen(backup);
    let object = item.path.clone();
    let due = Due::of(backup, now);
    item.max_age_s = due.max_age_s();
    let found = match find(&backup.path, Some(backup.kind)) {
        Ok(found) => found,
        Err((status, why)) => {
            let skipped = |id| Check::skipped(id, &object, "there is no file to look at");
            let missing = Check::new(PRESENT, &object, status, why);
            return (item, vec![missing, skipped(FRESH), skipped(COMPLETE)]);
        }
    };
    let size = found.before.size;
    item.resolved = found.resolved.as_ref().map(|path| path.display().to_string());
    item.size_bytes = Some(size);
    let to = item.resolved.as_ref().map(|path| format!(", a link to {path}")).unwrap_or_default();
    let what = if found.folder { "folder" } else { "file" };
    let mut checks = vec![Check::pass(PRESENT, &object, format!("a {what} of {size} bytes{to}"))];
    let manifest = Manifest::of(found.path(&backup.path));
    let mut read = Vec::new();
    let objects = complete(&found, backup, context, &mut item, &mut read, &manifest);
    let sealed = read.iter().any(|check| check.id == SEALED && check.status == Status::Pass);
    let sealed = manifest.ok().flatten().filter(|_| sealed).map(|manifest| manifest.made.0);
    checks.push(fresh(&found, backup, now, sealed, &due, &mut item));
    checks.extend(read);
    if !found.folder {
        checks.extend(previous::check(found.path(&backup.path), size, found.before.modified, &object));
    }
    if let Some(objects) = objects.filter(|_| backup.kind == BackupKind::Kubernetes) {
        let made = item.made.map(|made| made.0);
        let live = live::check(&context.access, &context.namespace, backup, &objects, made, &object);
        checks.push(cli::block_on(live));
    }
    (item, checks)
}

/// A file or folder that was found and opened.
pub(crate) struct Found {
    pub(crate) file: File,
    pub(crate) folder: bool,
    /// How it was then.
    pub(crate) before: State,
    /// Where a symbolic link leads.
    resolved: Option<PathBuf>,
}

/// What the file system says of a file, or of the files of a folder together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) size: u64,
    pub(crate) modified: Option<SystemTime>,
}

impl Found {
    /// The path that is no symbolic link.
    pub(crate) fn path<'f>(&'f self, configured: &'f Path) -> &'f Path {
        self.resolved.as_deref().unwrap_or(configured)
    }

    /// Reads it to its end.
    pub(crate) fn verify(
        &self,
        configured: &Path,
        kind: Option<BackupKind>,
        want: &Want,
        readings: &Readings,
    ) -> Result<Verified, Trouble> {
        let object = configured.display().to_string();
        let size = self.before.size;
        if self.folder {
            return pgdump::directory::verify(self.path(configured), want, &object);
        }
        if size == 0 {
            return Trouble::damaged("is empty (0 bytes)");
        }
        verify(readings.watch(&object, Some(size), &self.file), kind, Some(size), want, &object)
    }
}

/// Opens the file, or the folder where that can be such a backup. A FIFO or a device is never opened: that
/// could wait forever.
pub(crate) fn find(path: &Path, kind: Option<BackupKind>) -> Result<Found, (Status, String)> {
    let link = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    let metadata = std::fs::metadata(path).map_err(|error| absent(path, link, &error))?;
    let folder = metadata.is_dir() && kind.is_none_or(|kind| kind == BackupKind::Postgres);
    if !metadata.is_file() && !folder {
        return Err((Status::Fail, format!("is {}, not a file", kind_of(&metadata))));
    }
    let unreadable = |error: std::io::Error| (Status::Unknown, format!("cannot be opened: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    let before = state(&file, path, folder).map_err(unreadable)?;
    Ok(Found { file, folder, before, resolved: resolved(path) })
}

fn state(file: &File, path: &Path, folder: bool) -> std::io::Result<State> {
    let metadata = file.metadata()?;
    let mut state = State { size: metadata.len(), modified: metadata.modified().ok() };
    if folder {
        state = State { size: 0, modified: None };
        for entry in std::fs::read_dir(path)? {
            let metadata = entry?.metadata()?;
            state.size += metadata.len();
            state.modified = state.modified.max(metadata.modified().ok());
        }
    }
    Ok(state)
}

/// Where a symbolic link leads; `None` if it is none, or leads nowhere.
pub(crate) fn resolved(path: &Path) -> Option<PathBuf> {
    let link = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    if link { std::fs::canonicalize(path).ok() } else { None }
}

fn absent(path: &Path, link: bool, error: &std::io::Error) -> (Status, String) {
    let target = || std::fs::read_link(path).map_or(String::new(), |target| format!(" to {}", target.display()));
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory if link => {
            (Status::Fail, format!("is a symbolic link{} that leads nowhere", target()))
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => (Status::Fail, "does not exist".to_owned()),
        ErrorKind::PermissionDenied => (Status::Unknown, format!("cannot be looked at: {error}")),
        _ if link => (Status::Fail, format!("is a symbolic link{} that cannot be followed: {error}", target())),
        _ => (Status::Unknown, format!("cannot be looked at: {error}")),
    }
}

fn kind_of(metadata: &Metadata) -> &'static str {
    use std::os::unix::fs::FileTypeExt as _;
    let kind = metadata.file_type();
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_char_device() || kind.is_block_device() {
        "a device"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "something else"
    }
}

fn modified(found: &Found) -> Option<Timestamp> {
    found.before.modified.and_then(|time| Timestamp::try_from(time).ok())
}

fn stamp(found: &Found, configured: &Path) -> Option<freshness::Stamp> {
    found.path(configured).file_name().and_then(|name| freshness::stamp(&name.to_string_lossy()))
}

/// When a file was made, as far as it and its name tell; `None` if they don't.
pub(crate) fn made(found: &Found, configured: &Path) -> Option<Timestamp> {
    Some(freshness::made(modified(found)?, stamp(found, configured)).0)
}

fn fresh(
    found: &Found,
    backup: &Backup,
    now: Timestamp,
    sealed: Option<Timestamp>,
    due: &Due,
    item: &mut BackupItem,
) -> Check {
    let object = &item.path;
    let judged = match (sealed, modified(found)) {
        (Some(made), _) => freshness::judge_sealed(now, made, due),
        (None, Some(modified)) => freshness::judge(now, modified, stamp(found, &backup.path), due),
        (None, None) => return Check::unknown(FRESH, object, "the file system gives it no modification time"),
    };
    let mut check = Check::new(FRESH, object, judged.status, judged.message);
    if judged.status == Status::Fail {
        check = check.hint("see why the job that makes this backup has not run, and make one now");
    }
    item.made = Some(judged.made);
    item.age_s = Some(judged.age_s);
    check
}

/// Reads the file in full.
fn complete(
    found: &Found,
    backup: &Backup,
    context: &Context,
    item: &mut BackupItem,
    checks: &mut Vec<Check>,
    manifest: &Result<Option<Manifest>, Trouble>,
) -> Option<Vec<Object>> {
    let object = backup.path.display().to_string();
    let object = object.as_str();
    let want = want(backup, &context.config);
    let read = found.verify(&backup.path, Some(backup.kind), &want, &context.readings);
    // A backup that is being made looks cut, and may stand still for a moment.
    if read.is_err() && found.is_young() && written_meanwhile(found, &backup.path).is_none() {
        std::thread::sleep(SETTLE);
    }
    let read = match written_meanwhile(found, &backup.path) {
        Some(change) => Err(Check::unknown(COMPLETE, object, format!("is still being written: {change}"))
            .hint("check again when the backup has ended; write to another name and rename at the end")),
        None => read.map_err(|trouble| match trouble {
            Trouble::Damaged(why) => Check::fail(COMPLETE, object, why)
                .hint("do not count on this file: make a new backup, and keep the last good one"),
            Trouble::CannotTell(why) => Check::unknown(COMPLETE, object, why),
        }),
    };
    match read {
        Ok(verified) => {
            checks.push(Check::pass(COMPLETE, object, &verified.message));
            checks.push(sealed(&verified, object, manifest));
            checks.extend(verified.checks);
            item.size_bytes = Some(verified.size_bytes);
            item.sha256 = Some(verified.sha256);
            item.contents = Some(verified.contents);
            Some(verified.objects)
        }
        Err(check) => {
            checks.push(check);
            None
        }
    }
}

/// What a backup has to hold.
pub(crate) fn want(backup: &Backup, config: &Config) -> Want {
    let postgres = backup.kind == BackupKind::Postgres;
    let database = backup.database.clone().or_else(|| Some(config.database.as_ref()?.name.clone()));
    Want { database: database.filter(|_| postgres), expect: backup.expect.clone() }
}

/// Whether the backup is what it was when it was sealed.
fn sealed(verified: &Verified, object: &str, manifest: &Result<Option<Manifest>, Trouble>) -> Check {
    let manifest = match manifest {
        Ok(Some(manifest)) => manifest,
        Ok(None) => {
            return Check::skipped(
                SEALED,
                object,
                format!("has no manifest, without which this goes unseen: {}", verified.limit),
            )
            .hint("run chaos-backup-check seal on each backup right after it is made");
        }
        Err(trouble) => return Check::unknown(SEALED, object, trouble.to_string()),
    };
    match manifest.differs(verified.size_bytes, &verified.sha256) {
        None => Check::pass(SEALED, object, format!("is what was sealed at {}", manifest.sealed.human())),
        Some(why) => {
            Check::fail(SEALED, object, format!("is not what was sealed at {}: it {why}", manifest.sealed.human()))
                .hint("find out what changed it; restore the file from another copy, or make a new backup")
        }
    }
}

/// What changed while the file was read.
pub(crate) fn written_meanwhile(found: &Found, path: &Path) -> Option<String> {
    let after = match state(&found.file, path, found.folder) {
        Ok(after) => after,
        Err(error) => return Some(format!("it cannot be looked at any more: {error}")),
    };
    let (before, now) = (found.before.size, after.size);
    if before != now {
        return Some(format!("it had {before} bytes, and {now} when it had been read"));
    }
    (found.before.modified != after.modified).then(|| "it was changed while it was read".to_owned())
}

impl Found {
    /// Whether it was written to just now.
    fn is_young(&self) -> bool {
        let age = self.before.modified.and_then(|modified| modified.elapsed().ok());
        age.is_some_and(|age| age < YOUNG)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::sync::Arc;

    use chaos_common::cluster::Access;
    use chaos_common::config::Span;
    use chaos_common::record::Verdict;

    use super::*;

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
            max_age: Span::seconds(60),
            resources: Vec::new(),
            live: false,
            schedule: None,
            database: None,
            expect: Vec::new(),
        };
        let (mut item, checks) = examine(&backup, Timestamp::now(), &context());
        assert_eq!(Verdict::of(&checks), Verdict::Pass, "{checks:?}");
        let found = find(&path, None).map_err(|(_, why)| why).expect("there");
        let mut file = File::options().append(true).open(&path).expect("open");
        file.write_all(b"# more\n").expect("written");
        let mut checks = Vec::new();
        complete(&found, &backup, &context(), &mut item, &mut checks, &Ok(None));
        assert_eq!(checks[0].status, Status::Unknown);
        assert!(checks[0].message.contains("still being written"), "{}", checks[0].message);
    }
}
