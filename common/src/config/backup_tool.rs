//! Tools that make and keep backups for people: `[backup.pgbackrest]` and the like, of a
//! `[[backup]]` of that kind.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::Secret;

/// `[backup.pgbackrest]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PgBackRest {
    /// The stanza.
    pub stanza: String,
    /// Its configuration, if that is not where pgBackRest looks for it.
    #[serde(default)]
    pub config: Option<PathBuf>,
    /// Whether its `verify` reads every file of the repository and holds it against its checksum.
    #[serde(default = "yes")]
    pub verify: bool,
}

/// `[backup.cloudnative_pg]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CloudNativePg {
    /// The Cluster that is backed up, in the application's namespace.
    pub cluster: String,
}

/// `[backup.velero]`
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Velero {
    /// The namespace of Velero; `velero` if left out.
    pub namespace: Option<String>,
    /// The Schedule whose Backups count; all Backups if left out.
    pub schedule: Option<String>,
}

/// `[backup.restic]`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Restic {
    /// The repository, as restic's `--repo` takes it.
    pub repository: String,
    /// Its password; `$RESTIC_PASSWORD` and its like if left out.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Only snapshots of this host count.
    #[serde(default)]
    pub host: Option<String>,
    /// Only snapshots with this tag count.
    #[serde(default)]
    pub tag: Option<String>,
    /// Only snapshots of this path count.
    #[serde(default)]
    pub path: Option<String>,
    /// How much of the data is read and held against its digests, as restic's `--read-data-subset`
    /// takes it: `5%`, `1/7`, `2G`. None if left out: then only structure and metadata are.
    #[serde(default)]
    pub read: Option<String>,
}

fn yes() -> bool {
    true
}
