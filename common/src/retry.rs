//! One way to try again: which errors may pass, how long to wait between, and when to give up.
//!
//! Built on `backon`. There are two needs. [`until`] waits for a state to come about, with the same
//! pause all the time, and gives the last reason at the deadline. [`Policy`] repeats a call that
//! failed, with pauses that grow.

use std::time::Duration;

use backon::{ConstantBuilder, ExponentialBuilder, Retryable};
use tokio::time::Instant;

/// How a call that failed is repeated: each pause is twice the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The first pause.
    pub pause: Duration,
    /// The longest pause.
    pub longest: Duration,
    /// How often the call is repeated at most.
    pub repeats: usize,
    /// No repetition begins later than this after the first call.
    pub within: Duration,
    /// The same once whoever is asked has asked for a pause: it is there and will answer, and to be
    /// asked later is no failure. Such repetitions are not counted.
    pub within_throttled: Duration,
}

/// Whether an error may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It will not pass.
    Never,
    /// It may pass: after the policy's pause.
    Soon,
    /// It passes after this time, as whoever was asked says (429 and Retry-After).
    After(Duration),
}

impl Policy {
    /// Makes a call, and again while its error may pass and the policy allows. Pauses that an error
    /// itself asks for are taken as long as they end in time.
    ///
    /// # Errors
    /// That of the last call.
    pub async fn run<T, E, F>(
        &self,
        call: impl FnMut() -> F,
        mut again: impl FnMut(&E) -> Again,
    ) -> Result<T, E>
    where
        F: Future<Output = Result<T, E>>,
    {
        let start = Instant::now();
        let mut end = start + self.within;
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.pause)
            .with_max_delay(self.longest)
            .with_factor(2.0)
            .with_max_times(self.repeats);
        call.retry(pauses)
            .adjust(|error, pause| {
                let pause = match again(error) {
                    Again::Never => None,
                    Again::Soon => pause,
                    Again::After(asked) => {
                        end = start + self.within_throttled;
                        Some(asked)
                    }
                };
                pause.filter(|pause| Instant::now() + *pause < end)
            })
            .await
    }
}

/// Asks until there is an answer, with the same pause between two questions, and at least once.
///
/// # Errors
/// There is none at the deadline: the last reason.
pub async fn until<T, E, F>(
    deadline: Instant,
    pause: Duration,
    ask: impl FnMut() -> F,
) -> Result<T, E>
where
    F: Future<Output = Result<T, E>>,
{
    let pauses = ConstantBuilder::default()
        .with_delay(pause)
        .without_max_times();
    ask.retry(pauses)
        .when(|_| Instant::now() + pause < deadline)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy {
        pause: Duration::from_millis(100),
        longest: Duration::from_millis(400),
        repeats: 4,
        within: Duration::from_secs(20),
        within_throttled: Duration::from_secs(60),
    };

    /// Runs a call that fails so many times; gives calls, milliseconds and result.
    async fn run(policy: Policy, failures: u32, again: Again) -> (u32, u128, Result<(), u32>) {
        let start = Instant::now();
        let mut calls = 0;
        let call = || {
            calls += 1;
            std::future::ready(if calls > failures { Ok(()) } else { Err(calls) })
        };
        let result = policy.run(call, |_| again).await;
        // Timers and doubled pauses are true to a millisecond each.
        let tens = start.elapsed().as_millis() / 10;
        (calls, tens * 10, result)
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_end() {
        assert_eq!(run(POLICY, 2, Again::Soon).await, (3, 300, Ok(())));
        // 100, 200, 400, 400.
        assert_eq!(run(POLICY, 9, Again::Soon).await, (5, 1100, Err(5)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_that_does_not_pass_ends_it_at_once() {
        assert_eq!(run(POLICY, 9, Again::Never).await, (1, 0, Err(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_that_is_asked_for_is_kept_and_does_not_count() {
        let asked = Again::After(Duration::from_secs(3));
        assert_eq!(run(POLICY, 9, asked).await, (10, 27_000, Ok(())));
        let asked = Again::After(Duration::from_secs(40));
        assert_eq!(run(POLICY, 9, asked).await, (2, 40_000, Err(2)));
    }

    #[tokio::test(start_paused = true)]
    async fn a_state_is_waited_for_up_to_the_deadline() {
        let start = Instant::now();
        let (deadline, pause) = (start + Duration::from_secs(1), Duration::from_millis(300));
        let mut asked = 0;
        let mut ask = |good: u32| {
            asked += 1;
            std::future::ready(if asked >= good { Ok(asked) } else { Err(asked) })
        };
        assert_eq!(until(deadline, pause, || ask(2)).await, Ok(2));
        assert!(start.elapsed() >= pause && start.elapsed() < 2 * pause);
        assert_eq!(until(deadline, pause, || ask(99)).await, Err(5));
        assert!(start.elapsed() <= Duration::from_secs(1));
        // Once in any case.
        assert_eq!(until(start, pause, || ask(99)).await, Err(6));
    }
}
