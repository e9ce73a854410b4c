//! `chaos-verify load`: load on URLs, from where this process stands.

use chaos_common::cli::Common;
use chaos_common::config::Span;
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Load, Timing, Verdict, summarize};
use chaos_common::stream::Stream;
use chaos_common::tool;
use clap::Args;

use super::load::figures::{self, Label};
use super::load::{self, HttpUrl, LoadPlan, RATES, Rate};
use super::load_check;

/// URLs that load is put on at the same time, at most.
const MOST_URLS: usize = 50;

/// Arguments of `chaos-verify load`.
#[derive(Args, Clone, Debug)]
pub struct LoadArgs {
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
    #[arg(long, value_name = "NUMBER", default_value_t = 16)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..))]
    connections: u16,
    /// Count this status as a good answer too, besides those in the 200s; may be given again
    #[arg(long, value_name = "STATUS", value_parser = clap::value_parser!(u16).range(100..600))]
    expect_status: Vec<u16>,
    /// Speak HTTP/2
    #[arg(long)]
    http2: bool,
}

fn rate(text: &str) -> Result<Rate, String> {
    if text == "max" {
        return Ok(Rate::Max);
    }
    let rate = text.parse().ok().filter(|rate| RATES.contains(rate));
    rate.map(Rate::PerSecond)
        .ok_or_else(|| format!("{text:?} is neither \"max\" nor a number from 0.001 to 1000000"))
}

fn usage(error: &anyhow::Error) -> Failure {
    Failure::usage(format!("{error:#}"))
}

/// Makes the load and tells what it showed.
///
/// # Errors
/// Bad usage or configuration; no request was made then.
pub async fn run(args: &LoadArgs, common: &Common) -> Result<Exit, Failure> {
    if args.urls.len() > MOST_URLS {
        return Err(Failure::usage(format!(
            "{} URLs are too many at a time: at most {MOST_URLS}",
            args.urls.len()
        )));
    }
    let targets: anyhow::Result<_> = args
        .urls
        .iter()
        .map(|url| Ok(HttpUrl::parse(url)?.accepting(args.expect_status.clone())))
        .collect();
    let plan = LoadPlan {
        targets: targets.map_err(|error| usage(&error))?,
        rate: args.rate,
        duration: args.duration.0,
        warm_up: args.warm_up.0,
        timeout: args.timeout.0,
        connections: usize::from(args.connections),
        http2: args.http2,
    };
    plan.validate().map_err(|error| usage(&error))?;
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
        .map(|timing| load_check::check("load.url", &timing.service, timing, max_error_points))
        .collect();
    checks.extend(stream.upstream.check());
    let data = Load { checks, timings };
    let verdict = Verdict::of(&data.checks);
    Ok(stream.result(verdict, summarize(&data.checks), data, verdict.into()))
}
