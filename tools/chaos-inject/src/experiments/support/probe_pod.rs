//! Traffic from a peer pod: only where the fault can touch it does traffic prove the fault. curl
//! runs in the peer for as long as the experiment may take, asks a Service at a fixed rate over one
//! kept connection, and tells of each answer as it comes; a connection that breaks is opened anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chaos_common::cluster::Cluster;
use chaos_common::cluster::exec::ExecTarget;
use k8s_openapi::api::core::v1::Pod;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

/// Questions a second.
const RATE: u64 = 5;
/// Pause between two looks at what came.
const LOOK: Duration = Duration::from_millis(50);
/// So many answers of one sort in a row are no accident.
pub const ENOUGH: usize = 3;

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When curl printed it.
    pub at: Instant,
    /// It was an answer with a status below 400.
    pub good: bool,
    /// No connection was opened for it: it went, or was to go, over one that was there.
    pub kept: bool,
}

#[derive(Debug, Default)]
struct CurlOutput {
    samples: Vec<Sample>,
    /// What curl said that is no answer, or why it ended.
    error: Option<String>,
}

/// A route that is not open.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the peer does not reach {url}: {why}")]
pub struct NotReached {
    url: String,
    why: String,
}

/// A series of questions from a peer to a Service.
#[derive(Debug)]
pub struct ConnectivityProbe {
    /// Where it leads.
    pub url: String,
    output: Arc<Mutex<CurlOutput>>,
    task: JoinHandle<()>,
}

impl Drop for ConnectivityProbe {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What is asked, and how.
#[derive(Clone, Debug)]
pub struct ProbeCommand {
    url: String,
    command: Vec<String>,
}

impl ProbeCommand {
    /// Over one kept connection. It ends by itself after `most`.
    pub fn kept(url: &str, most: Duration) -> ProbeCommand {
        let words = [
            "curl",
            "--silent",
            "--show-error",
            "--output",
            "/dev/null",
            "--max-time",
            "1",
            "--rate",
            &format!("{RATE}/s"),
            // To stderr, which is not buffered.
            "--write-out",
            "%{stderr}answer %{http_code} %{num_connects}\\n",
            &format!("{url}?chaos-runbook=[1-{}]", (most.as_secs() + 1) * RATE),
        ];
        ProbeCommand {
            url: url.to_owned(),
            command: words.map(str::to_owned).to_vec(),
        }
    }

    /// Anew each time, so that the name in the URL is looked up each time; with `address`, it is
    /// not looked up at all. It ends by itself after `most`.
    pub fn anew(url: &str, address: Option<&str>, most: Duration) -> ProbeCommand {
        let script = "end=$(($(date +%s)+$2)); while [ \"$(date +%s)\" -lt $end ]; do \
             curl --silent --show-error --output /dev/null --max-time 1 --write-out '%{stderr}answer %{http_code} %{num_connects}\\n' \
             ${3:+--resolve \"$3\"} \"$1\"; sleep 0.2; done";
        let name = url
            .trim_start_matches("http://")
            .split('/')
            .next()
            .unwrap_or_default();
        // What curl shall not look up: NAME:PORT:ADDRESS.
        let known = address
            .map(|address| format!("{name}:{address}"))
            .unwrap_or_default();
        let seconds = most.as_secs().to_string();
        let words = ["sh", "-c", script, "sh", url, &seconds, &known];
        let url = address.map_or_else(|| url.to_owned(), |address| format!("{url} at {address}"));
        ProbeCommand {
            url,
            command: words.map(str::to_owned).to_vec(),
        }
    }
}

/// Understands a line of curl's: status and newly opened connections.
fn parse(line: &str) -> Option<(bool, bool)> {
    let (status, connects) = line.strip_prefix("answer ")?.split_once(' ')?;
    let status: u16 = status.parse().ok()?;
    Some(((1..400).contains(&status), connects.trim() == "0"))
}

impl ConnectivityProbe {
    /// Starts to ask from a pod.
    pub fn start(cluster: &Cluster, peer: &Pod, asking: ProbeCommand) -> ConnectivityProbe {
        let ProbeCommand { url, command } = asking;
        let output = Arc::new(Mutex::new(CurlOutput::default()));
        let target = ExecTarget::of(cluster, peer);
        let task = tokio::spawn(ask(target, command, Arc::clone(&output)));
        ConnectivityProbe { url, output, task }
    }

    /// The answers so far.
    pub fn samples(&self) -> Vec<Sample> {
        self.output
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .samples
            .clone()
    }

    /// Why it does not count as open.
    fn trouble(&self, samples: &[Sample]) -> String {
        let good = samples.iter().filter(|sample| sample.good).count();
        let answers = match samples.len() {
            0 => "curl has printed no answer yet".to_owned(),
            all => {
                format!("{good} of {all} questions had a good answer, {ENOUGH} in a row are needed")
            }
        };
        match &self
            .output
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .error
        {
            Some(error) => format!("{answers}; {error}"),
            None => answers,
        }
    }

    /// Waits until the latest answers are good.
    ///
    /// # Errors
    /// They are not, at the deadline; says what curl says.
    pub async fn open(&self, since: Instant, deadline: Instant) -> Result<Instant, NotReached> {
        loop {
            let samples = self.samples();
            if let Some(first) = latest(&samples, since, true) {
                return Ok(first);
            }
            if Instant::now() >= deadline {
                return Err(NotReached {
                    url: self.url.clone(),
                    why: self.trouble(&samples),
                });
            }
            sleep(LOOK).await;
        }
    }
}

async fn ask(target: ExecTarget, command: Vec<String>, output: Arc<Mutex<CurlOutput>>) {
    let tell = |change: &dyn Fn(&mut CurlOutput)| {
        change(&mut output.lock().unwrap_or_else(PoisonError::into_inner));
    };
    let mut process = match target.exec(&command).without_stdout().start().await {
        Ok(process) => process,
        Err(error) => return tell(&|output| output.error = Some(error.to_string())),
    };
    let Some(stderr) = process.stderr() else {
        return;
    };
    let mut lines = BufReader::new(stderr).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let at = Instant::now();
        tell(&|output| match parse(&line) {
            Some((good, kept)) => output.samples.push(Sample { at, good, kept }),
            None => output.error = Some(line.clone()),
        });
    }
    let pod = &target.pod;
    let why = match process.wait().await {
        Ok(0) => return,
        Ok(code) => format!("exit code {code}"),
        Err(error) => error.to_string(),
    };
    tell(&|output| {
        let ended = format!("curl in pod {pod} ended: {why}");
        output.error = Some(match output.error.take() {
            Some(said) => format!("{said}; {ended}"),
            None => ended,
        });
    });
}

/// When the latest unbroken row of good (or bad) answers since a moment began, if it is long
/// enough.
pub fn latest(samples: &[Sample], since: Instant, good: bool) -> Option<Instant> {
    let row: Vec<&Sample> = samples
        .iter()
        .rev()
        .take_while(|sample| sample.at >= since && sample.good == good)
        .collect();
    (row.len() >= ENOUGH)
        .then(|| row.last().map(|first| first.at))
        .flatten()
}

/// What traffic says of a partition.
#[derive(Clone, Debug, PartialEq)]
pub enum RouteState {
    /// The route is cut and the control route is open. `established`: whether a connection that was
    /// open before was cut, too; nothing if there was none.
    Proven {
        /// When the first question failed.
        at: Instant,
        /// See above.
        established: Option<bool>,
    },
    /// The peer does not reach the control route either: nothing is known.
    Blind,
    /// The answers still come.
    Open,
    /// Too few answers yet.
    NotYet,
}

/// Judges a route and a control route since a moment.
pub fn judge(route: &[Sample], control: &[Sample], since: Instant) -> RouteState {
    let Some(at) = latest(route, since, false) else {
        return if latest(route, since, true).is_some() {
            RouteState::Open
        } else {
            RouteState::NotYet
        };
    };
    let beside: Vec<&Sample> = control.iter().filter(|sample| sample.at >= at).collect();
    if beside.iter().any(|sample| !sample.good) {
        return RouteState::Blind;
    }
    if beside.len() < ENOUGH {
        return RouteState::NotYet;
    }
    let before = route
        .iter()
        .rev()
        .find(|sample| sample.at < at && sample.good);
    let first = route.iter().find(|sample| sample.at == at);
    let established = before.and(first).map(|first| first.kept);
    RouteState::Proven { at, established }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A letter each 200 ms: + and - are answers over a kept connection, p and m over a new one.
    fn samples(start: Instant, text: &str) -> Vec<Sample> {
        let one = |(n, c)| Sample {
            at: start + Duration::from_millis(200) * n,
            good: matches!(c, '+' | 'p'),
            kept: matches!(c, '+' | '-'),
        };
        (0..).zip(text.chars()).map(one).collect()
    }

    #[test]
    fn a_cut_is_proven_by_silence_beside_an_open_control_route() {
        let start = Instant::now();
        let since = start + Duration::from_millis(900);
        let judged = |route: &str, control: &str| {
            judge(&samples(start, route), &samples(start, control), since)
        };
        let at = start + Duration::from_secs(1);
        assert_eq!(
            judged("p++++-mmm", "p++++++++"),
            RouteState::Proven {
                at,
                established: Some(true)
            }
        );
        assert_eq!(
            judged("p++++mmmm", "p++++++++"),
            RouteState::Proven {
                at,
                established: Some(false)
            }
        );
        assert_eq!(judged("p++++-mmm", "p++++-mmm"), RouteState::Blind);
        assert_eq!(judged("p++++++++", "p++++++++"), RouteState::Open);
        assert_eq!(judged("p++++-m", "p++++++"), RouteState::NotYet);
        assert_eq!(judged("p++++-mmm", "p++++"), RouteState::NotYet);
        assert_eq!(judged("p++++-mmp++", "p++++++++++"), RouteState::Open);
        // Failures from before the fault prove nothing.
        assert_eq!(judged("mmmmm", "p++++"), RouteState::NotYet);
    }

    #[test]
    fn curl_is_understood() {
        assert_eq!(parse("answer 200 0"), Some((true, true)));
        assert_eq!(parse("answer 000 1"), Some((false, false)));
        assert_eq!(parse("answer 503 0"), Some((false, true)));
        assert_eq!(parse("curl: option --rate: is unknown"), None);
        let asking = ProbeCommand::kept("http://s:1/h", Duration::from_secs(9));
        assert!(
            asking
                .command
                .last()
                .is_some_and(|url| url.ends_with("=[1-50]"))
        );
        let asking = ProbeCommand::anew(
            "http://s.prod:1/h",
            Some("10.96.0.7"),
            Duration::from_secs(9),
        );
        assert_eq!(asking.command[5..], ["9", "s.prod:1:10.96.0.7"]);
    }
}
