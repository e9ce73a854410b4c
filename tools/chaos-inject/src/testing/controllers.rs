//! The controllers of a cluster, as far as Deployments and Services here need them: as many ready
//! pods as are wanted, a moment later, in the endpoints of the Services that select them.

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};

use crate::testing::ApiServer;
use crate::testing::application::{HASH, owned_pod};
use crate::testing::objects::NAMESPACE;

/// How long they take to see a change.
const LOOK: Duration = Duration::from_millis(300);

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
            endpoints(&server);
        }
    }))
}

fn reconcile(server: &ApiServer, name: &str, round: u64) {
    let Some(deployment) = server.get(&format!("deployment/{name}")) else {
        return;
    };
    let pods = pods_of(server, name);
    let wanted = deployment["spec"]["replicas"].as_u64().unwrap_or(1);
    let wanted = usize::try_from(wanted).expect("a few");
    for pod in pods.iter().skip(wanted) {
        server.remove(&format!("pod/{pod}"));
    }
    for n in pods.len()..wanted {
        let pod = format!("{name}-{round}-{n}");
        let owner = format!("{name}-{HASH}");
        server.add(owned_pod(&pod, name, ("ReplicaSet", &owner)));
    }
    if deployment["status"]["readyReplicas"] != json!(wanted) {
        let status = json!({
            "replicas": wanted, "updatedReplicas": wanted, "readyReplicas": wanted,
            "availableReplicas": wanted,
        });
        server.edit(&format!("deployment/{name}"), &json!({ "status": status }));
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

/// Names of an application's pods.
pub fn pods_of(server: &ApiServer, app: &str) -> Vec<String> {
    let ours = |name: &String| {
        let pod: Value = server.get(&format!("pod/{name}")).unwrap_or_default();
        pod["metadata"]["labels"]["app"] == *app
    };
    server.names("pod").into_iter().filter(ours).collect()
}
