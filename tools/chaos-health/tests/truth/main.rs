//! The truth of health: every way to be broken is found and named rightly, and none of the healthy
//! variants raises an alarm. Each case changes a healthy world in one way.

mod bad_http;
mod world;

use std::sync::{Arc, Mutex};

use chaos_common::cluster::probe::HttpProbe;
use chaos_common::cluster::{Access, Cluster};
use chaos_common::config::{self, Config};
use chaos_common::record::{Check, Health, Status, Verdict};
use chaos_health::checks::{CATALOGUE, Explanation, examine};
use serde_json::{Value, json};
use world::{World, ago, alerts, deployment, pod, refusal, serve};

const CONFIG: &str = r#"
[application]
namespace = "shop"
[[service]]
name = "web"
port = 80
health = "/health"
[service.expect]
body = "ok"
within = "2s"
[[workload]]
name = "web"
[[workload]]
name = "db"
kind = "StatefulSet"
[monitoring]
namespace = "monitoring"
prometheus = { deployment = "prometheus", service = "prometheus", port = 9090 }
grafana = { deployment = "grafana", service = "grafana", port = 3000 }
alertmanager = { deployment = "alertmanager", service = "alertmanager", port = 9093 }
"#;

/// An API server whose world may be exchanged, and who asks it.
pub(crate) struct Bed {
    world: Arc<Mutex<World>>,
    cluster: Cluster,
    asker: HttpProbe,
    pub(crate) config: Config,
}

impl Bed {
    pub(crate) async fn new() -> Bed {
        let world = Arc::new(Mutex::new(World::healthy()));
        let server = serve(world.clone());
        let folder = tempfile::tempdir().expect("a folder");
        let kubeconfig = folder.path().join("kubeconfig");
        let text = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
            "clusters": [{"name": "k", "cluster": {"server": server}}], "users": [{"name": "u", "user": {"token": "t"}}]});
        std::fs::write(&kubeconfig, text.to_string()).expect("room on the disk");
        let file = folder.path().join("chaos.toml");
        std::fs::write(&file, CONFIG).expect("room on the disk");
        let access = Access {
            context: None,
            kubeconfig: Some(kubeconfig),
            ..Access::default()
        };
        let cluster = Cluster::connect(&access).await.expect("a kubeconfig");
        let asker = HttpProbe::new(&cluster);
        Bed {
            world,
            cluster,
            asker,
            config: config::load(Some(&file)).expect("a configuration").config,
        }
    }

    /// What health says of a world.
    pub(crate) async fn examine(&self, world: World) -> Health {
        *self.world.lock().expect("no test panicked with it") = world;
        Box::pin(examine(&self.cluster, &self.asker, &self.config, "shop")).await
    }
}

/// A change to the world, and the check that must tell of it: its id, object, status, and words.
type Broken = (
    fn(&mut World),
    &'static str,
    &'static str,
    Status,
    &'static str,
);

fn set(world: &mut World, kind: &'static str, name: &str, pointer: &str, value: Value) {
    let mut place = world.object(kind, name);
    for part in pointer.trim_matches('/').split('/') {
        place = match part.parse::<usize>() {
            Ok(at) => &mut place[at],
            Err(_) => &mut place[part],
        };
    }
    *place = value;
}

/// Pod `web-1` with this status of its container, running and not ready.
#[expect(
    clippy::needless_pass_by_value,
    reason = "it is made where it is handed in"
)]
fn container(world: &mut World, status: Value) {
    let container = world
        .object("pods", "web-1")
        .pointer_mut("/status/containerStatuses/0")
        .expect("it has one");
    for (key, value) in status.as_object().expect("fields") {
        container[key] = value.clone();
    }
    container["ready"] = json!(false);
    set(
        world,
        "pods",
        "web-1",
        "/status/conditions/0/status",
        json!("False"),
    );
}

fn waiting(world: &mut World, reason: &str, message: &str) {
    container(
        world,
        json!({"state": {"waiting": {"reason": reason, "message": message}}}),
    );
}

fn pending(world: &mut World, reason: &str, message: &str) {
    let pod = world.object("pods", "web-1");
    pod["status"] = json!({"phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}]});
}

fn crashed(count: i32, seconds: i64, reason: &str, code: i32) -> Value {
    json!({"restartCount": count, "lastState": {"terminated": {"exitCode": code, "reason": reason, "finishedAt": ago(seconds)}}})
}

fn failed_job(name: &str, reason: &str, schedule: Option<&str>, born: i64) -> Value {
    let owners = schedule.map(
        |name| json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": "u"}]),
    );
    json!({"metadata": {"name": name, "creationTimestamp": ago(born), "ownerReferences": owners},
        "status": {"failed": 1, "conditions": [{"type": "Failed", "status": "True", "reason": reason, "message": "why"}]}})
}

fn done_job(name: &str, schedule: Option<&str>, born: i64) -> Value {
    let mut job = failed_job(name, "x", schedule, born);
    job["status"] = json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]});
    job
}

fn budget(healthy: i32, desired: i32, expected: i32, allowed: i32) -> Value {
    json!({"metadata": {"name": "web", "generation": 1}, "spec": {},
        "status": {"observedGeneration": 1, "currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": expected,
            "disruptionsAllowed": allowed}})
}

fn autoscaler(min: i32, max: i32, current: i32, conditions: &Value) -> Value {
    json!({"metadata": {"name": "web"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": min, "maxReplicas": max},
        "status": {"currentReplicas": current, "desiredReplicas": current, "conditions": conditions}})
}

fn quota(hard: &str, used: &str) -> Value {
    json!({"metadata": {"name": "all"}, "status": {"hard": {"requests.memory": hard}, "used": {"requests.memory": used}}})
}

fn target(world: &mut World, at: usize, pointer: &str, value: Value) {
    let answer = world
        .answers
        .get_mut("prometheus:9090/api/v1/query")
        .expect("it is asked");
    let mut body: Value = serde_json::from_str(&answer.1).expect("JSON");
    let (parent, key) = pointer.rsplit_once('/').expect("a path");
    let place = body
        .pointer_mut(&format!("/data/result/{at}{parent}"))
        .expect("it is there");
    match key.parse::<usize>() {
        Ok(nth) => place[nth] = value,
        Err(_) => place[key] = value,
    }
    answer.1 = body.to_string();
}

fn say(world: &mut World, address: &'static str, status: u16, body: &str) {
    world.answers.insert(
        address,
        (status, body.to_owned(), std::time::Duration::ZERO),
    );
}

fn forbid(world: &mut World, part: &'static str, what: &str) {
    let message = format!("{what} is forbidden: User \"u\" cannot list it");
    world
        .instead
        .insert(part, (403, refusal(403, "Forbidden", &message)));
}

#[rustfmt::skip]
const BROKEN: &[Broken] = &[
    // Controllers.
    (|w| set(w, "deployments", "web", "/status/readyReplicas", json!(1)), "workload.ready", "deployment/web", Status::Fail, "has 1 of 2 ready pods"),
    (|w| set(w, "deployments", "web", "/status/updatedReplicas", json!(1)), "workload.ready", "deployment/web", Status::Fail, "is being rolled out: 1 of 2"),
    (|w| { set(w, "deployments", "web", "/status/readyReplicas", json!(1)); set(w, "deployments", "web", "/status/conditions", json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}])); }, "workload.ready", "deployment/web", Status::Fail, "ProgressDeadlineExceeded: timed out"),
    (|w| { set(w, "deployments", "web", "/status/readyReplicas", json!(1)); set(w, "deployments", "web", "/status/conditions", json!([{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}])); }, "workload.ready", "deployment/web", Status::Fail, "FailedCreate: exceeded quota"),
    (|w| set(w, "deployments", "web", "/metadata/generation", json!(3)), "workload.ready", "deployment/web", Status::Fail, "has not acted on the latest change"),
    (|w| w.lists.get_mut("deployments").expect("there").retain(|d| d["metadata"]["name"] != "web"), "workload.ready", "deployment/web", Status::Fail, "there is none in namespace shop"),
    (|w| set(w, "deployments", "web", "/spec/replicas", json!(0)), "workload.ready", "deployment/web", Status::Fail, "is scaled to 0"),
    (|w| set(w, "deployments", "web", "/metadata/deletionTimestamp", json!(ago(5))), "workload.ready", "deployment/web", Status::Fail, "is being deleted"),
    (|w| set(w, "deployments", "web", "/spec/paused", json!(true)), "workload.ready", "deployment/web", Status::Warn, "is paused"),
    (|w| w.add("deployments", deployment("shop", "spare", 0)), "workload.ready", "deployment/spare", Status::Warn, "is scaled to 0"),
    (|w| set(w, "statefulsets", "db", "/status/readyReplicas", json!(0)), "workload.ready", "statefulset/db", Status::Fail, "has 0 of 1 ready pods"),
    (|w| set(w, "statefulsets", "db", "/status/updatedReplicas", json!(0)), "workload.ready", "statefulset/db", Status::Fail, "is being rolled out"),
    (|w| set(w, "daemonsets", "agent", "/status/numberReady", json!(0)), "workload.ready", "daemonset/agent", Status::Fail, "has 0 of 1 ready pods"),
    (|w| set(w, "daemonsets", "agent", "/status/updatedNumberScheduled", json!(0)), "workload.ready", "daemonset/agent", Status::Fail, "is being rolled out"),
    (|w| set(w, "daemonsets", "agent", "/status/numberMisscheduled", json!(1)), "workload.ready", "daemonset/agent", Status::Warn, "should not run on"),
    // Pods.
    (|w| { waiting(w, "CrashLoopBackOff", "back-off"); container(w, crashed(7, 30, "Error", 1)); }, "pods.ready", "pod/web-1", Status::Fail, "crash loop, 7 restarts, the last with exit status 1"),
    (|w| container(w, crashed(4, 30, "Error", 3)), "pods.ready", "pod/web-1", Status::Fail, "crash loop, 4 restarts"),
    (|w| container(w, crashed(5, 30, "OOMKilled", 137)), "pods.ready", "pod/web-1", Status::Fail, "OOMKilled, exit status 137"),
    (|w| waiting(w, "ImagePullBackOff", "Back-off pulling image \"web:9\""), "pods.ready", "pod/web-1", Status::Fail, "ImagePullBackOff: Back-off pulling image \"web:9\""),
    (|w| waiting(w, "ErrImagePull", "not found"), "pods.ready", "pod/web-1", Status::Fail, "ErrImagePull"),
    (|w| waiting(w, "InvalidImageName", "couldn't parse"), "pods.ready", "pod/web-1", Status::Fail, "InvalidImageName"),
    (|w| waiting(w, "CreateContainerConfigError", "configmap \"web\" not found"), "pods.ready", "pod/web-1", Status::Fail, "configmap \"web\" not found"),
    (|w| waiting(w, "CreateContainerError", "context deadline exceeded"), "pods.ready", "pod/web-1", Status::Fail, "CreateContainerError"),
    (|w| waiting(w, "RunContainerError", "no such file"), "pods.ready", "pod/web-1", Status::Fail, "RunContainerError"),
    (|w| container(w, json!({})), "pods.ready", "pod/web-1", Status::Fail, "is Running but not ready: container main is not ready"),
    (|w| set(w, "pods", "web-1", "/status/conditions", json!([{"type": "Ready", "status": "False"}, {"type": "lb.example/attached", "status": "False"}])), "pods.ready", "pod/web-1", Status::Fail, "condition lb.example/attached is False"),
    (|w| container(w, json!({"state": {"terminated": {"exitCode": 2, "reason": "Error", "finishedAt": ago(5)}}})), "pods.ready", "pod/web-1", Status::Fail, "exit status 2"),
    (|w| pending(w, "Unschedulable", "0/3 nodes are available: 3 Insufficient cpu"), "pods.ready", "pod/web-1", Status::Fail, "is Pending: 0/3 nodes are available: 3 Insufficient cpu"),
    (|w| pending(w, "SchedulingGated", "Scheduling is blocked due to non-empty scheduling gates"), "pods.ready", "pod/web-1", Status::Fail, "scheduling gates"),
    (|w| { waiting(w, "ContainerCreating", ""); set(w, "pods", "web-1", "/status/phase", json!("Pending")); }, "pods.ready", "pod/web-1", Status::Fail, "is Pending: ContainerCreating"),
    (|w| set(w, "pods", "web-1", "/status", json!({"phase": "Pending", "initContainerStatuses": [{"name": "migrate", "image": "i", "imageID": "", "ready": false, "restartCount": 0, "state": {"running": {}}}]})), "pods.ready", "pod/web-1", Status::Fail, "container migrate prepares it"),
    (|w| set(w, "pods", "web-1", "/status/initContainerStatuses", json!([{"name": "migrate", "image": "i", "imageID": "", "ready": false, "restartCount": 3, "state": {"waiting": {"reason": "CrashLoopBackOff"}}}])), "pods.ready", "pod/web-1", Status::Fail, "container migrate: crash loop"),
    (|w| set(w, "pods", "web-1", "/status/initContainerStatuses", json!([{"name": "proxy", "image": "i", "imageID": "", "ready": true, "restartCount": 9, "state": {"running": {}}, "lastState": {"terminated": {"exitCode": 1, "finishedAt": ago(9)}}}])), "pods.ready", "pod/web-1", Status::Fail, "container proxy: crash loop, 9 restarts"),
    (|w| set(w, "pods", "web-1", "/status", json!({"phase": "Failed"})), "pods.ready", "pod/web-1", Status::Fail, "has failed: no reason given"),
    (|w| set(w, "pods", "web-1", "/status", json!({"phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory"})), "pods.ready", "pod/web-1", Status::Fail, "has failed: Evicted: The node was low on resource: memory"),
    (|w| set(w, "pods", "web-1", "/status", json!({"phase": "Failed", "reason": "UnexpectedAdmissionError"})), "pods.ready", "pod/web-1", Status::Fail, "UnexpectedAdmissionError"),
    (|w| set(w, "pods", "web-1", "/metadata/deletionTimestamp", json!(ago(300))), "pods.ready", "pod/web-1", Status::Fail, "stuck in Terminating"),
    (|w| set(w, "pods", "web-1", "/status/phase", json!("Unknown")), "pods.ready", "pod/web-1", Status::Unknown, "its node does not report"),
    (|w| w.lists.get_mut("pods").expect("there").clear(), "pods.ready", "namespace/shop", Status::Unknown, "there are no pods"),
    (|w| { container(w, crashed(1, 60, "OOMKilled", 137)); set(w, "pods", "web-1", "/status/conditions/0/status", json!("True")); }, "pods.restarts", "deployment/web", Status::Warn, "OOMKilled"),
    (|w| set(w, "usage/pods", "web-1", "/containers/0/usage/memory", json!("99Mi")), "pods.usage", "pod/web-1", Status::Fail, "99 % of its memory limit"),
    (|w| set(w, "usage/pods", "web-1", "/containers/0/usage/cpu", json!("499m")), "pods.usage", "pod/web-1", Status::Fail, "100 % of its processor limit"),
    (|w| w.lists.get_mut("usage/pods").expect("there").retain(|p| p["metadata"]["name"] != "web-1"), "pods.usage", "pod/web-1", Status::Unknown, "has no figures"),
    (|w| { w.instead.insert("metrics.k8s.io", (404, "404 page not found".to_owned())); }, "pods.usage", "namespace/shop", Status::Unknown, "metrics API"),
    (|w| { w.instead.insert("metrics.k8s.io", (404, "404 page not found".to_owned())); }, "node.usage", "nodes", Status::Unknown, "metrics API"),
    // Jobs.
    (|w| w.add("jobs", failed_job("migrate", "BackoffLimitExceeded", None, 60)), "job.complete", "job/migrate", Status::Fail, "has failed: BackoffLimitExceeded"),
    (|w| w.add("jobs", failed_job("migrate", "DeadlineExceeded", None, 60)), "job.complete", "job/migrate", Status::Fail, "DeadlineExceeded"),
    (|w| { w.add("cronjobs", json!({"metadata": {"name": "nightly"}})); w.add("jobs", done_job("nightly-1", Some("nightly"), 7200)); w.add("jobs", failed_job("nightly-2", "BackoffLimitExceeded", Some("nightly"), 60)); }, "job.complete", "cronjob/nightly", Status::Fail, "its latest job/nightly-2 has failed"),
    (|w| w.add("jobs", json!({"metadata": {"name": "import"}, "status": {"active": 1, "failed": 2}})), "job.complete", "job/import", Status::Warn, "2 of its pods have failed"),
    // Volumes.
    (|w| set(w, "persistentvolumeclaims", "data-db-0", "/status/phase", json!("Pending")), "volume.bound", "persistentvolumeclaim/data-db-0", Status::Fail, "is Pending"),
    (|w| set(w, "persistentvolumeclaims", "data-db-0", "/status/phase", json!("Lost")), "volume.bound", "persistentvolumeclaim/data-db-0", Status::Fail, "is Lost"),
    (|w| w.lists.get_mut("persistentvolumeclaims").expect("there").clear(), "volume.bound", "persistentvolumeclaim/data-db-0", Status::Fail, "does not exist"),
    (|w| set(w, "persistentvolumeclaims", "data-db-0", "/metadata/deletionTimestamp", json!(ago(5))), "volume.bound", "persistentvolumeclaim/data-db-0", Status::Fail, "is deleted as soon as"),
    // Room.
    (|w| w.add("poddisruptionbudgets", budget(1, 2, 2, 0)), "disruption.budget", "poddisruptionbudget/web", Status::Fail, "1 of 2 wanted pods are healthy"),
    (|w| w.add("poddisruptionbudgets", budget(2, 2, 2, 0)), "disruption.budget", "poddisruptionbudget/web", Status::Warn, "has no room"),
    (|w| w.add("poddisruptionbudgets", budget(0, 0, 0, 0)), "disruption.budget", "poddisruptionbudget/web", Status::Warn, "matches no pods"),
    (|w| w.add("horizontalpodautoscalers", autoscaler(1, 5, 5, &json!([{"type": "ScalingLimited", "status": "True", "reason": "TooManyReplicas"}]))), "autoscaler.room", "horizontalpodautoscaler/web", Status::Fail, "at its maximum of 5 replicas and wants more"),
    (|w| w.add("horizontalpodautoscalers", autoscaler(1, 5, 5, &json!([]))), "autoscaler.room", "horizontalpodautoscaler/web", Status::Warn, "at its maximum of 5"),
    (|w| w.add("horizontalpodautoscalers", autoscaler(1, 5, 2, &json!([{"type": "ScalingActive", "status": "False", "reason": "FailedGetResourceMetric", "message": "no metrics"}]))), "autoscaler.room", "horizontalpodautoscaler/web", Status::Fail, "FailedGetResourceMetric: no metrics"),
    (|w| w.add("horizontalpodautoscalers", autoscaler(1, 5, 0, &json!([{"type": "AbleToScale", "status": "False", "reason": "FailedGetScale", "message": "no such deployment"}]))), "autoscaler.room", "horizontalpodautoscaler/web", Status::Fail, "FailedGetScale"),
    (|w| w.add("resourcequotas", quota("4Gi", "4Gi")), "quota.room", "resourcequota/all", Status::Fail, "4Gi of 4Gi requests.memory are used"),
    (|w| w.add("resourcequotas", quota("4Gi", "3900Mi")), "quota.room", "resourcequota/all", Status::Warn, "(95 %)"),
    // Events.
    (|w| for n in 0..3 { w.add("events", json!({"metadata": {"name": format!("e{n}")}, "type": "Warning", "reason": "FailedMount", "message": "no such secret", "count": 2, "lastTimestamp": ago(60), "involvedObject": {"kind": "Pod", "name": format!("p{n}")}})); }, "events.warning", "event/FailedMount", Status::Warn, "6 times on 3 objects"),
    // Services.
    (|w| { set(w, "endpointslices", "web-x", "/endpoints/0/conditions/ready", json!(false)); set(w, "endpointslices", "web-x", "/endpoints/1/conditions/ready", json!(false)); }, "service.endpoints", "service/web", Status::Fail, "0 ready endpoints, 2 not ready"),
    (|w| set(w, "endpointslices", "web-x", "/endpoints", json!([])), "service.endpoints", "service/web", Status::Fail, "no running pod matches its selector app=web"),
    (|w| w.lists.get_mut("services").expect("there").clear(), "service.endpoints", "service/web", Status::Fail, "there is none in namespace shop"),
    (|w| set(w, "endpointslices", "web-x", "/ports", json!([])), "service.endpoints", "service/web", Status::Fail, "its port 80 leads to no port"),
    (|w| set(w, "endpointslices", "web-x", "/endpoints/0/targetRef", json!({"kind": "Pod", "name": "web-0", "uid": "6f1d2a53-1f2e-4f0e-8d07-0000000000ff"})), "service.endpoints", "service/web", Status::Fail, "belongs to pod/web-0, which is no more"),
    (|w| set(w, "pods", "web-1", "/status", json!({"phase": "Failed", "reason": "Evicted"})), "service.endpoints", "service/web", Status::Fail, "belongs to pod/web-1, which is no more"),
    (|w| say(w, "web:80/health", 500, "oops"), "service.http", "http://web.shop:80/health", Status::Fail, "answers 500"),
    (|w| say(w, "web:80/health", 302, ""), "service.http", "http://web.shop:80/health", Status::Fail, "answers 302"),
    (|w| say(w, "web:80/health", 503, &refusal(503, "ServiceUnavailable", "no endpoints available for service \"web\"")), "service.http", "http://web.shop:80/health", Status::Fail, "no endpoints available"),
    (|w| say(w, "web:80/health", 200, r#"{"status":"degraded"}"#), "service.http", "http://web.shop:80/health", Status::Fail, "does not hold \"ok\""),
    (|w| w.answers.get_mut("web:80/health").expect("there").2 = std::time::Duration::from_millis(2200), "service.http", "http://web.shop:80/health", Status::Fail, "at most 2s is wanted"),
    (|w| w.answers.get_mut("web:80/health").expect("there").2 = std::time::Duration::from_secs(7), "service.http", "http://web.shop:80/health", Status::Fail, "no answer in 5000 ms"),
    (|w| { w.instead.insert("services/web:80", (403, refusal(403, "Forbidden", "services/proxy is forbidden"))); }, "service.http", "http://web.shop:80/health", Status::Unknown, "forbidden"),
    // Nodes.
    (|w| set(w, "nodes", "n1", "/status/conditions/0", json!({"type": "Ready", "status": "False", "message": "PLEG is not healthy"})), "node.conditions", "node/n1", Status::Fail, "Ready is False: PLEG is not healthy"),
    (|w| set(w, "nodes", "n1", "/status/conditions/0/status", json!("Unknown")), "node.conditions", "node/n1", Status::Unknown, "does not report"),
    (|w| set(w, "nodes", "n1", "/status/conditions/1/status", json!("True")), "node.conditions", "node/n1", Status::Fail, "MemoryPressure is True"),
    (|w| set(w, "nodes", "n1", "/status/conditions/2/status", json!("True")), "node.conditions", "node/n1", Status::Fail, "DiskPressure is True"),
    (|w| set(w, "nodes", "n1", "/spec/unschedulable", json!(true)), "node.conditions", "node/n1", Status::Warn, "cordoned"),
    (|w| set(w, "usage/nodes", "n1", "/usage/cpu", json!("1950m")), "node.usage", "node/n1", Status::Fail, "98 % of its processors"),
    (|w| set(w, "usage/nodes", "n1", "/usage/memory", json!("3900Mi")), "node.usage", "node/n1", Status::Fail, "95 % of its memory"),
    (|w| forbid(w, "/api/v1/nodes", "nodes"), "node.conditions", "nodes", Status::Unknown, "forbidden"),
    // Monitoring.
    (|w| w.lists.get_mut("deployments").expect("there").retain(|d| d["metadata"]["name"] != "prometheus"), "monitoring.prometheus", "deployment/prometheus", Status::Fail, "there is none"),
    (|w| say(w, "prometheus:9090/-/ready", 503, "starting"), "monitoring.prometheus", "/-/ready", Status::Fail, "answers 503"),
    (|w| say(w, "prometheus:9090/api/v1/query", 200, r#"{"status":"success","data":{"result":[]}}"#), "monitoring.prometheus", "query=up", Status::Fail, "scrapes no targets"),
    (|w| target(w, 2, "/value/1", json!("0")), "monitoring.targets", "target/db/10.0.0.3:9187", Status::Fail, "so are all of its job"),
    (|w| target(w, 1, "/value/1", json!("0")), "monitoring.targets", "target/web/10.0.0.2:80", Status::Warn, "is down"),
    (|w| say(w, "prometheus:9090/api/v1/query", 200, "<html>"), "monitoring.targets", "query=up", Status::Unknown, "not the JSON"),
    (|w| say(w, "prometheus:9090/api/v1/alerts", 200, &alerts(&[("DiskFull", "critical", "firing")])), "monitoring.alerts", "alert/DiskFull", Status::Fail, "fires (critical): it is so"),
    (|w| say(w, "prometheus:9090/api/v1/alerts", 200, &alerts(&[("Slow", "warning", "firing")])), "monitoring.alerts", "alert/Slow", Status::Warn, "fires (warning)"),
    (|w| say(w, "prometheus:9090/api/v1/alerts", 500, "oops"), "monitoring.alerts", "/api/v1/alerts", Status::Unknown, "answers 500"),
    (|w| say(w, "grafana:3000/api/health", 200, r#"{"database":"failing"}"#), "monitoring.grafana", "/api/health", Status::Fail, "its database is \"failing\""),
    (|w| set(w, "deployments", "alertmanager", "/status/readyReplicas", json!(0)), "monitoring.alertmanager", "deployment/alertmanager", Status::Fail, "has 0 of 1 ready pods"),
    // The cluster itself, and what may not or can't be read.
    (|w| w.lists.get_mut("namespaces").expect("there").retain(|n| n["metadata"]["name"] != "shop"), "namespace.exists", "namespace/shop", Status::Unknown, "there is no such namespace"),
    (|w| set(w, "namespaces", "shop", "/metadata/deletionTimestamp", json!(ago(5))), "namespace.exists", "namespace/shop", Status::Fail, "is being deleted"),
    (|w| { w.instead.insert("/", (401, refusal(401, "Unauthorized", "Unauthorized"))); }, "cluster.reachable", "127.0.0.1", Status::Unknown, "Unauthorized"),
    (|w| forbid(w, "/pods", "pods"), "pods.ready", "namespace/shop", Status::Unknown, "forbidden"),
    (|w| forbid(w, "/deployments", "deployments"), "workload.ready", "deployment of namespace/shop", Status::Unknown, "forbidden"),
    (|w| forbid(w, "/jobs", "jobs"), "job.complete", "namespace/shop", Status::Unknown, "forbidden"),
    (|w| forbid(w, "/persistentvolumeclaims", "claims"), "volume.bound", "namespace/shop", Status::Unknown, "forbidden"),
    (|w| forbid(w, "/poddisruptionbudgets", "budgets"), "disruption.budget", "namespace/shop", Status::Unknown, "forbidden"),
    (|w| forbid(w, "/horizontalpodautoscalers", "autoscalers"), "autoscaler.room", "namespace/shop", Status::Unknown, "forbidden"),
    (|w| forbid(w, "/resourcequotas", "quotas"), "quota.room", "namespace/shop", Status::Unknown, "forbidden"),
    (|w| forbid(w, "/events", "events"), "events.warning", "namespace/shop", Status::Unknown, "forbidden"),
    (|w| forbid(w, "/endpointslices", "slices"), "service.endpoints", "namespace/shop", Status::Unknown, "forbidden"),
    (|w| { w.instead.insert("/pods?", (200, "{\"items\": 7}".to_owned())); }, "pods.ready", "namespace/shop", Status::Unknown, "is no list"),
];

/// A healthy variant: its name, what makes it, and the checks that may warn in it.
type Healthy = (&'static str, fn(&mut World), &'static [&'static str]);

#[rustfmt::skip]
const HEALTHY: &[Healthy] = &[
    ("nothing special", |_| {}, &[]),
    ("a completed Job and its pod", |w| { w.add("jobs", done_job("migrate", None, 60)); let mut p = pod("migrate-x", 9, "Job/migrate"); p["status"] = json!({"phase": "Succeeded"}); w.add("pods", p); }, &[]),
    ("a Job that succeeded at the second try", |w| { w.add("jobs", done_job("migrate", None, 60)); let mut p = pod("migrate-x", 9, "Job/migrate"); p["status"] = json!({"phase": "Failed"}); w.add("pods", p); }, &["pods.ready"]),
    ("a suspended Job", |w| w.add("jobs", json!({"metadata": {"name": "later"}, "spec": {"suspend": true, "template": {}}, "status": {"conditions": [{"type": "Suspended", "status": "True"}]}})), &[]),
    ("a suspended CronJob", |w| w.add("cronjobs", json!({"metadata": {"name": "nightly"}, "spec": {"schedule": "0 0 * * *", "suspend": true, "jobTemplate": {}}})), &[]),
    ("a CronJob that failed once and has succeeded since", |w| { w.add("cronjobs", json!({"metadata": {"name": "nightly"}})); w.add("jobs", failed_job("nightly-1", "BackoffLimitExceeded", Some("nightly"), 7200)); w.add("jobs", done_job("nightly-2", Some("nightly"), 60)); }, &[]),
    ("a Job's pod that is starting", |w| { w.add("jobs", json!({"metadata": {"name": "tick"}, "status": {"active": 1}})); let mut p = pod("tick-x", 9, "Job/tick"); p["metadata"]["creationTimestamp"] = json!(ago(3)); p["status"] = json!({"phase": "Pending"}); w.add("pods", p); }, &["pods.ready"]),
    ("a Deployment scaled to zero on purpose", |w| w.add("deployments", deployment("shop", "spare", 0)), &["workload.ready"]),
    ("init containers that are done", |w| set(w, "pods", "web-1", "/status/initContainerStatuses", json!([{"name": "migrate", "image": "i", "imageID": "d", "ready": true, "restartCount": 1, "state": {"terminated": {"exitCode": 0, "reason": "Completed"}}}])), &[]),
    ("a sidecar", |w| set(w, "pods", "web-1", "/status/initContainerStatuses", json!([{"name": "proxy", "image": "i", "imageID": "d", "ready": true, "started": true, "restartCount": 0, "state": {"running": {}}}])), &[]),
    ("a DaemonSet for some nodes", |w| { let mut n = w.object("nodes", "n1").clone(); n["metadata"]["name"] = json!("n2"); w.lists.get_mut("nodes").expect("there").push(n); let mut u = w.object("usage/nodes", "n1").clone(); u["metadata"]["name"] = json!("n2"); w.lists.get_mut("usage/nodes").expect("there").push(u); }, &[]),
    ("a DaemonSet that matches no node", |w| { for field in ["currentNumberScheduled", "desiredNumberScheduled", "numberReady", "updatedNumberScheduled"] { set(w, "daemonsets", "agent", &format!("/status/{field}"), json!(0)); } }, &[]),
    ("a StatefulSet that is updated by hand", |w| { set(w, "statefulsets", "db", "/spec/updateStrategy", json!({"type": "OnDelete"})); set(w, "statefulsets", "db", "/status/updatedReplicas", json!(0)); }, &[]),
    ("a StatefulSet with a partition", |w| { set(w, "statefulsets", "db", "/spec/updateStrategy", json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}})); set(w, "statefulsets", "db", "/status/updatedReplicas", json!(0)); }, &[]),
    ("a DaemonSet that is updated by hand", |w| { set(w, "daemonsets", "agent", "/spec/updateStrategy", json!({"type": "OnDelete"})); set(w, "daemonsets", "agent", "/status/updatedNumberScheduled", json!(0)); }, &[]),
    ("a Deployment whose old pods are just going", |w| set(w, "deployments", "web", "/status/replicas", json!(3)), &[]),
    ("a pod within its grace period", |w| { let mut p = pod("web-0", 9, "ReplicaSet/web-6d4b"); p["metadata"]["deletionTimestamp"] = json!(ago(-20)); w.add("pods", p); }, &["pods.ready"]),
    ("a disruption budget with room", |w| w.add("poddisruptionbudgets", budget(2, 1, 2, 1)), &[]),
    ("an autoscaler with room", |w| w.add("horizontalpodautoscalers", autoscaler(1, 5, 2, &json!([{"type": "AbleToScale", "status": "True"}, {"type": "ScalingActive", "status": "True"}, {"type": "ScalingLimited", "status": "False"}]))), &[]),
    ("an autoscaler at its minimum", |w| w.add("horizontalpodautoscalers", autoscaler(2, 5, 2, &json!([{"type": "ScalingLimited", "status": "True", "reason": "TooFewReplicas"}]))), &[]),
    ("an autoscaler of a fixed size", |w| w.add("horizontalpodautoscalers", autoscaler(2, 2, 2, &json!([]))), &[]),
    ("an autoscaler of something switched off", |w| w.add("horizontalpodautoscalers", autoscaler(1, 5, 0, &json!([{"type": "ScalingActive", "status": "False", "reason": "ScalingDisabled"}]))), &[]),
    ("a quota half used", |w| w.add("resourcequotas", quota("4Gi", "2Gi")), &[]),
    ("a quota that forbids something", |w| w.add("resourcequotas", quota("0", "0")), &[]),
    ("old warnings", |w| w.add("events", json!({"metadata": {"name": "e"}, "type": "Warning", "reason": "BackOff", "lastTimestamp": ago(7200), "involvedObject": {}})), &[]),
    ("events that are no warnings", |w| w.add("events", json!({"metadata": {"name": "e"}, "type": "Normal", "reason": "Pulled", "lastTimestamp": ago(5), "involvedObject": {}})), &[]),
    ("a container that restarted yesterday", |w| { container(w, crashed(5, 86_400, "Error", 1)); set(w, "pods", "web-1", "/status/containerStatuses/0/ready", json!(true)); set(w, "pods", "web-1", "/status/conditions/0/status", json!("True")); }, &[]),
    ("a Service of another name", |w| w.add("services", json!({"metadata": {"name": "outside"}, "spec": {"type": "ExternalName", "externalName": "example.com"}})), &[]),
    ("an endpoint that is no pod", |w| set(w, "endpointslices", "web-x", "/endpoints/1", json!({"addresses": ["192.0.2.1"]})), &[]),
    ("a claim that waits for its first pod", |w| w.add("persistentvolumeclaims", json!({"metadata": {"name": "spare"}, "status": {"phase": "Pending"}})), &["volume.bound"]),
    ("an alert that always fires", |w| say(w, "prometheus:9090/api/v1/alerts", 200, &alerts(&[("Watchdog", "none", "firing")])), &[]),
    ("an alert that may fire later", |w| say(w, "prometheus:9090/api/v1/alerts", 200, &alerts(&[("DiskFull", "critical", "pending")])), &[]),
    ("an alert that is silenced", |w| { say(w, "prometheus:9090/api/v1/alerts", 200, &alerts(&[("DiskFull", "critical", "firing")])); say(w, "alertmanager:9093/api/v2/alerts", 200, r#"[{"labels": {"alertname": "DiskFull", "severity": "critical", "cluster": "c"}, "status": {"state": "suppressed"}}]"#); }, &["monitoring.alerts"]),
    ("a target of another team that is down", |w| { target(w, 2, "/value/1", json!("0")); target(w, 2, "/metric/namespace", json!("other")); }, &["monitoring.targets"]),
    ("a pod too new to have figures", |w| { set(w, "pods", "web-1", "/metadata/creationTimestamp", json!(ago(20))); w.lists.get_mut("usage/pods").expect("there").retain(|p| p["metadata"]["name"] != "web-1"); }, &[]),
    ("a namespace that may not be read by name", |w| { w.instead.insert("/api/v1/namespaces/kube-system", (403, refusal(403, "Forbidden", "no"))); }, &[]),
];

fn told(checks: &[Check]) -> String {
    checks
        .iter()
        .filter(|check| !matches!(check.status, Status::Pass | Status::Skipped))
        .map(|check| {
            format!(
                "  {:?} {} {:?}: {}\n",
                check.status, check.id, check.object, check.message
            )
        })
        .collect::<Vec<_>>()
        .concat()
}

/// Runs on one thread and its timer, as the tools do.
pub fn run(future: impl Future<Output = ()>) {
    chaos_common::cli::block_on(future);
}

#[test]
fn every_way_to_be_broken_is_found_and_named() {
    assert!(BROKEN.len() >= 60, "{}", BROKEN.len());
    run(async {
        let bed = Bed::new().await;
        let mut missed = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for (at, (change, id, object, status, words)) in BROKEN.iter().enumerate() {
            let mut world = World::healthy();
            change(&mut world);
            let checks = bed.examine(world).await.checks;
            seen.extend(checks.iter().map(|check| check.id.clone()));
            let found = checks.iter().any(|check| {
                check.id == *id
                    && check.status == *status
                    && check.object.as_deref().unwrap_or_default().contains(object)
                    && check.message.contains(words)
            });
            let passes = Verdict::of(&checks) == Verdict::Pass;
            if !found || passes == matches!(status, Status::Fail | Status::Unknown) {
                missed.push(format!(
                    "{at}: {status:?} {id} {object}: {words}\nbut:\n{}",
                    told(&checks)
                ));
            }
        }
        assert!(missed.is_empty(), "{}", missed.concat());
        for id in seen {
            assert!(Explanation::of(&id).is_some(), "{id} has no explanation");
        }
        println!("{} ways to be broken, all found", BROKEN.len());
    });
}

#[test]
fn healthy_variants_raise_no_alarm() {
    assert!(HEALTHY.len() >= 20, "{}", HEALTHY.len());
    run(async {
        let bed = Bed::new().await;
        let mut alarms = Vec::new();
        for (name, change, may_warn) in HEALTHY {
            let mut world = World::healthy();
            change(&mut world);
            let checks = bed.examine(world).await.checks;
            let alarm = checks.iter().any(|check| {
                check.is_bad()
                    || (check.status == Status::Warn && !may_warn.contains(&check.id.as_str()))
            });
            if alarm || Verdict::of(&checks) != Verdict::Pass {
                alarms.push(format!("{name}:\n{}", told(&checks)));
            }
        }
        assert!(alarms.is_empty(), "{}", alarms.concat());
        println!("{} healthy variants, no alarm", HEALTHY.len());
    });
}

#[test]
fn what_is_left_out_is_not_asked_and_says_so() {
    run(async {
        let mut bed = Bed::new().await;
        bed.config.health.skip = CATALOGUE
            .iter()
            .filter(|c| c.may_be_skipped())
            .map(|c| c.id.to_owned())
            .collect();
        let mut world = World::healthy();
        world.lists.get_mut("pods").expect("there").clear();
        let checks = bed.examine(world).await.checks;
        let done: Vec<_> = checks
            .iter()
            .filter(|check| check.status != Status::Skipped)
            .map(|c| c.id.as_str())
            .collect();
        assert_eq!(done, ["cluster.reachable", "namespace.exists"]);
        assert_eq!(checks.len(), CATALOGUE.len());
    });
}

#[test]
fn clocks_that_differ_are_told_and_ages_count_by_the_clusters() {
    run(async {
        let bed = Bed::new().await;
        for (clock, side) in [(-3600, "ahead of"), (3600, "behind")] {
            let world = |finished: i64| {
                let mut world = World::healthy();
                world.clock = clock;
                // Ready again after a crash, by the cluster's clock so many seconds ago.
                let container = world
                    .object("pods", "web-1")
                    .pointer_mut("/status/containerStatuses/0");
                let container = container.expect("it has one");
                for (key, value) in crashed(4, finished - clock, "Error", 1)
                    .as_object()
                    .expect("fields")
                {
                    container[key] = value.clone();
                }
                world
            };
            let checks = bed.examine(world(30)).await.checks;
            let crash = checks
                .iter()
                .find(|check| check.id == "pods.ready" && check.status == Status::Fail);
            assert!(
                crash.is_some_and(|check| check.message.contains("crash loop")),
                "{}",
                told(&checks)
            );
            let told_of = checks
                .iter()
                .find(|check| check.id == "cluster.clock")
                .expect("it was made");
            assert_eq!(told_of.status, Status::Warn);
            assert!(
                told_of.message.contains(&format!("3600 s {side}")),
                "{told_of:?}"
            );
            let checks = bed.examine(world(1200)).await.checks;
            assert!(
                checks
                    .iter()
                    .all(|check| check.id != "pods.ready" || check.status == Status::Pass),
                "{}",
                told(&checks)
            );
        }
    });
}

#[test]
fn a_service_of_https_is_asked_so_through_the_api_server() {
    run(async {
        let mut bed = Bed::new().await;
        bed.config.services[0].https = true;
        let of = |checks: &[Check]| {
            checks
                .iter()
                .find(|check| check.id == "service.http")
                .cloned()
                .expect("it was made")
        };
        assert_eq!(
            of(&bed.examine(World::healthy()).await.checks).status,
            Status::Fail
        );
        let mut world = World::healthy();
        let good = world.answers["web:80/health"].clone();
        world.answers.insert("https:web:80/health", good);
        let check = of(&bed.examine(world).await.checks);
        assert_eq!(
            (check.status, check.object.as_deref()),
            (Status::Pass, Some("https://web.shop:80/health")),
            "{check:?}"
        );
    });
}
