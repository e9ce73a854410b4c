//! A series of questions, and what it shows.

use std::time::Duration;

use chaos_common::record::Availability;

/// Bad answers that are quoted.
const QUOTED: usize = 5;

/// One question.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// When it was due, in milliseconds from the first.
    pub due_ms: f64,
    /// What came.
    pub answer: Answer,
}

#[derive(Clone, Debug, PartialEq)]
/// What came of a question.
pub enum Answer {
    /// A good one, after so many milliseconds from when the question was due.
    Good(f64),
    /// Anything else that the Service did.
    Bad(String),
    /// It could not be asked, so nothing is known.
    Missed(String),
}

/// What is asked, as the record names it.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The Service, or scheme and host of a URL.
    pub service: String,
    /// The path.
    pub path: String,
    /// From where.
    pub vantage: String,
    /// Time between two questions.
    pub interval: Duration,
}

/// Share of good answers among those that fell due within the window before the latest, in per
/// cent; nothing while there are too few to tell. What the window holds of the time before the first
/// question counts as answered well: silence weighs the same at the start as later.
pub fn share_within(
    samples: &[Sample],
    window_ms: f64,
    interval_ms: f64,
    enough: u32,
) -> Option<f64> {
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
    let before = ((window_ms - latest) / interval_ms - 1.0).max(0.0);
    let (good, bad, enough) = (f64::from(good), f64::from(bad), f64::from(enough));
    (good + bad >= enough).then(|| (good + before) / (good + bad + before) * 100.0)
}

/// The times of the good answers, in milliseconds, the shortest first.
pub fn good_ms<'s>(samples: impl Iterator<Item = &'s Sample>) -> Vec<f64> {
    let mut good: Vec<f64> = samples
        .filter_map(|sample| match sample.answer {
            Answer::Good(ms) => Some(ms),
            Answer::Bad(_) | Answer::Missed(_) => None,
        })
        .collect();
    good.sort_by(f64::total_cmp);
    good
}

/// The whole series, for the record.
pub fn summarize(asked: &Asked, samples: &[Sample]) -> Availability {
    let interval_ms = asked.interval.as_secs_f64() * 1000.0;
    let good = good_ms(samples.iter());
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
        service: asked.service.clone(),
        path: asked.path.clone(),
        vantage: asked.vantage.clone(),
        interval_ms: asked.interval.as_millis() as u64,
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
        windows: Vec::new(),
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
