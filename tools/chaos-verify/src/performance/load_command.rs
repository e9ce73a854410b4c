//! `chaos-verify load`: load on URLs, from where this process stands.

use std::path::PathBuf;

use anyhow::Context as _;
use chaos_common::cli::Common;
use chaos_common::config::{Config, Span, Wanted};
use chaos_common::exit::{Exit, Failure};
use chaos_common::record::{Load, Timing, Verdict, summarize};
use chaos_common::stream::Stream;
use chaos_common::tool;
use clap::Args;

use super::load::figures::{self, Label};
use super::load::{self, HttpUrl, LoadPlan, RATES, Rate};
use super::{PerformanceReport, load_check, load_target};

/// URLs that load is put on at the same time, at most.
const MOST_URLS: usize = 50;

/// Arguments of `chaos-verify load`.
#[derive(Args, Clone, Debug)]
pub struct LoadArgs {
    /// Ask these, all at the same time: `http://HOST:PORT/PATH` or `https://…`
    #[arg(required_unless_present = "target", value_name = "URL")]
    urls: Vec<String>,
    /// A URL as JSON with what is wanted of it, for the pods of a Job
    #[arg(long, value_name = "JSON", hide = true)]
    target: Vec<String>,
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
    /// Trust the certificates in this file (PEM) instead of the system's
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Speak HTTP/2
    #[arg(long)]
    http2: bool,
}

impl LoadArgs {
    /// What is asked: the URLs, with what the configuration's `[[url]]` of the same address wants
    /// of them and what flags add.
    fn targets(&self, config: &Config) -> anyhow::Result<Vec<HttpUrl>> {
        let named = |text: &String| {
            let url = HttpUrl::parse(text)?;
            let known = config.urls.iter().find(|known| known.url == *text);
            let ca = self
                .ca
                .as_ref()
                .or(known.and_then(|known| known.ca.as_ref()));
            let read = |path: &PathBuf| {
                std::fs::read(path)
                    .with_context(|| format!("cannot read the certificates in {}", path.display()))
            };
            Ok(HttpUrl {
                wanted: Wanted {
                    statuses: self.expect_status.clone(),
                    answer: known
                        .map(|known| known.expect.clone())
                        .filter(|_| self.expect_status.is_empty()),
                    data: None,
                },
                ca: ca.map(read).transpose()?,
                ..url
            })
        };
        let given = self.target.iter().map(|text| load_target::parse(text));
        self.urls.iter().map(named).chain(given).collect()
    }
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
    let config = common.load()?.config;
    let targets = args.targets(&config).map_err(|error| usage(&error))?;
    if targets.len() > MOST_URLS {
        return Err(Failure::usage(format!(
            "{} URLs are too many at a time: at most {MOST_URLS}",
            targets.len()
        )));
    }
    let plan = LoadPlan {
        targets,
        rate: args.rate,
        duration: args.duration.0,
        warm_up: args.warm_up.0,
        timeout: args.timeout.0,
        connections: usize::from(args.connections),
        http2: args.http2,
    };
    plan.validate().map_err(|error| usage(&error))?;
    let max_error_points = config.performance.max_error_points;
    let mut stream = Stream::open(tool!(), common.output)?;
    let measured = load::run(plan.clone()).await;
    let timings: Vec<Timing> = plan
        .targets
        .iter()
        .zip(&measured.results)
        .map(|(url, loaded)| {
            let label = Label {
                service: &url.text,
                path: "",
                vantage: "direct",
                profile: None,
            };
            figures::timing(label, &plan, &measured, loaded)
        })
        .collect();
    let mut checks: Vec<_> = timings
        .iter()
        .map(|timing| load_check::check("load.url", &timing.service, timing, max_error_points))
        .collect();
    checks.extend(stream.upstream.check());
    let data = Load { checks, timings };
    let verdict = Verdict::of(&data.checks);
    let interrupted = load_check::was_interrupted(&data.timings);
    let own = PerformanceReport::exit(interrupted, verdict.into());
    Ok(stream.result(verdict, summarize(&data.checks), data, own))
}
