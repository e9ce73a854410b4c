//! Pods that ask in memory, and what becomes of the questions when they go.

use std::collections::BTreeSet;

use super::*;

/// Pods of a peer, as a test has them. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct PodsInMemory(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    pods: Vec<String>,
    /// Routes that are cut, by pod and number.
    cut: BTreeSet<(String, usize)>,
    /// Nobody can be asked to run a command.
    closed: bool,
    /// Commands run on and say nothing.
    silent: bool,
    /// The pods that commands were started in.
    started: Vec<String>,
}

impl PodsInMemory {
    /// These pods, whose routes are all open.
    pub fn of(pods: &[&str]) -> PodsInMemory {
        let peers = PodsInMemory::default();
        peers.state(|state| state.pods = pods.iter().map(ToString::to_string).collect());
        peers
    }

    fn state<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A route of a pod is cut, or open again.
    pub fn cut(&self, pod: &str, route: usize, cut: bool) {
        let one = (pod.to_owned(), route);
        self.state(|state| {
            if cut {
                state.cut.insert(one)
            } else {
                state.cut.remove(&one)
            }
        });
    }

    /// A pod is deleted.
    pub fn delete(&self, pod: &str) {
        self.state(|state| state.pods.retain(|one| one != pod));
    }

    /// No command can be run any more, and those that run are cut off; or it can again.
    pub fn close(&self, closed: bool) {
        self.state(|state| state.closed = closed);
    }

    /// Connections stay and carry nothing.
    pub fn fall_silent(&self, silent: bool) {
        self.state(|state| state.silent = silent);
    }

    /// The pods that were asked from, in order.
    pub fn started(&self) -> Vec<String> {
        self.state(|state| state.started.clone())
    }

    /// What a command says next: nothing if it is over.
    fn line(&self, pod: &str, n: usize) -> Option<&'static str> {
        self.state(|state| {
            let gone = state.closed || !state.pods.iter().any(|one| one == pod);
            let cut = state.cut.contains(&(pod.to_owned(), n));
            (!gone).then_some(match (state.silent, cut) {
                (true, _) => "",
                (false, true) => "answer 000 1",
                (false, false) => "answer 200 0",
            })
        })
    }
}

#[async_trait]
impl Peers for PodsInMemory {
    async fn start(
        &self,
        _commands: &[ProbeCommand; 2],
        not: Option<&str>,
    ) -> Result<Session, ReadError> {
        let pod = self.state(|state| {
            let other = state.pods.iter().find(|pod| Some(pod.as_str()) != not);
            let pod = other.or(state.pods.first()).filter(|_| !state.closed);
            let pod = pod.cloned();
            state.started.extend(pod.clone());
            pod
        });
        let pod = pod.ok_or_else(|| ReadError::other("run curl", "nobody is there"))?;
        let (sender, said) = mpsc::unbounded_channel();
        let mut tasks = Tasks::default();
        for n in 0..2 {
            let (peers, pod, sender) = (self.clone(), pod.clone(), sender.clone());
            let asking = tokio::spawn(async move {
                while let Some(line) = peers.line(&pod, n) {
                    if !line.is_empty() && sender.send((n, Line::Said(line.to_owned()))).is_err() {
                        return;
                    }
                    sleep(Duration::from_millis(200)).await;
                }
                let _ = sender.send((n, Line::Ended("the connection broke".to_owned())));
            });
            tasks.0.push(asking.abort_handle());
        }
        Ok(Session { pod, said, tasks })
    }
}

/// The routes of these pods.
pub fn routes(peers: &PodsInMemory) -> Routes {
    let asking = |url| ProbeCommand::kept(url, Duration::from_secs(60));
    let peers = Arc::new(peers.clone());
    Routes::ask(
        peers,
        asking("http://db.prod:5432"),
        asking("http://x.prod:80"),
    )
}

fn in_ten_seconds() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_goes_is_followed_by_another_which_asks_both_routes() {
    let peers = PodsInMemory::of(&["a", "b"]);
    let routes = routes(&peers);
    let opened = routes.route.open(Instant::now(), in_ten_seconds()).await;
    opened.expect("open from a");
    peers.delete("a");
    for route in [&routes.route, &routes.control] {
        let since = Instant::now();
        let opened = route.open(since, in_ten_seconds()).await;
        assert!(opened.expect("open from b") >= since);
    }
    assert_eq!(peers.started(), ["a", "b"]);
    let sessions: BTreeSet<u32> = routes.route.samples().iter().map(|s| s.session).collect();
    assert_eq!(sessions.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_or_falls_silent_is_opened_anew() {
    let peers = PodsInMemory::of(&["a"]);
    let routes = routes(&peers);
    for breaks in [PodsInMemory::close, PodsInMemory::fall_silent] {
        breaks(&peers, true);
        sleep(Duration::from_secs(8)).await;
        breaks(&peers, false);
        let opened = routes.route.open(Instant::now(), in_ten_seconds()).await;
        opened.expect("asked again");
    }
}

#[tokio::test(start_paused = true)]
async fn while_nobody_can_ask_it_is_said_why() {
    let peers = PodsInMemory::of(&[]);
    let routes = routes(&peers);
    let opened = routes.route.open(Instant::now(), in_ten_seconds()).await;
    let why = opened.expect_err("nobody asks").to_string();
    assert!(why.contains("nobody is there"), "{why}");
}
