//! Runs in a database, with a folder for this machine's copies of reports and for what the
//! database could not take.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::unsent::{self, Unsent};
use super::{NewStream, Notice, Saved, Store, StoreError, StoredBytes, in_folder};
use crate::archive::{self, Draft, NewReport, ReadError};
use crate::database::{Database, DatabaseError, Inserted, NewRow};
use crate::index::{self, Depth, Entry, Index};

/// A database with the runs.
pub(super) struct DatabaseStore {
    database: Database,
    folder: PathBuf,
    news: Vec<String>,
}

impl DatabaseStore {
    pub(super) fn new(database: Database, folder: PathBuf) -> DatabaseStore {
        DatabaseStore {
            database,
            folder,
            news: Vec::new(),
        }
    }

    fn failed(&self) -> impl Fn(DatabaseError) -> StoreError + use<> {
        let place = self.database.place();
        move |source| StoreError::Database {
            place: place.clone(),
            source,
        }
    }

    fn unsent(&self) -> Unsent {
        Unsent::in_folder(&self.folder)
    }

    /// Sends what the database could not take before.
    fn send(&mut self) {
        let unsent = self.unsent();
        unsent.send(&mut self.database, &self.folder, &mut self.news);
    }

    /// Keeps a stream under the first name that is free in the database and in the folder.
    fn insert(
        &mut self,
        stream: &NewStream,
        reports: &dyn Fn(&str) -> Vec<NewReport>,
    ) -> Result<(String, Vec<NewReport>), StoreError> {
        let row = self.row(stream, &[])?;
        for stem in archive::numbered(&stream.stem) {
            let mut endings = archive::REPORTS.iter();
            if endings.any(|ending| self.copy_of(&stem, ending).exists()) {
                continue;
            }
            let made = reports(&stem);
            let numbered = NewRow {
                stem: stem.clone(),
                reports: owned(&made),
                ..row.clone()
            };
            let failed = self.failed();
            if self.database.insert(numbered).map_err(failed)? == Inserted::New {
                return Ok((stem, made));
            }
        }
        Err(in_folder(&self.folder)(archive::no_name_left()))
    }

    fn row(&self, stream: &NewStream, reports: &[NewReport]) -> Result<NewRow, StoreError> {
        let bytes = stream.draft.bytes().map_err(in_folder(&self.folder))?;
        Ok(NewRow {
            stem: stream.stem.clone(),
            ending: stream.ending.clone(),
            sha256: archive::digest(&bytes),
            kept: index::kept(&format!("{}.{}", stream.stem, stream.ending), &bytes),
            bytes: Arc::new(bytes),
            reports: owned(reports),
        })
    }

    fn copy_of(&self, stem: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{stem}.{ending}"))
    }

    /// What the database took, with copies of the reports on this machine.
    fn saved(&self, stem: &str, ending: &str, reports: &[NewReport]) -> Saved {
        let place = |name: &str| format!("{name} in {}", self.database.place());
        let copied: io::Result<Vec<PathBuf>> = reports
            .iter()
            .map(|(ending, bytes)| {
                archive::replace(&self.folder, &format!("{stem}.{ending}"), bytes)
            })
            .collect();
        let first = reports.first().map_or(ending, |(ending, _)| ending);
        let stream = place(&format!("{stem}.{ending}"));
        match copied {
            Ok(paths) => Saved {
                location: paths
                    .first()
                    .map_or_else(|| stream.clone(), |path| path.display().to_string()),
                reports: paths,
                stream,
                notice: None,
            },
            Err(error) => Saved {
                location: place(&format!("{stem}.{first}")),
                reports: Vec::new(),
                stream,
                notice: Some(Notice {
                    text: format!(
                        "saved in {}, and not copied to {}: {error}",
                        self.database.place(),
                        self.folder.display()
                    ),
                    hint: format!("read it with chaos-report show {stem}"),
                }),
            },
        }
    }

    /// Keeps what the database could not take until it can.
    fn keep(
        &self,
        stream: NewStream,
        reports: &dyn Fn(&str) -> Vec<NewReport>,
        why: &StoreError,
    ) -> Result<Saved, StoreError> {
        let mut saved = self.unsent().keep(stream, reports)?;
        saved.notice = Some(Notice {
            text: format!(
                "kept in {} until the database takes it: {why}",
                self.unsent().folder().display()
            ),
            hint: format!(
                "{}; the next chaos-report that reaches it sends what waits",
                why.hint()
            ),
        });
        Ok(saved)
    }
}

impl Store for DatabaseStore {
    fn place(&self) -> String {
        self.database.place()
    }

    fn index(
        &mut self,
        depth: Depth,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Index, StoreError> {
        self.send();
        let failed = self.failed();
        Index::of_database(&mut self.database, depth, progress).map_err(failed)
    }

    fn workplace(&self) -> PathBuf {
        let usable = Draft::create(&self.folder).is_ok();
        if usable {
            self.folder.clone()
        } else {
            std::env::temp_dir()
        }
    }

    fn save(
        &mut self,
        stream: NewStream,
        reports: &dyn Fn(&str) -> Vec<NewReport>,
    ) -> Result<Saved, StoreError> {
        match self.insert(&stream, reports) {
            Ok((stem, made)) => {
                let saved = self.saved(&stem, &stream.ending, &made);
                self.send();
                Ok(saved)
            }
            Err(why @ StoreError::Database { .. }) => self.keep(stream, reports, &why),
            Err(error) => Err(error),
        }
    }

    fn take(
        &mut self,
        stream: NewStream,
        _: &str,
        reports: Vec<NewReport>,
    ) -> Result<bool, StoreError> {
        let row = self.row(&stream, &reports)?;
        unsent::add(&mut self.database, row)
    }

    fn read(&mut self, entry: &Entry) -> Result<Box<dyn Read>, ReadError> {
        let bytes = self.database.stream(entry.stem());
        let bytes = bytes.map_err(|error| ReadError::Unreadable(io::Error::other(error)))?;
        let bytes = bytes.ok_or(ReadError::Gone)?;
        archive::unpacked(&entry.file, io::Cursor::new(bytes))
    }

    fn reports(&mut self, entry: &Entry) -> Result<Vec<StoredBytes>, StoreError> {
        let (stem, failed) = (entry.stem(), self.failed());
        let reports = self.database.reports(stem).map_err(failed)?;
        let named = |(ending, bytes)| (format!("{stem}.{ending}"), bytes);
        Ok(reports.into_iter().map(named).collect())
    }

    fn stored(&mut self, entry: &Entry) -> Result<Option<StoredBytes>, StoreError> {
        let failed = self.failed();
        let stream = self.database.stream(entry.stem()).map_err(failed)?;
        Ok(stream.map(|bytes| (entry.file.clone(), bytes)))
    }

    fn remove(&mut self, entries: &[&Entry]) -> Result<(), StoreError> {
        let stems = entries.iter().map(|entry| entry.stem().to_owned());
        let failed = self.failed();
        self.database.remove(stems.collect()).map_err(failed)?;
        for entry in entries {
            remove_copies(&self.folder, entry.stem());
        }
        Ok(())
    }

    fn save_review(&mut self, name: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        let in_database = self.failed();
        self.database
            .save_review(name, bytes)
            .map_err(in_database)?;
        let copied = Draft::create(&self.folder)
            .map(drop)
            .and_then(|()| archive::replace(&self.folder, name, bytes));
        copied.map_err(in_folder(&self.folder))
    }

    fn reviews(&mut self) -> Result<BTreeSet<String>, StoreError> {
        let failed = self.failed();
        let names = self.database.reviews().map_err(failed)?;
        Ok(names.into_iter().collect())
    }

    fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }
}

fn owned(reports: &[NewReport]) -> Vec<(String, Vec<u8>)> {
    let owned = |(ending, bytes): &NewReport| ((*ending).to_owned(), bytes.clone());
    reports.iter().map(owned).collect()
}

/// Removes this machine's copies of reports, unless they belong to a stream in the folder.
fn remove_copies(folder: &Path, stem: &str) {
    if folder.join(format!("{stem}.ndjson")).exists() {
        return;
    }
    for ending in archive::REPORTS {
        // A copy that stays is no loss.
        let _ = fs::remove_file(folder.join(format!("{stem}.{ending}")));
    }
}
