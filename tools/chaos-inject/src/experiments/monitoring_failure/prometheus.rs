//! What Prometheus says before and after the fault: its rules, and the gap in its samples.

use std::collections::BTreeSet;

use anyhow::anyhow;
use chaos_common::config::Monitoring;
use chaos_common::prometheus::{ApiError, Prometheus, RULES_PATH, Series};
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

/// The names of rules, if they could be asked for.
pub(super) type Rules = anyhow::Result<BTreeSet<String>>;

/// Why no gap is known.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum NoGap {
    /// It answers, and has nothing new.
    #[error("no sample of `up` is newer than the undo")]
    NoSample,
    #[error("{url}: {source}")]
    NoAnswer { url: String, source: ApiError },
}

impl NoGap {
    /// Nothing is known of Prometheus, as the way to it was not open.
    fn is_not_known(&self) -> bool {
        let source = match self {
            NoGap::NoSample => return false,
            NoGap::NoAnswer { source, .. } => source,
        };
        matches!(source, ApiError::Vantage(_))
    }

    /// For the run's issues.
    pub(super) fn summary(&self) -> String {
        if self.is_not_known() {
            return format!("whether data is collected again could not be asked: {self}");
        }
        format!("data collection has not resumed: {self}")
    }
}

/// The configured Prometheus, if there is one.
pub(super) fn configured(context: &Context, monitoring: &Monitoring) -> Option<Prometheus> {
    Prometheus::of(&context.asker, monitoring, LIMIT)
}

/// The names of its rules.
pub(super) async fn rule_names(prometheus: &Prometheus) -> Rules {
    let names = prometheus.rule_names().await;
    names.map_err(|error| anyhow!("{}: {error}", prometheus.url(RULES_PATH)))
}

/// Waits for samples from after the undo, and measures the gap that was left.
pub(super) async fn measure_gap(
    prometheus: &Prometheus,
    injection: &Injection,
    (undone, deadline): (Time, Instant),
) -> Result<Gap, NoGap> {
    let query = format!("up[{}s]", injection.began.elapsed().as_secs() + 60);
    loop {
        let why = match prometheus.query(&query).await {
            Ok(series) => match gap(&series, seconds(injection.began_at), seconds(undone)) {
                Some(gap) => return Ok(gap),
                None => NoGap::NoSample,
            },
            Err(source) => NoGap::NoAnswer {
                url: prometheus.url(&Prometheus::query_path(&query)),
                source,
            },
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
pub(super) fn collecting(gap: Option<&Result<Gap, NoGap>>) -> Check {
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
        Some(Err(why)) if why.is_not_known() => Check::unknown(&id, object, why.summary()),
        Some(Err(why)) => Check::fail(&id, object, format!("does not scrape again: {why}")),
        None => Check::unknown(&id, object, "whether it scrapes again was not seen"),
    }
}

/// `rules`: whether all rules of before are there again.
pub(super) fn rules(before: &Rules, after: Option<&Rules>) -> Check {
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
    use chaos_common::cluster::ReadError;

    use super::*;

    fn samples(times: &[f64]) -> [Series; 1] {
        [Series {
            labels: [].into(),
            samples: times.iter().map(|time| (*time, "1".to_owned())).collect(),
        }]
    }

    #[test]
    fn a_prometheus_that_cannot_be_reached_is_unknown_and_a_silent_one_fails() {
        let error = kube::Error::Service("no answer in 5 s".into());
        let way = ApiError::Vantage(ReadError::from_kube("reach it".to_owned(), &error));
        let no_answer = |source| NoGap::NoAnswer {
            url: "http://prometheus.monitoring:9090/".to_owned(),
            source,
        };
        let silent = ApiError::NoAnswer("connection refused".to_owned());
        for (why, status) in [
            (no_answer(way), Status::Unknown),
            (no_answer(silent), Status::Fail),
            (NoGap::NoSample, Status::Fail),
        ] {
            let check = collecting(Some(&Err(why)));
            assert_eq!(check.status, status, "{}", check.message);
        }
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
