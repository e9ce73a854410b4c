//! Sending until it is known what became of a message; again only where that can't make a second
//! copy of it.

mod all;
mod fate;
mod pace;
mod retry_after;
mod standing;
mod stop;
mod watch;

use std::cell::{Cell, RefCell};
use std::time::Duration;

use chaos_common::retry::{Again, Policy};

pub(crate) use self::all::{Job, Sent, send};
pub(crate) use self::fate::{Answer, Fate};
pub(crate) use self::pace::Pace;
pub(crate) use self::retry_after::retry_after;
pub(crate) use self::standing::Standing;
pub(crate) use self::stop::Stop;
pub(crate) use self::watch::{Phase, Watch};

/// The most tries of one message on one channel.
const MAX_TRIES: u32 = 4;

/// How far a message has come on one channel.
#[derive(Debug)]
pub(crate) struct Progress {
    standing: RefCell<Standing>,
    tries: Cell<u32>,
}

impl Progress {
    /// Nothing was tried yet.
    pub(crate) fn new(recipients: &[String]) -> Progress {
        Progress {
            standing: RefCell::new(Standing::new(recipients)),
            tries: Cell::new(0),
        }
    }
}

/// A try after which another is due.
struct Undelivered {
    /// The longest pause that anybody asks for.
    pause: Option<Duration>,
}

/// Tries until everything is settled, or tries or time are used up. A try is given who has not got
/// it yet. Gives why there was no further try, where one was due.
async fn deliver(
    progress: &Progress,
    watch: &Watch,
    attempt: impl AsyncFn(&[String]) -> Vec<Answer>,
) -> Option<String> {
    let Progress { standing, tries } = progress;
    let call = || async {
        tries.set(tries.get() + 1);
        let pending = standing.borrow().pending();
        let answers = attempt(&pending).await;
        let mut standing = standing.borrow_mut();
        standing.learn(answers);
        if !standing.is_open() {
            return Ok(());
        }
        watch.did_not_arrive(&standing.pending());
        Err(Undelivered {
            pause: longest_pause(&standing),
        })
    };
    // The policy does not count pauses that the other side asks for. Nothing is sent forever.
    let again = |error: &Undelivered| match error.pause {
        _ if tries.get() == MAX_TRIES => Again::Never,
        Some(pause) => Again::After(pause),
        None => Again::Soon,
    };
    let end = policy(watch.left()).run(call, again).await;
    end.err().and_then(|error| given_up(&error, tries.get()))
}

/// How a message is tried again within a time.
fn policy(within: Duration) -> Policy {
    Policy {
        pause: Duration::from_millis(400),
        longest: Duration::from_secs(5),
        repeats: MAX_TRIES as usize - 1,
        within,
        within_throttled: within,
    }
}

fn longest_pause(standing: &Standing) -> Option<Duration> {
    let pauses = standing.open_answers().filter_map(|fate| match fate {
        Fate::Later(pause) => pause,
        _ => None,
    });
    pauses.max()
}

/// Why there was no further try.
fn given_up(error: &Undelivered, tries: u32) -> Option<String> {
    match error.pause {
        _ if tries == MAX_TRIES => None,
        Some(pause) => Some(format!(
            "it asks to wait {} s, which is too long",
            pause.as_secs()
        )),
        None => Some("there was no time for another try".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use chaos_common::record::ChannelOutcome;
    use tokio::time::Instant;

    use super::*;

    struct Ended {
        outcome: ChannelOutcome,
        detail: String,
        tries: u32,
        given_up: Option<String>,
        took: Duration,
    }

    /// Delivers to a service that gives these answers in turn, on a clock that jumps.
    fn run(answers: Vec<Answer>) -> Ended {
        let answers = RefCell::new(answers.into_iter());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a timer");
        runtime.block_on(async {
            let (start, progress) = (Instant::now(), Progress::new(&[]));
            let watch = Watch::new(start + Duration::from_secs(30), None);
            let attempt = async |_: &[String]| {
                let next = answers.borrow_mut().next();
                vec![next.expect("no more tries than answers")]
            };
            let given_up = deliver(&progress, &watch, attempt).await;
            let standing = progress.standing.into_inner();
            Ended {
                outcome: standing.outcome(),
                detail: standing.detail(),
                tries: progress.tries.get(),
                given_up,
                took: start.elapsed(),
            }
        })
    }

    fn later(seconds: u64) -> Answer {
        Answer::new(Fate::Later(Some(Duration::from_secs(seconds))), "503")
    }

    #[test]
    fn what_is_settled_is_not_tried_again() {
        let out = run(vec![later(0), Answer::delivered("ok")]);
        assert_eq!((out.outcome, out.tries), (ChannelOutcome::Sent, 2));
        assert_eq!(run(vec![Answer::unknown("?")]).tries, 1);
        assert_eq!(run(vec![Answer::refused("no")]).tries, 1);
    }

    #[test]
    fn tries_end_also_where_the_other_side_asks_for_more() {
        for answer in [later(0), Answer::later("503")] {
            let out = run(vec![answer; 4]);
            assert_eq!((out.outcome, out.tries), (ChannelOutcome::Failed, 4));
            assert_eq!((out.given_up, out.detail.as_str()), (None, "503"));
        }
    }

    #[test]
    fn a_pause_that_is_too_long_is_not_waited_for() {
        let out = run(vec![later(3600)]);
        assert_eq!((out.tries, out.took), (1, Duration::ZERO));
        let why = "it asks to wait 3600 s, which is too long";
        assert_eq!(out.given_up.as_deref(), Some(why));
    }

    #[test]
    fn a_pause_that_is_asked_for_is_kept() {
        let out = run(vec![later(7), Answer::delivered("ok")]);
        assert_eq!((out.outcome, out.tries), (ChannelOutcome::Sent, 2));
        assert!(out.took >= Duration::from_secs(7));
    }
}
