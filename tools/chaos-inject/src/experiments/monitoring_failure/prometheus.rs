//! What Prometheus says before and after the fault: its rules, and the gap in its samples.

use std::collections::BTreeSet;

use anyhow::{Context as _, anyhow, bail};
use chaos_common::cluster::probe::{Endpoint, ProbeError};
use chaos_common::record::{Check, Status, Time};
use serde_json::Value;
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

/// The configured Prometheus.
#[derive(Debug)]
pub(super) struct Prometheus {
    endpoint: Endpoint,
}

impl Prometheus {
    pub(super) fn new(endpoint: Endpoint) -> Prometheus {
        Prometheus { endpoint }
    }

    /// Asks for a path whose answer is JSON.
    async fn query(&self, context: &Context, path: &str) -> anyhow::Result<Value> {
        ask(context, &self.endpoint, path).await
    }

    /// Whether it says that it is ready. What else it says then is for people.
    ///
    /// # Errors
    /// The way to it is closed, so nobody knows.
    pub(super) async fn is_ready(&self, context: &Context) -> Result<bool, ProbeError> {
        match context.asker.get(&self.endpoint, "/-/ready", LIMIT).await {
            Ok(answer) => Ok(answer.status == 200),
            Err(ProbeError::Service(_)) => Ok(false),
            Err(closed @ ProbeError::Vantage(_)) => Err(closed),
        }
    }

    /// The names of its rules.
    pub(super) async fn rules(&self, context: &Context) -> anyhow::Result<BTreeSet<String>> {
        let said = self.query(context, "/api/v1/rules").await?;
        let groups = said["data"]["groups"]
            .as_array()
            .context("Prometheus gave no groups of rules")?;
        let rules = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().into_iter().flatten());
        Ok(rules
            .filter_map(|rule| rule["name"].as_str().map(str::to_owned))
            .collect())
    }

    /// Waits for samples from after the undo, and measures the gap that was left.
    pub(super) async fn gap(
        &self,
        context: &Context,
        injection: &Injection,
        (undone, deadline): (Time, Instant),
    ) -> anyhow::Result<Gap> {
        let window = injection.began.elapsed().as_secs() + 60;
        let path = format!("/api/v1/query?query=up%5B{window}s%5D");
        loop {
            let why = match self.query(context, &path).await {
                Ok(said) => match gap(&said, seconds(injection.began_at), seconds(undone)) {
                    Some(gap) => return Ok(gap),
                    None => anyhow!("no sample of `up` is newer than the undo"),
                },
                Err(why) => why,
            };
            if Instant::now() >= deadline {
                return Err(why);
            }
            sleep(PAUSE).await;
        }
    }
}

/// Seconds since 1970.
fn seconds(time: Time) -> f64 {
    time.0
        .duration_since(jiff::Timestamp::UNIX_EPOCH)
        .as_secs_f64()
}

async fn ask(context: &Context, endpoint: &Endpoint, path: &str) -> anyhow::Result<Value> {
    match context.asker.get(endpoint, path, LIMIT).await {
        Ok(answer) if answer.status == 200 => serde_json::from_slice(&answer.body)
            .map_err(|error| anyhow!("{} gave no JSON: {error}", endpoint.url(path))),
        Ok(answer) => bail!(
            "{} answered with status {}",
            endpoint.url(path),
            answer.status
        ),
        Err(error) => bail!("{}: {}", endpoint.url(path), error.message()),
    }
}

/// The gap around the fault in the raw samples of a range vector, whose series are taken together:
/// the moments are seconds since 1970. Nothing while no sample is newer than the undo.
fn gap(said: &Value, made: f64, undone: f64) -> Option<Gap> {
    let series = said["data"]["result"].as_array()?;
    let values = series
        .iter()
        .flat_map(|one| one["values"].as_array().into_iter().flatten());
    let mut times: Vec<f64> = values.filter_map(|value| value[0].as_f64()).collect();
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
    use serde_json::json;

    fn samples(times: &[f64]) -> Value {
        let values: Vec<Value> = times.iter().map(|time| json!([time, "1"])).collect();
        json!({ "data": { "result": [{ "values": values }] } })
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
