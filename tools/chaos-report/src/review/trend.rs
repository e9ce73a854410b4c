//! Comparing a review's figures with those of the time before.
//!
//! A trend is told where chance alone would seldom make one. What is compared is runs, and not the
//! pods within one, which have their causes in common.

use std::collections::BTreeSet;

use chaos_common::output::duration;

use super::scope::Reviewed;
use super::statistics::{FEW, difference, float, median, median_interval, share_difference};
use super::totals::{Recoveries, Totals, interval_text};

/// A difference that chance makes less often than this is told as one.
const SELDOM: f64 = 0.05;

/// How the recovery times of each experiment moved. Different experiments are not compared with
/// each other.
pub(crate) fn recovery(before: &[Reviewed], now: &[Reviewed]) -> Vec<String> {
    let names: BTreeSet<&str> = now.iter().map(Reviewed::name).collect();
    let of = |runs: &[Reviewed], name: &str| {
        Recoveries::of(runs.iter().filter(|it| it.name() == name)).sorted
    };
    let lines = names.into_iter().filter_map(|name| {
        let (was, is) = (of(before, name), of(now, name));
        (!is.is_empty()).then(|| format!("{name}: {}", one_recovery(&was, &is)))
    });
    let lines: Vec<String> = lines.collect();
    if lines.is_empty() {
        vec!["not known: no recovery was measured".to_owned()]
    } else {
        lines
    }
}

fn one_recovery(was: &[f64], is: &[f64]) -> String {
    if let Some(text) = too_few("recoveries", was.len(), is.len()) {
        return text;
    }
    let figure = |sorted: &[f64]| {
        let interval = interval_text(median_interval(sorted));
        let median = duration(median(sorted).unwrap_or_default());
        format!("{median}{interval} (of {})", sorted.len())
    };
    format!(
        "{}: median {} after {}",
        moved(was, is, ["slower", "faster"]),
        figure(is),
        figure(was)
    )
}

/// How the number of issues of a run moved.
pub(crate) fn issues(before: &[Reviewed], now: &[Reviewed]) -> String {
    if let Some(text) = too_few("experiments", before.len(), now.len()) {
        return text;
    }
    let each = |runs: &[Reviewed]| -> Vec<f64> {
        let counts = runs.iter().map(|it| float(it.run.facts.issue_count));
        counts.collect()
    };
    let (was, is) = (each(before), each(now));
    let mean = |values: &[f64]| values.iter().sum::<f64>() / float(values.len());
    format!(
        "{}: {:.1} an experiment after {:.1}",
        moved(&was, &is, ["more", "fewer"]),
        mean(&is),
        mean(&was)
    )
}

/// How the success rate moved.
pub(crate) fn success(before: &Totals, now: &Totals) -> String {
    let (was, is) = (before.rate(), now.rate());
    if let Some(text) = too_few("experiments with an answer", was.1, is.1) {
        return text;
    }
    let Some(change) = share_difference(was, is) else {
        return "not known".to_owned();
    };
    let word = if change.low > 0.0 {
        "higher"
    } else if change.high < 0.0 {
        "lower"
    } else {
        "no clear change"
    };
    let percent = |(good, all): (usize, usize)| 100.0 * float(good) / float(all);
    format!(
        "{word}: {:.0} % of {} after {:.0} % of {} (95 % interval of the difference {:+.0} to {:+.0} points)",
        percent(is),
        is.1,
        percent(was),
        was.1,
        100.0 * change.low,
        100.0 * change.high
    )
}

/// The direction, where chance would seldom make such a difference.
fn moved(was: &[f64], is: &[f64], [up, down]: [&str; 2]) -> String {
    let Some(chance) = difference(was, is) else {
        return "no change".to_owned();
    };
    let cases = (100.0 * chance).round().max(1.0);
    if chance >= SELDOM {
        return format!("no clear change (chance makes as much in {cases:.0} of 100 cases)");
    }
    let word = if is_higher(was, is) { up } else { down };
    if chance < 0.01 {
        format!("{word} (chance makes as much in less than 1 of 100 cases)")
    } else {
        format!("{word} (chance makes as much in {cases:.0} of 100 cases)")
    }
}

/// Whether a value of the second group is more often above one of the first than below it.
fn is_higher(was: &[f64], is: &[f64]) -> bool {
    let mut sorted = was.to_vec();
    sorted.sort_by(f64::total_cmp);
    let side = |value: &f64| {
        let below = sorted.partition_point(|it| it < value);
        let up_to = sorted.partition_point(|it| it <= value);
        float(below) - (float(sorted.len()) - float(up_to))
    };
    is.iter().map(side).sum::<f64>() > 0.0
}

fn too_few(what: &str, before: usize, now: usize) -> Option<String> {
    (before.min(now) < FEW).then(|| {
        format!("too few to compare: {now} {what} after {before}, of {FEW} needed on each side")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trend_is_told_only_where_chance_seldom_makes_one() {
        let slow = [5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0].map(|s| s * 1000.0);
        let fast = slow.map(|ms| ms - 4500.0);
        let text = one_recovery(&slow, &fast);
        assert_eq!(
            text,
            "faster (chance makes as much in less than 1 of 100 cases): \
             median 4.0 s with the 95 % interval 500 ms to 7.5 s (of 8) \
             after 8.5 s with the 95 % interval 5.0 s to 12.0 s (of 8)"
        );
        assert!(one_recovery(&fast, &slow).starts_with("slower"));
        let same = one_recovery(&slow, &slow.map(|ms| ms + 300.0));
        assert!(same.starts_with("no clear change (chance makes"), "{same}");
        assert_eq!(
            one_recovery(&[1.0; 4], &[1.0; 50]),
            "too few to compare: 50 recoveries after 4, of 8 needed on each side"
        );
        assert!(one_recovery(&[1.0; 9], &[1.0; 9]).starts_with("no change"));
    }

    #[test]
    fn the_success_rate_moves_when_the_interval_of_the_difference_says_so() {
        let of = |successful: usize, failed: usize| Totals {
            total: successful + failed,
            successful,
            failed,
            ..Totals::default()
        };
        assert!(success(&of(0, 0), &of(3, 0)).starts_with("too few"));
        let up = success(&of(5, 15), &of(18, 2));
        assert!(
            up.starts_with("higher: 90 % of 20 after 25 % of 20"),
            "{up}"
        );
        assert!(success(&of(18, 2), &of(5, 15)).starts_with("lower"));
        let unclear = success(&of(8, 2), &of(9, 1));
        assert!(unclear.starts_with("no clear change"), "{unclear}");
    }
}
