//! Changes to the healthy world, and the objects that cases add to it.

use serde_json::{Value, json};

use crate::world::{World, ago, refusal};

pub fn set(world: &mut World, kind: &'static str, name: &str, pointer: &str, value: Value) {
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
pub fn container(world: &mut World, status: Value) {
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

pub fn waiting(world: &mut World, reason: &str, message: &str) {
    container(
        world,
        json!({"state": {"waiting": {"reason": reason, "message": message}}}),
    );
}

pub fn pending(world: &mut World, reason: &str, message: &str) {
    let pod = world.object("pods", "web-1");
    pod["status"] = json!({"phase": "Pending",
        "conditions": [{"type": "PodScheduled", "status": "False", "reason": reason, "message": message}]});
}

pub fn crashed(count: i32, seconds: i64, reason: &str, code: i32) -> Value {
    json!({"restartCount": count, "lastState": {"terminated": {"exitCode": code, "reason": reason, "finishedAt": ago(seconds)}}})
}

pub fn failed_job(name: &str, reason: &str, schedule: Option<&str>, born: i64) -> Value {
    let owners = schedule.map(
        |name| json!([{"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": "u"}]),
    );
    json!({"metadata": {"name": name, "creationTimestamp": ago(born), "ownerReferences": owners},
        "status": {"failed": 1, "conditions": [{"type": "Failed", "status": "True", "reason": reason, "message": "why"}]}})
}

pub fn done_job(name: &str, schedule: Option<&str>, born: i64) -> Value {
    let mut job = failed_job(name, "x", schedule, born);
    job["status"] = json!({"succeeded": 1, "conditions": [{"type": "Complete", "status": "True"}]});
    job
}

pub fn budget(healthy: i32, desired: i32, expected: i32, allowed: i32) -> Value {
    json!({"metadata": {"name": "web", "generation": 1}, "spec": {},
        "status": {"observedGeneration": 1, "currentHealthy": healthy, "desiredHealthy": desired, "expectedPods": expected,
            "disruptionsAllowed": allowed}})
}

pub fn autoscaler(min: i32, max: i32, current: i32, conditions: &Value) -> Value {
    json!({"metadata": {"name": "web"},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "minReplicas": min, "maxReplicas": max},
        "status": {"currentReplicas": current, "desiredReplicas": current, "conditions": conditions}})
}

pub fn quota(hard: &str, used: &str) -> Value {
    json!({"metadata": {"name": "all"}, "status": {"hard": {"requests.memory": hard}, "used": {"requests.memory": used}}})
}

pub fn target(world: &mut World, at: usize, pointer: &str, value: Value) {
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

pub fn say(world: &mut World, address: &'static str, status: u16, body: &str) {
    world.answers.insert(
        address,
        (status, body.to_owned(), std::time::Duration::ZERO),
    );
}

pub fn forbid(world: &mut World, part: &'static str, what: &str) {
    let message = format!("{what} is forbidden: User \"u\" cannot list it");
    world
        .instead
        .insert(part, (403, refusal(403, "Forbidden", &message)));
}

/// A Service of namespace `shop` with this specification.
pub fn service(name: &str, spec: &Value) -> Value {
    json!({"metadata": {"name": name}, "spec": spec})
}

/// A slice of a Service that has one port without a name, with these endpoints.
pub fn slice(service: &str, endpoints: &Value) -> Value {
    json!({"metadata": {"name": format!("{service}-x"), "labels": {"kubernetes.io/service-name": service}},
        "addressType": "IPv4", "ports": [{"name": "", "port": 8080}], "endpoints": endpoints})
}

/// An endpoint of a pod that nobody has seen.
pub fn dead(namespace: &str, uid: Option<&str>) -> Value {
    json!([{"addresses": ["10.0.0.9"], "conditions": {"ready": true},
        "targetRef": {"kind": "Pod", "namespace": namespace, "name": "gone-1", "uid": uid}}])
}

/// A UID that no pod has.
pub const NOBODY: Option<&str> = Some("6f1d2a53-1f2e-4f0e-8d07-0000000000fe");

/// A node like `n1` on which nothing of the shop runs.
pub fn spare_node(world: &mut World) -> &mut Value {
    let mut node = world.object("nodes", "n1").clone();
    node["metadata"]["name"] = json!("n2");
    world.lists.get_mut("nodes").expect("there").push(node);
    let mut usage = world.object("usage/nodes", "n1").clone();
    usage["metadata"]["name"] = json!("n2");
    world
        .lists
        .get_mut("usage/nodes")
        .expect("there")
        .push(usage);
    world.object("nodes", "n2")
}

/// A condition of a node.
pub fn condition(node: &mut Value, name: &str, status: &str) {
    let conditions = node["status"]["conditions"].as_array_mut();
    let condition = json!({"type": name, "status": status, "message": "so it is"});
    conditions.expect("a list").push(condition);
}

/// Gives a condition of a node, which it has or not, another status.
pub fn set_condition(node: &mut Value, name: &str, status: &str) {
    let conditions = node["status"]["conditions"].as_array_mut();
    conditions
        .expect("a list")
        .retain(|condition| condition["type"] != name);
    condition(node, name, status);
}

/// A pod of the Deployment `web` that has failed.
pub fn failed_pod(name: &str, number: u8, reason: &str) -> Value {
    let mut pod = crate::world::pod(name, number, "ReplicaSet/web-6d4b");
    pod["metadata"]["creationTimestamp"] = json!(ago(7 * 86_400));
    pod["status"] = json!({"phase": "Failed", "reason": reason, "message": "so it was"});
    pod
}

/// A pod of a Job with two containers, the first of which is done with this exit status.
pub fn half_done(code: i32) -> Value {
    let mut pod = crate::world::pod("import-x", 9, "Job/import");
    pod["spec"]["restartPolicy"] = json!("Never");
    pod["status"]["conditions"][0]["status"] = json!("False");
    let mut done = pod["status"]["containerStatuses"][0].clone();
    done["name"] = json!("load");
    done["ready"] = json!(false);
    done["state"] = json!({"terminated": {"exitCode": code, "reason": "Completed"}});
    let containers = pod["status"]["containerStatuses"].as_array_mut();
    containers.expect("a list").insert(0, done);
    pod
}

/// A quota of one resource.
pub fn quota_of(resource: &str, hard: &str, used: &str) -> Value {
    json!({"metadata": {"name": "all"}, "status": {"hard": {resource: hard}, "used": {resource: used}}})
}

/// Prometheus has an alert with these labels that fires.
pub fn fire(world: &mut World, labels: &Value) {
    let alert =
        json!({"labels": labels, "annotations": {"summary": "it is so"}, "state": "firing"});
    let body = json!({"status": "success", "data": {"alerts": [alert]}});
    say(
        world,
        "prometheus:9090/api/v1/alerts",
        200,
        &body.to_string(),
    );
}

/// Alertmanager has these alerts: labels, and the state of each.
pub fn routed(world: &mut World, alerts: &[(Value, &str)]) {
    let alert =
        |(labels, state): &(Value, &str)| json!({"labels": labels, "status": {"state": state}});
    let body: Value = alerts.iter().map(alert).collect();
    say(
        world,
        "alertmanager:9093/api/v2/alerts",
        200,
        &body.to_string(),
    );
}
