//! Whether a measurement under load says anything, and whether the URL keeps up with the load.

use chaos_common::record::{Check, Status, Timing};

/// The share of requests that may be left over at the end without that saying anything.
const LEFT_OVER: f64 = 0.05;

/// Could the URL be measured, and does it answer under the load? What failed is told also where the
/// generator was late: only requests that it can't have spoiled are counted as failures.
pub(crate) fn check(id: &str, object: &str, timing: &Timing, max_error_points: f64) -> Check {
    let Some(load) = &timing.load else {
        return Check::unknown(id, object, "it was not measured under load");
    };
    let check = |status, message: String| {
        Check::new(id, object, status, message).from_vantage(&timing.vantage)
    };
    let late = load.saturated.as_ref();
    if timing.requests == 0 && load.interrupted_ms.is_some() {
        return check(
            Status::Unknown,
            "interrupted before anything counted".to_owned(),
        );
    }
    if timing.requests == 0 {
        let none = "no request fell due in so short a time at so low a rate";
        let why = late.map_or(none, String::as_str).to_owned();
        return check(Status::Unknown, why);
    }
    let failed = format!("{} of {} requests failed", timing.errors, timing.requests);
    let why = timing
        .failures
        .first()
        .map(|why| format!(": {why}"))
        .unwrap_or_default();
    if timing.errors == timing.requests {
        return check(Status::Fail, format!("no good answer: {failed}{why}"));
    }
    #[allow(
        clippy::cast_precision_loss,
        reason = "numbers of requests are below 2^53"
    )]
    let percent = timing.errors as f64 * 100.0 / timing.requests as f64;
    if percent > max_error_points {
        return check(Status::Fail, format!("{failed}{why}; {}", text(timing)));
    }
    if let Some(came) = load.interrupted_ms {
        let late = late.map(|late| format!("; {late}")).unwrap_or_default();
        let message = format!(
            "interrupted after {} of {}: {}; {failed}{late}",
            seconds(came),
            seconds(load.duration_ms),
            text(timing)
        );
        return check(Status::Unknown, message);
    }
    if let Some(late) = late {
        return check(Status::Unknown, format!("{late}; {failed}"))
            .hint("make the load from a quieter machine, or less of it");
    }
    if let Some(message) = backlog(timing) {
        return check(Status::Fail, format!("{message}; {}", text(timing)));
    }
    if timing.errors > 0 {
        return check(Status::Warn, format!("{}; {failed}{why}", text(timing)));
    }
    check(Status::Pass, text(timing))
}

#[allow(clippy::cast_precision_loss, reason = "for people")]
fn seconds(ms: u64) -> String {
    format!("{:.1} s", ms as f64 / 1000.0)
}

/// Whether a measurement was interrupted, which is an abort on request.
pub(crate) fn was_interrupted(timings: &[Timing]) -> bool {
    let mut loads = timings.iter().filter_map(|timing| timing.load.as_ref());
    loads.any(|load| load.interrupted_ms.is_some())
}

/// Why the target does not keep up with the load, if it doesn't: more is left over at the end than
/// what its answers took at first explains.
pub(crate) fn backlog(timing: &Timing) -> Option<String> {
    let load = timing.load.as_ref()?;
    let offered = load.offered_rate?;
    #[allow(
        clippy::cast_precision_loss,
        reason = "a day has fewer milliseconds than 2^53"
    )]
    let duration_ms = load.duration_ms as f64;
    let first = timing.windows.len().div_ceil(4);
    let at_first = timing.windows[..first]
        .iter()
        .filter_map(|window| window.p50_ms)
        .fold(0.0, f64::max);
    let allowed =
        LEFT_OVER + (at_first / duration_ms).min(0.25) + 2.0 / (offered * duration_ms / 1000.0);
    (load.achieved_rate < offered * (1.0 - allowed)).then(|| {
        format!(
            "it does not keep up: offered {offered:.1} requests a second, {:.1} were over in time",
            load.achieved_rate
        )
    })
}

/// The figures, in words.
pub(crate) fn text(timing: &Timing) -> String {
    let ms = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.2}"));
    let rate = timing
        .load
        .as_ref()
        .map(|load| format!(" at {:.1} a second", load.achieved_rate))
        .unwrap_or_default();
    format!(
        "p50 {}, p95 {}, p99 {}, max {} ms of {} requests{rate}",
        ms(timing.p50_ms),
        ms(timing.p95_ms),
        ms(timing.p99_ms),
        ms(timing.max_ms),
        timing.requests
    )
}

/// The URL as an object of checks.
pub(crate) fn object(timing: &Timing) -> String {
    format!("{}{}", timing.service, timing.path)
}
