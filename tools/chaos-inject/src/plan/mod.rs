//! Makes the plan of an experiment out of what its fault says: calls, undo, permissions, locks and
//! limits follow from the changes.

pub mod admission;
pub mod blast_radius;
pub mod digest;
pub mod grace;
pub mod limits;
pub mod losses;
pub mod on_watch;
pub mod rollback_script;
pub mod selector;
pub mod storage;
pub mod target;
pub mod workload;

use std::time::Duration;

use chaos_common::cluster::{ReadError, rights};
use chaos_common::config::{AlertSelector, ExperimentSettings};
use chaos_common::record::{
    ApiCall, BlastRadius, Change, Check, Permission, Plan, PlanLimits, Target,
};

use crate::context::Context;
use crate::labels::RUN_LABEL;
use crate::permissions;
use crate::plan::losses::Holdings;
use crate::safety::active_runs::ActiveRuns;
use crate::safety::intent::Intent;
use crate::safety::leases::HELD_HINT;

/// What a fault says of itself.
#[derive(Debug, Default)]
pub struct Draft {
    /// Its name.
    pub experiment: &'static str,
    /// The objects it hits.
    pub targets: Vec<Target>,
    /// What is made before it, to prove it by.
    pub probe_pods: Vec<Change>,
    /// What it changes.
    pub changes: Vec<Change>,
    /// What is left of the workloads.
    pub blast_radius: Vec<BlastRadius>,
    /// How long it stays.
    pub hold: Duration,
    /// How long the system may take to be at its steady state again after the rollback.
    pub recovery_limit: Duration,
    /// How long its pods may take to be gone, where it takes them away as a whole.
    pub stop_limit: Option<Duration>,
    /// How long it may take beyond that until this is known.
    pub slack: Duration,
    /// How it goes away.
    pub undo: String,
    /// Services that are expected to suffer.
    pub affected: Vec<String>,
    /// Alerts that are expected.
    pub alerts: Vec<AlertSelector>,
    /// What the pods hold that it takes away.
    pub holdings: Holdings,
    /// What its observation needs besides.
    pub permissions: Vec<Permission>,
    /// Its own limits.
    pub checks: Vec<Check>,
}

/// What it takes to ask, where a fault is proven by traffic.
#[derive(Debug, Default)]
pub struct Origin {
    /// The probe pod, where one is needed.
    pub probe_pods: Vec<Change>,
    /// What asking needs.
    pub permissions: Vec<Permission>,
    /// What is known against it.
    pub checks: Vec<Check>,
}

impl Draft {
    /// The longest that it may take until all is at its steady state again.
    pub fn worst_case(&self, settings: &ExperimentSettings) -> Duration {
        let worst = self.hold + self.recovery_limit + self.slack + settings.settle.0;
        if self.alerts.is_empty() {
            worst
        } else {
            worst + settings.alert_wait.0
        }
    }

    /// Adds what the proof takes; why there is none, if so.
    pub fn add_origin(&mut self, origin: anyhow::Result<Origin>) {
        match origin {
            Ok(origin) => {
                self.probe_pods.extend(origin.probe_pods);
                self.permissions.extend(origin.permissions);
                self.checks.extend(origin.checks);
            }
            Err(why) => {
                let check = Check::fail("limit.observable", "", format!("{why:#}"));
                self.checks.push(check);
            }
        }
    }

    /// The whole plan.
    ///
    /// # Errors
    /// The API server can't be asked about permissions, or about itself.
    pub async fn finish(self, context: &Context) -> Result<Plan, ReadError> {
        let settings = &context.config.experiment;
        let worst = self.worst_case(settings);
        let writes = [self.probe_pods.clone(), self.changes.clone()].concat();
        let limits = PlanLimits {
            recovery_ms: milliseconds(self.recovery_limit),
            min_availability_percent: settings.min_availability_percent,
            alert_wait_ms: (!self.alerts.is_empty()).then(|| milliseconds(settings.alert_wait.0)),
        };
        let mut plan = Plan {
            experiment: self.experiment.to_owned(),
            choice: serde_json::to_value(&context.choice).expect("flags are plain values"),
            digest: None,
            cluster: context.cluster.identity().await?,
            namespace: context.namespace.clone(),
            targets: self.targets,
            undo_commands: rollback_script::undo(&writes, &self.blast_radius),
            probe_pods: self.probe_pods,
            changes: self.changes,
            calls: writes.iter().map(call).collect(),
            hold_ms: milliseconds(self.hold),
            affected: self.affected,
            alerts: self.alerts.iter().map(ToString::to_string).collect(),
            blast_radius: self.blast_radius,
            claims: Vec::new(),
            losses: Vec::new(),
            undo: self.undo,
            worst_case_ms: milliseconds(worst),
            limits: Some(limits),
            overridden: Vec::new(),
            permissions: Vec::new(),
            checks: self.checks,
        };
        let leases = Intent::of(&plan, "", "", Duration::ZERO).leases;
        let customs = rights::of_customs(&context.cluster, &context.config, &context.namespace);
        let needed = [
            // Where one is not there, whoever asks in it says so.
            customs.await.unwrap_or_default(),
            permissions::of_changes(&writes),
            permissions::of_engine(&leases),
            crate::observe::permissions(context),
            self.permissions,
            self.holdings.permissions.clone(),
        ];
        let wait = self
            .recovery_limit
            .min(self.stop_limit.unwrap_or(Duration::MAX));
        plan.checks.extend(self.holdings.too_slow(wait));
        self.holdings.enter(&mut plan, &context.choice.accepted);
        plan.permissions =
            permissions::ask(&context.cluster, permissions::tidy(needed.concat())).await?;
        plan.checks.push(limits::permissions(&plan.permissions));
        let admitted = admission::check(&context.cluster, &writes, &plan.permissions).await;
        plan.checks.extend(admitted);
        let mut namespaces: Vec<String> =
            leases.into_iter().map(|(namespace, _)| namespace).collect();
        namespaces.dedup();
        for namespace in &namespaces {
            plan.checks
                .push(limits::namespace(&context.config, namespace));
        }
        let held = held(context, &plan, &namespaces).await;
        plan.checks.extend(held);
        let watch = context.config.limits.watch;
        let watched = on_watch::check(&context.cluster, &namespaces, watch).await;
        plan.checks.push(watched);
        plan.digest = Some(digest::of(&plan));
        Ok(plan)
    }
}

/// `limit.lock`: runs that hold the targets of a plan, and locks of these namespaces.
async fn held(context: &Context, plan: &Plan, namespaces: &[String]) -> Vec<Check> {
    const ID: &str = "limit.lock";
    let found = match ActiveRuns::list(&context.cluster, namespaces).await {
        Ok(found) => found,
        Err(error) => return vec![error.check(ID, "")],
    };
    let holders = found.holders(plan).into_iter();
    let holders =
        holders.map(|(lease, who)| Check::fail(ID, format!("lease/{lease}"), who).hint(HELD_HINT));
    let locks = found.locks().into_iter().map(|lock| {
        let who = format!("{} locked it: {}", lock.executor, lock.reason);
        Check::fail(ID, format!("namespace/{}", lock.namespace), who)
            .hint("chaos-inject unlock allows runs again")
    });
    holders.chain(locks).collect()
}

/// A configured time in whole milliseconds; one that no number holds is as good as for ever.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The write that makes a change.
fn call(change: &Change) -> ApiCall {
    let object = change.object();
    let root = if object.api_version.contains('/') {
        "apis"
    } else {
        "api"
    };
    let namespace = object
        .namespace
        .as_ref()
        .map(|namespace| format!("/namespaces/{namespace}"))
        .unwrap_or_default();
    let all = format!(
        "/{root}/{}{namespace}/{}",
        object.api_version, object.resource
    );
    let one = format!("{all}/{}", object.name);
    let uid = object.uid.as_ref().map(|uid| format!("uid {uid}"));
    let (method, path, precondition) = match change {
        Change::Patch {
            field, original, ..
        } => {
            let still = format!("{} is still {original}", crate::change::fields::path(field));
            ("PATCH", one, uid.map(|uid| format!("{uid}, {still}")))
        }
        Change::Create { .. } => (
            "POST",
            all,
            Some(format!("labelled {RUN_LABEL}, owned by the run's Lease")),
        ),
        Change::Delete { .. } => ("DELETE", one, uid),
    };
    ApiCall {
        method: method.to_owned(),
        path,
        precondition,
    }
}

#[cfg(test)]
mod tests;
