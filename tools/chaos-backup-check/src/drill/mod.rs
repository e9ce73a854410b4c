//! Drills: backups are restored for a trial, which is the only proof that they can be, and the
//! evidence is kept.

mod archive;
mod blocking;
mod dump;
mod error;
mod feed;
mod identity;
mod objects;
mod own_database;
mod process;
mod programs;
mod restore;
mod roles;
mod rows;
mod server;
pub(crate) mod tries;

use std::time::{Duration, Instant};

use chaos_common::config::Backup;
use chaos_common::record::{
    BackupItem, Check, Contents, RestoreDrill, Status, Time, Verdict, summarize,
};

use self::blocking::blocking;
use self::dump::Dump;
use self::error::{DrillError, DrillErrorKind};
use self::tries::Try;
use crate::context::Context;
use crate::item::{self, ItemReport, Scope, evidence};

/// Id of the check of whether it was restored.
pub(crate) const RESTORED: &str = "drill.restored";
const EVIDENCE: &str = "drill.evidence";

/// What came of one drill.
pub(crate) struct DrillReport {
    pub(crate) report: ItemReport,
    /// Whether it was not let to happen.
    pub(crate) refused: bool,
}

/// A restore that came to its end.
#[derive(Debug)]
struct Restored {
    message: String,
    took: Duration,
    /// Size in bytes and BLAKE3 digest of what was restored.
    size_bytes: u64,
    blake3: String,
    into: String,
    rows: Option<u64>,
}

/// A restore, and what was found in what it made.
struct Attempt {
    restored: Result<Restored, DrillError>,
    checks: Vec<Check>,
}

impl From<Result<Restored, DrillError>> for Attempt {
    fn from(restored: Result<Restored, DrillError>) -> Attempt {
        Attempt {
            restored,
            checks: Vec::new(),
        }
    }
}

/// Checks a backup, restores it, and keeps the evidence.
pub(crate) async fn run(context: &Context, backup: &Backup) -> DrillReport {
    let (start, began) = (Instant::now(), Time::now());
    let note = |took| {
        let one = Try { began, took };
        let folder = evidence::folder(&context.config).ok();
        // Without a note the order of the next run is another, and nothing else.
        let noted = folder.map(|at| tries::note(&at, &context.namespace, &backup.name, &one));
        drop(noted);
    };
    note(None);
    let report = check_and_restore(context, backup).await;
    note(Some(start.elapsed()));
    report
}

async fn check_and_restore(context: &Context, backup: &Backup) -> DrillReport {
    let (read, of) = (backup.clone(), context.clone());
    let checked = blocking(move || item::check(&read, Scope::Content, &of)).await;
    let (item, mut checks) = (checked.item, checked.checks);
    let verdict = Verdict::of(&checks);
    if verdict != Verdict::Pass {
        let message = "was not restored: it is not whole, or could not be read";
        checks.push(Check::new(RESTORED, &item.path, status(verdict), message));
        return DrillReport {
            report: ItemReport { item, checks },
            refused: false,
        };
    }
    let attempt = unchanged(attempt(context, backup, &item).await, &item);
    let refused = matches!(&attempt.restored, Err(error) if error.kind == DrillErrorKind::Refused);
    let mut own = vec![match &attempt.restored {
        Ok(restored) => Check::pass(RESTORED, &item.path, &restored.message),
        Err(error) => error.check(RESTORED, &item.path),
    }];
    own.extend(attempt.checks);
    let drill = proven(&own, attempt.restored.ok(), &item);
    if let Some(drill) = &drill {
        own.push(keep(context, &item, drill));
    }
    checks.extend(own);
    let item = BackupItem { drill, ..item };
    DrillReport {
        report: ItemReport { item, checks },
        refused,
    }
}

async fn attempt(context: &Context, backup: &Backup, item: &BackupItem) -> Attempt {
    let dump = match Dump::open(context, backup).await {
        Ok(dump) => dump,
        Err(error) => return Err(error).into(),
    };
    match item.contents {
        Some(Contents::Postgres { .. }) => restore::drill(context, backup, item, &dump).await,
        Some(Contents::Tar { .. }) => archive::drill(dump.feed()).await.into(),
        Some(Contents::Kubernetes { .. }) => objects::drill(context, dump.feed()).await.into(),
        Some(Contents::VolumeSnapshot { .. } | Contents::Tool { .. }) | None => {
            Err(DrillError::unknown("is nothing that a drill restores")).into()
        }
    }
}

/// What was restored must be what was checked.
fn unchanged(attempt: Attempt, item: &BackupItem) -> Attempt {
    match (&attempt.restored, &item.blake3) {
        (Ok(restored), Some(blake3)) if *blake3 != restored.blake3 => Attempt {
            restored: Err(DrillError::unknown(
                "changed between the check and the restore",
            )),
            ..attempt
        },
        _ => attempt,
    }
}

/// What a drill proves. What could not be tried proves nothing, and takes nothing away from what
/// was proven before.
fn proven(checks: &[Check], restored: Option<Restored>, item: &BackupItem) -> Option<RestoreDrill> {
    let verdict = Verdict::of(checks);
    if verdict == Verdict::Unknown {
        return None;
    }
    let checked_size = item.size_bytes.unwrap_or_default();
    let none = "nowhere".to_owned();
    Some(RestoreDrill {
        verdict,
        time: Time::now(),
        blake3: item.blake3.clone().unwrap_or_default(),
        size_bytes: restored
            .as_ref()
            .map_or(checked_size, |done| done.size_bytes),
        restore_ms: restored
            .as_ref()
            .map(|done| u64::try_from(done.took.as_millis()).unwrap_or(u64::MAX)),
        into: restored.as_ref().map_or(none, |done| done.into.clone()),
        rows: restored.and_then(|done| done.rows),
        summary: summarize(checks),
    })
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
    let unkept = |why: String| {
        Check::unknown(EVIDENCE, &item.path, why).hint(
            "later checks do not know of this drill; \
             name a folder that can be written as drill.evidence",
        )
    };
    let folder = match evidence::folder(&context.config) {
        Ok(folder) => folder,
        Err(error) => return unkept(error.to_string()),
    };
    match evidence::keep(&folder, tool, &context.namespace, &item.name, drill) {
        Ok(path) => Check::pass(EVIDENCE, &item.path, format!("kept as {}", path.display())),
        Err(error) => unkept(format!(
            "the evidence cannot be written to {}: {error}",
            folder.display()
        )),
    }
}
