//! What a backup is judged by, and how much of it is wanted.

use chaos_common::config::{Backup, BackupKind};
use jiff::Timestamp;

use super::freshness::Due;
use crate::source;

/// What is to be known of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Everything: its age, what the cluster has now, what proves that it restores.
    Everything,
    /// Whether it is there and whole, whatever its age and what the cluster has now.
    Content,
}

/// What a backup is judged by.
pub(super) struct Criteria<'b> {
    pub(super) backup: &'b Backup,
    /// Its name in checks.
    pub(super) object: String,
    pub(super) scope: Scope,
    pub(super) now: Timestamp,
    pub(super) due: Due,
}

impl Criteria<'_> {
    /// By the configuration, at this moment.
    pub(super) fn of(backup: &Backup, scope: Scope, now: Timestamp) -> Criteria<'_> {
        Criteria {
            backup,
            object: source::label(backup),
            scope,
            now,
            due: Due::of(backup, now),
        }
    }

    /// Whether it is the snapshot of a volume.
    pub(super) fn is_snapshot(&self) -> bool {
        self.backup.kind == Some(BackupKind::VolumeSnapshot)
    }
}
