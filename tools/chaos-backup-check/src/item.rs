//! One configured backup: is it there, is it young enough, is it whole?

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use chaos_common::config::{Backup, BackupKind};
use chaos_common::record::{BackupItem, Check, Contents, Status};
use jiff::Timestamp;

use crate::trouble::Trouble;
use crate::{freshness, manifests, pgdump, tarball};

const PRESENT: &str = "backup.present";
const FRESH: &str = "backup.fresh";
const COMPLETE: &str = "backup.complete";

/// Looks at one backup.
pub(crate) fn examine(backup: &Backup, now: Timestamp) -> (BackupItem, Vec<Check>) {
    let object = backup.path.display().to_string();
    let mut item = BackupItem {
        name: backup.name.clone(),
        path: object.clone(),
        resolved: None,
        size_bytes: None,
        made: None,
        age_s: None,
        max_age_s: i64::try_from(backup.max_age.0.as_secs()).unwrap_or(i64::MAX),
        contents: None,
    };
    let found = match find(&backup.path) {
        Ok(found) => found,
        Err((status, why)) => {
            let skipped = |id| Check::skipped(id, &object, "there is no file to look at");
            let missing = Check::new(PRESENT, &object, status, why);
            return (item, vec![missing, skipped(FRESH), skipped(COMPLETE)]);
        }
    };
    let size = found.before.len();
    item.resolved = found.resolved.as_ref().map(|path| path.display().to_string());
    item.size_bytes = Some(size);
    let to = item.resolved.as_ref().map(|path| format!(", a link to {path}")).unwrap_or_default();
    let mut checks = vec![Check::pass(PRESENT, &object, format!("a file of {size} bytes{to}"))];
    checks.push(fresh(&found, backup, now, &mut item));
    complete(&found, backup, &object, &mut item, &mut checks);
    (item, checks)
}

/// A file that was found and opened.
struct Found {
    file: File,
    before: Metadata,
    /// Where a symbolic link leads.
    resolved: Option<PathBuf>,
}

/// Opens the file. A folder, a FIFO or a device is never opened: that could wait forever.
fn find(path: &Path) -> Result<Found, (Status, String)> {
    let link = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    let metadata = std::fs::metadata(path).map_err(|error| absent(path, link, &error))?;
    if !metadata.is_file() {
        return Err((Status::Fail, format!("is {}, not a file", kind_of(&metadata))));
    }
    let unreadable = |error: std::io::Error| (Status::Unknown, format!("cannot be opened: {error}"));
    let file = File::open(path).map_err(unreadable)?;
    let before = file.metadata().map_err(unreadable)?;
    let resolved = if link { std::fs::canonicalize(path).ok() } else { None };
    Ok(Found { file, before, resolved })
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

fn fresh(found: &Found, backup: &Backup, now: Timestamp, item: &mut BackupItem) -> Check {
    let object = &item.path;
    let modified = found.before.modified().ok().and_then(|time| Timestamp::try_from(time).ok());
    let Some(modified) = modified else {
        return Check::unknown(FRESH, object, "the file system gives it no modification time");
    };
    let named = found.resolved.as_deref().unwrap_or(&backup.path);
    let stamp = named.file_name().and_then(|name| freshness::stamp(&name.to_string_lossy()));
    let judged = freshness::judge(now, modified, stamp, backup.max_age);
    let mut check = Check::new(FRESH, object, judged.status, judged.message);
    if judged.status == Status::Fail {
        check = check.hint("see why the job that makes this backup has not run, and make one now");
    }
    item.made = Some(judged.made);
    item.age_s = Some(judged.age_s);
    check
}

/// Reads the file in full.
fn complete(found: &Found, backup: &Backup, object: &str, item: &mut BackupItem, checks: &mut Vec<Check>) {
    let size = found.before.len();
    let mut restorable = None;
    let read = if size == 0 {
        Trouble::damaged("is empty (0 bytes)")
    } else {
        contents(&found.file, backup.kind, size, object, &mut restorable)
    };
    let check = match (written_meanwhile(found), read) {
        (Some(change), _) => Check::unknown(COMPLETE, object, format!("is still being written: {change}"))
            .hint("check again when the backup has ended; write to another name and rename at the end"),
        (None, Ok((contents, message))) => {
            item.contents = Some(contents);
            Check::pass(COMPLETE, object, message)
        }
        (None, Err(Trouble::Damaged(why))) => Check::fail(COMPLETE, object, why)
            .hint("do not count on this file: make a new backup, and keep the last good one"),
        (None, Err(Trouble::CannotTell(why))) => Check::unknown(COMPLETE, object, why),
    };
    let whole = check.status == Status::Pass;
    checks.push(check);
    checks.extend(restorable.filter(|_| whole));
}

fn contents(
    file: impl Read,
    kind: BackupKind,
    size: u64,
    object: &str,
    restorable: &mut Option<Check>,
) -> Result<(Contents, String), Trouble> {
    match kind {
        BackupKind::Postgres => pgdump::examine(file, size).map(|found| {
            *restorable = Some(pgdump::restorable_check(&found, object));
            (found.contents, found.message)
        }),
        BackupKind::Tar => tarball::examine(file),
        BackupKind::Kubernetes => manifests::examine(file, size),
    }
}

/// What changed while the file was read.
fn written_meanwhile(found: &Found) -> Option<String> {
    let after = match found.file.metadata() {
        Ok(after) => after,
        Err(error) => return Some(format!("it cannot be looked at any more: {error}")),
    };
    let (before, now) = (found.before.len(), after.len());
    if before != now {
        return Some(format!("it had {before} bytes, and {now} when it had been read"));
    }
    (found.before.modified().ok() != after.modified().ok()).then(|| "it was changed while it was read".to_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use chaos_common::config::Span;

    use super::*;

    #[test]
    fn a_file_that_grows_while_it_is_read_is_unknown() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("objects.yaml");
        let text = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
        std::fs::write(&path, text).expect("written");
        let backup =
            Backup { name: "x".into(), kind: BackupKind::Kubernetes, path: path.clone(), max_age: Span::seconds(60) };
        let (mut item, checks) = examine(&backup, Timestamp::now());
        assert!(checks.iter().all(|check| check.status == Status::Pass), "{checks:?}");
        let found = find(&path).map_err(|(_, why)| why).expect("there");
        let mut file = File::options().append(true).open(&path).expect("open");
        file.write_all(b"# more\n").expect("written");
        let mut checks = Vec::new();
        complete(&found, &backup, "x", &mut item, &mut checks);
        assert_eq!(checks[0].status, Status::Unknown);
        assert!(checks[0].message.contains("still being written"), "{}", checks[0].message);
    }
}
