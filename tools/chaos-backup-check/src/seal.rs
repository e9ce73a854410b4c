//! `chaos-backup-check seal`: reads a backup that was just made, and writes its manifest beside it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use chaos_common::cli::Common;
use chaos_common::config::{Backup, Config};
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Status, Time};
use chaos_common::stream::Tool;

use crate::item;
use crate::manifest::Manifest;
use crate::progress::Readings;
use crate::trouble::Trouble;

/// Arguments of `seal`.
#[derive(clap::Args, Debug)]
pub(crate) struct SealArgs {
    /// Backups to seal [default: all that are configured]
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
}

/// Seals each backup; one that is not whole is not sealed. Prints the manifests.
pub(crate) fn run(args: &SealArgs, common: &Common, tool: &Tool) -> Result<Exit, Failure> {
    let config = common.load()?.config;
    let mut paths = args.paths.clone();
    if paths.is_empty() {
        paths.extend(config.backups.iter().map(|backup| backup.path.clone()));
    }
    if paths.is_empty() {
        return Err(Failure::usage("there is nothing to seal")
            .hint("name a backup, or configure some in chaos.toml as [[backup]]"));
    }
    let mut exit = Exit::Pass;
    for path in paths {
        match seal(&path, &config, tool) {
            Ok(manifest) => {
                let line = serde_json::to_string(&manifest).expect("a manifest has no keys but text");
                // Nobody may be listening; the manifest is written.
                let _ = writeln!(io::stdout(), "{line}");
            }
            Err(trouble) => {
                eprintln!("{}: {} is not sealed: it {trouble}", tool.name, path.display());
                exit = match (exit, trouble) {
                    (Exit::Fail, _) | (_, Trouble::Damaged(_)) => Exit::Fail,
                    (_, Trouble::CannotTell(_)) => Exit::Unknown,
                };
            }
        }
    }
    Ok(exit)
}

fn seal(path: &Path, config: &Config, tool: &Tool) -> Result<Manifest, Trouble> {
    let found = item::find(path, None).map_err(|(_, why)| Trouble::Damaged(why))?;
    let named = found.path(path);
    let same = |backup: &&Backup| backup.path == path || item::resolved(&backup.path).as_deref() == Some(named);
    let backup = config.backups.iter().find(same);
    let want = backup.map(|backup| item::want(backup, config)).unwrap_or_default();
    let verified = found.verify(path, backup.map(|backup| backup.kind), &want, &Readings::default())?;
    if let Some(change) = item::written_meanwhile(&found, path) {
        return Trouble::cannot_tell(format!("is still being written: {change}"));
    }
    if let Some(check) = verified.checks.iter().find(|check| check.status == Status::Fail) {
        return Trouble::damaged(check.message.clone());
    }
    let file = named.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let made = item::made(&found, path)
        .ok_or_else(|| Trouble::CannotTell("has no modification time, which would say when it was made".to_owned()))?;
    let manifest = Manifest::new(&format!("{} {}", tool.name, tool.version), &file, Time(made), &verified);
    manifest.write(named).map_err(|error| {
        Trouble::CannotTell(format!("is whole, but {} cannot be written: {error}", Manifest::name_for(named).display()))
    })?;
    Ok(manifest)
}
