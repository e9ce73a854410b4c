//! Is a URL as quick under load as it was in the baseline, and since when?

use chaos_common::config::Performance;
use chaos_common::record::{Check, Experiment, Judgement, Record, Status, Timing};

use super::load_check::{self, backlog, object};
use super::load_return::{self, Lateness};
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

/// `performance.load` and `performance.return`: is the URL as quick under load as it was, and do no
/// more requests fail? Failures are judged whatever keeps the times from being judged.
pub(crate) fn compare(
    before: Option<&Timing>,
    now: &Timing,
    settings: &Performance,
    experiment: Option<&Record<Experiment>>,
) -> LoadComparison {
    let alone = load_check::check(ID, &object(now), now, 100.0);
    if now.load.is_none() || now.errors == now.requests {
        return LoadComparison::undecided(alone);
    }
    let margins = Margins::from_settings(settings);
    let was = before.filter(|before| before.load.is_some());
    let (was, is) = match (
        was.map(Series::from_timing).transpose(),
        Series::from_timing(now),
    ) {
        (_, Err(why)) => {
            let message = format!("the measurement can't be compared: {why:#}");
            return LoadComparison::undecided(check(now, Status::Unknown, message));
        }
        (Err(why), Ok(is)) => {
            let why = format!("the baseline can't be compared with: {why:#}");
            let failures = significance::failures(None, &is, margins);
            return without_times(now, &why, &failures);
        }
        (Ok(was), Ok(is)) => (was, is),
    };
    let failures = significance::failures(was.as_ref(), &is, margins);
    if alone.status == Status::Unknown {
        return without_times(now, &alone.message, &failures);
    }
    let (before, was) = match (comparable(before, now), was) {
        (Ok(before), Some(was)) => (before, was),
        (Ok(_), None) => return without_times(now, &Incomparable::NoLoad.to_string(), &failures),
        (Err(why), _) => {
            let why = format!("{}; {why}", load_check::text(now));
            return without_times(now, &why, &failures);
        }
    };
    if let (Some(why), None) = (backlog(now), backlog(before)) {
        let message = format!("{why}; in the baseline it did; {}", text(&failures));
        return LoadComparison::undecided(check(now, Status::Fail, message));
    }
    let lateness = Lateness::of(now, settings, experiment);
    let decision = Decision::of(&was, &is, margins, lateness);
    LoadComparison {
        checks: vec![
            decision.check(now),
            load_return::check(&was, &is, margins, lateness).on(now),
        ],
        judgements: decision
            .tests
            .iter()
            .map(|test| judgement(now, test))
            .collect(),
    }
}

fn check(now: &Timing, status: Status, message: String) -> Check {
    Check::new(ID, object(now), status, message).from_vantage(&now.vantage)
}

/// The comparison where times say nothing, and why. What failed has failed all the same.
fn without_times(now: &Timing, why: &str, failures: &NonInferiority) -> LoadComparison {
    let check = match failures.status {
        Status::Fail => {
            let message = format!("{}; the times are not judged: {why}", text(failures));
            check(now, Status::Fail, message)
        }
        _ => check(now, Status::Unknown, why.to_owned()),
    };
    LoadComparison {
        checks: vec![check],
        judgements: vec![judgement(now, failures)],
    }
}

/// Whether the URL is as quick as it was, and answers as well.
#[derive(Clone, Debug)]
struct Decision {
    /// Three of times, and one of failures, which is always of the whole measurement.
    tests: Vec<NonInferiority>,
    status: Status,
    /// Where the times are judged from, if not from the start, in seconds.
    from: Option<f64>,
}

impl Decision {
    fn of(was: &Series, is: &Series, margins: Margins, lateness: Lateness) -> Decision {
        let mut tests = significance::slowness(was, is, margins);
        let mut from = None;
        // What was still warming up after its restart has not to be called slow for ever.
        if significance::worst(&tests) != Status::Pass
            && let Some(window) = significance::return_window(was, is, margins)
            && window > 0
            && lateness.excuses(is.position(window))
        {
            // The windows that show the return are left out: they were picked for being good.
            let rest = significance::slowness(was, &is.from(window + IN_A_ROW), margins);
            if significance::worst(&rest) == Status::Pass {
                tests = rest;
                from = Some(lateness.seconds(is.position(window)));
            }
        }
        tests.push(significance::failures(Some(was), is, margins));
        Decision {
            status: significance::worst(&tests),
            tests,
            from,
        }
    }

    fn check(&self, now: &Timing) -> Check {
        let figures: Vec<String> = self.tests.iter().map(text).collect();
        let note = match self.from {
            Some(from) => format!(", times judged from {from:.1} s on, failures all along"),
            None => String::new(),
        };
        let message = format!("{}{note}", figures.join("; "));
        let check = check(now, self.status, message);
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

#[cfg(test)]
mod tests;
