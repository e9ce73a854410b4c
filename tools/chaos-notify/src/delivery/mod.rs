//! Sending until it is known what became of a message; again only where that can't make a second
//! copy of it.

mod retry_after;

use std::hash::{BuildHasher, Hasher};
use std::time::Duration;

use chaos_common::record::ChannelOutcome;
use tokio::time::Instant;

pub(crate) use self::retry_after::retry_after;

/// The most attempts at one message on one channel.
const MAX_ATTEMPTS: u32 = 4;

/// The longest time for all attempts together.
const TOTAL: Duration = Duration::from_secs(30);

/// The longest time that an attempt waits for the other side.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The first pause, which doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// What came of one attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// Final.
    Done(ChannelOutcome, String),
    /// It did not arrive for certain, and may be tried again, at the earliest after this time.
    Retry(String, Option<Duration>),
}

/// What came of all attempts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Delivery {
    pub(crate) outcome: ChannelOutcome,
    pub(crate) attempts: u32,
    pub(crate) detail: String,
}

/// Tries until the outcome is final, the tries are used up, or the time is. Each try is told how
/// long it may wait for the other side, and whether it is the last.
pub(crate) async fn deliver(mut attempt: impl AsyncFnMut(Duration, bool) -> Attempt) -> Delivery {
    let end = Instant::now() + TOTAL;
    let mut attempts = 0;
    loop {
        attempts += 1;
        let left = end.saturating_duration_since(Instant::now());
        let (detail, after) = match attempt(left.min(TIMEOUT), attempts == MAX_ATTEMPTS).await {
            Attempt::Done(outcome, detail) => {
                return Delivery {
                    outcome,
                    attempts,
                    detail,
                };
            }
            Attempt::Retry(detail, after) => (detail, after),
        };
        let failed = |detail| Delivery {
            outcome: ChannelOutcome::Failed,
            attempts,
            detail,
        };
        if attempts == MAX_ATTEMPTS {
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
    fn tries_end_and_a_final_outcome_is_not_tried_again() {
        let run = |answers: Vec<Attempt>| {
            let mut answers = answers.into_iter();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a timer");
            runtime.block_on(deliver(async |_, _| {
                answers.next().expect("no more tries than answers")
            }))
        };
        let again = || Attempt::Retry("503".into(), Some(Duration::ZERO));
        let done = |outcome| Attempt::Done(outcome, "x".into());
        assert_eq!(run(vec![again(), done(ChannelOutcome::Sent)]).attempts, 2);
        let out = run(vec![again(), again(), again(), again()]);
        assert_eq!((out.outcome, out.attempts), (ChannelOutcome::Failed, 4));
        assert_eq!(run(vec![done(ChannelOutcome::Unknown)]).attempts, 1);
        let out = run(vec![Attempt::Retry(
            "429".into(),
            Some(Duration::from_secs(3600)),
        )]);
        assert_eq!((out.outcome, out.attempts), (ChannelOutcome::Failed, 1));
    }
}
