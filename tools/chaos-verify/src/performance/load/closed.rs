//! The closed loop: on each connection a request as soon as the last one is answered. It finds out
//! how much a target can take; its times say little, since a target that stalls is asked less.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::connection::Connector;
use super::counts::Counts;
use super::live::{Live, Stop};
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
    (connections, live): (usize, &Live),
) -> Counts {
    let start = Instant::now() + plan.warm_up;
    let end = start + plan.duration;
    let all = Arc::new(Mutex::new(plan.counts()));
    let loops: Vec<_> = (0..connections)
        .map(|_| {
            let (url, connector, patience, all) =
                (url.clone(), connector.clone(), plan.timeout, all.clone());
            let stop = live.heed();
            tokio::spawn(async move {
                let mut connection = None;
                let mut sent = Instant::now();
                while sent < end && *stop.borrow() == Stop::No {
                    let over = request(&url, &connector, &mut connection, sent, patience).await;
                    let ended = Instant::now();
                    let failed = over.outcome.is_err();
                    if sent >= start {
                        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
                        all.sent_again += u64::from(over.again);
                        all.count(sent - start, ended - start, over.outcome);
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
    let mut stop = live.heed();
    let over = async {
        for one in loops {
            one.await.expect("a loop of requests does not panic");
        }
    };
    tokio::select! {
        () = over => {}
        _ = stop.wait_for(|stop| *stop == Stop::Now) => {}
        () = tell(live, &all) => {}
    }
    let all = all.lock().unwrap_or_else(PoisonError::into_inner);
    all.clone()
}

/// Tells what was counted, again and again.
async fn tell(live: &Live, all: &Mutex<Counts>) {
    let Some(pause) = live.pause() else {
        return std::future::pending().await;
    };
    loop {
        tokio::time::sleep(pause).await;
        let all = all.lock().unwrap_or_else(PoisonError::into_inner);
        live.tell(0, std::iter::once(&*all));
    }
}
