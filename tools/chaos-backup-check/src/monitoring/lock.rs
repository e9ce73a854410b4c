//! One run at a time: a check that hangs must not pile up under cron.

use std::fs::{File, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use jiff::Timestamp;

use chaos_backup_check::formats::digest;

/// A lock that ends with the process, however that ends.
#[derive(Debug)]
pub(crate) struct Lock {
    /// Held open: closing it gives the lock back.
    _file: File,
}

/// Why there is no lock.
#[derive(Debug)]
pub(crate) enum Held {
    /// Another run has it: who, as far as the file says.
    Elsewhere(String),
    /// It could not be tried.
    CannotTell(String),
}

impl Lock {
    /// Takes the lock for runs of `what` on these things, by name, without waiting.
    pub(crate) fn take(what: &str, of: &[u8]) -> Result<Lock, Held> {
        let folder =
            super::state_folder::folder().map_err(|error| Held::CannotTell(error.to_string()))?;
        Lock::take_in(&folder, what, of)
    }

    fn take_in(folder: &Path, what: &str, of: &[u8]) -> Result<Lock, Held> {
        let path = folder.join(name(what, of));
        let cannot = |error: io::Error| Held::CannotTell(format!("{}: {error}", path.display()));
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(cannot)?;
        let mut options = File::options();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(&path).map_err(cannot)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut by = String::new();
                // What it says is only for people.
                let _ = (&file).take(200).read_to_string(&mut by);
                return Err(Held::Elsewhere(by.trim().to_owned()));
            }
            Err(TryLockError::Error(error)) => return Err(cannot(error)),
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .map_err(cannot)?;
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ");
        write!(file, "process {}, since {now}", std::process::id()).map_err(cannot)?;
        Ok(Lock { _file: file })
    }
}

fn name(what: &str, of: &[u8]) -> String {
    format!("backup-{what}-{}.lock", &digest::of(of)[..16])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_run_is_refused_and_told_who_runs() {
        let folder = tempfile::tempdir().expect("a folder");
        let take = |what, of| Lock::take_in(&folder.path().join("a/b"), what, of);
        let first = take("check", b"/x.toml").expect("free");
        let second = take("check", b"/x.toml");
        assert!(
            matches!(&second, Err(Held::Elsewhere(by)) if by.contains(&std::process::id().to_string())),
            "{second:?}"
        );
        take("check", b"/y.toml").expect("another configuration");
        take("drill", b"/x.toml").expect("another command");
        drop(first);
        take("check", b"/x.toml").expect("free again");
    }

    #[test]
    fn a_lock_that_cannot_be_tried_is_not_held() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("file");
        std::fs::write(&file, "").expect("written");
        assert!(matches!(
            Lock::take_in(&file, "check", b""),
            Err(Held::CannotTell(_))
        ));
    }
}
