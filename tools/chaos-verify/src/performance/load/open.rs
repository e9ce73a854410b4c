//! The open loop: requests leave when they are due, whether or not earlier ones have been answered,
//! and times count from then. A target that stalls delays no request, and shows in all that were
//! due.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

use super::connection::{Connection, Connector, RequestError};
use super::counts::Counts;
use super::live::{Live, Stop};
use super::plan::{LoadPlan, Rate};
use super::request::request;
use super::timer::Timer;
use super::url::HttpUrl;

/// Requests to one target that wait for their answer at a time; the rest wait for one of these.
const MOST: usize = 1000;
/// Requests that leave in one go before answers are looked at.
const BATCH: usize = 64;

/// One worker's share of the load: every `of`th request from the `worker`th on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share {
    pub(crate) worker: u32,
    pub(crate) of: u32,
}

/// A target, the connections to it, and what was counted.
struct Lane {
    url: Arc<HttpUrl>,
    connector: Arc<Connector>,
    /// Connections that no request is on, longest rest first: all take their turn, since a Service
    /// gives each connection another pod.
    idle: VecDeque<Connection>,
    busy: usize,
    /// Requests that are due and can't leave: when each was.
    waiting: VecDeque<Instant>,
    next: u64,
    counts: Counts,
}

/// A request that leaves.
#[derive(Clone, Copy, Debug)]
struct Leaving {
    lane: usize,
    due: Instant,
    /// How late it leaves because of this machine.
    late: Duration,
}

/// A request that is over.
struct Done {
    lane: usize,
    due: Instant,
    ended: Instant,
    outcome: Result<(), RequestError>,
    /// How often it was sent again.
    again: u32,
    connection: Option<Connection>,
}

/// When requests are due.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    start: Instant,
    /// Requests to each target a second, all workers together.
    rate: f64,
    share: Share,
    lanes: usize,
}

impl Schedule {
    /// When this worker's request of that number to a target is due. The targets take turns.
    fn due(&self, lane: usize, number: u64) -> Instant {
        #[allow(
            clippy::cast_precision_loss,
            reason = "2^53 requests take longer than anybody waits"
        )]
        let turn = (number * u64::from(self.share.of) + u64::from(self.share.worker)) as f64
            + lane as f64 / self.lanes.max(1) as f64;
        self.start + Duration::from_secs_f64(turn / self.rate)
    }
}

/// Puts load on targets, warm-up first, and counts.
pub(crate) async fn run(
    plan: &LoadPlan,
    targets: &[(Arc<HttpUrl>, Arc<Connector>)],
    share: Share,
    live: &Live,
) -> Vec<Counts> {
    let Rate::PerSecond(rate) = plan.rate else {
        unreachable!("the closed loop has no rate");
    };
    let mut lanes: Vec<Lane> = targets
        .iter()
        .map(|(url, connector)| Lane::new(plan, url, connector))
        .collect();
    for lane in &mut lanes {
        lane.open(plan.connections.div_ceil(share.of as usize), plan.timeout)
            .await;
    }
    let open_loop = OpenLoop {
        rate,
        share,
        patience: plan.timeout,
    };
    // What the warm-up finds shows again in what counts.
    open_loop.drive(&mut lanes, plan.warm_up, live).await;
    for lane in &mut lanes {
        lane.counts = plan.counts();
        lane.next = 0;
    }
    open_loop.drive(&mut lanes, plan.duration, live).await;
    lanes.into_iter().map(|lane| lane.counts).collect()
}

/// How one worker makes load.
#[derive(Clone, Copy, Debug)]
struct OpenLoop {
    /// Requests to each target a second, all workers together.
    rate: f64,
    share: Share,
    /// Time that one request may take, from when it was due.
    patience: Duration,
}

/// What the schedule says.
enum Next {
    /// A request is due, and leaves.
    Send(Leaving),
    /// A request is due and waits in its lane: too many are on their way.
    Queued,
    /// The next request is due then.
    Later(Instant),
    /// No more requests fall due.
    Over,
}

impl OpenLoop {
    /// Makes load for so long, and returns when the last request is over.
    async fn drive(self, lanes: &mut [Lane], duration: Duration, live: &Live) {
        let timer = match Timer::new() {
            Ok(timer) => timer,
            Err(error) => return fail(lanes, &format!("cannot make a timer: {error}")),
        };
        let schedule = Schedule {
            start: Instant::now(),
            rate: self.rate,
            share: self.share,
            lanes: lanes.len(),
        };
        let (start, mut end) = (schedule.start, schedule.start + duration);
        let mut stop = live.heed();
        let mut told = start;
        let mut flying = FuturesUnordered::new();
        let mut set_for = None;
        loop {
            match *stop.borrow_and_update() {
                Stop::No => {}
                Stop::Sending => end = start,
                Stop::Now => return,
            }
            if live.pause().is_some_and(|pause| told.elapsed() >= pause) {
                told = Instant::now();
                live.tell(self.share.worker, lanes.iter().map(|lane| &lane.counts));
            }
            let next = 'batch: {
                for _ in 0..BATCH {
                    match next_request(lanes, &schedule, end) {
                        Next::Send(one) => {
                            flying.push(lanes[one.lane].send(one, self.patience));
                        }
                        Next::Queued => {}
                        Next::Later(due) => break 'batch Some(due),
                        Next::Over => break 'batch None,
                    }
                }
                Some(start)
            };
            while let Some(Some(done)) = flying.next().now_or_never() {
                if let Some(one) = settle(lanes, done, start, self.patience) {
                    flying.push(lanes[one.lane].send(one, self.patience));
                }
            }
            let done = match next {
                None if flying.is_empty() => return,
                None => tokio::select! {
                    done = flying.next() => done,
                    _ = stop.changed() => None,
                },
                Some(due) if due <= Instant::now() => {
                    tokio::task::yield_now().await;
                    None
                }
                Some(due) => {
                    if set_for.replace(due) != Some(due) {
                        timer.set(due);
                    }
                    tokio::select! {
                        () = timer.expired() => None,
                        Some(done) = flying.next() => Some(done),
                        _ = stop.changed() => None,
                    }
                }
            };
            let waiting = done.and_then(|done| settle(lanes, done, start, self.patience));
            if let Some(one) = waiting {
                flying.push(lanes[one.lane].send(one, self.patience));
            }
        }
    }
}

/// Nothing can be measured from here.
fn fail(lanes: &mut [Lane], why: &str) {
    for lane in lanes {
        let error = RequestError::Generator(why.to_owned());
        lane.counts
            .count(Duration::ZERO, Duration::ZERO, Err(error));
    }
}

/// Takes the next request out of the schedule, if it is due.
fn next_request(lanes: &mut [Lane], schedule: &Schedule, end: Instant) -> Next {
    let (due, index) = (0..lanes.len())
        .map(|lane| (schedule.due(lane, lanes[lane].next), lane))
        .min()
        .expect("there is a target");
    if due >= end {
        return Next::Over;
    }
    let now = Instant::now();
    if due > now {
        return Next::Later(due);
    }
    let lane = &mut lanes[index];
    lane.next += 1;
    lane.counts.late(now - due);
    if lane.busy < MOST {
        Next::Send(Leaving {
            lane: index,
            due,
            late: now - due,
        })
    } else {
        lane.waiting.push_back(due);
        Next::Queued
    }
}

/// Whether a request that was not answered in time failed because of this machine: it left late,
/// or this machine looked for the answer late.
fn is_our_fault(late: Duration, overdue: Duration, patience: Duration) -> bool {
    late.max(overdue) > patience / 10
}

/// Counts a request that is over, and picks one that waited for it.
fn settle(lanes: &mut [Lane], done: Done, start: Instant, patience: Duration) -> Option<Leaving> {
    let (index, lane) = (done.lane, &mut lanes[done.lane]);
    lane.busy -= 1;
    match done.connection {
        // It is shared, and the pool has kept it.
        Some(Connection::Http2(_)) if !lane.idle.is_empty() => {}
        Some(connection) => lane.idle.push_back(connection),
        None => {}
    }
    lane.counts.sent_again += u64::from(done.again);
    lane.counts
        .count(done.due - start, done.ended - start, done.outcome);
    while let Some(due) = lane.waiting.pop_front() {
        if due.elapsed() < patience {
            return Some(Leaving {
                lane: index,
                due,
                // It waited for the target.
                late: Duration::ZERO,
            });
        }
        let outcome = Err(RequestError::TooSlow(patience));
        lane.counts.count(due - start, start.elapsed(), outcome);
    }
    None
}

impl Lane {
    fn new(plan: &LoadPlan, url: &Arc<HttpUrl>, connector: &Arc<Connector>) -> Lane {
        Lane {
            url: url.clone(),
            connector: connector.clone(),
            idle: VecDeque::new(),
            busy: 0,
            waiting: VecDeque::new(),
            next: 0,
            counts: plan.counts(),
        }
    }

    /// Opens connections ahead. Why it fails, if it does, the requests will tell.
    async fn open(&mut self, number: usize, patience: Duration) {
        for _ in 0..number {
            let Ok(Ok((connection, _))) =
                tokio::time::timeout(patience, self.connector.connect()).await
            else {
                return;
            };
            self.idle.push_back(connection);
        }
    }

    /// A request, on the connection that has rested longest, or on a new one.
    fn send(
        &mut self,
        Leaving { lane, due, late }: Leaving,
        patience: Duration,
    ) -> impl Future<Output = Done> + use<> {
        self.busy += 1;
        let connection = self.take();
        let (url, connector) = (self.url.clone(), self.connector.clone());
        async move {
            let mut connection = connection;
            let over = request(&url, &connector, &mut connection, due, patience).await;
            let (mut outcome, again) = (over.outcome, over.again);
            let ended = Instant::now();
            let overdue = ended.saturating_duration_since(due + patience);
            if matches!(outcome, Err(RequestError::TooSlow(_)))
                && is_our_fault(late, overdue, patience)
            {
                let why = "requests left this machine too late to be answered in time";
                outcome = Err(RequestError::Generator(why.to_owned()));
            }
            Done {
                lane,
                due,
                ended,
                outcome,
                again,
                connection,
            }
        }
    }

    fn take(&mut self) -> Option<Connection> {
        loop {
            match self.idle.pop_front()? {
                Connection::Http2(http2) if http2.is_closed() => {}
                Connection::Http2(http2) => {
                    self.idle.push_back(Connection::Http2(http2.clone()));
                    return Some(Connection::Http2(http2));
                }
                connection @ Connection::Http1(_) => return Some(connection),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_answer_is_the_targets_fault_only_if_this_machine_was_on_time() {
        let ms = Duration::from_millis;
        assert!(!is_our_fault(ms(2), ms(3), ms(1000)));
        assert!(is_our_fault(ms(101), ms(0), ms(1000)));
        assert!(is_our_fault(ms(0), ms(101), ms(1000)));
    }

    #[test]
    fn workers_and_targets_share_the_schedule_evenly() {
        let start = Instant::now();
        let mut all = Vec::new();
        for worker in 0..3 {
            let schedule = Schedule {
                start,
                rate: 100.0,
                share: Share { worker, of: 3 },
                lanes: 2,
            };
            for lane in 0..2 {
                all.extend((0..10).map(|number| (schedule.due(lane, number) - start).as_micros()));
            }
        }
        all.sort_unstable();
        let even: Vec<u128> = (0..60).map(|i| i * 5000).collect();
        assert_eq!(all, even);
    }
}
