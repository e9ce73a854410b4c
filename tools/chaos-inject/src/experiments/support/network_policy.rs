//! A NetworkPolicy as a fault. Policies of the same pods only add up: what one of them allows no
//! other takes away. So whether ours does what it is for depends on those that are there already.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chaos_common::cluster::{ReadError, is_ready, workload_of};
use chaos_common::record::{BlastRadius, Change, Check, Status, WorkloadRef};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::abort::Abort;
use crate::context::Context;
use crate::experiments::support::allowance::Traffic;
use crate::experiments::support::connectivity::ConnectivityProof;
use crate::experiments::support::steady_state::SteadyState;
use crate::labels::EXPERIMENT_LABEL;
use crate::observe::{Observations, pod_watch};
use crate::permissions::need;
use crate::plan::Draft;
use crate::plan::blast_radius;
use crate::plan::workload::{self, Workload};
use crate::run::experiment::{Effect, Injection, Recovery, RunningExperiment};

/// Id of the check that looks at the policies that are there.
const LIMIT: &str = "limit.policies";

/// What an experiment does by a policy.
pub struct Policy {
    /// The experiment's name.
    pub experiment: &'static str,
    /// Its rules: a NetworkPolicy's spec without the selector of its pods.
    pub rules: fn() -> Value,
    /// How another policy of the same pods stands to it; the traffic is that which proves it, where
    /// it is known.
    pub in_the_way: fn(&NetworkPolicySpec, Option<&Traffic>) -> Other,
    /// What such a policy does.
    pub why: &'static str,
    /// What the operator can do then.
    pub hint: &'static str,
    /// What is so when there is none.
    pub clear: &'static str,
}

/// How another policy of the same pods stands to one that is a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Other {
    /// It changes nothing.
    Nothing,
    /// It goes on allowing what does not belong to the proof; says what that means.
    Beside(&'static str),
    /// The fault can't do what it is for.
    InTheWay,
}

impl Policy {
    /// The plan of an experiment that puts it over a workload's pods, without what the experiment
    /// adds. `traffic` is what proves it.
    pub async fn draft(
        &self,
        context: &Context,
        target: &Workload,
        traffic: Option<&Traffic>,
    ) -> Draft {
        let namespace = &context.namespace;
        let mut checks = target.checks.clone();
        let api: Api<NetworkPolicy> = Api::namespaced(context.cluster.client.clone(), namespace);
        let what = format!("list networkpolicies in namespace {namespace}");
        match context
            .cluster
            .list(&api, &ListParams::default(), what)
            .await
        {
            Ok(others) => checks.extend(self.judge(
                &others,
                &target.now["spec"]["template"]["metadata"]["labels"],
                traffic,
            )),
            Err(error) => checks.push(error.check(LIMIT, "")),
        }
        let (radius, bystanders) = radius(context, target).await;
        checks.extend(bystanders);
        checks.extend(workload::whole(context, &radius.iter().collect::<Vec<_>>()).await);
        let mut permissions = workload::permissions(namespace, &target.which.to_string());
        permissions.push(need(
            namespace,
            "list",
            "networking.k8s.io",
            "networkpolicies",
        ));
        let name = format!("chaos-{}-{}", self.experiment, target.which.name);
        let object = context.own_object(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "networkpolicies",
            name,
        );
        let manifest = self.manifest(&object.name, namespace, &target.now["spec"]["selector"]);
        Draft {
            experiment: self.experiment,
            targets: vec![target.target()],
            changes: vec![Change::Create { object, manifest }],
            blast_radius: radius,
            undo: "the policy is deleted".to_owned(),
            permissions,
            checks,
            ..Draft::default()
        }
    }

    /// `limit.policies`: one check for each that is in its way, or beside it.
    fn judge(
        &self,
        others: &[NetworkPolicy],
        labels: &Value,
        traffic: Option<&Traffic>,
    ) -> Vec<Check> {
        let check = |policy: &NetworkPolicy| {
            let spec = policy.spec.as_ref()?;
            let selector = spec.pod_selector.as_ref();
            let ours =
                selector.is_none_or(|selector| blast_radius::selects_labels(selector, labels));
            let name = policy.metadata.name.as_deref().unwrap_or_default();
            let object = format!("networkpolicy/{name}");
            match (self.in_the_way)(spec, traffic) {
                _ if !ours => None,
                Other::Nothing => None,
                Other::Beside(why) => Some(Check::new(LIMIT, object, Status::Warn, why)),
                Other::InTheWay => Some(Check::fail(LIMIT, object, self.why).hint(self.hint)),
            }
        };
        let checks: Vec<Check> = others.iter().filter_map(check).collect();
        if checks.is_empty() {
            vec![Check::pass(LIMIT, "", self.clear)]
        } else {
            checks
        }
    }

    /// The object, for pods of this selector.
    pub fn manifest(&self, name: &str, namespace: &str, selector: &Value) -> Value {
        let mut spec = (self.rules)();
        spec["podSelector"] = selector.clone();
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": name, "namespace": namespace, "labels": { EXPERIMENT_LABEL: self.experiment } },
            "spec": spec,
        })
    }
}

/// What a policy hits, which selects by a workload's labels: the workload, and a warning for each
/// other that bears them.
async fn radius(context: &Context, target: &Workload) -> (Vec<BlastRadius>, Vec<Check>) {
    const ID: &str = "limit.others";
    let mut radius = vec![target.radius(target.ready)];
    let others = match bystanders(context, target).await {
        Ok(others) => others,
        Err(error) => return (radius, vec![error.check(ID, "")]),
    };
    let warning = |other: &BlastRadius| {
        let message = format!(
            "bears the labels that {} selects its pods by, so the fault hits it too",
            target.which
        );
        Check::new(ID, other.workload.to_string(), Status::Warn, message)
    };
    let checks = others.iter().map(warning).collect();
    radius.extend(others);
    (radius, checks)
}

/// Pods that bear a workload's labels without being its own, by the workloads that they belong to: a
/// policy that selects by these labels hits them as well.
async fn bystanders(context: &Context, target: &Workload) -> Result<Vec<BlastRadius>, ReadError> {
    let namespace = &target.which.namespace;
    let what = format!("list the pods with the labels of {}", target.which);
    let params = ListParams::default().labels(&target.selector);
    let mut ready: BTreeMap<WorkloadRef, usize> = BTreeMap::new();
    pod_watch::each(&context.cluster, namespace, &params, &what, |pod| {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        let owner = workload_of(&pod).unwrap_or_else(|| WorkloadRef {
            kind: "Pod".to_owned(),
            namespace: namespace.clone(),
            name: pod.metadata.name.clone().unwrap_or_default(),
        });
        if owner != target.which && !matches!(phase, Some("Failed" | "Succeeded")) {
            *ready.entry(owner).or_default() += usize::from(is_ready(&pod));
        }
    })
    .await?;
    let radius = |(workload, ready)| BlastRadius {
        workload,
        ready,
        hit: ready,
        left: 0,
        services: target.services.clone(),
    };
    Ok(ready.into_iter().map(radius).collect())
}

/// An experiment whose policy is about to be created: what proves that it works, and what has to be
/// at its steady state afterwards.
#[derive(Debug)]
pub struct RunningPolicy {
    /// The experiment's name.
    pub name: &'static str,
    /// The routes that are asked.
    pub proof: ConnectivityProof,
    /// The workload and the Services.
    pub steady: SteadyState,
    /// Longest time from the rollback to the steady state.
    pub recovery_limit: Duration,
    /// Whether connections that are open before have to be cut, too.
    pub cuts_established: bool,
}

#[async_trait(?Send)]
impl RunningExperiment for RunningPolicy {
    async fn prove_effect(&mut self, _context: &mut Context, injection: &Injection) -> Effect {
        self.proof.await_cut(injection.began).await
    }

    async fn before_rollback(&mut self, _context: &mut Context, injection: &Injection) {
        self.proof.check_still_cut(injection.began);
    }

    async fn await_steady_state(
        &mut self,
        context: &mut Context,
        _injection: &Injection,
        _abort: &mut Abort,
    ) -> Recovery {
        let undone = Instant::now();
        let steady = self.steady.wait(context, self.recovery_limit).await;
        let open = self
            .proof
            .await_open(context, undone, self.recovery_limit)
            .await;
        match (steady, open) {
            (Recovery::SteadyState, open) => open,
            (Recovery::Unseen(why), Recovery::Unseen(also)) => {
                Recovery::Unseen(format!("{why}; {also}"))
            }
            (Recovery::Unseen(_), missing @ Recovery::NotRecovered { .. }) => missing,
            (lacking, _) => lacking,
        }
    }

    async fn confirm_steady_state(
        &mut self,
        context: &mut Context,
        _abort: &mut Abort,
    ) -> Recovery {
        self.steady.wait(context, self.recovery_limit).await
    }

    fn judge(&self, _context: &Context, injection: &Injection, _seen: &Observations) -> Vec<Check> {
        let mut checks = self.proof.judge(self.name, injection.began);
        if self.cuts_established {
            checks.push(self.proof.established(self.name));
        }
        checks
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use chaos_common::record::Status;

    /// What is said of pods labelled `app: shop` beside another policy, given as YAML.
    pub fn judged(policy: &Policy, other: &str) -> Status {
        let other: NetworkPolicy = serde_saphyr::from_str(other).expect("a policy");
        policy.judge(&[other], &json!({ "app": "shop" }), None)[0].status
    }
}
