//! Monitoring failure: Prometheus, Grafana and Alertmanager go to no pods at all and back. While
//! they are blind the application is measured directly; afterwards the collection of data has to go
//! on, and the rules have to be those of before.

use std::collections::BTreeSet;

use anyhow::{Context as _, anyhow, bail};
use async_trait::async_trait;
use chaos_common::cluster::ReadError;
use chaos_common::cluster::probe::Endpoint;
use chaos_common::config::{Config, Monitoring, MonitoringSystem, Span};
use chaos_common::exit::Failure;
use chaos_common::record::{Check, EventKind, Plan, Status, Time};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, LogParams};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use tokio::time::{Duration, Instant, sleep};

use crate::abort::Abort;
use crate::context::Context;
use crate::experiments::Definition;
use crate::experiments::support::steady_state::SteadyState;
use crate::observe::pod_watch::{Pods, in_words};
use crate::observe::{Seen, to_ask};
use crate::permissions::need;
use crate::plan::Draft;
use crate::plan::target::Selection;
use crate::plan::workload::{self, Workload};
use crate::run::experiment::{Effect, Experiment, Injection, Recovery, RunningExperiment};

const NAME: &str = "monitoring-failure";
const LIMIT: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(200);
/// Log lines that are read of each pod.
const LOG_BYTES: i64 = 4 << 20;

/// `[experiment.monitoring_failure]`: the systems of `[monitoring]` go.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How long monitoring is blind.
    pub duration: Span,
    /// Longest time for its pods to be gone.
    pub stop_limit: Span,
    /// Longest time for it to be ready and collecting again.
    pub recovery_limit: Span,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            duration: Span::seconds(30),
            stop_limit: Span::seconds(60),
            recovery_limit: Span::seconds(120),
        }
    }
}

/// The experiment.
#[derive(Debug)]
pub struct MonitoringFailure {
    settings: Settings,
    monitoring: Monitoring,
}

/// It runs.
#[derive(Debug)]
struct Running {
    settings: Settings,
    monitoring: Monitoring,
    steady: SteadyState,
    rules_before: anyhow::Result<BTreeSet<String>>,
    /// What was measured once the systems were back.
    afterwards: Option<Afterwards>,
}

/// What the systems show when they are back.
#[derive(Debug)]
struct Afterwards {
    /// The scrape gap and the rules, where a Prometheus is configured.
    prometheus: Option<(anyhow::Result<Gap>, anyhow::Result<BTreeSet<String>>)>,
    /// Lines of errors of each workload since the injection.
    logs: anyhow::Result<Vec<(String, usize)>>,
}

/// How long no target was scraped.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Gap {
    /// From the last sample before to the first one after, in seconds.
    Seconds(f64),
    /// The samples from before are gone with the pod: at most from the injection to the first one
    /// after.
    AtMost(f64),
}

impl Running {
    fn prometheus(&self) -> Option<Endpoint> {
        Some(Endpoint::of_monitoring(
            &self.monitoring,
            self.monitoring.prometheus.as_ref()?,
        ))
    }

    async fn query(&self, context: &Context, path: &str) -> anyhow::Result<Value> {
        let prometheus = self.prometheus().context("no Prometheus is configured")?;
        ask(context, &prometheus, path).await
    }

    async fn rules(&self, context: &Context) -> anyhow::Result<BTreeSet<String>> {
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
    async fn gap(
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

    /// ERROR lines that the configured workloads logged since the injection.
    async fn errors(&self, context: &Context, since: Time) -> anyhow::Result<Vec<(String, usize)>> {
        let api: Api<Pod> = Api::namespaced(context.cluster.client.clone(), &context.namespace);
        let mut found = Vec::new();
        for workload in context
            .config
            .workloads
            .iter()
            .filter(|workload| !workload.logs.is_empty())
        {
            let named = format!("{}/{}", workload.kind, workload.name);
            let target = Workload::read(context, &context.namespace, &named).await?;
            let params = ListParams::default().labels(&target.selector);
            let pods = context.cluster.list(&api, &params, "list pods").await?;
            let mut errors = 0;
            for pod in pods.iter().filter_map(|pod| pod.metadata.name.as_ref()) {
                let params = LogParams {
                    since_time: Some(since.0),
                    limit_bytes: Some(LOG_BYTES),
                    ..LogParams::default()
                };
                let what = format!("read the log of pod {pod}");
                let text = context
                    .cluster
                    .read(what, || api.logs(pod, &params))
                    .await?;
                errors += text
                    .lines()
                    .filter(|line| workload.logs.is_match(line.as_bytes()))
                    .count();
            }
            found.push((workload.name.clone(), errors));
        }
        Ok(found)
    }
}

/// Seconds since 1970.
fn seconds(time: Time) -> f64 {
    time.0
        .duration_since(jiff::Timestamp::UNIX_EPOCH)
        .as_secs_f64()
}

fn systems(monitoring: &Monitoring) -> Vec<&MonitoringSystem> {
    [
        &monitoring.prometheus,
        &monitoring.grafana,
        &monitoring.alertmanager,
    ]
    .into_iter()
    .flatten()
    .collect()
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

impl Definition for MonitoringFailure {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Take Prometheus, Grafana and Alertmanager away";
    type Settings = Settings;

    fn new(_selection: &Selection, settings: Settings, config: &Config) -> Result<Self, Failure> {
        let monitoring = config
            .monitoring
            .clone()
            .filter(|monitoring| !systems(monitoring).is_empty());
        let monitoring = monitoring.ok_or_else(|| {
            Failure::usage("no monitoring system is configured")
                .hint("[monitoring.prometheus] in chaos.toml names one")
        })?;
        Ok(MonitoringFailure {
            settings,
            monitoring,
        })
    }
}

#[async_trait(?Send)]
impl Experiment for MonitoringFailure {
    fn name(&self) -> &'static str {
        NAME
    }

    fn blinds_monitoring(&self) -> bool {
        true
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let namespace = &self.monitoring.namespace;
        let (mut targets, mut changes, mut radius) = (Vec::new(), Vec::new(), Vec::new());
        let (mut checks, mut permissions) = (Vec::new(), Vec::new());
        for system in systems(&self.monitoring) {
            let text = format!("deployment/{}", system.deployment);
            let target = Workload::read(context, namespace, &text).await?;
            permissions.extend(workload::permissions(namespace, &text));
            permissions.extend(to_ask(
                &context.asker,
                &Endpoint::of_monitoring(&self.monitoring, system),
            ));
            checks.extend(target.checks.clone());
            if target.replicas == 0 {
                checks.push(Check::fail(
                    "limit.targets",
                    &text,
                    "has no replicas already: there is nothing to take away",
                ));
            }
            changes.push(target.scale_to(0));
            targets.push(target.target());
            radius.push(target.radius(target.ready));
        }
        checks.extend(workload::whole(context, &radius.iter().collect::<Vec<_>>()).await);
        let application = &context.namespace;
        if context
            .config
            .workloads
            .iter()
            .any(|workload| !workload.logs.is_empty())
        {
            permissions.extend([
                need(application, "list", "", "pods"),
                need(application, "get", "", "pods/log"),
            ]);
            permissions.extend(
                context
                    .config
                    .workloads
                    .iter()
                    .filter(|workload| !workload.logs.is_empty())
                    .flat_map(|workload| {
                        workload::permissions(
                            application,
                            &format!("{}/{}", workload.kind, workload.name),
                        )
                    }),
            );
        }
        let draft = Draft {
            experiment: NAME,
            targets,
            changes,
            blast_radius: radius,
            hold: self.settings.duration.0,
            recovery_limit: self.settings.recovery_limit.0,
            slack: Duration::ZERO,
            undo: "each goes back to the replicas that it had".to_owned(),
            affected: Vec::new(),
            alerts: Vec::new(),
            permissions,
            checks,
        };
        draft.finish(context).await
    }

    async fn data_at_stake(&self, _context: &Context, _plan: &Plan) -> Result<bool, ReadError> {
        // What monitoring collected may go with its pod, which is what the experiment shows.
        Ok(false)
    }

    async fn prepare(
        &self,
        context: &mut Context,
        plan: &Plan,
    ) -> anyhow::Result<Box<dyn RunningExperiment>> {
        let mut workloads = Vec::new();
        for system in systems(&self.monitoring) {
            let text = format!("deployment/{}", system.deployment);
            let one = Workload::read(context, &self.monitoring.namespace, &text).await?;
            workloads.push(one);
        }
        let mut running = Running {
            settings: self.settings.clone(),
            monitoring: self.monitoring.clone(),
            steady: SteadyState::watch(context, plan, &workloads).await?,
            rules_before: Ok(BTreeSet::new()),
            afterwards: None,
        };
        running.rules_before = running.rules(context).await;
        Ok(Box::new(running))
    }
}

#[async_trait(?Send)]
impl RunningExperiment for Running {
    async fn prove_effect(&mut self, context: &mut Context, injection: &Injection) -> Effect {
        let began = injection.began;
        let limit = self.settings.stop_limit.0;
        let mut named = Vec::new();
        for (workload, watch) in &mut self.steady.pods {
            if let Err(pods) = watch.until(began + limit, Pods::is_empty).await {
                return Effect::NotSeen(format!(
                    "after {} s the pods of {workload} are not gone: {}",
                    limit.as_secs(),
                    in_words(&pods)
                ));
            }
            named.push(workload.name.clone());
        }
        if self.query(context, "/-/ready").await.is_ok() {
            return Effect::NotSeen(
                "Prometheus answers although its pods are gone: is it another one that is asked?"
                    .to_owned(),
            );
        }
        Effect::Proven(format!(
            "{} have no pods after {} ms, and Prometheus does not answer",
            named.join(", "),
            began.elapsed().as_millis()
        ))
    }

    async fn await_steady_state(
        &mut self,
        context: &mut Context,
        injection: &Injection,
        _abort: &mut Abort,
    ) -> Recovery {
        let limit = self.settings.recovery_limit.0;
        let (undone, deadline) = (Time::now(), Instant::now() + limit);
        let recovery = self.steady.wait(context, limit).await;
        if recovery != Recovery::SteadyState {
            return recovery;
        }
        let prometheus = if self.prometheus().is_some() {
            let gap = self.gap(context, injection, (undone, deadline)).await;
            if let Err(why) = &gap {
                let summary = format!("data collection has not resumed: {why}");
                context.issue(EventKind::Observed, None, summary);
            }
            Some((gap, self.rules(context).await))
        } else {
            None
        };
        self.afterwards = Some(Afterwards {
            prometheus,
            logs: self.errors(context, injection.began_at).await,
        });
        Recovery::SteadyState
    }

    async fn confirm_steady_state(
        &mut self,
        context: &mut Context,
        _abort: &mut Abort,
    ) -> Recovery {
        let limit = self.settings.recovery_limit.0;
        self.steady.wait(context, limit).await
    }

    fn judge(&self, context: &Context, _injection: &Injection, _seen: &Seen) -> Vec<Check> {
        let afterwards = self.afterwards.as_ref();
        let prometheus = afterwards.and_then(|after| after.prometheus.as_ref());
        let mut checks = vec![
            collecting(prometheus.map(|(gap, _)| gap)),
            rules(&self.rules_before, prometheus.map(|(_, rules)| rules)),
        ];
        let most = context.config.limits.log_errors;
        checks.extend(logs(afterwards.map(|after| &after.logs), most));
        checks
    }
}

/// `collecting`: whether Prometheus scrapes again.
fn collecting(gap: Option<&anyhow::Result<Gap>>) -> Check {
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
fn rules(
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

/// `logs`: what each workload logged while monitoring was blind; `most` lines of errors may be.
fn logs(found: Option<&anyhow::Result<Vec<(String, usize)>>>, most: u64) -> Vec<Check> {
    let id = format!("{NAME}.logs");
    let one = |(name, errors): &(String, usize)| {
        let message =
            format!("logged {errors} lines of errors while monitoring was blind; {most} may be");
        Check::judge(*errors as u64 <= most, &id, name.clone(), message)
    };
    match found {
        Some(Ok(found)) if found.is_empty() => {
            let why = "no workload is configured with logs = true";
            vec![Check::skipped(&id, "", why)]
        }
        Some(Ok(found)) => found.iter().map(one).collect(),
        Some(Err(why)) => vec![Check::unknown(&id, "", why.to_string())],
        None => vec![Check::unknown(
            &id,
            "",
            "the application's logs were not read",
        )],
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
