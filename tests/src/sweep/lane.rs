//! Kills in one bed: a run, who dies at which of its calls, and what is left afterwards.

use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kube::Client;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::bed;
use super::figures::{self, Figures, Undo};
use super::points::{Point, Victim, points, spread};
use super::proxy::{self, Call, Moment, Proxy, Trigger, Who};
use super::snapshot::Snapshot;
use crate::cluster::Cluster;

/// Time for a run, with or without its tool, to come to its end.
pub(super) const END: Duration = Duration::from_secs(180);

/// Time for the cluster to remove what belonged to a Lease that is gone.
pub(super) const CLEARANCE: Duration = Duration::from_secs(30);

/// What the systems of monitoring hold where they have no claim, as `--accept-loss` names it: in a
/// volume `data`, or in the file systems of their containers.
pub const MONITORING_DATA: &str = "deployment/prometheus-deployment/data,\
    deployment/prometheus-deployment,deployment/alertmanager-deployment/data,\
    deployment/alertmanager-deployment,deployment/grafana-deployment";

/// Attempts at a run that nobody kills.
const ATTEMPTS: usize = 3;

/// What became of a kill.
#[derive(Clone, Debug)]
pub struct Kill {
    /// Which.
    pub point: Point,
    /// What was left; empty if nothing.
    pub left: Vec<String>,
    /// The undo, seen from the proxy.
    pub undo: Undo,
    /// What else was wrong.
    pub odd: Option<String>,
}

/// A bed, and the experiment that is swept in it.
pub struct Lane {
    /// Which.
    pub experiment: String,
    pub(super) bed: usize,
    pub(super) cluster: Cluster,
    pub(super) proxy: Proxy,
    client: Client,
    runtime: tokio::runtime::Runtime,
    kubeconfig: PathBuf,
    tool: PathBuf,
}

/// Which processes there are, and when they were killed.
#[derive(Debug, Default)]
struct Deaths {
    tool: Option<u32>,
    guardian: Option<u32>,
    at: Option<Instant>,
    second: bool,
}

fn kill(pid: u32) {
    let pid = i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .expect("a process id");
    // It may have ended by itself a moment ago.
    let _ = kill_process(pid, Signal::KILL);
}

/// It runs; one that is dead and not yet waited for does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

impl Lane {
    /// Makes a bed and its proxy.
    pub(super) fn new(bed: usize) -> Lane {
        let cluster = Cluster::of_a_part();
        bed::make(&cluster, bed);
        cluster.place.file("chaos.toml", &bed::config(bed));
        let admin = cluster.state().join("admin.kubeconfig");
        let proxy = Proxy::start(&admin);
        let kubeconfig = cluster.place.file("proxy.kubeconfig", &proxy.kubeconfig());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let client = runtime.block_on(proxy::connect(&admin));
        Lane {
            experiment: String::new(),
            bed,
            cluster,
            proxy,
            client,
            runtime,
            kubeconfig,
            tool: crate::run::bin().join("chaos-inject"),
        }
    }

    pub(super) fn start(&self, args: &[&str]) -> Child {
        let log = std::fs::File::create(self.cluster.place.path().join("stderr"))
            .expect("a file can be made");
        let mut command = self.cluster.place.command(&self.tool);
        command.args(args).arg("--kubeconfig").arg(&self.kubeconfig);
        let records = std::fs::File::create(self.cluster.place.path().join("stdout"))
            .expect("a file can be made");
        command.stdin(Stdio::null()).stdout(records).stderr(log);
        command.spawn().expect("the tool can be started")
    }

    /// What the last process said, shortened.
    pub(super) fn said(&self) -> String {
        let text =
            std::fs::read_to_string(self.cluster.place.path().join("stderr")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n      ")
    }

    pub(super) fn run(&self) -> Child {
        let lost = MONITORING_DATA;
        self.start(&[
            "run",
            &self.experiment,
            "--yes",
            "--override=gate.health=kill sweep",
            "--override=gate.backup=kill sweep",
            "--accept-loss",
            lost,
        ])
    }

    /// Waits until every pod is as its workload wants it.
    pub(super) fn whole(&self) {
        let namespace = bed::namespace(self.bed);
        let end = Instant::now() + END;
        loop {
            let (deployments, pods) = self.runtime.block_on(async {
                let get = async |path: String| -> Value {
                    let request = http::Request::get(path).body(Vec::new()).expect("a path");
                    self.client.request(request).await.unwrap_or_default()
                };
                tokio::join!(
                    get(format!("/apis/apps/v1/namespaces/{namespace}/deployments")),
                    get(format!("/api/v1/namespaces/{namespace}/pods"))
                )
            });
            let empty = Vec::new();
            let deployments = deployments["items"].as_array().unwrap_or(&empty);
            let pods = pods["items"].as_array().unwrap_or(&empty);
            let wanted: i64 = deployments
                .iter()
                .filter_map(|one| one["spec"]["replicas"].as_i64())
                .sum();
            let settled = |one: &Value| {
                let (spec, status) = (&one["spec"], &one["status"]);
                status["observedGeneration"] == one["metadata"]["generation"]
                    && status["readyReplicas"] == spec["replicas"]
                    && status["updatedReplicas"] == spec["replicas"]
            };
            let stays = |pod: &Value| pod["metadata"]["deletionTimestamp"].is_null();
            let whole = !deployments.is_empty()
                && deployments.iter().all(settled)
                && pods.iter().all(stays)
                && i64::try_from(pods.len()) == Ok(wanted);
            if whole {
                return;
            }
            assert!(Instant::now() < end, "{namespace} does not get whole");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        self.runtime
            .block_on(Snapshot::take(&self.client, &bed::namespace(self.bed)))
    }

    /// A run that nobody kills: what calls it makes. It may be too short for the metrics API, which
    /// looks only now and then. A machine that is busy with something else may need several
    /// attempts.
    ///
    /// # Panics
    /// None ends well, or one leaves something.
    pub fn undisturbed(&self) -> Vec<Call> {
        let mut attempts = Vec::new();
        for _ in 0..ATTEMPTS {
            match self.attempt() {
                Ok(calls) => return calls,
                Err(why) => attempts.push(why),
            }
        }
        panic!(
            "{} does not pass:\n{}",
            self.experiment,
            attempts.join("\n")
        );
    }

    fn attempt(&self) -> Result<Vec<Call>, String> {
        self.whole();
        let before = self.snapshot();
        self.proxy.begin();
        let mut child = self.run();
        self.proxy.of(child.id());
        let status = wait(&mut child, END).expect("it ends by itself");
        assert_eq!(before.differences(&self.snapshot()), Vec::<String>::new());
        let said = self.said();
        let unseen =
            status.code() == Some(3) && said.contains("the metrics API has no figures of pod");
        if !status.success() && !unseen {
            return Err(format!("{status}: {said}"));
        }
        Ok(self
            .proxy
            .calls()
            .into_iter()
            .filter(|call| call.who == Who::Tool)
            .collect())
    }

    /// A run under an API server that answers every third call with 409, 410, 429, 500 or 503, some
    /// of them after it has done what it was asked: how it ended, and what it left.
    pub fn in_a_storm(&self) -> (Option<i32>, Vec<String>, String) {
        self.whole();
        let before = self.snapshot();
        self.proxy.storm();
        self.proxy.begin();
        let mut child = self.run();
        self.proxy.of(child.id());
        let status = wait(&mut child, END).and_then(|status| status.code());
        (status, before.differences(&self.snapshot()), self.said())
    }

    /// Kills at one point and looks what is left. Nothing if the run ended before it came there.
    pub fn kill(&self, point: Point) -> Option<Kill> {
        self.whole();
        let before = self.snapshot();
        let (mut child, deaths) = self.strike(point);
        let mut odd = None;
        let Some(status) = wait(&mut child, END) else {
            child.kill().expect("it runs");
            let _ = child.wait();
            return Some(Kill {
                point,
                left: vec!["the tool did not end".into()],
                undo: Undo::default(),
                odd,
            });
        };
        let (killed, guardian) = {
            let deaths = deaths.lock().unwrap_or_else(PoisonError::into_inner);
            (deaths.at, deaths.guardian)
        };
        let Some(killed) = killed else {
            // It ended before; then its guardian has, too.
            self.proxy.disarm();
            return None;
        };
        let end = Instant::now() + END;
        while (guardian.is_some_and(runs) || !self.proxy.is_quiet()) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(10));
        }
        if guardian.is_some_and(runs) {
            odd = Some("the guardian did not end".to_owned());
        }
        let second = deaths.lock().unwrap_or_else(PoisonError::into_inner).second;
        if point.victim == Victim::Successor && !second {
            // The guardian was done before; what the tool's death left is looked at elsewhere.
            self.proxy.disarm();
            return None;
        }
        if point.victim == Victim::Guardian && !matches!(status.code(), Some(0 | 1 | 3 | 4 | 6)) {
            odd = Some(format!("the tool ended with {status}: {}", self.said()));
        }
        let undo = figures::undo(&self.proxy.calls(), point.victim, killed);
        if matches!(point.victim, Victim::Both | Victim::Successor) {
            self.proxy.begin();
            let mut child = self.start(&["recover"]);
            let status = wait(&mut child, END);
            if !status.is_some_and(|status| status.success()) {
                odd = Some(format!("recover ended with {status:?}: {}", self.said()));
            }
        }
        let left = self.left(&before, CLEARANCE);
        if !left.is_empty() {
            // What is left would refuse the runs to come.
            self.proxy.begin();
            let _ = wait(&mut self.start(&["recover"]), END);
        }
        Some(Kill {
            point,
            left,
            undo,
            odd,
        })
    }

    /// What is not as it was before, once it is or this time is over.
    pub(super) fn left(&self, before: &Snapshot, limit: Duration) -> Vec<String> {
        let end = Instant::now() + limit;
        loop {
            let left = before.differences(&self.snapshot());
            if left.is_empty() || Instant::now() >= end {
                return left;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Kills tool and guardian at one point, and gives when. Nothing if the run ended before it came there.
    pub(super) fn kill_both_at(&self, point: Point) -> Option<Instant> {
        let (mut child, deaths) = self.strike(point);
        wait(&mut child, END).expect("it is killed, or ends");
        let killed = deaths.lock().unwrap_or_else(PoisonError::into_inner).at;
        if killed.is_none() {
            self.proxy.disarm();
        }
        killed
    }

    /// Starts a run in which somebody dies at this point.
    fn strike(&self, point: Point) -> (Child, Arc<Mutex<Deaths>>) {
        self.proxy.begin();
        let deaths = Arc::new(Mutex::new(Deaths::default()));
        self.arm(point, &deaths);
        let child = {
            let mut deaths = deaths.lock().unwrap_or_else(PoisonError::into_inner);
            let child = self.run();
            deaths.tool = Some(child.id());
            child
        };
        self.proxy.of(child.id());
        (child, deaths)
    }

    /// Says what happens at which call.
    fn arm(&self, point: Point, deaths: &Arc<Mutex<Deaths>>) {
        let shared = Arc::clone(deaths);
        let (victim, proxy) = (point.victim, self.proxy.clone());
        let deed = move || {
            let mut deaths = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let tool = deaths.tool.expect("it was started");
            deaths.guardian = proxy::children(tool).first().copied();
            deaths.at = Some(Instant::now());
            if matches!(victim, Victim::Guardian | Victim::Both) {
                deaths.guardian.into_iter().for_each(kill);
            }
            if victim == Victim::Successor {
                let shared = Arc::clone(&shared);
                let deed = move || {
                    let mut deaths = shared.lock().unwrap_or_else(PoisonError::into_inner);
                    deaths.second = true;
                    deaths.guardian.into_iter().for_each(kill);
                    true
                };
                proxy.arm(Trigger {
                    who: Who::Guardian,
                    number: point.number,
                    moment: point.moment,
                    faults: false,
                    deed: Box::new(deed),
                });
            }
            if victim != Victim::Guardian {
                kill(tool);
            }
            victim != Victim::Guardian
        };
        let (number, moment) = match point.victim {
            Victim::Successor => (point.first, Moment::After),
            _ => (point.number, point.moment),
        };
        self.proxy.arm(Trigger {
            who: Who::Tool,
            number,
            moment,
            faults: point.faults,
            deed: Box::new(deed),
        });
    }

    /// The sweep: so many kills, spread evenly over all the points that there are, or all of them
    /// several times. Tells `tell` of each, and ends when the time is over.
    pub fn sweep(&self, kills: usize, until: Instant, tell: &mut dyn FnMut(&Kill)) -> Figures {
        let calls = self.undisturbed();
        let points = spread(&points(&calls), kills);
        let mut figures = Figures::new(&self.experiment, calls.len());
        for point in points {
            if Instant::now() >= until {
                break;
            }
            match self.kill(point) {
                Some(kill) => {
                    tell(&kill);
                    figures.add(kill);
                }
                None => figures.missed += 1,
            }
        }
        figures
    }
}

/// Waits for a process to end.
pub(super) fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let end = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait().expect("it is ours") {
            return Some(status);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
