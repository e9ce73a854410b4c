//! Makes the plan of an experiment out of what its fault says: calls, undo, permissions, locks and
//! limits follow from the changes.

pub mod blast_radius;
pub mod digest;
pub mod grace;
pub mod limits;
pub mod losses;
pub mod rollback_script;
pub mod storage;
pub mod target;
pub mod workload;

use std::time::Duration;

use chaos_common::cluster::ReadError;
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
    pub alerts: Vec<String>,
    /// What the pods hold that it takes away.
    pub holdings: Holdings,
    /// What its observation needs besides.
    pub permissions: Vec<Permission>,
    /// Its own limits.
    pub checks: Vec<Check>,
}

impl Draft {
    /// The whole plan.
    ///
    /// # Errors
    /// The API server can't be asked about permissions, or about itself.
    pub async fn finish(self, context: &Context) -> Result<Plan, ReadError> {
        let settings = &context.config.experiment;
        let calls = self.changes.iter().map(call).collect();
        let mut worst = self.hold + self.recovery_limit + self.slack + settings.settle.0;
        if !self.alerts.is_empty() {
            worst += settings.alert_wait.0;
        }
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
            undo_commands: rollback_script::undo(&self.changes, &self.blast_radius),
            changes: self.changes,
            calls,
            hold_ms: milliseconds(self.hold),
            affected: self.affected,
            alerts: self.alerts,
            blast_radius: self.blast_radius,
            claims: Vec::new(),
            losses: Vec::new(),
            undo: self.undo,
            worst_case_ms: milliseconds(worst),
            limits: Some(limits),
            permissions: Vec::new(),
            checks: self.checks,
        };
        let leases = Intent::of(&plan, "", "", Duration::ZERO).leases;
        let needed = [
            permissions::of_changes(&plan.changes),
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
        let mut namespaces: Vec<String> =
            leases.into_iter().map(|(namespace, _)| namespace).collect();
        namespaces.dedup();
        for namespace in &namespaces {
            plan.checks
                .push(limits::namespace(&context.config, namespace));
        }
        let held = held(context, &plan, &namespaces).await;
        plan.checks.extend(held);
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
