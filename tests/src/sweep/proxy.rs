//! A recording proxy in front of the real API server. It speaks plain HTTP on the loopback
//! interface, forwards everything with the cluster's own credentials, streams as well, and does
//! something at a chosen call: before it reaches the server, after the server has answered it, or
//! before with the call arriving late all the same.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::net::TcpListener;

use super::link::{self, Link, whole};

/// How much later a call arrives whose caller is dead: as if the network had kept it.
pub const LATE: Duration = Duration::from_millis(300);

/// Who makes a call, by its user agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// `chaos-inject` itself.
    Tool,
    /// Its guardian.
    Guardian,
}

/// When, in a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before it reaches the server, which never gets it.
    Before,
    /// The server has executed it; its answer is not delivered.
    After,
    /// As before, but it reaches the server after a while.
    Late,
}

/// A call that counts: no probe of a Service or pod.
#[derive(Clone, Debug)]
pub struct Call {
    /// By whom.
    pub who: Who,
    /// Its method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// When the proxy had it.
    pub at: Instant,
    /// When the head of the server's answer came.
    pub answered: Option<Instant>,
    /// The answer's status.
    pub status: Option<u16>,
    /// The tool had a guardian then.
    pub guarded: bool,
}

impl Call {
    /// It changes an object.
    pub fn writes(&self) -> bool {
        matches!(self.method.as_str(), "POST" | "PUT" | "PATCH" | "DELETE")
            && !self.path.contains("reviews")
    }

    /// It is about a Lease.
    pub fn of_lease(&self) -> bool {
        self.path.contains("/leases")
    }

    /// It changed an object.
    pub fn wrote(&self) -> bool {
        self.writes()
            && self
                .status
                .is_some_and(|status| (200..300).contains(&status))
    }

    fn is_stream(&self) -> bool {
        self.path.contains("watch=") || self.path.contains("/exec")
    }

    /// The time that the server took, for calls that end.
    pub fn served(&self) -> Option<(Instant, Instant)> {
        (!self.is_stream()).then_some((self.at, self.answered?))
    }
}

/// What happens at a call. It gives whether the caller is dead now.
pub type Deed = Box<dyn FnOnce() -> bool + Send>;

/// At which call something happens.
pub struct Trigger {
    /// Whose calls are counted, from now on.
    pub who: Who,
    /// The how many-th, from 1.
    pub number: usize,
    /// When in the call.
    pub moment: Moment,
    /// Only writes that are about no Lease count.
    pub faults: bool,
    /// What.
    pub deed: Deed,
}

#[derive(Default)]
struct State {
    calls: Vec<Call>,
    tool: Option<u32>,
    trigger: Option<Trigger>,
    /// Calls under way, but for streams.
    open: usize,
    /// Every third call of a run that has its guardian goes wrong: so many have been made. See
    /// [`weather`].
    storm: Option<usize>,
    /// Every answer comes so much later.
    slow: Duration,
}

/// A running proxy.
#[derive(Clone)]
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    /// Between it and the API server.
    pub(super) link: Link,
    state: Arc<Mutex<State>>,
}

/// What a call is answered with.
#[derive(Clone)]
struct Server {
    client: Client,
    link: Link,
}

/// A connection to the real API server.
pub async fn connect(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .expect("a kubeconfig that holds");
    config.default_retry = false;
    Client::try_from(config).expect("credentials that can be read")
}

/// The children of a process.
pub fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten();
    let lists = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .collect::<Vec<u32>>()
        })
        .collect()
}

impl Proxy {
    /// Starts one in a thread of its own, which lives as long as the program.
    pub fn start(kubeconfig: &Path) -> Proxy {
        let state = Arc::new(Mutex::new(State::default()));
        let (sender, receiver) = std::sync::mpsc::channel();
        let (shared, kubeconfig) = (Arc::clone(&state), kubeconfig.to_owned());
        let link = Link::new();
        let way = link.clone();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(async {
                let server = Server {
                    client: connect(&kubeconfig).await,
                    link: way,
                };
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
                sender
                    .send(listener.local_addr().expect("an address"))
                    .expect("somebody waits");
                loop {
                    let Ok((stream, _)) = listener.accept().await else {
                        continue;
                    };
                    let (server, state) = (server.clone(), Arc::clone(&shared));
                    let service = service_fn(move |request| {
                        answer(server.clone(), Arc::clone(&state), request)
                    });
                    // A caller that was killed leaves its connection broken; that is what we are
                    // here for.
                    tokio::spawn(
                        http1::Builder::new()
                            .serve_connection(TokioIo::new(stream), service)
                            .with_upgrades(),
                    );
                }
            });
        });
        Proxy {
            address: receiver.recv().expect("the proxy starts"),
            link,
            state,
        }
    }

    /// A kubeconfig of the API server behind it.
    pub(super) fn kubeconfig(&self) -> String {
        format!(
            "{{apiVersion: v1, kind: Config, current-context: sweep,
               clusters: [{{name: sweep, cluster: {{server: \"http://{}\"}}}}], users: [{{name: sweep, user: {{}}}}],
               contexts: [{{name: sweep, context: {{cluster: sweep, user: sweep}}}}]}}",
            self.address
        )
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// Forgets the calls so far, and gets ready for another run.
    pub fn begin(&self) {
        let storm = self.state().storm.map(|_| 0);
        *self.state() = State {
            storm,
            ..State::default()
        };
    }

    /// From now on, the API server is in a bad way once a run has its guardian.
    pub fn storm(&self) {
        self.state().storm = Some(0);
    }

    /// From now on every answer comes so much later.
    pub fn slow(&self, by: Duration) {
        self.state().slow = by;
    }

    /// The process whose guardian is looked for.
    pub fn of(&self, tool: u32) {
        self.state().tool = Some(tool);
    }

    /// Sets what happens at a call.
    pub fn arm(&self, trigger: Trigger) {
        self.state().trigger = Some(trigger);
    }

    /// Takes away what would happen and has not; `false` if it has.
    pub fn disarm(&self) -> bool {
        self.state().trigger.take().is_some()
    }

    /// The calls so far.
    pub fn calls(&self) -> Vec<Call> {
        self.state().calls.clone()
    }

    /// No call is under way any more.
    pub fn is_quiet(&self) -> bool {
        self.state().open == 0
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn who(headers: &HeaderMap) -> Who {
    let agent = headers
        .get(http::header::USER_AGENT)
        .and_then(|agent| agent.to_str().ok());
    if agent == Some("chaos-inject-guardian") {
        Who::Guardian
    } else {
        Who::Tool
    }
}

/// A probe of what runs in the cluster: there are very many, and nothing is at stake in them.
fn is_probe(uri: &Uri) -> bool {
    let parts: Vec<&str> = uri.path().split('/').collect();
    parts.windows(2).any(|two| two == ["services", "proxy"])
        || parts
            .iter()
            .position(|part| *part == "proxy")
            .is_some_and(|at| at >= 3 && matches!(parts[at - 2], "services" | "pods"))
}

/// What goes wrong with the `n`-th call in a storm: the status that is answered, and whether the
/// server has executed it all the same.
fn weather(n: usize, call: &Call) -> Option<(u16, bool)> {
    // An exec that never comes about is no fault of the API server's that could be tried again.
    if !n.is_multiple_of(3) || call.path.contains("/exec") {
        return None;
    }
    Some(match n / 3 % 4 {
        0 => (500, true),
        1 => (429, false),
        2 if call.writes() => (409, false),
        2 if call.is_stream() => (410, false),
        _ => (503, false),
    })
}

/// The trigger, if this is its call.
fn due(state: &mut State, call: &Call) -> Option<Trigger> {
    let of_fault = call.writes() && !call.of_lease();
    let trigger = state
        .trigger
        .as_mut()
        .filter(|trigger| trigger.who == call.who && (of_fault || !trigger.faults))?;
    trigger.number -= 1;
    if trigger.number == 0 {
        state.trigger.take()
    } else {
        None
    }
}

type Answer = Result<Response<link::Answer>, Silence>;

/// The connection ends without an answer: the caller is dead, or the API server away.
#[derive(Debug)]
struct Silence;

impl std::fmt::Display for Silence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("there is no answer")
    }
}

impl std::error::Error for Silence {}

async fn answer(server: Server, state: Arc<Mutex<State>>, request: Request<Incoming>) -> Answer {
    if server.link.is_away() {
        return Err(Silence);
    }
    if is_probe(request.uri()) {
        return Ok(server.forward(request).await);
    }
    let slow = lock(&state).slow;
    tokio::time::sleep(slow).await;
    let (number, trigger, weather) = {
        let mut state = lock(&state);
        let who = who(request.headers());
        let call = Call {
            who,
            method: request.method().to_string(),
            path: request.uri().to_string(),
            at: Instant::now(),
            answered: None,
            status: None,
            guarded: state.tool.is_some_and(|tool| !children(tool).is_empty()),
        };
        let weather = match &mut state.storm {
            Some(n) if call.guarded || who == Who::Guardian => {
                *n += 1;
                weather(*n, &call)
            }
            _ => None,
        };
        let trigger = due(&mut state, &call);
        state.calls.push(call);
        state.open += 1;
        (state.calls.len() - 1, trigger, weather)
    };
    // A task of its own: a call that was sent reaches the server, whatever becomes of the caller.
    let task = tokio::spawn(async move {
        let (mut killed, mut after) = (false, None);
        if let Some(trigger) = trigger {
            match trigger.moment {
                Moment::After => after = Some(trigger.deed),
                Moment::Before | Moment::Late => {
                    killed = (trigger.deed)();
                    if killed && trigger.moment == Moment::Before {
                        lock(&state).open -= 1;
                        return Err(Silence);
                    }
                    if trigger.moment == Moment::Late {
                        tokio::time::sleep(LATE).await;
                    }
                }
            }
        }
        let response = match weather {
            Some((status, executed)) => {
                if executed {
                    server.forward(request).await;
                }
                trouble(status)
            }
            None => server.forward(request).await,
        };
        {
            let mut state = lock(&state);
            state.open -= 1;
            if let Some(call) = state.calls.get_mut(number) {
                call.answered = Some(Instant::now());
                call.status = Some(response.status().as_u16());
            }
        }
        if let Some(deed) = after {
            killed = deed();
        }
        let silent = killed || server.link.is_away();
        if silent { Err(Silence) } else { Ok(response) }
    });
    task.await.expect("it does not panic")
}

impl Server {
    /// Passes a call on, and the answer back; a connection that is taken over is copied from then
    /// on.
    async fn forward(&self, mut request: Request<Incoming>) -> Response<link::Answer> {
        let ours = request
            .headers()
            .contains_key(http::header::UPGRADE)
            .then(|| hyper::upgrade::on(&mut request));
        let (mut parts, body) = request.into_parts();
        parts.headers.remove(http::header::HOST);
        parts.extensions.clear();
        let body = match body.collect().await {
            Ok(body) => Body::from(body.to_bytes()),
            Err(_) => return gateway("the call was cut off"),
        };
        let mut response = match self.client.send(Request::from_parts(parts, body)).await {
            Ok(response) => response,
            Err(error) => return gateway(&error.to_string()),
        };
        if let (StatusCode::SWITCHING_PROTOCOLS, Some(ours)) = (response.status(), ours) {
            let theirs = hyper::upgrade::on(&mut response);
            let link = self.link.clone();
            tokio::spawn(async move {
                if let (Ok(ours), Ok(theirs)) = (ours.await, theirs.await) {
                    link.copy(ours, theirs).await;
                }
            });
            let mut head = Response::new(whole(Vec::new()));
            *head.status_mut() = response.status();
            *head.headers_mut() = response.headers().clone();
            return head;
        }
        response.map(|body| self.link.body(body))
    }
}

/// An answer of an API server in trouble.
fn trouble(status: u16) -> Response<link::Answer> {
    let said = serde_json::json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "the weather is bad", "reason": "Unknown", "code": status,
    });
    let mut response = Response::new(whole(said.to_string()));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    let headers = response.headers_mut();
    headers.insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    if status == 429 {
        headers.insert(
            http::header::RETRY_AFTER,
            http::HeaderValue::from_static("1"),
        );
    }
    response
}

fn gateway(why: &str) -> Response<link::Answer> {
    let mut response = Response::new(whole(format!("the proxy has no answer: {why}")));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response
}
