//! What can be found out about a backup, without a judgement: all that takes time is done here.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::inspection::{Expectations, Verified};
use chaos_backup_check::formats::manifest::Manifest;
use chaos_common::cli;
use chaos_common::config::{Backup, BackupKind, Config, Location, Span};
use chaos_common::record::{Contents, RestoreDrill, Time};
use jiff::Timestamp;

use super::criteria::{Criteria, Scope};
use super::drift::{self, ClusterView};
use super::evidence::{self, EvidenceError};
use super::freshness::NameDate;
use super::reads::{self, Subject};
use crate::adapters::Account;
use crate::context::Context;
use crate::source::neighbours::Row;
use crate::source::volume_snapshot::VolumeSnapshot;
use crate::source::{Absent, Opened, StoredBackup};

/// How long it is waited for whether more of a young file is written.
const SETTLE: Duration = Duration::from_millis(1500);

/// All that was found out about a backup.
pub(super) struct Facts {
    pub(super) found: Inspected,
    pub(super) drills: Drills,
}

/// What is at its place.
pub(super) enum Inspected {
    Absent(Absent),
    Snapshot(VolumeSnapshot),
    Told(Account),
    Stored(Box<StoredFacts>),
}

/// What is known of a backup with bytes.
pub(super) struct StoredFacts {
    pub(super) noun: &'static str,
    pub(super) resolved: Option<String>,
    /// Whether it is the newest of several, and not the one that the configuration names.
    pub(super) chosen: bool,
    /// What could not be looked at when it was chosen.
    pub(super) passed_over: Option<String>,
    /// In bytes, when it was opened.
    pub(super) size: u64,
    pub(super) modified: Option<SystemTime>,
    pub(super) named: NameDate,
    pub(super) manifest: Result<Option<Manifest>, FormatError>,
    pub(super) content: Result<Verified, NotWhole>,
    /// The ones before it, by the files beside it; none if it is a folder.
    pub(super) before: Row,
    /// What the cluster has, where the backup is one of the cluster's configuration.
    pub(super) cluster: Option<ClusterView>,
}

/// Why a backup is not known to be whole.
pub(super) enum NotWhole {
    /// It changed while it was read: what changed.
    BeingWritten(String),
    /// It was read as it is.
    Unsound(FormatError),
}

/// The drills of backups of this name.
pub(super) enum Drills {
    /// Nobody wants to know.
    NotAsked,
    /// The configuration has no `[drill]`.
    NotConfigured,
    /// A snapshot of a volume, or what a tool keeps, which no drill restores: what it is.
    NotPossible(&'static str),
    /// Those that were kept, and the oldest age at which one proves something.
    Kept(Result<Vec<RestoreDrill>, EvidenceError>, Span),
}

/// Finds out all that is wanted.
pub(super) fn inspect(
    opened: Result<Opened, Absent>,
    criteria: &Criteria,
    context: &Context,
) -> Facts {
    let found = match opened {
        Err(absent) => Inspected::Absent(absent),
        Ok(Opened::Snapshot(snapshot)) => Inspected::Snapshot(snapshot),
        Ok(Opened::Told(account)) => Inspected::Told(account),
        Ok(Opened::Stored(stored)) => {
            Inspected::Stored(Box::new(stored_facts(&stored, criteria, context)))
        }
    };
    Facts {
        found,
        drills: drills(criteria, context),
    }
}

fn stored_facts(stored: &StoredBackup, criteria: &Criteria, context: &Context) -> StoredFacts {
    let backup = criteria.backup;
    let manifest = stored.manifest();
    let read = read_content(stored, criteria, context);
    let row = Row::before(&stored.name, stored.before.modified);
    let before = if stored.folder {
        row
    } else {
        stored.source().neighbours(row)
    };
    let cluster = match &read {
        Ok(verified) if criteria.scope == Scope::Everything && is_objects(verified) => {
            let objects = &verified.found.objects;
            Some(cli::block_on(drift::look(context, backup, objects)))
        }
        _ => None,
    };
    StoredFacts {
        noun: stored.noun,
        resolved: stored.resolved.clone(),
        chosen: stored.chosen,
        passed_over: stored.passed_over.clone(),
        size: stored.before.size,
        modified: stored.before.modified,
        named: NameDate::of(&stored.name, backup.dated.as_deref()),
        manifest,
        content: read,
        before,
        cluster,
    }
}

fn is_objects(verified: &Verified) -> bool {
    matches!(verified.found.contents, Contents::Kubernetes { .. })
}

/// Reads it in full.
fn read_content(
    stored: &StoredBackup,
    criteria: &Criteria,
    context: &Context,
) -> Result<Verified, NotWhole> {
    let backup = criteria.backup;
    let expected = expectations(backup, &context.config);
    let object = &criteria.object;
    let subject = subject(stored, criteria, &expected, context);
    let trust = context.trust_unchanged;
    if let (Some((folder, subject)), Some(limit)) = (&subject, trust)
        && let Some(verified) = reads::trusted(folder, subject, limit, Time(criteria.now))
    {
        return Ok(verified);
    }
    let read = stored.verify(backup.kind, &expected, &context.readings, object);
    // A backup that is being made looks cut, and may stand still for a moment.
    if read.is_err() && stored.is_young() && stored.written_meanwhile().is_none() {
        std::thread::sleep(SETTLE);
    }
    if let Some(change) = stored.written_meanwhile() {
        return Err(NotWhole::BeingWritten(change));
    }
    // What was written just now could be written again without another time.
    if let (Ok(verified), Some((folder, subject))) = (&read, &subject)
        && !stored.is_young()
    {
        // Without a note it is read again, and nothing else.
        let _ = reads::keep(folder, subject, verified, Time(criteria.now));
    }
    read.map_err(NotWhole::Unsound)
}

/// What a backup is known by when it need not be read again; nothing where it must.
fn subject(
    stored: &StoredBackup,
    criteria: &Criteria,
    expected: &Expectations,
    context: &Context,
) -> Option<(PathBuf, Subject)> {
    let wanted = context.trust_unchanged.is_some() && criteria.scope == Scope::Everything;
    if !wanted {
        return None;
    }
    let subject = Subject {
        place: format!("{} {}", context.namespace, criteria.object),
        identity: stored.source().identity()?,
        asked: reads::asked(criteria.backup, expected),
    };
    Some((reads::folder()?, subject))
}

/// What a backup has to hold.
pub(crate) fn expectations(backup: &Backup, config: &Config) -> Expectations {
    // Of what kind it is may show when it is read only; others have no database.
    let postgres = backup.kind.is_none_or(|kind| kind == BackupKind::Postgres);
    let database = backup
        .database
        .clone()
        .or_else(|| Some(config.database.as_ref()?.name.clone()));
    Expectations {
        database: database.filter(|_| postgres),
        decrypt: backup.decrypt.clone(),
        holds: backup.holds,
        expect: backup.expect.clone(),
        resources: backup.resources.clone(),
    }
}

fn drills(criteria: &Criteria, context: &Context) -> Drills {
    if criteria.scope == Scope::Content {
        return Drills::NotAsked;
    }
    if criteria.is_snapshot() {
        return Drills::NotPossible("is a volume's snapshot");
    }
    if matches!(criteria.backup.place(), Ok(Location::Tool(_))) {
        return Drills::NotPossible("is kept by a tool");
    }
    let Some(drill) = &context.config.drill else {
        return Drills::NotConfigured;
    };
    let kept = evidence::folder(&context.config)
        .and_then(|folder| evidence::read(&folder, &context.namespace, &criteria.backup.name));
    Drills::Kept(kept, drill.max_age)
}

impl StoredFacts {
    /// When it was last written to, as far as the file system tells.
    pub(super) fn modified_at(&self) -> Option<Timestamp> {
        self.modified
            .and_then(|modified| Timestamp::try_from(modified).ok())
    }
}
