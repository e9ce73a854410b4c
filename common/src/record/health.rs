//! `chaos.health`, and the state of the system that later tools compare with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Check, Data, Kind};

/// Is the system healthy enough to hurt?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Health {
    /// The cluster that was looked at.
    pub cluster: ClusterRef,
    /// The application's namespace.
    pub namespace: String,
    /// Every check made, in the runbook's order.
    pub checks: Vec<Check>,
    /// What was seen, for a comparison later.
    pub state: SystemState,
    /// Further namespaces and clusters that were looked at; `checks` holds theirs too, and says in
    /// each object where it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<NamespaceState>,
}

/// A further namespace that was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NamespaceState {
    /// Its cluster.
    pub cluster: ClusterRef,
    /// The namespace.
    pub namespace: String,
    /// What was seen in it.
    pub state: SystemState,
}

impl Data for Health {
    const KIND: Kind = Kind::Health;
    fn checks(&self) -> &[Check] {
        &self.checks
    }
}

/// Which cluster a record speaks of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ClusterRef {
    /// UID of the `kube-system` namespace, the usual identity of a cluster; where that may not be
    /// read, `server:` and the API server's address.
    pub id: String,
    /// The kubeconfig context used; absent inside a cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The API server's address.
    pub server: String,
}

/// What the system looked like at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SystemState {
    /// Workloads of the application namespace and the configured ones of the monitoring namespace.
    pub workloads: Vec<WorkloadState>,
    /// Services looked at.
    pub services: Vec<ServiceState>,
    /// Nodes of the cluster; empty where they may not be read.
    pub nodes: Vec<NodeState>,
}

/// A workload by kind and name.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub struct WorkloadRef {
    /// `Deployment`, `StatefulSet` or `DaemonSet`; of a custom resource with its API group:
    /// `Rollout.argoproj.io`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl std::fmt::Display for WorkloadRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.to_lowercase(), self.name)
    }
}

/// What a controller wants and has.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadState {
    /// Which workload.
    #[serde(flatten)]
    pub workload: WorkloadRef,
    /// Pods it wants.
    pub wants: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Images of its pod template, in order.
    pub images: Vec<String>,
    /// Container restarts of its present pods together.
    pub restarts: i64,
    /// The nodes that its pods are on; absent where they are more than fifty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Placement>,
    /// Processor time its pods use now, in cores; absent without the metrics API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<f64>,
    /// Memory its pods use now, in bytes; absent without the metrics API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// Pods of a workload on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Placement {
    /// The node's name.
    pub node: String,
    /// Pods on it that have not ended.
    pub pods: u32,
}

/// A Service and who answers behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceState {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Endpoints that are ready.
    pub ready: usize,
    /// Endpoints that are not.
    pub not_ready: usize,
}

/// A node and how full it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct NodeState {
    /// Its name.
    pub name: String,
    /// Its `Ready` condition is true.
    pub ready: bool,
    /// Processor time that pods may use, in cores.
    pub cpu_allocatable_cores: f64,
    /// Memory that pods may use, in bytes.
    pub memory_allocatable_bytes: u64,
    /// Processor time in use, in cores; absent without the metrics API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_cores: Option<f64>,
    /// Memory in use, in bytes; absent without the metrics API.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}
