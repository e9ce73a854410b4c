//! Who is told when, as a decision on plain values.

use std::time::Duration;

/// How far an escalation has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// So many contacts were told after the first message.
    pub(crate) told: usize,
    /// The latest message certainly reached nobody.
    pub(crate) in_vain: bool,
    /// The time since the latest message. `None` where the clock does not tell, as it went
    /// backwards while no process was there to count.
    pub(crate) since: Option<Duration>,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Tell the contact of this number.
    Tell(usize),
    /// Wait so long.
    Wait(Duration),
    /// Everybody was told and had their time.
    Over,
}

/// What is to be done, by the times of the steps and of the end, each counted from the first
/// message.
///
/// Everybody has the time between their step and the next one to answer, whenever they were told:
/// a machine that slept, or a clock that jumps, tells nobody too early and leaves nobody out. Where
/// a message certainly reached nobody, nobody is waited for. Where the clock does not tell, the next
/// one is told: a call too early is the lesser evil.
pub(crate) fn next(times: &[Duration], end: Duration, at: Position) -> Next {
    let latest = match at.told.checked_sub(1) {
        None => Duration::ZERO,
        Some(last) => times.get(last).copied().unwrap_or(end),
    };
    let due = times.get(at.told).copied();
    let pause = due.unwrap_or(end).saturating_sub(latest);
    let waited = match at.since {
        Some(since) => since,
        None if due.is_some() => pause,
        // Nobody is left to be told; the end is waited for in full.
        None => Duration::ZERO,
    };
    match due {
        Some(_) if at.in_vain || waited >= pause => Next::Tell(at.told),
        None if waited >= pause => Next::Over,
        _ => Next::Wait(pause.saturating_sub(waited)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn minutes(minutes: u64) -> Duration {
        Duration::from_secs(60 * minutes)
    }

    const TIMES: [Duration; 3] = [minutes(0), minutes(5), minutes(15)];
    const END: Duration = minutes(30);

    fn at(told: usize, since: Duration) -> Next {
        let position = Position {
            told,
            in_vain: false,
            since: Some(since),
        };
        next(&TIMES, END, position)
    }

    #[test]
    fn each_is_told_when_it_is_their_turn_and_not_before() {
        assert_eq!(at(0, minutes(0)), Next::Tell(0));
        assert_eq!(at(1, minutes(0)), Next::Wait(minutes(5)));
        assert_eq!(at(1, minutes(4)), Next::Wait(minutes(1)));
        assert_eq!(at(1, minutes(5)), Next::Tell(1));
        assert_eq!(at(2, minutes(5)), Next::Wait(minutes(5)));
        assert_eq!(at(2, minutes(10)), Next::Tell(2));
        assert_eq!(at(3, minutes(14)), Next::Wait(minutes(1)));
        assert_eq!(at(3, minutes(15)), Next::Over);
    }

    #[test]
    fn a_jump_of_the_clock_leaves_nobody_out() {
        for told in 0..TIMES.len() {
            assert_eq!(at(told, minutes(60 * 24)), Next::Tell(told));
            let backwards = Position {
                told,
                in_vain: false,
                since: None,
            };
            assert_eq!(next(&TIMES, END, backwards), Next::Tell(told));
        }
        let all = Position {
            told: 3,
            in_vain: false,
            since: None,
        };
        assert_eq!(next(&TIMES, END, all), Next::Wait(minutes(15)));
    }

    #[test]
    fn whoever_cannot_be_reached_is_not_waited_for() {
        let in_vain = |told| {
            let position = Position {
                told,
                in_vain: true,
                since: Some(Duration::ZERO),
            };
            next(&TIMES, END, position)
        };
        assert_eq!(in_vain(1), Next::Tell(1));
        assert_eq!(in_vain(2), Next::Tell(2));
        // Somebody may answer yet to what the others got.
        assert_eq!(in_vain(3), Next::Wait(minutes(15)));
    }

    #[test]
    fn without_contacts_the_end_is_waited_for() {
        let position = Position {
            told: 0,
            in_vain: false,
            since: Some(minutes(1)),
        };
        assert_eq!(next(&[], END, position), Next::Wait(minutes(29)));
        // The configuration may have become shorter while nobody looked.
        assert_eq!(
            next(
                &TIMES[..1],
                END,
                Position {
                    told: 3,
                    ..position
                }
            ),
            Next::Over
        );
    }
}
