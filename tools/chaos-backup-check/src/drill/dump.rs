//! The backup that a drill restores, opened anew.

use std::sync::Arc;

use chaos_common::config::Backup;

use super::blocking::blocking;
use super::error::DrillError;
use super::feed::{Feed, Form};
use crate::context::Context;
use crate::progress::Readings;
use crate::source::{self, StoredBackup};

/// What is restored.
pub(super) struct Dump {
    stored: Arc<StoredBackup>,
    name: String,
    /// The command that decrypts it; empty if it is not encrypted.
    decrypt: Vec<String>,
    readings: Readings,
}

impl Dump {
    /// Opens a backup.
    pub(super) async fn open(context: &Context, backup: &Backup) -> Result<Dump, DrillError> {
        let (at, of) = (backup.clone(), context.clone());
        // It may wait for a network.
        let stored = blocking(move || source::open_stored(&at, &of)).await;
        Ok(Dump {
            stored: Arc::new(stored.map_err(|absent| DrillError::unknown(absent.why))?),
            name: format!("restoring {}", source::label(backup)),
            decrypt: backup.decrypt.clone(),
            readings: context.readings.clone(),
        })
    }

    /// Its bytes, decrypted and unpacked; each time from the first to the last.
    pub(super) fn feed(&self) -> Feed {
        let (stored, readings, name) = (
            self.stored.clone(),
            self.readings.clone(),
            self.name.clone(),
        );
        let form = match self.decrypt.as_slice() {
            [] => Form::Packed,
            command => Form::Encrypted(command.to_vec()),
        };
        Feed::of(form, move || {
            let opened = stored.source().open()?;
            Ok(Box::new(readings.watch(
                &name,
                Some(stored.before.size),
                opened,
            )))
        })
    }

    /// The names of its files, if it is a folder.
    pub(super) async fn files(&self) -> Result<Option<Vec<String>>, DrillError> {
        if !self.stored.folder {
            return Ok(None);
        }
        let stored = self.stored.clone();
        let names = blocking(move || stored.source().list()).await;
        let mut names: Vec<String> = names
            .map_err(|trouble| DrillError::unknown(trouble.to_string()))?
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        names.sort();
        Ok(Some(names))
    }

    /// The bytes of one of its files, as they are.
    pub(super) fn file(&self, name: &str) -> Feed {
        let (stored, name) = (self.stored.clone(), name.to_owned());
        Feed::of(Form::AsItIs, move || {
            stored.source().open_in(&name).map(|(reader, _)| reader)
        })
    }
}
