//! Load on URLs, and what it shows.
//!
//! Requests are due at a fixed rate and leave when they are due (the open loop), so that a target
//! that stalls is not spared. Times count from when a request was due. How late requests really
//! left is counted too: where that is a part of the result that matters, the result is void.

mod alarm;
mod closed;
mod connection;
pub(crate) mod figures;
mod open;
mod request;
mod response;
mod tally;
mod target;

use std::sync::Arc;
use std::time::{Duration, Instant};

use chaos_common::record::{Steps, Time};
use jiff::Timestamp;
use tokio::sync::oneshot;

pub(crate) use self::connection::Fault;
use self::connection::{Connection, Dial, milliseconds};
use self::open::Share;
pub(crate) use self::tally::{Tally, Window};
pub(crate) use self::target::Target;

/// Requests a second that one thread is trusted with.
const RATE_OF_A_THREAD: f64 = 15_000.0;
/// Windows of a measurement, at most: they bound the size of a record.
const WINDOWS: u32 = 60;
/// The shortest window.
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);
/// Fresh connections that the steps of a request are taken from.
const SAMPLES: usize = 5;

/// How fast requests go out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Rate {
    /// So many a second to each target.
    PerSecond(f64),
    /// As fast as the target answers.
    Max,
}

/// What load to make.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) targets: Vec<Target>,
    pub(crate) rate: Rate,
    pub(crate) duration: Duration,
    /// Load before the load that counts.
    pub(crate) warm_up: Duration,
    /// Time that one request may take.
    pub(crate) timeout: Duration,
    /// Connections to each target from the start; the open loop opens more when it needs them.
    pub(crate) connections: usize,
    pub(crate) http2: bool,
}

impl Plan {
    /// Length of a window.
    pub(crate) fn window(&self) -> Duration {
        (self.duration / WINDOWS).max(SHORTEST_WINDOW)
    }

    fn tally(&self) -> Tally {
        let windows = self.duration.as_nanos().div_ceil(self.window().as_nanos());
        Tally::new(self.window(), usize::try_from(windows).unwrap_or(1).max(1))
    }
}

/// What became of one target.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) tally: Tally,
    /// The steps of single requests on fresh connections before the load; none if they failed.
    pub(crate) steps: Option<Steps>,
}

/// Puts load on the targets, all at the same time. Never fails: what went wrong is counted.
pub(crate) async fn run(plan: Plan) -> (Time, Vec<Loaded>) {
    raise_limit();
    let plan = Arc::new(plan);
    let mut ready = Vec::new();
    let mut results: Vec<Loaded> = Vec::new();
    for target in &plan.targets {
        let mut loaded = Loaded {
            tally: plan.tally(),
            steps: None,
        };
        match tokio::time::timeout(plan.timeout, Dial::new(target, plan.http2)).await {
            Ok(Ok(dial)) => {
                loaded.steps = steps(target, &plan).await;
                ready.push((results.len(), (Arc::new(target.clone()), Arc::new(dial))));
            }
            Ok(Err(Fault::Own(why) | Fault::Target(why))) => loaded.tally.own = Some(why),
            Err(_) => loaded.tally.own = Some(format!("cannot resolve {}: no answer", target.host)),
        }
        results.push(loaded);
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
            Ok(Ok(tallies)) => {
                indices
                    .iter()
                    .zip(&tallies)
                    .for_each(|(index, tally)| results[*index].tally.merge(tally));
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

fn fail(results: &mut [Loaded], why: &str) {
    for loaded in results {
        loaded.tally.own = Some(why.to_owned());
    }
}

async fn work(plan: &Plan, lanes: &[(Arc<Target>, Arc<Dial>)], share: Share) -> Vec<Tally> {
    match plan.rate {
        Rate::PerSecond(rate) => open::run(plan, lanes, rate, share).await,
        Rate::Max => {
            let connections = plan.connections.div_ceil(share.of as usize);
            let loops = lanes
                .iter()
                .map(|(target, dial)| closed::run(plan, target, dial, connections));
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

/// The runbook's look at single requests: what takes how long.
async fn steps(target: &Target, plan: &Plan) -> Option<Steps> {
    let mut all = Vec::new();
    for _ in 0..SAMPLES {
        all.push(
            tokio::time::timeout(plan.timeout, single(target, plan.http2))
                .await
                .ok()??,
        );
    }
    let median = |of: &dyn Fn(&Steps) -> f64| {
        let mut values: Vec<f64> = all.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        // Microseconds: more digits would claim more than a clock can give.
        (values[values.len() / 2] * 1000.0).round() / 1000.0
    };
    Some(Steps {
        lookup_ms: median(&|steps| steps.lookup_ms),
        connect_ms: median(&|steps| steps.connect_ms),
        tls_ms: target
            .tls
            .then(|| median(&|steps| steps.tls_ms.unwrap_or_default())),
        first_byte_ms: median(&|steps| steps.first_byte_ms),
        total_ms: median(&|steps| steps.total_ms),
    })
}

async fn single(target: &Target, http2: bool) -> Option<Steps> {
    let start = Instant::now();
    let dial = Dial::new(target, http2).await.ok()?;
    let lookup_ms = milliseconds(start);
    let (connection, connected) = dial.connect().await.ok()?;
    let sent = Instant::now();
    let first = match connection {
        Connection::Http1(mut http1) => http1.exchange(&target.request).await.ok()?.1,
        Connection::Http2(mut sender) => {
            connection::exchange_http2(&mut sender, target)
                .await
                .ok()?
                .1
        }
    };
    Some(Steps {
        lookup_ms,
        connect_ms: connected.connect_ms,
        tls_ms: connected.tls_ms,
        first_byte_ms: (first - sent).as_secs_f64() * 1000.0,
        total_ms: milliseconds(start),
    })
}
