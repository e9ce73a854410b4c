//! Bounds of an estimate: from the draws of a bootstrap, widened for few runs.

/// Chance that the truth is above the upper bound: of a wrong pass, at most, for each question.
pub(super) const PASS: f64 = 0.01;
/// Chance that the truth is below the lower bound: of a wrong failure. Four questions may each
/// fail, so a quarter.
pub(super) const FAIL: f64 = 0.0025;

/// Bounds of an estimate from sorted draws, widened for few runs.
pub(super) fn bounds(draws: &[f64], estimate: f64, runs: f64) -> (f64, f64) {
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
pub(super) fn normal(chance: f64) -> f64 {
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
