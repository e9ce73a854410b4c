//! Sending until it is known what became of a message; again only where that can't make a second
//! copy of it.

mod retry_after;

use std::cell::Cell;
use std::time::Duration;

use chaos_common::record::ChannelOutcome;
use chaos_common::retry::{Again, Policy};
use tokio::time::Instant;

pub(crate) use self::retry_after::retry_after;

/// The most attempts at one message on one channel.
const MAX_ATTEMPTS: u32 = 4;

/// The longest time for all attempts together.
const TOTAL: Duration = Duration::from_secs(30);

/// The longest time that an attempt waits for the other side.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How a message is tried again.
const POLICY: Policy = Policy {
    pause: Duration::from_millis(400),
    longest: Duration::from_secs(5),
    repeats: MAX_ATTEMPTS as usize - 1,
    within: TOTAL,
    within_throttled: TOTAL,
};

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

/// An attempt that may be repeated.
struct Undelivered {
    why: String,
    retry_after: Option<Duration>,
}

/// Tries until the outcome is final, or attempts or time are used up. Each attempt is told how long
/// it may wait for the other side, and whether it is the last.
pub(crate) async fn deliver(attempt: impl AsyncFn(Duration, bool) -> Attempt) -> Delivery {
    let end = Instant::now() + TOTAL;
    let (attempt, attempts) = (&attempt, &Cell::new(0));
    let call = || async move {
        attempts.set(attempts.get() + 1);
        let left = end.saturating_duration_since(Instant::now());
        match attempt(left.min(TIMEOUT), attempts.get() == MAX_ATTEMPTS).await {
            Attempt::Done(outcome, detail) => Ok((outcome, detail)),
            Attempt::Retry(why, retry_after) => Err(Undelivered { why, retry_after }),
        }
    };
    // The policy does not count pauses that the other side asks for. A message is not sent forever.
    let again = |error: &Undelivered| match error.retry_after {
        _ if attempts.get() == MAX_ATTEMPTS => Again::Never,
        Some(pause) => Again::After(pause),
        None => Again::Soon,
    };
    let (outcome, detail) = match POLICY.run(call, again).await {
        Ok(done) => done,
        Err(error) => (ChannelOutcome::Failed, why_given_up(error, attempts.get())),
    };
    Delivery {
        outcome,
        attempts: attempts.get(),
        detail,
    }
}

/// Why the last attempt failed, and why there was none after it.
fn why_given_up(error: Undelivered, attempts: u32) -> String {
    let why = error.why;
    match error.retry_after {
        _ if attempts == MAX_ATTEMPTS => why,
        Some(pause) => format!(
            "{why}; it asks to wait {} s, which is too long",
            pause.as_secs()
        ),
        None => format!("{why}; there was no time for another try"),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    fn run(answers: Vec<Attempt>) -> Delivery {
        let answers = RefCell::new(answers.into_iter());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a timer");
        runtime.block_on(deliver(async |_, _| {
            let next = answers.borrow_mut().next();
            next.expect("no more attempts than answers")
        }))
    }

    fn again(after: Option<u64>) -> Attempt {
        Attempt::Retry("503".into(), after.map(Duration::from_secs))
    }

    fn done(outcome: ChannelOutcome) -> Attempt {
        Attempt::Done(outcome, "x".into())
    }

    #[test]
    fn a_final_outcome_is_not_tried_again() {
        let out = run(vec![again(Some(0)), done(ChannelOutcome::Sent)]);
        assert_eq!((out.outcome, out.attempts), (ChannelOutcome::Sent, 2));
        assert_eq!(run(vec![done(ChannelOutcome::Unknown)]).attempts, 1);
    }

    #[test]
    fn attempts_end_also_where_the_other_side_asks_for_more() {
        let out = run((0..4).map(|_| again(Some(0))).collect());
        assert_eq!((out.outcome, out.attempts), (ChannelOutcome::Failed, 4));
        assert_eq!(out.detail, "503");
        let out = run((0..4).map(|_| again(None)).collect());
        assert_eq!((out.outcome, out.attempts), (ChannelOutcome::Failed, 4));
    }

    #[test]
    fn a_pause_that_is_too_long_is_not_waited_for() {
        let out = run(vec![again(Some(3600))]);
        assert_eq!((out.outcome, out.attempts), (ChannelOutcome::Failed, 1));
        assert_eq!(out.detail, "503; it asks to wait 3600 s, which is too long");
    }

    #[test]
    fn a_pause_that_is_asked_for_is_kept() {
        let start = std::time::Instant::now();
        let out = run(vec![again(Some(1)), done(ChannelOutcome::Sent)]);
        assert_eq!(out.outcome, ChannelOutcome::Sent);
        assert!(start.elapsed() >= Duration::from_secs(1));
    }
}
