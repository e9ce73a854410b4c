//! What callers of a Service see: questions at a fixed rate through the whole run, each counted
//! from the moment in which it was due, so that a slow answer does not delay the next question and
//! does not hide the wait.

use std::time::Duration;

use chaos_common::cluster::probe::{Endpoint, HttpProbe, ProbeError};
use chaos_common::config::ExperimentSettings;
use chaos_common::exit::Failure;
use chaos_common::record::{Availability, Check};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::abort::AbortSignal;

/// Questions that may be open at the same time; more are not asked.
const OPEN: usize = 64;
/// Answers within its window that the guard wants before it judges.
const ENOUGH: u32 = 10;
/// Bad answers that are quoted.
const QUOTED: usize = 5;

/// One question.
#[derive(Clone, Debug, PartialEq)]
struct Sample {
    /// When it was due, in milliseconds from the first.
    due_ms: f64,
    answer: Answer,
}

#[derive(Clone, Debug, PartialEq)]
enum Answer {
    /// A status below 400, after so many milliseconds from when the question was due.
    Good(f64),
    /// Anything else that the Service did.
    Bad(String),
    /// It could not be asked, so nothing is known.
    Missed(String),
}

/// Steady state guard: a Service that answers fewer than `percent` of the questions that fell due
/// within `window` stops the experiment.
#[derive(Clone, Debug)]
pub struct Guard {
    /// What it raises.
    pub alarm: AbortSignal,
    /// The least share, in per cent.
    pub percent: f64,
    /// See above.
    pub window: Duration,
}

/// Whether the guard could ever judge with these settings.
///
/// # Errors
/// Fewer questions fall due within its window than it wants: it would watch and never act.
pub fn check_guard(settings: &ExperimentSettings) -> Result<(), Failure> {
    let (window, interval) = (settings.guard_window.0, settings.probe_interval.0);
    if settings.guard_percent > 0.0 && window < interval.saturating_mul(ENOUGH) {
        let least = interval.saturating_mul(ENOUGH).as_millis();
        return Err(Failure::usage(format!(
            "experiment.guard_window holds fewer than {ENOUGH} probes, and the steady state guard \
             needs that many to judge"
        ))
        .hint(format!(
            "set experiment.guard_window to {least}ms or more, or experiment.probe_interval to \
             less; experiment.guard_percent = 0 leaves the guard out"
        )));
    }
    Ok(())
}

impl Guard {
    /// Looks at the latest questions. Those that could not be asked say nothing.
    fn watch(&self, service: &str, samples: &[Sample]) {
        if let Some(percent) =
            share_within(samples, self.window.as_secs_f64() * 1000.0).filter(|p| *p < self.percent)
        {
            self.alarm.raise(format!(
                "steady state guard: service/{service} answered {percent:.0} % of the questions of the last {} s; {} % is the least",
                self.window.as_secs_f64(), self.percent
            ));
        }
    }
}

/// Share of good answers among those that fell due within the window before the latest, in per
/// cent; nothing while there are too few to tell.
fn share_within(samples: &[Sample], window_ms: f64) -> Option<f64> {
    let latest = samples
        .iter()
        .map(|sample| sample.due_ms)
        .fold(0.0, f64::max);
    let (mut good, mut bad) = (0_u32, 0_u32);
    for sample in samples
        .iter()
        .rev()
        .filter(|sample| sample.due_ms > latest - window_ms)
    {
        match sample.answer {
            Answer::Good(_) => good += 1,
            Answer::Bad(_) => bad += 1,
            Answer::Missed(_) => {}
        }
    }
    (good + bad >= ENOUGH).then(|| f64::from(good) / f64::from(good + bad) * 100.0)
}

/// What a series of questions saw.
#[derive(Clone, Debug)]
pub struct ServiceObservation {
    /// For the record.
    pub availability: Availability,
    /// When the first question fell due.
    start: Instant,
    samples: Vec<Sample>,
}

impl ServiceObservation {
    /// Median of the good answers to questions that fell due between two moments, in milliseconds.
    pub fn median_ms(&self, from: Instant, to: Instant) -> Option<f64> {
        let ms = |at: Instant| at.saturating_duration_since(self.start).as_secs_f64() * 1000.0;
        let (from, to) = (ms(from), ms(to));
        let within = self
            .samples
            .iter()
            .filter(|sample| sample.due_ms >= from && sample.due_ms < to);
        let mut good: Vec<f64> = within
            .filter_map(|s| {
                if let Answer::Good(ms) = s.answer {
                    Some(ms)
                } else {
                    None
                }
            })
            .collect();
        good.sort_by(f64::total_cmp);
        good.get(good.len() / 2).copied()
    }
}

/// A running series of questions to one Service.
#[derive(Debug)]
pub struct Probe {
    stop: oneshot::Sender<()>,
    task: JoinHandle<ServiceObservation>,
}

impl Probe {
    /// Starts to ask.
    pub fn start(
        asker: HttpProbe,
        endpoint: Endpoint,
        path: String,
        interval: Duration,
        limit: Duration,
        guard: Option<Guard>,
    ) -> Probe {
        let (stop, stopped) = oneshot::channel();
        Probe {
            stop,
            task: tokio::spawn(ask_until(
                asker, endpoint, path, interval, limit, guard, stopped,
            )),
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
    asker: HttpProbe,
    endpoint: Endpoint,
    path: String,
    interval: Duration,
    limit: Duration,
    guard: Option<Guard>,
    mut stopped: oneshot::Receiver<()>,
) -> ServiceObservation {
    let (sender, mut answers) = mpsc::channel(OPEN);
    let start = Instant::now();
    let (mut samples, mut open, mut number) = (Vec::new(), 0_usize, 0_u32);
    loop {
        let due = start + interval * number;
        tokio::select! {
            _ = &mut stopped => break,
            Some(sample) = answers.recv() => {
                open -= 1;
                samples.push(sample);
                if let Some(guard) = &guard {
                    guard.watch(&endpoint.service, &samples);
                }
            }
            () = sleep_until(due) => {
                number += 1;
                let due_ms = due.duration_since(start).as_secs_f64() * 1000.0;
                let late = due.elapsed();
                if open >= OPEN || late > interval {
                    let why = format!("this machine was {} ms late", late.as_millis());
                    samples.push(Sample { due_ms, answer: Answer::Missed(why) });
                    continue;
                }
                open += 1;
                let (asker, endpoint, path, sender) = (asker.clone(), endpoint.clone(), path.clone(), sender.clone());
                tokio::spawn(async move {
                    let answer = match asker.get(&endpoint, &path, limit).await {
                        Ok(answer) if answer.status < 400 => Answer::Good(due.elapsed().as_secs_f64() * 1000.0),
                        Ok(answer) => Answer::Bad(format!("status {}", answer.status)),
                        Err(ProbeError::Service(why)) => Answer::Bad(why),
                        Err(ProbeError::Vantage(error)) => Answer::Missed(error.to_string()),
                    };
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
    let vantage = asker.resolve(&endpoint.vantage).to_string();
    ServiceObservation {
        availability: summarize(&endpoint.service, &path, &vantage, interval, &samples),
        start,
        samples,
    }
}

fn summarize(
    service: &str,
    path: &str,
    vantage: &str,
    interval: Duration,
    samples: &[Sample],
) -> Availability {
    let interval_ms = interval.as_secs_f64() * 1000.0;
    let mut good: Vec<f64> = samples
        .iter()
        .filter_map(|s| {
            if let Answer::Good(ms) = s.answer {
                Some(ms)
            } else {
                None
            }
        })
        .collect();
    good.sort_by(f64::total_cmp);
    let bad = samples
        .iter()
        .filter(|s| matches!(s.answer, Answer::Bad(_)))
        .count();
    let missed = samples.len() - bad - good.len();
    let requests = good.len() + bad;
    let quote = |s: &Sample| match &s.answer {
        Answer::Good(_) => None,
        Answer::Bad(why) => Some(format!("after {:.0} ms: {why}", s.due_ms)),
        Answer::Missed(why) => Some(format!("after {:.0} ms, not asked: {why}", s.due_ms)),
    };
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        reason = "counts and milliseconds are small"
    )]
    Availability {
        service: service.to_owned(),
        path: path.to_owned(),
        vantage: vantage.to_owned(),
        interval_ms: interval.as_millis() as u64,
        requests: requests as u64,
        good: good.len() as u64,
        missed: missed as u64,
        percent: if requests == 0 {
            0.0
        } else {
            good.len() as f64 / requests as f64 * 100.0
        },
        longest_gap_ms: longest_gap(samples, interval_ms),
        p50_ms: good.get(good.len() / 2).copied(),
        max_ms: good.last().copied(),
        errors: samples.iter().filter_map(quote).take(QUOTED).collect(),
    }
}

/// The longest run of questions without a good answer, as the time between the good ones around it
/// less one interval. Questions that were not asked neither make a gap nor end one.
fn longest_gap(samples: &[Sample], interval_ms: f64) -> f64 {
    let (mut longest, mut last_good, mut in_gap) = (0.0_f64, None, false);
    for sample in samples {
        match sample.answer {
            Answer::Missed(_) => {}
            Answer::Bad(_) => {
                in_gap = true;
                longest = longest.max(sample.due_ms - last_good.unwrap_or(0.0));
            }
            Answer::Good(_) => {
                if in_gap {
                    longest = longest.max(sample.due_ms - last_good.unwrap_or(0.0) - interval_ms);
                }
                (last_good, in_gap) = (Some(sample.due_ms), false);
            }
        }
    }
    longest.max(0.0)
}

/// `ID.available`: was the Service there through the whole run?
pub fn judge(id: &str, seen: &Availability, min_percent: f64) -> Check {
    let object = format!("service/{}", seen.service);
    let message = format!(
        "{:.2} % of {} questions answered ({min_percent} % wanted), longest gap {:.0} ms",
        seen.percent, seen.requests, seen.longest_gap_ms
    );
    let all = seen.requests + seen.missed;
    let check = if seen.requests == 0 || seen.missed * 10 > all {
        let why = seen
            .errors
            .first()
            .map(|why| format!(": {why}"))
            .unwrap_or_default();
        Check::unknown(
            id,
            object,
            format!("{} of {all} questions could not be asked{why}", seen.missed),
        )
    } else {
        Check::judge(seen.percent >= min_percent, id, object, message)
    };
    check.from_vantage(&seen.vantage)
}

#[cfg(test)]
#[expect(
    clippy::float_cmp,
    clippy::cast_precision_loss,
    reason = "small whole numbers"
)]
mod tests {
    use super::*;

    use crate::abort::AbortSignal;
    use crate::testing::ApiServer;
    use crate::testing::objects::NAMESPACE;
    use chaos_common::record::Status;

    #[test]
    fn a_guard_that_could_never_judge_is_a_usage_error() {
        let settings = |text: &str| serde_json::from_str(text).expect("settings");
        let checked = |text: &str| check_guard(&settings(text));
        assert!(checked("{}").is_ok());
        let few = checked(r#"{"guard_window": "2s", "probe_interval": "300ms"}"#);
        let error = few.expect_err("7 probes");
        assert_eq!(error.exit, chaos_common::exit::Exit::Usage);
        assert!(error.message.contains("experiment.guard_window"));
        assert!(checked(r#"{"guard_window": "3s", "probe_interval": "300ms"}"#).is_ok());
        let off = r#"{"guard_window": "2s", "probe_interval": "300ms", "guard_percent": 0}"#;
        assert!(checked(off).is_ok());
    }

    fn series(text: &str) -> Vec<Sample> {
        let answer = |c| match c {
            '+' => Answer::Good(5.0),
            '-' => Answer::Bad("refused".into()),
            _ => Answer::Missed("busy".into()),
        };
        text.chars()
            .enumerate()
            .map(|(n, c)| Sample {
                due_ms: n as f64 * 100.0,
                answer: answer(c),
            })
            .collect()
    }

    fn summary(text: &str) -> Availability {
        summarize(
            "shop",
            "/health",
            "direct",
            Duration::from_millis(100),
            &series(text),
        )
    }

    #[test]
    fn the_longest_gap_is_between_good_answers() {
        assert_eq!(summary("++++").longest_gap_ms, 0.0);
        assert_eq!(summary("++-++").longest_gap_ms, 100.0);
        assert_eq!(summary("+-+---++-+").longest_gap_ms, 300.0);
        assert_eq!(summary("++---").longest_gap_ms, 300.0);
        assert_eq!(summary("+o+").longest_gap_ms, 0.0);
    }

    #[test]
    fn the_guard_looks_at_the_latest_answers_and_not_at_what_was_not_asked() {
        let share = |text: &str| share_within(&series(text), 1000.0);
        assert_eq!(share("---"), None);
        assert_eq!(share("----------++++++++++"), Some(100.0));
        assert_eq!(share("++++++++++----------"), Some(0.0));
        assert_eq!(share("+++++++++++++++-----"), Some(50.0));
        assert_eq!(share("++++++++++oooooooooo"), None);
    }

    #[test]
    fn what_could_not_be_asked_is_not_evidence() {
        let seen = summary("++o++-++++");
        assert_eq!((seen.requests, seen.good, seen.missed), (9, 8, 1));
        assert_eq!(judge("x", &seen, 80.0).status, Status::Pass);
        assert_eq!(judge("x", &seen, 99.0).status, Status::Fail);
        assert_eq!(judge("x", &summary("+ooo"), 99.0).status, Status::Unknown);
        assert_eq!(judge("x", &summary(""), 99.0).status, Status::Unknown);
    }

    /// A guarded Service, asked ten times a second through the API server.
    async fn guarded(server: &ApiServer, seconds: u64) -> (Option<String>, ServiceObservation) {
        let (signal, abort) = AbortSignal::new();
        let guard = Guard {
            alarm: signal,
            percent: 90.0,
            window: Duration::from_secs(5),
        };
        let probe = Probe::start(
            HttpProbe::new(&server.cluster()),
            Endpoint {
                namespace: NAMESPACE.into(),
                service: "shop".into(),
                port: 8000,
                tls: false,
                ca: None,
                vantage: chaos_common::record::Vantage::ApiProxy,
            },
            "/health".into(),
            Duration::from_millis(100),
            Duration::from_secs(1),
            Some(guard),
        );
        tokio::time::sleep(Duration::from_secs(seconds)).await;
        let reason = crate::abort::reason(&abort);
        (reason, probe.stop().await)
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_stops_answering_aborts_the_experiment_within_its_window() {
        let server = ApiServer::default();
        server.answer("shop", 500, "");
        let (reason, seen) = guarded(&server, 5).await;
        let reason = reason.expect("aborted");
        assert!(
            reason.starts_with("steady state guard: service/shop"),
            "{reason}"
        );
        assert_eq!(seen.availability.good, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_answers_aborts_nothing() {
        let server = ApiServer::default();
        server.answer("shop", 200, "ok");
        let (reason, seen) = guarded(&server, 20).await;
        assert_eq!(reason, None);
        assert_eq!(seen.availability.percent, 100.0);
        assert!(seen.availability.requests > 150, "{:?}", seen.availability);
    }
}
