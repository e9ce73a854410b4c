//! `chaos-verify load`: load on URLs, from where this process stands.

use std::time::Duration;

use chaos_common::cli::Common;
use chaos_common::config::{LoadProfile, Span};
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Check, Load, Status, Timing, Verdict, summarize};
use chaos_common::stream::Stream;
use chaos_common::tool;
use clap::Args;

use crate::load::figures::{self, Label};
use crate::load::{self, Plan, Rate, Target};

/// URLs that load is put on at the same time, at most.
const MOST_URLS: usize = 50;
/// The share of requests that may be left over at the end without that saying anything.
const LEFT_OVER: f64 = 0.05;

/// Arguments of `chaos-verify load`.
#[derive(Args, Clone, Debug)]
pub(crate) struct LoadArgs {
    /// Ask these, all at the same time: `http://HOST:PORT/PATH` or `https://…`
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Ask each URL so many times a second, answered or not, or "max": as fast as it answers
    #[arg(long, value_name = "NUMBER", default_value = "20", value_parser = rate)]
    rate: Rate,
    /// Go on so long
    #[arg(long, value_name = "TIME", default_value = "10s")]
    duration: Span,
    /// Make load so long before that, uncounted
    #[arg(long, value_name = "TIME", default_value = "1s")]
    warm_up: Span,
    /// Wait so long for an answer, from when the request was due
    #[arg(long, value_name = "TIME", default_value = "5s")]
    timeout: Span,
    /// Open so many connections to each URL at the start
    #[arg(long, value_name = "NUMBER", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Speak HTTP/2
    #[arg(long)]
    http2: bool,
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let rate = text
        .parse()
        .ok()
        .filter(|rate| (0.001..=1e6).contains(rate));
    rate.map(Rate::PerSecond)
        .ok_or_else(|| format!("{text:?} is neither \"max\" nor a number from 0.001 to 1000000"))
}

/// Makes the load and tells what it showed.
pub(crate) async fn run(args: &LoadArgs, common: &Common) -> Result<Exit, Failure> {
    if args.urls.len() > MOST_URLS {
        return Err(Failure::usage(format!(
            "{} URLs are too many at a time: at most {MOST_URLS}",
            args.urls.len()
        )));
    }
    let targets: Result<_, _> = args.urls.iter().map(|url| Target::new(url)).collect();
    let plan = Plan {
        targets: targets.map_err(Failure::usage)?,
        rate: args.rate,
        duration: args.duration.0,
        warm_up: args.warm_up.0,
        timeout: args.timeout.0,
        connections: usize::from(args.connections),
        http2: args.http2,
    };
    plan.possible().map_err(Failure::usage)?;
    let max_error_points = common.load()?.config.performance.max_error_points;
    let mut stream = Stream::open(tool!(), common.output)?;
    let (started, loaded) = load::run(plan.clone()).await;
    let timings: Vec<Timing> = args
        .urls
        .iter()
        .zip(&loaded)
        .map(|(url, loaded)| {
            let label = Label {
                service: url,
                path: "",
                vantage: "direct",
                profile: None,
            };
            figures::timing(label, &plan, started, loaded)
        })
        .collect();
    let mut checks: Vec<_> = timings
        .iter()
        .map(|timing| check("load.url", &timing.service, timing, max_error_points))
        .collect();
    checks.extend(stream.upstream.check());
    let data = Load { checks, timings };
    let verdict = Verdict::of(&data.checks);
    Ok(stream.result(verdict, summarize(&data.checks), data, verdict.into()))
}

/// A profile of the configuration as a plan for these targets.
pub(crate) fn plan(profile: &LoadProfile, targets: Vec<Target>) -> Plan {
    Plan {
        targets,
        rate: Rate::PerSecond(profile.rate),
        duration: profile.duration.0,
        warm_up: profile.warm_up.0,
        timeout: profile.timeout.0,
        connections: profile.connections,
        http2: profile.http2,
    }
}

impl Plan {
    /// Whether such a load can be made.
    pub(crate) fn possible(&self) -> Result<(), String> {
        let day = Duration::from_secs(24 * 60 * 60);
        let fits = |name: &str, time: Duration, least: Duration| {
            if (least..=day).contains(&time) {
                return Ok(());
            }
            Err(format!(
                "a {name} of {} s is too short or too long for load",
                time.as_secs_f64()
            ))
        };
        fits("duration", self.duration, Duration::from_millis(100))?;
        fits("warm-up", self.warm_up, Duration::ZERO)?;
        fits("time-out", self.timeout, Duration::from_millis(1))?;
        if self.connections == 0 || self.connections > 10_000 {
            return Err(format!(
                "{} connections are too few or too many: 1 to 10000 to each URL",
                self.connections
            ));
        }
        match self.rate {
            Rate::PerSecond(rate) if !(0.001..=1e6).contains(&rate) => Err(format!(
                "a rate of {rate} requests a second is too low or too high"
            )),
            _ => Ok(()),
        }
    }
}

/// Could the URL be measured, and does it answer under the load?
pub(crate) fn check(id: &str, object: &str, timing: &Timing, max_error_points: f64) -> Check {
    let Some(load) = &timing.load else {
        return Check::unknown(id, object, "it was not measured under load");
    };
    let check = |status, message: String| {
        Check::new(id, object, status, message).from_vantage(&timing.vantage)
    };
    if let Some(why) = &load.saturated {
        return check(Status::Unknown, why.clone())
            .hint("make the load from a quieter machine, or less of it");
    }
    if timing.requests == 0 {
        return check(
            Status::Unknown,
            "no request fell due in so short a time at so low a rate".to_owned(),
        );
    }
    let failed = format!("{} of {} requests failed", timing.errors, timing.requests);
    let why = timing
        .failures
        .first()
        .map(|why| format!(": {why}"))
        .unwrap_or_default();
    if timing.errors == timing.requests {
        return check(Status::Fail, format!("nothing answers: {failed}{why}"));
    }
    if let Some(message) = behind(timing) {
        return check(Status::Fail, message);
    }
    #[allow(
        clippy::cast_precision_loss,
        reason = "numbers of requests are below 2^53"
    )]
    let percent = timing.errors as f64 * 100.0 / timing.requests as f64;
    if percent > max_error_points {
        return check(Status::Fail, format!("{failed}{why}"));
    }
    if timing.errors > 0 {
        return check(Status::Warn, format!("{}; {failed}{why}", text(timing)));
    }
    check(Status::Pass, text(timing))
}

/// Why the target does not keep up with the load, if it doesn't: more is left over at the end than
/// what its answers took at first explains.
pub(crate) fn behind(timing: &Timing) -> Option<String> {
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
