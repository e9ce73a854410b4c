//! Response times under load, and whether they are what they were.

use chaos_common::config::{LoadProfile, Performance, Span};
use chaos_common::exit::Failure;
use chaos_common::record::{Baseline, Check, Experiment, Judgement, Record, Status, Time, Timing};
use clap::Args;

use crate::generate::{self, behind};
use crate::job;
use crate::judge::series::Series;
use crate::judge::{self, IN_A_ROW, Judged, Margins};
use crate::load::figures::{self, Label};
use crate::load::{self, Target};
use crate::site::{Site, Url, timed};

/// Differences between rates that say nothing.
const SAME_RATE: f64 = 0.01;

/// Arguments that ask for load.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct SpeedArgs {
    /// Measure response times under this load, a profile of the configuration such as "normal"
    #[arg(long, value_name = "PROFILE")]
    load: Option<String>,
    /// Keep the load up so long, rather than as the profile says
    #[arg(long, value_name = "TIME", requires = "load")]
    duration: Option<Span>,
}

impl SpeedArgs {
    /// Whether nothing is asked for.
    pub(crate) fn is_empty(&self) -> bool {
        self.load.is_none()
    }

    /// The load that is asked for.
    pub(crate) fn profile(&self, settings: &Performance) -> Result<Option<LoadProfile>, Failure> {
        let Some(name) = &self.load else {
            return Ok(None);
        };
        let mut profile = named(name, settings).ok_or_else(|| {
            let names: Vec<_> = settings
                .profiles
                .iter()
                .map(|profile| profile.name.as_str())
                .collect();
            Failure::usage(format!("there is no load profile {name:?}")).hint(format!(
                "[[performance.profile]] of the configuration defines: {}",
                names.join(", ")
            ))
        })?;
        profile.duration = self.duration.unwrap_or(profile.duration);
        generate::plan(&profile, Vec::new())
            .possible()
            .map_err(|why| Failure::usage(format!("load profile {name:?}: {why}")))?;
        Ok(Some(profile))
    }
}

fn named(name: &str, settings: &Performance) -> Option<LoadProfile> {
    settings
        .profiles
        .iter()
        .find(|profile| profile.name == name)
        .cloned()
}

/// The load of a baseline, for a verification that asks for none itself.
pub(crate) fn as_before(
    baseline: Option<&Baseline>,
    settings: &Performance,
) -> Option<LoadProfile> {
    let load = baseline?
        .timings
        .iter()
        .find_map(|timing| timing.load.as_ref())?;
    let mut profile = named(load.profile.as_deref()?, settings)?;
    profile.duration = Span::milliseconds(load.duration_ms);
    Some(profile)
}

/// Measures every timed URL under load, all at the same time. What can't be measured is a check
/// `id` that is unknown.
pub(crate) async fn measure(
    site: &Site<'_>,
    profile: &LoadProfile,
    run: &str,
    id: &str,
) -> (Vec<Timing>, Vec<Check>) {
    if let Some(image) = &site.config.performance.image {
        let urls = site.urls(timed);
        if !urls.is_empty() {
            return match job::run(site, image, profile, &urls, run).await {
                Ok(timings) => (timings, Vec::new()),
                Err(check) => (Vec::new(), vec![*check]),
            };
        }
    }
    let (mut urls, mut targets, mut checks) = (Vec::new(), Vec::new(), Vec::new());
    for url in site.urls(timed) {
        if url.vantage != "direct" {
            let message = format!(
                "load goes to Services directly, and the vantage of this one is {}",
                url.vantage
            );
            let hint = "name an image with chaos-verify as performance.image, so that a Job makes the load, or run this inside the cluster";
            checks.push(
                Check::unknown(id, url.text(), message)
                    .hint(hint)
                    .from_vantage(&url.vantage),
            );
            continue;
        }
        match Target::new(&url.text()) {
            Ok(target) => {
                targets.push(target);
                urls.push(url);
            }
            Err(why) => checks.push(Check::unknown(id, url.text(), why)),
        }
    }
    if urls.is_empty() && checks.is_empty() {
        checks.push(Check::skipped(
            id,
            "",
            "no service is configured with timed paths",
        ));
    }
    if urls.is_empty() {
        return (Vec::new(), checks);
    }
    let plan = generate::plan(profile, targets);
    let (started, loaded) = load::run(plan.clone()).await;
    let timing = |(url, loaded): (&Url, _)| {
        let label = Label {
            service: &url.service,
            path: &url.path,
            vantage: &url.vantage,
            profile: Some(&profile.name),
        };
        figures::timing(label, &plan, started, loaded)
    };
    (urls.iter().zip(&loaded).map(timing).collect(), checks)
}

/// `baseline.load`: can it be compared with later?
pub(crate) fn baseline(timing: &Timing, settings: &Performance) -> Check {
    generate::check(
        "baseline.load",
        &object(timing),
        timing,
        settings.max_error_points,
    )
}

fn object(timing: &Timing) -> String {
    format!("{}{}", timing.service, timing.path)
}

/// `performance.load` and `performance.return`: is the URL as quick under load as it was?
pub(crate) fn compare(
    before: Option<&Timing>,
    now: &Timing,
    settings: &Performance,
    experiment: Option<&Record<Experiment>>,
) -> (Vec<Check>, Vec<Judgement>) {
    const ID: &str = "performance.load";
    let one = |status, message: String| {
        Check::new(ID, object(now), status, message).from_vantage(&now.vantage)
    };
    let alone = generate::check(ID, &object(now), now, 100.0);
    if matches!(alone.status, Status::Unknown) || now.errors == now.requests {
        return (vec![alone], Vec::new());
    }
    let before = match comparable(before, now) {
        Ok(before) => before,
        Err(why) => {
            return (
                vec![one(
                    Status::Unknown,
                    format!("{}; {why}", generate::text(now)),
                )],
                Vec::new(),
            );
        }
    };
    if let (Some(why), None) = (behind(now), behind(before)) {
        return (
            vec![one(Status::Fail, format!("{why}; in the baseline it did"))],
            Vec::new(),
        );
    }
    let (was, is) = match (Series::of(before), Series::of(now)) {
        (Ok(was), Ok(is)) => (was, is),
        (Err(why), _) => {
            return (
                vec![one(
                    Status::Unknown,
                    format!("the baseline can't be compared with: {why}"),
                )],
                Vec::new(),
            );
        }
        (_, Err(why)) => {
            return (
                vec![one(
                    Status::Unknown,
                    format!("the measurement can't be compared: {why}"),
                )],
                Vec::new(),
            );
        }
    };
    let margins = Margins::of(settings);
    let mut judged = judge::judge(&was, &is, margins);
    let mut status = judge::worst(&judged);
    let mut note = String::new();
    let returned = judge::returned(&was, &is, margins);
    if let (Some(window), true) = (
        returned.filter(|window| *window > 0),
        status != Status::Pass,
    ) {
        // What was still warming up after its restart has not to be called slow for ever. The
        // windows that show the return are left out: they were picked for being good.
        let rest = judge::judge(&was, &is.from(window + IN_A_ROW), margins);
        if judge::worst(&rest) == Status::Pass {
            (judged, status) = (rest, Status::Pass);
            note = format!(", judged from {:.1} s on", seconds(window, now));
        }
    }
    let figures: Vec<String> = judged.iter().map(text).collect();
    let mut check = one(status, format!("{}{note}", figures.join("; ")));
    if status == Status::Unknown {
        check = check.hint(match judged.iter().filter_map(|one| one.needs).max() {
            Some(needs) => {
                format!("about {needs} requests before and after would tell: a longer --duration, or a higher rate")
            }
            None => {
                "it is too near to its limit for any number of requests; think about performance.max_ratio".to_owned()
            }
        });
    }
    let judgements = judged.iter().map(|judged| judgement(now, judged)).collect();
    (vec![check, back(now, returned, experiment)], judgements)
}

/// `performance.return`: how long it took until it was as quick as before.
fn back(now: &Timing, returned: Option<usize>, experiment: Option<&Record<Experiment>>) -> Check {
    const ID: &str = "performance.return";
    let width = now.window_ms.unwrap_or_default() / 1000.0;
    let load = now.load.as_ref();
    #[allow(
        clippy::cast_precision_loss,
        reason = "milliseconds between two times of day"
    )]
    let after_end = |window: usize| {
        let (started, ended): (Time, Time) = (load?.started, experiment?.data.ended);
        let since = started.since_ms(ended) as f64 / 1000.0;
        (since >= 0.0).then_some(since + seconds(window, now))
    };
    let check = match returned {
        None => {
            let message = format!(
                "no {IN_A_ROW} windows of {width:.1} s in a row were as quick as those of the baseline"
            );
            Check::fail(ID, object(now), message)
                .hint("give it more time: a longer --duration shows when it returns")
        }
        Some(window) => {
            let message = match (window, after_end(window)) {
                (0, Some(end)) => format!(
                    "as quick as before from the first window on, {end:.1} s after the experiment's end or sooner"
                ),
                (0, None) => "as quick as before from the first window on".to_owned(),
                (_, Some(end)) => {
                    format!(
                        "as quick as before {end:.1} s after the experiment's end (give or take {width:.1} s)"
                    )
                }
                (_, None) => format!(
                    "as quick as before {:.1} s into the measurement",
                    seconds(window, now)
                ),
            };
            Check::pass(ID, object(now), message)
        }
    };
    check.from_vantage(&now.vantage)
}

#[allow(clippy::cast_precision_loss, reason = "there are few windows")]
fn seconds(window: usize, timing: &Timing) -> f64 {
    window as f64 * timing.window_ms.unwrap_or_default() / 1000.0
}

/// The baseline's measurement, if it was made in the same way.
pub(crate) fn comparable<'a>(
    before: Option<&'a Timing>,
    now: &Timing,
) -> Result<&'a Timing, String> {
    let before = before.ok_or("there is no baseline to compare with")?;
    let Some((was, is)) = before.load.as_ref().zip(now.load.as_ref()) else {
        return Err(
            "the baseline was not measured under load: take it with chaos-verify baseline --load"
                .to_owned(),
        );
    };
    if let Some(why) = &was.saturated {
        return Err(format!("the baseline says nothing: {why}"));
    }
    if before.vantage != now.vantage || was.pods != is.pods {
        let from = |timing: &Timing, pods: Option<usize>| match pods {
            Some(pods) => format!("{pods} pods of a Job"),
            None => timing.vantage.clone(),
        };
        let (was, is) = (from(before, was.pods), from(now, is.pods));
        return Err(format!(
            "the baseline was measured from {was}, this from {is}; such times do not compare"
        ));
    }
    if was.protocol != is.protocol {
        return Err(format!(
            "the baseline was measured by {}, this by {}",
            was.protocol, is.protocol
        ));
    }
    let rates = was.offered_rate.zip(is.offered_rate);
    match rates {
        Some((was, is)) if (is / was - 1.0).abs() <= SAME_RATE => Ok(before),
        Some((was, is)) => Err(format!(
            "the baseline was measured at {was} requests a second, this at {is}"
        )),
        None => Err("a closed loop is never judged".to_owned()),
    }
}

fn text(judged: &Judged) -> String {
    let Judged {
        what,
        before,
        after,
        limit,
        ..
    } = judged;
    let state = match judged.status {
        Status::Pass => "",
        Status::Fail => ", worse",
        _ => ", can't tell",
    };
    if *what == "errors" {
        let percent = |share: &f64| share * 100.0;
        return format!(
            "{what} {:.2} -> {:.2} % (limit {:.2}{state})",
            percent(before),
            percent(after),
            percent(limit)
        );
    }
    format!("{what} {before:.2} -> {after:.2} ms (limit {limit:.2}{state})")
}

fn judgement(timing: &Timing, judged: &Judged) -> Judgement {
    let digits = |value: f64| (value * 1e5).round() / 1e5;
    Judgement {
        service: timing.service.clone(),
        path: timing.path.clone(),
        figure: judged.what.to_owned(),
        status: judged.status,
        before: digits(judged.before),
        after: digits(judged.after),
        limit: digits(judged.limit),
        low: judged.bounds.map(|(low, _)| digits(judged.limit + low)),
        high: judged.bounds.map(|(_, high)| digits(judged.limit + high)),
        needs_requests: judged.needs,
    }
}
