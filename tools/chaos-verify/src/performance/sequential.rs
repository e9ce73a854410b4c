//! Response times without load, and whether they are what they were.
//!
//! Requests to a URL go out one after the other, and one URL is measured after the other, so that
//! the figures show the application and not a queue of our own. A time holds the vantage's own way,
//! so only times of equal vantages are compared.

use std::time::Duration;

use chaos_common::cluster::probe::ProbeError;
use chaos_common::config::Performance;
use chaos_common::record::{Baseline, Check, Status, Timing};

use super::load::fault;
use super::report::{PerformanceReport, earlier};
use crate::target::{ServiceUrl, Target, timed_paths};

/// Requests before those that count: they open connections and fill caches.
const WARM_UP: usize = 3;
/// Time that one request may take.
const LIMIT: Duration = Duration::from_secs(5);
/// After so many failures in a row nothing is learnt from more of them.
const HOPELESS: usize = 5;

/// What was measured of one URL.
#[derive(Clone, Debug)]
pub struct Measurement {
    url: String,
    timing: Timing,
    /// Why requests failed, the last failure's words.
    why: Option<String>,
    /// A failure was the vantage's and not the Service's: the figures say nothing of it.
    unobserved: bool,
}

/// Measures every timed URL for a later verification.
pub(crate) async fn take_baseline(target: &Target<'_>) -> PerformanceReport {
    let measured = measure_all(target).await;
    let mut checks: Vec<_> = measured.iter().map(baseline).collect();
    if measured.is_empty() {
        checks.push(no_timed_paths("baseline.timing"));
    }
    PerformanceReport {
        checks,
        timings: measured.into_iter().map(|one| one.timing).collect(),
        ..PerformanceReport::default()
    }
}

/// Measures every timed URL and compares. A URL that is too slow is measured once more at the end:
/// what is still warming up after its restart has not to be called slow. What failed has failed.
pub(crate) async fn verify(target: &Target<'_>, baseline: Option<&Baseline>) -> PerformanceReport {
    let settings = &target.config.performance;
    let timings = baseline.map_or(&[][..], |baseline| &baseline.timings);
    let check = |one: &Measurement| compare(earlier(timings, &one.timing), one, settings);
    let mut results: Vec<(Check, Measurement)> = measure_all(target)
        .await
        .into_iter()
        .map(|one| (check(&one), one))
        .collect();
    let urls = target.urls(timed_paths);
    for (result, url) in results.iter_mut().zip(&urls) {
        let (first, measured) = &*result;
        let before = earlier(timings, &measured.timing);
        if first.status != Status::Fail || !is_only_slow(before, &measured.timing) {
            continue;
        }
        let again = measure(target, url).await;
        let mut second = check(&again);
        second.message = format!(
            "{}; measured twice, at first: {}",
            second.message, first.message
        );
        *result = (second, again);
    }
    let (mut checks, measured): (Vec<_>, Vec<_>) = results.into_iter().unzip();
    if measured.is_empty() {
        checks.push(no_timed_paths("performance.timing"));
    }
    PerformanceReport {
        checks,
        timings: measured.into_iter().map(|one| one.timing).collect(),
        ..PerformanceReport::default()
    }
}

fn no_timed_paths(id: &str) -> Check {
    Check::skipped(id, "", "no service is configured with timed paths")
}

/// Measures every timed URL, one after the other.
pub async fn measure_all(target: &Target<'_>) -> Vec<Measurement> {
    let mut all = Vec::new();
    for url in target.urls(timed_paths) {
        all.push(measure(target, &url).await);
    }
    all
}

/// Measures one URL.
async fn measure(target: &Target<'_>, url: &ServiceUrl) -> Measurement {
    for _ in 0..WARM_UP {
        // What a warm-up finds shows again in the requests that count.
        let _ = target.probe.get(&url.endpoint, &url.path, LIMIT).await;
    }
    let (mut times, mut errors, mut in_a_row) = (Vec::new(), 0, 0);
    let (mut why, mut unobserved) = (None, false);
    while times.len() + errors < target.config.performance.requests && in_a_row < HOPELESS {
        match target.probe.get(&url.endpoint, &url.path, LIMIT).await {
            Ok(answer) => {
                let (status, body) = (answer.status, &answer.body);
                let Some(fault) = fault(&url.wanted, status, body, answer.elapsed) else {
                    times.push(answer.elapsed.as_secs_f64() * 1000.0);
                    in_a_row = 0;
                    continue;
                };
                why = Some(fault);
            }
            Err(silence) => {
                unobserved |= matches!(silence, ProbeError::Vantage(_));
                why = Some(silence.message());
            }
        }
        errors += 1;
        in_a_row += 1;
    }
    Measurement {
        url: url.text(),
        timing: summarize(url, times, errors),
        why,
        unobserved,
    }
}

fn summarize(url: &ServiceUrl, mut times: Vec<f64>, errors: usize) -> Timing {
    times.sort_by(f64::total_cmp);
    // Records carry microseconds; more digits would claim more than a clock can give.
    let at = |percent| percentile(&times, percent).map(|ms| (ms * 1000.0).round() / 1000.0);
    Timing {
        service: url.service.clone(),
        path: url.path.clone(),
        vantage: url.vantage.clone(),
        requests: times.len() + errors,
        errors,
        p50_ms: at(50),
        p95_ms: at(95),
        max_ms: at(100),
        ..Timing::default()
    }
}

/// The percentile of sorted values by nearest rank: the smallest value that at least `percent` of
/// the values do not exceed.
fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied()
}

/// `baseline.timing`: could the URL be measured?
pub fn baseline(measured: &Measurement) -> Check {
    const ID: &str = "baseline.timing";
    let Measurement {
        url,
        timing,
        why,
        unobserved,
    } = measured;
    let check = match timing.p95_ms {
        _ if *unobserved => Check::unknown(
            ID,
            url,
            format!("{}: {}", failed(timing), text(why.as_ref())),
        ),
        None if timing.requests == 0 => Check::skipped(ID, url, "performance.requests is 0"),
        None => Check::fail(
            ID,
            url,
            format!("no answer to measure: {}", text(why.as_ref())),
        ),
        Some(_) if timing.errors > 0 => {
            let message = format!(
                "{}; {}: {}",
                figures(timing),
                failed(timing),
                text(why.as_ref())
            );
            Check::new(ID, url, Status::Warn, message)
        }
        Some(_) => Check::pass(ID, url, figures(timing)),
    };
    check.from_vantage(&timing.vantage)
}

/// `performance.timing`: is the URL as quick as it was?
fn compare(before: Option<&Timing>, measured: &Measurement, settings: &Performance) -> Check {
    const ID: &str = "performance.timing";
    let Measurement {
        url,
        timing: now,
        why,
        unobserved,
    } = measured;
    let check =
        |status, message: String| Check::new(ID, url, status, message).from_vantage(&now.vantage);
    if *unobserved {
        return check(
            Status::Unknown,
            format!("{}: {}", failed(now), text(why.as_ref())),
        );
    }
    if now.requests == 0 {
        return check(Status::Skipped, "performance.requests is 0".to_owned());
    }
    let Some(p95) = now.p95_ms else {
        return check(
            Status::Fail,
            format!("nothing answers any more: {}", text(why.as_ref())),
        );
    };
    let Some(before) = before else {
        return check(
            Status::Unknown,
            format!("{}, and there is no baseline to compare with", figures(now)),
        );
    };
    if before.vantage != now.vantage {
        let message = format!(
            "the baseline was measured from the vantage {}, this one from {}; such times do not \
                compare",
            before.vantage, now.vantage
        );
        return check(Status::Unknown, message);
    }
    let Some(before_p95) = before.p95_ms else {
        return check(
            Status::Unknown,
            format!("{}, and nothing answered in the baseline", figures(now)),
        );
    };
    if fails_more(before, now) {
        let message = format!(
            "{}: {}; in the baseline {}",
            failed(now),
            text(why.as_ref()),
            failed(before)
        );
        return check(Status::Fail, message);
    }
    let most = before_p95 * settings.max_ratio + settings.allowance_ms;
    let message = format!(
        "p95 {p95:.1} ms, baseline {before_p95:.1} ms, limit {most:.1} ms: \
         a coarse look, {} requests one after the other",
        now.requests
    );
    check(
        if p95 <= most {
            Status::Pass
        } else {
            Status::Fail
        },
        message,
    )
}

/// Whether a larger share of requests fails than before, crosswise: their numbers may differ.
fn fails_more(before: &Timing, now: &Timing) -> bool {
    now.errors * before.requests > before.errors * now.requests
}

/// Whether a URL that was measured before too answers as well as then, be it slowly.
fn is_only_slow(before: Option<&Timing>, now: &Timing) -> bool {
    before.is_some_and(|before| now.p95_ms.is_some() && !fails_more(before, now))
}

fn figures(timing: &Timing) -> String {
    let ms = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.1}"));
    format!(
        "p50 {}, p95 {}, max {} ms of {} requests",
        ms(timing.p50_ms),
        ms(timing.p95_ms),
        ms(timing.max_ms),
        timing.requests
    )
}

fn failed(timing: &Timing) -> String {
    format!("{} of {} requests failed", timing.errors, timing.requests)
}

fn text(why: Option<&String>) -> &str {
    why.map_or("no reason known", String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timing(p95: Option<f64>, errors: usize) -> Timing {
        Timing {
            service: "shop".to_owned(),
            path: "/".to_owned(),
            vantage: "api-proxy".to_owned(),
            requests: 50,
            errors,
            p50_ms: p95,
            p95_ms: p95,
            max_ms: p95,
            ..Timing::default()
        }
    }

    fn measured(p95: Option<f64>, errors: usize) -> Measurement {
        Measurement {
            url: "http://shop".to_owned(),
            timing: timing(p95, errors),
            why: None,
            unobserved: false,
        }
    }

    fn status(before: Option<&Timing>, now: &Measurement) -> Status {
        compare(
            before,
            now,
            &Performance {
                requests: 50,
                max_ratio: 1.5,
                allowance_ms: 20.0,
                ..Performance::default()
            },
        )
        .status
    }

    #[test]
    fn percentiles_are_values_that_occurred_by_nearest_rank() {
        let values: Vec<f64> = (1..=50_u8).map(f64::from).collect();
        assert_eq!(percentile(&values, 50), Some(25.0));
        assert_eq!(percentile(&values, 95), Some(48.0));
        assert_eq!(percentile(&values, 100), Some(50.0));
        assert_eq!(percentile(&[7.0], 50), Some(7.0));
        assert_eq!(percentile(&[1.0, 2.0, 3.0], 50), Some(2.0));
        assert_eq!(percentile(&[], 95), None);
    }

    #[test]
    fn the_limit_is_ratio_and_allowance_together() {
        let before = timing(Some(100.0), 0);
        assert_eq!(
            status(Some(&before), &measured(Some(170.0), 0)),
            Status::Pass
        );
        assert_eq!(
            status(Some(&before), &measured(Some(170.1), 0)),
            Status::Fail
        );
    }

    #[test]
    fn more_errors_than_before_fail_however_quick_the_rest_is() {
        let before = timing(Some(100.0), 1);
        assert_eq!(
            status(Some(&before), &measured(Some(10.0), 2)),
            Status::Fail
        );
        assert_eq!(
            status(Some(&before), &measured(Some(10.0), 1)),
            Status::Pass
        );
    }

    #[test]
    fn only_slowness_is_measured_once_more() {
        let before = timing(Some(10.0), 1);
        assert!(is_only_slow(Some(&before), &timing(Some(900.0), 1)));
        assert!(!is_only_slow(Some(&before), &timing(Some(900.0), 2)));
        assert!(!is_only_slow(Some(&before), &timing(None, 50)));
        assert!(!is_only_slow(None, &timing(Some(900.0), 0)));
    }

    #[test]
    fn error_shares_are_compared_and_not_numbers() {
        let mut before = timing(Some(100.0), 1);
        before.requests = 10;
        assert_eq!(
            status(Some(&before), &measured(Some(10.0), 5)),
            Status::Pass
        );
        assert_eq!(
            status(Some(&before), &measured(Some(10.0), 6)),
            Status::Fail
        );
    }

    #[test]
    fn nothing_to_compare_with_is_unknown_and_no_answer_fails() {
        let now = measured(Some(10.0), 0);
        assert_eq!(status(None, &now), Status::Unknown);
        assert_eq!(status(Some(&timing(None, 50)), &now), Status::Unknown);
        let mut elsewhere = timing(Some(10.0), 0);
        elsewhere.vantage = "direct".to_owned();
        assert_eq!(status(Some(&elsewhere), &now), Status::Unknown);
        assert_eq!(
            status(Some(&timing(Some(10.0), 0)), &measured(None, 50)),
            Status::Fail
        );
        assert_eq!(status(None, &measured(None, 50)), Status::Fail);
    }

    #[test]
    fn a_way_that_is_not_open_says_nothing_of_the_service() {
        let now = Measurement {
            unobserved: true,
            ..measured(Some(10.0), 1)
        };
        assert_eq!(status(Some(&timing(Some(10.0), 1)), &now), Status::Unknown);
        assert_eq!(baseline(&now).status, Status::Unknown);
    }

    #[test]
    fn a_baseline_without_answers_fails_and_one_with_a_few_errors_warns() {
        assert_eq!(baseline(&measured(Some(10.0), 0)).status, Status::Pass);
        assert_eq!(baseline(&measured(Some(10.0), 1)).status, Status::Warn);
        assert_eq!(baseline(&measured(None, 5)).status, Status::Fail);
    }
}
