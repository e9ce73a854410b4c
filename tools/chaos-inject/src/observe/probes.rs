//! The probes of `[[probe]]` while the fault is on: those that must hold guard the experiment, those
//! that must fail prove it.

use chaos_common::config::{During, Probe, Question};
use chaos_common::record::Check;
use chaos_common::steady_state::{Finding, Surroundings};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::abort::AbortSignal;

/// So many answers in a row have to be bad for the guard: one may be a moment's.
const IN_A_ROW: usize = 2;

/// What a probe found, and when it was asked and had its answer.
#[derive(Clone, Debug)]
struct Sample {
    at: Instant,
    answered: Instant,
    finding: Finding,
}

/// The time in which a fault was on.
#[derive(Clone, Copy, Debug)]
pub struct FaultSpan {
    /// When its first write was sent.
    pub began: Instant,
    /// When its rollback began; where nothing has to be rolled back, when all was at its steady state
    /// again.
    pub over: Instant,
}

/// What a probe found through the whole run.
#[derive(Clone, Debug)]
pub struct Watched {
    name: String,
    during: During,
    samples: Vec<Sample>,
}

/// A probe that is being asked.
#[derive(Debug)]
pub struct Watch {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Watched>,
}

/// Id of the checks of an experiment's probes.
pub fn id(experiment: &str) -> String {
    format!("{experiment}.probe")
}

/// Starts those that are asked during the fault. Where it takes monitoring away (`blind`), Prometheus
/// is not asked, and a check says so.
pub fn start(
    surroundings: &Surroundings,
    probes: &[Probe],
    (id, blind): (&str, bool),
    alarm: &AbortSignal,
) -> (Vec<Watch>, Vec<Check>) {
    let (mut watches, mut unasked) = (Vec::new(), Vec::new());
    for probe in probes {
        let Some(during) = probe.during else {
            continue;
        };
        if blind && matches!(probe.question, Question::Prometheus(_)) {
            let why = "Prometheus is not asked: the fault takes it away";
            unasked.push(Check::skipped(id, &probe.name, why));
            continue;
        }
        let (stop, stopped) = oneshot::channel();
        let asking = ask_until(
            surroundings.clone(),
            (probe.clone(), during),
            alarm.clone(),
            stopped,
        );
        let task = tokio::spawn(asking);
        watches.push(Watch { stop, task });
    }
    (watches, unasked)
}

impl Watch {
    /// Asks no more, and gives what was found. A question that is still open is given up.
    ///
    /// # Panics
    /// If asking panicked.
    pub async fn stop(self) -> Watched {
        // It may have ended by itself, then nobody listens.
        let _ = self.stop.send(());
        self.task.await.expect("asking does not panic")
    }
}

async fn ask_until(
    surroundings: Surroundings,
    (probe, during): (Probe, During),
    alarm: AbortSignal,
    mut stopped: oneshot::Receiver<()>,
) -> Watched {
    let mut watched = Watched {
        name: probe.name.clone(),
        during,
        samples: Vec::new(),
    };
    let mut due = interval(probe.interval.0);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let ask = async {
        loop {
            due.tick().await;
            let at = Instant::now();
            let finding = surroundings.ask(&probe).await;
            watched.samples.push(Sample {
                at,
                answered: Instant::now(),
                finding,
            });
            if let Some(why) = watched.alarming() {
                alarm.raise(why);
            }
        }
    };
    tokio::select! {
        () = ask => {}
        _ = &mut stopped => {}
    }
    watched
}

impl Watched {
    /// Why the experiment has to stop, if it has to.
    fn alarming(&self) -> Option<String> {
        let latest = self.samples.iter().rev().take(IN_A_ROW);
        let failing = latest.filter(|sample| matches!(sample.finding, Finding::Fails(_)));
        if self.during != During::MustHold || failing.count() < IN_A_ROW {
            return None;
        }
        let seen = &self.samples.last()?.finding;
        let name = &self.name;
        Some(format!(
            "steady state guard: the probe {name:?} does not hold: {seen}"
        ))
    }

    /// Whether it did as it had to. What must hold has to from the injection on to the end; what must
    /// fail proves the fault only by an answer that was asked for and given while that was on: what
    /// fails because of the rollback proves nothing.
    pub fn judge(&self, id: &str, fault: FaultSpan) -> Check {
        let injection = fault.began;
        let counts = |sample: &&Sample| {
            let in_time = self.during != During::MustFail || sample.answered <= fault.over;
            sample.at >= injection && in_time
        };
        let since: Vec<&Sample> = self.samples.iter().filter(counts).collect();
        let all = since.len();
        let failed: Vec<&&Sample> = since
            .iter()
            .filter(|sample| matches!(sample.finding, Finding::Fails(_)))
            .collect();
        let unknown = since
            .iter()
            .find(|sample| matches!(sample.finding, Finding::Unknown(_)));
        let first = failed.first().map(|sample| {
            let after = sample.at.duration_since(injection).as_secs_f64();
            format!("{after:.1} s after the injection: {}", sample.finding)
        });
        let untold = |sample: &&&Sample| {
            Check::unknown(id, &self.name, format!("can't be told: {}", sample.finding))
        };
        match (self.during, first) {
            (During::MayFail, first) => {
                let first = first
                    .map(|first| format!(", first {first}"))
                    .unwrap_or_default();
                let failed = failed.len();
                let message = format!("may fail: failed {failed} of {all} times{first}");
                Check::skipped(id, &self.name, message)
            }
            (_, _) if all == 0 => Check::unknown(
                id,
                &self.name,
                "was not asked while the fault was on: its interval is too long",
            ),
            (During::MustFail, Some(first)) => {
                Check::pass(id, &self.name, format!("fails as it must, {first}"))
            }
            (During::MustHold, Some(first)) => {
                let failed = failed.len();
                let message = format!("did not hold {failed} of {all} times, first {first}");
                Check::fail(id, &self.name, message)
            }
            (_, None) if unknown.is_some() => {
                unknown.as_ref().map(untold).expect("just seen to be some")
            }
            (During::MustFail, None) => Check::fail(
                id,
                &self.name,
                format!("must fail while the fault is on, and held {all} of {all} times"),
            ),
            (During::MustHold, None) => {
                Check::pass(id, &self.name, format!("held {all} of {all} times"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use chaos_common::record::Status;

    use super::*;

    /// A fault that is on for three seconds, and what was found in the middle of the second before it
    /// and of those that follow.
    fn watched(during: During, findings: &str) -> (Watched, FaultSpan) {
        let began = Instant::now();
        let sample = |(n, letter): (usize, char)| {
            let at = began + Duration::from_secs(n as u64) - Duration::from_millis(500);
            Sample {
                at,
                answered: at + Duration::from_millis(100),
                finding: match letter {
                    'h' => Finding::Holds("is 3".into()),
                    'f' => Finding::Fails("is 0".into()),
                    _ => Finding::Unknown("no answer".into()),
                },
            }
        };
        let watched = Watched {
            name: "orders".into(),
            during,
            samples: findings.chars().enumerate().map(sample).collect(),
        };
        let over = began + Duration::from_secs(3);
        (watched, FaultSpan { began, over })
    }

    fn judged(during: During, findings: &str) -> (Status, String) {
        let (watched, fault) = watched(during, findings);
        let check = watched.judge("stub.probe", fault);
        (check.status, check.message)
    }

    #[test]
    fn what_must_hold_fails_by_one_bad_answer_and_is_unknown_by_one_that_is_missing() {
        let (status, message) = judged(During::MustHold, "hhh");
        assert_eq!(
            (status, message.as_str()),
            (Status::Pass, "held 2 of 2 times")
        );
        let (status, message) = judged(During::MustHold, "hhfu");
        assert_eq!(status, Status::Fail);
        assert_eq!(
            message,
            "did not hold 1 of 3 times, first 1.5 s after the injection: is 0"
        );
        assert_eq!(judged(During::MustHold, "hhu").0, Status::Unknown);
        assert_eq!(judged(During::MustHold, "h").0, Status::Unknown);
    }

    #[test]
    fn what_must_fail_proves_the_fault_only_while_it_is_on() {
        assert_eq!(judged(During::MustFail, "hhf").0, Status::Pass);
        assert_eq!(judged(During::MustFail, "fhh").0, Status::Fail);
        assert_eq!(judged(During::MustFail, "fhu").0, Status::Unknown);
        assert_eq!(judged(During::MayFail, "hff").0, Status::Skipped);
    }

    #[test]
    fn what_fails_only_once_the_rollback_has_begun_proves_no_fault() {
        let (status, message) = judged(During::MustFail, "hhhhfff");
        assert_eq!(status, Status::Fail, "{message}");
        assert_eq!(
            message,
            "must fail while the fault is on, and held 3 of 3 times"
        );
        let (mut late, fault) = watched(During::MustFail, "hhhf");
        late.samples[3].answered = fault.over + Duration::from_millis(1);
        let check = late.judge("stub.probe", fault);
        assert_eq!(check.status, Status::Fail, "answered too late: {check:?}");
        assert_eq!(
            judged(During::MustFail, "h").0,
            Status::Unknown,
            "not asked"
        );
        // What must hold has to while all comes back, too.
        assert_eq!(judged(During::MustHold, "hhhhf").0, Status::Fail);
    }

    #[test]
    fn the_guard_wants_two_bad_answers_in_a_row() {
        let alarming = |during, findings| watched(during, findings).0.alarming().is_some();
        assert!(alarming(During::MustHold, "hff"));
        assert!(!alarming(During::MustHold, "f"));
        assert!(!alarming(During::MustHold, "fhf"));
        assert!(!alarming(During::MustHold, "ffh"));
        assert!(!alarming(During::MustFail, "hff"));
    }
}
