//! Makes the load of a plan, on threads of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chaos_common::record::{Steps, Time};
use jiff::Timestamp;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::connection::{Connector, RequestError};
use super::counts::Counts;
use super::live::Live;
use super::open::Share;
use super::plan::{LoadPlan, Rate};
use super::url::HttpUrl;
use super::{closed, open, phases};

/// Requests a second that one thread is trusted with.
const RATE_OF_A_THREAD: f64 = 15_000.0;

/// What became of one target.
#[derive(Clone, Debug)]
pub(crate) struct LoadResult {
    pub(crate) counts: Counts,
    /// The steps of single requests on fresh connections before the load; none if they failed.
    pub(crate) steps: Option<Steps>,
}

/// A URL and the way to it.
type Lane = (Arc<HttpUrl>, Arc<Connector>);

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// When the load that counts began.
    pub(crate) started: Time,
    /// A target each, in their order.
    pub(crate) results: Vec<LoadResult>,
    /// How far it came, if it was interrupted.
    pub(crate) interrupted: Option<Duration>,
}

/// Puts load on the targets, all at the same time, and shows at a terminal how it goes. Never
/// fails: what went wrong is counted. When this process is asked to end, what was measured is kept.
pub(crate) async fn run(plan: LoadPlan) -> Measured {
    raise_limit();
    let plan = Arc::new(plan);
    let (mut results, mut indices, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
    for url in &plan.targets {
        let mut result = LoadResult {
            counts: plan.counts(),
            steps: None,
        };
        match connector(url, &plan).await {
            Ok(connector) => {
                result.steps = phases::measure(url, &plan).await;
                indices.push(results.len());
                lanes.push((Arc::new(url.clone()), Arc::new(connector)));
            }
            Err(why) => result.counts.own = Some(why),
        }
        results.push(result);
    }
    let started = Time(
        Timestamp::now()
            .saturating_add(plan.warm_up)
            .expect("no times of day are in a duration"),
    );
    if lanes.is_empty() {
        return Measured {
            started,
            results,
            interrupted: None,
        };
    }
    let live = Arc::new(Live::new(threads(&plan, lanes.len())));
    let (counting_from, asked) = (Instant::now() + plan.warm_up, Mutex::new(None));
    let workers = futures::future::join_all(spawn_workers(&plan, lanes, &live));
    let ended = tokio::select! {
        ended = workers => ended,
        () = live.watch(&plan, &asked) => unreachable!("it never ends"),
    };
    live.clear();
    for worker in ended {
        let counts = match worker {
            Ok(Ok(counts)) => Ok(counts),
            Ok(Err(error)) => Err(format!("cannot start a thread's runtime: {error}")),
            Err(_) => Err("a thread that made load broke down".to_owned()),
        };
        match counts {
            Ok(counts) => {
                for (index, counts) in indices.iter().zip(&counts) {
                    results[*index].counts.merge(counts);
                }
            }
            Err(why) => {
                for result in &mut results {
                    result.counts.own = Some(why.clone());
                }
            }
        }
    }
    let asked = asked.into_inner().unwrap_or_else(PoisonError::into_inner);
    let came = |asked: Instant| asked.saturating_duration_since(counting_from);
    Measured {
        started,
        results,
        interrupted: asked.map(came).filter(|came| *came < plan.duration),
    }
}

/// Prepares connections to a URL; the error is why this machine can't.
async fn connector(url: &HttpUrl, plan: &LoadPlan) -> Result<Connector, String> {
    match timeout(plan.timeout, Connector::new(url, plan.http2)).await {
        Ok(Ok(connector)) => Ok(connector),
        Ok(Err(RequestError::Generator(why) | RequestError::Target(why))) => Err(why),
        Ok(Err(RequestError::TooSlow(_))) | Err(_) => {
            Err(format!("cannot resolve {}: no answer", url.host))
        }
    }
}

/// What a worker counted of each lane, once it has ended.
type Worker = oneshot::Receiver<std::io::Result<Vec<Counts>>>;

/// Starts threads that each make a share of the load.
fn spawn_workers(plan: &Arc<LoadPlan>, lanes: Vec<Lane>, live: &Arc<Live>) -> Vec<Worker> {
    let threads = threads(plan, lanes.len());
    let lanes = Arc::new(lanes);
    let spawn = |worker: u32| {
        let (plan, lanes, live) = (plan.clone(), lanes.clone(), live.clone());
        let (sender, receiver) = oneshot::channel();
        // Threads of their own, so that nothing else of this process delays a request.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .event_interval(61)
                .build();
            let share = Share {
                worker,
                of: threads,
            };
            let work = async { work(&plan, &lanes, share, &live).await };
            let done = runtime.map(|runtime| runtime.block_on(work));
            // The receiver is gone when the process is on its way out.
            drop(sender.send(done));
        });
        receiver
    };
    (0..threads).map(spawn).collect()
}

/// How many threads the load needs; no more than there are cores.
fn threads(plan: &LoadPlan, lanes: usize) -> u32 {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cores = u32::try_from(cores).unwrap_or(1);
    #[allow(clippy::cast_precision_loss, reason = "a number of targets is small")]
    let targets = lanes as f64;
    match plan.rate {
        Rate::Max => cores,
        Rate::PerSecond(rate) => (1..cores)
            .find(|threads| rate * targets <= RATE_OF_A_THREAD * f64::from(*threads))
            .unwrap_or(cores),
    }
}

async fn work(plan: &LoadPlan, lanes: &[Lane], share: Share, live: &Live) -> Vec<Counts> {
    match plan.rate {
        Rate::PerSecond(_) => open::run(plan, lanes, share, live).await,
        Rate::Max => {
            let connections = plan.connections.div_ceil(share.of as usize);
            let loops = lanes
                .iter()
                .map(|(url, connector)| closed::run(plan, url, connector, (connections, live)));
            futures::future::join_all(loops).await
        }
    }
}

/// Each connection is an open file, and the usual limit of 1024 is too low for a target that
/// stalls.
fn raise_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it can't be raised, running out of files will tell.
    let _ = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    );
}
