//! The stress pod, from its creation until it is gone.

use std::time::Duration;

use anyhow::Context as _;
use async_trait::async_trait;
use chaos_common::cluster::{ReadError, metrics};
use chaos_common::record::{Check, EventKind, Status};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use tokio::time::{Instant, sleep};

use super::usage::{self, Reading, Usage};
use super::{NAME, START, Settings};
use crate::abort::Abort;
use crate::context::Context;
use crate::labels::EXPERIMENT_LABEL;
use crate::observe::Observations;
use crate::observe::pod_watch::{Brief, PodWatch, Pods, in_words};
use crate::run::experiment::{Effect, Injection, Recovery, RunningExperiment};

/// Time for its use to rise.
const RISE: Duration = Duration::from_secs(20);
/// Between two readings of its cgroup.
const READING: Duration = Duration::from_secs(1);

/// The experiment while it runs.
#[derive(Debug)]
pub struct Running {
    settings: Settings,
    pods: PodWatch,
    /// The stress pod's name.
    pod: String,
    /// The first reading of its cgroup, once it runs.
    first: Option<Reading>,
    scalers_before: Vec<(String, i32)>,
    /// What was seen when its time was over.
    last_look: Option<LastLook>,
    undone: Option<Instant>,
}

/// What was seen while the stress was still on.
#[derive(Debug)]
struct LastLook {
    /// From the first reading to the last; absent if its cgroup could not be read.
    used: Option<Usage>,
    /// What the metrics API said; nothing if it has not measured the pod yet.
    metrics: Result<Option<Usage>, ReadError>,
    scalers: Vec<(String, i32)>,
}

impl Running {
    /// Watches the pods of this run.
    ///
    /// # Errors
    /// They can't be watched.
    pub async fn start(
        context: &Context,
        pod: &str,
        settings: &Settings,
    ) -> anyhow::Result<Running> {
        let run = format!("{}={}", crate::labels::RUN_LABEL, context.run);
        let selector = format!("{run},{EXPERIMENT_LABEL}={NAME}");
        let pods = PodWatch::start(&context.cluster, &context.namespace, &selector).await?;
        Ok(Running {
            settings: settings.clone(),
            pods,
            pod: pod.to_owned(),
            first: None,
            scalers_before: scalers(context).await,
            last_look: None,
            undone: None,
        })
    }

    /// Why the pod does not run, as far as it says.
    fn trouble(&self) -> Option<String> {
        let pods: Vec<Brief> = self.pods.now().into_values().collect();
        trouble(&pods)
    }

    async fn reading(&self, context: &Context) -> anyhow::Result<Reading> {
        let api: Api<Pod> = Api::namespaced(context.cluster.client.clone(), &context.namespace);
        let pod = api.get(&self.pod).await.ok();
        let pod = pod.context("the stress pod is gone")?;
        usage::read(&context.cluster, &pod).await
    }

    /// Waits until the pod uses what counts as an effect.
    async fn await_usage(&mut self, context: &Context) -> anyhow::Result<Effect> {
        let first = self.reading(context).await?;
        self.first = Some(first);
        let wanted = self.settings.wanted();
        let deadline = Instant::now() + RISE;
        let mut before = first;
        loop {
            sleep(READING).await;
            let now = self.reading(context).await?;
            let used = Usage::between(before, now);
            if used.is_felt(wanted) {
                let message = format!("by its own cgroup the pod uses {used}");
                return Ok(Effect::Proven(message));
            }
            if Instant::now() >= deadline {
                let why = format!("by its cgroup it uses {used} and can't get more");
                return Ok(Effect::NotSeen(why));
            }
            before = now;
        }
    }

    /// What the metrics API says of the pod; nothing if it has not measured it yet.
    async fn metrics(&self, context: &Context) -> Result<Option<Usage>, ReadError> {
        let usage = metrics::pods(&context.cluster, &context.namespace).await?;
        Ok(usage.get(&self.pod).map(|sample| Usage {
            cores: sample.cpu_cores,
            bytes: sample.memory_bytes,
        }))
    }
}

/// Why a pod does not run; nothing while it is coming up.
fn trouble(pods: &[Brief]) -> Option<String> {
    let pod = pods.first()?;
    let why = pod.trouble.as_deref()?;
    Some(match why {
        "OOMKilled" => format!(
            "pod {} was killed: its memory limit is below what it was told to hold",
            pod.name
        ),
        _ if why.starts_with("Unschedulable") => {
            format!("pod {} can't be scheduled: {why}", pod.name)
        }
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName" => {
            format!(
                "the image of pod {} can't be had ({why}): set experiment.resource_exhaustion.image",
                pod.name
            )
        }
        // It is coming up.
        "ContainerCreating" | "PodInitializing" => return None,
        _ => format!("pod {} does not run: {why}", pod.name),
    })
}

/// What it means that the metrics API shows this use of the stress pod.
///
/// It measures every 15 s or less often, so that a fault may be over before it is seen there. That the
/// stress was on is proven by its cgroup; what reads the metrics API did not learn of it, which is a
/// finding and no failure.
fn shown_by_metrics(shown: Option<Usage>, wanted: Usage) -> (Status, String) {
    let late = "what reads it did not see the stress while it lasted";
    match shown {
        Some(used) if used.is_felt(wanted) => {
            (Status::Pass, format!("the metrics API shows {used}"))
        }
        Some(used) => (
            Status::Warn,
            format!("the metrics API shows {used}: {late}"),
        ),
        None => (
            Status::Warn,
            format!("the metrics API has no figures of this pod yet: {late}"),
        ),
    }
}

/// Autoscalers of the namespace, and how many replicas each wants.
async fn scalers(context: &Context) -> Vec<(String, i32)> {
    let api: Api<HorizontalPodAutoscaler> =
        Api::namespaced(context.cluster.client.clone(), &context.namespace);
    let found = context
        .cluster
        .list(&api, &ListParams::default(), "list autoscalers")
        .await
        .unwrap_or_default();
    let wanted = |scaler: HorizontalPodAutoscaler| {
        (
            scaler.metadata.name.unwrap_or_default(),
            scaler.status.map_or(0, |status| status.desired_replicas),
        )
    };
    found.into_iter().map(wanted).collect()
}

#[async_trait(?Send)]
impl RunningExperiment for Running {
    async fn prove_effect(&mut self, context: &mut Context, _injection: &Injection) -> Effect {
        let deadline = Instant::now() + START;
        let is_up = |pods: &Pods| {
            let pods: Vec<Brief> = pods.values().cloned().collect();
            pods.iter().any(|pod| pod.phase == "Running" && pod.ready) || trouble(&pods).is_some()
        };
        let pods: Vec<Brief> = match self.pods.until(deadline, is_up).await {
            Ok(pods) | Err(pods) => pods.into_values().collect(),
        };
        if let Some(why) = trouble(&pods) {
            return Effect::NotSeen(why);
        }
        if !pods.iter().any(|pod| pod.ready) {
            return Effect::NotSeen(format!("no stress pod runs after {} s", START.as_secs()));
        }
        self.await_usage(context).await.unwrap_or_else(|error| {
            Effect::NotSeen(self.trouble().unwrap_or_else(|| error.to_string()))
        })
    }

    async fn before_rollback(&mut self, context: &mut Context, _injection: &Injection) {
        let mut used = None;
        if let Some(first) = self.first {
            match self.reading(context).await {
                Ok(last) => used = Some(Usage::between(first, last)),
                Err(error) => {
                    let why = self.trouble().unwrap_or_else(|| error.to_string());
                    context.issue(EventKind::Observed, None, why);
                }
            }
        }
        self.last_look = Some(LastLook {
            used,
            metrics: self.metrics(context).await,
            scalers: scalers(context).await,
        });
    }

    async fn await_steady_state(
        &mut self,
        context: &mut Context,
        _injection: &Injection,
        abort: &mut Abort,
    ) -> Recovery {
        self.undone = Some(Instant::now());
        self.confirm_steady_state(context, abort).await
    }

    async fn confirm_steady_state(
        &mut self,
        context: &mut Context,
        _abort: &mut Abort,
    ) -> Recovery {
        let limit = self.settings.recovery_limit.0;
        let deadline = Instant::now() + limit;
        let Err(pods) = self.pods.until(deadline, Pods::is_empty).await else {
            return Recovery::SteadyState;
        };
        match self.pods.broken() {
            Some(why) => Recovery::Unseen(format!(
                "the stress pod can't be seen any more: {why}; its deadline ends it, too"
            )),
            None => Recovery::NotRecovered {
                what: format!("{} after {} s", in_words(&pods), limit.as_secs()),
                hint: format!(
                    "kubectl delete pods -n {} -l {EXPERIMENT_LABEL}={NAME}",
                    context.namespace
                ),
            },
        }
    }

    fn judge(&self, _context: &Context, injection: &Injection, seen: &Observations) -> Vec<Check> {
        let mut checks = vec![self.usage(), self.metrics_api()];
        if let Some(undone) = self.undone {
            checks.extend(self.performance(seen, injection.began, undone));
        }
        checks.push(self.autoscaling());
        checks
    }
}

impl Running {
    /// `usage`: whether it used what it was told to, up to the end.
    fn usage(&self) -> Check {
        let (id, object) = (format!("{NAME}.usage"), format!("pod/{}", self.pod));
        let wanted = self.settings.wanted();
        let Some(used) = self.last_look.as_ref().and_then(|look| look.used) else {
            return Check::unknown(&id, object, "its use could not be read up to the end");
        };
        let message = format!("used {used} by its own cgroup, and was told to use {wanted}");
        if used.is_felt(wanted) {
            Check::pass(&id, object, message)
        } else {
            Check::unknown(&id, object, message)
        }
    }

    /// `metrics`: whether the metrics API, from which autoscalers and `kubectl top` live, shows it.
    fn metrics_api(&self) -> Check {
        let (status, message) = match self.last_look.as_ref().map(|look| &look.metrics) {
            Some(Ok(shown)) => shown_by_metrics(*shown, self.settings.wanted()),
            Some(Err(why)) => (Status::Unknown, why.to_string()),
            None => (Status::Unknown, "the metrics API was not asked".to_owned()),
        };
        Check::new(
            &format!("{NAME}.metrics"),
            format!("pod/{}", self.pod),
            status,
            message,
        )
    }

    /// `performance`: how much slower each Service answers under stress.
    fn performance(&self, seen: &Observations, began: Instant, undone: Instant) -> Vec<Check> {
        let id = format!("{NAME}.performance");
        let longest = self.settings.max_slowdown;
        let long_ago = began.checked_sub(Duration::from_secs(3600));
        let long_ago = long_ago.unwrap_or(began);
        let mut checks = Vec::new();
        let of_health = seen.services.iter().filter(|one| one.question.is_health());
        for service in of_health {
            let object = format!("service/{}", service.availability.service);
            let before = service.median_ms(long_ago, began);
            checks.push(match before.zip(service.median_ms(began, undone)) {
                Some((before, during)) => Check::judge(
                    during <= before * longest,
                    &id,
                    object,
                    format!(
                        "median answer {before:.1} ms before, {during:.1} ms under stress; \
                         at most {longest} times is right"
                    ),
                ),
                None => Check::unknown(&id, object, "too few answers to compare"),
            });
        }
        checks
    }

    /// `autoscaling`: what autoscalers made of it.
    fn autoscaling(&self) -> Check {
        let id = format!("{NAME}.autoscaling");
        if self.scalers_before.is_empty() {
            return Check::skipped(&id, "", "no autoscaler is in this namespace");
        }
        let later = self.last_look.as_ref().map(|look| look.scalers.as_slice());
        let words = self.scalers_before.iter().map(|(name, before)| {
            let after = later
                .unwrap_or_default()
                .iter()
                .find(|(other, _)| other == name)
                .map_or(*before, |(_, n)| *n);
            format!("{name} wanted {before} replicas before and {after} under stress")
        });
        Check::pass(&id, "", words.collect::<Vec<_>>().join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(trouble: &str) -> Vec<Brief> {
        vec![Brief {
            name: "p".into(),
            owner: None,
            ready: false,
            leaving: false,
            phase: "Pending".into(),
            trouble: Some(trouble.into()),
            restarts: 0,
        }]
    }

    #[test]
    fn why_a_stress_pod_does_not_run_is_told_apart() {
        let why = |trouble: &str| super::trouble(&pod(trouble));
        assert!(
            why("Unschedulable: 0/1 nodes are available")
                .is_some_and(|why| why.contains("can't be scheduled"))
        );
        assert!(why("OOMKilled").is_some_and(|why| why.contains("memory limit")));
        assert!(why("ImagePullBackOff").is_some_and(|why| why.contains("image")));
        assert_eq!(why("ContainerCreating"), None);
    }

    #[test]
    fn a_metrics_api_that_was_too_slow_for_the_fault_is_a_finding_and_no_failure() {
        let usage = |cores| Usage { cores, bytes: 1e9 };
        let seen = |shown| shown_by_metrics(shown, usage(2.0));
        assert_eq!(seen(Some(usage(2.0))).0, Status::Pass);
        let (status, message) = seen(Some(usage(0.1)));
        assert_eq!(status, Status::Warn, "{message}");
        let (status, message) = seen(None);
        assert_eq!(status, Status::Warn);
        assert!(message.contains("no figures of this pod yet"), "{message}");
    }
}
