//! What a measurement counts: times in histograms, all together and by window, and failures by
//! kind.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::{Counter, Histogram};

use super::connection::RequestError;

/// Kinds of failures that are told apart; a server that words each one anew must not fill the
/// memory.
const KINDS: usize = 16;
/// The longest time that is told from longer ones.
const LONGEST: Duration = Duration::from_secs(3600);

/// The counts of one target. Times are in microseconds.
#[derive(Clone, Debug)]
pub struct Counts {
    /// Times of good answers, to three significant digits.
    pub(crate) times: Histogram<u64>,
    /// How late requests left this machine: its own slowness, which is part of every time.
    pub(crate) lag: Histogram<u64>,
    /// Stretches of time of equal length, in order.
    pub windows: Vec<WindowCounts>,
    /// Length of a window.
    pub(crate) window: Duration,
    /// Requests that failed, by what happened.
    pub(crate) faults: BTreeMap<String, u64>,
    /// This machine could not do its part; the first such failure.
    pub(crate) own: Option<String>,
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    /// Requests that were over, good or bad, before the time of the windows was.
    pub(crate) in_time: u64,
    /// How often a request was sent again, because it can't have been taken up.
    pub(crate) sent_again: u64,
}

/// The counts of one stretch of time, by when requests were due.
#[derive(Clone, Debug)]
pub struct WindowCounts {
    pub(crate) requests: u64,
    pub(crate) errors: u64,
    /// Times to two significant digits: enough to compare, and a tenth of the size.
    pub(crate) times: Histogram<u32>,
}

impl WindowCounts {
    pub(crate) fn new() -> WindowCounts {
        WindowCounts {
            requests: 0,
            errors: 0,
            times: histogram(2),
        }
    }
}

/// An empty histogram that grows with what is recorded.
pub(crate) fn histogram<T: Counter>(digits: u8) -> Histogram<T> {
    Histogram::new(digits).expect("up to five digits are possible")
}

fn record<T: Counter>(histogram: &mut Histogram<T>, time: Duration) {
    let microseconds =
        u64::try_from(time.min(LONGEST).as_nanos().div_ceil(1000)).unwrap_or(u64::MAX);
    histogram
        .record(microseconds)
        .expect("it grows with what is recorded");
}

impl Counts {
    /// Nothing yet, for a measurement of so many windows.
    pub fn new(window: Duration, windows: usize) -> Counts {
        Counts {
            times: histogram(3),
            lag: histogram(2),
            windows: vec![WindowCounts::new(); windows],
            window,
            faults: BTreeMap::new(),
            own: None,
            requests: 0,
            errors: 0,
            in_time: 0,
            sent_again: 0,
        }
    }

    /// Counts a request that was due and was over so long after the start.
    pub fn count(&mut self, due: Duration, ended: Duration, outcome: Result<(), RequestError>) {
        let index =
            usize::try_from(due.as_nanos() / self.window.as_nanos().max(1)).unwrap_or(usize::MAX);
        let last = self.windows.len() - 1;
        let failed = match outcome {
            Ok(()) => None,
            Err(RequestError::Target(why)) => Some(why),
            Err(RequestError::TooSlow(patience)) => {
                Some(format!("no whole answer in {} ms", patience.as_millis()))
            }
            // It says nothing of the target, and makes the whole measurement void.
            Err(RequestError::Generator(why)) => {
                self.own.get_or_insert(why);
                return;
            }
        };
        let window = &mut self.windows[index.min(last)];
        self.requests += 1;
        window.requests += 1;
        self.in_time += u64::from(ended.as_nanos() <= self.window.as_nanos() * (last as u128 + 1));
        if let Some(why) = failed {
            self.errors += 1;
            window.errors += 1;
            self.fault(why, 1);
        } else {
            let time = ended.saturating_sub(due);
            record(&mut self.times, time);
            record(&mut window.times, time);
        }
    }

    /// Counts how late a request left.
    pub(crate) fn late(&mut self, by: Duration) {
        record(&mut self.lag, by);
    }

    fn fault(&mut self, why: String, times: u64) {
        let why = if self.faults.contains_key(&why) || self.faults.len() < KINDS {
            why
        } else {
            "other failures".to_owned()
        };
        *self.faults.entry(why).or_default() += times;
    }

    /// Adds what another worker or pod counted in the same windows.
    pub(crate) fn merge(&mut self, other: &Counts) {
        self.times
            .add(&other.times)
            .expect("it grows with what is added");
        self.lag
            .add(&other.lag)
            .expect("it grows with what is added");
        if self.windows.len() < other.windows.len() {
            self.windows
                .resize(other.windows.len(), WindowCounts::new());
        }
        for (window, more) in self.windows.iter_mut().zip(&other.windows) {
            window.requests += more.requests;
            window.errors += more.errors;
            window
                .times
                .add(&more.times)
                .expect("it grows with what is added");
        }
        for (why, times) in &other.faults {
            self.fault(why.clone(), *times);
        }
        if self.own.is_none() {
            self.own.clone_from(&other.own);
        }
        self.requests += other.requests;
        self.errors += other.errors;
        self.in_time += other.in_time;
        self.sent_again += other.sent_again;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn refused() -> Result<(), RequestError> {
        Err(RequestError::Target("refused".to_owned()))
    }

    #[test]
    fn requests_count_in_the_window_in_which_they_were_due() {
        let mut counts = Counts::new(SECOND, 3);
        counts.count(Duration::from_millis(999), Duration::from_secs(6), Ok(()));
        counts.count(SECOND, Duration::from_millis(1001), Ok(()));
        counts.count(Duration::from_secs(2), Duration::from_secs(3), refused());
        let by_window: Vec<_> = counts
            .windows
            .iter()
            .map(|w| (w.requests, w.errors, w.times.len()))
            .collect();
        assert_eq!(by_window, [(1, 0, 1), (1, 0, 1), (1, 1, 0)]);
        assert_eq!(
            (
                counts.requests,
                counts.errors,
                counts.times.len(),
                counts.in_time
            ),
            (3, 1, 2, 2)
        );
        assert_eq!(counts.times.max() / 1000, 5001);
    }

    #[test]
    fn two_tallies_together_are_what_one_would_have_counted() {
        let outcome = |i: u64| {
            if i.is_multiple_of(7) {
                refused()
            } else {
                Ok(())
            }
        };
        let (mut all, mut even, mut odd) = (
            Counts::new(SECOND, 4),
            Counts::new(SECOND, 4),
            Counts::new(SECOND, 4),
        );
        for i in 0..400 {
            let due = Duration::from_millis(i * 10);
            let ended = due + Duration::from_micros(i * i);
            all.count(due, ended, outcome(i));
            if i % 2 == 0 { &mut even } else { &mut odd }.count(due, ended, outcome(i));
        }
        even.merge(&odd);
        assert_eq!(even.times, all.times);
        assert_eq!(
            (even.requests, even.errors, even.in_time, even.faults),
            (all.requests, all.errors, all.in_time, all.faults)
        );
        for (merged, one) in even.windows.iter().zip(&all.windows) {
            assert_eq!(
                (merged.requests, merged.errors, &merged.times),
                (one.requests, one.errors, &one.times)
            );
        }
    }

    #[test]
    fn a_failure_of_our_own_is_no_failure_of_the_target() {
        let mut counts = Counts::new(SECOND, 1);
        counts.count(
            Duration::ZERO,
            SECOND,
            Err(RequestError::Generator("no file is free".to_owned())),
        );
        assert_eq!(
            (counts.requests, counts.errors, counts.own.as_deref()),
            (0, 0, Some("no file is free"))
        );
    }

    #[test]
    fn kinds_of_failures_do_not_fill_the_memory() {
        let mut counts = Counts::new(SECOND, 1);
        for i in 0..1000 {
            counts.count(
                Duration::ZERO,
                SECOND,
                Err(RequestError::Target(format!("failure {i}"))),
            );
        }
        assert_eq!(
            (counts.faults.len(), counts.faults.values().sum()),
            (KINDS + 1, 1000)
        );
    }
}
