//! Where a backup is, and the way to its bytes: on this machine, in a pod, in object storage.

pub(crate) mod exec;
mod local;
mod pod;
pub(crate) mod remote;
mod s3;
pub(crate) mod volume_snapshot;

use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::inspection::{Expectations, Verified};
use chaos_backup_check::formats::manifest::Manifest;
use chaos_backup_check::formats::pg_dump::directory::{self, Files};
use chaos_backup_check::formats::verify::verify;
use chaos_common::config::{Backup, BackupKind, Config, Place};
use chaos_common::exit::Failure;
use chaos_common::record::{Check, Status};

use crate::context::Context;
use crate::item::freshness;
use crate::progress::Readings;

pub(crate) use self::local::resolved;

/// Id of the check of whether it is there.
pub(crate) const PRESENT: &str = "backup.present";

/// A backup that was found.
pub(crate) struct Found {
    source: Box<dyn Source>,
    /// For people: `a file`, `a folder`, `an object`.
    pub(crate) noun: &'static str,
    /// Whether it is a folder of files.
    pub(crate) folder: bool,
    /// How it was then.
    pub(crate) before: State,
    /// Where it really is, if that is not where it is configured.
    pub(crate) resolved: Option<String>,
    /// The last part of its real path.
    pub(crate) name: String,
}

/// What a file system or an object storage says of a backup; of the files of a folder together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) size: u64,
    pub(crate) modified: Option<SystemTime>,
    /// What is another where the bytes may be others, if there is such a thing.
    pub(crate) version: String,
}

/// Why there is nothing to look at.
#[derive(Debug)]
pub(crate) struct Absent {
    /// `fail` where it is not there, `unknown` where that can't be told.
    pub(crate) status: Status,
    pub(crate) why: String,
    pub(crate) hint: Option<String>,
}

/// Another file of the same folder.
#[derive(Debug)]
pub(crate) struct Neighbour {
    pub(crate) name: String,
    pub(crate) modified: SystemTime,
    pub(crate) size: u64,
}

/// The way to one backup. Its calls wait, and are made on threads that may.
pub(crate) trait Source: Files + Send + Sync {
    /// How it is now. `Err` says why that can't be told.
    fn state(&self) -> Result<State, String>;
    /// Its bytes, from the first to the last, or an error where they end before that.
    fn open(&self) -> Result<Box<dyn Read + Send>, FormatError>;
    /// Where its manifest would be, for people, and what is there.
    fn manifest(&self) -> (String, Result<Option<Vec<u8>>, String>);
    /// Files beside it.
    fn neighbours(&self) -> Vec<Neighbour>;
    /// Writes its manifest beside it, whole or not at all. `Err` says why not.
    fn seal(&self, manifest: &[u8]) -> Result<(), String>;
}

impl Absent {
    fn fail(why: impl Into<String>) -> Absent {
        Absent {
            status: Status::Fail,
            why: why.into(),
            hint: None,
        }
    }

    fn unknown(why: impl Into<String>) -> Absent {
        Absent {
            status: Status::Unknown,
            why: why.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Absent {
        self.hint = Some(hint.into());
        self
    }

    /// As a check.
    pub(crate) fn check(self, id: &str, object: &str) -> Check {
        let mut check = Check::new(id, object, self.status, self.why);
        check.hint = self.hint;
        check
    }
}

/// The place of a backup for people, and for checks as their object.
pub(crate) fn label(backup: &Backup) -> String {
    match backup.place() {
        Ok(Place::Pod {
            kind, name, path, ..
        }) => format!("{kind}/{name}:{}", path.display()),
        Ok(Place::Snapshot) => {
            let what = |name: &str, value: &Option<String>| {
                value.as_ref().map(|value| format!("{name}{value}"))
            };
            let named = what("", &backup.snapshot);
            let by =
                || what("selector=", &backup.selector).or_else(|| what("claim=", &backup.claim));
            format!("volumesnapshot/{}", named.or_else(by).unwrap_or_default())
        }
        _ => backup.path.display().to_string(),
    }
}

/// Whether each backup of the configuration has one place.
pub(crate) fn check_places(config: &Config) -> Result<(), Failure> {
    for backup in &config.backups {
        backup.place().map_err(|why| {
            Failure::usage(format!("backup {:?} {why}", backup.name))
                .hint("scripts/ecommerce.toml shows the places that a [[backup]] can have")
        })?;
    }
    if config
        .backups
        .iter()
        .any(|backup| matches!(backup.place(), Ok(Place::S3 { .. })))
    {
        s3::endpoint(&config.s3).map_err(Failure::usage)?;
    }
    Ok(())
}

/// Finds a backup, and opens it where that can be done beforehand.
pub(crate) fn find(backup: &Backup, context: &Context) -> Result<Found, Absent> {
    match backup.place() {
        Ok(Place::Local(path)) => local::find(path, Some(backup.kind)),
        Ok(Place::Pod {
            kind,
            name,
            container,
            path,
        }) => {
            let at = pod::At {
                kind: kind.to_owned(),
                name: name.to_owned(),
                container: container.map(str::to_owned),
            };
            pod::find(at, path, backup.kind, context)
        }
        Ok(Place::S3 { bucket, key }) => s3::find(bucket, key, context),
        Ok(Place::Snapshot) => Err(Absent::unknown(
            "is a snapshot of a volume, which is not read",
        )),
        Err(why) => Err(Absent::unknown(why)),
    }
}

/// Finds a backup on this machine that need not be in the configuration.
pub(crate) fn find_local(path: &Path) -> Result<Found, Absent> {
    local::find(path, None)
}

impl Found {
    /// What is at its place.
    pub(crate) fn source(&self) -> &dyn Source {
        &*self.source
    }

    /// Reads it to its end. `object` is its name in checks.
    pub(crate) fn verify(
        &self,
        kind: Option<BackupKind>,
        want: &Expectations,
        readings: &Readings,
        object: &str,
    ) -> Result<Verified, FormatError> {
        let size = self.before.size;
        if self.folder {
            return directory::verify(&*self.source, want, object);
        }
        if size == 0 {
            return FormatError::damaged("is empty (0 bytes)");
        }
        verify(
            readings.watch(object, Some(size), self.source.open()?),
            kind,
            Some(size),
            want,
            object,
        )
    }

    /// Its manifest; `None` if there is none.
    pub(crate) fn manifest(&self) -> Result<Option<Manifest>, FormatError> {
        let (name, text) = self.source.manifest();
        let trouble = |why: String| FormatError::CannotTell(format!("its manifest {name} {why}"));
        text.map_err(trouble)?
            .map(|text| Manifest::parse(&text).map_err(|error| trouble(error.to_string())))
            .transpose()
    }

    /// What changed since it was found.
    pub(crate) fn written_meanwhile(&self) -> Option<String> {
        let after = match self.source.state() {
            Ok(after) => after,
            Err(error) => return Some(format!("it cannot be looked at any more: {error}")),
        };
        let (before, now) = (self.before.size, after.size);
        if before != now {
            return Some(format!(
                "it had {before} bytes, and {now} when it had been read"
            ));
        }
        (self.before != after).then(|| "it was changed while it was read".to_owned())
    }

    /// What its name says of when it was made.
    pub(crate) fn stamp(&self) -> Option<freshness::Stamp> {
        freshness::stamp(&self.name)
    }

    /// When it was last written to.
    pub(crate) fn modified(&self) -> Option<jiff::Timestamp> {
        self.before
            .modified
            .and_then(|time| jiff::Timestamp::try_from(time).ok())
    }

    /// When it was made, as far as it and its name tell; `None` if they don't.
    pub(crate) fn made(&self) -> Option<jiff::Timestamp> {
        Some(freshness::made(self.modified()?, self.stamp()).0)
    }
}

/// The last part of a path in a pod or in object storage.
fn base_name(path: &str) -> &str {
    path.rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or(path)
}
