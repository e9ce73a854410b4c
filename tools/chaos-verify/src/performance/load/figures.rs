//! A measurement as a record, and back.

use std::time::Duration;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use chaos_common::record::{Bar, LoadFigures, Timing, Window};
use hdrhistogram::serialization::{Deserializer, Serializer as _, V2DeflateSerializer};
use hdrhistogram::{Counter, Histogram};

use super::counts::{self, Counts, histogram};
use super::generator::{LoadResult, Measured};
use super::plan::{LoadPlan, Rate};

/// Lateness of the generator that never matters.
const NO_MATTER: Duration = Duration::from_millis(1);
/// The share of a time that the generator's lateness may be.
const SHARE: f64 = 0.1;
/// Bars of a distribution, at most.
const BARS: u8 = 24;

/// Whose measurement it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label<'a> {
    pub(crate) service: &'a str,
    pub(crate) path: &'a str,
    pub(crate) vantage: &'a str,
    pub(crate) profile: Option<&'a str>,
}

/// The record of a measurement.
pub(crate) fn timing(
    label: Label,
    plan: &LoadPlan,
    measured: &Measured,
    result: &LoadResult,
) -> Timing {
    let counts = &result.counts;
    let times = &counts.times;
    let came = measured.interrupted.unwrap_or(plan.duration);
    let seconds = came.as_secs_f64().max(0.001);
    let windows = came.as_nanos().div_ceil(counts.window.as_nanos().max(1));
    let windows = usize::try_from(windows).unwrap_or(usize::MAX).max(1);
    let mut failures: Vec<_> = counts.faults.iter().collect();
    failures.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
    Timing {
        service: label.service.to_owned(),
        path: label.path.to_owned(),
        vantage: label.vantage.to_owned(),
        requests: usize::try_from(counts.requests).unwrap_or(usize::MAX),
        errors: usize::try_from(counts.errors).unwrap_or(usize::MAX),
        p50_ms: at(times, 0.5),
        p95_ms: at(times, 0.95),
        p99_ms: at(times, 0.99),
        p999_ms: at(times, 0.999),
        max_ms: at(times, 1.0),
        failures: failures
            .into_iter()
            .map(|(why, times)| format!("{times} times: {why}"))
            .collect(),
        load: Some(LoadFigures {
            profile: label.profile.map(str::to_owned),
            started: measured.started,
            duration_ms: u64::try_from(plan.duration.as_millis()).unwrap_or(u64::MAX),
            offered_rate: match plan.rate {
                Rate::PerSecond(rate) => Some(rate),
                Rate::Max => None,
            },
            achieved_rate: round(count(counts.in_time) / seconds),
            connections: plan.connections,
            protocol: if plan.http2 { "HTTP/2" } else { "HTTP/1.1" }.to_owned(),
            pods: None,
            lag_p50_ms: at(&counts.lag, 0.5).unwrap_or(0.0),
            lag_p99_ms: at(&counts.lag, 0.99).unwrap_or(0.0),
            sent_again: counts.sent_again,
            interrupted_ms: measured
                .interrupted
                .map(|came| u64::try_from(came.as_millis()).unwrap_or(u64::MAX)),
            saturated: saturated(counts, plan.timeout),
        }),
        steps: result.steps.clone(),
        window_ms: Some(counts.window.as_secs_f64() * 1000.0),
        windows: counts.windows.iter().take(windows).map(window).collect(),
        distribution: distribution(times),
        histogram: Some(encode(times)),
    }
}

/// A record of several pods' measurements of one URL, taken at the same time.
pub(crate) fn merge(mut timings: Vec<Timing>) -> anyhow::Result<Timing> {
    let pods = timings.len();
    let mut first = timings.swap_remove(0);
    let mut all = counts_of(&first)?;
    for other in &timings {
        all.merge(&counts_of(other)?);
        let (Some(load), Some(more)) = (&mut first.load, &other.load) else {
            bail!("a pod's measurement was not under load");
        };
        load.achieved_rate = round(load.achieved_rate + more.achieved_rate);
        load.offered_rate = load
            .offered_rate
            .zip(more.offered_rate)
            .map(|(one, other)| one + other);
        load.connections += more.connections;
        load.sent_again += more.sent_again;
        load.interrupted_ms = load.interrupted_ms.or(more.interrupted_ms);
        load.lag_p50_ms = load.lag_p50_ms.max(more.lag_p50_ms);
        load.lag_p99_ms = load.lag_p99_ms.max(more.lag_p99_ms);
        load.saturated = load.saturated.take().or_else(|| more.saturated.clone());
        first.failures.extend(
            other
                .failures
                .iter()
                .filter(|why| !first.failures.contains(why))
                .cloned()
                .collect::<Vec<_>>(),
        );
    }
    if let Some(load) = &mut first.load {
        load.pods = Some(pods);
    }
    Ok(Timing {
        requests: usize::try_from(all.requests).unwrap_or(usize::MAX),
        errors: usize::try_from(all.errors).unwrap_or(usize::MAX),
        p50_ms: at(&all.times, 0.5),
        p95_ms: at(&all.times, 0.95),
        p99_ms: at(&all.times, 0.99),
        p999_ms: at(&all.times, 0.999),
        max_ms: at(&all.times, 1.0),
        windows: all.windows.iter().map(window).collect(),
        distribution: distribution(&all.times),
        histogram: Some(encode(&all.times)),
        ..first
    })
}

/// The counts behind a record.
fn counts_of(timing: &Timing) -> anyhow::Result<Counts> {
    let window = Duration::try_from_secs_f64(timing.window_ms.unwrap_or_default() / 1000.0);
    let mut counts = Counts::new(window?, 0);
    counts.requests = timing.requests as u64;
    counts.errors = timing.errors as u64;
    counts.times = decode(timing.histogram.as_deref().unwrap_or_default())?;
    for window in &timing.windows {
        let times = decode(&window.histogram)?;
        counts.windows.push(counts::WindowCounts {
            requests: window.requests,
            errors: window.errors,
            times,
        });
    }
    Ok(counts)
}

/// A window as a record holds it.
pub(crate) fn window(window: &counts::WindowCounts) -> Window {
    Window {
        requests: window.requests,
        errors: window.errors,
        p50_ms: at(&window.times, 0.5),
        p99_ms: at(&window.times, 0.99),
        histogram: encode(&window.times),
    }
}

/// Why the times say nothing, where the generator was not up to its work.
fn saturated(counts: &Counts, timeout: Duration) -> Option<String> {
    if let Some(own) = &counts.own {
        return Some(own.clone());
    }
    let most = Duration::from_micros(counts.lag.max());
    if !counts.lag.is_empty() && most > timeout / 2 {
        return Some(format!(
            "the load generator stood still for {} ms",
            most.as_millis()
        ));
    }
    for (quantile, name) in [(0.5, "the median"), (0.99, "p99")] {
        let lag = Duration::from_micros(counts.lag.value_at_quantile(quantile));
        let time = Duration::from_micros(counts.times.value_at_quantile(quantile));
        if !counts.times.is_empty() && lag > NO_MATTER && lag > time.mul_f64(SHARE) {
            let (lag, time) = (lag.as_secs_f64() * 1000.0, time.as_secs_f64() * 1000.0);
            return Some(format!(
                "requests left the load generator {lag:.1} ms late at {name}, where the answer \
                    took {time:.1} ms in all: \
                 this machine can't make such a load now"
            ));
        }
    }
    None
}

/// The value at a quantile in milliseconds.
fn at<T: Counter>(times: &Histogram<T>, quantile: f64) -> Option<f64> {
    let highest = times
        .highest_equivalent(times.value_at_quantile(quantile))
        .min(times.max());
    (!times.is_empty()).then(|| round(count(highest) / 1000.0))
}

/// Bars on a scale that grows by a half to a quarter each time, so that there are few.
fn distribution(times: &Histogram<u64>) -> Vec<Bar> {
    if times.is_empty() {
        return Vec::new();
    }
    let (low, high) = (count(times.min().max(1)), count(times.max().max(2)));
    let factor = (high / low).powf(1.0 / (f64::from(BARS) / 2.0)).max(1.1);
    let mut bars = Vec::new();
    let (mut up_to, mut below) = (low, 0);
    while bars.len() < usize::from(BARS) {
        up_to *= factor;
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "microseconds below an hour"
        )]
        let so_far = if up_to >= high {
            times.len()
        } else {
            times.count_between(0, up_to as u64)
        };
        bars.push(Bar {
            up_to_ms: round(up_to.min(high) / 1000.0),
            count: so_far - below,
        });
        below = so_far;
        if up_to >= high {
            break;
        }
    }
    bars
}

#[allow(
    clippy::cast_precision_loss,
    reason = "counts and microseconds are below 2^53"
)]
fn count(count: u64) -> f64 {
    count as f64
}

/// Microseconds: more digits would claim more than a clock can give.
fn round(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

/// A histogram in HdrHistogram's own format.
fn encode<T: Counter>(times: &Histogram<T>) -> String {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new()
        .serialize(times, &mut bytes)
        .expect("memory takes what is written");
    BASE64_STANDARD.encode(bytes)
}

/// Such a histogram, read.
pub(crate) fn decode<T: Counter>(text: &str) -> anyhow::Result<Histogram<T>> {
    let bytes = BASE64_STANDARD.decode(text).context("it is no base64")?;
    let mut read: Histogram<T> = Deserializer::new()
        .deserialize(&mut &bytes[..])
        .context("it is no histogram")?;
    read.auto(true);
    let mut grows = histogram(read.sigfig());
    grows.add(&read)?;
    Ok(grows)
}
