//! The runbook's own rollback: each of the named Deployments, of the application and of monitoring,
//! gets the template of its previous revision, as `kubectl rollout undo` does, and is watched until
//! it is whole.

use chaos_common::cluster::desired_state::Rollout;
use chaos_common::cluster::{Cluster, ReadError, error_chain, owner_uid};
use chaos_common::exit::Exit;
use chaos_common::record::{
    Check, EventKind, Rollback, RollbackCause, Verdict, WorkloadRef, summarize,
};
use futures::future::join_all;
use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use kube::api::{Api, ListParams, PostParams};
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::commands::runs;
use crate::context::Context;
use crate::run::gates;
use crate::run::record::executor;

const ID: &str = "rollback.revision";
/// Annotation by which Kubernetes numbers the revisions of a Deployment.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// Label that tells a `ReplicaSet`'s pods apart; no part of the template that a Deployment gets.
const HASH: &str = "pod-template-hash";
/// Time for a Deployment to be at its desired state again.
const LIMIT: Duration = Duration::from_secs(180);
/// Time that one answer may take.
const CALL: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(200);

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Do not ask; needed where there is no terminal to ask on
    #[arg(short, long)]
    yes: bool,
    /// Let the API server check every write, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Everything at once, no questions: stop all runs, roll back, go on past errors and list them
    #[arg(long)]
    emergency: bool,
}

/// The Deployments that the configuration names, in the order of the runbook.
fn named(context: &Context) -> Vec<WorkloadRef> {
    let deployment = |namespace: &str, name: &str| WorkloadRef {
        kind: "Deployment".to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    };
    let workloads = context
        .config
        .workloads
        .iter()
        .filter(|workload| workload.kind == "Deployment");
    let application = workloads.map(|workload| deployment(&context.namespace, &workload.name));
    let monitoring = context.config.monitoring.iter().flat_map(|monitoring| {
        let systems = [
            &monitoring.prometheus,
            &monitoring.grafana,
            &monitoring.alertmanager,
        ];
        systems
            .into_iter()
            .flatten()
            .map(|system| deployment(&monitoring.namespace, &system.deployment))
    });
    application.chain(monitoring).collect()
}

/// What to go back to.
#[derive(Debug)]
struct Earlier {
    deployment: Deployment,
    revision: i64,
    set: ReplicaSet,
}

fn revision(annotations: Option<&std::collections::BTreeMap<String, String>>) -> Option<i64> {
    annotations?.get(REVISION)?.parse().ok()
}

/// The newest of a Deployment's revisions but the present one.
fn previous(deployment: &Deployment, sets: Vec<ReplicaSet>) -> Option<(i64, ReplicaSet)> {
    let now = revision(deployment.metadata.annotations.as_ref());
    let ours = sets
        .into_iter()
        .filter(|set| owner_uid(set) == deployment.metadata.uid.as_deref());
    let numbered = ours.filter_map(|set| Some((revision(set.metadata.annotations.as_ref())?, set)));
    numbered
        .filter(|(number, _)| now.is_none_or(|now| *number < now))
        .max_by_key(|(number, _)| *number)
}

async fn find(cluster: &Cluster, which: &WorkloadRef) -> Result<Option<Earlier>, ReadError> {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), &which.namespace);
    let what = format!("read {which} in namespace {}", which.namespace);
    let deployment = cluster.read(&what, || api.get(&which.name)).await?;
    let sets: Api<ReplicaSet> = Api::namespaced(cluster.client.clone(), &which.namespace);
    let what = format!("list replicasets in namespace {}", which.namespace);
    let found = previous(
        &deployment,
        cluster.list(&sets, &ListParams::default(), what).await?,
    );
    Ok(found.map(|(revision, set)| Earlier {
        deployment,
        revision,
        set,
    }))
}

/// Gives a Deployment its earlier template. The write names the resource version that was read.
async fn go_back(
    cluster: &Cluster,
    which: &WorkloadRef,
    dry_run: bool,
) -> Result<Option<i64>, ReadError> {
    let what = format!("roll back {which} in namespace {}", which.namespace);
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), &which.namespace);
    let end = Instant::now() + Duration::from_secs(15);
    loop {
        let Some(Earlier {
            mut deployment,
            revision,
            set,
        }) = find(cluster, which).await?
        else {
            return Ok(None);
        };
        // As kubectl: no pod would come of the template until somebody resumes it.
        if deployment.spec.as_ref().and_then(|spec| spec.paused) == Some(true) {
            let why = "it is paused, so its template would not be rolled out";
            return Err(ReadError::other(&what, why).hint(format!(
                "kubectl rollout resume {which} -n {}, then once more",
                which.namespace
            )));
        }
        let mut template = set.spec.and_then(|spec| spec.template).unwrap_or_default();
        if let Some(labels) = template
            .metadata
            .as_mut()
            .and_then(|metadata| metadata.labels.as_mut())
        {
            labels.remove(HASH);
        }
        if let Some(spec) = &mut deployment.spec {
            spec.template = template;
        }
        let params = PostParams {
            dry_run,
            ..PostParams::default()
        };
        match api.replace(&which.name, &params, &deployment).await {
            Ok(_) => return Ok(Some(revision)),
            // A status that was written in between: read again.
            Err(kube::Error::Api(status)) if status.code == 409 && Instant::now() < end => {
                sleep(LOOK).await;
            }
            Err(error) => return Err(ReadError::from_kube(&what, &error)),
        }
    }
}

/// A Deployment that is not at its desired state in time.
#[derive(Debug, thiserror::Error)]
#[error("{missing}, after {} s", LIMIT.as_secs())]
struct NotCompleted {
    missing: String,
}

/// Waits until a Deployment is at its desired state. It is asked again and again rather than
/// watched: a rollback needs no more rights than the runbook's own kubectl commands.
async fn await_desired_state(cluster: &Cluster, which: &WorkloadRef) -> Result<(), NotCompleted> {
    let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), &which.namespace);
    let end = Instant::now() + LIMIT;
    loop {
        let missing = match timeout(CALL, api.get_opt(&which.name)).await {
            Ok(Ok(Some(now))) => match Rollout::from(&now).shortfall() {
                Some(shortfall) => shortfall.to_string(),
                None => return Ok(()),
            },
            Ok(Ok(None)) => "is gone".to_owned(),
            Ok(Err(error)) => error_chain(&error),
            Err(_) => "the API server does not answer".to_owned(),
        };
        if Instant::now() >= end {
            return Err(NotCompleted { missing });
        }
        sleep(LOOK).await;
    }
}

/// Rolls one back; the check says to what.
async fn one(cluster: &Cluster, which: &WorkloadRef, dry_run: bool) -> Check {
    let object = which.to_string();
    match go_back(cluster, which, dry_run).await {
        Ok(None) => Check::skipped(ID, object, "has no earlier revision: it stays as it is"),
        Ok(Some(revision)) if dry_run => {
            Check::pass(ID, object, format!("would go back to revision {revision}"))
        }
        Ok(Some(revision)) => match await_desired_state(cluster, which).await {
            Ok(()) => Check::pass(
                ID,
                object,
                format!("is back at revision {revision}, and whole"),
            ),
            Err(why) => Check::fail(
                ID,
                &object,
                format!("went back to revision {revision}, but {why}"),
            )
            .hint(format!(
                "kubectl describe {object} -n {}; kubectl get pods -n {}",
                which.namespace, which.namespace
            )),
        },
        Err(error) => error.check(ID, object),
    }
}

/// `rollback`.
pub async fn rollback(context: &mut Context, args: &Args) -> Exit {
    let named = named(context);
    let mut checks = Vec::new();
    let words: Vec<String> = named.iter().map(ToString::to_string).collect();
    if named.is_empty() {
        checks.push(Check::fail(
            ID,
            "",
            "no Deployment is configured: [[workload]] in chaos.toml names them",
        ));
        return end(context, args, checks, Exit::Usage).await;
    }
    if !args.dry_run && !args.emergency {
        let question = format!(
            "Roll {} back to their previous revisions.",
            words.join(", ")
        );
        let given = gates::consent(args.yes, &question);
        if given.is_bad() {
            checks.push(given);
            return end(context, args, checks, Exit::Refused).await;
        }
    }
    if args.emergency && !args.dry_run {
        checks.extend(runs::stop_all(context, "emergency rollback").await);
    }
    let cluster = context.cluster.clone();
    if args.emergency || args.dry_run {
        checks.extend(join_all(named.iter().map(|which| one(&cluster, which, args.dry_run))).await);
    } else {
        for which in &named {
            let check = one(&cluster, which, false).await;
            let stop = check.is_bad();
            checks.push(check);
            if stop {
                context.issue(
                    EventKind::Abort,
                    None,
                    format!("stopped at {which}; --emergency goes on past errors"),
                );
                break;
            }
        }
    }
    for check in &checks {
        let line = format!(
            "{} {}",
            check.object.as_deref().unwrap_or(&check.id),
            check.message
        );
        if check.is_bad() {
            context.issue(EventKind::Observed, check.object.clone(), line);
        } else {
            context.action(EventKind::Undo, check.object.clone(), line);
        }
    }
    let exit = match Verdict::of(&checks) {
        Verdict::Pass => Exit::Pass,
        _ if args.dry_run => Exit::Unknown,
        _ => Exit::NotRestored,
    };
    end(context, args, checks, exit).await
}

async fn end(context: &mut Context, args: &Args, checks: Vec<Check>, exit: Exit) -> Exit {
    let verdict = Verdict::of(&checks);
    let record = Rollback {
        cause: RollbackCause::Rollback,
        cluster: context.cluster.identity().await.ok(),
        namespaces: named(context)
            .into_iter()
            .map(|which| which.namespace)
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .collect(),
        executor: executor(),
        reason: args.emergency.then(|| "emergency".to_owned()),
        dry_run: args.dry_run,
        runs: Vec::new(),
        locks: Vec::new(),
        actions: std::mem::take(&mut context.actions),
        issues: std::mem::take(&mut context.issues),
        checks,
    };
    let summary = format!(
        "rollback{}: {}",
        if args.dry_run { " (dry run)" } else { "" },
        summarize(&record.checks)
    );
    context.stream.result(verdict, summary, record, exit)
}

#[cfg(test)]
mod tests;
