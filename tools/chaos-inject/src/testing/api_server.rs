//! An API server in memory behind kube's own client: it keeps objects with UIDs and resource
//! versions, refuses what breaks a precondition, tells watches, records every call, and does amiss
//! what a test scripts.

use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use chaos_common::cluster::Cluster;
use futures::stream;
use http::{Request, Response};
use http_body_util::{BodyExt, StreamBody};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::testing::call::{Call, parse};
use crate::testing::logs::{self, Logs};
use crate::testing::managed;
use crate::testing::objects::NAMESPACE;
use crate::testing::patch;
use crate::testing::replies::{Reply, answer, reason, refuse, reply, said, text_reply};
use crate::testing::script::{Behaviour, Rule};
use crate::testing::services::{ServiceAnswers, proxied};
use crate::testing::store::{Refusal, Store};

/// Kinds, with their plurals and the paths of their API groups.
const KINDS: [(&str, &str, &str); 13] = [
    ("Deployment", "deployments", "/apis/apps/v1"),
    ("ReplicaSet", "replicasets", "/apis/apps/v1"),
    ("StatefulSet", "statefulsets", "/apis/apps/v1"),
    ("DaemonSet", "daemonsets", "/apis/apps/v1"),
    ("Pod", "pods", "/api/v1"),
    ("Event", "events", "/api/v1"),
    ("Service", "services", "/api/v1"),
    ("PersistentVolumeClaim", "persistentvolumeclaims", "/api/v1"),
    ("Lease", "leases", "/apis/coordination.k8s.io/v1"),
    (
        "HorizontalPodAutoscaler",
        "horizontalpodautoscalers",
        "/apis/autoscaling/v2",
    ),
    (
        "EndpointSlice",
        "endpointslices",
        "/apis/discovery.k8s.io/v1",
    ),
    (
        "NetworkPolicy",
        "networkpolicies",
        "/apis/networking.k8s.io/v1",
    ),
    (
        "PodDisruptionBudget",
        "poddisruptionbudgets",
        "/apis/policy/v1",
    ),
];

/// The server. Cloning shares it.
#[derive(Clone, Default)]
pub struct ApiServer(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    store: Store,
    calls: Vec<String>,
    script: Vec<Rule>,
    /// Verbs and resources that nobody may use: `delete pods`.
    denied: Vec<String>,
    /// The same, and every such call is refused.
    forbidden: Vec<String>,
    /// How the Services answer through the API server's proxy.
    services: ServiceAnswers,
    /// What the containers of pods have logged.
    logs: Logs,
    /// The namespace's phase, where it is not `Active`.
    namespace: Option<&'static str>,
}

/// Path of an object here, from `kind/name`.
fn path_of(object: &str) -> String {
    let (kind, name) = object.split_once('/').expect("kind/name");
    format!("{}/{name}", collection_of(kind))
}

fn collection_of(kind: &str) -> String {
    let known = KINDS
        .iter()
        .find(|(known, ..)| known.eq_ignore_ascii_case(kind));
    let (_, plural, root) = known.unwrap_or_else(|| panic!("{kind} is not a kind here"));
    format!("{root}/namespaces/{NAMESPACE}/{plural}")
}

impl ApiServer {
    /// A server that has these objects.
    pub fn with(objects: impl IntoIterator<Item = Value>) -> ApiServer {
        let server = ApiServer::default();
        server.add_all(objects);
        server
    }

    /// A connection to it.
    pub fn cluster(&self) -> Cluster {
        // As the command line does: HTTP clients need one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let server = self.clone();
        let service = tower::service_fn(move |request| {
            let server = server.clone();
            async move { server.serve(request).await }
        });
        Cluster::with_client(Client::new(service, NAMESPACE), "test", "https://test")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no test panics while it holds this")
    }

    /// Somebody creates an object.
    pub fn add(&self, object: Value) {
        let name = object["metadata"]["name"]
            .as_str()
            .expect("objects have names");
        let path = path_of(&format!(
            "{}/{name}",
            object["kind"].as_str().expect("a kind")
        ));
        self.state().store.create(&path, object).expect("it is new");
    }

    /// Somebody creates several.
    pub fn add_all(&self, objects: impl IntoIterator<Item = Value>) {
        for object in objects {
            self.add(object);
        }
    }

    /// An object by `kind/name`.
    pub fn get(&self, object: &str) -> Option<Value> {
        self.state().store.get(&path_of(object)).ok()
    }

    /// Somebody changes an object by hand.
    pub fn edit(&self, object: &str, patch: &Value) {
        let merge = |now: &mut Value| patch::merge(now, patch);
        let edited = self.state().store.update(&path_of(object), merge);
        edited.expect("it exists");
    }

    /// A controller changes an object, under its own name.
    pub fn edit_by(&self, manager: &str, object: &str, patch: &Value) {
        let merge = |now: &mut Value| patch::merge(now, patch);
        let mut state = self.state();
        let edited = state.store.update_by(manager, &path_of(object), merge);
        edited.expect("it exists");
    }

    /// Somebody deletes an object.
    pub fn remove(&self, object: &str) {
        let removed = self.state().store.delete(&path_of(object), &Value::Null);
        removed.expect("it exists");
    }

    /// What there is of a kind, by name.
    pub fn names(&self, kind: &str) -> Vec<String> {
        let collection = collection_of(kind);
        let paths = self.state().store.paths();
        let name = |path: &String| {
            path.strip_prefix(&collection)?
                .strip_prefix('/')
                .map(str::to_owned)
        };
        paths.iter().filter_map(name).collect()
    }

    /// The next `times` requests like this (`PATCH deployments/shop`) are treated so.
    pub fn script(&self, request: &str, times: usize, behaviour: Behaviour) {
        self.add_rule(request, Some(times), behaviour);
    }

    /// All requests like this are treated so from now on.
    pub fn always(&self, request: &str, behaviour: Behaviour) {
        self.add_rule(request, None, behaviour);
    }

    fn add_rule(&self, request: &str, left: Option<usize>, behaviour: Behaviour) {
        let request = request.to_owned();
        self.state().script.push(Rule {
            request,
            left,
            behaviour,
        });
    }

    /// It works as it should again.
    pub fn mend(&self) {
        self.state().script.clear();
    }

    /// Nobody may do this any more: `delete pods`.
    pub fn deny(&self, permission: &str) {
        self.state().denied.push(permission.to_owned());
    }

    /// Every such call is refused from now on: `list leases`.
    pub fn forbid(&self, permission: &str) {
        self.state().forbidden.push(permission.to_owned());
    }

    /// How a Service answers from now on, where no path of it is told apart.
    pub fn answer(&self, service: &str, status: u16, body: &str) {
        self.set_answer(service, None, (status, body));
    }

    /// How a Service answers to one path from now on.
    pub fn answer_path(&self, service: &str, path: &str, status: u16, body: &str) {
        self.set_answer(service, Some(path), (status, body));
    }

    fn set_answer(&self, service: &str, path: Option<&str>, (status, body): (u16, &str)) {
        self.state().services.set(service, path, (status, body));
    }

    /// Nobody is behind a Service any more.
    pub fn answers_no_more(&self, service: &str) {
        self.state().services.unset(service);
    }

    /// How a pod answers to whoever asks it itself: `pod/NAME`, and `pod/https:NAME` over TLS. All
    /// others are `pod/*` and `pod/https:*`.
    pub fn answer_of_pod(&self, pod: &str, status: u16, body: &str) {
        self.set_answer(pod, None, (status, body));
    }

    /// What a container of a pod has logged.
    pub fn log(&self, pod: &str, container: &str, text: &str) {
        self.state().logs.set(pod, container, text);
    }

    /// Somebody deletes the namespace: all in it goes, and it is on its way out itself.
    pub fn delete_namespace(&self) {
        let mut state = self.state();
        state.namespace = Some("Terminating");
        for path in state.store.paths() {
            // What it owned went with what was before it.
            let _ = state.store.delete(&path, &Value::Null);
        }
    }

    /// Every watch breaks off; with `forget`, the server does not know any more what was before.
    pub fn break_watches(&self, forget: bool) {
        self.state().store.break_watches(forget);
    }

    /// Every call so far, as `METHOD /path`.
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// The calls that change something, without the Leases' renewals, and without their paths'
    /// beginnings: `PATCH deployments/shop`. A dry run and a review change nothing.
    pub fn writes(&self) -> Vec<String> {
        let short = |call: &String| {
            let (method, path) = call.split_once(' ')?;
            let named = path.split_once(&format!("/namespaces/{NAMESPACE}/"))?.1;
            (method != "GET").then(|| format!("{method} {named}"))
        };
        self.calls().iter().filter_map(short).collect()
    }

    async fn serve(self, request: Request<Body>) -> Result<Reply, tower::BoxError> {
        let call = parse(request).await?;
        match self.treat(&call) {
            Treatment::Answer(reply) => Ok(reply),
            Treatment::NoConnection => Err("connection refused".into()),
            Treatment::NoAnswer => std::future::pending().await,
        }
    }

    /// Records a call, and carries it out unless the script says otherwise.
    fn treat(&self, call: &Call) -> Treatment {
        let mut state = self.state();
        // A dry run changes nothing, and is scripted for itself.
        let dry_run = call.query("dryRun").is_some();
        if !dry_run {
            state.calls.push(format!("{} {}", call.method, call.path));
        }
        if state.forbidden.contains(&call.permission()) {
            return Treatment::Answer(refuse(&Refusal(403, "Forbidden")));
        }
        let method = if dry_run { "DRYRUN" } else { &call.method };
        let State { store, script, .. } = &mut *state;
        let rule = script.iter_mut().find_map(|rule| {
            rule.takes(method, &call.path)
                .then_some(&mut rule.behaviour)
        });
        match rule {
            None if call.query("follow").is_some() => Treatment::Answer(self.follow(call)),
            None => Treatment::Answer(state.handle(call)),
            Some(Behaviour::After(act)) => {
                act(store);
                Treatment::Answer(state.handle(call))
            }
            Some(Behaviour::Status(code)) => {
                Treatment::Answer(refuse(&Refusal(*code, reason(*code))))
            }
            Some(Behaviour::Ignored) => Treatment::Answer(reply(store.get(&call.path))),
            Some(Behaviour::NoConnection) => Treatment::NoConnection,
            Some(Behaviour::Lost) => Treatment::NoAnswer,
            Some(Behaviour::AnswerLost) => {
                drop(state.handle(call));
                Treatment::NoAnswer
            }
        }
    }
}

impl ApiServer {
    /// The log of a container that says the same again five times a second, as long as its pod is
    /// there.
    fn follow(&self, call: &Call) -> Reply {
        let pod = logs::pod_of(&call.path).unwrap_or_default().to_owned();
        let container = call.query("container").map(str::to_owned);
        let frames = stream::unfold(self.clone(), move |server| {
            let (pod, container) = (pod.clone(), container.clone());
            async move {
                sleep(Duration::from_millis(200)).await;
                server.get(&format!("pod/{pod}"))?;
                let said = {
                    let state = server.state();
                    let said = state.logs.read(&pod, container.as_deref());
                    said.ok()?.to_owned()
                };
                Some((Ok(hyper::body::Frame::data(Bytes::from(said))), server))
            }
        });
        Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
    }
}

/// What becomes of a call.
enum Treatment {
    Answer(Reply),
    NoConnection,
    NoAnswer,
}

impl State {
    fn handle(&mut self, call: &Call) -> Reply {
        if call.path == "/version" {
            return answer(
                200,
                &json!({ "major": "1", "minor": "34", "gitVersion": "v1.34.0",
                "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "",
                "compiler": "", "platform": "" }),
            );
        }
        if call.path.ends_with("/selfsubjectaccessreviews") {
            return answer(201, &self.review(&call.body));
        }
        if let Some((name, path)) = proxied(&call.path) {
            return self.proxy(&name, path);
        }
        if let Some(pod) = logs::pod_of(&call.path) {
            return match self.logs.read(pod, call.query("container")) {
                Ok(text) => text_reply(200, text),
                Err(refusal) => refuse(&refusal),
            };
        }
        if call.method == "GET" && call.path == format!("/api/v1/namespaces/{NAMESPACE}") {
            let phase = self.namespace.unwrap_or("Active");
            return answer(
                200,
                &json!({ "apiVersion": "v1", "kind": "Namespace",
                "metadata": { "name": NAMESPACE }, "status": { "phase": phase } }),
            );
        }
        if call.path == "/api/v1/namespaces/kube-system" {
            return answer(
                200,
                &json!({ "apiVersion": "v1", "kind": "Namespace",
                "metadata": { "name": "kube-system", "uid": "c" } }),
            );
        }
        let is_collection = KINDS
            .iter()
            .any(|(_, plural, _)| call.path.ends_with(plural));
        match (call.method.as_str(), is_collection) {
            ("GET", true) if call.query("watch").is_some() => self.watch(call),
            ("GET", true) => answer(200, &self.list(call)),
            ("GET", false) => reply(self.store.get(&call.path)),
            ("POST", true) => reply(self.create(call)),
            ("PATCH", false) => reply(self.patch(call)),
            ("PUT", false) => reply(self.replace(call)),
            ("DELETE", false) => {
                let preconditions = &call.body["preconditions"];
                reply(self.store.delete(&call.path, preconditions))
            }
            _ => refuse(&Refusal(405, "MethodNotAllowed")),
        }
    }

    fn review(&self, body: &Value) -> Value {
        let wanted = &body["spec"]["resourceAttributes"];
        let text = |field: &str| wanted[field].as_str().unwrap_or_default().to_owned();
        let allowed = !self
            .denied
            .contains(&format!("{} {}", text("verb"), text("resource")));
        let mut review = body.clone();
        review["status"] = json!({ "allowed": allowed });
        review
    }

    fn proxy(&self, service: &str, path: &str) -> Reply {
        match self.services.answer(service, path) {
            Some((status, body)) => text_reply(status, body),
            // The API server's own words where nobody is behind a Service.
            None => said(
                &Refusal(503, "ServiceUnavailable"),
                &format!("no endpoints available for service {service:?}"),
            ),
        }
    }

    /// A page of a collection: `continue` is the number of the first object of the next one.
    fn list(&self, call: &Call) -> Value {
        let all = self.store.list(&call.filter());
        let number = |name: &str| call.query(name).and_then(|text| text.parse::<usize>().ok());
        let first = number("continue").unwrap_or(0).min(all.len());
        let end = number("limit").map_or(all.len(), |limit| (first + limit).min(all.len()));
        let more = if end < all.len() {
            end.to_string()
        } else {
            String::new()
        };
        let version = self.store.version().to_string();
        json!({ "apiVersion": "v1", "kind": "List", "items": all[first..end],
            "metadata": { "resourceVersion": version, "continue": more } })
    }

    fn watch(&mut self, call: &Call) -> Reply {
        let from = call
            .query("resourceVersion")
            .and_then(|text| text.parse().ok());
        let lines = self.store.watch(call.filter(), from.unwrap_or(0));
        let frames = stream::unfold(lines, |mut lines| async {
            let line = lines.recv().await?;
            Some((Ok(hyper::body::Frame::data(Bytes::from(line))), lines))
        });
        Response::new(BodyExt::boxed_unsync(StreamBody::new(frames)))
    }

    fn create(&mut self, call: &Call) -> Result<Value, Refusal> {
        let name = call.body["metadata"]["name"]
            .as_str()
            .unwrap_or("generated");
        let path = format!("{}/{name}", call.path);
        if call.query("dryRun").is_some() {
            return Ok(call.body.clone());
        }
        let mut object = call.body.clone();
        object["metadata"]["namespace"] = NAMESPACE.into();
        let manager = call.query("fieldManager").unwrap_or("kube");
        managed::note(&Value::Null, &mut object, manager);
        self.store.create(&path, object)
    }

    fn patch(&mut self, call: &Call) -> Result<Value, Refusal> {
        let merge = if call.content_type.contains("strategic") {
            patch::strategic
        } else {
            patch::merge
        };
        if call.query("dryRun").is_some() {
            return self.store.get(&call.path);
        }
        let manager = call.query("fieldManager").unwrap_or("kube");
        self.store
            .update_by(manager, &call.path, |object| merge(object, &call.body))
    }

    fn replace(&mut self, call: &Call) -> Result<Value, Refusal> {
        if call.query("dryRun").is_some() {
            return self.store.get(&call.path);
        }
        let body = call.body.clone();
        self.store.update(&call.path, |object| *object = body)
    }
}
