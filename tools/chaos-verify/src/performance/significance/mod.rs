//! Is it as quick as it was? A judgement by non-inferiority.
//!
//! That no difference shows proves nothing: with few samples none ever does, and with many a
//! harmless one always does. So the question is put the other way: is it proven that a quantile `q`
//! of the answers' times keeps its limit, `q_after <= max_ratio * q_before + allowance`? The
//! measurement gives an estimate of the excess over the limit, and a bootstrap gives bounds of it:
//!
//! - the upper bound is not above zero: `pass` (wrong in at most one case of a hundred);
//! - the lower bound is above zero: `fail`;
//! - neither: `unknown`, with the number of requests that would probably do.
//!
//! What is drawn anew in the bootstrap are runs of neighbouring windows of time and not single
//! requests, since answers close in time resemble each other; the more they do, the longer the
//! runs. Few runs know less than their spread shows, so the bounds are widened as Student's t is. A
//! quantile with fewer than ten answers beyond it, on either side, is not judged at all.
//!
//! The share of failures is proven to keep its limit in the same way, with a bound that is never
//! closer than the one that Newcombe's method gives for independent requests, because no failure
//! among few requests says little. It breaks its limit by Newcombe's bound alone: an outage is a
//! fact, however rare outages may be.
//!
//! The draws come from a fixed seed: the same records always give the same verdict.

mod bounds;
pub mod random;
pub mod series;

use std::fmt;

use chaos_common::config::Performance;
use chaos_common::record::Status;

use self::bounds::{FAIL, PASS, bounds, normal};
use self::random::Random;
use self::series::{ErrorCounts, Series};

/// Draws of the bootstrap.
const DRAWS: usize = 1000;
/// Answers that must lie beyond a quantile.
const BEYOND: f64 = 10.0;
/// Windows without which the spread over time can't be told.
pub(crate) const FEWEST_WINDOWS: usize = 8;
/// Windows in a row that are as before when something has returned to it.
pub(crate) const IN_A_ROW: usize = 3;
/// More requests than so many times the number at hand are no advice.
const MUCH_MORE: f64 = 1000.0;

/// What is still normal.
#[derive(Clone, Copy, Debug)]
pub struct Margins {
    /// How many times as long as before an answer may take.
    pub max_ratio: f64,
    /// Milliseconds that it may take on top of that.
    pub allowance_ms: f64,
    /// Share of requests that may fail more than before.
    pub max_errors: f64,
}

impl Margins {
    pub(crate) fn from_settings(settings: &Performance) -> Margins {
        Margins {
            max_ratio: settings.max_ratio,
            allowance_ms: settings.allowance_ms,
            max_errors: settings.max_error_points / 100.0,
        }
    }

    /// The most that a quantile may be.
    fn limit_ms(self, before: f64) -> f64 {
        self.max_ratio * before + self.allowance_ms
    }
}

/// What is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// The median.
    P50,
    /// The 95th percentile.
    P95,
    /// The 99th percentile.
    P99,
    /// The share of requests that failed.
    Errors,
}

/// The quantiles that are judged.
const QUANTILES: [(Figure, f64); 3] =
    [(Figure::P50, 0.5), (Figure::P95, 0.95), (Figure::P99, 0.99)];

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Figure::P50 => "p50",
            Figure::P95 => "p95",
            Figure::P99 => "p99",
            Figure::Errors => "errors",
        })
    }
}

/// Whether a figure is proven to keep its limit.
#[derive(Clone, Debug)]
pub struct NonInferiority {
    /// Which figure.
    pub figure: Figure,
    /// Proven to keep the limit, proven to break it, or neither.
    pub status: Status,
    /// Milliseconds, or a share for errors.
    pub before: f64,
    /// The same now.
    pub after: f64,
    /// The most that `after` may be.
    pub limit: f64,
    /// Bounds of what `after` is above the limit; negative is below it. None if it was not judged.
    pub bounds: Option<(f64, f64)>,
    /// Requests on each side that would probably do; none if nothing can be said.
    pub needs: Option<u64>,
}

/// The worst of the answers.
pub fn worst(tests: &[NonInferiority]) -> Status {
    let any = |status| tests.iter().any(|test| test.status == status);
    match () {
        () if any(Status::Fail) => Status::Fail,
        () if any(Status::Unknown) || tests.is_empty() => Status::Unknown,
        () => Status::Pass,
    }
}

/// Tests every figure: three quantiles and the share of failures.
pub fn non_inferiority(before: &Series, after: &Series, margins: Margins) -> Vec<NonInferiority> {
    let mut tests = slowness(before, after, margins);
    tests.push(failures(Some(before), after, margins));
    tests
}

/// Tests the three quantiles of the times of good answers.
pub fn slowness(before: &Series, after: &Series, margins: Margins) -> Vec<NonInferiority> {
    let draws = enough_windows(Some(before), after).then(|| draw_times(before, after, margins));
    let runs = before.runs().min(after.runs());
    let quantiles = QUANTILES.map(|(_, quantile)| quantile);
    let (was, is) = (before.quantiles(&quantiles), after.quantiles(&quantiles));
    let answers = series::number(before.answers().min(after.answers()));
    let mut tests = Vec::new();
    for (at, (figure, quantile)) in QUANTILES.into_iter().enumerate() {
        let limit = margins.limit_ms(was[at]);
        let (estimate, least) = (is[at] - limit, (BEYOND / (1.0 - quantile)).ceil());
        let test = NonInferiority {
            figure,
            status: Status::Unknown,
            before: was[at],
            after: is[at],
            limit,
            bounds: None,
            needs: Some(whole(least.max(2.0 * answers))),
        };
        tests.push(match &draws {
            _ if answers < least => NonInferiority {
                needs: Some(whole(least)),
                ..test
            },
            None => test,
            Some(draws) => test.decide(estimate, bounds(&draws[at], estimate, runs), answers),
        });
    }
    tests
}

/// Tests the share of failures. What failed has failed, whatever it says of other times: it breaks
/// the limit where chance among single requests does not explain it, even if all of it lies in one
/// outage. That it keeps the limit is proven for outages too, by the bootstrap. Without a
/// measurement from before, the limit is what may fail more than none; then nothing passes.
pub fn failures(before: Option<&Series>, after: &Series, margins: Margins) -> NonInferiority {
    let was = before.map_or(ErrorCounts::NONE, Series::errors);
    let is = after.errors();
    let limit = was.share() + margins.max_errors;
    let least = before.map_or(after.requests(), |before| {
        before.requests().min(after.requests())
    });
    let requests = series::number(least);
    let estimate = is.share() - limit;
    let independent = |chance| was.newcombe(is, normal(chance));
    let low = independent(FAIL).0 - margins.max_errors;
    let test = NonInferiority {
        figure: Figure::Errors,
        status: if low > 0.0 {
            Status::Fail
        } else {
            Status::Unknown
        },
        before: was.share(),
        after: is.share(),
        limit,
        bounds: None,
        needs: (low <= 0.0).then(|| whole(2.0 * requests)),
    };
    let Some(before) = before.filter(|before| enough_windows(Some(before), after)) else {
        return test;
    };
    let runs = before.runs().min(after.runs());
    let draws = draw_failures(before, after, margins);
    // Without a single failure every draw is the same, and its bound would claim certainty.
    let high = bounds(&draws, estimate, runs)
        .1
        .max(independent(PASS).1 - margins.max_errors);
    test.decide(estimate, (low, high), requests)
}

fn enough_windows(before: Option<&Series>, after: &Series) -> bool {
    let before = before.map_or(usize::MAX, Series::windows);
    before.min(after.windows()) >= FEWEST_WINDOWS
}

/// What the bootstrap drew for each quantile: milliseconds above the limit, in order.
fn draw_times(before: &Series, after: &Series, margins: Margins) -> [Vec<f64>; QUANTILES.len()] {
    let quantiles = QUANTILES.map(|(_, quantile)| quantile);
    let mut draws = std::array::from_fn(|_| Vec::with_capacity(DRAWS));
    let (mut random_before, mut random_after) = (Random::new(1), Random::new(2));
    for _ in 0..DRAWS {
        let was = before.draw_times(&mut random_before, &quantiles);
        let is = after.draw_times(&mut random_after, &quantiles);
        for (excesses, (was, is)) in draws.iter_mut().zip(was.iter().zip(&is)) {
            excesses.push(is - margins.limit_ms(*was));
        }
    }
    for excesses in &mut draws {
        excesses.sort_by(f64::total_cmp);
    }
    draws
}

/// What it drew for the share of failures above the limit, in order.
fn draw_failures(before: &Series, after: &Series, margins: Margins) -> Vec<f64> {
    let (mut random_before, mut random_after) = (Random::new(1), Random::new(2));
    let mut one = || {
        let was = before.draw_failures(&mut random_before);
        after.draw_failures(&mut random_after) - was - margins.max_errors
    };
    let mut draws: Vec<f64> = (0..DRAWS).map(|_| one()).collect();
    draws.sort_by(f64::total_cmp);
    draws
}

impl NonInferiority {
    /// The same, decided by its bounds.
    fn decide(self, estimate: f64, (low, high): (f64, f64), number: f64) -> NonInferiority {
        let bounds = Some((low, high));
        let status = match () {
            () if high <= 0.0 => Status::Pass,
            () if low > 0.0 => Status::Fail,
            () => Status::Unknown,
        };
        let needs = (status == Status::Unknown).then(|| {
            // Bounds close in with the root of the number of requests.
            let width = if estimate <= 0.0 {
                high - estimate
            } else {
                estimate - low
            };
            let factor = (width / estimate.abs()).powi(2);
            (factor < MUCH_MORE).then(|| whole((number * factor).max(number + 1.0)))
        });
        NonInferiority {
            status,
            bounds,
            needs: needs.flatten(),
            ..self
        }
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of requests for people"
)]
fn whole(number: f64) -> u64 {
    number.ceil() as u64
}

/// What windows of the baseline were: p95 and failures that are no more are as before.
struct Usual {
    p95_ms: f64,
    errors: f64,
}

impl Usual {
    fn of(before: &Series, margins: Margins) -> Usual {
        let windows = || (0..before.windows()).map(|at| before.window(at));
        let highest = windows().filter_map(|window| window.0).fold(0.0, f64::max);
        let most = windows().map(|window| window.1).fold(0.0, f64::max);
        let p95 = before.quantiles(&[0.95])[0];
        Usual {
            p95_ms: highest.max(margins.limit_ms(p95)),
            errors: most.max(before.errors().share() + margins.max_errors),
        }
    }

    /// The first run of [`IN_A_ROW`] windows from one on that are all as before, or all not.
    fn run(&self, after: &Series, from: usize, good: bool) -> Option<usize> {
        let is_good = |at: usize| {
            let (p95, errors) = after.window(at);
            p95.is_some_and(|p95| p95 <= self.p95_ms) && errors <= self.errors
        };
        (from..(after.windows() + 1).saturating_sub(IN_A_ROW))
            .find(|start| (*start..start + IN_A_ROW).all(|at| is_good(at) == good))
    }
}

/// The first window from which on, for [`IN_A_ROW`] windows, p95 and failures are what windows of
/// the baseline were too. None if there is no such window.
pub(crate) fn return_window(before: &Series, after: &Series, margins: Margins) -> Option<usize> {
    Usual::of(before, margins).run(after, 0, true)
}

/// Whether, from a window on, [`IN_A_ROW`] windows were not as before.
pub(crate) fn relapses(before: &Series, after: &Series, margins: Margins, from: usize) -> bool {
    Usual::of(before, margins).run(after, from, false).is_some()
}
