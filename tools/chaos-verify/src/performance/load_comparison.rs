//! Is a URL as quick under load as it was in the baseline, and since when?

use chaos_common::config::Performance;
use chaos_common::record::{Check, Experiment, Judgement, Record, Status, Time, Timing};

use super::load_check::{self, backlog, object};
use super::significance::series::Series;
use super::significance::{self, Figure, IN_A_ROW, Margins, NonInferiority};

/// Differences between rates that say nothing.
const SAME_RATE: f64 = 0.01;

/// Why two measurements can't be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(crate) enum Incomparable {
    #[error("there is no baseline to compare with")]
    NoBaseline,
    #[error("the baseline was not measured under load: take it with chaos-verify baseline --load")]
    NoLoad,
    #[error("the baseline says nothing: {0}")]
    Saturated(String),
    #[error("the baseline was measured from {was}, this from {is}; such times do not compare")]
    Vantage { was: String, is: String },
    #[error("the baseline was measured by {was}, this by {is}")]
    Protocol { was: String, is: String },
    #[error("the baseline was measured at {was} requests a second, this at {is}")]
    Rate { was: f64, is: f64 },
    #[error("a closed loop is never judged")]
    ClosedLoop,
}

/// The baseline's measurement, if it was made in the same way.
///
/// # Errors
/// There is none, or it was made in another way.
pub(crate) fn comparable<'a>(
    before: Option<&'a Timing>,
    now: &Timing,
) -> Result<&'a Timing, Incomparable> {
    let before = before.ok_or(Incomparable::NoBaseline)?;
    let Some((was, is)) = before.load.as_ref().zip(now.load.as_ref()) else {
        return Err(Incomparable::NoLoad);
    };
    if let Some(why) = &was.saturated {
        return Err(Incomparable::Saturated(why.clone()));
    }
    if before.vantage != now.vantage || was.pods != is.pods {
        return Err(Incomparable::Vantage {
            was: source(before, was.pods),
            is: source(now, is.pods),
        });
    }
    if was.protocol != is.protocol {
        return Err(Incomparable::Protocol {
            was: was.protocol.clone(),
            is: is.protocol.clone(),
        });
    }
    match was.offered_rate.zip(is.offered_rate) {
        Some((was, is)) if (is / was - 1.0).abs() <= SAME_RATE => Ok(before),
        Some((was, is)) => Err(Incomparable::Rate { was, is }),
        None => Err(Incomparable::ClosedLoop),
    }
}

/// Where the load came from.
fn source(timing: &Timing, pods: Option<usize>) -> String {
    match pods {
        Some(pods) => format!("{pods} pods of a Job"),
        None => timing.vantage.clone(),
    }
}

/// What the comparison of one URL gives.
#[derive(Clone, Debug)]
pub(crate) struct LoadComparison {
    pub(crate) checks: Vec<Check>,
    pub(crate) judgements: Vec<Judgement>,
}

impl LoadComparison {
    fn undecided(check: Check) -> LoadComparison {
        LoadComparison {
            checks: vec![check],
            judgements: Vec::new(),
        }
    }
}

const ID: &str = "performance.load";

/// `performance.load` and `performance.return`: is the URL as quick under load as it was?
pub(crate) fn compare(
    before: Option<&Timing>,
    now: &Timing,
    settings: &Performance,
    experiment: Option<&Record<Experiment>>,
) -> LoadComparison {
    let check = |status, message: String| {
        Check::new(ID, object(now), status, message).from_vantage(&now.vantage)
    };
    let alone = load_check::check(ID, &object(now), now, 100.0);
    if alone.status == Status::Unknown || now.errors == now.requests {
        return LoadComparison::undecided(alone);
    }
    let before = match comparable(before, now) {
        Ok(before) => before,
        Err(why) => {
            let message = format!("{}; {why}", load_check::text(now));
            return LoadComparison::undecided(check(Status::Unknown, message));
        }
    };
    if let (Some(why), None) = (backlog(now), backlog(before)) {
        let message = format!("{why}; in the baseline it did");
        return LoadComparison::undecided(check(Status::Fail, message));
    }
    let (was, is) = match (Series::from_timing(before), Series::from_timing(now)) {
        (Ok(was), Ok(is)) => (was, is),
        (Err(why), _) => {
            let message = format!("the baseline can't be compared with: {why:#}");
            return LoadComparison::undecided(check(Status::Unknown, message));
        }
        (_, Err(why)) => {
            let message = format!("the measurement can't be compared: {why:#}");
            return LoadComparison::undecided(check(Status::Unknown, message));
        }
    };
    let decision = Decision::of(&was, &is, Margins::from_settings(settings));
    LoadComparison {
        checks: vec![
            decision.check(now),
            return_check(now, decision.returned, experiment),
        ],
        judgements: decision
            .tests
            .iter()
            .map(|test| judgement(now, test))
            .collect(),
    }
}

/// Whether the URL is as quick as it was.
#[derive(Clone, Debug)]
struct Decision {
    tests: Vec<NonInferiority>,
    status: Status,
    /// The window from which on it is as quick as before, if there is one.
    returned: Option<usize>,
    /// The tests leave out what came before [`Decision::returned`].
    from_return: bool,
}

impl Decision {
    fn of(was: &Series, is: &Series, margins: Margins) -> Decision {
        let tests = significance::non_inferiority(was, is, margins);
        let status = significance::worst(&tests);
        let returned = significance::return_window(was, is, margins);
        if let Some(window) = returned.filter(|window| *window > 0 && status != Status::Pass) {
            // What was still warming up after its restart has not to be called slow for ever. The
            // windows that show the return are left out: they were picked for being good.
            let rest = is.from(window + IN_A_ROW);
            let rest = significance::non_inferiority(was, &rest, margins);
            if significance::worst(&rest) == Status::Pass {
                return Decision {
                    tests: rest,
                    status: Status::Pass,
                    returned,
                    from_return: true,
                };
            }
        }
        Decision {
            tests,
            status,
            returned,
            from_return: false,
        }
    }

    fn check(&self, now: &Timing) -> Check {
        let figures: Vec<String> = self.tests.iter().map(text).collect();
        let note = match self.returned.filter(|_| self.from_return) {
            Some(window) => format!(", judged from {:.1} s on", seconds(window, now)),
            None => String::new(),
        };
        let message = format!("{}{note}", figures.join("; "));
        let check = Check::new(ID, object(now), self.status, message).from_vantage(&now.vantage);
        if self.status != Status::Unknown {
            return check;
        }
        check.hint(match self.tests.iter().filter_map(|one| one.needs).max() {
            Some(needs) => format!(
                "about {needs} requests before and after would tell: \
                     a longer --duration, or a higher rate"
            ),
            None => "it is too near to its limit for any number of requests; \
                         think about performance.max_ratio"
                .to_owned(),
        })
    }
}

/// `performance.return`: how long it took until it was as quick as before.
fn return_check(
    now: &Timing,
    returned: Option<usize>,
    experiment: Option<&Record<Experiment>>,
) -> Check {
    const ID: &str = "performance.return";
    let width = now.window_ms.unwrap_or_default() / 1000.0;
    let check = match returned {
        None => {
            let message = format!(
                "no {IN_A_ROW} windows of {width:.1} s in a row \
                 were as quick as those of the baseline"
            );
            Check::fail(ID, object(now), message)
                .hint("give it more time: a longer --duration shows when it returns")
        }
        Some(window) => {
            let message = match (window, seconds_after_experiment(window, now, experiment)) {
                (0, Some(end)) => format!(
                    "as quick as before from the first window on, \
                     {end:.1} s after the experiment's end or sooner"
                ),
                (0, None) => "as quick as before from the first window on".to_owned(),
                (_, Some(end)) => format!(
                    "as quick as before {end:.1} s after the experiment's end \
                     (give or take {width:.1} s)"
                ),
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

/// When a window begins, counted from the experiment's end; none if the measurement began sooner.
fn seconds_after_experiment(
    window: usize,
    now: &Timing,
    experiment: Option<&Record<Experiment>>,
) -> Option<f64> {
    let (started, ended): (Time, Time) = (now.load.as_ref()?.started, experiment?.data.ended);
    #[allow(
        clippy::cast_precision_loss,
        reason = "milliseconds between two times of day"
    )]
    let since = started.since_ms(ended) as f64 / 1000.0;
    (since >= 0.0).then_some(since + seconds(window, now))
}

#[allow(clippy::cast_precision_loss, reason = "there are few windows")]
fn seconds(window: usize, timing: &Timing) -> f64 {
    window as f64 * timing.window_ms.unwrap_or_default() / 1000.0
}

fn text(test: &NonInferiority) -> String {
    let NonInferiority {
        figure,
        before,
        after,
        limit,
        ..
    } = test;
    let state = match test.status {
        Status::Pass => "",
        Status::Fail => ", worse",
        _ => ", can't tell",
    };
    if *figure == Figure::Errors {
        let percent = |share: &f64| share * 100.0;
        return format!(
            "{figure} {:.2} -> {:.2} % (limit {:.2}{state})",
            percent(before),
            percent(after),
            percent(limit)
        );
    }
    format!("{figure} {before:.2} -> {after:.2} ms (limit {limit:.2}{state})")
}

fn judgement(timing: &Timing, test: &NonInferiority) -> Judgement {
    let digits = |value: f64| (value * 1e5).round() / 1e5;
    Judgement {
        service: timing.service.clone(),
        path: timing.path.clone(),
        figure: test.figure.to_string(),
        status: test.status,
        before: digits(test.before),
        after: digits(test.after),
        limit: digits(test.limit),
        low: test.bounds.map(|(low, _)| digits(test.limit + low)),
        high: test.bounds.map(|(_, high)| digits(test.limit + high)),
        needs_requests: test.needs,
    }
}
