//! `watch`: an undo that needs nobody. It runs in the cluster, says so by a Lease of its own, and
//! takes back what a run left behind whose Leases nobody renews any more, as `recover` does. A run
//! that lives is left alone.

use std::collections::BTreeMap;
use std::io::Write as _;

use chaos_common::cluster::ReadError;
use chaos_common::cluster::rbac::{self, RbacArgs};
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{
    Check, HeldRun, Permission, PodSource, Rollback, RollbackCause, Verdict,
};
use kube::core::ApiResource;
use tokio::time::{Duration, Instant, sleep};

use crate::abort::{self, Abort, AbortSignal};
use crate::commands::runs::{namespaces, undo_left};
use crate::context::Context;
use crate::permissions::{need, need_one};
use crate::run::record::executor;
use crate::safety::active_runs::ActiveRuns;
use crate::safety::intent::Intent;
use crate::safety::presence;
use crate::safety::signs_of_life::SignsOfLife;

const ID: &str = "watch.run";
/// Between two looks.
const LOOK: Duration = Duration::from_secs(1);
/// How long one attempt to take a run back may last: there may be others, and it is tried again.
const ATTEMPT_MS: u64 = 10_000;

/// The arguments of `watch`.
#[derive(clap::Args, Debug)]
pub struct Args {
    #[command(flatten)]
    rbac: RbacArgs,
}

/// Watches until it is asked to end.
///
/// # Errors
/// No right could be asked for.
pub async fn watch(context: &mut Context, args: &Args) -> Result<Exit, Failure> {
    if let Some(account) = &args.rbac.rbac {
        let needed = with_customs(context, needed(&namespaces(context))).await;
        let needed = needed.map_err(|error| Failure {
            exit: Exit::Unknown,
            message: error.to_string(),
            hint: error.next_step().map(str::to_owned),
        })?;
        let roles = rbac::manifest("chaos-watch", (account, &context.namespace), &needed);
        // A reader that closed early has what it wanted.
        let _ = std::io::stdout().write_all(roles.as_bytes());
        return Ok(Exit::Pass);
    }
    let (alarm, abort) = AbortSignal::new();
    alarm.on_signals();
    Ok(watch_until(context, abort).await)
}

/// Watches until somebody asks for the end.
pub async fn watch_until(context: &mut Context, mut end: Abort) -> Exit {
    let mut watcher = Watcher {
        namespaces: namespaces(context),
        holder: executor(),
        signs: SignsOfLife::default(),
        left: BTreeMap::new(),
        taken_back: 0,
    };
    let mut trouble = String::new();
    while abort::reason(&end).is_none() {
        let now = match watcher.look(context).await {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        if now != trouble && !now.is_empty() {
            context.stream.progress(&now);
        }
        trouble = now;
        tokio::select! {
            () = sleep(LOOK) => {}
            () = abort::raised(&mut end) => {}
        }
    }
    for namespace in &watcher.namespaces {
        presence::leave(&context.cluster, namespace, &watcher.holder).await;
    }
    watcher.conclude(context).await
}

/// Who watches.
struct Watcher {
    namespaces: Vec<String>,
    holder: String,
    signs: SignsOfLife,
    /// What of the runs is not taken back, and why.
    left: BTreeMap<String, Check>,
    taken_back: usize,
}

impl Watcher {
    /// Says that it is there, looks, and takes back what dead runs left. Where it may not write, its
    /// look does not count: the runner may not renew its Leases then, either.
    async fn look(&mut self, context: &mut Context) -> Result<(), ReadError> {
        for namespace in &self.namespaces {
            presence::renew(&context.cluster, namespace, &self.holder).await?;
        }
        let begun = Instant::now();
        let found = ActiveRuns::list(&context.cluster, &self.namespaces).await?;
        let dead = self.signs.look((begun, Instant::now()), &found.renewals());
        self.left.retain(|run, _| found.runs().contains_key(run));
        for run in dead {
            // It ended, and a person is needed: its lock is not ours to take.
            if !found.is_given_up(&run) {
                self.take_back(context, &found, &run).await;
            }
        }
        Ok(())
    }

    async fn take_back(&mut self, context: &mut Context, found: &ActiveRuns, run: &str) {
        let intent = found.runs().remove(run).and_then(|found| found.intent);
        let intent = intent.map(|intent| Intent {
            undo_limit_ms: intent.undo_limit_ms.min(ATTEMPT_MS),
            ..intent
        });
        let check = undo_left(context, ID, run, intent).await;
        let mut held: Vec<HeldRun> = found.to_record(|_| Some(false));
        held.retain(|one| one.run == run);
        for one in &mut held {
            one.undone = !check.is_bad();
        }
        // What stays as it was is tried again without a word.
        let is_news = self.left.get(run) != Some(&check);
        let (actions, issues) = (
            std::mem::take(&mut context.actions),
            std::mem::take(&mut context.issues),
        );
        if is_news {
            let record = Rollback {
                runs: held,
                checks: vec![check.clone()],
                actions,
                issues,
                ..self.record(context).await
            };
            let summary = format!("run {run}: {}", check.message);
            let verdict = Verdict::of(std::slice::from_ref(&check));
            context.stream.add(verdict, summary, record);
        }
        if check.is_bad() {
            self.left.insert(run.to_owned(), check);
        } else {
            self.taken_back += 1;
        }
    }

    async fn record(&self, context: &Context) -> Rollback {
        Rollback {
            cause: RollbackCause::Watch,
            cluster: context.cluster.identity().await.ok(),
            namespaces: self.namespaces.clone(),
            executor: self.holder.clone(),
            reason: None,
            dry_run: false,
            runs: Vec::new(),
            locks: Vec::new(),
            checks: Vec::new(),
            actions: Vec::new(),
            issues: Vec::new(),
        }
    }

    async fn conclude(self, context: &mut Context) -> Exit {
        let mut checks: Vec<Check> = self.left.values().cloned().collect();
        let exit = if checks.is_empty() {
            let message = format!("runs taken back: {}; none is left", self.taken_back);
            checks.push(Check::pass(ID, "", message));
            Exit::Pass
        } else {
            Exit::NotRestored
        };
        let verdict = Verdict::of(&checks);
        let summary = checks[0].message.clone();
        let record = Rollback {
            checks,
            ..self.record(context).await
        };
        context.stream.result(verdict, summary, record, exit)
    }
}

/// The same with what taking back changes of custom resources needs, of those that the configuration
/// names as workloads.
async fn with_customs(
    context: &Context,
    mut needed: Vec<Permission>,
) -> Result<Vec<Permission>, ReadError> {
    let namespace = &context.namespace;
    for workload in &context.config.workloads {
        if let PodSource::Custom(custom) = workload.source() {
            let what = format!("read {custom} in namespace {namespace}");
            let scaled = context.cluster.scaled(namespace, &custom, &what).await?;
            let ApiResource { group, plural, .. } = &scaled.resource;
            let one = |verb| need_one(namespace, verb, group, plural, &custom.name);
            needed.extend(["get", "patch"].map(one));
        }
    }
    Ok(needed)
}

/// What watching and taking back needs in these namespaces.
fn needed(namespaces: &[String]) -> Vec<Permission> {
    const ALL: [(&str, &str, &[&str]); 6] = [
        (
            "coordination.k8s.io",
            "leases",
            &["list", "get", "create", "patch", "delete"],
        ),
        ("apps", "deployments", &["get", "patch"]),
        ("apps", "statefulsets", &["get", "patch"]),
        (
            "networking.k8s.io",
            "networkpolicies",
            &["get", "patch", "delete"],
        ),
        ("", "pods", &["get", "delete"]),
        ("", "persistentvolumeclaims", &["get"]),
    ];
    let mut needed = vec![need_one("", "get", "", "namespaces", "kube-system")];
    for namespace in namespaces {
        for (group, resource, verbs) in ALL {
            needed.extend(
                verbs
                    .iter()
                    .map(|verb| need(namespace, verb, group, resource)),
            );
        }
    }
    needed
}

#[cfg(test)]
mod tests;
