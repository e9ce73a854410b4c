//! Where a backup is, and the way to its bytes: on this machine, in a pod, in object storage, or in
//! the cluster as the snapshot of a volume.

pub(crate) mod claim;
mod dump_folder;
mod error;
mod local;
mod local_folder;
pub(crate) mod name_stamp;
pub(crate) mod neighbours;
mod pattern;
mod pod;
mod pod_folder;
mod pod_target;
pub(crate) mod remote;
mod s3;
mod s3_bucket;
mod s3_listing;
mod selection;
mod side_file;
mod sidecar;
mod stat;
pub(crate) mod volume_snapshot;

use std::collections::HashSet;
use std::io::Read;
use std::path::Path;
use std::time::{Duration, SystemTime};

use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::inspection::{Expectations, Verified};
use chaos_backup_check::formats::manifest::Manifest;
use chaos_backup_check::formats::pg_dump::directory::{self, Files};
use chaos_backup_check::formats::verify::verify;
use chaos_common::cli;
use chaos_common::config::{Backup, BackupKind, Config, Location};
use chaos_common::exit::Failure;
use chaos_common::record::{Check, Status};

use self::neighbours::Row;
use self::selection::Selection;
use self::volume_snapshot::VolumeSnapshot;
use crate::adapters;
use crate::adapters::Account;
use crate::context::Context;
use crate::progress::Readings;

pub(crate) use self::error::SourceError;
pub(crate) use self::local::resolved;

/// Id of the check of whether it is there.
pub(crate) const PRESENT: &str = "backup.present";
/// A file that was written to so short ago may still be written.
const YOUNG: Duration = Duration::from_secs(60);

/// A backup whose place is known.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located<'b> {
    backup: &'b Backup,
    place: Location<'b>,
}

/// What is at the place of a backup.
pub(crate) enum Opened {
    /// Bytes that can be read.
    Stored(StoredBackup),
    /// A snapshot, of which only its driver's account can be read.
    Snapshot(VolumeSnapshot),
    /// What a tool that makes backups says of those that it keeps.
    Told(Account),
}

/// A backup with bytes, as it was when it was opened.
pub(crate) struct StoredBackup {
    source: Box<dyn Source>,
    /// For people: `a file`, `a folder`, `an object`.
    pub(crate) noun: &'static str,
    /// Whether it is a folder of files.
    pub(crate) folder: bool,
    /// How it was then.
    pub(crate) before: StoredState,
    /// Where it really is, if that is not where it is configured.
    pub(crate) resolved: Option<String>,
    /// Whether it is the newest of several, and not the one that was named.
    pub(crate) chosen: bool,
    /// What could not be looked at when it was chosen, for people.
    pub(crate) passed_over: Option<String>,
    /// The last part of its real path.
    pub(crate) name: String,
}

/// What a file system or an object storage says of a backup; of the files of a folder together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct StoredState {
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

/// The way to the bytes of one backup. Its calls wait, and are made on threads that may.
pub(crate) trait Source: Files + Send + Sync {
    /// How it is now.
    fn state(&self) -> Result<StoredState, SourceError>;
    /// Its bytes, from the first to the last, or an error where they end before that.
    fn open(&self) -> Result<Box<dyn Read + Send>, FormatError>;
    /// Where its manifest would be, for people.
    fn manifest_name(&self) -> String;
    /// The text of its manifest; `None` if there is none.
    fn manifest(&self) -> Result<Option<Vec<u8>>, SourceError>;
    /// Takes the files beside it into its row.
    fn neighbours(&self, row: Row) -> Row;
    /// What is another wherever its bytes may be others; `None` where nothing tells that for sure.
    fn identity(&self) -> Option<String>;
    /// Writes its manifest beside it, whole or not at all.
    fn seal(&self, manifest: &[u8]) -> Result<(), SourceError>;
}

impl Absent {
    pub(crate) fn fail(why: impl Into<String>) -> Absent {
        Absent {
            status: Status::Fail,
            why: why.into(),
            hint: None,
        }
    }

    pub(crate) fn unknown(why: impl Into<String>) -> Absent {
        Absent {
            status: Status::Unknown,
            why: why.into(),
            hint: None,
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Absent {
        self.hint = Some(hint.into());
        self
    }

    /// As a check.
    pub(crate) fn check(&self, id: &str, object: &str) -> Check {
        let mut check = Check::new(id, object, self.status, &self.why);
        check.hint.clone_from(&self.hint);
        check
    }

    /// For who reads its bytes: a backup that is not there is as bad as a damaged one.
    pub(crate) fn into_format_error(self) -> FormatError {
        match self.status {
            Status::Fail => FormatError::Damaged(self.why),
            _ => FormatError::CannotTell(self.why),
        }
    }
}

/// The place of a backup for people, and for checks as their object.
pub(crate) fn label(backup: &Backup) -> String {
    match backup.place() {
        Ok(Location::Pod {
            kind, name, path, ..
        }) => format!("{kind}/{name}:{}", path.display()),
        Ok(Location::Claim { claim, path, .. }) => format!("claim/{claim}:{}", path.display()),
        Ok(Location::Snapshot) => {
            let what = |name: &str, value: &Option<String>| {
                value.as_ref().map(|value| format!("{name}{value}"))
            };
            let named = what("", &backup.snapshot);
            let by =
                || what("selector=", &backup.selector).or_else(|| what("claim=", &backup.claim));
            format!("volumesnapshot/{}", named.or_else(by).unwrap_or_default())
        }
        Ok(Location::Tool(tool)) => adapters::label(tool),
        _ => backup.path.display().to_string(),
    }
}

/// Whether each backup of the configuration has one place.
pub(crate) fn check_places(config: &Config) -> Result<(), Failure> {
    let mut names = HashSet::new();
    if let Some(twice) = config
        .backups
        .iter()
        .find(|backup| !names.insert(&backup.name))
    {
        return Err(
            Failure::usage(format!("two backups are called {:?}", twice.name))
                .hint("give each [[backup]] a name of its own: evidence of drills goes by it"),
        );
    }
    for backup in &config.backups {
        backup.place().map_err(|why| {
            Failure::usage(format!("backup {:?} {why}", backup.name))
                .hint("chaos-health init -n NAMESPACE - prints some of the places that a [[backup]] can have")
        })?;
    }
    let in_s3 = |backup: &Backup| matches!(backup.place(), Ok(Location::S3 { .. }));
    if config.backups.iter().any(in_s3) {
        s3_bucket::endpoint(&config.s3).map_err(|error| Failure::usage(error.to_string()))?;
    }
    Ok(())
}

/// Finds out where a backup is.
pub(crate) fn locate(backup: &Backup) -> Result<Located<'_>, Absent> {
    match backup.place() {
        Ok(place) => Ok(Located { backup, place }),
        Err(error) => Err(Absent::unknown(error.to_string())),
    }
}

impl Located<'_> {
    /// Opens what is there, where that can be done beforehand.
    pub(crate) fn open(&self, context: &Context) -> Result<Opened, Absent> {
        let selection = Selection::of(self.backup);
        let opened = match self.place {
            Location::Local(path) => local::open(path, &selection),
            Location::Pod {
                kind,
                name,
                container,
                path,
            } => {
                let target = pod_target::PodTarget {
                    kind: kind.to_owned(),
                    name: name.to_owned(),
                    container: container.map(str::to_owned),
                };
                pod::open(target, path, selection, context)
            }
            Location::Claim {
                claim,
                reader,
                path,
            } => {
                let container = context.claim_pods.container(claim, reader, context)?;
                pod::open_in(container, path, selection)
            }
            Location::S3 { bucket, key } => s3::open((bucket, key), selection, context),
            Location::Tool(tool) => return adapters::ask(tool, context).map(Opened::Told),
            Location::Snapshot => {
                return cli::block_on(volume_snapshot::find(self.backup, context))
                    .map(Opened::Snapshot);
            }
        };
        opened.map(Opened::Stored)
    }
}

/// Opens a backup that has bytes.
pub(crate) fn open_stored(backup: &Backup, context: &Context) -> Result<StoredBackup, Absent> {
    match locate(backup)?.open(context)? {
        Opened::Stored(stored) => Ok(stored),
        Opened::Snapshot(_) => Err(Absent::unknown(
            "is a snapshot of a volume, which is not read",
        )),
        Opened::Told(_) => Err(Absent::unknown("is kept by a tool, and read by that alone")),
    }
}

/// Opens a backup on this machine that need not be in the configuration.
pub(crate) fn open_local(path: &Path) -> Result<StoredBackup, Absent> {
    local::open(path, &Selection::any())
}

impl StoredBackup {
    /// What is at its place.
    pub(crate) fn source(&self) -> &dyn Source {
        &*self.source
    }

    /// Reads it to its end. `object` is its name in checks.
    pub(crate) fn verify(
        &self,
        kind: Option<BackupKind>,
        expected: &Expectations,
        readings: &Readings,
        object: &str,
    ) -> Result<Verified, FormatError> {
        let size = self.before.size;
        if self.folder {
            return directory::verify(&*self.source, expected, object);
        }
        if size == 0 {
            return FormatError::damaged("is empty (0 bytes)");
        }
        let bytes = readings.watch(object, Some(size), self.source.open()?);
        verify(bytes, kind, Some(size), expected, object)
    }

    /// Its manifest; `None` if there is none.
    pub(crate) fn manifest(&self) -> Result<Option<Manifest>, FormatError> {
        let name = self.source.manifest_name();
        let unreadable = |error: SourceError| {
            FormatError::CannotTell(match error {
                SourceError::NotAFile | SourceError::TooLarge(_) => {
                    format!("its manifest {name} {error}")
                }
                _ => format!("its manifest {name} cannot be read: {error}"),
            })
        };
        let Some(text) = self.source.manifest().map_err(unreadable)? else {
            return Ok(None);
        };
        match Manifest::parse(&text) {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) => FormatError::cannot_tell(format!("its manifest {name} {error}")),
        }
    }

    /// What changed since it was opened.
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

    /// When it was last written to.
    pub(crate) fn modified(&self) -> Option<jiff::Timestamp> {
        self.before
            .modified
            .and_then(|time| jiff::Timestamp::try_from(time).ok())
    }

    /// Whether it was written to just now.
    pub(crate) fn is_young(&self) -> bool {
        let modified = self.before.modified;
        let age = modified.and_then(|modified| modified.elapsed().ok());
        age.is_some_and(|age| age < YOUNG)
    }
}

/// The last part of a path in a pod or in object storage.
fn base_name(path: &str) -> &str {
    path.rsplit('/')
        .find(|part| !part.is_empty())
        .unwrap_or(path)
}
