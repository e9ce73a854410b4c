//! Makes the load of a plan, on threads of its own.

use std::sync::Arc;

use chaos_common::record::{Steps, Time};
use jiff::Timestamp;
use tokio::sync::oneshot;

use super::connection::{Connector, RequestError};
use super::counts::Counts;
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

/// Puts load on the targets, all at the same time. Never fails: what went wrong is counted.
pub(crate) async fn run(plan: LoadPlan) -> (Time, Vec<LoadResult>) {
    raise_limit();
    let plan = Arc::new(plan);
    let mut ready = Vec::new();
    let mut results: Vec<LoadResult> = Vec::new();
    for url in &plan.targets {
        let mut result = LoadResult {
            counts: plan.counts(),
            steps: None,
        };
        match tokio::time::timeout(plan.timeout, Connector::new(url, plan.http2)).await {
            Ok(Ok(connector)) => {
                result.steps = phases::measure(url, &plan).await;
                ready.push((results.len(), (Arc::new(url.clone()), Arc::new(connector))));
            }
            Ok(Err(RequestError::Generator(why) | RequestError::Target(why))) => {
                result.counts.own = Some(why);
            }
            Err(_) => result.counts.own = Some(format!("cannot resolve {}: no answer", url.host)),
        }
        results.push(result);
    }
    let started = Time(
        Timestamp::now()
            .saturating_add(plan.warm_up)
            .expect("no times of day are in a duration"),
    );
    let (indices, lanes): (Vec<_>, Vec<_>) = ready.into_iter().unzip();
    if lanes.is_empty() {
        return (started, results);
    }
    let lanes = Arc::new(lanes);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    #[allow(clippy::cast_precision_loss, reason = "a number of targets is small")]
    let threads = match plan.rate {
        Rate::Max => cores,
        Rate::PerSecond(rate) => (1..cores)
            .find(|n| rate * lanes.len() as f64 <= RATE_OF_A_THREAD * *n as f64)
            .unwrap_or(cores),
    };
    let mut workers = Vec::new();
    for worker in 0..threads {
        let share = Share {
            worker: u32::try_from(worker).unwrap_or(0),
            of: u32::try_from(threads).unwrap_or(1),
        };
        let (plan, lanes) = (plan.clone(), lanes.clone());
        let (sender, receiver) = oneshot::channel();
        // Threads of their own, so that nothing else of this process delays a request.
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .event_interval(61)
                .build();
            let work = async { work(&plan, &lanes, share).await };
            let done = runtime.map(|runtime| runtime.block_on(work));
            // The receiver is gone when the process is on its way out.
            drop(sender.send(done));
        });
        workers.push(receiver);
    }
    for worker in workers {
        match worker.await {
            Ok(Ok(counts)) => {
                indices
                    .iter()
                    .zip(&counts)
                    .for_each(|(index, counts)| results[*index].counts.merge(counts));
            }
            Ok(Err(error)) => fail(
                &mut results,
                &format!("cannot start a thread's runtime: {error}"),
            ),
            Err(_) => fail(&mut results, "a thread that made load broke down"),
        }
    }
    (started, results)
}

fn fail(results: &mut [LoadResult], why: &str) {
    for result in results {
        result.counts.own = Some(why.to_owned());
    }
}

async fn work(
    plan: &LoadPlan,
    lanes: &[(Arc<HttpUrl>, Arc<Connector>)],
    share: Share,
) -> Vec<Counts> {
    match plan.rate {
        Rate::PerSecond(rate) => open::run(plan, lanes, rate, share).await,
        Rate::Max => {
            let connections = plan.connections.div_ceil(share.of as usize);
            let loops = lanes
                .iter()
                .map(|(url, connector)| closed::run(plan, url, connector, connections));
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
