//! One pod that is hit: the phases of its return, what is missing, and how long it took.

use std::collections::{BTreeMap, BTreeSet};

use chaos_common::record::{PodRecovery, PodRef, RecoveryPhases, Target};
use tokio::time::Instant;

/// One pod that is hit.
#[derive(Clone, Debug)]
pub(super) struct Track {
    pub(super) target: Target,
    /// UID of its controller.
    pub(super) controller: String,
    /// Services that it stood behind before.
    pub(super) services: BTreeSet<String>,
    /// Labels of the replacement.
    pub(super) labels: BTreeMap<String, String>,
    /// Those of the Services that select the replacement. A Service may select one pod only, the
    /// leader, which another pod is by now.
    pub(super) selecting: BTreeSet<String>,
    /// One of the other Services, which has no ready endpoint at all.
    pub(super) forsaken: Option<String>,
    /// It was on its way out before our own call was sent.
    pub(super) taken: bool,
    /// The delete call: when it was sent and when its acceptance arrived.
    pub(super) sent: Option<Instant>,
    pub(super) accepted: Option<Instant>,
    /// When the deletion showed in the watch.
    pub(super) noticed: Option<Instant>,
    /// The replacement must answer itself too.
    pub(super) probed: bool,
    pub(super) replacement: Option<PodRef>,
    pub(super) phases: RecoveryPhases,
    /// Granularity of the first answer, in milliseconds.
    pub(super) answer_bound_ms: f64,
}

impl Track {
    pub(super) fn since(&self, at: Instant) -> f64 {
        self.sent.map_or(0.0, |sent| milliseconds(sent, at))
    }

    /// It was seen on its way out at this moment.
    pub(super) fn seen_leaving(&mut self, at: Instant) {
        match self.sent {
            Some(sent) if at >= sent => {
                self.noticed.get_or_insert(at);
            }
            _ => self.taken = true,
        }
    }

    fn is_steady(&self) -> bool {
        self.phases.gone_ms.is_some()
            && self.phases.ready_ms.is_some()
            && (self.selecting.is_empty() || self.phases.in_endpoints_ms.is_some())
            && self.forsaken.is_none()
            && (!self.probed || self.phases.first_answer_ms.is_some())
    }

    fn recovery_ms(&self) -> Option<f64> {
        let p = &self.phases;
        self.is_steady().then(|| {
            [p.ready_ms, p.in_endpoints_ms, p.first_answer_ms]
                .into_iter()
                .flatten()
                .fold(0.0, f64::max)
        })
    }

    /// What is still missing, in words.
    pub(super) fn missing(&self) -> Option<String> {
        let name = self.replacement.as_ref().map(|pod| pod.name.as_str());
        let p = &self.phases;
        Some(match name {
            _ if p.gone_ms.is_none() => format!("pod {} is not gone", self.target.name),
            None => format!("no pod took the place of {}", self.target.name),
            Some(name) if p.scheduled_ms.is_none() => format!("pod {name} has no node"),
            Some(name) if p.started_ms.is_none() => format!("pod {name} has not started"),
            Some(name) if p.ready_ms.is_none() => format!("pod {name} is not ready"),
            Some(name) if !self.selecting.is_empty() && p.in_endpoints_ms.is_none() => {
                format!("pod {name} is not in the endpoints")
            }
            Some(_) if self.forsaken.is_some() => {
                let service = self.forsaken.as_deref().unwrap_or_default();
                format!("service {service} has no ready endpoint")
            }
            Some(name) if self.probed && p.first_answer_ms.is_none() => {
                format!("pod {name} does not answer")
            }
            Some(_) => return None,
        })
    }

    /// Nothing is missing but the first answer.
    pub(super) fn lacks_only_an_answer(&self) -> bool {
        let answered = Track {
            probed: false,
            ..self.clone()
        };
        !self.is_steady() && answered.is_steady()
    }

    /// How it came back.
    pub(super) fn recovery(&self) -> PodRecovery {
        // Nothing we see can have happened later than we see it. It may have happened earlier
        // by the time that the API server took to accept the call, by the delay of the watch,
        // for which our own deletion is the sample, and by the pause between two questions.
        let between = |from: Option<Instant>, to: Option<Instant>| {
            from.zip(to)
                .map_or(0.0, |(from, to)| milliseconds(from, to))
        };
        let call = between(self.sent, self.accepted);
        let watch = between(self.sent, self.noticed);
        let by_answer = self
            .phases
            .first_answer_ms
            .is_some_and(|ms| Some(ms) == self.recovery_ms());
        PodRecovery {
            deleted: PodRef {
                name: self.target.name.clone(),
                uid: self.target.uid.clone(),
            },
            replacement: self.replacement.clone(),
            owner: self.target.owner.clone(),
            phases: self.phases.clone(),
            recovery_ms: self.recovery_ms(),
            error_bound_ms: call
                + if by_answer {
                    self.answer_bound_ms
                } else {
                    watch
                },
        }
    }
}

/// Between two moments, to the microsecond.
fn milliseconds(from: Instant, to: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an experiment lasts minutes")]
    let microseconds = to.saturating_duration_since(from).as_micros() as f64;
    microseconds / 1000.0
}
