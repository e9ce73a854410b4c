//! An API server of a small world: a healthy shop with its node and its monitoring, which each case
//! changes in one way before it is looked at.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

/// What the API server answers with.
#[derive(Clone, Debug)]
pub struct World {
    /// Objects by the plural of their kind; those of the metrics API as `usage/pods` and
    /// `usage/nodes`.
    pub lists: BTreeMap<&'static str, Vec<Value>>,
    /// Answers instead, for addresses that contain the key: a status, and what is said.
    pub instead: BTreeMap<&'static str, (u16, String)>,
    /// Answers of Services by `SERVICE:PORT/PATH`: a status, a body, and after how long.
    pub answers: BTreeMap<&'static str, (u16, String, Duration)>,
    /// Answers that pass: part of the address, how often still, status, and what is said.
    pub passing: Vec<(&'static str, u32, u16, String)>,
    /// Parts of addresses that are answered after a minute only.
    pub stalled: Vec<&'static str>,
    /// How far the API server's clock is ahead of ours, in seconds.
    pub clock: i64,
}

/// So many seconds ago.
pub fn ago(seconds: i64) -> String {
    let time = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(seconds);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn uid(number: u8) -> String {
    format!("6f1d2a53-1f2e-4f0e-8d07-0000000000{number:02x}")
}

/// A pod that is well. `owner` is its controller, as `ReplicaSet/web-6d4b`.
pub fn pod(name: &str, number: u8, owner: &str) -> Value {
    let (kind, owner) = owner.split_once('/').expect("a kind and a name");
    json!({
        "metadata": {"name": name, "namespace": "shop", "uid": uid(number), "creationTimestamp": ago(36_000),
            "labels": {"pod-template-hash": "6d4b"},
            "ownerReferences": [{"apiVersion": "v1", "kind": kind, "name": owner, "uid": "o", "controller": true}]},
        "spec": {"nodeName": "n1", "containers": [{"name": "main", "image": "web:1",
            "resources": {"limits": {"cpu": "500m", "memory": "100Mi"}, "requests": {"cpu": "100m", "memory": "50Mi"}}}]},
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}, {"type": "PodScheduled", "status": "True"}],
            "containerStatuses": [{"name": "main", "image": "web:1", "imageID": "d", "ready": true, "restartCount": 0,
                "state": {"running": {"startedAt": ago(36_000)}}}]},
    })
}

pub fn deployment(namespace: &str, name: &str, replicas: i32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": namespace, "generation": 2},
        "spec": {"replicas": replicas, "selector": {}, "template": {"spec": {"containers": [{"name": "main", "image": "web:1"}]}}},
        "status": {"observedGeneration": 2, "replicas": replicas, "readyReplicas": replicas, "updatedReplicas": replicas,
            "availableReplicas": replicas, "conditions": [{"type": "Available", "status": "True"},
                {"type": "Progressing", "status": "True"}]},
    })
}

fn usage(name: &str, cpu: &str, memory: &str) -> Value {
    json!({"metadata": {"name": name}, "containers": [{"name": "main", "usage": {"cpu": cpu, "memory": memory}}]})
}

fn endpoint(address: &str, pod: &str, number: u8) -> Value {
    json!({"addresses": [address], "conditions": {"ready": true},
        "targetRef": {"kind": "Pod", "namespace": "shop", "name": pod, "uid": uid(number)}})
}

impl World {
    /// The world in which all is well.
    pub fn healthy() -> World {
        let mut db = pod("db-0", 3, "StatefulSet/db");
        db["spec"]["volumes"] =
            json!([{"name": "data", "persistentVolumeClaim": {"claimName": "data-db-0"}}]);
        let lists = [
            (
                "namespaces",
                vec![
                    json!({"metadata": {"name": "shop"}}),
                    json!({"metadata": {"name": "kube-system", "uid": "c"}}),
                ],
            ),
            (
                "deployments",
                vec![
                    deployment("shop", "web", 2),
                    deployment("monitoring", "prometheus", 1),
                    deployment("monitoring", "grafana", 1),
                    deployment("monitoring", "alertmanager", 1),
                ],
            ),
            (
                "statefulsets",
                vec![json!({
                    "metadata": {"name": "db", "namespace": "shop", "generation": 1},
                    "spec": {"replicas": 1, "selector": {}, "serviceName": "db", "template": {"spec": {"containers": []}}},
                    "status": {"observedGeneration": 1, "replicas": 1, "readyReplicas": 1, "updatedReplicas": 1,
                        "availableReplicas": 1},
                })],
            ),
            (
                "daemonsets",
                vec![json!({
                    "metadata": {"name": "agent", "namespace": "shop", "generation": 1},
                    "spec": {"selector": {}, "template": {"spec": {"containers": []}}},
                    "status": {"observedGeneration": 1, "currentNumberScheduled": 1, "desiredNumberScheduled": 1,
                        "numberMisscheduled": 0, "numberReady": 1, "updatedNumberScheduled": 1, "numberAvailable": 1},
                })],
            ),
            (
                "pods",
                vec![
                    pod("web-1", 1, "ReplicaSet/web-6d4b"),
                    pod("web-2", 2, "ReplicaSet/web-6d4b"),
                    db,
                    pod("agent-x", 4, "DaemonSet/agent"),
                ],
            ),
            (
                "services",
                vec![json!({"metadata": {"name": "web", "namespace": "shop"},
                    "spec": {"selector": {"app": "web"}, "ports": [{"name": "http", "port": 80}]}})],
            ),
            (
                "endpointslices",
                vec![
                    json!({"metadata": {"name": "web-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "web"}},
                    "addressType": "IPv4", "ports": [{"name": "http", "port": 8080}],
                    "endpoints": [endpoint("10.0.0.1", "web-1", 1), endpoint("10.0.0.2", "web-2", 2)]}),
                ],
            ),
            (
                "persistentvolumeclaims",
                vec![
                    json!({"metadata": {"name": "data-db-0", "namespace": "shop"}, "status": {"phase": "Bound"}}),
                ],
            ),
            (
                "nodes",
                vec![
                    json!({"metadata": {"name": "n1"}, "spec": {"podCIDR": "10.0.0.0/24"}, "status": {
                    "allocatable": {"cpu": "2", "memory": "4Gi"},
                    "conditions": [{"type": "Ready", "status": "True"}, {"type": "MemoryPressure", "status": "False"},
                        {"type": "DiskPressure", "status": "False"}]}}),
                ],
            ),
            (
                "usage/nodes",
                vec![
                    json!({"metadata": {"name": "n1"}, "usage": {"cpu": "500m", "memory": "1Gi"}}),
                ],
            ),
            (
                "usage/pods",
                ["web-1", "web-2", "db-0", "agent-x"]
                    .map(|name| usage(name, "10m", "20Mi"))
                    .to_vec(),
            ),
        ];
        let soon = Duration::ZERO;
        let targets = json!({"status": "success", "data": {"resultType": "vector", "result": [
            {"metric": {"job": "web", "instance": "10.0.0.1:80"}, "value": [1.0, "1"]},
            {"metric": {"job": "web", "instance": "10.0.0.2:80"}, "value": [1.0, "1"]},
            {"metric": {"job": "db", "instance": "10.0.0.3:9187"}, "value": [1.0, "1"]}]}});
        let answers = [
            (
                "web:80/health",
                (200, r#"{"status":"ok"}"#.to_owned(), soon),
            ),
            ("prometheus:9090/-/ready", (200, "ready".to_owned(), soon)),
            (
                "prometheus:9090/api/v1/query",
                (200, targets.to_string(), soon),
            ),
            ("prometheus:9090/api/v1/alerts", (200, alerts(&[]), soon)),
            (
                "prometheus:9090/api/v1/rules",
                (200, rules(&[("DiskFull", "alerting", "")]), soon),
            ),
            (
                "grafana:3000/api/health",
                (200, r#"{"database":"ok"}"#.to_owned(), soon),
            ),
            ("alertmanager:9093/-/ready", (200, "OK".to_owned(), soon)),
            (
                "alertmanager:9093/api/v2/alerts",
                (200, "[]".to_owned(), soon),
            ),
        ];
        World {
            lists: lists.into(),
            instead: BTreeMap::new(),
            answers: answers.into(),
            passing: Vec::new(),
            stalled: Vec::new(),
            clock: 0,
        }
    }

    /// An object, to be changed.
    pub fn object(&mut self, kind: &'static str, name: &str) -> &mut Value {
        let objects = self.lists.entry(kind).or_default();
        objects
            .iter_mut()
            .find(|object| object["metadata"]["name"] == name)
            .expect("it is in this world")
    }

    /// Adds an object to the namespace `shop`.
    pub fn add(&mut self, kind: &'static str, mut object: Value) {
        object["metadata"]["namespace"] = json!("shop");
        self.lists.entry(kind).or_default().push(object);
    }

    /// Its API server does not answer everything.
    pub fn stalls(&self) -> bool {
        !self.stalled.is_empty()
    }

    /// Something behind its API server answers late by itself.
    pub fn is_slow(&self) -> bool {
        let slow = |answer: &(u16, String, Duration)| !answer.2.is_zero();
        self.answers.values().any(slow)
    }

    /// The next so many answers of an address are these.
    pub fn passing(&mut self, part: &'static str, times: u32, status: u16, said: &str) {
        self.passing.push((part, times, status, said.to_owned()));
    }

    /// The answer to a GET: status, body, and after how long.
    fn answer(&mut self, address: &str) -> (u16, String, Duration) {
        let soon = Duration::ZERO;
        if self.stalled.iter().any(|part| address.contains(part)) {
            return (200, String::new(), Duration::from_secs(60));
        }
        let mut passing = self.passing.iter_mut();
        if let Some((_, left, status, said)) =
            passing.find(|(part, left, ..)| *left > 0 && address.contains(*part))
        {
            *left -= 1;
            return (*status, said.clone(), soon);
        }
        if let Some((_, (status, said))) = self
            .instead
            .iter()
            .find(|(part, _)| address.contains(**part))
        {
            return (*status, said.clone(), soon);
        }
        let path = address.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let missing = || {
            (
                404,
                refusal(404, "NotFound", &format!("{path} not found")),
                soon,
            )
        };
        if let Some((service, rest)) = path.strip_prefix("/api/v1/namespaces/").and_then(|rest| {
            let (_, rest) = rest.split_once("/services/")?;
            rest.split_once("/proxy")
        }) {
            let wanted = format!("{service}{rest}");
            return self.answers.get(wanted.as_str()).cloned().unwrap_or((
                404,
                "no such page".to_owned(),
                soon,
            ));
        }
        let found = |key: &str, namespace: Option<&str>, name: Option<&str>| -> Vec<Value> {
            let objects = self.lists.get(key).cloned().unwrap_or_default();
            let fits = |object: &Value| {
                namespace.is_none_or(|namespace| object["metadata"]["namespace"] == namespace)
                    && name.is_none_or(|name| object["metadata"]["name"] == name)
            };
            objects.into_iter().filter(fits).collect()
        };
        let key = |kind: &str| {
            if path.contains("metrics.k8s.io") {
                format!("usage/{kind}")
            } else {
                kind.to_owned()
            }
        };
        match parts.as_slice() {
            ["version"] => (
                200,
                json!({"major": "1", "minor": "34", "gitVersion": "v1.34.0", "gitCommit": "", "gitTreeState": "",
                "buildDate": "", "goVersion": "", "compiler": "", "platform": ""})
                .to_string(),
                soon,
            ),
            [.., "namespaces", name] => match found("namespaces", None, Some(name)).first() {
                Some(object) => (200, object.to_string(), soon),
                None => missing(),
            },
            [.., "namespaces", namespace, kind] => {
                let key = key(kind);
                let namespace = (!key.starts_with("usage/")).then_some(*namespace);
                let selected = |object: &Value| {
                    (!address.contains("fieldSelector=type%3DWarning") || object["type"] == "Warning")
                        && object["metadata"]["labels"]["kubernetes.io/service-name"].as_str().is_none_or(|service| {
                            !address.contains("labelSelector")
                                || address.ends_with(service)
                                || address.contains(&format!("{service}&"))
                        })
                };
                let items: Vec<Value> = found(&key, namespace, None).into_iter().filter(selected).collect();
                (200, json!({"metadata": {}, "items": items}).to_string(), soon)
            }
            [.., "namespaces", namespace, kind, name] => match found(kind, Some(namespace), Some(name)).first() {
                Some(object) => (200, object.to_string(), soon),
                None => missing(),
            },
            [.., kind] => {
                let mut items = found(&key(kind), None, None);
                if let Some((_, address)) = address.split_once("status.podIP%3D") {
                    items.retain(|pod| pod["status"]["podIP"] == address);
                }
                (200, json!({"metadata": {}, "items": items}).to_string(), soon)
            }
            [] => missing(),
        }
    }
}

/// The API server's way to say no.
pub fn refusal(code: u16, reason: &str, message: &str) -> String {
    json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "reason": reason, "code": code}).to_string()
}

/// Prometheus's list of alerts: name, severity, state.
pub fn alerts(alerts: &[(&str, &str, &str)]) -> String {
    let alerts: Vec<Value> = alerts
        .iter()
        .map(|(name, severity, state)| {
            json!({"labels": {"alertname": name, "severity": severity}, "annotations": {"summary": "it is so"}, "state": state,
                "activeAt": ago(60), "value": "1e+00"})
        })
        .collect();
    json!({"status": "success", "data": {"alerts": alerts}}).to_string()
}

/// Prometheus's list of rules: name, type, and why it can't be evaluated.
pub fn rules(rules: &[(&str, &str, &str)]) -> String {
    let rules: Vec<Value> = rules
        .iter()
        .map(|(name, kind, error)| {
            let health = if error.is_empty() { "ok" } else { "err" };
            json!({"name": name, "type": kind, "health": health, "lastError": error})
        })
        .collect();
    json!({"status": "success", "data": {"groups": [{"name": "g", "rules": rules}]}}).to_string()
}

/// Starts the API server of a world that may be exchanged; gives its address.
pub fn serve(world: Arc<Mutex<World>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one");
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let world = world.clone();
            thread::spawn(move || while answer(&connection, &world).is_some() {});
        }
    });
    format!("http://{address}")
}

/// Answers one request of a connection; `None` at its end.
fn answer(mut connection: &TcpStream, world: &Mutex<World>) -> Option<()> {
    let mut reader = BufReader::new(connection);
    let mut line = String::new();
    reader
        .read_line(&mut line)
        .ok()
        .filter(|length| *length > 0)?;
    let address = line.split_whitespace().nth(1)?.to_owned();
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        if header.trim().is_empty() {
            break;
        }
        if let Some(value) = header.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
    reader.take(length).read_to_end(&mut Vec::new()).ok()?;
    let ((status, body, after), clock) = {
        let mut world = world.lock().expect("no test panicked with it");
        (world.answer(&address), world.clock)
    };
    thread::sleep(after);
    let kind = if body.starts_with(['{', '[']) {
        "application/json"
    } else {
        "text/plain"
    };
    let date = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(clock);
    let date = date.strftime("%a, %d %b %Y %H:%M:%S GMT");
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status} X\r\ndate: {date}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    );
    connection.write_all((head + &body).as_bytes()).ok()
}
