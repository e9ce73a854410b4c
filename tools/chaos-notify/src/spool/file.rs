//! Files that appear whole or not at all, and are there after a power cut.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The ending of a file that is not whole yet.
const PART: &str = ".part";
/// A part that nobody holds after this time was left by a process that is gone. One is held from the
/// moment on that it is there, but for an instant.
const LEFT_AFTER: Duration = Duration::from_secs(60);

/// Writes a file in a folder, in place of one of the same name. The file that is given back is the
/// one that has the name now, and locked.
pub(super) fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<File> {
    let (file, part) = whole(folder, name, bytes)?;
    put(&part, || {
        fs::rename(&part, folder.join(name))?;
        sync(folder)
    })?;
    Ok(file)
}

/// Writes a file that there is not: of several who try, one succeeds. Nothing where there is one of
/// the name.
pub(super) fn create(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<Option<File>> {
    let (file, part) = whole(folder, name, bytes)?;
    let created = put(&part, || {
        fs::hard_link(&part, folder.join(name))?;
        fs::remove_file(&part)?;
        sync(folder)
    });
    match created {
        Ok(()) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(error),
    }
}

/// A whole file, locked, under a name that nobody looks for.
fn whole(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<(File, PathBuf)> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let part = folder.join(format!("{name}.{}{PART}", std::process::id()));
    // What a killed process of this number left may be the file of a name by now: not that one is
    // written over.
    match fs::remove_file(&part) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = put(&part, || {
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let mut file = options.open(&part)?;
        file.lock()?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(file)
    })?;
    Ok((file, part))
}

/// Does something with a part of a file, which is removed where that fails.
fn put<T>(part: &Path, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    work().inspect_err(|_| {
        // What is not whole is of no use, and there may be no room even to remove it.
        let _ = fs::remove_file(part);
    })
}

/// Opens a file and takes its lock; nothing where another process has it, or where it is not the
/// one of that name any more.
pub(super) fn take(path: &Path) -> io::Result<Option<File>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    match file.try_lock() {
        Ok(()) => {}
        Err(fs::TryLockError::WouldBlock) => return Ok(None),
        Err(fs::TryLockError::Error(error)) => return Err(error),
    }
    let named = match fs::metadata(path) {
        Ok(named) => named,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let own = file.metadata()?;
    let same = (named.dev(), named.ino()) == (own.dev(), own.ino());
    Ok(same.then_some(file))
}

/// Whether another process holds a file.
pub(super) fn is_held(path: &Path) -> bool {
    let file = File::open(path);
    file.is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
}

/// Removes a file for good.
pub(super) fn remove(folder: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(folder.join(name)) {
        Ok(()) => sync(folder),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// The names of the whole files in a folder. Parts that a killed process left are removed.
pub(super) fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.ends_with(PART) {
            names.push(name);
        } else if is_left(&entry.path()) {
            // Another process may be as quick, and one that can't be removed does no harm.
            let _ = fs::remove_file(entry.path());
        }
    }
    Ok(names)
}

/// Whether nobody writes a part any more.
fn is_left(part: &Path) -> bool {
    let age = fs::metadata(part).and_then(|metadata| metadata.modified());
    let age = age.ok().and_then(|written| written.elapsed().ok());
    age.is_some_and(|age| age > LEFT_AFTER) && !is_held(part)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_file_is_locked_while_it_is_held_and_only_the_latest_of_a_name_counts() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (folder, path) = (folder.path(), folder.path().join("a"));
        let first = write(folder, "a", b"1").expect("writable");
        assert!(take(&path).expect("readable").is_none(), "it is held");
        let second = write(folder, "a", b"2").expect("writable");
        drop(first);
        assert!(take(&path).expect("readable").is_none(), "it is held");
        drop(second);
        assert!(take(&path).expect("readable").is_some());
        assert_eq!(names(folder).expect("readable"), ["a"]);
        remove(folder, "a").expect("removable");
        remove(folder, "a").expect("gone is gone");
        assert!(take(&path).expect("no error").is_none());
    }

    #[test]
    fn of_several_who_create_a_file_one_succeeds() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path();
        let first = create(folder, "a", b"1").expect("writable");
        assert!(first.is_some());
        assert!(create(folder, "a", b"2").expect("writable").is_none());
        assert_eq!(fs::read(folder.join("a")).expect("readable"), b"1");
        // A part that a killed process of the same number left, which is the file itself.
        let part = folder.join(format!("a.{}{PART}", std::process::id()));
        fs::hard_link(folder.join("a"), &part).expect("writable");
        assert!(create(folder, "a", b"2").expect("writable").is_none());
        assert_eq!(fs::read(folder.join("a")).expect("readable"), b"1");
        assert!(!part.exists());
    }

    #[test]
    fn parts_that_a_killed_process_left_are_removed() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let folder = folder.path();
        let part = |name: &str, minutes: u64| {
            let file = File::create(folder.join(format!("{name}{PART}"))).expect("writable");
            let written = SystemTime::now() - Duration::from_secs(60 * minutes);
            file.set_modified(written).expect("ours");
            file
        };
        part("new.1", 0);
        part("left.2", 2);
        let held = part("held.3", 2);
        held.lock().expect("lockable");
        assert_eq!(names(folder).expect("readable"), [""; 0]);
        let there = |name: &str| folder.join(format!("{name}{PART}")).exists();
        assert_eq!(
            [there("new.1"), there("left.2"), there("held.3")],
            [true, false, true]
        );
    }

    #[test]
    fn nobody_else_can_read_it() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let inner = folder.path().join("inner");
        write(&inner, "a", b"1").expect("writable");
        let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!((mode(&inner), mode(&inner.join("a"))), (0o700, 0o600));
    }
}
