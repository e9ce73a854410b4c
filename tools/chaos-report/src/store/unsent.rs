//! What the database could not take: kept in a folder like any archive, until it can.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::folder::saved_in_folder;
use super::{NewStream, Saved, StoreError, in_folder};
use crate::archive::{self, NewReport, StoredFile};
use crate::database::{Database, Inserted, NewRow};
use crate::index;

/// The folder's name in that of the reports.
const NAME: &str = "unsent";

/// The folder.
pub(super) struct Unsent {
    folder: PathBuf,
}

impl Unsent {
    pub(super) fn in_folder(folder: &Path) -> Unsent {
        Unsent {
            folder: folder.join(NAME),
        }
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Keeps a stream and its reports.
    ///
    /// # Errors
    /// The folder can't be written.
    pub(super) fn keep(
        &self,
        stream: NewStream,
        reports: &dyn Fn(&str) -> Vec<NewReport>,
    ) -> Result<Saved, StoreError> {
        let kept = || {
            let draft = stream.draft.moved_to(&self.folder)?;
            // Who sends meanwhile must not see the stream without its reports.
            let _lock = self.lock()?;
            archive::save(&self.folder, &stream.stem, (draft, &stream.ending), reports)
        };
        kept().map(saved_in_folder).map_err(in_folder(&self.folder))
    }

    /// Sends what waits, each with its reports, and moves these to `copies`. Gives news to people.
    pub(super) fn send(&self, database: &mut Database, copies: &Path, news: &mut Vec<String>) {
        let waits = |files: &[StoredFile]| !files.is_empty();
        let files = archive::files(&self.folder);
        if files.as_deref().is_ok_and(|files| !waits(files)) {
            return;
        }
        let here = self.folder.display().to_string();
        // Another program may send some of them while this one waits for the lock.
        let locked = self
            .lock()
            .and_then(|lock| Ok((lock, archive::files(&self.folder)?)));
        let (_lock, files) = match locked {
            Ok(locked) => locked,
            Err(error) => return news.push(format!("cannot send what waits in {here}: {error}")),
        };
        let mut sent = 0;
        for file in &files {
            match self.send_one(database, file, copies) {
                Ok(added) => sent += usize::from(added),
                Err(why) => news.push(format!("{} waits in {here}: {why}", file.name)),
            }
        }
        if sent > 0 {
            let place = database.place();
            let streams = match sent {
                1 => "1 stream that waited".to_owned(),
                n => format!("{n} streams that waited"),
            };
            news.push(format!("{streams} in {here}: in {place} now"));
        }
    }

    /// Sends a stream. Whether the database did not have it yet.
    fn send_one(
        &self,
        database: &mut Database,
        file: &StoredFile,
        copies: &Path,
    ) -> Result<bool, StoreError> {
        let row = self.row(file).map_err(in_folder(&self.folder))?;
        let added = add(database, row)?;
        self.forget(file, copies).map_err(in_folder(&self.folder))?;
        Ok(added)
    }

    /// One program at a time writes or sends; the lock ends with the file, and with the program.
    fn lock(&self) -> io::Result<File> {
        let folder = File::open(&self.folder)?;
        folder.lock()?;
        Ok(folder)
    }

    fn row(&self, file: &StoredFile) -> io::Result<NewRow> {
        let path = self.folder.join(&file.name);
        let bytes = fs::read(&path)?;
        let stem = archive::stem_of(&file.name).to_owned();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let reports = archive::reports_of(&path).into_iter().map(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let ending = name[stem.len() + 1..].to_owned();
            Ok((ending, fs::read(&path)?))
        });
        Ok(NewRow {
            ending: name[stem.len() + 1..].to_owned(),
            sha256: archive::digest(&bytes),
            kept: index::kept(&name, &bytes),
            reports: reports.collect::<io::Result<_>>()?,
            bytes: Arc::new(bytes),
            stem,
        })
    }

    /// Removes a stream that the database has. Its reports go on being this machine's copies.
    fn forget(&self, file: &StoredFile, copies: &Path) -> io::Result<()> {
        let stream = self.folder.join(&file.name);
        for report in archive::reports_of(&stream) {
            let name = report.file_name().unwrap_or_default();
            match fs::hard_link(&report, copies.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => fs::remove_file(&report)?,
            }
        }
        // The last: as long as it is there, all of this is done again.
        fs::remove_file(&stream)
    }
}

/// Gives a stream to the database, under another name if another stream has this one. Whether it
/// was not there yet: an answer to an earlier try may not have arrived.
pub(super) fn add(database: &mut Database, row: NewRow) -> Result<bool, StoreError> {
    let place = database.place();
    let failed = |source| StoreError::Database {
        place: place.clone(),
        source,
    };
    for stem in archive::numbered(&row.stem) {
        let numbered = NewRow {
            stem,
            ..row.clone()
        };
        match database.insert(numbered).map_err(failed)? {
            Inserted::New => return Ok(true),
            Inserted::Same => return Ok(false),
            Inserted::Taken => {}
        }
    }
    Err(StoreError::Folder {
        path: PathBuf::from(row.stem),
        source: archive::no_name_left(),
    })
}
