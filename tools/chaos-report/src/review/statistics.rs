//! What figures of few runs do and do not say.

/// A range that holds the true value in 95 of 100 cases.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Interval {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

/// The 97.5th percentile of the standard normal distribution.
const Z: f64 = 1.959_964;

/// The fewest runs on each side that are compared: below it the normal approximation of
/// [`difference`] is poor.
pub(crate) const FEW: usize = 8;

/// The interval of a share, by Wilson's score (Wilson 1927): unlike the textbook's it stays within
/// 0 and 1, and holds for few runs. Nothing of nothing is not known.
pub(crate) fn wilson(good: usize, all: usize) -> Option<Interval> {
    if all == 0 {
        return None;
    }
    let (n, p) = (float(all), float(good) / float(all));
    let z2 = Z * Z;
    let center = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
    let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
    // At the ends the formula gives them exactly, but for rounding.
    let low = if good == 0 { 0.0 } else { center - half };
    let high = if good == all { 1.0 } else { center + half };
    Some(Interval { low, high })
}

/// The interval of the difference of two shares, the second less the first, made of their Wilson
/// intervals (Newcombe 1998, method 10).
pub(crate) fn share_difference(
    (good_a, all_a): (usize, usize),
    (good_b, all_b): (usize, usize),
) -> Option<Interval> {
    let (a, b) = (wilson(good_a, all_a)?, wilson(good_b, all_b)?);
    let (pa, pb) = (float(good_a) / float(all_a), float(good_b) / float(all_b));
    let d = pb - pa;
    Some(Interval {
        low: d - ((pb - b.low).powi(2) + (a.high - pa).powi(2)).sqrt(),
        high: d + ((b.high - pb).powi(2) + (pa - a.low).powi(2)).sqrt(),
    })
}

/// The middle value; the mean of the two middle ones where there is no single one.
pub(crate) fn median(sorted: &[f64]) -> Option<f64> {
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The interval of the median, by order statistics: it holds whatever the distribution is. Fewer
/// than six values have none, since even the smallest and the largest hold it less often.
pub(crate) fn median_interval(sorted: &[f64]) -> Option<Interval> {
    let rank = rank(sorted.len())?;
    Some(Interval {
        low: sorted[rank - 1],
        high: sorted[sorted.len() - rank],
    })
}

/// The largest rank, counted from 1, below which the median lies in at most 2.5 of 100 cases: the
/// number of values below it is binomial with one half.
fn rank(n: usize) -> Option<usize> {
    /// So many halvings are still a number.
    const EXACT: usize = 1000;
    if n > EXACT {
        let rank = (float(n) / 2.0 - Z * float(n).sqrt() / 2.0).floor();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it lies between 1 and n"
        )]
        return Some(rank as usize);
    }
    let mut term = 0.5_f64.powi(i32::try_from(n).expect("at most a thousand"));
    let (mut below, mut rank) = (term, 0);
    while below <= 0.025 {
        rank += 1;
        term *= float(n - rank + 1) / float(rank);
        below += term;
    }
    (rank > 0).then_some(rank)
}

/// How often two groups of values from the same distribution differ at least as much, as a share:
/// the test of Mann and Whitney (1947), normal approximation with correction for ties. Groups that
/// are too small for it, and values that are all the same, give nothing.
pub(crate) fn difference(before: &[f64], after: &[f64]) -> Option<f64> {
    if before.len().min(after.len()) < FEW {
        return None;
    }
    let (nb, na) = (float(before.len()), float(after.len()));
    let all = nb + na;
    let (ranks, ties) = ranks(before, after);
    let u = ranks - nb * (nb + 1.0) / 2.0;
    let variance = nb * na / 12.0 * (all + 1.0 - ties / (all * (all - 1.0)));
    if variance <= 0.0 {
        return None;
    }
    let z = ((u - nb * na / 2.0).abs() - 0.5).max(0.0) / variance.sqrt();
    Some(erfc(z / std::f64::consts::SQRT_2))
}

/// The sum of the first group's ranks among all values, and the sum over ties of their length's
/// third power less the length.
fn ranks(first: &[f64], second: &[f64]) -> (f64, f64) {
    let mut all: Vec<(f64, bool)> = first.iter().map(|value| (*value, true)).collect();
    all.extend(second.iter().map(|value| (*value, false)));
    all.sort_by(|x, y| x.0.total_cmp(&y.0));
    let (mut sum, mut ties, mut start) = (0.0, 0.0, 0);
    for same in all.chunk_by(|x, y| x.0.total_cmp(&y.0).is_eq()) {
        let rank = float(2 * start + same.len() + 1) / 2.0;
        sum += rank * float(same.iter().filter(|it| it.1).count());
        ties += float(same.len()).powi(3) - float(same.len());
        start += same.len();
    }
    (sum, ties)
}

/// The complementary error function of a number that is not negative, true to 2 in ten million
/// (Abramowitz and Stegun, 7.1.26).
fn erfc(x: f64) -> f64 {
    const A: [f64; 5] = [
        0.254_829_592,
        -0.284_496_736,
        1.421_413_741,
        -1.453_152_027,
        1.061_405_429,
    ];
    let t = 1.0 / (1.0 + 0.327_591_1 * x);
    let series = A.iter().rev().fold(0.0, |sum, a| (sum + a) * t);
    series * (-x * x).exp()
}

#[expect(clippy::cast_precision_loss, reason = "counts of runs")]
pub(crate) fn float(number: usize) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, wanted: f64) -> bool {
        (found - wanted).abs() < 0.0005
    }

    #[test]
    fn shares_have_the_intervals_that_r_gives() {
        // prop.test(8, 10, correct = FALSE): 0.4901625 0.9433178
        let eight = wilson(8, 10).expect("of ten");
        assert!(
            near(eight.low, 0.4902) && near(eight.high, 0.9433),
            "{eight:?}"
        );
        let all = wilson(3, 3).expect("of three");
        assert!(near(all.low, 0.4385), "{all:?}");
        assert_eq!(all.high.to_bits(), 1.0_f64.to_bits());
        assert_eq!(wilson(0, 0), None);
        // Newcombe 1998, table II, column (a): 56/70 against 48/80 gives 0.0524 to 0.3339.
        let d = share_difference((48, 80), (56, 70)).expect("known");
        assert!(near(d.low, 0.0524) && near(d.high, 0.3339), "{d:?}");
    }

    #[test]
    fn the_median_has_an_interval_from_six_values_on() {
        let values: Vec<f64> = (1..=10).map(f64::from).collect();
        assert_eq!(median_interval(&values[..5]), None);
        let of = |n: usize| median_interval(&values[..n]).map(|it| (it.low, it.high));
        assert_eq!(of(6), Some((1.0, 6.0)));
        assert_eq!(of(9), Some((2.0, 8.0)));
        assert_eq!(of(10), Some((2.0, 9.0)));
        // qbinom(0.025, 1000, 0.5) is 469, so that ranks 469 and 532 are the last that hold it.
        assert_eq!(rank(1000), Some(469));
        assert_eq!(rank(1002), Some(469));
        assert_eq!(median(&values), Some(5.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn groups_are_compared_by_ranks() {
        let a = [1.1, 2.2, 3.3, 4.4, 5.5, 6.6, 7.7, 8.8];
        let b = [5.1, 6.1, 7.1, 8.1, 9.1, 10.1, 11.1, 12.1];
        // W is 10: z is 21.5 / sqrt(64 * 17 / 12).
        let p = difference(&a, &b).expect("enough");
        assert!(near(p, 0.0239), "{p}");
        assert!(difference(&a, &a).expect("enough") > 0.9);
        assert_eq!(difference(&a[..7], &b), None, "too few");
        assert_eq!(difference(&[1.0; 9], &[1.0; 9]), None, "nothing differs");
        // With ties, the variance is smaller.
        let p = difference(
            &[1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 3.0, 3.0],
            &[2.0, 2.0, 3.0, 3.0, 3.0, 4.0, 4.0, 4.0],
        );
        assert!(near(p.expect("enough"), 0.0192), "{p:?}");
    }
}
