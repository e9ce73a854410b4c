//! Files that are named on the command line, and need no configuration.

use std::path::{Path, PathBuf};

use chaos_common::cli::ClusterArgs;
use chaos_common::config::{Backup, BackupKind, Config, Loaded, Span};
use chaos_common::exit::Failure;

const HEADING: &str = "With FILE";

/// Which files, and what is known of them.
#[derive(clap::Args, Debug)]
pub(super) struct AdHocArgs {
    /// Check these instead of what is configured: files, folders for the newest backup in each, or
    /// s3:// URLs
    #[arg(value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,
    /// Say what they are [default: found out by looking]
    #[arg(long, value_enum, value_name = "KIND", requires = "files", help_heading = HEADING)]
    kind: Option<FileKind>,
    /// Want these tables or members, with something in them
    #[arg(
        long,
        value_name = "NAME",
        value_delimiter = ',',
        requires = "files",
        help_heading = HEADING
    )]
    expect: Vec<String>,
    /// Want it to be no older than this [default: the age is told, and not judged]
    #[arg(long, value_name = "TIME", requires = "files", help_heading = HEADING)]
    max_age: Option<Span>,
    /// Want a dump to be of this database
    #[arg(long, value_name = "NAME", requires = "files", help_heading = HEADING)]
    database: Option<String>,
    /// In a folder or under a prefix, look at names like this: *.dump
    #[arg(long, value_name = "PATTERN", requires = "files", help_heading = HEADING)]
    include: Vec<String>,
    /// In a folder or under a prefix, leave out names like this
    #[arg(long, value_name = "PATTERN", requires = "files", help_heading = HEADING)]
    exclude: Vec<String>,
}

/// What a file can be.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FileKind {
    Postgres,
    Tar,
    Kubernetes,
}

impl From<FileKind> for BackupKind {
    fn from(kind: FileKind) -> BackupKind {
        match kind {
            FileKind::Postgres => BackupKind::Postgres,
            FileKind::Tar => BackupKind::Tar,
            FileKind::Kubernetes => BackupKind::Kubernetes,
        }
    }
}

impl AdHocArgs {
    /// Whether files are named.
    pub(super) fn is_given(&self) -> bool {
        !self.files.is_empty()
    }

    /// A configuration of the named files alone; of the one that was found, only the way to the
    /// object storage counts.
    pub(super) fn configuration(
        &self,
        found: Loaded,
        cluster: &ClusterArgs,
    ) -> Result<Loaded, Failure> {
        // Only where a cluster is named, objects are held against it.
        let live = cluster.context.is_some() || cluster.kubeconfig.is_some();
        let mut config = Config {
            s3: found.config.s3,
            ..Config::default()
        };
        if live {
            config.application.namespace = Some(cluster.namespace(&config)?);
        }
        let mut files: Vec<&PathBuf> = Vec::new();
        for file in &self.files {
            if !files.contains(&file) {
                files.push(file);
            }
        }
        config.backups = files
            .into_iter()
            .map(|file| self.backup(file, live))
            .collect();
        Ok(Loaded { config, path: None })
    }

    fn backup(&self, file: &Path, live: bool) -> Backup {
        Backup {
            name: file.display().to_string(),
            kind: self.kind.map(BackupKind::from),
            path: file.to_owned(),
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            max_age: self.max_age,
            database: self.database.clone(),
            expect: self.expect.clone(),
            live: Some(live),
            ..Backup::default()
        }
    }
}
