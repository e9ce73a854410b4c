//! A watcher in each bed: tool and guardian are killed together at calls all over a run, and nobody comes but the watcher;
//! and runs that live have their API server slow, restarted, or away from them, and the watcher leaves them alone.

use std::process::{Child, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::bed;
use super::lane::{END, Lane, wait};
use super::points::{Point, Victim, points, spread};
use super::proxy::{Call, Proxy};
use crate::run::{Place, until};

/// The most that may pass from the last sign of life of a run to the last write of its undo.
pub const LIMIT: Duration = Duration::from_secs(20);

/// What keeps a run from its API server while it lives.
const TROUBLES: [Trouble; 3] = [Trouble::Slow, Trouble::Restarted, Trouble::CutOff];

/// A trouble of a run that lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Every answer comes late.
    Slow,
    /// The API server is away for a second, and all connections end.
    Restarted,
    /// The run can't reach it for five seconds.
    CutOff,
}

/// A watcher of a bed, which reaches the API server by a way of its own.
pub struct Watcher {
    child: Child,
    proxy: Proxy,
    _place: Place,
}

/// What a watcher made of a run whose processes were killed.
#[derive(Clone, Debug)]
pub struct Undone {
    /// When.
    pub point: Point,
    /// What was left at the end.
    pub left: Vec<String>,
    /// From the kill to the watcher's last write; nothing if it had nothing to do.
    pub last_write: Option<Duration>,
}

/// What a watcher made of a run that lived.
#[derive(Clone, Debug)]
pub struct Lived {
    /// Its trouble.
    pub trouble: Trouble,
    /// What the watcher wrote into it.
    pub interventions: Vec<String>,
    /// What was left at the end.
    pub left: Vec<String>,
    /// How it ended.
    pub status: Option<i32>,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Asked to end, it takes its Lease away.
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        pid.map(|pid| kill_process(pid, Signal::TERM));
        wait(&mut self.child, END);
    }
}

impl Watcher {
    /// What it wrote since its proxy began to record, but for its own Lease.
    fn writes(&self) -> Vec<Call> {
        let calls = self.proxy.calls().into_iter();
        calls
            .filter(|call| call.wrote() && !call.path.contains("chaos-watch"))
            .collect()
    }
}

impl Lane {
    /// Starts a watcher of this bed.
    pub fn watch(&self) -> Watcher {
        let place = Place::new();
        place.file("chaos.toml", &bed::config(self.bed));
        let admin = self.cluster.state().join("admin.kubeconfig");
        let proxy = Proxy::start(&admin);
        let kubeconfig = place.file("kubeconfig", &proxy.kubeconfig());
        let log = std::fs::File::create(place.path().join("stderr")).expect("a file can be made");
        let mut command = place.command(crate::run::bin().join("chaos-inject"));
        command.arg("watch").arg("--kubeconfig").arg(kubeconfig);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        let child = command.spawn().expect("the tool can be started");
        let namespace = bed::namespace(self.bed);
        until("a watcher", || {
            let leases = ["get", "leases", "-n", &namespace, "-o", "name"];
            self.cluster
                .kubectl(&leases)
                .contains("chaos-watch")
                .then_some(())
        });
        Watcher {
            child,
            proxy,
            _place: place,
        }
    }

    /// So many runs whose tool and guardian are killed together, at calls all over a run. Tells `tell` of each.
    pub fn kill_both(
        &self,
        watcher: &Watcher,
        kills: usize,
        end: Instant,
        tell: &mut dyn FnMut(&Undone),
    ) {
        let calls = self.undisturbed();
        let both: Vec<Point> = points(&calls)
            .into_iter()
            .filter(|point| point.victim == Victim::Both)
            .collect();
        for point in spread(&both, kills) {
            if Instant::now() >= end {
                return;
            }
            if let Some(undone) = self.undone(watcher, point) {
                tell(&undone);
            }
        }
    }

    fn undone(&self, watcher: &Watcher, point: Point) -> Option<Undone> {
        self.whole();
        let before = self.snapshot();
        watcher.proxy.begin();
        let killed = self.kill_both_at(point)?;
        let left = self.left(&before, END);
        let last = watcher
            .writes()
            .iter()
            .filter_map(|call| call.answered)
            .max();
        if !left.is_empty() {
            // What is left would refuse the runs to come.
            wait(&mut self.start(&["recover"]), END);
        }
        Some(Undone {
            point,
            left,
            last_write: last.map(|at| at.saturating_duration_since(killed)),
        })
    }

    /// So many runs that live, each in another trouble. Tells `tell` of each.
    pub fn let_live(
        &self,
        watcher: &Watcher,
        runs: usize,
        end: Instant,
        tell: &mut dyn FnMut(&Lived),
    ) {
        for n in 0..runs {
            if Instant::now() >= end {
                return;
            }
            self.whole();
            let before = self.snapshot();
            watcher.proxy.begin();
            self.proxy.begin();
            let mut child = self.run();
            self.proxy.of(child.id());
            let trouble = TROUBLES[n % TROUBLES.len()];
            // At another moment each time.
            let after = Duration::from_millis(200 + 137 * u64::try_from(n % 20).expect("small"));
            wait(&mut child, after);
            self.give(trouble, &mut child);
            let status = wait(&mut child, END).and_then(|status| status.code());
            // What is there while it lives is its own to take back; afterwards, nobody's.
            let interventions = watcher.writes();
            let left = self.left(&before, END);
            tell(&Lived {
                trouble,
                interventions: interventions
                    .iter()
                    .map(|call| format!("{} {}", call.method, call.path))
                    .collect(),
                left,
                status,
            });
        }
    }

    fn give(&self, trouble: Trouble, child: &mut Child) {
        match trouble {
            Trouble::Slow => {
                self.proxy.slow(SLOW);
                wait(child, END);
                self.proxy.slow(Duration::ZERO);
            }
            Trouble::Restarted => {
                self.proxy.link.goes_away();
                sleep(Duration::from_secs(1));
                self.proxy.link.is_back();
            }
            Trouble::CutOff => {
                self.proxy.link.goes_away();
                sleep(Duration::from_secs(5));
                self.proxy.link.is_back();
            }
        }
    }
}

/// How late every answer comes of an API server that is slow.
const SLOW: Duration = Duration::from_millis(400);
