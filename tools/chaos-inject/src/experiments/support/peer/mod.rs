//! Who asks: curl in a pod of the peer, a route that is to be cut and a control route side by side. A
//! pod that goes, a connection that breaks and one that falls silent end it; then another pod of the
//! same workload asks on.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chaos_common::cluster::exec::{ExecProcess, ExecTarget};
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::record::{PodSource, WorkloadKind, WorkloadName};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::{Notify, mpsc};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep, timeout_at};

use super::probe_pod::{ENOUGH, ProbeCommand, Sample, latest};

/// Pause between two looks at what came.
const LOOK: Duration = Duration::from_millis(50);
/// Pause before asking goes on after its end.
const AGAIN: Duration = Duration::from_millis(300);
/// curl tells of an answer, or of none, at least once a second: a connection that is silent for so
/// long is dead.
const SILENT: Duration = Duration::from_secs(5);

/// Where the questions come from.
#[async_trait]
pub trait Peers: Debug + Send + Sync {
    /// Starts both commands in one pod; in another one than `not`, if there is one.
    async fn start(
        &self,
        commands: &[ProbeCommand; 2],
        not: Option<&str>,
    ) -> Result<Session, ReadError>;
}

/// Commands that run in a pod.
#[derive(Debug)]
pub struct Session {
    /// The pod.
    pub pod: String,
    /// What the commands say, each with its number.
    pub said: mpsc::UnboundedReceiver<(usize, Line)>,
    /// What is ended with it.
    #[expect(dead_code, reason = "it ends the tasks when it is dropped")]
    pub tasks: Tasks,
}

/// A line of a command, or its end.
#[derive(Clone, Debug)]
pub enum Line {
    /// What it wrote.
    Said(String),
    /// Why it ended.
    Ended(String),
}

/// Tasks that end when this is dropped.
#[derive(Debug, Default)]
pub struct Tasks(pub Vec<AbortHandle>);

impl Drop for Tasks {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// The pods of the Deployment of this name.
pub fn deployment(name: &str) -> PodSource {
    PodSource::Workload(WorkloadName {
        kind: WorkloadKind::Deployment,
        name: name.to_owned(),
    })
}

/// The ready pods of a Deployment.
#[derive(Clone, Debug)]
pub struct PeerPods {
    /// Its cluster.
    pub cluster: Cluster,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub deployment: String,
}

#[async_trait]
impl Peers for PeerPods {
    async fn start(
        &self,
        commands: &[ProbeCommand; 2],
        not: Option<&str>,
    ) -> Result<Session, ReadError> {
        let (namespace, name) = (&self.namespace, &self.deployment);
        let ready = self
            .cluster
            .ready_pods(namespace, &deployment(name))
            .await?;
        let other = ready.iter().find(|pod| pod.metadata.name.as_deref() != not);
        let Some(pod) = other.or(ready.first()) else {
            let what = format!("ask from a pod of deployment/{name}");
            return Err(ReadError::other(what, "none of its pods is ready"));
        };
        let target = ExecTarget::of(&self.cluster, pod);
        let (sender, said) = mpsc::unbounded_channel();
        let mut tasks = Tasks::default();
        for (n, asking) in commands.iter().enumerate() {
            let process = target
                .exec(&asking.command)
                .without_stdout()
                .start()
                .await?;
            let reading = tokio::spawn(read(process, n, sender.clone()));
            tasks.0.push(reading.abort_handle());
        }
        let pod = target.pod;
        Ok(Session { pod, said, tasks })
    }
}

/// Reads a command's lines up to its end.
async fn read(mut process: ExecProcess, n: usize, said: mpsc::UnboundedSender<(usize, Line)>) {
    if let Some(stderr) = process.stderr() {
        let mut lines = BufReader::new(stderr).lines();
        while let Ok(Some(line)) = lines.next_line().await {
            if said.send((n, Line::Said(line))).is_err() {
                return;
            }
        }
    }
    let why = match process.wait().await {
        Ok(code) => format!("exit code {code}"),
        Err(error) => error.to_string(),
    };
    // Whoever listened may have gone on to another pod.
    let _ = said.send((n, Line::Ended(why)));
}

/// What came of one route.
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

/// A series of questions along one route.
#[derive(Clone, Debug)]
pub struct Route {
    /// Where it leads.
    pub url: String,
    output: Arc<Mutex<CurlOutput>>,
}

impl Route {
    fn to(asking: &ProbeCommand) -> Route {
        Route {
            url: asking.url.clone(),
            output: Arc::default(),
        }
    }

    fn tell(&self, change: impl FnOnce(&mut CurlOutput)) {
        change(&mut self.output.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The answers so far.
    pub fn samples(&self) -> Vec<Sample> {
        let mut samples = Vec::new();
        self.tell(|output| samples.clone_from(&output.samples));
        samples
    }

    /// What curl said last that is no answer.
    pub fn error(&self) -> Option<String> {
        let mut error = None;
        self.tell(|output| error.clone_from(&output.error));
        error
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
        match self.error() {
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

/// Both routes, asked from one pod at a time.
#[derive(Debug)]
pub struct Routes {
    /// The one that is to be cut.
    pub route: Route,
    /// The one that is not.
    pub control: Route,
    elsewhere: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Routes {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Routes {
    /// Starts to ask along the route and the control route.
    pub fn ask(peers: Arc<dyn Peers>, route: ProbeCommand, control: ProbeCommand) -> Routes {
        let commands = [route, control];
        let routes = [Route::to(&commands[0]), Route::to(&commands[1])];
        let elsewhere = Arc::new(Notify::new());
        let asking = Asking {
            peers,
            commands,
            routes: routes.clone(),
            elsewhere: Arc::clone(&elsewhere),
        };
        let [route, control] = routes;
        Routes {
            route,
            control,
            elsewhere,
            task: tokio::spawn(asking.go_on()),
        }
    }

    /// Goes on from another pod, if there is one.
    pub fn elsewhere(&self) {
        self.elsewhere.notify_one();
    }
}

struct Asking {
    peers: Arc<dyn Peers>,
    commands: [ProbeCommand; 2],
    routes: [Route; 2],
    elsewhere: Arc<Notify>,
}

impl Asking {
    async fn go_on(self) {
        let mut last: Option<String> = None;
        for session in 0.. {
            let why = match self.peers.start(&self.commands, last.as_deref()).await {
                Ok(mut asked) => {
                    let why = self.listen(&mut asked, session).await;
                    let pod = last.insert(asked.pod);
                    why.map(|why| format!("curl in pod {pod} ended: {why}"))
                }
                Err(error) => Some(error.to_string()),
            };
            for route in self.routes.iter().filter(|_| why.is_some()) {
                route.tell(|output| {
                    output.error = match (output.error.take(), &why) {
                        // What curl said first says more than that it ended.
                        (Some(said), Some(why)) if !said.contains(why) => {
                            Some(format!("{}; {why}", first_part(&said)))
                        }
                        (said, None) => said,
                        (_, why) => why.clone(),
                    };
                });
            }
            sleep(AGAIN).await;
        }
    }

    /// Takes in what is said until a command ends or falls silent; why, unless we are to go on from
    /// elsewhere.
    async fn listen(&self, asked: &mut Session, session: u32) -> Option<String> {
        let mut heard = [Instant::now(); 2];
        loop {
            let silent = heard[0].min(heard[1]) + SILENT;
            let line = tokio::select! {
                line = timeout_at(silent, asked.said.recv()) => line,
                () = self.elsewhere.notified() => return None,
            };
            let at = Instant::now();
            let (n, said) = match line {
                Err(_) => return Some(format!("nothing came for {} s", SILENT.as_secs())),
                Ok(None) => return Some("its connection is gone".to_owned()),
                Ok(Some((_, Line::Ended(why)))) => return Some(why),
                Ok(Some((n, Line::Said(said)))) => (n, said),
            };
            heard[n] = at;
            self.routes[n].tell(|output| match self.commands[n].parse(&said) {
                Some((good, kept)) => output.samples.push(Sample {
                    at,
                    good,
                    kept,
                    session,
                }),
                None => output.error = Some(said),
            });
        }
    }
}

/// A message without what was appended to it before.
fn first_part(message: &str) -> &str {
    message.split("; ").next().unwrap_or(message)
}

#[cfg(test)]
pub mod tests;
