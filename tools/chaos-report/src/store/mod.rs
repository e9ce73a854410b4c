//! Where runs are kept: a folder, or a database. The commands do not know which.

mod folder;
mod in_database;
mod unsent;

use std::collections::BTreeSet;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use chaos_common::config::ReportSettings;

use crate::archive::{Draft, NewReport, ReadError};
use crate::database::{Database, DatabaseError};
use crate::index::{Depth, Entry, Index};

use self::folder::FolderStore;
use self::in_database::DatabaseStore;

/// What the commands need of the place where runs are kept.
pub(crate) trait Store {
    /// Where it is, for people.
    fn place(&self) -> String;

    /// What it holds. `progress` is told of a reading that takes long.
    ///
    /// # Errors
    /// It can't be listed.
    fn index(
        &mut self,
        depth: Depth,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Index, StoreError>;

    /// The folder in which drafts are written.
    fn workplace(&self) -> PathBuf;

    /// Keeps a stream with the reports that `reports` makes, given the name that is free: all of
    /// it or nothing.
    ///
    /// # Errors
    /// It can't be kept.
    fn save(
        &mut self,
        stream: NewStream,
        reports: &dyn Fn(&str) -> Vec<NewReport>,
    ) -> Result<Saved, StoreError>;

    /// Keeps a stream with this digest and its reports, made elsewhere. Whether it was not there
    /// yet.
    ///
    /// # Errors
    /// It can't be kept.
    fn take(
        &mut self,
        stream: NewStream,
        sha256: &str,
        reports: Vec<NewReport>,
    ) -> Result<bool, StoreError>;

    /// The stream of an entry, unpacked.
    ///
    /// # Errors
    /// It can't be read.
    fn read(&mut self, entry: &Entry) -> Result<Box<dyn Read>, ReadError>;

    /// The reports of an entry, each with its name; of one that was written by hand that itself.
    ///
    /// # Errors
    /// One can't be read.
    fn reports(&mut self, entry: &Entry) -> Result<Vec<StoredBytes>, StoreError>;

    /// The stream of an entry as it is kept; nothing if it is gone meanwhile.
    ///
    /// # Errors
    /// It can't be read.
    fn stored(&mut self, entry: &Entry) -> Result<Option<StoredBytes>, StoreError>;

    /// Removes streams with their reports.
    ///
    /// # Errors
    /// One can't be removed.
    fn remove(&mut self, entries: &[&Entry]) -> Result<(), StoreError>;

    /// Keeps a review, in place of one of this name.
    ///
    /// # Errors
    /// It can't be kept.
    fn save_review(&mut self, name: &str, bytes: &[u8]) -> Result<PathBuf, StoreError>;

    /// The names of the reviews.
    ///
    /// # Errors
    /// They can't be listed.
    fn reviews(&mut self) -> Result<BTreeSet<String>, StoreError>;

    /// What happened besides what was asked, for people; each is told once.
    fn news(&mut self) -> Vec<String> {
        Vec::new()
    }
}

/// A file's name and what it holds.
pub(crate) type StoredBytes = (String, Vec<u8>);

/// A stream that is to be kept.
pub(crate) struct NewStream {
    /// The name that it should have, without endings.
    pub(crate) stem: String,
    /// `ndjson`, or how it is packed: `ndjson.gz`.
    pub(crate) ending: String,
    pub(crate) draft: Draft,
}

/// What was kept.
#[derive(Debug, Default)]
pub(crate) struct Saved {
    /// The reports on this machine, in the order in which they were made.
    pub(crate) reports: Vec<PathBuf>,
    /// Where the first report is.
    pub(crate) location: String,
    /// Where the stream is.
    pub(crate) stream: String,
    /// What people have to know of it.
    pub(crate) notice: Option<Notice>,
}

impl Saved {
    /// Where it is, and what people have to know of that.
    pub(crate) fn told(&self) -> (&str, Option<&Notice>) {
        (&self.location, self.notice.as_ref())
    }
}

/// What people have to know of something that was kept.
#[derive(Clone, Debug)]
pub(crate) struct Notice {
    pub(crate) text: String,
    pub(crate) hint: String,
}

/// What an I/O error in this folder is.
pub(crate) fn in_folder(folder: &Path) -> impl Fn(io::Error) -> StoreError {
    let path = folder.to_owned();
    move |source| StoreError::Folder {
        path: path.clone(),
        source,
    }
}

/// Why the place of the runs can't be used.
#[derive(Debug)]
pub(crate) enum StoreError {
    Folder {
        path: PathBuf,
        source: io::Error,
    },
    Database {
        place: String,
        source: DatabaseError,
    },
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            StoreError::Folder { path, source } => write!(f, "{}: {source}", path.display()),
            StoreError::Database { place, source } => write!(f, "{place}: {source}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl StoreError {
    /// What happened, without the place.
    pub(crate) fn why(&self) -> String {
        match self {
            StoreError::Folder { source, .. } => source.to_string(),
            StoreError::Database { source, .. } => source.to_string(),
        }
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            StoreError::Folder { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    "make room there, or name another folder with --archive or report.archive"
                }
                _ => {
                    "make it a folder that this user may use, or name another one with --archive \
                     or report.archive in chaos.toml"
                }
            }
            .to_owned(),
            StoreError::Database { source, .. } => source.hint(),
        }
    }
}

/// The place that the command line names, or else the configuration.
pub(crate) fn open(named: Option<PathBuf>, settings: &ReportSettings) -> Box<dyn Store> {
    let absolute = |folder: PathBuf| std::path::absolute(&folder).unwrap_or(folder);
    let Some(folder) = named else {
        let folder = absolute(settings.archive.clone());
        return match &settings.database {
            None => Box::new(FolderStore::new(folder)),
            Some(database) => {
                let database = Database::new(database.clone());
                Box::new(DatabaseStore::new(database, folder))
            }
        };
    };
    Box::new(FolderStore::new(absolute(folder)))
}
