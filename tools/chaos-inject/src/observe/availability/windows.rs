//! How a series of questions went along: in windows that are counted from the injection.

use chaos_common::record::AnswerWindow;

use super::series::{Answer, Sample, good_ms};

/// The most windows of a series: a record is to stay small.
const MOST: i64 = 60;

/// The shortest window, in milliseconds. Longer ones are twice, four times and so on as long.
const SHORTEST: i64 = 1000;

/// The windows of a series, in order. `injected_ms` is when the injection was, from the first
/// question on.
pub fn windows(samples: &[Sample], injected_ms: f64) -> Vec<AnswerWindow> {
    let ms = |sample: &Sample| whole(sample.due_ms - injected_ms);
    let (Some(first), Some(last)) = (samples.iter().map(ms).min(), samples.iter().map(ms).max())
    else {
        return Vec::new();
    };
    let mut length = SHORTEST;
    let number = |ms: i64, length: i64| ms.div_euclid(length);
    while number(last, length) - number(first, length) >= MOST {
        length *= 2;
    }
    let numbers = number(first, length)..=number(last, length);
    let of = |n: i64| {
        let within = samples
            .iter()
            .filter(|sample| number(ms(sample), length) == n);
        let within: Vec<&Sample> = within.collect();
        (!within.is_empty()).then(|| window(&within, n * length, length))
    };
    numbers.filter_map(of).collect()
}

fn window(samples: &[&Sample], from_ms: i64, length_ms: i64) -> AnswerWindow {
    let good = good_ms(samples.iter().copied());
    let is_missed = |sample: &&&Sample| matches!(sample.answer, Answer::Missed(_));
    let missed = samples.iter().filter(is_missed).count();
    AnswerWindow {
        from_ms,
        length_ms,
        requests: (samples.len() - missed) as u64,
        good: good.len() as u64,
        missed: missed as u64,
        p50_ms: good.get(good.len() / 2).copied().map(hundredths),
        max_ms: good.last().copied().map(hundredths),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "no run lasts 2^52 milliseconds"
)]
fn whole(ms: f64) -> i64 {
    ms.floor() as i64
}

/// More digits would be noise, and make the record larger.
fn hundredths(ms: f64) -> f64 {
    (ms * 100.0).round() / 100.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(seconds: u32, answer: impl Fn(u32) -> Answer) -> Vec<Sample> {
        let sample = |n: u32| Sample {
            due_ms: f64::from(n) * 100.0,
            answer: answer(n),
        };
        (0..seconds * 10).map(sample).collect()
    }

    #[test]
    fn an_outage_is_in_the_windows_in_which_it_was() {
        let answer = |n: u32| match n {
            20..30 => Answer::Bad("503".into()),
            35 => Answer::Missed("busy".into()),
            _ => Answer::Good(5.0),
        };
        let windows = windows(&samples(5, answer), 2000.0);
        let seen = windows
            .iter()
            .map(|w| (w.from_ms, w.requests, w.good, w.missed));
        let expected = [
            (-2000, 10, 10, 0),
            (-1000, 10, 10, 0),
            (0, 10, 0, 0),
            (1000, 9, 9, 1),
            (2000, 10, 10, 0),
        ];
        assert_eq!(seen.collect::<Vec<_>>(), expected);
        assert_eq!((windows[2].p50_ms, windows[3].max_ms), (None, Some(5.0)));
    }

    #[test]
    fn the_injection_begins_a_window_wherever_it_falls() {
        let windows = windows(&samples(4, |_| Answer::Good(1.0)), 1234.5);
        assert!(windows.iter().any(|window| window.from_ms == 0));
        let all: u64 = windows.iter().map(|window| window.requests).sum();
        assert_eq!(all, 40);
    }

    #[test]
    fn a_long_run_has_no_more_windows_than_a_short_one_and_loses_no_request() {
        let windows = windows(&samples(3600, |_| Answer::Good(1.0)), 7000.0);
        assert!(windows.len() <= 60, "{}", windows.len());
        let all: u64 = windows.iter().map(|window| window.requests).sum();
        assert_eq!(all, 36_000);
        assert_eq!(super::windows(&[], 0.0), Vec::new());
    }
}
