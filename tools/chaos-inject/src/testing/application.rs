//! Applications as their owners build them: workloads that are whole, their pods and Services.

use serde_json::{Value, json};

use crate::testing::objects::{self, NAMESPACE, uid};
use crate::testing::patch;

/// Ending of the name of a Deployment's ReplicaSet here.
pub const HASH: &str = "5d8f";

/// A workload whose pods are all ready and up to date.
pub fn workload(kind: &str, name: &str, replicas: u32) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": kind,
        "metadata": {
            "name": name, "namespace": NAMESPACE, "uid": uid(&kind.to_lowercase(), name),
            "generation": 1,
        },
        "spec": {
            "replicas": replicas, "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{ "name": "main", "image": "i" }] },
            },
        },
        "status": {
            "observedGeneration": 1, "replicas": replicas, "updatedReplicas": replicas,
            "readyReplicas": replicas, "availableReplicas": replicas,
        },
    })
}

/// A workload with all that belongs to it; the pods are `NAME-0`, `NAME-1`, ….
pub fn application(kind: &str, name: &str, replicas: u32) -> Vec<Value> {
    let mut objects = vec![workload(kind, name, replicas)];
    let (owner_kind, owner) = match kind {
        "Deployment" => ("ReplicaSet", format!("{name}-{HASH}")),
        kind => (kind, name.to_owned()),
    };
    if kind == "Deployment" {
        objects.push(objects::replica_set(&owner));
    }
    let pod = |n| owned_pod(&format!("{name}-{n}"), name, (owner_kind, &owner));
    objects.extend((0..replicas).map(pod));
    objects
}

/// A ready pod with the label `app`, of a controller of this kind and name.
pub fn owned_pod(name: &str, app: &str, (kind, owner): (&str, &str)) -> Value {
    let owner = json!({
        "apiVersion": "apps/v1", "kind": kind, "name": owner, "controller": true,
        "uid": uid(&kind.to_lowercase(), owner),
    });
    let labels = json!({ "app": app, "pod-template-hash": HASH });
    let metadata = json!({ "labels": labels, "ownerReferences": [owner] });
    with(
        objects::pod(name, app, true),
        &json!({ "metadata": metadata }),
    )
}

/// A claim that is bound to a volume.
pub fn bound_claim(name: &str, volume: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "volumeName": volume }, "status": { "phase": "Bound" },
    })
}

/// What makes the pods of a workload mount this volume at `/data`.
pub fn mounting(volume: &Value) -> Value {
    let mut volume = volume.clone();
    volume["name"] = "data".into();
    let mount = json!({ "name": "data", "mountPath": "/data" });
    let container = json!({ "name": "main", "image": "i", "volumeMounts": [mount] });
    json!({ "volumes": [volume], "containers": [container] })
}

/// A Service that leads to the pods of an application.
pub fn service(name: &str, app: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "selector": { "app": app }, "clusterIP": "10.0.0.7" },
    })
}

/// A disruption budget that lets so many of an application's pods go now.
pub fn budget(name: &str, app: &str, allowed: u32) -> Value {
    json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "selector": { "matchLabels": { "app": app } } },
        "status": {
            "disruptionsAllowed": allowed, "currentHealthy": 1, "desiredHealthy": 1,
            "expectedPods": 1,
        },
    })
}

/// An object, merged with a patch.
pub fn with(mut object: Value, patch: &Value) -> Value {
    patch::merge(&mut object, patch);
    object
}
