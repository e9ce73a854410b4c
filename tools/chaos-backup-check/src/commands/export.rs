//! `chaos-backup-check export`: the backup of the cluster's configuration, as the runbook makes it
//! with `kubectl get -o yaml`, but without what only a server makes, whole or not at all, and
//! readable by nobody else where it holds Secrets.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::{anyhow, bail};
use chaos_backup_check::formats::digest;
use chaos_backup_check::formats::error::{FormatError, count};
use chaos_backup_check::formats::kubernetes::{self, Object, Objects};
use chaos_backup_check::formats::manifest::Manifest;
use chaos_common::cli;
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::{Backup, BackupKind, Loaded, Location};
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{BackupAction, BackupItem, Check, Time, Verdict};
use jiff::Timestamp;
use kube::api::DynamicObject;
use serde_json::{Value, json};

use super::reporter::{Reporter, backup_of};
use super::{Args, setup};
use crate::context::Context;
use crate::item::resource_kinds::{KindOf, clean, makes_itself};
use crate::item::{self, ItemReport};
use crate::source;

const ID: &str = "backup.exported";

/// Arguments of `export`.
#[derive(clap::Args, Debug)]
pub(super) struct ExportArgs {
    /// Backups to make [default: all with resources]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// Makes the named backups, or all that say what they are made of.
pub(super) fn run(own: &ExportArgs, args: &Args, loaded: &Loaded) -> Result<Exit, Failure> {
    let context = setup::context(args, loaded)?;
    let _lock = setup::lock(args, "export", loaded)?;
    let reporter = Reporter::open(args)?;
    let reports = cli::block_on(all(own, &context))?;
    let mut backup = backup_of(reports, BackupAction::Export, &context);
    backup.checks.extend(reporter.upstream_check());
    let end = Verdict::of(&backup.checks).into();
    Ok(reporter.finish(backup, end))
}

async fn all(own: &ExportArgs, context: &Context) -> Result<Vec<ItemReport>, Failure> {
    let mut reports = Vec::new();
    let backups = wanted(&context.config.backups, &own.names)?;
    let cluster = Cluster::connect(&context.access)
        .await
        .map_err(ReadError::usage)?;
    for backup in backups {
        reports.push(match export(&cluster, &context.namespace, backup).await {
            Ok(report) => report,
            Err(check) => ItemReport {
                item: item::unseen(backup),
                checks: vec![*check],
            },
        });
    }
    Ok(reports)
}

fn wanted<'b>(backups: &'b [Backup], names: &[String]) -> Result<Vec<&'b Backup>, Failure> {
    let can = |backup: &&Backup| {
        let here = matches!(backup.place(), Ok(Location::Local(_)));
        backup.kind == Some(BackupKind::Kubernetes) && !backup.resources.is_empty() && here
    };
    let hint = "give a [[backup]] of kind \"kubernetes\" on this machine its resources in \
        chaos.toml, such as [\"configmaps\"]";
    if names.is_empty() {
        let all: Vec<&Backup> = backups.iter().filter(can).collect();
        return if all.is_empty() {
            Err(Failure::usage("no backup says what it is made of").hint(hint))
        } else {
            Ok(all)
        };
    }
    let find = |name: &String| {
        let found = backups.iter().find(|backup| backup.name == *name);
        let found = found.ok_or_else(|| {
            Failure::usage(format!("no backup is called {name:?} in the configuration"))
        })?;
        Some(found).filter(can).ok_or_else(|| {
            Failure::usage(format!(
                "the backup {name:?} does not say what it is made of"
            ))
            .hint(hint)
        })
    };
    names.iter().map(find).collect()
}

/// Makes one backup; what was there before stays until the new one is whole.
async fn export(
    cluster: &Cluster,
    namespace: &str,
    backup: &Backup,
) -> Result<ItemReport, Box<Check>> {
    let object = source::label(backup);
    let live = objects_of(cluster, namespace, backup).await?;
    let is_secret = |live: &DynamicObject| {
        let types = live.types.as_ref();
        types.is_some_and(|types| types.kind == "Secret")
    };
    let permissions = if live.iter().any(is_secret) {
        0o600
    } else {
        0o644
    };
    let made = Timestamp::now();
    let failed = |why: String| {
        let message = format!("was not written: {why}");
        Box::new(Check::unknown(ID, &object, message))
    };
    let (text, objects) =
        written(live, &backup.path).map_err(|error| failed(format!("{error:#}")))?;
    replace(&backup.path, text.as_bytes(), permissions).map_err(|error| {
        Box::new(failed(error.to_string()).hint(
            "is the folder there, writable, and on a disk with room? \
             what was there before is untouched",
        ))
    })?;
    remove_stale_manifest(&backup.path).map_err(|error| failed(error.to_string()))?;
    let message = format!(
        "wrote {} of namespace {namespace}, {} bytes, mode {permissions:04o}",
        count(objects.all.len() as u64, "object"),
        text.len()
    );
    let item = BackupItem {
        size_bytes: Some(text.len() as u64),
        blake3: Some(digest::of(text.as_bytes())),
        made: Some(Time(made)),
        age_s: Some(0),
        contents: Some(objects.contents),
        ..item::unseen(backup)
    };
    Ok(ItemReport {
        item,
        checks: vec![Check::pass(ID, &object, message)],
    })
}

/// The objects of the kinds that belong into a backup, of each kind at least one.
async fn objects_of(
    cluster: &Cluster,
    namespace: &str,
    backup: &Backup,
) -> Result<Vec<DynamicObject>, Box<Check>> {
    let object = source::label(backup);
    let unread = |error: ReadError| Box::new(error.check(ID, &object));
    let mut live = Vec::new();
    for name in &backup.resources {
        let kind = KindOf::named(cluster, name).await.map_err(unread)?;
        let mut found = kind.list(cluster, namespace).await.map_err(unread)?;
        found.retain(|object| !makes_itself(object));
        if found.is_empty() {
            // A namespace that does not exist is empty as well.
            let message =
                format!("there are no {name} in namespace {namespace}; nothing was written");
            return Err(Box::new(Check::fail(ID, &object, message).hint(
                "is it the right namespace and cluster? \
                 take the kind out of resources if there is nothing to back up",
            )));
        }
        live.extend(found);
    }
    Ok(live)
}

/// A manifest of what stood here before would call the new file damaged.
fn remove_stale_manifest(path: &Path) -> anyhow::Result<()> {
    let stale = Manifest::name_for(path);
    match std::fs::remove_file(&stale) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => bail!(
            "it is, but its old manifest {} cannot be removed: {error}",
            stale.display()
        ),
        _ => Ok(()),
    }
}

/// The file's text, and what it holds when it is read again: the same as the cluster.
fn written(live: Vec<DynamicObject>, path: &Path) -> anyhow::Result<(String, Objects)> {
    let items: Vec<Value> = live.into_iter().map(clean).collect::<Result<_, _>>()?;
    let wanted = items.iter().map(|item| Object::of_json(item.clone()));
    let wanted: Vec<Object> = wanted
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(&error))?;
    let list = json!({"apiVersion": "v1", "items": items, "kind": "List"});
    let json = path
        .extension()
        .is_some_and(|extension| extension == "json");
    let mut text = if json {
        serde_json::to_string_pretty(&list)?
    } else {
        // Quotes leave no doubt of what is text, whichever YAML a reader speaks.
        let options = serde_saphyr::ser_options! { quote_all: true };
        serde_saphyr::to_string_with_options(&list, options)?
    };
    if !text.ends_with('\n') {
        text.push('\n');
    }
    let size = text.len() as u64;
    let read =
        kubernetes::examine(text.as_bytes(), Some(size)).map_err(|error| unreadable(&error))?;
    if read.all != wanted {
        bail!("what was written does not read as what the cluster has");
    }
    Ok((text, read))
}

fn unreadable(error: &FormatError) -> anyhow::Error {
    anyhow!(error.to_string())
}

/// Puts a file in the place of another in one step.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".export-")
        .tempfile_in(folder)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn live(values: &Value) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "data": values,
            "metadata": {
                "name": "a", "namespace": "shop", "uid": "u", "resourceVersion": "1", "generation": 3,
                "creationTimestamp": "2026-11-22T16:00:00Z", "labels": {"on": "yes", "v": "1.0"},
                "managedFields": [{"manager": "x", "operation": "Update", "apiVersion": "v1"}],
                "ownerReferences": [{"apiVersion": "v1", "kind": "X", "name": "x", "uid": "u"}],
            },
        }))
        .expect("an object")
    }

    #[test]
    fn every_value_is_read_again_as_it_was() {
        let values = json!({
            "a": "yes", "b": "0x1f", "c": "1e3", "d": "~", "e": "", "f": " lead", "g": "trail ", "h": "a\nb\n",
            "i": "\ttab", "j": "\u{85}\u{2028}\u{feff}x", "k": "\u{7f}\u{1}\u{9f}", "l": "it's \"quoted\" \\ %", "m": "012",
            "n": "2026-11-22", "o": "- x\n- y", "p": "# no comment", "q": "a: b", "r": "\u{1f600}", "s": "\r\n", "t": "---\n",
            "nginx.conf": "server {\n  listen 80;\n}\n\n\n", "no newline": "x\n  y", "null": "null", "y": "n", "=": "=", "<<": "*a",
        });
        for name in ["x.yaml", "x.json"] {
            let (text, objects) = written(vec![live(&values)], Path::new(name)).expect("written");
            assert_eq!(
                objects.all[0].values.len(),
                values.as_object().expect("a map").len()
            );
            for field in [
                "uid",
                "resourceVersion",
                "creationTimestamp",
                "managedFields",
                "ownerReferences",
                "generation",
            ] {
                assert!(!text.contains(field), "{field}: {text}");
            }
            assert!(text.contains("labels"), "{text}");
            assert_eq!(objects.all[0].server_made, Vec::<&str>::new());
        }
    }

    #[test]
    fn a_file_is_replaced_whole_and_with_its_mode() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secrets.yaml");
        std::fs::write(&path, "old").expect("written");
        replace(&path, b"new", 0o600).expect("replaced");
        assert_eq!(std::fs::read(&path).expect("there"), b"new");
        assert_eq!(
            std::fs::metadata(&path)
                .expect("there")
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        replace(&folder.path().join("no/x.yaml"), b"new", 0o600).expect_err("no folder");
        assert_eq!(
            std::fs::read_dir(folder.path()).expect("readable").count(),
            1
        );
    }
}
