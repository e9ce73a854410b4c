//! Resource exhaustion: a pod that burns processor time and holds memory beside the application's,
//! with requests, limits and a deadline of its own, and no rights. That it runs proves nothing;
//! what its own cgroup counts does.

use std::time::Duration;

use async_trait::async_trait;
use chaos_common::cluster::metrics::{self, quantity};
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::{Config, Span};
use chaos_common::exit::Failure;
use chaos_common::record::{Change, Check, EventKind, Plan, Target, WorkloadRef};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::abort::Abort;
use crate::change::apply::Applied;
use crate::context::Context;
use crate::experiments::Definition;
use crate::observe::Seen;
use crate::observe::pod_watch::{Brief, PodWatch};
use crate::permissions::{need, need_one};
use crate::plan::Draft;
use crate::plan::rollback_script::EXPERIMENT_LABEL;
use crate::plan::target::Selection;
use crate::run::fault::{End, Fault};

const NAME: &str = "resource-exhaustion";
/// Time for the pod to run.
const START: Duration = Duration::from_secs(60);
/// Time for its use to rise.
const RISE: Duration = Duration::from_secs(20);
/// Between two readings of its cgroup.
const READING: Duration = Duration::from_secs(1);
/// The least share of what it was told to use that counts as an effect, in per cent: others want
/// the processor, too.
const LEAST_PERCENT: f64 = 20.0;
/// A cluster-side deadline on top of the duration, for a pod that nobody can delete.
const SLACK: Duration = Duration::from_secs(30);

/// What a cgroup has counted.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Reading {
    at: Instant,
    cpu_seconds: f64,
    memory_bytes: f64,
}

/// `[experiment.resource_exhaustion]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Image whose entry point understands `stress`'s arguments, or in which `command` names it.
    pub image: String,
    /// Program that is run in it; the image's entry point if left out.
    pub command: Vec<String>,
    /// Processes that burn processor time.
    pub cpu_workers: u32,
    /// Processes that hold memory.
    pub memory_workers: u32,
    /// Memory that each of them holds, in MiB.
    pub memory_mib: u32,
    /// The pod's request for processor time, in Kubernetes' notation.
    pub cpu_request: String,
    /// Its limit.
    pub cpu_limit: String,
    /// The pod's request for memory.
    pub memory_request: String,
    /// Its limit.
    pub memory_limit: String,
    /// How long it lasts. The pod has this as a deadline of its own.
    pub duration: Span,
    /// How many times the median answer of a Service may take while the stress is on.
    pub max_slowdown: f64,
    /// Longest time from its end until all is whole again.
    pub recovery_limit: Span,
    /// Alerts that must fire.
    pub alerts: Vec<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            image: "stress:latest".to_owned(),
            command: Vec::new(),
            cpu_workers: 4,
            memory_workers: 2,
            memory_mib: 256,
            cpu_request: "2".to_owned(),
            cpu_limit: "4".to_owned(),
            memory_request: "2Gi".to_owned(),
            memory_limit: "4Gi".to_owned(),
            duration: Span::seconds(60),
            max_slowdown: 10.0,
            recovery_limit: Span::seconds(120),
            alerts: Vec::new(),
        }
    }
}

/// The experiment.
#[derive(Debug)]
pub struct ResourceExhaustion {
    settings: Settings,
    pods: Option<PodWatch>,
    pod: Option<String>,
    made: Option<Instant>,
    undone: Option<Instant>,
    first: Option<Reading>,
    /// Processor time in cores and memory in bytes, from the first reading to the last.
    used: Option<(f64, f64)>,
    /// What the metrics API said at the end.
    metrics: Option<Result<(f64, f64), String>>,
    scalers_before: Vec<(String, i32)>,
    scalers_after: Vec<(String, i32)>,
}

impl ResourceExhaustion {
    fn manifest(&self, name: &str, namespace: &str) -> Value {
        let s = &self.settings;
        let (cpu, memory) = (s.cpu_workers.to_string(), s.memory_workers.to_string());
        let mut args = Vec::new();
        if s.cpu_workers > 0 {
            args.extend(["-c".to_owned(), cpu]);
        }
        if s.memory_workers > 0 {
            let bytes = format!("{}M", s.memory_mib);
            args.extend([
                "-m".to_owned(),
                memory,
                "--vm-bytes".to_owned(),
                bytes,
                "--vm-keep".to_owned(),
            ]);
        }
        let mut container = json!({
            "name": "stress", "image": s.image, "imagePullPolicy": "IfNotPresent", "args": args,
            "resources": {
                "requests": { "cpu": s.cpu_request, "memory": s.memory_request },
                "limits": { "cpu": s.cpu_limit, "memory": s.memory_limit },
            },
            "securityContext": {
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "runAsNonRoot": true,
                "runAsUser": 65534, "runAsGroup": 65534, "capabilities": { "drop": ["ALL"] },
                "seccompProfile": { "type": "RuntimeDefault" },
            },
        });
        if !s.command.is_empty() {
            container["command"] = json!(s.command);
        }
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "namespace": namespace, "labels": { EXPERIMENT_LABEL: NAME } },
            "spec": {
                "restartPolicy": "Never", "automountServiceAccountToken": false, "terminationGracePeriodSeconds": 1,
                "activeDeadlineSeconds": (s.duration.0 + START + SLACK).as_secs(), "containers": [container],
            },
        })
    }

    /// Cores that it can use: as many as it has workers, but no more than its limit.
    fn cores(&self) -> f64 {
        quantity(&self.settings.cpu_limit)
            .unwrap_or(f64::MAX)
            .min(f64::from(self.settings.cpu_workers))
    }

    /// Bytes that its workers hold.
    fn bytes(&self) -> f64 {
        f64::from(self.settings.memory_workers)
            * f64::from(self.settings.memory_mib)
            * 1024.0
            * 1024.0
    }

    /// Whether the use is an effect.
    fn is_felt(&self, cores: f64, bytes: f64) -> bool {
        let least = LEAST_PERCENT / 100.0;
        cores >= self.cores() * least && bytes >= self.bytes() * least
    }

    /// What is left of the pod, where it does not run: why.
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

    async fn reading(&self, cluster: &Cluster, pod: &Pod) -> Result<Reading, String> {
        // Version 2 of cgroups, then version 1.
        let files = [
            ["/sys/fs/cgroup/cpu.stat", "/sys/fs/cgroup/memory.current"],
            [
                "/sys/fs/cgroup/cpuacct/cpuacct.usage",
                "/sys/fs/cgroup/memory/memory.usage_in_bytes",
            ],
        ];
        let mut last = String::new();
        for [cpu, memory] in files {
            let read = cluster
                .exec(pod, &["cat", cpu, memory], Duration::from_secs(5), 1 << 16)
                .await;
            let at = Instant::now();
            match read {
                Ok(read) if read.code == 0 => {
                    let text = String::from_utf8_lossy(&read.stdout).into_owned();
                    let (cpu_seconds, memory_bytes) = counted(&text).ok_or_else(|| {
                        format!("its cgroup says {text:?}, which can't be understood")
                    })?;
                    return Ok(Reading {
                        at,
                        cpu_seconds,
                        memory_bytes,
                    });
                }
                Ok(read) => last = read.stderr,
                Err(error) => last = error.to_string(),
            }
        }
        Err(format!("its cgroup can't be read: {last}"))
    }

    async fn pod_object(&self, context: &Context) -> Option<Pod> {
        let api: Api<Pod> = Api::namespaced(context.cluster.client.clone(), &context.namespace);
        api.get(self.pod.as_ref()?).await.ok()
    }
}

/// Seconds of processor time and bytes of memory, from `cpu.stat` and `memory.current`, or from
/// version 1's two numbers.
fn counted(text: &str) -> Option<(f64, f64)> {
    let memory: f64 = text.lines().last()?.trim().parse().ok()?;
    let usec = text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec ")?.trim().parse::<f64>().ok());
    let cpu = match usec {
        Some(microseconds) => microseconds / 1e6,
        None => text.lines().next()?.trim().parse::<f64>().ok()? / 1e9,
    };
    (text.lines().count() > 1).then_some((cpu, memory))
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

impl Definition for ResourceExhaustion {
    const NAME: &'static str = NAME;
    const ABOUT: &'static str = "Burn processor time and hold memory beside the application";
    type Settings = Settings;

    fn new(_selection: &Selection, settings: Settings, _config: &Config) -> Result<Self, Failure> {
        Ok(ResourceExhaustion {
            settings,
            pods: None,
            pod: None,
            made: None,
            undone: None,
            first: None,
            used: None,
            metrics: None,
            scalers_before: Vec::new(),
            scalers_after: Vec::new(),
        })
    }
}

#[async_trait(?Send)]
impl Fault for ResourceExhaustion {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn plan(&self, context: &Context) -> Result<Plan, ReadError> {
        let namespace = &context.namespace;
        let object = context.own_object("v1", "Pod", "pods", format!("chaos-{NAME}"));
        let manifest = self.manifest(&object.name, namespace);
        let mut checks = Vec::new();
        let s = &self.settings;
        for text in [
            &s.cpu_request,
            &s.cpu_limit,
            &s.memory_request,
            &s.memory_limit,
        ] {
            if quantity(text).is_none() {
                let why = format!("{text:?} is not a quantity that Kubernetes knows");
                checks.push(Check::fail(
                    "limit.targets",
                    "experiment.resource_exhaustion",
                    why,
                ));
            }
        }
        if s.cpu_workers + s.memory_workers == 0 {
            let why = "neither cpu_workers nor memory_workers: nothing would be exhausted";
            checks.push(Check::fail(
                "limit.targets",
                "experiment.resource_exhaustion",
                why,
            ));
        }
        let owner = WorkloadRef {
            kind: "Namespace".to_owned(),
            namespace: namespace.clone(),
            name: namespace.clone(),
        };
        let target = Target {
            kind: "Namespace".to_owned(),
            namespace: namespace.clone(),
            name: namespace.clone(),
            uid: String::new(),
            owner,
            node: None,
        };
        let draft = Draft {
            experiment: NAME,
            targets: vec![target],
            permissions: vec![
                need(namespace, "list", "", "pods"),
                need(namespace, "watch", "", "pods"),
                need_one(namespace, "get", "", "pods", &object.name),
                need_one(namespace, "get", "", "pods/exec", &object.name),
                need_one(namespace, "create", "", "pods/exec", &object.name),
                need(namespace, "list", "metrics.k8s.io", "pods"),
                need(namespace, "list", "autoscaling", "horizontalpodautoscalers"),
            ],
            changes: vec![Change::Create { object, manifest }],
            blast_radius: Vec::new(),
            hold: s.duration.0,
            recovery_limit: s.recovery_limit.0,
            slack: Duration::ZERO,
            undo: "the pod is deleted; its own deadline would end it, too".to_owned(),
            affected: Vec::new(),
            alerts: s.alerts.clone(),
            checks,
        };
        draft.finish(context).await
    }

    async fn data_at_stake(&self, _context: &Context, _plan: &Plan) -> Result<bool, ReadError> {
        Ok(false)
    }

    async fn prepare(&mut self, context: &mut Context, plan: &Plan) -> Result<(), String> {
        let selector = format!(
            "{}={},{EXPERIMENT_LABEL}={NAME}",
            crate::labels::RUN_LABEL,
            context.run
        );
        self.pods = Some(PodWatch::start(&context.cluster, &context.namespace, &selector).await?);
        self.pod = plan
            .changes
            .first()
            .map(|change| change.object().name.clone());
        self.scalers_before = scalers(context).await;
        Ok(())
    }

    fn made(&mut self, _change: &Change, made: Applied) {
        self.made.get_or_insert(made.sent);
    }

    async fn effect(
        &mut self,
        context: &mut Context,
        _plan: &Plan,
    ) -> Result<Option<String>, String> {
        let watch = self.pods.as_mut().ok_or("nothing was made")?;
        let deadline = Instant::now() + START;
        let is_up = |pods: &crate::observe::pod_watch::Pods| {
            let pods: Vec<Brief> = pods.values().cloned().collect();
            pods.iter().any(|pod| pod.phase == "Running" && pod.ready)
                || Self::trouble(&pods).is_some()
        };
        let pods: Vec<Brief> = match watch.until(deadline, is_up).await {
            Ok(pods) | Err(pods) => pods.into_values().collect(),
        };
        if let Some(why) = Self::trouble(&pods) {
            return Err(why);
        }
        if !pods.iter().any(|pod| pod.ready) {
            return Err(format!("no stress pod runs after {} s", START.as_secs()));
        }
        let pod = self
            .pod_object(context)
            .await
            .ok_or("the stress pod is gone")?;
        let first = self.reading(&context.cluster, &pod).await?;
        self.first = Some(first);
        let deadline = Instant::now() + RISE;
        let mut before = first;
        let (mut cores, mut bytes);
        loop {
            sleep(READING).await;
            let now = self.reading(&context.cluster, &pod).await.map_err(|why| {
                let pods: Vec<Brief> = self
                    .pods
                    .iter()
                    .flat_map(|watch| watch.now().into_values())
                    .collect();
                Self::trouble(&pods).unwrap_or(why)
            })?;
            cores = (now.cpu_seconds - before.cpu_seconds)
                / now.at.duration_since(before.at).as_secs_f64();
            bytes = now.memory_bytes;
            if self.is_felt(cores, bytes) {
                break;
            }
            if Instant::now() >= deadline {
                return Err(format!(
                    "by its cgroup it uses {} and can't get more",
                    amounts(cores, bytes)
                ));
            }
            before = now;
        }
        Ok(Some(format!(
            "by its own cgroup the pod uses {}",
            amounts(cores, bytes)
        )))
    }

    async fn before_undo(&mut self, context: &mut Context, _plan: &Plan) {
        if let (Some(first), Some(pod)) = (self.first, self.pod_object(context).await) {
            match self.reading(&context.cluster, &pod).await {
                Ok(last) => {
                    let seconds = last.at.duration_since(first.at).as_secs_f64();
                    self.used = Some((
                        (last.cpu_seconds - first.cpu_seconds) / seconds,
                        last.memory_bytes,
                    ));
                }
                Err(why) => {
                    let pods: Vec<Brief> = self
                        .pods
                        .iter()
                        .flat_map(|watch| watch.now().into_values())
                        .collect();
                    context.issue(
                        EventKind::Observed,
                        None,
                        Self::trouble(&pods).unwrap_or(why),
                    );
                }
            }
        }
        let name = self.pod.clone().unwrap_or_default();
        self.metrics = Some(
            match metrics::pods(&context.cluster, &context.namespace).await {
                Ok(usage) => usage
                    .get(&name)
                    .map(|sample| (sample.cpu_cores, sample.memory_bytes))
                    .ok_or_else(|| format!("the metrics API has no figures of pod {name} yet")),
                Err(error) => Err(error.to_string()),
            },
        );
        self.scalers_after = scalers(context).await;
    }

    async fn restored(&mut self, context: &mut Context, _plan: &Plan, _abort: &mut Abort) -> End {
        self.undone.get_or_insert_with(Instant::now);
        let limit = self.settings.recovery_limit.0;
        let Some(watch) = &mut self.pods else {
            return End::Restored;
        };
        match watch
            .until(
                Instant::now() + limit,
                crate::observe::pod_watch::Pods::is_empty,
            )
            .await
        {
            Ok(_) => End::Restored,
            Err(pods) => End::NotRestored {
                what: format!(
                    "{} after {} s",
                    crate::observe::pod_watch::in_words(&pods),
                    limit.as_secs()
                ),
                hint: format!(
                    "kubectl delete pods -n {} -l {EXPERIMENT_LABEL}={NAME}",
                    context.namespace
                ),
            },
        }
    }

    fn judge(&self, _context: &Context, _plan: &Plan, seen: &Seen) -> Vec<Check> {
        let id = |what: &str| format!("{NAME}.{what}");
        let object = format!("pod/{}", self.pod.as_deref().unwrap_or_default());
        let wanted = amounts(self.cores(), self.bytes());
        let mut checks = Vec::new();
        checks.push(match self.used {
            Some((cores, bytes)) => {
                let message = format!(
                    "used {} by its own cgroup, and was told to use {wanted}",
                    amounts(cores, bytes)
                );
                if self.is_felt(cores, bytes) {
                    Check::pass(&id("usage"), &object, message)
                } else {
                    Check::unknown(&id("usage"), &object, message)
                }
            }
            None => Check::unknown(
                &id("usage"),
                &object,
                "its use could not be read up to the end",
            ),
        });
        checks.push(match &self.metrics {
            Some(Ok((cores, bytes))) => {
                let message = format!("the metrics API shows {}", amounts(*cores, *bytes));
                if self.is_felt(*cores, *bytes) {
                    Check::pass(&id("metrics"), &object, message)
                } else {
                    Check::unknown(&id("metrics"), &object, message)
                }
            }
            Some(Err(why)) => Check::unknown(&id("metrics"), &object, why.clone()),
            None => Check::unknown(&id("metrics"), &object, "the metrics API was not asked"),
        });
        if let (Some(made), Some(undone)) = (self.made, self.undone) {
            let longest = self.settings.max_slowdown;
            for service in &seen.services {
                let object = format!("service/{}", service.availability.service);
                let long_ago = made.checked_sub(Duration::from_secs(3600)).unwrap_or(made);
                let (before, during) = (
                    service.median_ms(long_ago, made),
                    service.median_ms(made, undone),
                );
                checks.push(match (before, during) {
                    (Some(before), Some(during)) => Check::judge(
                        during <= before * longest,
                        &id("performance"),
                        object,
                        format!("median answer {before:.1} ms before, {during:.1} ms under stress; at most {longest} times is right"),
                    ),
                    _ => Check::unknown(&id("performance"), object, "too few answers to compare"),
                });
            }
        }
        checks.push(if self.scalers_before.is_empty() {
            Check::skipped(&id("autoscaling"), "", "no autoscaler is in this namespace")
        } else {
            let words = self.scalers_before.iter().map(|(name, before)| {
                let after = self
                    .scalers_after
                    .iter()
                    .find(|(other, _)| other == name)
                    .map_or(*before, |(_, n)| *n);
                format!("{name} wanted {before} replicas before and {after} under stress")
            });
            Check::pass(&id("autoscaling"), "", words.collect::<Vec<_>>().join("; "))
        });
        checks
    }
}

fn amounts(cores: f64, bytes: f64) -> String {
    format!("{cores:.2} cores and {:.0} MiB", bytes / 1024.0 / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(trouble: &str) -> Vec<Brief> {
        vec![Brief {
            name: "p".into(),
            ready: false,
            leaving: false,
            phase: "Pending".into(),
            trouble: Some(trouble.into()),
            restarts: 0,
        }]
    }

    #[test]
    fn why_a_stress_pod_does_not_run_is_told_apart() {
        let why = |trouble: &str| ResourceExhaustion::trouble(&pod(trouble));
        assert!(
            why("Unschedulable: 0/1 nodes are available")
                .is_some_and(|why| why.contains("can't be scheduled"))
        );
        assert!(why("OOMKilled").is_some_and(|why| why.contains("memory limit")));
        assert!(why("ImagePullBackOff").is_some_and(|why| why.contains("image")));
        assert_eq!(why("ContainerCreating"), None);
    }

    #[test]
    fn both_versions_of_cgroups_are_read() {
        assert_eq!(
            counted("usage_usec 2500000\nuser_usec 1\nsystem_usec 1\n1048576\n"),
            Some((2.5, 1_048_576.0))
        );
        assert_eq!(counted("2500000000\n1048576\n"), Some((2.5, 1_048_576.0)));
        assert_eq!(counted(""), None);
    }

    #[test]
    fn the_pod_has_limits_a_deadline_and_no_rights() {
        let (nothing, config) = (Selection::default(), Config::default());
        let fault = ResourceExhaustion::new(&nothing, Settings::default(), &config)
            .expect("it needs no selection");
        let pod: Pod = serde_json::from_value(fault.manifest("x", "prod")).expect("a pod");
        let spec = pod.spec.expect("a spec");
        assert_eq!(spec.active_deadline_seconds, Some(150));
        assert_eq!(spec.automount_service_account_token, Some(false));
        let container = &spec.containers[0];
        assert_eq!(
            container.args.as_deref().unwrap_or_default().join(" "),
            "-c 4 -m 2 --vm-bytes 256M --vm-keep"
        );
        let security = container.security_context.clone().expect("one");
        assert_eq!(
            (
                security.run_as_non_root,
                security.allow_privilege_escalation
            ),
            (Some(true), Some(false))
        );
        assert!((fault.cores() - 4.0).abs() < 1e-9);
    }
}
