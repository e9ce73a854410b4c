//! A NetworkPolicy as a fault. Policies of the same pods only add up: what one of them allows no
//! other takes away. So whether ours does what it is for depends on those that are there already.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use chaos_common::cluster::{ReadError, is_ready};
use chaos_common::record::{BlastRadius, Change, Check, Status, WorkloadRef};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::abort::Abort;
use crate::context::Context;
use crate::experiments::support::allowance::Traffic;
use crate::experiments::support::connectivity::ConnectivityProof;
use crate::experiments::support::set_aside;
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
const UNLABELLED: &str =
    "its scale does not tell the labels of its pods, and a policy selects by them";

/// What an experiment does by a policy.
pub struct Policy {
    /// The experiment's name.
    pub experiment: &'static str,
    /// Its rules: a NetworkPolicy's spec without the selector of its pods. It is told which policies
    /// are set aside.
    pub rules: fn(&[&NetworkPolicySpec]) -> Value,
    /// How another policy of the same pods stands to it; the traffic is that which proves it, where
    /// it is known.
    pub in_the_way: fn(&NetworkPolicySpec, Option<&Traffic>) -> Other,
    /// What such a policy does.
    pub why: &'static str,
    /// What the operator can do then, besides setting it aside.
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
    /// It does already what the fault is for, unless another one is in the way; says what that
    /// means.
    Forestalls(&'static str),
}

/// What a policy is put over, and what is there already.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The workload.
    pub target: &'a Workload,
    /// The traffic that proves the fault, where it is known.
    pub traffic: Option<&'a Traffic>,
    /// The policies of the namespace.
    pub others: &'a Result<Vec<NetworkPolicy>, ReadError>,
}

/// The policies of the application's namespace.
///
/// # Errors
/// They can't be listed.
pub async fn list(context: &Context) -> Result<Vec<NetworkPolicy>, ReadError> {
    let namespace = &context.namespace;
    let api: Api<NetworkPolicy> = Api::namespaced(context.cluster.client.clone(), namespace);
    let what = format!("list networkpolicies in namespace {namespace}");
    let params = ListParams::default();
    context.cluster.list(&api, &params, what).await
}

impl Policy {
    /// The plan of an experiment that puts it over a workload's pods, without what the experiment
    /// adds.
    pub async fn draft(&self, context: &Context, around: Surroundings<'_>) -> Draft {
        let (namespace, target) = (&context.namespace, around.target);
        let mut checks = target.checks.clone();
        let (mut changes, mut aside) = (Vec::new(), Vec::new());
        match around.others {
            Ok(others) => {
                let labels = &target.template["metadata"]["labels"];
                let standing = self.standing(others, labels, around.traffic);
                let (found, consented) = self.judge(&standing, &context.choice.set_aside);
                checks.extend(found);
                let (left_out, told) = leave_out(context, target, &consented).await;
                (changes, aside) = (left_out, consented);
                checks.extend(told);
            }
            Err(error) => checks.push(error.check(LIMIT, "")),
        }
        let (radius, bystanders) = radius(context, target).await;
        checks.extend(bystanders);
        checks.extend(workload::whole(context, &radius.iter().collect::<Vec<_>>()).await);
        let mut permissions = target.permissions.clone();
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
        let specs: Vec<&NetworkPolicySpec> =
            aside.iter().filter_map(|one| one.spec.as_ref()).collect();
        match &target.pod_selector {
            Some(selector) => {
                let manifest = self.manifest((&object.name, namespace), selector, &specs);
                // First: between the two the pods are not more open than before.
                changes.insert(0, Change::Create { object, manifest });
            }
            None => checks.push(Check::fail(LIMIT, target.which.to_string(), UNLABELLED)),
        }
        let undo = match aside.len() {
            0 => "the policy is deleted".to_owned(),
            n => format!("the policy is deleted, and {n} that are set aside hold again"),
        };
        Draft {
            experiment: self.experiment,
            targets: vec![target.target()],
            changes,
            blast_radius: radius,
            undo,
            permissions,
            checks,
            ..Draft::default()
        }
    }

    /// The policies of these pods that matter to the fault, and how.
    fn standing<'o>(
        &self,
        others: &'o [NetworkPolicy],
        labels: &Value,
        traffic: Option<&Traffic>,
    ) -> Vec<(&'o NetworkPolicy, Other)> {
        let of = |policy: &'o NetworkPolicy| {
            let spec = policy.spec.as_ref()?;
            let selector = spec.pod_selector.as_ref();
            let ours =
                selector.is_none_or(|selector| blast_radius::selects_labels(selector, labels));
            let other = (self.in_the_way)(spec, traffic);
            (ours && other != Other::Nothing).then_some((policy, other))
        };
        let mut standing: Vec<(&NetworkPolicy, Other)> = others.iter().filter_map(of).collect();
        if standing.iter().any(|(_, other)| *other == Other::InTheWay) {
            standing.retain(|(_, other)| !matches!(other, Other::Forestalls(_)));
        }
        standing
    }

    /// `limit.policies`: one check for each that is in its way and not set aside, or beside it; and
    /// those that are to be set aside.
    fn judge<'o>(
        &self,
        standing: &[(&'o NetworkPolicy, Other)],
        set_aside: &[String],
    ) -> (Vec<Check>, Vec<&'o NetworkPolicy>) {
        let (mut checks, mut aside, mut named) = (Vec::new(), Vec::new(), Vec::new());
        for (policy, other) in standing {
            let object = object_of(policy);
            match other {
                Other::Nothing => {}
                Other::Beside(why) => {
                    checks.push(Check::new(LIMIT, object, Status::Warn, *why));
                }
                Other::Forestalls(why) => {
                    checks.push(Check::fail(LIMIT, object, *why).hint(self.hint));
                }
                Other::InTheWay if set_aside.contains(&object) => {
                    named.push(object);
                    aside.push(*policy);
                }
                Other::InTheWay => {
                    let hint = format!(
                        "--set-aside {object} sets it aside for these pods while the fault is on, \
                         and puts it back; or {}",
                        self.hint
                    );
                    checks.push(Check::fail(LIMIT, object, self.why).hint(hint));
                }
            }
        }
        let needless = set_aside.iter().filter(|name| !named.contains(name));
        checks.extend(needless.map(|name| {
            let message = "is no policy in the way of this fault, and is not set aside";
            Check::new(LIMIT, name.as_str(), Status::Warn, message)
        }));
        if standing.is_empty() {
            checks.insert(0, Check::pass(LIMIT, "", self.clear));
        }
        (checks, aside)
    }

    /// The object, for pods of this selector.
    pub fn manifest(
        &self,
        (name, namespace): (&str, &str),
        selector: &Value,
        set_aside: &[&NetworkPolicySpec],
    ) -> Value {
        let mut spec = (self.rules)(set_aside);
        spec["podSelector"] = selector.clone();
        json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": { "name": name, "namespace": namespace, "labels": { EXPERIMENT_LABEL: self.experiment } },
            "spec": spec,
        })
    }
}

fn object_of(policy: &NetworkPolicy) -> String {
    let name = policy.metadata.name.as_deref().unwrap_or_default();
    format!("networkpolicy/{name}")
}

/// The changes that set policies aside for the pods of a workload, and a check for each.
async fn leave_out(
    context: &Context,
    target: &Workload,
    policies: &[&NetworkPolicy],
) -> (Vec<Change>, Vec<Check>) {
    if policies.is_empty() {
        return (Vec::new(), Vec::new());
    }
    let label = match set_aside::own_label(context, target).await {
        Ok(Some(label)) => label,
        Ok(None) => {
            let refuse = |policy: &&NetworkPolicy| {
                let message = format!(
                    "can't be set aside for the pods of {} alone: none of the labels in its \
                     template is borne by no other pod",
                    target.which
                );
                Check::fail(LIMIT, object_of(policy), message)
            };
            return (Vec::new(), policies.iter().map(refuse).collect());
        }
        Err(error) => return (Vec::new(), vec![error.check(LIMIT, "")]),
    };
    let changes = policies.iter().map(|one| set_aside::change(one, &label));
    let check = |policy: &&NetworkPolicy| {
        let message = format!(
            "is set aside for the pods with {}={} while the fault is on, and put back \
             (--set-aside); it holds for all others",
            label.0, label.1
        );
        Check::new(LIMIT, object_of(policy), Status::Warn, message)
    };
    (changes.collect(), policies.iter().map(check).collect())
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
        let owner = target
            .family
            .workload_of(&pod)
            .unwrap_or_else(|| WorkloadRef {
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
        let others = [other];
        let standing = policy.standing(&others, &json!({ "app": "shop" }), None);
        policy.judge(&standing, &[]).0[0].status
    }
}
