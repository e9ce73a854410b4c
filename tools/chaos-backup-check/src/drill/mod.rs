//! `chaos-backup-check drill`: restores backups for a trial, which is the only proof that they can
//! be, and keeps the evidence.

mod archive;
mod error;
mod feed;
mod identity;
mod objects;
mod process;
mod programs;
mod restore;
mod roles;
mod server;

use std::sync::Arc;
use std::time::Duration;

use chaos_common::config::{Backup, BackupKind, DrillSettings};
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{BackupItem, Check, RestoreDrill, Status, Time, Verdict, summarize};
use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use self::error::Trouble;
use self::feed::Feed;
use crate::commands::check::Deadline;
use crate::context::Context;
use crate::item::evidence;
use crate::progress::Readings;
use crate::source::Found;
use crate::{item, source};

pub(crate) const RESTORED: &str = "drill.restored";
const EVIDENCE: &str = "drill.evidence";

/// Arguments of `drill`.
#[derive(clap::Args, Debug)]
pub(crate) struct DrillArgs {
    /// Backups to restore for a trial [default: all that are configured]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
}

/// A restore that came to its end.
#[derive(Debug)]
pub(crate) struct Restored {
    message: String,
    took: Duration,
    size_bytes: u64,
    blake3: String,
    into: String,
    rows: Option<u64>,
}

/// Restores each backup in turn, until done, told to stop, or out of time.
pub(crate) async fn run(
    args: &DrillArgs,
    context: &Context,
    deadline: Option<Deadline>,
) -> Result<(Vec<(BackupItem, Vec<Check>)>, Exit), Failure> {
    let settings = context.config.drill.clone().unwrap_or_default();
    let backups = wanted(&context.config.backups, &args.names)?;
    let cannot =
        |error: std::io::Error| Failure::unknown(format!("cannot wait for signals: {error}"));
    let mut term = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
    let mut hangup = signal(SignalKind::hangup()).map_err(cannot)?;
    let (mut done, mut refused) = (Vec::new(), false);
    for backup in backups {
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.end.into()).await,
                None => std::future::pending().await,
            }
        };
        // What is not finished is dropped, and all that was made for it goes with it.
        let stopped = |by: &str| Failure {
            exit: Exit::Aborted,
            message: format!(
                "stopped by {by} in the drill of {}; what was made for it is gone",
                backup.name
            ),
            hint: None,
        };
        tokio::select! {
            drilled = one(context, &settings, backup, &mut refused) => done.push(drilled),
            _ = term.recv() => return Err(stopped("SIGTERM")),
            _ = interrupt.recv() => return Err(stopped("SIGINT")),
            _ = hangup.recv() => return Err(stopped("SIGHUP")),
            () = late => {
                let item = item::unseen(backup);
                let limit = deadline.map(|deadline| deadline.limit.to_string()).unwrap_or_default();
                let check = Check::unknown(RESTORED, &item.path, format!("was not finished in {limit}; what was made for it is gone"))
                    .hint("give it a longer --deadline");
                done.push((item, vec![check]));
            }
        }
    }
    Ok((done, if refused { Exit::Refused } else { Exit::Pass }))
}

fn wanted<'b>(backups: &'b [Backup], names: &[String]) -> Result<Vec<&'b Backup>, Failure> {
    if names.is_empty() {
        let hint = "name each in chaos.toml as [[backup]]; scripts/ecommerce.toml shows how";
        let none = || Failure::usage("no backup that can be restored is configured").hint(hint);
        let all = backups
            .iter()
            .filter(|backup| backup.kind != BackupKind::VolumeSnapshot);
        return Some(all.collect::<Vec<_>>())
            .filter(|backups| !backups.is_empty())
            .ok_or_else(none);
    }
    let find = |name: &String| {
        let found = backups.iter().find(|backup| backup.name == *name);
        let found = found.ok_or_else(|| {
            Failure::usage(format!("no backup is called {name:?} in the configuration"))
        })?;
        if found.kind == BackupKind::VolumeSnapshot {
            return Err(Failure::usage(format!(
                "{name:?} is a volume's snapshot, which no drill restores"
            ))
            .hint("make a claim of it in a namespace for trials, and start the database on that"));
        }
        Ok(found)
    };
    names.iter().map(find).collect()
}

/// Checks a backup, restores it, and keeps the evidence.
async fn one(
    context: &Context,
    settings: &DrillSettings,
    backup: &Backup,
    refused: &mut bool,
) -> (BackupItem, Vec<Check>) {
    let (read, found) = (backup.clone(), context.clone());
    let (mut item, mut checks) =
        apart(move || item::read_whole(&read, Timestamp::now(), &found)).await;
    let object = item.path.clone();
    if Verdict::of(&checks) != Verdict::Pass {
        checks.push(Check::new(
            RESTORED,
            &object,
            status(Verdict::of(&checks)),
            "was not restored: it is not whole, or could not be read",
        ));
        return (item, checks);
    }
    let mut own = Vec::new();
    let restored = restore(context, settings, backup, &item, &mut own).await;
    let restored = restored.and_then(|restored| match &item.blake3 {
        Some(blake3) if *blake3 != restored.blake3 => Err(Trouble::unknown(
            "changed between the check and the restore",
        )),
        _ => Ok(restored),
    });
    let (check, outcome) = match restored {
        Ok(restored) => (
            Check::pass(RESTORED, &object, &restored.message),
            Some(restored),
        ),
        Err(trouble) => {
            *refused |= trouble.refused;
            (trouble.check(RESTORED, &object), None)
        }
    };
    own.insert(0, check);
    let verdict = Verdict::of(&own);
    // What could not be tried proves nothing, and takes nothing away from what was proven before.
    if verdict != Verdict::Unknown {
        let drill = RestoreDrill {
            verdict,
            time: Time::now(),
            blake3: item.blake3.clone().unwrap_or_default(),
            size_bytes: outcome
                .as_ref()
                .map_or(item.size_bytes.unwrap_or_default(), |restored| {
                    restored.size_bytes
                }),
            restore_ms: outcome
                .as_ref()
                .map(|restored| u64::try_from(restored.took.as_millis()).unwrap_or(u64::MAX)),
            into: outcome
                .as_ref()
                .map_or("nowhere".to_owned(), |restored| restored.into.clone()),
            rows: outcome.and_then(|restored| restored.rows),
            summary: summarize(&own),
        };
        own.push(keep(context, &item, &drill));
        item.drill = Some(drill);
    }
    checks.extend(own);
    (item, checks)
}

/// Does on a thread of its own what takes time: a signal must get through, and needs not wait for
/// it.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, done) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || send.send(work()).ok());
    done.await
        .expect("the thread ends with its result, or has panicked")
}

async fn restore(
    context: &Context,
    settings: &DrillSettings,
    backup: &Backup,
    item: &BackupItem,
    checks: &mut Vec<Check>,
) -> Result<Restored, Trouble> {
    let (at, of) = (backup.clone(), context.clone());
    // It may wait for a network.
    let found = apart(move || source::find(&at, &of)).await;
    let found = Arc::new(found.map_err(|absent| Trouble::unknown(absent.why))?);
    let dump = Dump {
        found,
        name: format!("restoring {}", item.path),
        readings: context.readings.clone(),
    };
    match backup.kind {
        BackupKind::Postgres => {
            restore::drill(context, settings, backup, item, &dump, checks).await
        }
        BackupKind::Tar => archive::drill(dump.feed()).await,
        BackupKind::Kubernetes => objects::drill(context, dump.feed()).await,
        BackupKind::VolumeSnapshot => Err(Trouble::unknown(
            "is a volume's snapshot, which no drill restores",
        )),
    }
}

/// What is restored.
pub(crate) struct Dump {
    found: Arc<Found>,
    name: String,
    readings: Readings,
}

impl Dump {
    /// Its bytes, unpacked; each time from the first to the last.
    pub(crate) fn feed(&self) -> Feed {
        let (found, readings, name) =
            (self.found.clone(), self.readings.clone(), self.name.clone());
        Feed::of(move || {
            let opened = found.source().open()?;
            Ok(Box::new(readings.watch(
                &name,
                Some(found.before.size),
                opened,
            )))
        })
    }

    /// The names of its files, if it is a folder.
    pub(crate) async fn files(&self) -> Result<Option<Vec<String>>, Trouble> {
        if !self.found.folder {
            return Ok(None);
        }
        let found = self.found.clone();
        let names = apart(move || found.source().list()).await;
        let mut names: Vec<String> = names
            .map_err(|trouble| Trouble::unknown(trouble.to_string()))?
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        names.sort();
        Ok(Some(names))
    }

    /// The bytes of one of its files, as they are.
    pub(crate) fn file(&self, name: &str) -> Feed {
        let (found, name) = (self.found.clone(), name.to_owned());
        Feed::raw(move || found.source().open_in(&name).map(|(reader, _)| reader))
    }
}

fn status(verdict: Verdict) -> Status {
    match verdict {
        Verdict::Pass => Status::Pass,
        Verdict::Fail => Status::Fail,
        Verdict::Unknown => Status::Unknown,
    }
}

fn keep(context: &Context, item: &BackupItem, drill: &RestoreDrill) -> Check {
    let tool = format!("{} {}", env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let kept = evidence::folder(&context.config).and_then(|folder| {
        evidence::keep(&folder, tool, &context.namespace, &item.name, drill)
            .map_err(|error| format!("cannot be written to {}: {error}", folder.display()))
    });
    match kept {
        Ok(path) => Check::pass(EVIDENCE, &item.path, format!("kept as {}", path.display())),
        Err(why) => Check::unknown(EVIDENCE, &item.path, format!("the evidence {why}"))
            .hint("later checks do not know of this drill; name a folder that can be written as drill.evidence"),
    }
}
