//! The controllers of a cluster, as far as Deployments here need them: as many ready pods as are
//! wanted, a moment later.

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Duration, sleep};

use crate::testing::ApiServer;
use crate::testing::application::{HASH, owned_pod};

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
    Controllers(tokio::spawn(async move {
        for round in 0.. {
            sleep(LOOK).await;
            for name in server.names("deployment") {
                reconcile(&server, &name, round);
            }
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

/// Names of an application's pods.
pub fn pods_of(server: &ApiServer, app: &str) -> Vec<String> {
    let ours = |name: &String| {
        let pod: Value = server.get(&format!("pod/{name}")).unwrap_or_default();
        pod["metadata"]["labels"]["app"] == *app
    };
    server.names("pod").into_iter().filter(ours).collect()
}
