//! The backups: what each is, where it is, and how it is proven that it restores.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};

use super::backup_kind::{BackupKind, BackupTool};
use super::backup_tool::{CloudNativePg, PgBackRest, Restic, Velero};
use super::{Secret, Span};

/// What the URLs of object storage begin with.
const S3_SCHEME: &str = "s3://";

/// `[[backup]]`
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Its name in records.
    pub name: String,
    /// What it is: `postgres`, `tar`, `kubernetes`, `volume-snapshot`, or of a tool that makes
    /// backups: `pgbackrest`, `cloudnative-pg`, `velero`, `restic`. Of a file, found out by looking
    /// if left out.
    #[serde(default)]
    pub kind: Option<BackupKind>,
    /// The file, or a folder for the newest backup in it; a symbolic link such as `latest.dump` is
    /// followed and named. In object storage `s3://BUCKET/KEY`, or `s3://BUCKET/PREFIX/` for the
    /// newest object under it. A `volume-snapshot` has none, nor has what a tool keeps.
    #[serde(default)]
    pub path: PathBuf,
    /// In a folder or under a prefix: what its name is like, with `*` and `?`; one pattern or
    /// several. All if left out. Digests, logs and the like are never taken for the backup.
    #[serde(default, deserialize_with = "one_or_more")]
    #[schemars(with = "OneOrMore")]
    pub include: Vec<String>,
    /// In a folder or under a prefix: what its name is not like.
    #[serde(default, deserialize_with = "one_or_more")]
    #[schemars(with = "OneOrMore")]
    pub exclude: Vec<String>,
    /// The pod that `path` is in: `deployment/NAME`, `statefulset/NAME` or `pod/NAME` of the
    /// application's namespace; or `claim/NAME`, for a pod that is made to read this claim, and
    /// taken away.
    #[serde(default)]
    pub pod: Option<String>,
    /// The pod that is made for `claim/NAME`.
    #[serde(default)]
    pub reader: Option<ClaimReader>,
    /// The container of that pod; its first one if left out.
    #[serde(default)]
    pub container: Option<String>,
    /// For `volume-snapshot`: its name. Without it, the newest one that `selector` and `claim`
    /// allow counts.
    #[serde(default)]
    pub snapshot: Option<String>,
    /// For `volume-snapshot`: labels that it has, as in `kubectl get -l`.
    #[serde(default)]
    pub selector: Option<String>,
    /// For `volume-snapshot`: the claim that it must be of.
    #[serde(default)]
    pub claim: Option<String>,
    /// Oldest age that passes; a day if left out. Only a file that is named on the command line
    /// has none.
    #[serde(default = "one_day")]
    pub max_age: Option<Span>,
    /// When it is made, as a cron expression in this machine's local time (`30 2 * * *`); then the
    /// last one that was due must be there, at most an hour late, and `max_age` does not count.
    #[serde(default)]
    pub schedule: Option<String>,
    /// For `postgres`: the database that it must be of, by default that of `[database]`.
    #[serde(default)]
    pub database: Option<String>,
    /// What must be there and not empty: tables of a dump (`public.users`, with all their
    /// partitions), members of an archive (`app/config`), objects of a cluster (`Secret/database`,
    /// `ConfigMap/*`).
    #[serde(default)]
    pub expect: Vec<String>,
    /// For `kubernetes`: the kinds that belong into it, as `kubectl get` calls them (`configmaps`,
    /// `deployments.apps`). `chaos-backup-check export` makes it of these.
    #[serde(default)]
    pub resources: Vec<String>,
    /// For `kubernetes`: whether it is held against the cluster, which needs the permission to list
    /// its kinds. If left out, it is where anything names a cluster.
    #[serde(default)]
    pub live: Option<bool>,
    /// For `pgbackrest`: which of its backups.
    #[serde(default)]
    pub pgbackrest: Option<PgBackRest>,
    /// For `cloudnative-pg`: of which Cluster.
    #[serde(default)]
    pub cloudnative_pg: Option<CloudNativePg>,
    /// For `velero`: which of its Backups.
    #[serde(default)]
    pub velero: Option<Velero>,
    /// For `restic`: which repository, and which of its snapshots.
    #[serde(default)]
    pub restic: Option<Restic>,
    /// For `postgres`: what it is to hold: `everything`, only the `schema` of a database
    /// (`pg_dump --schema-only`), or only the `globals` of a cluster (`pg_dumpall --globals-only`).
    #[serde(default)]
    pub holds: DumpHolds,
    /// How its name says when it was made, where the name is to count:
    /// `shop-%Y-%m-%dT%H%M%SZ.dump`, by the letters of `date`. A `Z` behind the time means UTC.
    #[serde(default)]
    pub dated: Option<String>,
    /// The command that decrypts it: a program and its arguments. It reads the file from its
    /// standard input and writes the backup to its standard output.
    #[serde(default)]
    pub decrypt: Vec<String>,
}

/// `[backup.reader]`: the pod that is made to read a claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClaimReader {
    /// Its image, with `sh`, `stat`, `readlink`, `find` and `cat`, such as `busybox:1.37`.
    pub image: String,
    /// Where the claim is mounted in it, as in the pods that write the backups, so that links in it
    /// lead where they should.
    #[serde(default = "backup_mount")]
    pub mount: String,
    /// The user and group that it runs as; whoever may read the files.
    #[serde(default = "nobody")]
    pub user: i64,
}

fn backup_mount() -> String {
    "/backup".to_owned()
}

/// Nobody's user in most images.
fn nobody() -> i64 {
    65534
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is the default of an optional value"
)]
fn one_day() -> Option<Span> {
    Some(Span::seconds(24 * 60 * 60))
}

/// One text, or a list of them.
#[derive(Deserialize, JsonSchema)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

fn one_or_more<'d, D: Deserializer<'d>>(from: D) -> Result<Vec<String>, D::Error> {
    Ok(match OneOrMore::deserialize(from)? {
        OneOrMore::One(text) => vec![text],
        OneOrMore::More(texts) => texts,
    })
}

/// Where a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Location<'b> {
    /// A path on this machine.
    Local(&'b Path),
    /// A path in a pod.
    Pod {
        /// What the pod is of: `deployment`, `statefulset`, or `pod` for one of that very name.
        kind: &'b str,
        /// The name of that.
        name: &'b str,
        /// The container; the first one if `None`.
        container: Option<&'b str>,
        /// The path in it.
        path: &'b Path,
    },
    /// A path in a claim, which a pod of ours reads.
    Claim {
        /// The claim.
        claim: &'b str,
        /// The pod.
        reader: &'b ClaimReader,
        /// The path in that pod.
        path: &'b Path,
    },
    /// An object, or the newest one under a prefix.
    S3 {
        /// The bucket.
        bucket: &'b str,
        /// The key; a prefix if it is empty or ends in a slash.
        key: &'b str,
    },
    /// A VolumeSnapshot.
    Snapshot,
    /// Where a tool keeps its backups, which is asked for them.
    Tool(BackupTool<'b>),
}

/// Why a backup of the configuration has no place, or more than one. The words go on from its name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LocationError {
    /// A VolumeSnapshot with a path or a pod.
    #[error("is a volume-snapshot, which has neither path nor pod")]
    SnapshotWithPath,
    /// Nothing says which VolumeSnapshot.
    #[error("does not say which: give it snapshot, selector or claim")]
    WhichSnapshot,
    /// A key of VolumeSnapshots on something else.
    #[error("has {0}, which only a volume-snapshot has")]
    OnlySnapshot(&'static str),
    /// There is no path.
    #[error("has no path")]
    NoPath,
    /// In a pod and in object storage.
    #[error("has two places: it cannot be in a pod and in object storage")]
    TwoPlaces,
    /// The pod is not named as `KIND/NAME`.
    #[error("is in the pod {0:?}: write deployment/NAME, statefulset/NAME, pod/NAME or claim/NAME")]
    PodReference(String),
    /// A relative path in a pod.
    #[error("has the path {} in a pod: it must begin with /", .0.display())]
    RelativeInPod(PathBuf),
    /// A container of no pod.
    #[error("has a container and no pod")]
    NoPod,
    /// A claim, and no image for the pod that reads it.
    #[error(
        "is in a claim: name an image with sh, stat, readlink, find and cat as reader.image, such \
         as busybox:1.37"
    )]
    NoReader,
    /// A reader, and no claim.
    #[error("has a reader, which only a backup in claim/NAME has")]
    ReaderWithoutClaim,
    /// A container of a pod that has only one.
    #[error("has a container, and is in a claim, whose pod has only one")]
    ContainerOfReader,
    /// A path elsewhere than the claim is mounted.
    #[error("has the path {} outside of the claim, which is mounted at {mount}", .path.display())]
    OutsideClaim {
        /// As configured.
        path: PathBuf,
        /// As configured.
        mount: String,
    },
    /// An `s3://` URL without a bucket.
    #[error("has an s3:// URL without a bucket: write s3://BUCKET/KEY or s3://BUCKET/PREFIX/")]
    NoBucket,
    /// Patterns where there is nothing to choose from.
    #[error("has include or exclude, which choose in a folder or under a prefix")]
    NothingToChoose,
    /// What a tool keeps has a place of its own.
    #[error("is kept by {0}, and has neither path nor pod")]
    ToolWithPath(&'static str),
    /// A tool is named as kind, and its table is missing.
    #[error("is of kind {0:?}: say which in [backup.{1}]")]
    NoTable(&'static str, &'static str),
    /// The table of a tool, and another kind.
    #[error("has a table [backup.{0}], and is of another kind")]
    OtherTable(&'static str),
}

impl Backup {
    /// Where it is.
    ///
    /// # Errors
    /// It has no place, or more than one.
    pub fn place(&self) -> Result<Location<'_>, LocationError> {
        let of_snapshot = [
            ("snapshot", &self.snapshot),
            ("selector", &self.selector),
            ("claim", &self.claim),
        ];
        let of_snapshot = of_snapshot.iter().find(|(_, value)| value.is_some());
        let pathless = self.path.as_os_str().is_empty();
        let placeless = pathless && self.pod.is_none() && self.container.is_none();
        if self.kind == Some(BackupKind::VolumeSnapshot) {
            if !placeless {
                return Err(LocationError::SnapshotWithPath);
            }
            self.nothing_to_choose()?;
            return of_snapshot
                .map(|_| Location::Snapshot)
                .ok_or(LocationError::WhichSnapshot);
        }
        if let Some((key, _)) = of_snapshot {
            return Err(LocationError::OnlySnapshot(key));
        }
        if let Some(tool) = self.tool()? {
            if !placeless {
                return Err(LocationError::ToolWithPath(tool.name()));
            }
            self.nothing_to_choose()?;
            return Ok(Location::Tool(tool));
        }
        if pathless {
            return Err(LocationError::NoPath);
        }
        self.place_of_path()
    }

    /// The tool that keeps it, if one does.
    fn tool(&self) -> Result<Option<BackupTool<'_>>, LocationError> {
        let tables = [
            self.pgbackrest.as_ref().map(BackupTool::PgBackRest),
            self.cloudnative_pg.as_ref().map(BackupTool::CloudNativePg),
            self.velero.as_ref().map(BackupTool::Velero),
            self.restic.as_ref().map(BackupTool::Restic),
        ];
        let kind = self.kind;
        let (own, others): (Vec<_>, Vec<_>) = tables
            .into_iter()
            .flatten()
            .partition(|tool| kind == Some(tool.kind()));
        if let Some(other) = others.first() {
            return Err(LocationError::OtherTable(other.table()));
        }
        let missing = |kind: BackupKind| kind.tool_table();
        match (own.first(), kind.and_then(missing)) {
            (None, Some((name, table))) => Err(LocationError::NoTable(name, table)),
            (own, _) => Ok(own.copied()),
        }
    }

    fn nothing_to_choose(&self) -> Result<(), LocationError> {
        if self.include.is_empty() && self.exclude.is_empty() {
            Ok(())
        } else {
            Err(LocationError::NothingToChoose)
        }
    }

    fn place_of_path(&self) -> Result<Location<'_>, LocationError> {
        let path = self.path.to_str();
        match (
            &self.pod,
            path.and_then(|path| path.strip_prefix(S3_SCHEME)),
        ) {
            (Some(_), Some(_)) => Err(LocationError::TwoPlaces),
            (Some(pod), None) => self.place_in_pod(pod),
            (None, _) if self.container.is_some() => Err(LocationError::NoPod),
            (None, _) if self.reader.is_some() => Err(LocationError::ReaderWithoutClaim),
            (None, Some(url)) => {
                let (bucket, key) = url.split_once('/').unwrap_or((url, ""));
                if bucket.is_empty() {
                    return Err(LocationError::NoBucket);
                }
                if !key.is_empty() && !key.ends_with('/') {
                    self.nothing_to_choose()?;
                }
                Ok(Location::S3 { bucket, key })
            }
            (None, None) => Ok(Location::Local(&self.path)),
        }
    }

    fn place_in_pod<'b>(&'b self, pod: &'b str) -> Result<Location<'b>, LocationError> {
        let (kind, name) = pod.split_once('/').unwrap_or(("", pod));
        if kind == "claim" && !name.is_empty() && !name.contains('/') {
            return self.place_in_claim(name);
        }
        if self.reader.is_some() {
            return Err(LocationError::ReaderWithoutClaim);
        }
        let known = matches!(kind, "deployment" | "statefulset" | "pod");
        if !known || name.is_empty() || name.contains('/') {
            return Err(LocationError::PodReference(pod.to_owned()));
        }
        if !self.path.is_absolute() {
            return Err(LocationError::RelativeInPod(self.path.clone()));
        }
        Ok(Location::Pod {
            kind,
            name,
            container: self.container.as_deref(),
            path: &self.path,
        })
    }

    fn place_in_claim<'b>(&'b self, claim: &'b str) -> Result<Location<'b>, LocationError> {
        if self.container.is_some() {
            return Err(LocationError::ContainerOfReader);
        }
        let reader = self.reader.as_ref().ok_or(LocationError::NoReader)?;
        if !self.path.starts_with(&reader.mount) {
            return Err(LocationError::OutsideClaim {
                path: self.path.clone(),
                mount: reader.mount.clone(),
            });
        }
        Ok(Location::Claim {
            claim,
            reader,
            path: &self.path,
        })
    }

    /// Whether its path is one on this machine.
    pub(super) fn is_local(&self) -> bool {
        matches!(self.place(), Ok(Location::Local(_)))
    }
}

/// `[s3]`: the object storage of backups. What is left out comes from the usual variables
/// (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`, `AWS_REGION`,
/// `AWS_ENDPOINT_URL`), or from the role of the machine or service account where that has one.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct S3 {
    /// Its address, `https://HOST`; Amazon's own if left out.
    pub endpoint: Option<String>,
    /// Its region.
    pub region: Option<String>,
    /// The access key.
    pub access_key: Option<Secret>,
    /// The secret key.
    pub secret_key: Option<Secret>,
    /// Whether a plain `http://` address that is not this very machine may be used.
    pub allow_http: bool,
}

/// `[drill]`: `chaos-backup-check drill` restores the backups for a trial, and later checks want
/// its evidence.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct DrillSettings {
    /// Oldest age of a drill that still proves that a backup restores.
    pub max_age: Span,
    /// Folder of the evidence; `chaos/drills` in `$XDG_STATE_HOME` if left out.
    pub evidence: Option<PathBuf>,
    /// A scratch PostgreSQL to restore into, as `postgres://user:password@host:port/database`. If
    /// it is left out, one is started for the drill and thrown away.
    pub url: Option<Secret>,
    /// An image with PostgreSQL's programs, such as `postgres:17`: the scratch PostgreSQL is then
    /// one in a pod in the application's namespace, made for the drill and thrown away.
    pub image: Option<String>,
    /// Libraries that the scratch PostgreSQL loads when it starts (`shared_preload_libraries`), as
    /// some extensions want. Not with `url`.
    pub preload: Vec<String>,
    /// What is done in the database before the restore: `[[drill.before]]`.
    pub before: Vec<DrillSql>,
    /// What is done in it after the restore: `[[drill.after]]`.
    pub after: Vec<DrillSql>,
    /// Questions to the restored database: `[[drill.query]]`.
    #[serde(rename = "query")]
    pub queries: Vec<DrillSql>,
}

impl Default for DrillSettings {
    fn default() -> DrillSettings {
        DrillSettings {
            max_age: Span::seconds(30 * 24 * 60 * 60),
            evidence: None,
            url: None,
            image: None,
            preload: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            queries: Vec::new(),
        }
    }
}

/// `[[drill.query]]`, `[[drill.before]]`, `[[drill.after]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DrillSql {
    /// The backup that it is for; every database's if left out.
    #[serde(default)]
    pub backup: Option<String>,
    /// SQL. As a query it gives one value, which must be true.
    pub sql: String,
}

/// What a dump of PostgreSQL is to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DumpHolds {
    /// Tables and their rows.
    #[default]
    Everything,
    /// Definitions; rows may be there or not.
    Schema,
    /// Roles and tablespaces of a cluster.
    Globals,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(table: &str) -> Result<String, String> {
        let backup: Backup =
            toml::from_str(&format!("name = 'x'\n{table}")).map_err(|error| error.to_string())?;
        let place = backup.place().map_err(|error| error.to_string())?;
        Ok(format!("{place:?}"))
    }

    #[test]
    fn a_backup_has_one_place() {
        let good = |table: &str| place(table).unwrap_or_else(|why| panic!("{table}: {why}"));
        assert_eq!(good("kind = 'tar'\npath = 'b/x.tar'"), "Local(\"b/x.tar\")");
        let pod = good("kind = 'tar'\npath = '/b'\npod = 'deployment/db'\ncontainer = 'c'");
        assert!(
            pod.contains("kind: \"deployment\", name: \"db\", container: Some(\"c\")"),
            "{pod}"
        );
        let claim = good("path = '/backup/db'\npod = 'claim/b'\nreader = { image = 'busybox' }");
        assert!(claim.starts_with("Claim { claim: \"b\""), "{claim}");
        assert_eq!(
            good("kind = 'tar'\npath = 's3://b/k/l'"),
            "S3 { bucket: \"b\", key: \"k/l\" }"
        );
        assert_eq!(
            good("kind = 'tar'\npath = 's3://b'"),
            "S3 { bucket: \"b\", key: \"\" }"
        );
        assert_eq!(good("kind = 'volume-snapshot'\nclaim = 'data'"), "Snapshot");
        assert_eq!(
            good("path = '/b/'\ninclude = ['*.a', '*.b']"),
            "Local(\"/b/\")"
        );
        for (kind, table) in [
            ("velero", "velero = {}"),
            ("pgbackrest", "pgbackrest = { stanza = 'main' }"),
            ("restic", "restic = { repository = '/r' }"),
            ("cloudnative-pg", "cloudnative_pg = { cluster = 'db' }"),
        ] {
            let place = good(&format!("kind = '{kind}'\n{table}"));
            assert!(place.starts_with("Tool("), "{place}");
        }
        for (table, word) in [
            ("kind = 'tar'", "has no path"),
            ("kind = 'tar'\npath = '/x'\npod = 'db'", "deployment/NAME"),
            (
                "kind = 'tar'\npath = '/x'\npod = 'node/db'",
                "deployment/NAME",
            ),
            (
                "kind = 'tar'\npath = 'x'\npod = 'pod/db'",
                "must begin with /",
            ),
            ("kind = 'tar'\npath = '/x'\ncontainer = 'c'", "no pod"),
            ("path = '/backup/x'\npod = 'claim/b'", "as reader.image"),
            (
                "path = '/x'\npod = 'claim/b'\nreader = { image = 'busybox' }",
                "mounted at /backup",
            ),
            (
                "path = '/x'\nreader = { image = 'busybox' }",
                "only a backup in claim/NAME",
            ),
            (
                "kind = 'tar'\npath = 's3://b/k'\npod = 'pod/db'",
                "two places",
            ),
            ("kind = 'tar'\npath = 's3:///k'", "without a bucket"),
            (
                "kind = 'tar'\npath = '/x'\nselector = 'a=b'",
                "only a volume-snapshot",
            ),
            ("kind = 'volume-snapshot'", "does not say which"),
            (
                "kind = 'tar'\npath = 's3://b/k'\ninclude = '*.tar'",
                "choose in a folder",
            ),
            ("kind = 'restic'", "say which in [backup.restic]"),
            (
                "kind = 'restic'\npath = '/x'\nrestic = { repository = '/r' }",
                "kept by restic",
            ),
            (
                "kind = 'tar'\npath = '/x'\nvelero = {}",
                "is of another kind",
            ),
            (
                "kind = 'volume-snapshot'\nclaim = 'a'\npath = '/x'",
                "neither path nor pod",
            ),
        ] {
            let why = place(table).expect_err(table);
            assert!(why.contains(word), "{table}: {why}");
        }
    }
}
