//! `chaos.plan`: what an experiment would do, before it does it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Check, ClusterRef, Data, Kind, Overridden, WorkloadRef, is_custom_group};

/// What an experiment would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Plan {
    /// The experiment's name, for example `pod-failure`.
    pub experiment: String,
    /// What the operator chose on the command line, as `chaos-inject run` reads it again when it
    /// carries out this plan; null in plans of versions that did not tell it.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub choice: Value,
    /// SHA-256, in hexadecimal, of all that would be done: of two plans with the same digest, both
    /// do the same to the same objects. Absent in plans of versions that made none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The cluster it would happen in.
    pub cluster: ClusterRef,
    /// The namespace it would happen in.
    pub namespace: String,
    /// The exact objects.
    pub targets: Vec<Target>,
    /// What is made before the fault to prove it by, and taken away after it: a probe pod.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probe_pods: Vec<Change>,
    /// What the fault changes, in order, with what is needed to take it back.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// The writes, in order.
    pub calls: Vec<ApiCall>,
    /// How long the fault stays, in milliseconds; 0 where it is over as soon as it is made.
    #[serde(default)]
    pub hold_ms: u64,
    /// What is expected to suffer: measured, but neither guarded nor judged. Services, single paths
    /// of them (`SERVICE/PATH`), and URLs.
    #[serde(default)]
    pub affected: Vec<String>,
    /// Alerts that are expected to fire.
    #[serde(default)]
    pub alerts: Vec<String>,
    /// What would be left while the fault is on.
    pub blast_radius: Vec<BlastRadius>,
    /// Claims of the pods that the fault takes away, by identity: the same claims with the same
    /// volumes have to be there afterwards.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimRef>,
    /// Data that goes with these pods, and no undo brings back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<Loss>,
    /// How the fault goes away, in words.
    pub undo: String,
    /// The same as commands that an operator can type.
    pub undo_commands: Vec<String>,
    /// The longest that it may take until all is at its steady state again, in milliseconds.
    pub worst_case_ms: u64,
    /// The limits that the experiment is judged by, as they were configured when it was planned;
    /// absent in plans of versions that did not tell them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<PlanLimits>,
    /// The gates that are closed, and that the operator opens for a reason.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overridden: Vec<Overridden>,
    /// Permissions that fault and undo need, and whether they are held.
    pub permissions: Vec<Permission>,
    /// Limits, locks, permissions: each must pass before a run writes anything.
    pub checks: Vec<Check>,
}

/// What an experiment is judged by, besides what its checks say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PlanLimits {
    /// Longest time from the rollback until everything that was hit is at its steady state again,
    /// in milliseconds. Where pods are deleted, of each pod from its deletion on.
    pub recovery_ms: u64,
    /// Share of the availability probes of a Service that must be answered well, in per cent.
    pub min_availability_percent: f64,
    /// Longest time from the injection until the expected alerts fire, in milliseconds; absent if
    /// none is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alert_wait_ms: Option<u64>,
}

impl Data for Plan {
    const KIND: Kind = Kind::Plan;
    fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// An object that the fault hits, by identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Target {
    /// Kind, for example `Pod`.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID: the fault hits this object and no later one of the same name.
    pub uid: String,
    /// The workload that it belongs to.
    pub owner: WorkloadRef,
    /// Node that it runs on, for a pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// An object of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ObjectRef {
    /// API group and version, for example `apps/v1`.
    pub api_version: String,
    /// Kind, for example `Deployment`.
    pub kind: String,
    /// The kind's name in paths, for example `deployments`.
    pub resource: String,
    /// Namespace; absent for what is in none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
    /// UID, of an object that is there already: this one, and no later one of the same name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
}

impl ObjectRef {
    /// The API group of a custom resource; `None` of what comes with Kubernetes.
    pub fn custom_group(&self) -> Option<&str> {
        let (group, _) = self.api_version.split_once('/')?;
        is_custom_group(group).then_some(group)
    }
}

/// As kubectl takes it: `deployment/shop`, `rollout.argoproj.io/shop`.
impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.kind.to_lowercase())?;
        if let Some(group) = self.custom_group() {
            write!(f, ".{group}")?;
        }
        write!(f, "/{}", self.name)
    }
}

/// A persistent volume claim by identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimRef {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID: a later claim of the same name is another one, and empty.
    pub uid: String,
    /// The persistent volume that it is bound to; absent if it is bound to none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub volume: Option<String>,
}

impl fmt::Display for ClaimRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "claim/{}", self.name)
    }
}

/// Data that a fault destroys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Loss {
    /// Its name, as `--accept-loss` takes it: `claim/NAME`; `KIND/WORKLOAD/VOLUME` for a volume of
    /// the pods; `KIND/WORKLOAD` for the file systems of their containers.
    pub name: String,
    /// What holds it.
    pub holder: LossHolder,
    /// The workload whose pods it goes with.
    pub workload: WorkloadRef,
    /// What is lost, and why, for people.
    pub message: String,
    /// It is accepted by name.
    pub accepted: bool,
}

/// What holds data that a fault destroys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LossHolder {
    /// A persistent volume claim, which is deleted.
    Claim,
    /// A volume that begins and ends with its pod, or stays on its node.
    Volume,
    /// The file system of a container.
    Container,
}

/// One thing that a fault changes, as data: enough for anybody, on any machine, to undo it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum Change {
    /// A field of an object gets another value, and the object the run's label in the same write.
    #[serde(rename = "set")]
    Patch {
        /// The object.
        object: ObjectRef,
        /// Way to the field. A part in brackets is the element of that `name` in a list:
        /// `spec template spec containers [shop] image`.
        field: Vec<String>,
        /// Its value before; null if it was absent.
        original: Value,
        /// Its value while the fault is on.
        faulted: Value,
    },
    /// An object is created. It carries the run's label and belongs to the run's Lease.
    #[serde(rename = "make")]
    Create {
        /// The object, without a UID.
        object: ObjectRef,
        /// All of it but label and owner.
        manifest: Value,
    },
    /// A pod is deleted, and its controller creates another: nothing has to be written to undo it.
    #[serde(rename = "take")]
    Delete {
        /// The pod.
        object: ObjectRef,
    },
}

impl Change {
    /// The object that is changed.
    pub fn object(&self) -> &ObjectRef {
        match self {
            Change::Patch { object, .. }
            | Change::Create { object, .. }
            | Change::Delete { object } => object,
        }
    }
}

/// One write to the API server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiCall {
    /// HTTP method.
    pub method: String,
    /// Path on the API server.
    pub path: String,
    /// Precondition that the API server holds the call to, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precondition: Option<String>,
}

/// What the fault leaves of a workload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BlastRadius {
    /// Which workload.
    pub workload: WorkloadRef,
    /// Its ready pods before.
    pub ready: usize,
    /// How many of them the fault hits.
    pub hit: usize,
    /// Ready pods that are left.
    pub left: usize,
    /// Services whose endpoints shrink.
    pub services: Vec<String>,
}

/// A permission that is needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Permission {
    /// Verb, for example `delete`.
    pub verb: String,
    /// API group, empty for the core group.
    pub group: String,
    /// Resource, with its subresource after a slash.
    pub resource: String,
    /// Namespace; empty for what is in none.
    pub namespace: String,
    /// The only object that it is needed for; absent if for all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The API server says that we have it.
    pub allowed: bool,
}
