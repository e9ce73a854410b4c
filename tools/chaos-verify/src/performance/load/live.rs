//! A measurement under way: what it shows a person at a terminal, and how it is ended early.

use std::io::{IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::counts::{Counts, histogram};
use super::plan::LoadPlan;

/// Time between two looks at what the workers count.
const PAUSE: Duration = Duration::from_millis(500);
/// Columns of a line that is shown.
const COLUMNS: usize = 79;

/// How far a measurement is to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stop {
    /// To its end.
    No,
    /// No more requests leave, and those that have left are waited for.
    Sending,
    /// Nothing is waited for.
    Now,
}

/// What was counted so far, of all URLs together.
#[derive(Clone, Debug)]
struct Glance {
    requests: u64,
    errors: u64,
    times: Histogram<u64>,
}

/// A measurement under way. Workers heed it and tell it what they count.
pub(super) struct Live {
    stop: watch::Sender<Stop>,
    /// What each worker has counted; none where nobody looks.
    glances: Option<Mutex<Vec<Glance>>>,
}

impl Live {
    /// For so many workers. Without a terminal at stderr nothing is shown.
    pub(super) fn new(workers: u32) -> Live {
        let nothing = Glance {
            requests: 0,
            errors: 0,
            times: histogram(3),
        };
        let shown = std::io::stderr().is_terminal();
        let workers = usize::try_from(workers).unwrap_or(1);
        Live {
            stop: watch::Sender::new(Stop::No),
            glances: shown.then(|| Mutex::new(vec![nothing; workers])),
        }
    }

    /// How far to go on, from now on.
    pub(super) fn heed(&self) -> watch::Receiver<Stop> {
        self.stop.subscribe()
    }

    /// How often a worker tells, if anybody looks.
    pub(super) fn pause(&self) -> Option<Duration> {
        self.glances.is_some().then_some(PAUSE)
    }

    /// A worker tells what it has counted of each URL.
    pub(super) fn tell<'a>(&self, worker: u32, counts: impl Iterator<Item = &'a Counts>) {
        let Some(glances) = &self.glances else {
            return;
        };
        let mut all = glances.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(glance) = all.get_mut(usize::try_from(worker).unwrap_or(usize::MAX)) {
            *glance = sum(counts);
        }
    }

    /// Shows how it goes, and ends it when this process is asked to end: once softly, twice at
    /// once. Never returns; gives when it was first asked to `interrupted`.
    pub(super) async fn watch(&self, plan: &LoadPlan, interrupted: &Mutex<Option<Instant>>) {
        let start = Instant::now();
        let (Ok(mut interrupt), Ok(mut terminate)) = (
            signal(SignalKind::interrupt()),
            signal(SignalKind::terminate()),
        ) else {
            return std::future::pending().await;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => self.end(plan, interrupted),
                _ = terminate.recv() => self.end(plan, interrupted),
                () = tokio::time::sleep(PAUSE) => self.show(plan, start.elapsed()),
            }
        }
    }

    fn end(&self, plan: &LoadPlan, interrupted: &Mutex<Option<Instant>>) {
        let mut first = interrupted.lock().unwrap_or_else(PoisonError::into_inner);
        let stop = if first.is_some() {
            Stop::Now
        } else {
            Stop::Sending
        };
        if stop == Stop::Sending {
            self.clear();
            let seconds = plan.timeout.as_secs_f64();
            // Nobody may be listening on stderr.
            let _ = writeln!(
                std::io::stderr(),
                "chaos-verify: interrupted; waiting up to {seconds:.0} s for answers under way"
            );
        }
        first.get_or_insert_with(Instant::now);
        self.stop.send_replace(stop);
    }

    fn show(&self, plan: &LoadPlan, elapsed: Duration) {
        let Some(glances) = &self.glances else {
            return;
        };
        let all = glances.lock().unwrap_or_else(PoisonError::into_inner);
        let mut total = sum(std::iter::empty());
        for glance in all.iter() {
            total.requests += glance.requests;
            total.errors += glance.errors;
            // Both grow with what is added.
            let _ = total.times.add(&glance.times);
        }
        let text = line(plan, elapsed, &total);
        let _ = write!(std::io::stderr(), "\r{text}\x1b[K");
    }

    /// Takes the line away.
    pub(super) fn clear(&self) {
        if self.glances.is_some() {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn sum<'a>(counts: impl Iterator<Item = &'a Counts>) -> Glance {
    let mut glance = Glance {
        requests: 0,
        errors: 0,
        times: histogram(3),
    };
    for one in counts {
        glance.requests += one.requests;
        glance.errors += one.errors;
        // It grows with what is added.
        let _ = glance.times.add(&one.times);
    }
    glance
}

/// What is shown after so long.
fn line(plan: &LoadPlan, elapsed: Duration, glance: &Glance) -> String {
    let text = match elapsed.checked_sub(plan.warm_up) {
        None => format!(
            "warming up: {} of {} s",
            elapsed.as_secs(),
            plan.warm_up.as_secs_f64()
        ),
        Some(passed) => {
            let passed = passed.min(plan.duration).as_secs();
            let at = |quantile: f64| {
                let time = Duration::from_micros(glance.times.value_at_quantile(quantile));
                milliseconds(time, !glance.times.is_empty())
            };
            format!(
                "{passed} of {} s: {} requests, {} failed; p50 {}, p95 {}, p99 {}, max {} ms",
                plan.duration.as_secs_f64().ceil(),
                glance.requests,
                glance.errors,
                at(0.5),
                at(0.95),
                at(0.99),
                at(1.0)
            )
        }
    };
    text.chars().take(COLUMNS).collect()
}

fn milliseconds(time: Duration, known: bool) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    match known {
        false => "-".to_owned(),
        true if ms < 100.0 => format!("{ms:.1}"),
        true => format!("{ms:.0}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::config::LoadProfile;

    #[test]
    fn what_is_shown_fits_a_terminal_and_tells_how_far_it_is() {
        let plan = LoadPlan::from_profile(&LoadProfile::default(), Vec::new());
        let mut counts = plan.counts();
        let shown = |seconds: u64, counts: &Counts| {
            line(
                &plan,
                Duration::from_secs(seconds),
                &sum([counts].into_iter()),
            )
        };
        assert_eq!(shown(2, &counts), "warming up: 2 of 5 s");
        assert_eq!(
            shown(6, &counts),
            "1 of 300 s: 0 requests, 0 failed; p50 -, p95 -, p99 -, max - ms"
        );
        for number in 0..1000 {
            let due = Duration::from_millis(number);
            counts.count(due, due + Duration::from_millis(2), Ok(()));
        }
        assert_eq!(
            shown(99, &counts),
            "94 of 300 s: 1000 requests, 0 failed; p50 2.0, p95 2.0, p99 2.0, max 2.0 ms"
        );
        counts.requests = 1_000_000_000;
        counts.errors = 999_999_999;
        assert!(shown(999, &counts).chars().count() <= COLUMNS);
    }
}
