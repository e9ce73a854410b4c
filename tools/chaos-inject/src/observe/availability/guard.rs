//! The steady state guard, which stops an experiment that hurts what it should not.

use std::time::Duration;

use chaos_common::config::ExperimentSettings;
use chaos_common::exit::Failure;

use super::series::{Answer, Sample, share_within};
use crate::abort::AbortSignal;
use crate::observe::questions::Question;

/// Answers within its window that the guard wants before it judges.
const ENOUGH: u32 = 10;

/// Steady state guard: a path that answers fewer than `percent` of the questions that fell due within
/// `window` well stops the experiment.
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
    /// Whether it could ever judge what is asked so seldom.
    pub fn can_judge(&self, interval: Duration) -> bool {
        self.window >= interval.saturating_mul(ENOUGH)
    }

    /// Looks at the latest answers to a question. What could not be asked says nothing, and what has
    /// never answered well, and is no health path, is not hurt by the fault.
    pub fn watch(&self, question: &Question, samples: &[Sample]) {
        let is_good = |sample: &Sample| matches!(sample.answer, Answer::Good(_));
        if !question.is_health() && !samples.iter().any(is_good) {
            return;
        }
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let share = share_within(samples, ms(self.window), ms(question.interval), ENOUGH);
        let object = question.object();
        if let Some(percent) = share.filter(|share| *share < self.percent) {
            self.alarm.raise(format!(
                "steady state guard: {object} answered {percent:.0} % of the questions of the \
                 last {} s; {} % is the least",
                self.window.as_secs_f64(),
                self.percent
            ));
        }
    }
}
