//! A backup on this machine.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::manifest::Manifest;
use chaos_backup_check::formats::pg_dump::directory::Files;

use super::neighbours::{Neighbour, Row};
use super::selection::Selection;
use super::{Absent, Source, SourceError, StoredBackup, StoredState};
use super::{local_folder, sidecar};

/// Files of a folder that are looked at.
const MAX_FILES: usize = 100_000;

/// A file or folder that was opened.
struct Local {
    file: File,
    folder: bool,
    /// The path that is no symbolic link.
    path: PathBuf,
}

/// Opens the file, or of a folder the newest backup in it. A FIFO or a device is never opened: that
/// could wait forever.
pub(super) fn open(path: &Path, selection: &Selection) -> Result<StoredBackup, Absent> {
    let link = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    let metadata = std::fs::metadata(path).map_err(|error| absent(path, link, &error))?;
    if metadata.is_dir() {
        let is_dump = local_folder::is_dump(path)
            .map_err(|error| Absent::unknown(format!("cannot be listed: {error}")))?;
        if !(selection.dumps && is_dump) {
            let newest = local_folder::newest(path, selection)?;
            return open_one(&newest, true);
        }
    }
    if selection.is_given() {
        return Err(Absent::unknown(
            "is one backup by itself, where include and exclude have nothing to choose",
        )
        .hint("name its folder as path, or leave out include and exclude"));
    }
    open_one(path, false)
}

/// Opens a file, or a folder that is a dump. `chosen` says that it is the newest of several.
fn open_one(path: &Path, chosen: bool) -> Result<StoredBackup, Absent> {
    let unreadable = |error: std::io::Error| Absent::unknown(format!("cannot be opened: {error}"));
    let metadata = std::fs::metadata(path).map_err(|error| absent(path, false, &error))?;
    let folder = metadata.is_dir();
    if !metadata.is_file() && !folder {
        return Err(Absent::fail(format!(
            "is {}, not a file",
            kind_of(&metadata)
        )));
    }
    let file = File::open(path).map_err(unreadable)?;
    let resolved = resolved(path).or_else(|| chosen.then(|| path.to_owned()));
    let local = Local {
        file,
        folder,
        path: resolved.clone().unwrap_or_else(|| path.to_owned()),
    };
    let before = local.look().map_err(unreadable)?;
    let name = local
        .path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let resolved = resolved.map(|path| path.display().to_string());
    let noun = if folder { "a folder" } else { "a file" };
    Ok(StoredBackup {
        source: Box::new(local),
        noun,
        folder,
        before,
        resolved,
        chosen,
        passed_over: None,
        name,
    })
}

impl Local {
    fn look(&self) -> std::io::Result<StoredState> {
        let metadata = self.file.metadata()?;
        if !self.folder {
            // Whether the file that is read is still the one at its path.
            let now = std::fs::metadata(&self.path)?;
            return Ok(StoredState {
                size: metadata.len(),
                modified: metadata.modified().ok(),
                version: format!("{} {}", now.dev(), now.ino()),
            });
        }
        let mut state = StoredState::default();
        for entry in std::fs::read_dir(&self.path)? {
            let metadata = std::fs::metadata(entry?.path())?;
            state.size += metadata.len();
            state.modified = state.modified.max(metadata.modified().ok());
        }
        Ok(state)
    }
}

impl Files for Local {
    fn list(&self) -> Result<Vec<(String, bool)>, FormatError> {
        let listing = |error| FormatError::CannotTell(format!("cannot be listed: {error}"));
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path).map_err(listing)? {
            let entry = entry.map_err(listing)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let metadata = std::fs::metadata(entry.path()).map_err(|error| {
                FormatError::CannotTell(format!(
                    "has a file {name} that could not be read: {error}"
                ))
            })?;
            names.push((name, metadata.is_file()));
        }
        Ok(names)
    }

    fn open_in(&self, name: &str) -> Result<(Box<dyn Read + Send>, u64), FormatError> {
        let opened =
            File::open(self.path.join(name)).and_then(|file| Ok((file.metadata()?.len(), file)));
        let (size, file) = opened
            .map_err(|error| FormatError::CannotTell(format!("cannot be opened: {error}")))?;
        Ok((Box::new(file), size))
    }
}

impl Source for Local {
    fn state(&self) -> Result<StoredState, SourceError> {
        Ok(self.look()?)
    }

    fn open(&self) -> Result<Box<dyn Read + Send>, FormatError> {
        // The very file that was found, whatever has its name by now.
        let mut file = self
            .file
            .try_clone()
            .map_err(|error| FormatError::reading(0, &error))?;
        file.rewind()
            .map_err(|error| FormatError::reading(0, &error))?;
        Ok(Box::new(file))
    }

    fn manifest_name(&self) -> String {
        Manifest::name_for(&self.path).display().to_string()
    }

    fn manifest(&self) -> Result<Option<Vec<u8>>, SourceError> {
        sidecar::read(&Manifest::name_for(&self.path))
    }

    fn neighbours(&self, mut row: Row) -> Row {
        let folder = self
            .path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let entries = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .take(MAX_FILES)
            .flatten();
        let neighbour = |entry: std::fs::DirEntry| {
            let metadata = entry.metadata().ok().filter(Metadata::is_file)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            Some(Neighbour {
                name,
                modified: metadata.modified().ok()?,
                size: metadata.len(),
            })
        };
        entries.filter_map(neighbour).for_each(|one| row.add(one));
        row
    }

    fn identity(&self) -> Option<String> {
        let metadata = self.file.metadata().ok().filter(|_| !self.folder)?;
        // Another name that was written over this one has another inode; a change of the file
        // itself, even one that sets its times back, has another time of change.
        Some(format!(
            "{}:{} {} {}.{:09} {}.{:09}",
            metadata.dev(),
            metadata.ino(),
            metadata.len(),
            metadata.mtime(),
            metadata.mtime_nsec(),
            metadata.ctime(),
            metadata.ctime_nsec()
        ))
    }

    fn seal(&self, text: &[u8]) -> Result<(), SourceError> {
        Ok(sidecar::write(&self.path, text)?)
    }
}

/// Where a symbolic link leads; `None` if it is none, or leads nowhere.
pub(crate) fn resolved(path: &Path) -> Option<PathBuf> {
    let link = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    if link {
        std::fs::canonicalize(path).ok()
    } else {
        None
    }
}

fn absent(path: &Path, link: bool, error: &std::io::Error) -> Absent {
    let target = || {
        std::fs::read_link(path).map_or(String::new(), |target| format!(" to {}", target.display()))
    };
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory if link => {
            Absent::fail(format!("is a symbolic link{} that leads nowhere", target()))
        }
        ErrorKind::NotFound | ErrorKind::NotADirectory => Absent::fail("does not exist"),
        ErrorKind::PermissionDenied => Absent::unknown(format!("cannot be looked at: {error}")),
        _ if link => Absent::fail(format!(
            "is a symbolic link{} that cannot be followed: {error}",
            target()
        )),
        _ => Absent::unknown(format!("cannot be looked at: {error}")),
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
