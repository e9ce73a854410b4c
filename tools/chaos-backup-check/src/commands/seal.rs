//! `chaos-backup-check seal`: reads a backup that was just made, and writes its manifest beside it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::manifest::Manifest;
use chaos_common::config::{Backup, Config, Location};
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Status, Time};
use chaos_common::stream::Tool;

use crate::context::Context;
use crate::item;
use crate::item::freshness;
use crate::source::{self, Absent, StoredBackup};

/// Arguments of `seal`.
#[derive(clap::Args, Debug)]
pub(super) struct SealArgs {
    /// Backups to seal: files, or names of configured ones [default: all that are configured and
    /// can be sealed]
    #[arg(value_name = "BACKUP")]
    backups: Vec<String>,
}

/// Seals each backup; one that is not whole is not sealed. Prints the manifests.
pub(super) fn run(args: &SealArgs, context: &Context, tool: &Tool) -> Result<Exit, Failure> {
    let config = &context.config;
    let mut exit = Exit::Pass;
    for sealed in wanted(&args.backups, config)? {
        let (label, done) = match &sealed {
            Sealed::File(path) => (path.display().to_string(), seal_file(path, context, tool)),
            Sealed::Configured(backup) => (
                source::label(backup),
                seal_configured(backup, context, tool),
            ),
        };
        match done {
            Ok(manifest) => {
                let line =
                    serde_json::to_string(&manifest).expect("a manifest has no keys but text");
                // Nobody may be listening; the manifest is written.
                let _ = writeln!(io::stdout(), "{line}");
            }
            Err(trouble) => {
                eprintln!("{}: {label} is not sealed: it {trouble}", tool.name);
                exit = match (exit, trouble) {
                    (Exit::Fail, _) | (_, FormatError::Damaged(_)) => Exit::Fail,
                    (_, FormatError::CannotTell(_)) => Exit::Unknown,
                };
            }
        }
    }
    Ok(exit)
}

/// What is sealed.
enum Sealed<'b> {
    File(PathBuf),
    Configured(&'b Backup),
}

fn wanted<'b>(named: &[String], config: &'b Config) -> Result<Vec<Sealed<'b>>, Failure> {
    let can =
        |backup: &Backup| matches!(backup.place(), Ok(Location::Local(_) | Location::S3 { .. }));
    if named.is_empty() {
        let all: Vec<_> = config
            .backups
            .iter()
            .filter(|backup| can(backup))
            .map(Sealed::Configured)
            .collect();
        if all.is_empty() {
            return Err(Failure::usage("there is nothing to seal").hint(
                "name a backup, or configure some in chaos.toml as [[backup]]; nothing is written \
                 into pods: seal a backup before it is copied there, and its manifest with it",
            ));
        }
        return Ok(all);
    }
    let find = |name: &String| {
        let path = PathBuf::from(name);
        match config
            .backups
            .iter()
            .find(|backup| backup.name == *name && !path.exists())
        {
            Some(backup) if can(backup) => Ok(Sealed::Configured(backup)),
            Some(backup) => Err(Failure::usage(format!(
                "{} is not sealed where it is",
                source::label(backup)
            ))
            .hint(
                "nothing is written into pods: seal a backup before it is copied there, and copy \
                 NAME.manifest.json with it; a volume's snapshot has no manifest",
            )),
            None => Ok(Sealed::File(path)),
        }
    };
    named.iter().map(find).collect()
}

/// Seals a file of this machine, which may be one that is configured.
fn seal_file(path: &Path, context: &Context, tool: &Tool) -> Result<Manifest, FormatError> {
    let named = source::resolved(path).unwrap_or_else(|| path.to_owned());
    let same = |backup: &&Backup| match backup.place() {
        Ok(Location::Local(local)) => {
            local == path || source::resolved(local).as_deref() == Some(&named)
        }
        _ => false,
    };
    let backup = context.config.backups.iter().find(same);
    let found = source::open_local(path).map_err(|absent| FormatError::Damaged(absent.why))?;
    seal(&found, backup, &path.display().to_string(), context, tool)
}

fn seal_configured(
    backup: &Backup,
    context: &Context,
    tool: &Tool,
) -> Result<Manifest, FormatError> {
    let found = source::open_stored(backup, context).map_err(Absent::into_format_error)?;
    seal(&found, Some(backup), &source::label(backup), context, tool)
}

fn seal(
    found: &StoredBackup,
    backup: Option<&Backup>,
    object: &str,
    context: &Context,
    tool: &Tool,
) -> Result<Manifest, FormatError> {
    let want = backup
        .map(|backup| item::expectations(backup, &context.config))
        .unwrap_or_default();
    let verified = found.verify(
        backup.and_then(|backup| backup.kind),
        &want,
        &context.readings,
        object,
    )?;
    if let Some(change) = found.written_meanwhile() {
        return FormatError::cannot_tell(format!("is still being written: {change}"));
    }
    if let Some(check) = verified
        .found
        .checks
        .iter()
        .find(|check| check.status == Status::Fail)
    {
        return FormatError::damaged(check.message.clone());
    }
    let modified = found.modified().ok_or_else(|| {
        FormatError::CannotTell(
            "has no modification time, which would say when it was made".to_owned(),
        )
    })?;
    let (made, _) = freshness::made(modified, found.stamp());
    let manifest = Manifest::new(
        &format!("{} {}", tool.name, tool.version),
        &found.name,
        Time(made),
        &verified,
    );
    found.source().seal(&manifest.text()).map_err(|error| {
        let name = found.source().manifest_name();
        FormatError::CannotTell(format!("is whole, but {name} cannot be written: {error}"))
    })?;
    Ok(manifest)
}
