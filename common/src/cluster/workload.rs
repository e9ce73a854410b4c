//! References to workloads: how people write them, and which one a pod belongs to.

use std::fmt;
use std::str::FromStr;

use k8s_openapi::api::core::v1::Pod;
use serde::Serialize;

use crate::record::WorkloadRef;

/// The kinds of controllers that keep pods running.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub enum WorkloadKind {
    /// `deployment`
    Deployment,
    /// `statefulset`
    StatefulSet,
    /// `daemonset`
    DaemonSet,
}

impl WorkloadKind {
    /// All of them.
    pub const ALL: [WorkloadKind; 3] = [
        WorkloadKind::Deployment,
        WorkloadKind::StatefulSet,
        WorkloadKind::DaemonSet,
    ];

    /// As objects name it: `Deployment`.
    pub fn name(self) -> &'static str {
        match self {
            WorkloadKind::Deployment => "Deployment",
            WorkloadKind::StatefulSet => "StatefulSet",
            WorkloadKind::DaemonSet => "DaemonSet",
        }
    }

    /// As the API's paths name it: `deployments`.
    pub fn resource(self) -> &'static str {
        match self {
            WorkloadKind::Deployment => "deployments",
            WorkloadKind::StatefulSet => "statefulsets",
            WorkloadKind::DaemonSet => "daemonsets",
        }
    }
}

/// As people type it: `deployment`.
impl fmt::Display for WorkloadKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.resource().trim_end_matches('s'))
    }
}

impl FromStr for WorkloadKind {
    type Err = WorkloadNameError;

    /// Kubectl's names and short names, in any case.
    fn from_str(text: &str) -> Result<WorkloadKind, WorkloadNameError> {
        let kind = text.to_lowercase();
        // The API group may be named, as kubectl's own output does: deployment.apps, deployments.v1.apps.
        let kind = kind.strip_suffix(".apps").unwrap_or(&kind);
        match kind.strip_suffix(".v1").unwrap_or(kind) {
            "deployment" | "deployments" | "deploy" => Ok(WorkloadKind::Deployment),
            "statefulset" | "statefulsets" | "sts" => Ok(WorkloadKind::StatefulSet),
            "daemonset" | "daemonsets" | "ds" => Ok(WorkloadKind::DaemonSet),
            _ => Err(WorkloadNameError::Kind(text.to_owned())),
        }
    }
}

/// A workload as people name it, `deployment/NAME`; a name alone is a Deployment's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkloadName {
    /// What it is.
    pub kind: WorkloadKind,
    /// Its name.
    pub name: String,
}

/// Why a text names no workload.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WorkloadNameError {
    /// It is of another kind.
    #[error("{0:?} is no workload: name a deployment, statefulset or daemonset")]
    Kind(String),
    /// It is not of the form `KIND/NAME`.
    #[error("{0:?} is not of the form deployment/NAME")]
    Form(String),
}

impl WorkloadName {
    /// The workload of this name in a namespace.
    pub fn in_namespace(&self, namespace: &str) -> WorkloadRef {
        WorkloadRef {
            kind: self.kind.name().to_owned(),
            namespace: namespace.to_owned(),
            name: self.name.clone(),
        }
    }
}

impl fmt::Display for WorkloadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl FromStr for WorkloadName {
    type Err = WorkloadNameError;

    fn from_str(text: &str) -> Result<WorkloadName, WorkloadNameError> {
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) => (kind.parse()?, name),
            None => (WorkloadKind::Deployment, text),
        };
        if name.is_empty() || name.contains('/') {
            return Err(WorkloadNameError::Form(text.to_owned()));
        }
        Ok(WorkloadName {
            kind,
            name: name.to_owned(),
        })
    }
}

/// The workload that a pod belongs to. A Deployment's pods are owned by a ReplicaSet whose name is
/// the Deployment's and the hash in the pod's label `pod-template-hash`.
pub fn workload_of(pod: &Pod) -> Option<WorkloadRef> {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let owner = owners.iter().find(|owner| owner.controller == Some(true))?;
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let hash = pod
        .metadata
        .labels
        .as_ref()
        .and_then(|labels| labels.get("pod-template-hash"));
    let deployment =
        hash.and_then(|hash| owner.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    Some(match (owner.kind.as_str(), deployment) {
        ("ReplicaSet", Some(name)) => WorkloadRef {
            kind: "Deployment".to_owned(),
            namespace,
            name: name.to_owned(),
        },
        _ => WorkloadRef {
            kind: owner.kind.clone(),
            namespace,
            name: owner.name.clone(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workload_is_named_as_for_kubectl() {
        let parse = |text: &str| text.parse::<WorkloadName>().map(|name| name.to_string());
        assert_eq!(parse("deployment/shop"), Ok("deployment/shop".to_owned()));
        assert_eq!(parse("sts/db"), Ok("statefulset/db".to_owned()));
        assert_eq!(parse("DaemonSet/agent"), Ok("daemonset/agent".to_owned()));
        assert_eq!(parse("shop"), Ok("deployment/shop".to_owned()));
        for kind in [
            "deployment.apps",
            "deployments.v1.apps",
            "deploy",
            "Deployments",
        ] {
            let named = parse(&format!("{kind}/shop"));
            assert_eq!(named, Ok("deployment/shop".to_owned()), "{kind}");
        }
        assert_eq!(
            parse("pod/a"),
            Err(WorkloadNameError::Kind("pod".to_owned()))
        );
        for text in ["", "deployment/", "deployment/a/b"] {
            assert_eq!(parse(text), Err(WorkloadNameError::Form(text.to_owned())));
        }
    }

    #[test]
    fn a_pod_is_traced_to_its_deployment() {
        let pod: Pod = serde_saphyr::from_str(
            "{metadata: {namespace: prod, labels: {pod-template-hash: 6d4b}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: shop-a-6d4b, uid: u, controller: true}]}}",
        )
        .expect("a pod");
        assert_eq!(
            workload_of(&pod).map(|w| w.to_string()).as_deref(),
            Some("deployment/shop-a")
        );
    }
}
