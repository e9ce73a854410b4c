//! Trying again, where that can't make a second copy of a message.

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use chaos_common::record::ChannelOutcome;
use jiff::Timestamp;
use tokio::time::Instant;

/// The most tries of one message on one channel.
pub(crate) const MOST_TRIES: u32 = 4;

/// The longest time for all tries together.
const TOTAL: Duration = Duration::from_secs(30);

/// The longest time that a try waits for the other side.
const PATIENCE: Duration = Duration::from_secs(10);

/// The first pause, which doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// What came of one try.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Try {
    /// Final.
    Done(ChannelOutcome, String),
    /// It did not arrive for certain, and may be tried again, at the earliest after this time.
    Again(String, Option<Duration>),
}

/// What came of all tries.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) outcome: ChannelOutcome,
    pub(crate) attempts: u32,
    pub(crate) detail: String,
}

/// Tries until the outcome is final, the tries are used up, or the time is. Each try is told how
/// long it may wait for the other side, and whether it is the last.
pub(crate) async fn deliver(mut attempt: impl AsyncFnMut(Duration, bool) -> Try) -> Delivery {
    let end = Instant::now() + TOTAL;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let left = end.saturating_duration_since(Instant::now());
        let (detail, after) = match attempt(left.min(PATIENCE), attempts == MOST_TRIES).await {
            Try::Done(outcome, detail) => {
                return Delivery {
                    outcome,
                    attempts,
                    detail,
                };
            }
            Try::Again(detail, after) => (detail, after),
        };
        let failed = |detail| Delivery {
            outcome: ChannelOutcome::Failed,
            attempts,
            detail,
        };
        if attempts == MOST_TRIES {
            return failed(detail);
        }
        let pause = after.unwrap_or_else(|| pause(attempts, random()));
        if Instant::now() + pause >= end {
            return failed(match after {
                Some(_) => format!(
                    "{detail}; it asks to wait {} s, which is too long",
                    pause.as_secs()
                ),
                None => format!("{detail}; there was no time for another try"),
            });
        }
        tokio::time::sleep(pause).await;
    }
}

/// The pause after this try: doubling, and somewhere between half and all of it, so that many
/// senders do not come back at the same moment.
fn pause(attempt: u32, random: u64) -> Duration {
    let whole = FIRST_PAUSE * 2_u32.pow(attempt - 1);
    let half = u64::try_from(whole.as_millis() / 2).unwrap_or(u64::MAX);
    Duration::from_millis(half + random % (half + 1))
}

/// A number that differs from call to call; its only use is to spread pauses.
fn random() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}

/// The value of a `Retry-After` header: seconds, or a date.
pub(crate) fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    Some(Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_are_spread() {
        assert_eq!(pause(1, 0), Duration::from_millis(250));
        assert_eq!(pause(1, 250), Duration::from_millis(500));
        assert_eq!(pause(3, 0), Duration::from_secs(1));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now: Timestamp = "2026-11-22T16:00:00Z".parse().expect("a time");
        assert_eq!(retry_after(" 7 ", now), Some(Duration::from_secs(7)));
        assert_eq!(
            retry_after("Sun, 22 Nov 2026 16:00:05 GMT", now),
            Some(Duration::from_secs(5))
        );
        assert_eq!(
            retry_after("Sun, 22 Nov 2026 15:00:05 GMT", now),
            Some(Duration::ZERO)
        );
        assert_eq!(retry_after("soon", now), None);
    }

    #[test]
    fn tries_end_and_a_final_outcome_is_not_tried_again() {
        let run = |answers: Vec<Try>| {
            let mut answers = answers.into_iter();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a timer");
            runtime.block_on(deliver(async |_, _| {
                answers.next().expect("no more tries than answers")
            }))
        };
        let again = || Try::Again("503".into(), Some(Duration::ZERO));
        let done = |outcome| Try::Done(outcome, "x".into());
        assert_eq!(run(vec![again(), done(ChannelOutcome::Sent)]).attempts, 2);
        let out = run(vec![again(), again(), again(), again()]);
        assert_eq!((out.outcome, out.attempts), (ChannelOutcome::Failed, 4));
        assert_eq!(run(vec![done(ChannelOutcome::Unknown)]).attempts, 1);
        let out = run(vec![Try::Again(
            "429".into(),
            Some(Duration::from_secs(3600)),
        )]);
        assert_eq!((out.outcome, out.attempts), (ChannelOutcome::Failed, 1));
    }
}
