//! The losses of a plan: the claims of the pods that go, as they are in the cluster, and what of
//! all that these pods hold no undo brings back. Whoever runs the experiment has to accept each by
//! its name.

use std::collections::BTreeSet;
use std::time::Duration;

use chaos_common::cluster::ReadError;
use chaos_common::record::{Check, ClaimRef, Loss, LossHolder, Permission, Status, Target};
use chaos_common::record::{Plan, WorkloadRef};
use futures::future::join_all;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::Api;
use serde_json::Value;

use crate::context::Context;
use crate::permissions::need_one;
use crate::plan::grace::Grace;
use crate::plan::storage::{self, Going};
use crate::plan::workload::Workload;

const ID: &str = "limit.loss";

/// Why a claim of this name is deleted, if it is.
type WhyDeleted<'a> = dyn Fn(&str) -> Option<String> + 'a;

/// What the pods that go hold.
#[derive(Debug, Default)]
pub struct Holdings {
    claims: Vec<ClaimRef>,
    losses: Vec<Loss>,
    scratch: Vec<String>,
    checks: Vec<Check>,
    graces: Vec<Grace>,
    /// What reading it needs.
    pub permissions: Vec<Permission>,
}

impl Holdings {
    /// Of a workload that is scaled down to so many replicas.
    pub async fn of_workload(context: &Context, target: &Workload, left: i64) -> Holdings {
        let (which, now) = (&target.which, &target.now);
        let going = storage::ordinals(now, target.replicas.max(left));
        let going = (going.start + left.max(0))..going.end;
        let deleted = if which.kind == "StatefulSet" && storage::deletes_claims(now) {
            storage::claims_of_set(now, going)
        } else {
            BTreeSet::new()
        };
        let mut holdings = Holdings::default();
        let why = format!(
            "is deleted when {which} is scaled down \
             (persistentVolumeClaimRetentionPolicy.whenScaled: Delete)"
        );
        let untold = format!(
            "may be deleted when {which} is scaled down: what its controller does with the claims of \
             pods that go, nobody but it knows"
        );
        let deleted = |name: &str| {
            let known = deleted.contains(name).then(|| why.clone());
            known.or_else(|| target.is_custom().then(|| untold.clone()))
        };
        holdings
            .read(context, which, (target.claims(), &deleted))
            .await;
        holdings.add_pods(context, which, (&target.template["spec"], Some(now)));
        holdings
    }

    /// Of pods that are deleted.
    ///
    /// # Errors
    /// A pod can't be read.
    pub async fn of_pods(context: &Context, targets: &[Target]) -> Result<Holdings, ReadError> {
        let mut holdings = Holdings::default();
        let one = |target: &Target| {
            let api: Api<Pod> = Api::namespaced(context.cluster.client.clone(), &target.namespace);
            let (name, what) = (target.name.clone(), format!("read pod {}", target.name));
            async move { context.cluster.read(what, || api.get_opt(&name)).await }
        };
        let pods = join_all(targets.iter().map(one)).await;
        for (target, pod) in targets.iter().zip(pods) {
            // One that is gone meanwhile is not deleted either: its UID is named in the call.
            let Some(spec) = pod?.and_then(|pod| pod.spec) else {
                continue;
            };
            let spec = serde_json::to_value(spec).unwrap_or_default();
            let claims = storage::claims_of_spec(&spec);
            holdings
                .read(context, &target.owner, (claims, &|_| None))
                .await;
            holdings.add_pods(context, &target.owner, (&spec, None));
        }
        Ok(holdings)
    }

    /// Together with those of other pods.
    pub fn and(mut self, other: Holdings) -> Holdings {
        self.claims.extend(other.claims);
        self.losses.extend(other.losses);
        self.scratch.extend(other.scratch);
        self.graces.extend(other.graces);
        self.checks.extend(other.checks);
        self.permissions.extend(other.permissions);
        self
    }

    fn add_pods(
        &mut self,
        context: &Context,
        workload: &WorkloadRef,
        (spec, set): (&Value, Option<&Value>),
    ) {
        let grace = Grace::of(&workload.to_string(), spec);
        if !self.graces.contains(&grace) {
            self.graces.push(grace);
        }
        let claims = storage::has_claims(spec, set);
        let gone = storage::of_pods(Going {
            workload,
            spec,
            claims,
            holds_data: storage::holds_data(&context.config, workload),
        });
        for loss in gone.losses {
            self.add_loss(loss);
        }
        let new = gone.scratch.into_iter();
        let new: Vec<String> = new.filter(|text| !self.scratch.contains(text)).collect();
        self.scratch.extend(new);
    }

    /// Each once, however many pods it goes with.
    fn add_loss(&mut self, loss: Loss) {
        if self.losses.iter().all(|one| one.name != loss.name) {
            self.losses.push(loss);
        }
    }

    /// Reads claims, of which `deleted` says why one goes.
    async fn read(
        &mut self,
        context: &Context,
        workload: &WorkloadRef,
        (names, deleted): (BTreeSet<String>, &WhyDeleted<'_>),
    ) {
        let namespace = &workload.namespace;
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(context.cluster.client.clone(), namespace);
        for name in names {
            if self
                .claims
                .iter()
                .any(|one| one.name == name && one.namespace == *namespace)
            {
                continue;
            }
            let permission = need_one(namespace, "get", "", "persistentvolumeclaims", &name);
            self.permissions.push(permission);
            let what = format!("read persistentvolumeclaim {name} in namespace {namespace}");
            let claim = match context.cluster.read(what, || api.get(&name)).await {
                Ok(claim) => claim,
                Err(error) => {
                    self.checks.push(error.check(ID, format!("claim/{name}")));
                    continue;
                }
            };
            let reference = ClaimRef {
                namespace: namespace.clone(),
                uid: claim.metadata.uid.clone().unwrap_or_default(),
                volume: claim
                    .spec
                    .as_ref()
                    .and_then(|spec| spec.volume_name.clone()),
                name,
            };
            if let Some(why) = deleted(&reference.name).or_else(|| goes_with_pods(&claim)) {
                self.add_loss(loss_of_claim(&reference, workload, &why));
            }
            if let Some(volume) = &reference.volume {
                self.checks
                    .extend(tied_to_no_node(context, &reference, volume).await);
            }
            self.claims.push(reference);
        }
    }

    /// `limit.grace`: the pods that may take longer to end than they are waited for.
    pub fn too_slow(&self, limit: Duration) -> Vec<Check> {
        self.graces
            .iter()
            .filter_map(|grace| grace.check(limit))
            .collect()
    }

    /// Puts them into a plan, with the limits that follow. `accepted` are the losses that were
    /// accepted by name.
    pub fn enter(self, plan: &mut Plan, accepted: &[String]) {
        plan.claims = self.claims;
        plan.losses = self.losses;
        for loss in &mut plan.losses {
            loss.accepted = accepted.contains(&loss.name);
        }
        plan.checks.extend(self.checks);
        plan.checks.extend(plan.losses.iter().map(limit));
        let unknown = accepted
            .iter()
            .filter(|name| plan.losses.iter().all(|loss| loss.name != **name));
        plan.checks.extend(unknown.map(|name| {
            let message = "is accepted to be lost, and would not be";
            Check::new(ID, name.as_str(), Status::Warn, message)
        }));
        if !self.scratch.is_empty() {
            let message = format!("begin empty again: {}", self.scratch.join("; "));
            plan.checks.push(Check::pass(ID, "", message));
        }
    }
}

/// `limit.loss` of one loss. A claim that is deleted for good refuses the plan until it is accepted
/// by name; of the rest the plan tells, and a run wants consent.
fn limit(loss: &Loss) -> Check {
    let (name, message) = (loss.name.as_str(), &loss.message);
    if loss.accepted {
        return Check::new(
            ID,
            name,
            Status::Warn,
            format!("{message}; which is accepted"),
        );
    }
    let hint = format!("--accept-loss {name} accepts this very loss, and nothing else does");
    let status = match loss.holder {
        LossHolder::Claim => Status::Fail,
        LossHolder::Volume | LossHolder::Container => Status::Warn,
    };
    Check::new(ID, name, status, message.clone()).hint(hint)
}

/// `limit.loss`: a warning where a claim's volume is a folder of whatever node its pod runs on. The
/// claim's identity does not show that. Where volumes may not be read, nothing is said.
async fn tied_to_no_node(context: &Context, claim: &ClaimRef, volume: &str) -> Option<Check> {
    let api: Api<PersistentVolume> = Api::all(context.cluster.client.clone());
    let what = format!("read persistentvolume {volume}");
    let found = context.cluster.read(what, || api.get(volume)).await.ok()?;
    let spec = found.spec?;
    let path = spec
        .host_path
        .filter(|_| spec.node_affinity.is_none())?
        .path;
    let message = format!(
        "its volume {volume} is the folder {path} of a node, and is tied to none: a pod that comes \
         back on another node finds another folder there"
    );
    Some(Check::new(ID, claim.to_string(), Status::Warn, message))
}

/// Why a claim does not outlive the pods that mount it.
fn goes_with_pods(claim: &PersistentVolumeClaim) -> Option<String> {
    if claim.metadata.deletion_timestamp.is_some() {
        return Some("was deleted already, and is kept only by the pods that use it".to_owned());
    }
    let owners = claim.metadata.owner_references.iter().flatten();
    let mut pods = owners.filter(|owner| owner.kind == "Pod");
    pods.next()
        .map(|pod| format!("belongs to pod {}, and is deleted with it", pod.name))
}

fn loss_of_claim(claim: &ClaimRef, workload: &WorkloadRef, why: &str) -> Loss {
    let volume = claim
        .volume
        .as_ref()
        .map(|name| format!(" with its volume {name}"))
        .unwrap_or_default();
    Loss {
        name: claim.to_string(),
        holder: LossHolder::Claim,
        workload: workload.clone(),
        message: format!("{claim}{volume} {why}: what it holds is lost for good"),
        accepted: false,
    }
}
