//! Seeing and stopping runs from anywhere: `status`, `abort`, `recover`, `lock`, `unlock`. All of
//! it rests on what the runs wrote into the cluster before they touched anything.

mod report;

use chaos_common::exit::Exit;
use chaos_common::record::{Check, EventKind, RollbackCause, Status, Time};
use tokio::time::{Duration, Instant, sleep};

pub use self::report::namespaces;
use self::report::{Report, cannot};
use crate::context::Context;
use crate::run::record::executor;
use crate::safety::active_runs::{self, ActiveRuns};
use crate::safety::claims::{self, Losses};
use crate::safety::intent::Intent;
use crate::safety::journal::Journal;
use crate::safety::leases::{Attribution, EXPIRY};
use crate::safety::leftovers::Leftovers;
use crate::safety::lock;
use crate::safety::rollback::to_stderr;
use crate::safety::rollback::{RolledBack, release_after_crash, roll_back};

/// Between two looks at whether a run has ended.
const LOOK: Duration = Duration::from_millis(50);

const ABORT: &str = "abort.run";

/// `status`: what runs there are, whether they live, and what is locked. Something left behind is a
/// failure.
pub async fn status(context: &mut Context) -> Exit {
    const ID: &str = "runs.left-behind";
    let mut report = match Report::with_all(context, RollbackCause::Status).await {
        Ok(report) => report,
        Err(error) => return cannot(context, RollbackCause::Status, &error),
    };
    for run in &report.runs {
        let object = format!("run/{}", run.run);
        report.checks.push(if run.alive == Some(true) {
            let message = format!(
                "{} is under way, started by {}",
                run.experiment, run.executor
            );
            Check {
                status: Status::Warn,
                ..Check::pass("runs.alive", object, message)
            }
            .hint("chaos-inject abort --reason WHY stops it")
        } else if report.without_lease(&run.run) {
            let what = report.leftovers.describe(&run.run);
            let message = format!("its Lease is gone, and it has left {what} changed");
            Check::fail(ID, object, message).hint("chaos-inject recover takes it back")
        } else {
            Check::fail(
                ID,
                object,
                format!("{} was left behind by {}", run.experiment, run.executor),
            )
            .hint("chaos-inject recover takes it back")
        });
    }
    let unseen = report.leftovers.unseen.iter();
    report
        .checks
        .extend(unseen.map(|error| error.check("runs.objects", "")));
    if report.runs.is_empty() && report.leftovers.unseen.is_empty() {
        report.checks.push(Check::pass(
            ID,
            "",
            "no run is under way, and none left anything behind",
        ));
    }
    report.end(context, None).await
}

/// `recover`: rolls back what killed runs left. A run that lives is left alone.
pub async fn recover(context: &mut Context) -> Exit {
    let mut report = match Report::with_all(context, RollbackCause::Recover).await {
        Ok(report) => report,
        Err(error) => return cannot(context, RollbackCause::Recover, &error),
    };
    for n in 0..report.runs.len() {
        let run = report.runs[n].run.clone();
        if report.runs[n].alive == Some(true) {
            let check = Check::skipped(
                "recover.run",
                format!("run/{run}"),
                "is alive, and undoes its fault itself",
            )
            .hint("chaos-inject abort --reason WHY stops it");
            report.checks.push(check);
            continue;
        }
        let check = take_back(context, "recover.run", &report, &run).await;
        report.runs[n].undone = !check.is_bad();
        report.checks.push(check);
    }
    report.warn_of_unseen();
    if report.runs.is_empty() {
        report
            .checks
            .push(Check::pass("recover.run", "", "nothing is left behind"));
    }
    let exit = report
        .checks
        .iter()
        .any(Check::is_bad)
        .then_some(Exit::NotRestored);
    report.end(context, exit).await
}

/// Undoes what a run left, by its Lease, else by its journal or its labels.
async fn take_back(context: &mut Context, id: &str, report: &Report, run: &str) -> Check {
    let check = match report.intent(run) {
        None if report.without_lease(run) => nobody_knows(id, &report.leftovers, run),
        intent => undo_left(context, id, run, intent).await,
    };
    if let (Some((path, _)), false) = (report.leftovers.journals.get(run), check.is_bad()) {
        Journal::conclude(path);
    }
    check
}

/// A run changed objects, and nobody knows what they were before.
fn nobody_knows(id: &str, leftovers: &Leftovers, run: &str) -> Check {
    let what = leftovers.describe(run);
    let message = format!(
        "NOT RESTORED: {what} carries its label, its Lease is gone, and no journal here is its own: \
         nobody knows what was before"
    );
    let hint = format!(
        "chaos-inject recover where it was started knows by its journal; or set it right with \
         kubectl, then: kubectl label KIND/NAME {}-",
        crate::labels::RUN_LABEL
    );
    Check::fail(id, format!("run/{run}"), message).hint(hint)
}

/// Undoes what a dead run left, and takes its Leases away.
pub async fn undo_left(
    context: &mut Context,
    id: &str,
    run: &str,
    intent: Option<Intent>,
) -> Check {
    let object = format!("run/{run}");
    let Some(intent) = intent else {
        return Check::fail(id, object, "the intent on its Lease can't be read, so nobody knows what to roll back")
            .hint("kubectl get leases -A -l chaos-runbook/run -o yaml shows it; it may be of a newer version");
    };
    let RolledBack {
        actions,
        notes,
        less,
        failed,
    } = roll_back(&context.cluster, &intent, true, &to_stderr).await;
    for text in actions {
        context.action(EventKind::Undo, None, text);
    }
    for text in notes {
        context.issue(EventKind::Observed, None, text);
    }
    if !failed.is_empty() {
        return Check::fail(id, object, format!("NOT RESTORED: {}", failed.join("; ")))
            .hint("look at these objects with kubectl, then chaos-inject recover again");
    }
    let Losses { lost, unread } = claims::losses(&context.cluster, &intent.claims).await;
    for text in lost.iter().chain(&unread) {
        context.issue(EventKind::Observed, None, text.clone());
    }
    let not_as_before = [less, lost].concat();
    match release_after_crash(&context.cluster, &intent).await {
        Ok(()) if !not_as_before.is_empty() => {
            let why = format!(
                "is rolled back, and is not as before: {}",
                not_as_before.join("; ")
            );
            Check::fail(id, object, why)
                .hint("nothing is left to undo; set right by hand what is missing")
        }
        Ok(()) if !unread.is_empty() => {
            let why = format!("is rolled back; {}", unread.join("; "));
            Check::unknown(id, object, why).hint(
                "nothing is left to undo; kubectl get persistentvolumeclaims shows the claims",
            )
        }
        Ok(()) => Check::pass(id, object, format!("{} is rolled back", intent.experiment)),
        Err(left) => Check::fail(id, object, left.to_string()),
    }
}

/// `abort`: asks every run to stop, waits until each has undone its fault, and undoes it for those
/// that do not live any more, and for those whose Leases are gone.
pub async fn abort(context: &mut Context, reason: String) -> Exit {
    let report = Report::begin(context, RollbackCause::Abort, Some(reason.clone())).await;
    let mut report = match report {
        Ok(report) => report,
        Err(error) => return cannot(context, RollbackCause::Abort, &error),
    };
    report.checks = stop(context, &report.namespaces, &report.found, reason).await;
    // Those whose Lease somebody deleted can't be asked; whether they live or not, their fault goes.
    report = match report.with_leftovers(context).await {
        Ok(report) => report,
        Err(error) => return cannot(context, RollbackCause::Abort, &error),
    };
    for run in report.leftovers.runs() {
        let check = take_back(context, ABORT, &report, &run).await;
        report.checks.push(check);
    }
    report.warn_of_unseen();
    for run in &mut report.runs {
        let object = format!("run/{}", run.run);
        run.undone = report
            .checks
            .iter()
            .any(|check| check.object.as_ref() == Some(&object) && !check.is_bad());
    }
    let exit = report
        .checks
        .iter()
        .any(Check::is_bad)
        .then_some(Exit::NotRestored);
    report.end(context, exit).await
}

/// Stops all runs, for another command.
pub async fn stop_all(context: &mut Context, reason: &str) -> Vec<Check> {
    let namespaces = namespaces(context);
    match ActiveRuns::list(&context.cluster, &namespaces).await {
        Ok(found) => stop(context, &namespaces, &found, reason.to_owned()).await,
        Err(error) => vec![error.check(ABORT, "")],
    }
}

async fn stop(
    context: &mut Context,
    namespaces: &[String],
    found: &ActiveRuns,
    reason: String,
) -> Vec<Check> {
    let start = Instant::now();
    let mut checks = Vec::new();
    let word = Attribution {
        executor: executor(),
        reason,
        since: Time::now(),
    };
    let intents: Vec<(String, Option<Intent>)> = found
        .runs()
        .into_iter()
        .map(|(run, found)| (run, found.intent))
        .collect();
    for intent in intents.iter().filter_map(|(_, intent)| intent.as_ref()) {
        if let Err(error) = active_runs::request_abort(&context.cluster, intent, &word).await {
            checks.push(error.check(ABORT, format!("run/{}", intent.run)));
        }
    }
    // Those that live end by themselves; of the others, nothing is heard.
    let mut open: Vec<String> = intents.iter().map(|(run, _)| run.clone()).collect();
    let (mut heard, mut before) = (Instant::now(), found.clone());
    let limit = context.config.experiment.undo_limit.0;
    while !open.is_empty() {
        if start.elapsed() > limit {
            checks.extend(open.drain(..).map(|run| {
                let message = format!("was asked to stop, lives, and has not ended after {} s", limit.as_secs());
                Check::unknown(ABORT, format!("run/{run}"), message).hint(
                    "kill its process: its guardian undoes the fault then; chaos-inject status says who runs it where",
                )
            }));
            break;
        }
        let now = match ActiveRuns::list(&context.cluster, namespaces).await {
            Ok(now) => now,
            Err(error) => {
                checks.push(error.check(ABORT, ""));
                break;
            }
        };
        let there = now.runs();
        for run in open.iter().filter(|run| !there.contains_key(*run)) {
            let message = format!(
                "has undone its fault and ended, after {} ms",
                start.elapsed().as_millis()
            );
            checks.push(Check::pass(ABORT, format!("run/{run}"), message));
        }
        open.retain(|run| there.contains_key(run));
        if now.renewed_since(&before) {
            (heard, before) = (Instant::now(), now.clone());
        }
        if heard.elapsed() > EXPIRY {
            for run in std::mem::take(&mut open) {
                let intent = intents
                    .iter()
                    .find(|(other, _)| *other == run)
                    .and_then(|(_, intent)| intent.clone());
                checks.push(undo_left(context, ABORT, &run, intent).await);
            }
        }
        sleep(LOOK).await;
    }
    if intents.is_empty() {
        checks.push(Check::pass(ABORT, "", "no run is under way"));
    }
    checks
}

/// `lock`: forbids new runs in every namespace that the configuration lets them touch.
pub async fn lock(context: &mut Context, reason: String) -> Exit {
    let mut report = match Report::begin(context, RollbackCause::Lock, Some(reason.clone())).await {
        Ok(report) => report,
        Err(error) => return cannot(context, RollbackCause::Lock, &error),
    };
    let word = Attribution {
        executor: executor(),
        reason,
        since: Time::now(),
    };
    for namespace in report.namespaces.clone() {
        let object = format!("namespace/{namespace}");
        report.checks.push(
            match lock::lock(&context.cluster, &namespace, &word).await {
                Ok(()) => Check::pass(
                    "lock.namespace",
                    object,
                    "new runs are refused until chaos-inject unlock",
                ),
                Err(error) => error.check("lock.namespace", object),
            },
        );
    }
    report.end(context, None).await
}

/// `unlock`: allows new runs again.
pub async fn unlock(context: &mut Context) -> Exit {
    let mut report = match Report::begin(context, RollbackCause::Unlock, None).await {
        Ok(report) => report,
        Err(error) => return cannot(context, RollbackCause::Unlock, &error),
    };
    for namespace in report.namespaces.clone() {
        let object = format!("namespace/{namespace}");
        report
            .checks
            .push(match lock::unlock(&context.cluster, &namespace).await {
                Ok(()) => Check::pass("unlock.namespace", object, "new runs are allowed"),
                Err(error) => error.check("unlock.namespace", object),
            });
    }
    report.end(context, None).await
}

#[cfg(test)]
mod tests;
