//! Comparing this month's figures with the last one's.

use chaos_common::output::duration;

/// The fewest measured recoveries a month that are compared.
const FEW_RECOVERIES: usize = 5;

/// The fewest experiments a month that are compared.
const FEW_EXPERIMENTS: usize = 3;

/// A change of less than this share is none.
const NOTABLE: f64 = 0.1;

/// The middle value; the mean of the two middle ones where there is no single one.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        n if n % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The mean.
#[allow(
    clippy::cast_precision_loss,
    reason = "a month has far fewer recoveries than 2^52"
)]
pub(crate) fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Average, median, slowest and number of the recoveries.
pub(crate) fn recovery_figures(recoveries: &[f64]) -> String {
    let (Some(mean), Some(median)) = (mean(recoveries), median(recoveries)) else {
        return "not known: no recovery was measured".to_owned();
    };
    let slowest = recoveries.iter().copied().fold(0.0, f64::max);
    let n = recoveries.len();
    let note = if n < FEW_RECOVERIES {
        "; so few say little"
    } else {
        ""
    };
    format!(
        "{} (median {}, slowest {}, {n} recoveries{note})",
        duration(mean),
        duration(median),
        duration(slowest)
    )
}

/// How the median recovery moved.
pub(crate) fn recovery(before: &[f64], now: &[f64]) -> String {
    if before.len().min(now.len()) < FEW_RECOVERIES {
        return not_enough("recoveries", before.len(), now.len(), FEW_RECOVERIES);
    }
    let (was, is) = (median(before).unwrap_or(0.0), median(now).unwrap_or(0.0));
    let word = moved(was, is, "slower", "faster");
    format!(
        "{word}: median {} of {} after {} of {}",
        duration(is),
        now.len(),
        duration(was),
        before.len()
    )
}

/// How the number of issues for each experiment moved.
pub(crate) fn issues(before: (usize, usize), now: (usize, usize)) -> String {
    if before.1.min(now.1) < FEW_EXPERIMENTS {
        return not_enough("experiments", before.1, now.1, FEW_EXPERIMENTS);
    }
    let (was, is) = (ratio(before), ratio(now));
    format!(
        "{}: {is:.1} an experiment after {was:.1}",
        moved(was, is, "more", "fewer")
    )
}

/// How the success rate moved; each pair is successes of experiments with an answer.
pub(crate) fn success(before: (usize, usize), now: (usize, usize)) -> String {
    if before.1.min(now.1) < FEW_EXPERIMENTS {
        return not_enough(
            "experiments with an answer",
            before.1,
            now.1,
            FEW_EXPERIMENTS,
        );
    }
    let (was, is) = (100.0 * ratio(before), 100.0 * ratio(now));
    format!(
        "{}: {is:.0} % after {was:.0} %",
        moved(was, is, "higher", "lower")
    )
}

#[allow(clippy::cast_precision_loss, reason = "counts of a month")]
fn ratio((part, whole): (usize, usize)) -> f64 {
    part as f64 / whole.max(1) as f64
}

fn moved(was: f64, is: f64, up: &'static str, down: &'static str) -> &'static str {
    if (is - was).abs() <= NOTABLE * was.abs() {
        "about the same"
    } else if is > was {
        up
    } else {
        down
    }
}

fn not_enough(what: &str, before: usize, now: usize, needed: usize) -> String {
    format!(
        "not enough data: {now} {what} this month and {before} in the one before, \
         of {needed} needed in each"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_of_none_odd_and_even() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0]), Some(2.5));
    }

    #[test]
    fn no_recovery_is_not_zero_and_few_are_called_few() {
        assert!(recovery_figures(&[]).starts_with("not known"));
        assert_eq!(
            recovery_figures(&[1000.0, 3000.0]),
            "2.0 s (median 2.0 s, slowest 3.0 s, 2 recoveries; so few say little)"
        );
        assert!(!recovery_figures(&[1.0; 5]).contains("few"));
    }

    #[test]
    fn trends_need_enough_on_both_sides() {
        assert!(
            recovery(&[1.0; 4], &[1.0; 50])
                .starts_with("not enough data: 50 recoveries this month and 4")
        );
        assert_eq!(
            recovery(&[1000.0; 5], &[2000.0; 6]),
            "slower: median 2.0 s of 6 after 1.0 s of 5"
        );
        assert_eq!(
            recovery(&[1000.0; 5], &[1050.0; 5]),
            "about the same: median 1.1 s of 5 after 1.0 s of 5"
        );
        assert!(success((0, 0), (3, 3)).starts_with("not enough"));
        assert_eq!(success((1, 4), (4, 4)), "higher: 100 % after 25 %");
        assert_eq!(issues((6, 3), (3, 3)), "fewer: 1.0 an experiment after 2.0");
        assert_eq!(
            issues((0, 3), (0, 3)),
            "about the same: 0.0 an experiment after 0.0"
        );
    }
}
