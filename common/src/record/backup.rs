//! `chaos.backup`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Check, Data, Kind, Time, Verdict};

/// Would the backups restore?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Backup {
    /// The application's namespace that the backups are of.
    pub namespace: String,
    /// What was done: backups were checked (the default), or made, or restored for a drill.
    #[serde(default)]
    pub action: BackupAction,
    /// Every check made.
    pub checks: Vec<Check>,
    /// Each backup that was looked at.
    pub items: Vec<BackupItem>,
}

impl Data for Backup {
    const KIND: Kind = Kind::Backup;
    fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// What was done with backups. Only a check answers for all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum BackupAction {
    /// All that are configured were checked.
    #[default]
    Check,
    /// Some were made.
    Export,
    /// Some were restored to see that they can be.
    Drill,
}

/// One backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackupItem {
    /// The name that the configuration gives it.
    pub name: String,
    /// Where it is, as configured: a path, `deployment/NAME:PATH` in a pod, `s3://BUCKET/KEY` in
    /// object storage, `volumesnapshot/NAME`, or what a tool keeps (`pgbackrest:STANZA`,
    /// `restic:REPOSITORY`, `cluster/NAME`, `velero:schedule/NAME`).
    pub path: String,
    /// Where the path leads, if it is a symbolic link; the newest, if it is a folder, or a prefix in
    /// object storage; the newest snapshot, if none is named; the backup that a tool names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
    /// Size in bytes, of a VolumeSnapshot that of the volume it makes; absent if it could not be
    /// opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The time that the age is counted from: its manifest's, else the oldest of the file's
    /// modification time, that of its own header, and that of its name where the configuration asks
    /// for it. Absent if it could not be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Time>,
    /// Age at the time of the check, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<i64>,
    /// Oldest age that passes, in seconds; absent if it is not judged, as of a file that was named
    /// on the command line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<i64>,
    /// BLAKE3 digest of the file in hexadecimal digits, as `b3sum` prints it; of a folder, that of
    /// what `b3sum *` prints in it. Absent if it could not be read in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blake3: Option<String>,
    /// What the file holds, by its own account; absent if it could not be read in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Contents>,
    /// The latest restore of it for a trial; absent if there is none, or it was not looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drill: Option<RestoreDrill>,
}

/// A backup that was really restored, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreDrill {
    /// Whether it could be restored and held what it should.
    pub verdict: Verdict,
    /// When it ended.
    pub time: Time,
    /// BLAKE3 digest of what was restored, in hexadecimal digits. Of another digest than the
    /// backup's own, it is an earlier backup of the same name.
    pub blake3: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// How long the restore took, in milliseconds; absent if it did not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_ms: Option<u64>,
    /// Where it was restored to.
    pub into: String,
    /// Rows in the restored tables together, for a database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// What came of it, in words.
    pub summary: String,
}

/// What was found in a backup that was read in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum Contents {
    /// A PostgreSQL dump.
    Postgres {
        /// Version of the archive format, for example `1.14`; `script` or `cluster script` for SQL.
        version: String,
        /// Database that was dumped; empty if the dump does not say.
        database: String,
        /// Version of the server, as the dump says.
        server_version: String,
        /// How table data is compressed: `none`, `gzip`, `lz4`, `zstd`.
        compression: String,
        /// Entries in the table of contents.
        entries: usize,
        /// Rows a table, counted in the data.
        tables: Vec<TableRows>,
    },
    /// A tar archive, perhaps compressed.
    Tar {
        /// Members of any type.
        members: u64,
        /// Bytes of all regular files together.
        unpacked_bytes: u64,
    },
    /// Kubernetes objects in YAML or JSON.
    Kubernetes {
        /// Objects found.
        objects: usize,
        /// How many of each kind, by kind.
        kinds: std::collections::BTreeMap<String, usize>,
    },
    /// A VolumeSnapshot, by its status: its blocks are not read.
    VolumeSnapshot {
        /// The claim that it was made of; absent if it was made of contents that were there before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        claim: Option<String>,
        /// The object that stands for the snapshot in the storage; absent if there is none yet.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        bound_to: Option<String>,
    },
    /// What a tool that makes backups says of the one that counts: it is not read here.
    Tool {
        /// The tool, with its version where it tells it.
        tool: String,
        /// Its name for the backup.
        backup: String,
        /// What was proven, a phrase each.
        proven: Vec<String>,
        /// What was not.
        unproven: Vec<String>,
    },
}

/// A table and its number of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableRows {
    /// The table's name, with its schema where that is known (`public.users`).
    pub table: String,
    /// Rows in it.
    pub rows: u64,
}
