//! The newest backup in a folder of this machine.

use std::ffi::OsString;
use std::fs::{DirEntry, Metadata};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::Absent;
use super::dump_folder::is_member;
use super::selection::{Candidate, Seen, Selection};

/// Something in the folder that may be the backup.
struct Found {
    candidate: Candidate,
    /// Its name as the file system has it.
    name: OsString,
    folder: bool,
}

/// Whether a folder is a dump in directory format itself.
pub(super) fn is_dump(folder: &Path) -> io::Result<bool> {
    for entry in std::fs::read_dir(folder)? {
        if is_member(&entry?.file_name().to_string_lossy()) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Finds it.
pub(super) fn newest(folder: &Path, selection: &Selection) -> Result<PathBuf, Absent> {
    let unreadable = |error: io::Error| Absent::unknown(format!("cannot be listed: {error}"));
    let (mut found, mut seen) = (Vec::new(), Seen::default());
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let metadata = match std::fs::metadata(entry.path()) {
            Ok(metadata) => metadata,
            Err(error) if leads_nowhere(&entry, &error) => continue,
            Err(error) => return Err(unreadable(error)),
        };
        if !(metadata.is_file() || selection.dumps && metadata.is_dir()) {
            continue;
        }
        let shown = entry.file_name().to_string_lossy().into_owned();
        if selection.lets_in(&shown, metadata.len(), &mut seen) {
            found.push(Found::of(&entry, shown, &metadata));
        }
    }
    found.sort_by(|one, other| other.candidate.cmp(&one.candidate));
    let is_backup = |found: &&Found| {
        // One that went away meanwhile is none.
        !found.folder || is_dump(&folder.join(&found.name)).unwrap_or(false)
    };
    let newest = found.iter().find(is_backup);
    let newest = newest.ok_or_else(|| selection.none("a folder", seen))?;
    Ok(folder.join(&newest.name))
}

impl Found {
    fn of(entry: &DirEntry, shown: String, metadata: &Metadata) -> Found {
        Found {
            candidate: Candidate {
                modified: metadata.modified().ok(),
                plain: !is_link(entry),
                name: shown,
            },
            name: entry.file_name(),
            folder: metadata.is_dir(),
        }
    }
}

/// A symbolic link to nothing, or a file that was deleted just now.
fn leads_nowhere(entry: &DirEntry, error: &io::Error) -> bool {
    match error.kind() {
        ErrorKind::NotFound => true,
        ErrorKind::PermissionDenied => false,
        _ => is_link(entry),
    }
}

fn is_link(entry: &DirEntry) -> bool {
    entry.file_type().is_ok_and(|kind| kind.is_symlink())
}
