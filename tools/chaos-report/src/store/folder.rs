//! Runs in a folder.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::{NewStream, Saved, Store, StoreError, StoredBytes, in_folder};
use crate::archive::{self, Draft, NewReport, ReadError};
use crate::index::{self, Depth, Entry, Index};

/// A folder with the runs.
pub(super) struct FolderStore {
    folder: PathBuf,
}

impl FolderStore {
    pub(super) fn new(folder: PathBuf) -> FolderStore {
        FolderStore { folder }
    }

    fn failed(&self) -> impl Fn(io::Error) -> StoreError {
        in_folder(&self.folder)
    }
}

impl Store for FolderStore {
    fn place(&self) -> String {
        self.folder.display().to_string()
    }

    fn index(
        &mut self,
        depth: Depth,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Index, StoreError> {
        let index = Index::open(&self.folder, depth, progress);
        index.map_err(self.failed())
    }

    fn workplace(&self) -> PathBuf {
        self.folder.clone()
    }

    fn save(
        &mut self,
        stream: NewStream,
        reports: &dyn Fn(&str) -> Vec<NewReport>,
    ) -> Result<Saved, StoreError> {
        let (stem, ending) = (stream.stem, stream.ending);
        let saved = archive::save(&self.folder, &stem, (stream.draft, &ending), reports);
        saved.map(saved_in_folder).map_err(self.failed())
    }

    fn take(
        &mut self,
        stream: NewStream,
        sha256: &str,
        reports: Vec<NewReport>,
    ) -> Result<bool, StoreError> {
        let name = format!("{}.{}", stream.stem, stream.ending);
        if archive::holds(&self.folder, &name, sha256) {
            return Ok(false);
        }
        self.save(stream, &|_| reports.clone())?;
        Ok(true)
    }

    fn read(&mut self, entry: &Entry) -> Result<Box<dyn Read>, ReadError> {
        archive::open(&self.folder.join(&entry.file))
    }

    fn reports(&mut self, entry: &Entry) -> Result<Vec<StoredBytes>, StoreError> {
        let file = self.folder.join(&entry.file);
        let paths = if entry.is_by_hand() {
            vec![file]
        } else {
            archive::reports_of(&file)
        };
        paths.iter().map(|path| stored(path)).collect()
    }

    fn stored(&mut self, entry: &Entry) -> Result<Option<StoredBytes>, StoreError> {
        stored(&self.folder.join(&entry.file)).map(Some)
    }

    fn remove(&mut self, entries: &[&Entry]) -> Result<(), StoreError> {
        for entry in entries {
            let removed = archive::remove(&self.folder, &entry.file);
            removed.map_err(|(path, source)| StoreError::Folder { path, source })?;
        }
        // What was removed on purpose is not missed.
        self.index(Depth::Facts, &mut |_, _| {})?;
        index::forget_gone(&self.folder);
        Ok(())
    }

    fn save_review(&mut self, name: &str, bytes: &[u8]) -> Result<PathBuf, StoreError> {
        // The folder is made where it is missing, as it is for a report of an experiment.
        let saved = Draft::create(&self.folder)
            .map(drop)
            .and_then(|()| archive::replace(&self.folder, name, bytes));
        saved.map_err(self.failed())
    }

    fn reviews(&mut self) -> Result<BTreeSet<String>, StoreError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            entries => entries.map_err(self.failed())?,
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        Ok(names.collect())
    }
}

fn stored(path: &Path) -> Result<StoredBytes, StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let bytes = fs::read(path).map_err(in_folder(path))?;
    Ok((name.into_owned(), bytes))
}

/// Where files of a folder are.
pub(super) fn saved_in_folder(files: archive::SavedFiles) -> Saved {
    let first = files.reports.first().unwrap_or(&files.stream);
    Saved {
        location: first.display().to_string(),
        stream: files.stream.display().to_string(),
        reports: files.reports,
        notice: None,
    }
}
