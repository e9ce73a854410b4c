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

mod random;
pub(crate) mod series;
#[cfg(test)]
mod simulation;

use chaos_common::config::Performance;
use chaos_common::record::Status;

use self::random::Random;
use self::series::Series;

/// The quantiles that are judged, with their names.
pub(crate) const QUANTILES: [(f64, &str); 3] = [(0.5, "p50"), (0.95, "p95"), (0.99, "p99")];
/// Draws of the bootstrap.
const DRAWS: usize = 1000;
/// Chance of a wrong pass for each question, at most.
const PASS: f64 = 0.01;
/// The same for a wrong failure; four questions may each fail, so a quarter.
const FAIL: f64 = 0.0025;
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
pub(crate) struct Margins {
    pub(crate) max_ratio: f64,
    pub(crate) allowance_ms: f64,
    /// Share of requests that may fail more; `None` leaves failures unjudged.
    pub(crate) max_errors: Option<f64>,
}

impl Margins {
    pub(crate) fn of(settings: &Performance) -> Margins {
        Margins {
            max_ratio: settings.max_ratio,
            allowance_ms: settings.allowance_ms,
            max_errors: Some(settings.max_error_points / 100.0),
        }
    }
}

/// The answer to one question.
#[derive(Clone, Debug)]
pub(crate) struct Judged {
    /// `p50`, `p95`, `p99` or `errors`.
    pub(crate) what: &'static str,
    pub(crate) status: Status,
    /// Milliseconds, or a share for errors.
    pub(crate) before: f64,
    pub(crate) after: f64,
    /// The most that `after` may be.
    pub(crate) limit: f64,
    /// Bounds of what `after` is above the limit; negative is below it. None if it was not judged.
    pub(crate) bounds: Option<(f64, f64)>,
    /// Requests on each side that would probably do; none if nothing can be said.
    pub(crate) needs: Option<u64>,
}

/// The worst of the answers.
pub(crate) fn worst(judged: &[Judged]) -> Status {
    let any = |status| judged.iter().any(|one| one.status == status);
    match () {
        () if any(Status::Fail) => Status::Fail,
        () if any(Status::Unknown) || judged.is_empty() => Status::Unknown,
        () => Status::Pass,
    }
}

/// Judges every question.
pub(crate) fn judge(before: &Series, after: &Series, margins: Margins) -> Vec<Judged> {
    let excess =
        |before: f64, after: f64| after - margins.max_ratio * before - margins.allowance_ms;
    let quantiles = QUANTILES.map(|(quantile, _)| quantile);
    let (was, is) = (before.quantiles(&quantiles), after.quantiles(&quantiles));
    let enough = before.windows().min(after.windows()) >= FEWEST_WINDOWS;
    let mut draws: Vec<Vec<f64>> = vec![Vec::with_capacity(DRAWS); QUANTILES.len() + 1];
    if enough {
        let (mut one, mut other) = (Random::new(1), Random::new(2));
        for _ in 0..DRAWS {
            let ((was, was_errors), (is, is_errors)) = (
                before.draw(&mut one, &quantiles),
                after.draw(&mut other, &quantiles),
            );
            for (draws, (was, is)) in draws.iter_mut().zip(was.iter().zip(&is)) {
                draws.push(excess(*was, *is));
            }
            draws[QUANTILES.len()].push(is_errors - was_errors);
        }
        for draws in &mut draws {
            draws.sort_by(f64::total_cmp);
        }
    }
    let runs = before.runs().min(after.runs());
    let mut judged = Vec::new();
    for (at, (quantile, what)) in QUANTILES.into_iter().enumerate() {
        let answers = before.answers().min(after.answers());
        let least = (BEYOND / (1.0 - quantile)).ceil();
        let limit = margins.max_ratio * was[at] + margins.allowance_ms;
        let (estimate, number) = (excess(was[at], is[at]), series::number(answers));
        let mut one = Judged {
            what,
            status: Status::Unknown,
            before: was[at],
            after: is[at],
            limit,
            bounds: None,
            needs: Some(whole(least.max(2.0 * number))),
        };
        if number < least {
            one.needs = Some(whole(least));
        } else if enough {
            one.decide(estimate, bounds(&draws[at], estimate, runs), number);
        }
        judged.push(one);
    }
    if let Some(most) = margins.max_errors {
        let (was, is) = (before.errors(), after.errors());
        let estimate = is.share() - was.share() - most;
        let number = series::number(before.requests().min(after.requests()));
        let mut one = Judged {
            what: "errors",
            status: Status::Unknown,
            before: was.share(),
            after: is.share(),
            limit: was.share() + most,
            bounds: None,
            needs: Some(whole(2.0 * number)),
        };
        if enough {
            let differences: Vec<f64> = draws[QUANTILES.len()]
                .iter()
                .map(|difference| difference - most)
                .collect();
            let (low, high) = bounds(&differences, estimate, runs);
            let (least_low, least_high) = (
                was.newcombe(is, normal(FAIL)).0 - most,
                was.newcombe(is, normal(PASS)).1 - most,
            );
            one.decide(estimate, (low.min(least_low), high.max(least_high)), number);
        }
        judged.push(one);
    }
    judged
}

impl Judged {
    fn decide(&mut self, estimate: f64, (low, high): (f64, f64), number: f64) {
        self.bounds = Some((low, high));
        self.needs = None;
        if high <= 0.0 {
            self.status = Status::Pass;
        } else if low > 0.0 {
            self.status = Status::Fail;
        } else {
            // Bounds close in with the root of the number of requests.
            let width = if estimate <= 0.0 {
                high - estimate
            } else {
                estimate - low
            };
            let factor = (width / estimate.abs()).powi(2);
            self.needs = (factor < MUCH_MORE).then(|| whole((number * factor).max(number + 1.0)));
        }
    }
}

/// Bounds of an estimate from sorted draws, widened for few runs.
fn bounds(draws: &[f64], estimate: f64, runs: f64) -> (f64, f64) {
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index"
    )]
    let at = |share: f64| draws[((draws.len() as f64 * share) as usize).min(draws.len() - 1)];
    let wider =
        |chance: f64| student(chance, runs - 1.0) / normal(chance) * (runs / (runs - 1.0)).sqrt();
    let low = estimate - (estimate - at(FAIL)).max(0.0) * wider(FAIL);
    let high = estimate + (at(1.0 - PASS) - estimate).max(0.0) * wider(PASS);
    (low, high)
}

/// The value that a normal variable exceeds with a chance (Abramowitz and Stegun 26.2.23, good to
/// 0.0005).
fn normal(chance: f64) -> f64 {
    let t = (-2.0 * chance.ln()).sqrt();
    let above = 2.515_517 + t * (0.802_853 + t * 0.010_328);
    let below = 1.0 + t * (1.432_788 + t * (0.189_269 + t * 0.001_308));
    t - above / below
}

/// The same of Student's t (expansion of Cornish and Fisher).
fn student(chance: f64, freedom: f64) -> f64 {
    let z = normal(chance);
    let freedom = freedom.max(1.0);
    z + (z.powi(3) + z) / (4.0 * freedom)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * freedom.powi(2))
        + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z)
            / (384.0 * freedom.powi(3))
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
pub(crate) fn returned(before: &Series, after: &Series, margins: Margins) -> Option<usize> {
    let highest = (0..before.windows())
        .filter_map(|at| before.window(at).0)
        .fold(0.0, f64::max);
    let p95 = before.quantiles(&[0.95])[0];
    let limit = highest.max(margins.max_ratio * p95 + margins.allowance_ms);
    let most = (0..before.windows())
        .map(|at| before.window(at).1)
        .fold(0.0, f64::max);
    let most = most.max(before.errors().share() + margins.max_errors.unwrap_or(1.0));
    let good = |at: usize| {
        let (p95, errors) = after.window(at);
        p95.is_some_and(|p95| p95 <= limit) && errors <= most
    };
    (0..(after.windows() + 1).saturating_sub(IN_A_ROW))
        .find(|start| (*start..start + IN_A_ROW).all(good))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_the_normal_and_of_students_distribution_are_those_of_the_tables() {
        for (chance, wanted) in [(0.01, 2.326), (0.0025, 2.807), (0.05, 1.645)] {
            assert!(
                (normal(chance) - wanted).abs() < 0.001,
                "{}",
                normal(chance)
            );
        }
        for (chance, freedom, wanted) in [
            (0.01, 14.0, 2.624),
            (0.01, 5.0, 3.365),
            (0.0025, 10.0, 3.581),
        ] {
            assert!(
                (student(chance, freedom) / wanted - 1.0_f64).abs() < 0.01,
                "{}",
                student(chance, freedom)
            );
        }
    }
}
