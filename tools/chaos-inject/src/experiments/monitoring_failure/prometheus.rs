//! What Prometheus says before and after the fault: its rules, and the gap in its samples.

use std::collections::BTreeSet;

use anyhow::anyhow;
use chaos_common::config::Monitoring;
use chaos_common::prometheus::{Prometheus, RULES_PATH, Series};
use chaos_common::record::{Check, Status, Time};
use tokio::time::{Duration, Instant, sleep};

use super::NAME;
use crate::context::Context;
use crate::run::experiment::Injection;

/// Longest time for one answer.
const LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);

/// How long no target was scraped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Gap {
    /// From the last sample before to the first one after, in seconds.
    Seconds(f64),
    /// The samples from before are gone with the pod: at most from the injection to the first one
    /// after.
    AtMost(f64),
}

/// The configured Prometheus, if there is one.
pub(super) fn configured(context: &Context, monitoring: &Monitoring) -> Option<Prometheus> {
    Prometheus::of(&context.asker, monitoring, LIMIT)
}

/// The names of its rules.
pub(super) async fn rule_names(prometheus: &Prometheus) -> anyhow::Result<BTreeSet<String>> {
    let names = prometheus.rule_names().await;
    names.map_err(|error| anyhow!("{}: {error}", prometheus.url(RULES_PATH)))
}

/// Waits for samples from after the undo, and measures the gap that was left.
pub(super) async fn measure_gap(
    prometheus: &Prometheus,
    injection: &Injection,
    (undone, deadline): (Time, Instant),
) -> anyhow::Result<Gap> {
    let query = format!("up[{}s]", injection.began.elapsed().as_secs() + 60);
    loop {
        let why = match prometheus.query(&query).await {
            Ok(series) => match gap(&series, seconds(injection.began_at), seconds(undone)) {
                Some(gap) => return Ok(gap),
                None => anyhow!("no sample of `up` is newer than the undo"),
            },
            Err(error) => {
                let url = prometheus.url(&Prometheus::query_path(&query));
                anyhow!("{url}: {error}")
            }
        };
        if Instant::now() >= deadline {
            return Err(why);
        }
        sleep(PAUSE).await;
    }
}

/// Seconds since 1970.
fn seconds(time: Time) -> f64 {
    time.0
        .duration_since(jiff::Timestamp::UNIX_EPOCH)
        .as_secs_f64()
}

/// The gap around the fault in the raw samples of a range vector, whose series are taken together:
/// the moments are seconds since 1970. Nothing while no sample is newer than the undo.
fn gap(series: &[Series], made: f64, undone: f64) -> Option<Gap> {
    let samples = series.iter().flat_map(|one| &one.samples);
    let mut times: Vec<f64> = samples.map(|(time, _)| *time).collect();
    times.sort_by(f64::total_cmp);
    let first_after = times.iter().copied().find(|time| *time > undone)?;
    let last_before = times
        .iter()
        .copied()
        .rev()
        .find(|time| *time < undone && *time < first_after);
    Some(match last_before {
        Some(before) if before >= made - 60.0 => Gap::Seconds(first_after - before),
        _ => Gap::AtMost(first_after - made),
    })
}

/// `collecting`: whether Prometheus scrapes again.
pub(super) fn collecting(gap: Option<&anyhow::Result<Gap>>) -> Check {
    let (id, object) = (format!("{NAME}.collecting"), "prometheus");
    match gap {
        Some(Ok(Gap::Seconds(gap))) => Check::pass(
            &id,
            object,
            format!("scrapes again; no target was scraped for {gap:.1} s"),
        ),
        Some(Ok(Gap::AtMost(gap))) => {
            let message = format!(
                "scrapes again; no target was scraped for at most {gap:.1} s, \
                 and what was collected before is gone"
            );
            Check::new(&id, object, Status::Warn, message)
                .hint("give Prometheus a persistent volume")
        }
        Some(Err(why)) => Check::fail(&id, object, format!("does not scrape again: {why}")),
        None => Check::unknown(&id, object, "whether it scrapes again was not seen"),
    }
}

/// `rules`: whether all rules of before are there again.
pub(super) fn rules(
    before: &anyhow::Result<BTreeSet<String>>,
    after: Option<&anyhow::Result<BTreeSet<String>>>,
) -> Check {
    let (id, object) = (format!("{NAME}.rules"), "prometheus");
    match (before, after) {
        (Ok(before), Some(Ok(after))) => {
            let missing: Vec<&String> = before.difference(after).collect();
            let message = if missing.is_empty() {
                format!("all {} rules are back", before.len())
            } else {
                format!("rules that are not back: {missing:?}")
            };
            Check::judge(missing.is_empty(), &id, object, message)
        }
        (Err(why), _) | (_, Some(Err(why))) => Check::unknown(&id, object, why.to_string()),
        (Ok(_), None) => Check::unknown(&id, object, "the rules were not compared"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(times: &[f64]) -> [Series; 1] {
        [Series {
            labels: [].into(),
            samples: times.iter().map(|time| (*time, "1".to_owned())).collect(),
        }]
    }

    #[test]
    fn the_scrape_gap_is_between_the_samples_around_the_fault() {
        assert_eq!(
            gap(&samples(&[98.0, 99.0, 100.5, 131.0, 132.0]), 100.0, 130.0),
            Some(Gap::Seconds(30.5))
        );
        assert_eq!(
            gap(&samples(&[98.0, 99.0]), 100.0, 130.0),
            None,
            "nothing new yet"
        );
        assert_eq!(
            gap(&samples(&[131.0]), 100.0, 130.0),
            Some(Gap::AtMost(31.0))
        );
    }
}
