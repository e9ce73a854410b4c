//! The closed loop: on each connection a request as soon as the last one is answered. It finds out
//! how much a target can take; its times say little, since a target that stalls is asked less.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connector;
use super::counts::Counts;
use super::plan::LoadPlan;
use super::request::request;
use super::url::HttpUrl;

/// Time between a failure and the next request.
const PAUSE: Duration = Duration::from_millis(1);

/// Asks a target as fast as it answers on so many connections, and counts.
pub(crate) async fn run(
    plan: &LoadPlan,
    url: &Arc<HttpUrl>,
    connector: &Arc<Connector>,
    connections: usize,
) -> Counts {
    let start = Instant::now() + plan.warm_up;
    let end = start + plan.duration;
    let all = Arc::new(Mutex::new(plan.counts()));
    let loops: Vec<_> = (0..connections)
        .map(|_| {
            let (url, connector, patience, all) =
                (url.clone(), connector.clone(), plan.timeout, all.clone());
            tokio::spawn(async move {
                let mut connection = None;
                let mut sent = Instant::now();
                while sent < end {
                    let outcome = request(&url, &connector, &mut connection, sent, patience).await;
                    let ended = Instant::now();
                    let failed = outcome.is_err();
                    if sent >= start {
                        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                        all.count(sent - start, ended - start, outcome);
                    }
                    sent = ended;
                    if failed {
                        // A target that refuses is not asked a million times a second.
                        tokio::time::sleep(PAUSE).await;
                        sent = Instant::now();
                    }
                }
            })
        })
        .collect();
    for one in loops {
        one.await.expect("a loop of requests does not panic");
    }
    let all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.clone()
}
