//! What a run could leave behind: the objects of a namespace as far as a fault can change them.

use std::collections::BTreeMap;

use kube::Client;
use serde_json::{Value, json};

const LABEL: &str = "chaos-runbook/run";

/// Objects by kind and name, each with what counts of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Snapshot(BTreeMap<String, Value>);

/// Kinds whose objects are compared, or looked through for the label of a run.
const KINDS: [(&str, &str); 13] = [
    ("apis/apps/v1", "deployments"),
    ("apis/apps/v1", "statefulsets"),
    ("apis/apps/v1", "daemonsets"),
    ("apis/apps/v1", "replicasets"),
    ("apis/networking.k8s.io/v1", "networkpolicies"),
    ("apis/coordination.k8s.io/v1", "leases"),
    ("apis/policy/v1", "poddisruptionbudgets"),
    ("apis/batch/v1", "jobs"),
    ("api/v1", "pods"),
    ("api/v1", "services"),
    ("api/v1", "configmaps"),
    ("api/v1", "secrets"),
    ("api/v1", "persistentvolumeclaims"),
];

async fn list(client: &Client, path: &str) -> Vec<Value> {
    let mut attempts = 0;
    loop {
        let request = http::Request::get(path).body(Vec::new()).expect("a path");
        match client.request::<Value>(request).await {
            Ok(mut found) => {
                return found["items"]
                    .as_array_mut()
                    .map(std::mem::take)
                    .unwrap_or_default();
            }
            // A machine under load: the API server says 504, or drops the connection.
            Err(_) if attempts < 20 => attempts += 1,
            Err(error) => panic!("{path}: {error}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    }
}

impl Snapshot {
    /// Takes one.
    pub async fn take(client: &Client, namespace: &str) -> Snapshot {
        let lists = KINDS.map(|(group, kind)| async move {
            let path = format!("/{group}/namespaces/{namespace}/{kind}");
            (kind, list(client, &path).await)
        });
        let mut all = BTreeMap::new();
        for (kind, objects) in futures::future::join_all(lists).await {
            let counted = objects
                .iter()
                .filter_map(|object| Some((object, essence(kind, object)?)));
            all.extend(
                counted.map(|(object, essence)| (format!("{kind}/{}", name(object)), essence)),
            );
        }
        for node in list(client, "/api/v1/nodes").await {
            let essence = json!({ "labels": node["metadata"]["labels"], "spec": node["spec"] });
            all.insert(format!("nodes/{}", name(&node)), essence);
        }
        Snapshot(all)
    }

    /// What is there now, or is not any more, or is different.
    pub fn differences(&self, now: &Snapshot) -> Vec<String> {
        let mut differences = Vec::new();
        for (name, before) in &self.0 {
            match now.0.get(name) {
                None => differences.push(format!("{name} is gone")),
                Some(now) if now != before => {
                    differences.push(format!("{name} was {before} and is {now}"));
                }
                Some(_) => {}
            }
        }
        let new = now.0.iter().filter(|(name, _)| !self.0.contains_key(*name));
        differences.extend(new.map(|(name, now)| format!("{name} is left: {now}")));
        differences
    }
}

fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// What counts of an object; nothing of one that the cluster itself makes and unmakes.
fn essence(kind: &str, object: &Value) -> Option<Value> {
    let metadata = &object["metadata"];
    let labels = &metadata["labels"];
    let ours = !labels[LABEL].is_null();
    match kind {
        "deployments"
        | "statefulsets"
        | "daemonsets"
        | "networkpolicies"
        | "poddisruptionbudgets"
        | "services" => Some(json!({
            "uid": metadata["uid"], "labels": labels, "annotations": metadata["annotations"], "spec": object["spec"],
        })),
        "leases" => Some(json!({ "labels": labels })),
        "pods" => {
            let owners = metadata["ownerReferences"].as_array();
            let theirs =
                owners.is_some_and(|all| all.iter().any(|owner| owner["kind"] == "ReplicaSet"));
            (ours || !theirs)
                .then(|| json!({ "labels": labels, "owners": metadata["ownerReferences"] }))
        }
        _ => ours.then(|| json!({ "labels": labels })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(labels: &Value, owner: &str) -> Option<Value> {
        essence(
            "pods",
            &json!({ "metadata": { "name": "p", "labels": labels, "ownerReferences": [{ "kind": owner }] } }),
        )
    }

    #[test]
    fn a_pod_counts_if_it_is_of_a_run_or_of_no_workload() {
        assert!(pod(&json!({ "app": "web" }), "ReplicaSet").is_none());
        assert!(pod(&json!({ LABEL: "r" }), "ReplicaSet").is_some());
        assert!(pod(&json!({ "app": "web" }), "Lease").is_some());
    }

    #[test]
    fn replicas_labels_and_new_objects_are_differences() {
        let of = |replicas: u32, labels: Value| {
            let object = json!({ "metadata": { "uid": "u", "labels": labels }, "spec": { "replicas": replicas } });
            Snapshot(
                [(
                    "deployments/web".to_owned(),
                    essence("deployments", &object).expect("it counts"),
                )]
                .into(),
            )
        };
        let before = of(2, json!({}));
        assert!(before.differences(&of(2, json!({}))).is_empty());
        assert_eq!(before.differences(&of(0, json!({}))).len(), 1);
        assert_eq!(before.differences(&of(2, json!({ LABEL: "r" }))).len(), 1);
        assert_eq!(Snapshot::default().differences(&before).len(), 1);
        assert_eq!(before.differences(&Snapshot::default()).len(), 1);
    }
}
