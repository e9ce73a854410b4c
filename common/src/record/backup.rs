//! `chaos.backup`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Check, Data, Kind, Time};

/// Would the backups restore?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Backup {
    /// The application's namespace that the backups are of.
    pub namespace: String,
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

/// One backup file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct BackupItem {
    /// The name that the configuration gives it.
    pub name: String,
    /// The path as configured.
    pub path: String,
    /// Where the path leads, if it is a symbolic link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved: Option<String>,
    /// Size of the file in bytes; absent if it could not be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_bytes: Option<u64>,
    /// The time that the age is counted from: the older of the file's modification time and the
    /// stamp in its name. Absent if it could not be opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<Time>,
    /// Age at the time of the check, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_s: Option<i64>,
    /// Oldest age that passes, in seconds.
    pub max_age_s: i64,
    /// What the file holds, by its own account; absent if it could not be read in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contents: Option<Contents>,
}

/// What was found in a backup that was read in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "format", rename_all = "kebab-case")]
pub enum Contents {
    /// A PostgreSQL custom-format dump.
    Postgres {
        /// Version of the archive format, for example `1.14`.
        version: String,
        /// Database that was dumped.
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
}

/// A table and its number of rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableRows {
    /// The table's name, with its schema where that is known (`public.users`).
    pub table: String,
    /// Rows in it.
    pub rows: u64,
}
