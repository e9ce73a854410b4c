//! `chaos-backup-check seal`: reads a backup that was just made, and writes its manifest beside it.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chaos_backup_check::formats::error::FormatError;
use chaos_backup_check::formats::inspection::Verified;
use chaos_backup_check::formats::manifest::{Manifest, Replaced};
use chaos_common::config::{Backup, Config, Location};
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Status, Time};
use chaos_common::stream::Tool;

use crate::context::Context;
use crate::item;
use crate::item::freshness::{Dates, NameDate};
use crate::source::name_stamp::Stamp;
use crate::source::{self, Absent, StoredBackup};

/// Arguments of `seal`.
#[derive(clap::Args, Debug)]
pub(super) struct SealArgs {
    /// Backups to seal: files, or names of configured ones [default: all that are configured and
    /// can be sealed]
    #[arg(value_name = "BACKUP")]
    backups: Vec<String>,
    /// Seal a backup again that is not what its manifest says, for this reason, which is kept in
    /// the new one
    #[arg(long, value_name = "REASON", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    force: Option<String>,
}

/// Why a backup is not sealed.
enum NotSealed {
    /// It is not whole, or that could not be told.
    Unsound(FormatError),
    /// It is not what was sealed before: what differs.
    Changed(String),
}

impl From<FormatError> for NotSealed {
    fn from(error: FormatError) -> NotSealed {
        NotSealed::Unsound(error)
    }
}

impl NotSealed {
    fn exit(&self) -> Exit {
        match self {
            NotSealed::Unsound(FormatError::Damaged(_)) => Exit::Fail,
            NotSealed::Unsound(FormatError::CannotTell(_)) => Exit::Unknown,
            NotSealed::Changed(_) => Exit::Refused,
        }
    }
}

impl fmt::Display for NotSealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotSealed::Unsound(error) => error.fmt(f),
            NotSealed::Changed(why) => write!(
                f,
                "is not what was sealed before: it {why}. Find out what changed it. If it is a new \
                 backup, remove the manifest when it is made, or say so: --force REASON"
            ),
        }
    }
}

/// Seals each backup; one that is not whole is not sealed. Prints the manifests.
pub(super) fn run(args: &SealArgs, context: &Context, tool: &Tool) -> Result<Exit, Failure> {
    let config = &context.config;
    let mut exit = Exit::Pass;
    for sealed in wanted(&args.backups, config)? {
        let (label, done) = match &sealed {
            Sealed::File(path) => (
                path.display().to_string(),
                seal_file(path, args, context, tool),
            ),
            Sealed::Configured(backup) => (
                source::label(backup),
                seal_configured(backup, args, context, tool),
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
                exit = exit.worst(trouble.exit());
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
fn seal_file(
    path: &Path,
    args: &SealArgs,
    context: &Context,
    tool: &Tool,
) -> Result<Manifest, NotSealed> {
    let named = source::resolved(path).unwrap_or_else(|| path.to_owned());
    let same = |backup: &&Backup| match backup.place() {
        Ok(Location::Local(local)) => {
            local == path || source::resolved(local).as_deref() == Some(&named)
        }
        _ => false,
    };
    let backup = context.config.backups.iter().find(same);
    let found = source::open_local(path).map_err(|absent| FormatError::Damaged(absent.why))?;
    let verified = read(&found, backup, &path.display().to_string(), context)?;
    seal(&found, &verified, backup, args, tool)
}

fn seal_configured(
    backup: &Backup,
    args: &SealArgs,
    context: &Context,
    tool: &Tool,
) -> Result<Manifest, NotSealed> {
    let found = source::open_stored(backup, context).map_err(Absent::into_format_error)?;
    let verified = read(&found, Some(backup), &source::label(backup), context)?;
    seal(&found, &verified, Some(backup), args, tool)
}

/// Reads a backup that is whole and holds what it must. `object` is its name in checks.
fn read(
    found: &StoredBackup,
    backup: Option<&Backup>,
    object: &str,
    context: &Context,
) -> Result<Verified, FormatError> {
    let want = backup
        .map(|backup| item::expectations(backup, &context.config))
        .unwrap_or_default();
    let kind = backup.and_then(|backup| backup.kind);
    let verified = found.verify(kind, &want, &context.readings, object)?;
    if let Some(change) = found.written_meanwhile() {
        return FormatError::cannot_tell(format!("is still being written: {change}"));
    }
    let checks = &verified.found.checks;
    match checks.iter().find(|check| check.status == Status::Fail) {
        Some(check) => FormatError::damaged(check.message.clone()),
        None => Ok(verified),
    }
}

/// Writes the manifest of a backup that was read.
fn seal(
    found: &StoredBackup,
    verified: &Verified,
    backup: Option<&Backup>,
    args: &SealArgs,
    tool: &Tool,
) -> Result<Manifest, NotSealed> {
    let modified = found.modified().ok_or_else(|| {
        FormatError::CannotTell(
            "has no modification time, which would say when it was made".to_owned(),
        )
    })?;
    let dates = Dates {
        modified,
        header: verified.found.created.and_then(Stamp::local),
        name: NameDate::of(
            &found.name,
            backup.and_then(|backup| backup.dated.as_deref()),
        ),
    };
    let replaces = match found.manifest() {
        Ok(None) => None,
        Ok(Some(old)) => replaced(&old, verified, &dates, args.force.as_deref())?,
        Err(_) if args.force.is_some() => None,
        Err(error) => return Err(error.into()),
    };
    let mut manifest = Manifest::new(
        &format!("{} {}", tool.name, tool.version),
        &found.name,
        Time(dates.made().0),
        verified,
    );
    manifest.replaces = replaces;
    found.source().seal(&manifest.text()).map_err(|error| {
        let name = found.source().manifest_name();
        FormatError::CannotTell(format!("is whole, but {name} cannot be written: {error}"))
    })?;
    Ok(manifest)
}

/// Whether another manifest may take the place of this one, and what is kept of it: a backup that
/// was changed since must not be sealed as if nothing had been.
fn replaced(
    old: &Manifest,
    verified: &Verified,
    dates: &Dates,
    force: Option<&str>,
) -> Result<Option<Replaced>, NotSealed> {
    let Some(why) = old.differs(verified.size_bytes, &verified.blake3) else {
        return Ok(None);
    };
    // A dump that was begun after the old one was sealed is another one.
    let another = dates
        .header
        .is_some_and(|begun| begun.earliest > old.sealed.0);
    match force {
        None if another => Ok(None),
        None => Err(NotSealed::Changed(why)),
        Some(reason) => Ok(Some(Replaced {
            sealed: old.sealed,
            blake3: old.blake3.clone(),
            reason: reason.to_owned(),
        })),
    }
}
