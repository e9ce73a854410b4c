//! What callers see: questions at a fixed rate through the whole run, each counted from the moment in
//! which it was due, so that a slow answer does not delay the next question and does not hide the
//! wait.

pub mod guard;
pub mod series;
mod windows;

use std::time::Duration;

use chaos_common::record::{Availability, Check};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use self::guard::Guard;
use self::series::{Answer, Asked, Sample, summarize};
use super::questions::Question;

/// Questions that may be open at the same time; more are not asked.
const OPEN: usize = 64;

/// What a series of questions saw.
#[derive(Clone, Debug)]
pub struct ServiceObservation {
    /// For the record.
    pub availability: Availability,
    /// What was asked.
    pub question: Question,
    /// When the first question fell due.
    start: Instant,
    samples: Vec<Sample>,
}

impl ServiceObservation {
    /// Notes for the record how it went along from the injection's point of view.
    pub fn count_from(&mut self, injected: Instant) {
        let seconds = |at: Instant, from: Instant| at.saturating_duration_since(from).as_secs_f64();
        // One of the two is nothing.
        let after_s = seconds(injected, self.start) - seconds(self.start, injected);
        self.availability.windows = windows::windows(&self.samples, after_s * 1000.0);
    }

    /// Median of the good answers to questions that fell due between two moments, in milliseconds.
    pub fn median_ms(&self, from: Instant, to: Instant) -> Option<f64> {
        let ms = |at: Instant| at.saturating_duration_since(self.start).as_secs_f64() * 1000.0;
        let (from, to) = (ms(from), ms(to));
        let within = self
            .samples
            .iter()
            .filter(|sample| sample.due_ms >= from && sample.due_ms < to);
        let good = series::good_ms(within);
        good.get(good.len() / 2).copied()
    }
}

/// A running series of questions.
#[derive(Debug)]
pub struct Probe {
    stop: oneshot::Sender<()>,
    task: JoinHandle<ServiceObservation>,
}

impl Probe {
    /// Starts to ask; each question has `limit` to be answered.
    pub fn start(question: Question, limit: Duration, guard: Option<Guard>) -> Probe {
        let (stop, stopped) = oneshot::channel();
        let guard = guard.filter(|guard| guard.can_judge(question.interval));
        Probe {
            stop,
            task: tokio::spawn(ask_until(question, limit, guard, stopped)),
        }
    }

    /// Asks no more, waits for the open questions, and gives what was seen.
    ///
    /// # Panics
    /// If the series itself panicked.
    pub async fn stop(self) -> ServiceObservation {
        // The series may have ended by itself, then nobody listens.
        let _ = self.stop.send(());
        self.task.await.expect("asking does not panic")
    }
}

async fn ask_until(
    question: Question,
    limit: Duration,
    guard: Option<Guard>,
    mut stopped: oneshot::Receiver<()>,
) -> ServiceObservation {
    let (sender, mut answers) = mpsc::channel(OPEN);
    let start = Instant::now();
    let (mut samples, mut open, mut number) = (Vec::new(), 0_usize, 0_u32);
    loop {
        let due = start + question.interval * number;
        tokio::select! {
            _ = &mut stopped => break,
            Some(sample) = answers.recv() => {
                open -= 1;
                samples.push(sample);
                if let Some(guard) = &guard {
                    guard.watch(&question, &samples);
                }
            }
            () = sleep_until(due) => {
                number += 1;
                let due_ms = due.duration_since(start).as_secs_f64() * 1000.0;
                let late = due.elapsed();
                if open >= OPEN || late > question.interval {
                    let why = format!("this machine was {} ms late", late.as_millis());
                    samples.push(Sample { due_ms, answer: Answer::Missed(why) });
                    continue;
                }
                open += 1;
                let (question, sender) = (question.clone(), sender.clone());
                tokio::spawn(async move {
                    let answer = question.ask(due, limit).await;
                    // The receiver outlives every question.
                    let _ = sender.send(Sample { due_ms, answer }).await;
                });
            }
        }
    }
    drop(sender);
    while let Some(sample) = answers.recv().await {
        samples.push(sample);
    }
    samples.sort_by(|a, b| a.due_ms.total_cmp(&b.due_ms));
    let asked = Asked {
        service: question.service.clone(),
        path: question.path.clone(),
        vantage: question.vantage(),
        interval: question.interval,
    };
    ServiceObservation {
        availability: summarize(&asked, &samples),
        question,
        start,
        samples,
    }
}

/// `ID`: was it there through the whole run? What is expected to suffer is not judged.
pub fn judge(id: &str, observed: &ServiceObservation, min_percent: f64) -> Check {
    let (seen, object) = (&observed.availability, observed.question.object());
    if observed.question.affected {
        let message = format!(
            "expected to suffer: {:.2} % of {} questions answered well",
            seen.percent, seen.requests
        );
        return Check::skipped(id, object, message).from_vantage(&seen.vantage);
    }
    judge_seen(id, object, seen, min_percent)
}

fn judge_seen(id: &str, object: String, seen: &Availability, min_percent: f64) -> Check {
    let all = seen.requests + seen.missed;
    let missed = format!("{} of {all} questions could not be asked", seen.missed);
    let check = if let Some(available) = is_available(seen, min_percent) {
        let mut message = format!(
            "{:.2} % of {} questions answered well ({min_percent} % wanted), longest gap {:.0} ms",
            seen.percent, seen.requests, seen.longest_gap_ms
        );
        if seen.missed > 0 {
            message = format!("{message}; {missed}");
        }
        Check::judge(available, id, object, message)
    } else {
        let why = seen.errors.first().map(|why| format!(": {why}"));
        Check::unknown(id, object, missed + &why.unwrap_or_default())
    };
    check.from_vantage(&seen.vantage)
}

/// Whether enough questions were answered well. Where more than a tenth could not be asked, only if
/// that is so whatever their answers would have been; nothing if it depends on them.
fn is_available(seen: &Availability, min_percent: f64) -> Option<bool> {
    let all = seen.requests + seen.missed;
    if seen.requests == 0 {
        return None;
    }
    if seen.missed * 10 <= all {
        return Some(seen.percent >= min_percent);
    }
    #[expect(clippy::cast_precision_loss, reason = "counts are small")]
    let percent = |good: u64| good as f64 / all as f64 * 100.0;
    if percent(seen.good) >= min_percent {
        Some(true)
    } else if percent(seen.good + seen.missed) < min_percent {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
