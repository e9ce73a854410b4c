//! Objects as tests put them into the API server in memory, and plans about them.

use chaos_common::record::{Change, ObjectRef, Plan};
use serde_json::{Value, json};

use crate::safety::intent::Intent;

/// Namespace of every object here.
pub const NAMESPACE: &str = "prod";
/// Id of the run that tests are about.
pub const RUN: &str = "run-1";

/// A Deployment.
pub fn deployment(name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "namespace": NAMESPACE, "uid": uid("deployment", name) },
        "spec": { "replicas": replicas },
    })
}

/// A pod of a ReplicaSet, ready or not.
pub fn pod(name: &str, owner: &str, ready: bool) -> Value {
    let status = if ready { "True" } else { "False" };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": uid("pod", name),
            "labels": { "app": owner },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner, "controller": true,
                "uid": uid("replicaset", owner),
            }],
        },
        "spec": { "nodeName": "node-1", "containers": [{ "name": "main" }] },
        "status": {
            "phase": "Running",
            "conditions": [{ "type": "Ready", "status": status }],
            "containerStatuses": [{
                "name": "main", "ready": ready, "restartCount": 0, "image": "i", "imageID": "i",
                "state": { "running": {} },
            }],
        },
    })
}

/// The ReplicaSet that pods belong to: without it they would be collected as garbage.
pub fn replica_set(name: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": { "name": name, "namespace": NAMESPACE, "uid": uid("replicaset", name) },
    })
}

/// A NetworkPolicy's manifest.
pub fn network_policy(name: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "podSelector": {} },
    })
}

/// The UID that an object here has.
pub fn uid(kind: &str, name: &str) -> String {
    format!("{kind}-{name}-uid")
}

/// The change that scales a Deployment down to 0.
pub fn scale_to_zero(name: &str, original: u32) -> Change {
    Change::Patch {
        object: ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            resource: "deployments".into(),
            namespace: Some(NAMESPACE.into()),
            name: name.into(),
            uid: Some(uid("deployment", name)),
        },
        field: vec!["spec".into(), "replicas".into()],
        original: json!(original),
        faulted: json!(0),
    }
}

/// The change that creates a NetworkPolicy.
pub fn create_policy(name: &str) -> Change {
    Change::Create {
        object: ObjectRef {
            api_version: "networking.k8s.io/v1".into(),
            kind: "NetworkPolicy".into(),
            resource: "networkpolicies".into(),
            namespace: Some(NAMESPACE.into()),
            name: name.into(),
            uid: None,
        },
        manifest: network_policy(name),
    }
}

/// The change that deletes a pod.
pub fn delete_pod(name: &str) -> Change {
    Change::Delete {
        object: ObjectRef {
            api_version: "v1".into(),
            kind: "Pod".into(),
            resource: "pods".into(),
            namespace: Some(NAMESPACE.into()),
            name: name.into(),
            uid: Some(uid("pod", name)),
        },
    }
}

/// A plan with these changes, whose blast radius is these Deployments.
pub fn plan(changes: &[Change], deployments: &[&str]) -> Plan {
    let radius = |name: &&str| {
        json!({
            "workload": { "kind": "Deployment", "namespace": NAMESPACE, "name": name },
            "ready": 1, "hit": 1, "left": 0, "services": [],
        })
    };
    let radius: Vec<Value> = deployments.iter().map(radius).collect();
    serde_json::from_value(json!({
        "experiment": "storage-failure", "cluster": { "server": "https://k", "id": "c" },
        "namespace": NAMESPACE, "targets": [], "calls": [], "blast_radius": radius,
        "undo": "", "undo_commands": [], "worst_case_ms": 0, "permissions": [], "checks": [],
        "changes": changes,
    }))
    .expect("a plan")
}

/// The intent of [`RUN`] to make these changes. Its undo is tried for ten seconds.
pub fn intent(changes: &[Change], deployments: &[&str]) -> Intent {
    intent_of(RUN, changes, deployments)
}

/// The intent of another run.
pub fn intent_of(run: &str, changes: &[Change], deployments: &[&str]) -> Intent {
    let undo_limit = std::time::Duration::from_secs(10);
    Intent::of(&plan(changes, deployments), run, "ops@laptop", undo_limit)
}
