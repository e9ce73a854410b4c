//! Whoever watches is disturbed, at moments all over a run. Then nothing may be said that is not so:
//! no fault is left that is not there, and none is proven that nobody saw.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::bed;
use super::lane::{CLEARANCE, END, Lane, wait};

/// So long an API server that is restarted answers nothing.
const AWAY: Duration = Duration::from_secs(1);

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disturbance {
    /// All watches and exec streams end.
    Streams,
    /// The API server answers nothing for a while.
    Server,
    /// A pod goes that may be the one that is looked from, or looked at.
    Pod,
}

/// Each in turn.
const ALL: [Disturbance; 3] = [Disturbance::Streams, Disturbance::Server, Disturbance::Pod];

impl Disturbance {
    /// In words.
    pub fn word(self) -> &'static str {
        match self {
            Disturbance::Streams => "streams cut",
            Disturbance::Server => "server away",
            Disturbance::Pod => "pod deleted",
        }
    }
}

/// A run that was disturbed.
#[derive(Clone, Debug)]
pub struct Disturbed {
    /// By what.
    pub by: Disturbance,
    /// When, from the start of the run on.
    pub after: Duration,
    /// How it ended; nothing if it did not.
    pub status: Option<i32>,
    /// What it said that is not so, and what it left.
    pub wrong: Vec<String>,
    /// Its last lines for people.
    pub said: String,
}

/// How a run ended.
struct Ended {
    took: Duration,
    status: Option<i32>,
    left: Vec<String>,
}

impl Lane {
    /// So many runs, each disturbed at another moment. Tells `tell` of each, and ends when the time
    /// is over.
    ///
    /// # Panics
    /// A run that nothing disturbs does not end well.
    pub fn disturb(
        &self,
        times: usize,
        until: Instant,
        tell: &mut dyn FnMut(&Disturbed),
    ) -> Vec<Disturbed> {
        self.undisturbed();
        let length = self.once(None).took;
        let mut all = Vec::new();
        for n in 0..times {
            if Instant::now() >= until {
                break;
            }
            let (by, after) = (ALL[n % ALL.len()], moment(n, length));
            let ended = self.once(Some((by, after)));
            let records = self.cluster.place.path().join("stdout");
            let records = std::fs::read_to_string(records).unwrap_or_default();
            let one = Disturbed {
                by,
                after,
                status: ended.status,
                wrong: wrong(by, &ended, &experiment(&records)),
                said: self.said(),
            };
            tell(&one);
            all.push(one);
        }
        all
    }

    fn once(&self, disturbance: Option<(Disturbance, Duration)>) -> Ended {
        self.whole();
        let before = self.snapshot();
        self.proxy.begin();
        let began = Instant::now();
        let mut child = self.run();
        self.proxy.of(child.id());
        if let Some((by, after)) = disturbance {
            // One that is over before is not disturbed.
            wait(&mut child, after);
            self.happen(by);
        }
        let status = wait(&mut child, END).and_then(|status| status.code());
        let took = began.elapsed();
        let left = self.left(&before, CLEARANCE);
        if !left.is_empty() {
            // What is left would refuse the runs to come.
            wait(&mut self.start(&["recover"]), END);
        }
        Ended { took, status, left }
    }

    fn happen(&self, disturbance: Disturbance) {
        match disturbance {
            Disturbance::Streams => self.proxy.link.cut(),
            Disturbance::Server => {
                self.proxy.link.goes_away();
                std::thread::sleep(AWAY);
                self.proxy.link.is_back();
            }
            Disturbance::Pod => {
                let namespace = bed::namespace(self.bed);
                let frontend = ["-l", "app=ecommerce-frontend", "-o", "name"];
                let get = [&["get", "pods", "-n", &namespace], &frontend[..]].concat();
                let pods = self.cluster.kubectl(&get);
                if let Some(pod) = pods.lines().next() {
                    let delete = ["delete", "-n", &namespace, pod, "--ignore-not-found"];
                    self.cluster
                        .kubectl(&[&delete[..], &["--wait=false"]].concat());
                }
            }
        }
    }
}

/// The `n`-th moment of a run of this length: any first ones of them are spread over all of it.
fn moment(n: usize, length: Duration) -> Duration {
    /// The golden ratio, in thousandths.
    const STEP: usize = 618;
    let thousandths = u32::try_from((n + 1) * STEP % 1000).expect("less than a thousand");
    length * thousandths / 1000
}

/// The record of the experiment.
fn experiment(records: &str) -> Value {
    let all = records
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok());
    let is_one = |record: &Value| {
        let schema = record["schema"].as_str().unwrap_or_default();
        schema.starts_with("chaos.experiment/")
    };
    all.into_iter().find(is_one).unwrap_or_default()
}

fn wrong(by: Disturbance, ended: &Ended, record: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    if !ended.left.is_empty() {
        wrong.push(format!("left: {:?}", ended.left));
    }
    let data = &record["data"];
    if data["outcome"] == "not_restored" && ended.left.is_empty() {
        wrong.push(format!("not restored, it says: {}", data["reason"]));
    }
    let checks = data["checks"].as_array().map_or(&[][..], Vec::as_slice);
    let proof = |check: &&Value| {
        let id = check["id"].as_str().unwrap_or_default();
        id.ends_with(".effect") && check["status"] == "pass"
    };
    match (ended.status, by) {
        (Some(0), _) if !checks.iter().any(|check| proof(&check)) => {
            wrong.push("a pass without a proof of the fault".into());
        }
        // A pod that goes may fail what is asked of its workload meanwhile; nothing else may.
        (Some(0 | 3), _) | (Some(1 | 6), Disturbance::Pod) => {}
        // What could not be looked at beforehand closes a gate.
        (Some(4), _) if data["injected"].is_null() => {}
        (status, _) => wrong.push(format!("ended with {status:?}")),
    }
    wrong
}

/// The table of all that was tried.
pub fn table(all: &[(String, Vec<Disturbed>)]) -> String {
    let mut lines: BTreeMap<(&str, Disturbance), [usize; 4]> = BTreeMap::new();
    for (experiment, runs) in all {
        for run in runs {
            let counts = lines.entry((experiment, run.by)).or_default();
            counts[0] += 1;
            counts[1] += usize::from(run.status == Some(0));
            counts[2] += usize::from(run.status == Some(3));
            counts[3] += usize::from(!run.wrong.is_empty());
        }
    }
    let mut text = format!(
        "{:<20} {:<12} runs  pass  unknown  wrong\n",
        "experiment", "disturbance"
    );
    for ((experiment, by), [runs, pass, unknown, wrong]) in lines {
        let by = by.word();
        let _ = writeln!(
            text,
            "{experiment:<20} {by:<12} {runs:>4}  {pass:>4}  {unknown:>7}  {wrong:>5}"
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn moments_are_all_over_a_run() {
        let length = Duration::from_secs(10);
        let mut all: Vec<Duration> = (0..20).map(|n| moment(n, length)).collect();
        all.sort();
        assert!(all[0] < length / 10 && all[19] > length * 9 / 10);
        assert!(all.windows(2).all(|two| two[1] < two[0] + length / 10));
    }

    #[test]
    fn a_pass_wants_its_proof_and_nothing_whole_is_called_broken() {
        let ended = |status| Ended {
            took: Duration::ZERO,
            status: Some(status),
            left: Vec::new(),
        };
        let record = |outcome: &str, effect: &str| {
            json!({ "data": {
                "outcome": outcome, "checks": [{ "id": "x.effect", "status": effect }],
            } })
        };
        let by = Disturbance::Streams;
        assert!(wrong(by, &ended(0), &record("completed", "pass")).is_empty());
        assert!(wrong(by, &ended(3), &record("completed", "unknown")).is_empty());
        assert_eq!(
            wrong(by, &ended(0), &record("completed", "unknown")).len(),
            1
        );
        assert_eq!(
            wrong(by, &ended(5), &record("not_restored", "pass")).len(),
            2
        );
        assert_eq!(wrong(by, &ended(1), &record("completed", "pass")).len(), 1);
        assert!(wrong(by, &ended(4), &record("refused", "skipped")).is_empty());
        let left = Ended {
            left: vec!["leases/x is left".into()],
            ..ended(0)
        };
        assert_eq!(wrong(by, &left, &record("completed", "pass")).len(), 1);
    }
}
