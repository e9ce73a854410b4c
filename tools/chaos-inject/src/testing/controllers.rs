//! The controllers of a cluster, as far as Deployments, StatefulSets and Services here need them: as
//! many ready pods as are wanted, a moment later, in the endpoints of the Services that select them,
//! and the claims of a set by its policy.

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};

use crate::plan::storage;
use crate::testing::ApiServer;
use crate::testing::application::{HASH, bound_claim, owned_pod};
use crate::testing::objects::NAMESPACE;

/// How long they take to see a change.
const LOOK: Duration = Duration::from_millis(300);

/// Pods of a StatefulSet that they look at.
const MOST_OF_A_SET: u8 = 12;

/// They work while this lives.
pub struct Controllers(JoinHandle<()>);

impl Drop for Controllers {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Starts them.
pub fn start(server: &ApiServer) -> Controllers {
    let server = server.clone();
    endpoints(&server);
    Controllers(tokio::spawn(async move {
        for round in 0.. {
            sleep(LOOK).await;
            for name in server.names("deployment") {
                reconcile(&server, &name, round);
            }
            for name in server.names("statefulset") {
                reconcile_set(&server, &name, round);
            }
            endpoints(&server);
        }
    }))
}

fn reconcile(server: &ApiServer, name: &str, round: u64) {
    let Some(deployment) = server.get(&format!("deployment/{name}")) else {
        return;
    };
    let owner = format!("{name}-{HASH}");
    let is_own = |pod: &String| {
        let pod = server.get(&format!("pod/{pod}")).unwrap_or_default();
        pod["metadata"]["ownerReferences"][0]["name"] == *owner
    };
    let pods: Vec<String> = pods_of(server, name).into_iter().filter(is_own).collect();
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    let wanted = usize::try_from(wanted).expect("a few");
    for pod in pods.iter().skip(wanted) {
        server.remove(&format!("pod/{pod}"));
    }
    for n in pods.len()..wanted {
        let pod = format!("{name}-{round}-{n}");
        server.add(owned_pod(&pod, name, ("ReplicaSet", &owner)));
    }
    are_ready(server, &format!("deployment/{name}"), &deployment, wanted);
}

fn are_ready(server: &ApiServer, object: &str, now: &Value, wanted: usize) {
    if now["status"]["readyReplicas"] != json!(wanted) {
        let status = json!({
            "replicas": wanted, "updatedReplicas": wanted, "readyReplicas": wanted,
            "availableReplicas": wanted,
        });
        server.edit(object, &json!({ "status": status }));
    }
}

/// The endpoints of each Service: the ready pods that it selects.
fn endpoints(server: &ApiServer) {
    for name in server.names("service") {
        let service = server.get(&format!("service/{name}")).unwrap_or_default();
        let Some(selector) = service["spec"]["selector"].as_object() else {
            continue;
        };
        let pods = server.names("pod").into_iter();
        let pods = pods.filter_map(|pod| server.get(&format!("pod/{pod}")));
        let selected = pods.filter(|pod| {
            let labels = &pod["metadata"]["labels"];
            let ready = pod["status"]["conditions"][0]["status"] == "True";
            ready && selector.iter().all(|(key, value)| labels[key] == *value)
        });
        let endpoints: Vec<Value> = selected
            .map(|pod| {
                let (name, uid) = (&pod["metadata"]["name"], &pod["metadata"]["uid"]);
                json!({ "addresses": ["10.0.0.1"], "conditions": { "ready": true },
                    "targetRef": { "kind": "Pod", "name": name, "uid": uid } })
            })
            .collect();
        let slice = format!("{name}-slice");
        let now = server.get(&format!("endpointslice/{slice}"));
        match now {
            Some(now) if now["endpoints"] == json!(endpoints) => {}
            Some(_) => {
                let patch = json!({ "endpoints": endpoints });
                server.edit(&format!("endpointslice/{slice}"), &patch);
            }
            None => server.add(json!({
                "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
                "addressType": "IPv4", "endpoints": endpoints,
                "ports": [{ "name": "", "port": 8443 }],
                "metadata": {
                    "name": slice, "namespace": NAMESPACE,
                    "labels": { "kubernetes.io/service-name": name },
                },
            })),
        }
    }
}

/// A StatefulSet's pods and claims. Claims of pods that it does not want any more are deleted where
/// its policy says so.
fn reconcile_set(server: &ApiServer, name: &str, round: u64) {
    let Some(set) = server.get(&format!("statefulset/{name}")) else {
        return;
    };
    let wanted = set["spec"]["replicas"].as_i64().unwrap_or(1);
    let has = |name: &String| server.get(&format!("pod/{name}")).is_some();
    let most = i64::from(MOST_OF_A_SET);
    let pod = |n: i64| format!("{name}-{n}");
    let claims = |ordinals| storage::claims_of_set(&set, ordinals);
    for gone in (wanted..most).filter(|n| has(&pod(*n))) {
        server.remove(&format!("pod/{}", pod(gone)));
        if storage::deletes_claims(&set) {
            for claim in claims(gone..gone + 1) {
                server.remove(&format!("persistentvolumeclaim/{claim}"));
            }
        }
    }
    let there = server.names("persistentvolumeclaim");
    for claim in claims(0..wanted)
        .into_iter()
        .filter(|name| !there.contains(name))
    {
        server.add(bound_claim(&claim, &format!("pv-{round}")));
    }
    for new in (0..wanted).map(pod).filter(|name| !has(name)) {
        let mut pod = owned_pod(&new, name, ("StatefulSet", name));
        pod["metadata"]["uid"] = format!("{new}-{round}").into();
        server.add(pod);
    }
    let ready = usize::try_from(wanted).expect("a few");
    are_ready(server, &format!("statefulset/{name}"), &set, ready);
}

/// Names of an application's pods.
pub fn pods_of(server: &ApiServer, app: &str) -> Vec<String> {
    let ours = |name: &String| {
        let pod: Value = server.get(&format!("pod/{name}")).unwrap_or_default();
        pod["metadata"]["labels"]["app"] == *app
    };
    server.names("pod").into_iter().filter(ours).collect()
}
