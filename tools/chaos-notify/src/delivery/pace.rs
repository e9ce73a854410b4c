//! How often a service takes a message: who asks faster is refused, and its messages wait.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

/// The turns of one channel.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    next: Mutex<Instant>,
}

impl Pace {
    /// One turn each interval.
    pub(crate) fn new(interval: Duration) -> Pace {
        Pace {
            interval,
            next: Mutex::new(Instant::now()),
        }
    }

    /// Waits for a turn: whoever asked first has the first one.
    pub(crate) async fn turn(&self) {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + self.interval;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn turns_are_apart_and_the_first_is_at_once() {
        let (start, pace) = (Instant::now(), Pace::new(Duration::from_secs(1)));
        pace.turn().await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        let turns = (0..5).map(|_| pace.turn());
        futures::future::join_all(turns).await;
        assert!(start.elapsed() >= Duration::from_secs(5));
        tokio::time::sleep(Duration::from_secs(9)).await;
        let (late, ()) = (Instant::now(), pace.turn().await);
        assert_eq!(late.elapsed(), Duration::ZERO);
    }
}
