//! An API server in memory: an answer for each path.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use chaos_common::cluster::Cluster;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

type Answers = BTreeMap<String, (u16, String)>;

/// What it answers, and what it was asked.
#[derive(Clone, Default)]
pub struct Api {
    answers: Arc<Mutex<Answers>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Api {
    /// From now on a path has this answer.
    pub fn answer(&self, path: &str, status: u16, body: &Value) {
        let mut answers = self.answers.lock().expect("nobody panics with it");
        answers.insert(path.to_owned(), (status, body.to_string()));
    }

    /// Whether an address with this in it was asked for.
    pub fn asked(&self, part: &str) -> bool {
        let asked = self.asked.lock().expect("nobody panics with it");
        asked.iter().any(|address| address.contains(part))
    }

    /// A connection to it; within a runtime.
    pub fn cluster(&self) -> Cluster {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let answer = api.of(request.uri());
            async move { Ok::<_, std::convert::Infallible>(answer) }
        });
        Cluster::with_client(Client::new(service, "shop"), "c", "https://api")
    }

    fn of(&self, address: &http::Uri) -> Response<Body> {
        let mut asked = self.asked.lock().expect("nobody panics with it");
        asked.push(address.to_string());
        let answers = self.answers.lock().expect("nobody panics with it");
        let missing = || {
            let message = format!("{} not found", address.path());
            let status = json!({ "kind": "Status", "status": "Failure", "reason": "NotFound",
                "code": 404, "message": message });
            (404, status.to_string())
        };
        let (status, body) = answers.get(address.path()).cloned().unwrap_or_else(missing);
        let answer = Response::builder().status(status);
        let answer = answer.header("content-type", "application/json");
        answer
            .body(Body::from(body.into_bytes()))
            .expect("an answer")
    }
}

/// A pod of an owner.
pub fn pod(name: &str, owner: &str, ready: bool) -> Value {
    json!({ "metadata": { "name": name, "namespace": "shop", "ownerReferences": [
            { "apiVersion": "v1", "kind": "X", "name": "x", "uid": owner, "controller": true }] },
        "status": { "conditions": [{ "type": "Ready", "status": if ready { "True" } else { "False" } }] } })
}
