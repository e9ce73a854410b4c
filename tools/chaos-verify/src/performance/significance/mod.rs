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
//! quantile with fewer than ten answers beyond it, on either side, is not judged at all. The share
//! of failures is judged in the same way, and its bounds are never closer than those that
//! Newcombe's method gives for independent requests, because no failure among few requests says
//! little.
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
const FEWEST_WINDOWS: usize = 8;
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
    let draws = draw(before, after, margins);
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
            Some(draws) => test.decide(
                estimate,
                bounds(&draws.excesses[at], estimate, runs),
                answers,
            ),
        });
    }
    tests.push(more_errors(before, after, margins, draws.as_ref()));
    tests
}

/// Whether the share of failures keeps its limit.
fn more_errors(
    before: &Series,
    after: &Series,
    margins: Margins,
    draws: Option<&Draws>,
) -> NonInferiority {
    let (was, is): (ErrorCounts, ErrorCounts) = (before.errors(), after.errors());
    let limit = was.share() + margins.max_errors;
    let requests = series::number(before.requests().min(after.requests()));
    let test = NonInferiority {
        figure: Figure::Errors,
        status: Status::Unknown,
        before: was.share(),
        after: is.share(),
        limit,
        bounds: None,
        needs: Some(whole(2.0 * requests)),
    };
    let Some(draws) = draws else {
        return test;
    };
    let estimate = is.share() - limit;
    let runs = before.runs().min(after.runs());
    let (low, high) = bounds(&draws.more_errors, estimate, runs);
    // Without a single failure every draw is the same, and its bounds would claim certainty.
    let independent_low = was.newcombe(is, normal(FAIL)).0 - margins.max_errors;
    let independent_high = was.newcombe(is, normal(PASS)).1 - margins.max_errors;
    let widest = (low.min(independent_low), high.max(independent_high));
    test.decide(estimate, widest, requests)
}

/// What the bootstrap drew, each in order.
struct Draws {
    /// For each quantile: milliseconds above the limit.
    excesses: [Vec<f64>; QUANTILES.len()],
    /// Share of failures above the limit.
    more_errors: Vec<f64>,
}

/// Draws anew from both measurements; none where there are too few windows.
fn draw(before: &Series, after: &Series, margins: Margins) -> Option<Draws> {
    if before.windows().min(after.windows()) < FEWEST_WINDOWS {
        return None;
    }
    let quantiles = QUANTILES.map(|(_, quantile)| quantile);
    let mut draws = Draws {
        excesses: std::array::from_fn(|_| Vec::with_capacity(DRAWS)),
        more_errors: Vec::with_capacity(DRAWS),
    };
    let (mut random_before, mut random_after) = (Random::new(1), Random::new(2));
    for _ in 0..DRAWS {
        let (was, was_errors) = before.draw(&mut random_before, &quantiles);
        let (is, is_errors) = after.draw(&mut random_after, &quantiles);
        for (excesses, (was, is)) in draws.excesses.iter_mut().zip(was.iter().zip(&is)) {
            excesses.push(is - margins.limit_ms(*was));
        }
        draws
            .more_errors
            .push(is_errors - was_errors - margins.max_errors);
    }
    for excesses in &mut draws.excesses {
        excesses.sort_by(f64::total_cmp);
    }
    draws.more_errors.sort_by(f64::total_cmp);
    Some(draws)
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

/// The first window from which on, for [`IN_A_ROW`] windows, p95 and failures are what windows of
/// the baseline were too. None if there is no such window.
pub(crate) fn return_window(before: &Series, after: &Series, margins: Margins) -> Option<usize> {
    let highest = (0..before.windows())
        .filter_map(|at| before.window(at).0)
        .fold(0.0, f64::max);
    let p95 = before.quantiles(&[0.95])[0];
    let limit = highest.max(margins.limit_ms(p95));
    let most = (0..before.windows())
        .map(|at| before.window(at).1)
        .fold(0.0, f64::max);
    let most = most.max(before.errors().share() + margins.max_errors);
    let good = |at: usize| {
        let (p95, errors) = after.window(at);
        p95.is_some_and(|p95| p95 <= limit) && errors <= most
    };
    (0..(after.windows() + 1).saturating_sub(IN_A_ROW))
        .find(|start| (*start..start + IN_A_ROW).all(good))
}
