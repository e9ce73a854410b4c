//! What a backup is, and which tool keeps it if one does.

use schemars::JsonSchema;
use serde::Deserialize;

use super::backup_tool::{CloudNativePg, PgBackRest, Restic, Velero};

/// What a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BackupKind {
    /// A PostgreSQL dump: in custom format (`pg_dump -Fc`), a folder in directory format (`-Fd`), in
    /// tar format (`-Ft`), or a script (`-Fp`, `pg_dumpall`).
    Postgres,
    /// A tar archive, plain or compressed with gzip, zstd, lz4, xz or bzip2.
    Tar,
    /// Exported Kubernetes objects in YAML or JSON.
    Kubernetes,
    /// A VolumeSnapshot of the cluster, of which its readiness is looked at.
    VolumeSnapshot,
    /// Backups of a PostgreSQL cluster that pgBackRest keeps.
    #[serde(rename = "pgbackrest")]
    PgBackRest,
    /// Backups of a Cluster of CloudNativePG.
    #[serde(rename = "cloudnative-pg")]
    CloudNativePg,
    /// Backups of a cluster's objects and volumes that Velero keeps.
    Velero,
    /// Snapshots of files in a repository of restic.
    Restic,
}

impl BackupKind {
    /// The tool of this kind and its table, if it is of one.
    pub(super) fn tool_table(self) -> Option<(&'static str, &'static str)> {
        match self {
            BackupKind::PgBackRest => Some(("pgbackrest", "pgbackrest")),
            BackupKind::CloudNativePg => Some(("cloudnative-pg", "cloudnative_pg")),
            BackupKind::Velero => Some(("velero", "velero")),
            BackupKind::Restic => Some(("restic", "restic")),
            _ => None,
        }
    }
}

/// A tool that makes backups, and which of them are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackupTool<'b> {
    /// pgBackRest.
    PgBackRest(&'b PgBackRest),
    /// CloudNativePG.
    CloudNativePg(&'b CloudNativePg),
    /// Velero.
    Velero(&'b Velero),
    /// restic.
    Restic(&'b Restic),
}

impl BackupTool<'_> {
    /// The kind of its backups.
    pub fn kind(self) -> BackupKind {
        match self {
            BackupTool::PgBackRest(_) => BackupKind::PgBackRest,
            BackupTool::CloudNativePg(_) => BackupKind::CloudNativePg,
            BackupTool::Velero(_) => BackupKind::Velero,
            BackupTool::Restic(_) => BackupKind::Restic,
        }
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        self.kind().tool_table().map_or("", |(name, _)| name)
    }

    /// Its table in chaos.toml, behind `backup.`.
    pub(super) fn table(self) -> &'static str {
        self.kind().tool_table().map_or("", |(_, table)| table)
    }
}
