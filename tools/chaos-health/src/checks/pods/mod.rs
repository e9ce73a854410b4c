//! Are all pods running and ready, do they stay so, and within their limits?

mod troubled;
mod usage;

use std::collections::{BTreeMap, BTreeSet, HashSet};

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use uuid::Uuid;

use self::troubled::TroubledPods;
use self::usage::PodsUsage;
use super::catalogue::Explanation;
use chaos_common::cluster::ReadError;
use chaos_common::cluster::metrics::{Sample, Usage};
use chaos_common::cluster::pod_trouble::{PodTrouble, pod_trouble};
use chaos_common::cluster::{RUN_LABEL, is_ready, workload_of};
use chaos_common::config::{Config, Limits};
use chaos_common::record::{
    Check, Placement, Status, SystemState, Time, WorkloadRef, WorkloadState,
};

pub(super) use self::usage::USAGE;

/// `pods.ready`
pub(super) const READY: Explanation = Explanation {
    id: "pods.ready",
    asks: "Is every pod running and ready, or done?",
    judges: "Fails for a pod that is Pending (with the scheduler's reason), can't get its \
             image, is in a crash loop, is not ready, has failed or was evicted, or is stuck in \
             Terminating. Unknown if its node does not report, or there are no pods. Warns of \
             one that terminates within its grace period, of a Job's failed pod (see \
             job.complete), of failed pods whose workload has all the pods that it wants, and of \
             what experiments made (label chaos-runbook/run): it is no part of the application.",
    reads: "list pods",
    remedy: "kubectl describe pod; kubectl logs --previous",
};

/// `pods.restarts`
pub(super) const RESTARTS: Explanation = Explanation {
    id: "pods.restarts",
    asks: "Have containers restarted lately?",
    judges: "Warns for each workload with restarts within health.window. A crash loop fails in \
             pods.ready.",
    reads: "list pods",
    remedy: "kubectl logs --previous",
};

/// A Job's pod may take so long to start: Jobs come and go on a healthy system.
const JOB_START_MS: i64 = 60_000;
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
    failing: TroubledPods,
    unclear: TroubledPods,
    passing: TroubledPods,
    /// Pods that have failed, by the workload that replaces such pods.
    failed: BTreeMap<WorkloadRef, TroubledPods>,
    owners: BTreeMap<WorkloadRef, Owned>,
    /// Nodes of pods that have not ended by name, each once: what follows counts them by number.
    nodes: BTreeMap<String, u32>,
    /// Claims that pods use.
    pub(super) claims: BTreeSet<String>,
    /// Pods that can have an address: all but those that have ended.
    pub(super) alive: HashSet<Uuid>,
    pub(super) usage: PodsUsage,
}

/// What the pods of one workload add up to.
#[derive(Clone, Debug, Default)]
struct Owned {
    restarts: i64,
    /// Its pods that are ready.
    ready: usize,
    /// Containers that have restarted within the window, and why the latest did.
    recent: usize,
    latest: Option<(Time, String)>,
    used: Option<Sample>,
    /// Its pods that have not ended, by the node that they are on.
    on: BTreeMap<u32, u32>,
}

impl Survey {
    pub(super) fn add(&mut self, pod: &Pod, rules: &Rules) {
        self.count(pod, rules);
        self.add_living(pod);
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let used = self.usage.measure(pod, name, rules);
        self.add_to_owner(pod, used, rules);
    }

    /// Counts a pod as a good one or as one in trouble.
    fn count(&mut self, pod: &Pod, rules: &Rules) {
        self.total += 1;
        let Some(trouble) = pod_trouble(pod, rules.now, rules.window_ms) else {
            self.good += 1;
            return;
        };
        let replaced = workload_of(pod)
            .filter(|owner| matches!(trouble, PodTrouble::Failed { .. }) && keeps_pods(owner));
        let troubled = match severity(&trouble, pod, rules.now) {
            _ if run_of(pod).is_some() => &mut self.passing,
            Status::Fail => match replaced {
                Some(owner) => self.failed.entry(owner).or_default(),
                None => &mut self.failing,
            },
            Status::Unknown => &mut self.unclear,
            _ => &mut self.passing,
        };
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let why = match run_of(pod) {
            Some(run) => format!("is of chaos run {run}, not of the application: {trouble}"),
            None => trouble.to_string(),
        };
        troubled.add(name, why);
    }

    /// Keeps who a pod is that has not ended, and its claims.
    fn add_living(&mut self, pod: &Pod) {
        if has_ended(pod) {
            return;
        }
        let uid = pod.metadata.uid.as_deref();
        self.alive
            .extend(uid.and_then(|uid| uid.parse::<Uuid>().ok()));
        let spec = pod.spec.iter();
        let volumes = spec.flat_map(|spec| spec.volumes.iter().flatten());
        let claims = volumes.filter_map(|volume| volume.persistent_volume_claim.as_ref());
        self.claims
            .extend(claims.map(|claim| claim.claim_name.clone()));
        if let Some(node) = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) {
            self.number(node);
        }
    }

    /// The nodes that its pods are on.
    pub(super) fn hosts(&self) -> BTreeSet<&str> {
        self.nodes.keys().map(String::as_str).collect()
    }

    /// Adds a pod to the sums of the workload that it belongs to.
    fn add_to_owner(&mut self, pod: &Pod, used: Option<Sample>, rules: &Rules) {
        let owner = workload_of(pod).unwrap_or_else(|| WorkloadRef {
            kind: "Pod".to_owned(),
            namespace: rules.namespace.to_owned(),
            name: pod.metadata.name.clone().unwrap_or_default(),
        });
        let recent: Vec<_> = containers(pod)
            .filter_map(|container| restarted(container, rules))
            .collect();
        let node = node_of(pod, &owner);
        // Most pods have nothing to add: a workload is kept only once one of its pods has.
        let restarts = containers(pod).any(|container| container.restart_count != 0);
        if !restarts && used.is_none() && recent.is_empty() && node.is_none() {
            return;
        }
        let node = node.map(|node| self.number(node));
        self.owners
            .entry(owner)
            .or_default()
            .add(pod, recent, node, used);
    }

    fn number(&mut self, node: &str) -> u32 {
        if let Some(number) = self.nodes.get(node) {
            return *number;
        }
        let number = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        self.nodes.insert(node.to_owned(), number);
        number
    }

    /// `pods.ready`: one check for every pod in trouble, and one that counts the others. `wanted`
    /// says how many pods the workloads want.
    pub(super) fn judge(&self, namespace: &str, wanted: &[WorkloadState]) -> Vec<Check> {
        const ID: &str = READY.id;
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
        let mut failing = self.failing.clone();
        let mut replaced = Vec::new();
        for (owner, pods) in &self.failed {
            match self.all_pods_of(owner, wanted) {
                Some(ready) => replaced.push(left_over(owner, pods, ready)),
                None => failing.absorb(pods),
            }
        }
        checks.extend(failing.checks(ID, Status::Fail, namespace));
        checks.extend(self.unclear.checks(ID, Status::Unknown, namespace));
        checks.extend(self.passing.checks(ID, Status::Warn, namespace));
        checks.extend(replaced);
        checks
    }

    /// How many ready pods a workload has, if that is all that it wants.
    fn all_pods_of(&self, owner: &WorkloadRef, wanted: &[WorkloadState]) -> Option<usize> {
        let state = wanted.iter().find(|state| state.workload == *owner)?;
        let ready = self.owners.get(owner).map_or(0, |owned| owned.ready);
        let wants = usize::try_from(state.wants).unwrap_or(usize::MAX);
        (ready >= wants).then_some(ready)
    }

    /// `pods.restarts`: a warning for every workload whose containers have restarted lately.
    pub(super) fn judge_restarts(
        &self,
        namespace: &str,
        window: chaos_common::config::Span,
    ) -> Vec<Check> {
        const ID: &str = RESTARTS.id;
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

impl Owned {
    fn add(
        &mut self,
        pod: &Pod,
        recent: Vec<(Time, String)>,
        node: Option<u32>,
        used: Option<Sample>,
    ) {
        let restarts = own_containers(pod)
            .iter()
            .map(|container| i64::from(container.restart_count));
        self.restarts += restarts.sum::<i64>();
        self.ready += usize::from(is_ready(pod));
        self.recent += recent.len();
        if let Some(node) = node {
            *self.on.entry(node).or_default() += 1;
        }
        let known = self.latest.take().into_iter();
        self.latest = known.chain(recent).max_by_key(|(time, _)| *time);
        if let Some(sample) = used {
            self.used = Some(self.used.unwrap_or_default() + sample);
        }
    }
}

/// A workload that replaces pods that go.
fn keeps_pods(owner: &WorkloadRef) -> bool {
    let kind = owner.kind.as_str();
    matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet")
}

/// Failed pods that have been replaced: they lie about, and nobody lacks them.
fn left_over(owner: &WorkloadRef, pods: &TroubledPods, ready: usize) -> Check {
    let (name, why) = pods.first().unwrap_or_default();
    let others = match pods.number() {
        0 | 1 => String::new(),
        number => format!(" (one of {number} such pods)"),
    };
    let message = format!("pod/{name} {why}{others}; it has all its pods, {ready} are ready");
    Check::new(READY.id, owner.to_string(), Status::Warn, message).hint(format!(
        "kubectl delete pods --field-selector status.phase=Failed -n {}",
        owner.namespace
    ))
}

/// The run of these tools that made a pod.
fn run_of(pod: &Pod) -> Option<&String> {
    pod.metadata.labels.as_ref()?.get(RUN_LABEL)
}

fn has_ended(pod: &Pod) -> bool {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

/// The node that a workload's pod stays on: none if it has ended or is on its way.
fn node_of<'p>(pod: &'p Pod, owner: &WorkloadRef) -> Option<&'p str> {
    if !keeps_pods(owner) || has_ended(pod) || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    pod.spec.as_ref()?.node_name.as_deref()
}

fn own_containers(pod: &Pod) -> &[ContainerStatus] {
    let status = pod.status.as_ref();
    status
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default()
}

fn containers(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let init = pod
        .status
        .as_ref()
        .and_then(|status| status.init_container_statuses.as_deref())
        .unwrap_or_default();
    own_containers(pod).iter().chain(init)
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

/// What a pod's trouble means for the system.
fn severity(trouble: &PodTrouble, pod: &Pod, now: Time) -> Status {
    let owners = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let of_job = owners.iter().any(|owner| owner.kind == "Job");
    match trouble {
        PodTrouble::Terminating => Status::Warn,
        // `job.complete` judges what the Job makes of it.
        PodTrouble::Failed { .. } if of_job => Status::Warn,
        PodTrouble::Starting(_) if of_job && age_ms(pod, now) < JOB_START_MS => Status::Warn,
        PodTrouble::NodeSilent { .. } => Status::Unknown,
        _ => Status::Fail,
    }
}

/// Milliseconds since a pod was created; for ever, if that is not known.
fn age_ms(pod: &Pod, now: Time) -> i64 {
    let created = pod.metadata.creation_timestamp.as_ref();
    created.map_or(i64::MAX, |created| now.since_ms(Time(created.0)))
}

#[cfg(test)]
mod tests;
