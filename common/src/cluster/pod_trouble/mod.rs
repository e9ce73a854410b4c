//! Why is a pod stuck? One answer for health checks, Jobs, drills and experiments, decided on the
//! pod alone.

use std::fmt;

use k8s_openapi::api::core::v1::{
    ContainerState, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod,
    PodCondition, PodStatus,
};

use super::is_ready;
use crate::record::Time;

/// A pod that stays longer than this after its grace period is stuck.
const STUCK_AFTER_MS: i64 = 10_000;
/// So many restarts, the last one recent, are a crash loop even while the container runs.
const CRASHES: i32 = 3;
/// Conditions that are false or true on a pod that is well, so that they explain nothing.
const NO_GATES: [&str; 5] = [
    "Ready",
    "ContainersReady",
    "DisruptionTarget",
    "PodResizePending",
    "PodResizeInProgress",
];

/// Why a pod neither is running and ready nor has done its work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodTrouble {
    /// It is being deleted, within its grace period.
    Terminating,
    /// It is being deleted, and its grace period is over.
    StuckTerminating {
        /// Milliseconds since the end of its grace period.
        overdue_ms: i64,
    },
    /// It has ended, badly: failed or evicted.
    Failed {
        /// The pod's own reason and message, such as `Evicted: …`.
        reason: Option<String>,
        /// The container that ended badly.
        exit: Option<ContainerExit>,
    },
    /// One of its containers does not run.
    Container {
        /// The container.
        name: String,
        /// What is wrong with it.
        trouble: ContainerTrouble,
    },
    /// No node takes it; in the scheduler's words.
    Unschedulable(String),
    /// It has not started yet, and nothing is wrong so far.
    Starting(Option<Startup>),
    /// Its node does not report, so that its phase is not known.
    NodeSilent {
        /// As the API server has it, usually `Unknown`.
        phase: String,
    },
    /// It runs, and is not ready.
    NotReady(Option<Unready>),
}

/// What is wrong with a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ContainerTrouble {
    /// Its image can't be had.
    Image {
        /// `ErrImagePull`, `ImagePullBackOff`, `InvalidImageName` and so on.
        reason: String,
        /// The container runtime's words.
        message: Option<String>,
    },
    /// It can't be made or started as it is specified: a Secret that is not there, a command that
    /// the image does not have.
    Start {
        /// `CreateContainerConfigError`, `RunContainerError` and so on.
        reason: String,
        /// The container runtime's words.
        message: Option<String>,
    },
    /// It ends again and again.
    CrashLoop {
        /// So often it was started anew.
        restarts: i32,
        /// How it ended last.
        last: Option<ContainerExit>,
    },
}

/// How a container ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerExit {
    /// The container.
    pub container: String,
    /// `OOMKilled`, `Error` and so on.
    pub reason: Option<String>,
    /// Its exit status.
    pub code: i32,
}

/// What a pod that has not started is busy with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Startup {
    /// This init container runs.
    Init(String),
    /// A container waits: `ContainerCreating`, `PodInitializing`.
    Waiting(String),
}

/// Why a running pod is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unready {
    /// This container ended.
    Ended(ContainerExit),
    /// This container's readiness probe fails, or has not passed yet.
    Container(String),
    /// A readiness gate is closed.
    Gate {
        /// The condition's type.
        condition: String,
        /// Its status, such as `False`.
        status: String,
    },
}

/// Why a pod is stuck; `None` if it is running and ready, or has done its work. Crashes from before
/// `window_ms` milliseconds ago don't count.
pub fn pod_trouble(pod: &Pod, now: Time, window_ms: i64) -> Option<PodTrouble> {
    if let Some(deletion) = &pod.metadata.deletion_timestamp {
        // The timestamp holds the grace period already.
        let overdue_ms = now.since_ms(Time(deletion.0));
        return Some(if overdue_ms > STUCK_AFTER_MS {
            PodTrouble::StuckTerminating { overdue_ms }
        } else {
            PodTrouble::Terminating
        });
    }
    let none = PodStatus::default();
    let status = pod.status.as_ref().unwrap_or(&none);
    let phase = status.phase.as_deref().unwrap_or("Unknown");
    match phase {
        "Succeeded" => return None,
        "Failed" => {
            let exit = containers(status).find_map(bad_exit);
            let reason = said(status.reason.as_deref(), status.message.as_deref());
            return Some(PodTrouble::Failed { reason, exit });
        }
        _ => {}
    }
    let troubled = containers(status).find_map(|container| {
        Some(PodTrouble::Container {
            name: container.name.clone(),
            trouble: container_trouble(container, now, window_ms)?,
        })
    });
    if troubled.is_some() {
        return troubled;
    }
    match phase {
        "Pending" => Some(pending(status)),
        "Running" if is_ready(pod) => None,
        "Running" => {
            let done = |container: &&ContainerStatus| runs_to_an_end(pod) && is_done(container);
            let unready = unready(status, done);
            let some_done = status.container_statuses.iter().flatten().any(|c| done(&c));
            (unready.is_some() || !some_done).then_some(PodTrouble::NotReady(unready))
        }
        other => Some(PodTrouble::NodeSilent {
            phase: other.to_owned(),
        }),
    }
}

/// What is wrong with a container, if anything is; crashes from before the window don't count.
fn container_trouble(
    container: &ContainerStatus,
    now: Time,
    window_ms: i64,
) -> Option<ContainerTrouble> {
    let restarts = container.restart_count;
    let last_state = container.last_state.as_ref();
    let last = last_state.and_then(|state| state.terminated.as_ref());
    let crash_loop = || ContainerTrouble::CrashLoop {
        restarts,
        last: last.map(|last| exit_of(container, last)),
    };
    if let Some(ContainerStateWaiting { reason, message }) = waiting(container) {
        let (reason, message) = (reason.clone(), message.clone());
        let reason = reason.unwrap_or_else(|| "waiting".to_owned());
        match reason.as_str() {
            "CrashLoopBackOff" => return Some(crash_loop()),
            "ContainerCreating" | "PodInitializing" => {}
            "ErrImagePull"
            | "ImagePullBackOff"
            | "ErrImageNeverPull"
            | "InvalidImageName"
            | "ImageInspectError"
            | "RegistryUnavailable" => {
                return Some(ContainerTrouble::Image { reason, message });
            }
            _ => return Some(ContainerTrouble::Start { reason, message }),
        }
    }
    let last = last.filter(|last| last.exit_code != 0)?;
    let end = Time(last.finished_at.as_ref()?.0);
    (restarts >= CRASHES && now.since_ms(end) < window_ms).then(crash_loop)
}

fn pending(status: &PodStatus) -> PodTrouble {
    let unscheduled = |c: &&PodCondition| c.type_ == "PodScheduled" && c.status == "False";
    if let Some(condition) = status.conditions.iter().flatten().find(unscheduled) {
        return PodTrouble::Unschedulable(condition.message.clone().unwrap_or_default());
    }
    let runs = |c: &&ContainerStatus| state(c).is_some_and(|state| state.running.is_some());
    let init = containers(status).find(runs);
    let init = init.map(|container| Startup::Init(container.name.clone()));
    let waits = || {
        let mut reasons = containers(status).filter_map(|c| waiting(c)?.reason.clone());
        reasons.next().map(Startup::Waiting)
    };
    PodTrouble::Starting(init.or_else(waits))
}

/// Its containers are to do their work and end, as a Job's are: one that is done is not ready, and
/// is well.
fn runs_to_an_end(pod: &Pod) -> bool {
    let spec = pod.spec.as_ref();
    let policy = spec.and_then(|spec| spec.restart_policy.as_deref());
    let owners = pod.metadata.owner_references.iter().flatten();
    matches!(policy, Some("Never" | "OnFailure")) || owners.into_iter().any(|o| o.kind == "Job")
}

fn is_done(container: &ContainerStatus) -> bool {
    let end = state(container).and_then(|state| state.terminated.as_ref());
    end.is_some_and(|end| end.exit_code == 0)
}

/// Why it is not ready, besides the containers that are done.
fn unready(status: &PodStatus, done: impl Fn(&&ContainerStatus) -> bool) -> Option<Unready> {
    if let Some(container) = containers(status).find(|c| !c.ready && !done(c)) {
        let exit = bad_exit(container).map(Unready::Ended);
        return exit.or_else(|| Some(Unready::Container(container.name.clone())));
    }
    let mut conditions = status.conditions.iter().flatten();
    let gate = conditions.find(|c| c.status != "True" && !NO_GATES.contains(&c.type_.as_str()))?;
    Some(Unready::Gate {
        condition: gate.type_.clone(),
        status: gate.status.clone(),
    })
}

/// Its containers, then its init containers.
fn containers(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    let init = status.init_container_statuses.iter().flatten();
    status.container_statuses.iter().flatten().chain(init)
}

fn state(container: &ContainerStatus) -> Option<&ContainerState> {
    container.state.as_ref()
}

fn waiting(container: &ContainerStatus) -> Option<&ContainerStateWaiting> {
    state(container)?.waiting.as_ref()
}

fn bad_exit(container: &ContainerStatus) -> Option<ContainerExit> {
    let end = state(container)?.terminated.as_ref()?;
    (end.exit_code != 0).then(|| exit_of(container, end))
}

fn exit_of(container: &ContainerStatus, end: &ContainerStateTerminated) -> ContainerExit {
    ContainerExit {
        container: container.name.clone(),
        reason: end.reason.clone(),
        code: end.exit_code,
    }
}

fn said(reason: Option<&str>, message: Option<&str>) -> Option<String> {
    match (reason, message) {
        (Some(reason), Some(message)) => Some(format!("{reason}: {message}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

impl PodTrouble {
    /// A container was killed because it used more memory than its limit.
    pub fn is_out_of_memory(&self) -> bool {
        let exit = match self {
            PodTrouble::Failed { exit, .. } => exit.as_ref(),
            PodTrouble::Container {
                trouble: ContainerTrouble::CrashLoop { last, .. },
                ..
            } => last.as_ref(),
            PodTrouble::NotReady(Some(Unready::Ended(exit))) => Some(exit),
            _ => None,
        };
        exit.is_some_and(|exit| exit.reason.as_deref() == Some("OOMKilled"))
    }
}

impl fmt::Display for PodTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PodTrouble::StuckTerminating { overdue_ms } => {
                let seconds = overdue_ms / 1000;
                write!(
                    f,
                    "stuck in Terminating for {seconds} s after its grace period"
                )
            }
            PodTrouble::Terminating => f.write_str("is terminating"),
            PodTrouble::Failed {
                reason: Some(reason),
                ..
            } => write!(f, "has failed: {reason}"),
            PodTrouble::Failed {
                exit: Some(exit), ..
            } => write!(f, "has failed: {exit}"),
            PodTrouble::Failed { .. } => f.write_str("has failed: no reason given"),
            PodTrouble::Container { name, trouble } => write!(f, "container {name}: {trouble}"),
            PodTrouble::Unschedulable(why) if why.is_empty() => f.write_str("is Pending"),
            PodTrouble::Unschedulable(why) => write!(f, "is Pending: {why}"),
            PodTrouble::Starting(None) => f.write_str("is Pending"),
            PodTrouble::Starting(Some(Startup::Init(container))) => {
                write!(f, "is Pending: container {container} prepares it")
            }
            PodTrouble::Starting(Some(Startup::Waiting(reason))) => {
                write!(f, "is Pending: {reason}")
            }
            PodTrouble::NodeSilent { phase } => {
                write!(f, "is in phase {phase}: its node does not report")
            }
            PodTrouble::NotReady(None) => f.write_str("is Running but not ready"),
            PodTrouble::NotReady(Some(why)) => write!(f, "is Running but not ready: {why}"),
        }
    }
}

impl fmt::Display for Unready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unready::Ended(exit) => exit.fmt(f),
            Unready::Container(name) => write!(f, "container {name} is not ready"),
            Unready::Gate { condition, status } => {
                write!(f, "its condition {condition} is {status}")
            }
        }
    }
}

impl fmt::Display for ContainerTrouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ContainerTrouble::Image { reason, message }
            | ContainerTrouble::Start { reason, message } => {
                f.write_str(&said(Some(reason), message.as_deref()).unwrap_or_default())
            }
            ContainerTrouble::CrashLoop { restarts, last } => {
                write!(f, "crash loop, {restarts} restarts")?;
                let Some(last) = last else { return Ok(()) };
                f.write_str(", the last with ")?;
                if let Some(reason) = last.reason.as_deref().filter(|reason| *reason != "Error") {
                    write!(f, "{reason}, ")?;
                }
                write!(f, "exit status {}", last.code)
            }
        }
    }
}

impl fmt::Display for ContainerExit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.reason.as_deref().unwrap_or("ended");
        write!(
            f,
            "container {}: {reason}, exit status {}",
            self.container, self.code
        )
    }
}

#[cfg(test)]
mod tests;
