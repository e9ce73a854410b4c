//! Are all pods running and ready, do they stay so, and within their limits?

use std::collections::{BTreeMap, BTreeSet, HashSet};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use uuid::Uuid;

use chaos_common::cluster::metrics::{Sample, Usage, quantity};
use chaos_common::cluster::workload_of;
use chaos_common::cluster::{ReadError, is_ready};
use chaos_common::config::{Config, Limits};
use chaos_common::record::{Check, Placement, Status, SystemState, Time, WorkloadRef};

/// A pod that stays longer than this after its grace period is stuck.
const STUCK_AFTER_MS: i64 = 10_000;
/// So many restarts, the last within the window, are a crash loop even between two crashes.
const CRASHES: i32 = 3;
/// The metrics API may not know a pod that is younger than this.
const METRICS_DELAY_MS: i64 = 90_000;
/// A Job's pod may take so long to start: Jobs come and go on a healthy system.
const JOB_START_MS: i64 = 60_000;
/// So many pods in trouble are named, for each status; the others are counted.
const NAMED: usize = 100;
/// The nodes of a workload are kept if they are not more: beyond that a record would grow with the
/// cluster.
const NODES: usize = 50;

/// What a pod is judged by besides itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub(super) namespace: &'a str,
    pub(super) now: Time,
    pub(super) window_ms: i64,
    pub(super) limits: &'a Limits,
    pub(super) usage: &'a Result<Usage, ReadError>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(
        config: &'a Config,
        namespace: &'a str,
        now: Time,
        usage: &'a Result<Usage, ReadError>,
    ) -> Rules<'a> {
        Rules {
            namespace,
            now,
            window_ms: window_ms(config),
            limits: &config.limits,
            usage,
        }
    }
}

/// How far back things count, in milliseconds.
pub(super) fn window_ms(config: &Config) -> i64 {
    i64::try_from(config.health.window.0.as_millis()).unwrap_or(i64::MAX)
}

/// What is kept of the pods of a namespace: counts, those in trouble, and sums for each workload.
/// The pods themselves are looked at once, as they come.
#[derive(Clone, Debug, Default)]
pub(super) struct Survey {
    pub(super) total: usize,
    good: usize,
    failing: Troubled,
    unclear: Troubled,
    passing: Troubled,
    owners: BTreeMap<WorkloadRef, Owned>,
    /// Nodes by name, each once: what follows counts them by number.
    nodes: BTreeMap<String, u32>,
    /// Claims that pods use.
    pub(super) claims: BTreeSet<String>,
    /// Pods that can have an address: all but those that have ended.
    pub(super) alive: HashSet<Uuid>,
    usage: Used,
}

/// Pods in trouble of one status: some by name, the others counted by what is wrong with them.
#[derive(Clone, Debug, Default)]
struct Troubled {
    named: Vec<(String, String)>,
    others: usize,
}

/// What the pods of one workload add up to.
#[derive(Clone, Debug, Default)]
struct Owned {
    restarts: i64,
    /// Containers that have restarted within the window, and why the latest did.
    recent: usize,
    latest: Option<(Time, String)>,
    used: Option<Sample>,
    /// Its pods that have not ended, by the node that they are on.
    on: BTreeMap<u32, u32>,
}

/// What the ready pods use.
#[derive(Clone, Debug, Default)]
struct Used {
    measured: usize,
    young: usize,
    /// Pods without figures.
    missing: Troubled,
    over: Troubled,
    sum: Sample,
    requested: Sample,
}

impl Troubled {
    fn add(&mut self, name: &str, why: String) {
        if self.named.len() < NAMED {
            self.named.push((name.to_owned(), why));
        } else {
            self.others += 1;
        }
    }

    fn checks<'a>(
        &'a self,
        id: &'a str,
        status: Status,
        namespace: &'a str,
    ) -> impl Iterator<Item = Check> + 'a {
        let named = self.named.iter().map(move |(name, why)| {
            Check::new(id, format!("pod/{name}"), status, why.clone())
                .hint(format!("kubectl describe pod {name} -n {namespace}"))
        });
        let others = (self.others > 0).then(|| {
            let message = format!(
                "{} more pods besides the {NAMED} that are named",
                self.others
            );
            Check::new(id, format!("namespace/{namespace}"), status, message)
                .hint(format!("kubectl get pods -n {namespace}"))
        });
        named.chain(others)
    }
}

impl Survey {
    pub(super) fn add(&mut self, pod: &Pod, rules: &Rules) {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        self.total += 1;
        match trouble(pod, rules.now, rules.window_ms) {
            None => self.good += 1,
            Some((Status::Fail, why)) => self.failing.add(name, why),
            Some((Status::Unknown, why)) => self.unclear.add(name, why),
            Some((_, why)) => self.passing.add(name, why),
        }
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        if !matches!(phase, Some("Succeeded" | "Failed")) {
            self.alive.extend(
                pod.metadata
                    .uid
                    .as_deref()
                    .and_then(|uid| uid.parse::<Uuid>().ok()),
            );
            let volumes = pod
                .spec
                .iter()
                .flat_map(|spec| spec.volumes.iter().flatten());
            let claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
            self.claims
                .extend(claims.map(|claim| claim.claim_name.clone()));
        }
        let used = self.measure(pod, name, rules);
        let owner = workload_of(pod).unwrap_or_else(|| WorkloadRef {
            kind: "Pod".to_owned(),
            namespace: rules.namespace.to_owned(),
            name: name.to_owned(),
        });
        let statuses = containers(pod);
        let restarts: i64 = statuses
            .clone()
            .map(|container| i64::from(container.restart_count))
            .sum();
        let recent: Vec<_> = statuses
            .filter_map(|container| restarted(container, rules))
            .collect();
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref());
        let ended = matches!(phase, Some("Succeeded" | "Failed"))
            || pod.metadata.deletion_timestamp.is_some();
        let node = node.filter(|_| {
            !ended
                && matches!(
                    owner.kind.as_str(),
                    "Deployment" | "StatefulSet" | "DaemonSet"
                )
        });
        if restarts == 0 && used.is_none() && recent.is_empty() && node.is_none() {
            return;
        }
        let node = node.map(|node| self.number(node));
        let sums = self.owners.entry(owner).or_default();
        let own = pod
            .status
            .as_ref()
            .and_then(|status| status.container_statuses.as_deref())
            .unwrap_or_default();
        sums.restarts += own
            .iter()
            .map(|container| i64::from(container.restart_count))
            .sum::<i64>();
        sums.recent += recent.len();
        if let Some(node) = node {
            *sums.on.entry(node).or_default() += 1;
        }
        sums.latest = sums
            .latest
            .take()
            .into_iter()
            .chain(recent)
            .max_by_key(|(time, _)| *time);
        if let Some(sample) = used {
            sums.used = Some(sums.used.unwrap_or_default() + sample);
        }
    }

    fn number(&mut self, node: &str) -> u32 {
        if let Some(number) = self.nodes.get(node) {
            return *number;
        }
        let number = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.insert(node.to_owned(), number);
        number
    }

    /// Compares what a ready pod uses with its limits.
    fn measure(&mut self, pod: &Pod, name: &str, rules: &Rules) -> Option<Sample> {
        let usage = rules.usage.as_ref().ok()?;
        let sample = usage.get(name).copied();
        if !is_ready(pod) {
            return sample;
        }
        let Some(sample) = sample else {
            let born = pod
                .metadata
                .creation_timestamp
                .as_ref()
                .map(|time| Time(time.0));
            if born.is_some_and(|born| rules.now.since_ms(born) < METRICS_DELAY_MS) {
                self.usage.young += 1;
            } else {
                self.usage
                    .missing
                    .add(name, "the metrics API has no figures for it".to_owned());
            }
            return None;
        };
        self.usage.measured += 1;
        let (cpu_request, cpu_limit) = bounds(pod, "cpu");
        let (memory_request, memory_limit) = bounds(pod, "memory");
        self.usage.sum = self.usage.sum + sample;
        self.usage.requested = self.usage.requested
            + Sample {
                cpu_cores: cpu_request,
                memory_bytes: memory_request,
            };
        for (what, used, limit, most) in [
            (
                "processor",
                sample.cpu_cores,
                cpu_limit,
                rules.limits.pod_cpu_percent,
            ),
            (
                "memory",
                sample.memory_bytes,
                memory_limit,
                rules.limits.pod_memory_percent,
            ),
        ] {
            let Some(limit) = limit.filter(|limit| *limit > 0.0) else {
                continue;
            };
            let percent = used / limit * 100.0;
            if percent > most {
                let why = format!(
                    "uses {percent:.0} % of its {what} limit; at most {most:.0} % is normal"
                );
                self.usage.over.add(name, why);
            }
        }
        Some(sample)
    }

    /// `pods.ready`: one check for every pod in trouble, and one that counts the others.
    pub(super) fn judge(&self, namespace: &str) -> Vec<Check> {
        const ID: &str = "pods.ready";
        let mut checks = Vec::new();
        if self.total == 0 {
            checks.push(
                Check::unknown(ID, format!("namespace/{namespace}"), "there are no pods")
                    .hint("is this the right namespace?"),
            );
        } else if self.good > 0 {
            let message = format!(
                "{} of {} pods are running and ready, or done",
                self.good, self.total
            );
            checks.push(Check::pass(ID, format!("namespace/{namespace}"), message));
        }
        checks.extend(self.failing.checks(ID, Status::Fail, namespace));
        checks.extend(self.unclear.checks(ID, Status::Unknown, namespace));
        checks.extend(self.passing.checks(ID, Status::Warn, namespace));
        checks
    }

    /// `pods.restarts`: a warning for every workload whose containers have restarted lately.
    pub(super) fn judge_restarts(
        &self,
        namespace: &str,
        window: chaos_common::config::Span,
    ) -> Vec<Check> {
        const ID: &str = "pods.restarts";
        let restarted = self.owners.iter().filter(|(_, owned)| owned.recent > 0);
        let mut checks: Vec<Check> = restarted
            .map(|(owner, owned)| {
                let why = owned
                    .latest
                    .as_ref()
                    .map(|(_, why)| format!("; the latest: {why}"))
                    .unwrap_or_default();
                let message = format!(
                    "{} containers have restarted in the last {window}{why}",
                    owned.recent
                );
                Check::new(ID, owner.to_string(), Status::Warn, message)
                    .hint(format!("kubectl logs --previous -n {namespace} {owner}"))
            })
            .collect();
        if checks.is_empty() {
            let message = format!("no container has restarted in the last {window}");
            checks.push(Check::pass(ID, format!("namespace/{namespace}"), message));
        }
        checks
    }

    /// `pods.usage`: is every pod within its limits?
    pub(super) fn judge_usage(
        &self,
        namespace: &str,
        usage: &Result<Usage, ReadError>,
    ) -> Vec<Check> {
        const ID: &str = "pods.usage";
        let object = format!("namespace/{namespace}");
        if let Err(error) = usage {
            return vec![error.check(ID, object)];
        }
        let Used {
            measured,
            young,
            missing,
            over,
            sum,
            requested,
        } = &self.usage;
        let mut checks: Vec<Check> = over
            .checks(ID, Status::Fail, namespace)
            .chain(missing.checks(ID, Status::Unknown, namespace))
            .map(|check| check.hint(format!("kubectl top pods -n {namespace}")))
            .collect();
        if *measured > 0 && checks.is_empty() {
            let late = if *young > 0 {
                format!("; {young} too new to have figures")
            } else {
                String::new()
            };
            checks.push(Check::pass(
                ID,
                object,
                format!(
                    "{measured} pods use {:.2} cores and {:.0} MiB, within their limits (requested: {:.2} cores, {:.0} MiB){late}",
                    sum.cpu_cores,
                    sum.memory_bytes / 1_048_576.0,
                    requested.cpu_cores,
                    requested.memory_bytes / 1_048_576.0,
                ),
            ));
        } else if checks.is_empty() {
            checks.push(Check::unknown(
                ID,
                object,
                "the metrics API has no figures for any pod yet",
            ));
        }
        checks
    }

    /// Adds restarts, use and places to the workloads that the pods belong to.
    pub(super) fn add_to(&self, state: &mut SystemState) {
        let names: BTreeMap<u32, &String> = self
            .nodes
            .iter()
            .map(|(name, number)| (*number, name))
            .collect();
        for workload in &mut state.workloads {
            let Some(owned) = self.owners.get(&workload.workload) else {
                continue;
            };
            workload.restarts += owned.restarts;
            if owned.on.len() <= NODES {
                let place = |(number, pods): (&u32, &u32)| {
                    Some(Placement {
                        node: (*names.get(number)?).clone(),
                        pods: *pods,
                    })
                };
                workload.nodes = owned.on.iter().filter_map(place).collect();
                workload.nodes.sort_by(|a, b| a.node.cmp(&b.node));
            }
            if let Some(sample) = owned.used {
                *workload.cpu_cores.get_or_insert(0.0) += sample.cpu_cores;
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a size in bytes"
                )]
                let bytes = sample.memory_bytes as u64;
                *workload.memory_bytes.get_or_insert(0) += bytes;
            }
        }
    }
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> + Clone {
    let status = pod.status.as_ref();
    let own = status
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default();
    let init = status
        .and_then(|status| status.init_container_statuses.as_deref())
        .unwrap_or_default();
    own.iter().chain(init)
}

/// When and why a container last restarted, if that was within the window.
fn restarted(container: &ContainerStatus, rules: &Rules) -> Option<(Time, String)> {
    let last = container.last_state.as_ref()?.terminated.as_ref()?;
    let end = Time(last.finished_at.as_ref()?.0);
    let recently = container.restart_count > 0 && rules.now.since_ms(end) < rules.window_ms;
    recently.then(|| {
        let reason = last.reason.as_deref().unwrap_or("ended");
        (
            end,
            format!(
                "container {}, {reason}, exit status {}",
                container.name, last.exit_code
            ),
        )
    })
}

/// What is wrong with one pod; `None` if it runs and is ready, or has done its work.
fn trouble(pod: &Pod, now: Time, window_ms: i64) -> Option<(Status, String)> {
    let status = pod.status.as_ref();
    let phase = status
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Unknown");
    if let Some(deletion) = &pod.metadata.deletion_timestamp {
        // The timestamp holds the grace period already.
        let over = now.since_ms(Time(deletion.0));
        return Some(if over > STUCK_AFTER_MS {
            (
                Status::Fail,
                format!(
                    "stuck in Terminating for {} s after its grace period",
                    over / 1000
                ),
            )
        } else {
            (Status::Warn, "is terminating".to_owned())
        });
    }
    let owner = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let of_job = owner.iter().any(|owner| owner.kind == "Job");
    match phase {
        "Succeeded" => return None,
        "Failed" => {
            let why = status.and_then(|status| match (&status.reason, &status.message) {
                (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
                (one, other) => one.clone().or_else(|| other.clone()),
            });
            let why = why.or_else(|| containers(pod).find_map(ended));
            let why = why.unwrap_or_else(|| "no reason given".to_owned());
            return Some((
                if of_job { Status::Warn } else { Status::Fail },
                format!("has failed: {why}"),
            ));
        }
        _ => {}
    }
    for container in containers(pod) {
        if let Some(why) = container_trouble(container, now, window_ms) {
            return Some((Status::Fail, format!("container {}: {why}", container.name)));
        }
    }
    let conditions = status
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    if phase == "Pending" {
        let unscheduled = conditions
            .iter()
            .find(|c| c.type_ == "PodScheduled" && c.status == "False");
        let why = unscheduled.and_then(|c| c.message.clone()).or_else(|| {
            let waiting = |c: &ContainerStatus| c.state.as_ref()?.waiting.as_ref()?.reason.clone();
            let running = |c: &&ContainerStatus| {
                c.state
                    .as_ref()
                    .is_some_and(|state| state.running.is_some())
            };
            let init = containers(pod)
                .find(running)
                .map(|c| format!("container {} prepares it", c.name));
            init.or_else(|| containers(pod).find_map(waiting))
        });
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        let born = pod
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| Time(time.0));
        let young = of_job
            && unscheduled.is_none()
            && born.is_some_and(|born| now.since_ms(born) < JOB_START_MS);
        return Some((
            if young { Status::Warn } else { Status::Fail },
            format!("is Pending{why}"),
        ));
    }
    if phase != "Running" {
        return Some((
            Status::Unknown,
            format!("is in phase {phase}: its node does not report"),
        ));
    }
    if is_ready(pod) {
        return None;
    }
    let gate = conditions.iter().find(|c| {
        c.status != "True"
            && !matches!(
                c.type_.as_str(),
                "Ready"
                    | "ContainersReady"
                    | "DisruptionTarget"
                    | "PodResizePending"
                    | "PodResizeInProgress"
            )
    });
    let unready = containers(pod).find(|container| !container.ready);
    let why = match (unready, gate) {
        (Some(container), _) => {
            let why = ended(container)
                .unwrap_or_else(|| format!("container {} is not ready", container.name));
            format!(": {why}")
        }
        (None, Some(gate)) => format!(": its condition {} is {}", gate.type_, gate.status),
        (None, None) => String::new(),
    };
    Some((Status::Fail, format!("is Running but not ready{why}")))
}

/// How a container ended, if it did and badly.
fn ended(container: &ContainerStatus) -> Option<String> {
    let end = container.state.as_ref()?.terminated.as_ref()?;
    let reason = end.reason.as_deref().unwrap_or("ended");
    (end.exit_code != 0).then(|| {
        format!(
            "container {}: {reason}, exit status {}",
            container.name, end.exit_code
        )
    })
}

fn container_trouble(container: &ContainerStatus, now: Time, window_ms: i64) -> Option<String> {
    let state = container.state.as_ref();
    let last = container
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref());
    let cause = || match last {
        Some(last) => {
            let reason = last.reason.as_deref().filter(|reason| *reason != "Error");
            let reason = reason
                .map(|reason| format!("{reason}, "))
                .unwrap_or_default();
            format!(", the last with {reason}exit status {}", last.exit_code)
        }
        None => String::new(),
    };
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        if reason == "CrashLoopBackOff" {
            return Some(format!(
                "crash loop, {} restarts{}",
                container.restart_count,
                cause()
            ));
        }
        if !matches!(reason, "ContainerCreating" | "PodInitializing") {
            let message = waiting
                .message
                .as_deref()
                .map(|m| format!(": {m}"))
                .unwrap_or_default();
            return Some(format!("{reason}{message}"));
        }
    }
    let last = last?;
    let recently = last
        .finished_at
        .as_ref()
        .is_some_and(|end| now.since_ms(Time(end.0)) < window_ms);
    (container.restart_count >= CRASHES && recently && last.exit_code != 0).then(|| {
        format!(
            "crash loop, {} restarts{}",
            container.restart_count,
            cause()
        )
    })
}

/// Sums of a pod's requests and limits; a limit only counts if every container has one.
fn bounds(pod: &Pod, resource: &str) -> (f64, Option<f64>) {
    let containers = pod
        .spec
        .as_ref()
        .map(|spec| spec.containers.as_slice())
        .unwrap_or_default();
    let (mut requests, mut limits) = (0.0, Some(0.0));
    for container in containers {
        let bounds = container.resources.as_ref();
        let request =
            bounds.and_then(|bounds| quantity(&bounds.requests.as_ref()?.get(resource)?.0));
        let limit = bounds.and_then(|bounds| quantity(&bounds.limits.as_ref()?.get(resource)?.0));
        requests += request.unwrap_or(0.0);
        limits = limits.zip(limit).map(|(sum, limit)| sum + limit);
    }
    (requests, limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: &str = "2026-11-22T16:00:00Z";

    fn now() -> Time {
        serde_json::from_value(serde_json::json!(NOW)).expect("a time")
    }

    fn pod(yaml: &str) -> Pod {
        serde_saphyr::from_str(yaml).expect("a pod")
    }

    fn status_of(yaml: &str) -> Option<Status> {
        trouble(&pod(yaml), now(), 600_000).map(|(status, _)| status)
    }

    fn survey(pods: &[Pod], usage: &Result<Usage, ReadError>) -> Survey {
        let limits = Limits::default();
        let rules = Rules {
            namespace: "shop",
            now: now(),
            window_ms: 600_000,
            limits: &limits,
            usage,
        };
        let mut survey = Survey::default();
        for pod in pods {
            survey.add(pod, &rules);
        }
        survey
    }

    #[test]
    fn a_ready_pod_and_a_finished_one_are_no_trouble() {
        assert_eq!(
            status_of("{status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}"),
            None
        );
        assert_eq!(status_of("{status: {phase: Succeeded}}"), None);
    }

    #[test]
    fn a_pod_stuck_in_terminating_fails_and_one_within_its_grace_does_not() {
        let terminating = |at: &str| {
            status_of(&format!(
                "{{metadata: {{deletionTimestamp: '{at}'}}, status: {{phase: Running, conditions: [{{type: Ready, status: 'True'}}]}}}}"
            ))
        };
        assert_eq!(terminating("2026-11-22T15:59:00Z"), Some(Status::Fail));
        assert_eq!(terminating("2026-11-22T16:00:20Z"), Some(Status::Warn));
    }

    #[test]
    fn a_crash_loop_fails_even_while_the_container_runs() {
        let yaml = |finished: &str, count: u8| {
            status_of(&format!(
                "{{status: {{phase: Running, conditions: [{{type: Ready, status: 'True'}}], containerStatuses: [{{name: a, image: i, imageID: i, ready: true,
                 restartCount: {count}, state: {{running: {{}}}}, lastState: {{terminated: {{exitCode: 1, finishedAt: '{finished}'}}}}}}]}}}}"
            ))
        };
        assert_eq!(yaml("2026-11-22T15:58:00Z", 4), Some(Status::Fail));
        assert_eq!(yaml("2026-11-20T15:58:00Z", 4), None);
        assert_eq!(yaml("2026-11-22T15:58:00Z", 1), None);
    }

    #[test]
    fn no_pods_is_unknown() {
        assert_eq!(Survey::default().judge("shop")[0].status, Status::Unknown);
    }

    #[test]
    fn thousands_in_trouble_are_counted_and_only_some_are_named() {
        let broken = pod("{metadata: {name: p}, status: {phase: Running}}");
        let good = pod("{status: {phase: Succeeded}}");
        let mut pods = vec![broken; 5000];
        pods.push(good);
        let checks = survey(&pods, &Ok(Usage::new())).judge("shop");
        assert_eq!(checks.len(), NAMED + 2);
        assert_eq!(
            checks[0].message,
            "1 of 5001 pods are running and ready, or done"
        );
        let last = &checks[NAMED + 1];
        assert_eq!(
            (last.status, last.message.starts_with("4900 more pods")),
            (Status::Fail, true)
        );
    }

    #[test]
    fn restarts_within_the_window_are_a_warning_for_their_workload() {
        let yaml = |finished: &str| {
            pod(&format!(
                "{{metadata: {{name: p, namespace: shop, ownerReferences: [{{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: u, controller: true}}]}},
                status: {{phase: Running, conditions: [{{type: Ready, status: 'True'}}], containerStatuses: [{{name: a, image: i, imageID: i, ready: true,
                restartCount: 2, lastState: {{terminated: {{exitCode: 137, reason: OOMKilled, finishedAt: '{finished}'}}}}}}]}}}}"
            ))
        };
        let of = |finished| {
            survey(&[yaml(finished)], &Ok(Usage::new()))
                .judge_restarts("shop", chaos_common::config::Span::seconds(600))
        };
        let recent = of("2026-11-22T15:55:00Z");
        assert_eq!(
            (recent[0].status, recent[0].object.as_deref()),
            (Status::Warn, Some("statefulset/db"))
        );
        assert!(recent[0].message.contains("OOMKilled"), "{recent:?}");
        assert_eq!(of("2026-11-22T15:45:00Z")[0].status, Status::Pass);
    }

    const MEASURED: &str = "{metadata: {name: a, creationTimestamp: '2026-11-22T10:00:00Z'},
        spec: {containers: [{name: c, resources: {limits: {cpu: '1', memory: 100Mi}}}]},
        status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}";

    #[test]
    fn a_pod_near_its_memory_limit_fails() {
        let usage = Ok([(
            "a".to_owned(),
            Sample {
                cpu_cores: 0.1,
                memory_bytes: 95.0 * 1_048_576.0,
            },
        )]
        .into());
        let checks = survey(&[pod(MEASURED)], &usage).judge_usage("shop", &usage);
        assert_eq!(checks[0].status, Status::Fail, "{checks:?}");
    }

    #[test]
    fn an_old_pod_without_figures_is_unknown() {
        let usage = Ok(Usage::new());
        let checks = survey(&[pod(MEASURED)], &usage).judge_usage("shop", &usage);
        assert_eq!(checks[0].status, Status::Unknown, "{checks:?}");
    }
}
