//! Is a workload at its desired state, and if not, why? One answer for health, recovery and
//! rollout undo, decided on the object alone.

use std::fmt;

use k8s_openapi::api::apps::v1::{
    DaemonSet, Deployment, DeploymentCondition, DeploymentStatus, StatefulSet,
};
use kube::core::ObjectMeta;

use super::workload::WorkloadKind;

/// What a controller is to bring about, and how far it is. Made of the whole object, which need not
/// be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// What it is.
    pub kind: WorkloadKind,
    /// Pods that there should be.
    pub desired: i32,
    /// Pods that are ready.
    pub ready: i32,
    /// Pods that have been ready for the workload's `minReadySeconds`.
    pub available: i32,
    /// So long a pod must have been ready to count as available, in seconds.
    pub min_ready_seconds: i32,
    /// Pods of the latest revision.
    pub updated: i32,
    /// Pods that should be of the latest revision: fewer than all with a StatefulSet's partition or
    /// the strategy `OnDelete`.
    pub to_update: i32,
    /// Pods of any revision.
    pub total: i32,
    /// The controller has acted on the latest change of the specification.
    pub observed: bool,
    /// It is being deleted.
    pub deleting: bool,
    /// What its controller reports as failed: `REASON: MESSAGE`.
    pub failure: Option<String>,
    /// Its controller says that too few of its pods are available (the condition `Available` is
    /// false): `REASON: MESSAGE`.
    pub unavailable: Option<String>,
    /// What is unusual, though the pods are as they should be.
    pub notice: Option<Notice>,
}

/// What is unusual about a workload that is at its desired state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// A Deployment is paused.
    Paused,
    /// Pods of a DaemonSet run on so many nodes that they should not run on.
    Misscheduled(i32),
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Notice::Paused => f.write_str("is paused: changes to it are not rolled out"),
            Notice::Misscheduled(nodes) => {
                write!(f, "runs on {nodes} nodes that it should not run on")
            }
        }
    }
}

/// Why a workload is not at its desired state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortfall {
    /// It is being deleted.
    Deleting,
    /// Its controller has not acted on the latest change yet: the numbers are old.
    NotObserved,
    /// Fewer pods are ready than desired.
    NotReady {
        /// Pods that are ready.
        ready: i32,
        /// Pods that there should be.
        desired: i32,
    },
    /// Fewer pods are of the latest revision than should be.
    NotUpdated {
        /// Pods of the latest revision.
        updated: i32,
        /// Pods that should be.
        to_update: i32,
    },
    /// The same, and the roll-out is paused: it does not go on by itself.
    Paused {
        /// Pods of the latest revision.
        updated: i32,
        /// Pods that should be.
        to_update: i32,
    },
    /// Pods are ready, but fewer than desired have been so for long enough.
    NotAvailable {
        /// Pods that have been ready for long enough.
        available: i32,
        /// Pods that there should be.
        desired: i32,
        /// So long they must have been ready, in seconds.
        min_ready_seconds: i32,
    },
    /// Pods of earlier revisions, or more pods than desired, are still there.
    Surplus {
        /// Pods of any revision.
        total: i32,
        /// Pods that there should be.
        desired: i32,
    },
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shortfall::Deleting => f.write_str("is being deleted"),
            Shortfall::NotObserved => {
                f.write_str("its controller has not acted on the latest change yet")
            }
            Shortfall::NotReady { ready, desired } => {
                write!(f, "has {ready} of {desired} ready pods")
            }
            Shortfall::NotUpdated { updated, to_update } => write!(
                f,
                "is being rolled out: {updated} of {to_update} pods are of the latest version"
            ),
            Shortfall::Paused { updated, to_update } => write!(
                f,
                "its roll-out is paused: {updated} of {to_update} pods are of the latest version"
            ),
            Shortfall::NotAvailable {
                available,
                desired,
                min_ready_seconds,
            } => {
                write!(f, "has {available} of {desired} available pods")?;
                if *min_ready_seconds > 0 {
                    write!(
                        f,
                        ": a pod counts once it has been ready for {min_ready_seconds} s"
                    )?;
                }
                Ok(())
            }
            Shortfall::Surplus { total, desired } => write!(
                f,
                "is being rolled out: it has {total} pods, {} more than it wants",
                total - desired
            ),
        }
    }
}

impl Rollout {
    /// Why the workload is not at its desired state; `None` if it is. Zero desired pods are a
    /// state like others.
    pub fn shortfall(&self) -> Option<Shortfall> {
        let Rollout {
            desired,
            ready,
            available,
            ..
        } = *self;
        let (updated, to_update, total) = (self.updated, self.to_update, self.total);
        if self.deleting {
            Some(Shortfall::Deleting)
        } else if !self.observed {
            Some(Shortfall::NotObserved)
        } else if ready < desired {
            Some(Shortfall::NotReady { ready, desired })
        } else if updated < to_update {
            Some(match self.notice {
                Some(Notice::Paused) => Shortfall::Paused { updated, to_update },
                _ => Shortfall::NotUpdated { updated, to_update },
            })
        } else if available < desired || (self.unavailable.is_some() && desired > 0) {
            Some(Shortfall::NotAvailable {
                available,
                desired,
                min_ready_seconds: self.min_ready_seconds,
            })
        } else if total > desired {
            Some(Shortfall::Surplus { total, desired })
        } else {
            None
        }
    }

    fn new(kind: WorkloadKind, meta: &ObjectMeta, observed: Option<i64>) -> Rollout {
        Rollout {
            kind,
            desired: 0,
            ready: 0,
            available: 0,
            min_ready_seconds: 0,
            updated: 0,
            to_update: 0,
            total: 0,
            observed: observed >= meta.generation,
            deleting: meta.deletion_timestamp.is_some(),
            failure: None,
            unavailable: None,
            notice: None,
        }
    }

    /// The same with what its status says of availability. A number that is left out is 0; but
    /// where a pod counts as soon as it is ready, who reports the one reports the other.
    fn available(mut self, reported: Option<i32>, min_ready_seconds: Option<i32>) -> Rollout {
        self.min_ready_seconds = min_ready_seconds.unwrap_or(0);
        self.available = reported.unwrap_or(match self.min_ready_seconds {
            0 => self.ready,
            _ => 0,
        });
        self
    }
}

impl From<&Deployment> for Rollout {
    fn from(object: &Deployment) -> Rollout {
        let spec = object.spec.as_ref();
        let status = object.status.clone().unwrap_or_default();
        let desired = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let paused = spec.is_some_and(|spec| spec.paused == Some(true));
        Rollout {
            desired,
            ready: status.ready_replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
            to_update: desired,
            total: status.replicas.unwrap_or(0),
            failure: failure(&status),
            unavailable: unavailable(&status),
            notice: paused.then_some(Notice::Paused),
            ..Rollout::new(
                WorkloadKind::Deployment,
                &object.metadata,
                status.observed_generation,
            )
        }
        .available(
            status.available_replicas,
            spec.and_then(|spec| spec.min_ready_seconds),
        )
    }
}

fn unavailable(status: &DeploymentStatus) -> Option<String> {
    let mut conditions = status.conditions.iter().flatten();
    let condition = conditions.find(|c| c.type_ == "Available" && c.status == "False")?;
    Some(reported(condition))
}

fn reported(condition: &DeploymentCondition) -> String {
    let reason = condition.reason.as_deref().unwrap_or(&condition.type_);
    let message = condition.message.as_deref().unwrap_or_default();
    format!("{reason}: {message}")
}

fn failure(status: &DeploymentStatus) -> Option<String> {
    let failed = |condition: &&DeploymentCondition| {
        matches!(
            (condition.type_.as_str(), condition.status.as_str()),
            ("ReplicaFailure", "True") | ("Progressing", "False")
        )
    };
    let conditions = status.conditions.iter().flatten();
    // That a pod can't be made says more than that the rollout does not go on.
    let condition = conditions
        .filter(failed)
        .max_by_key(|condition| condition.type_ == "ReplicaFailure")?;
    Some(reported(condition))
}

impl From<&StatefulSet> for Rollout {
    fn from(object: &StatefulSet) -> Rollout {
        let spec = object.spec.as_ref();
        let status = object.status.clone().unwrap_or_default();
        let desired = spec.and_then(|spec| spec.replicas).unwrap_or(1);
        let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
        let on_delete = strategy.is_some_and(|s| s.type_.as_deref() == Some("OnDelete"));
        let partition = strategy
            .and_then(|strategy| strategy.rolling_update.as_ref()?.partition)
            .unwrap_or(0);
        Rollout {
            desired,
            ready: status.ready_replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(desired),
            to_update: if on_delete { 0 } else { desired - partition },
            total: status.replicas,
            ..Rollout::new(
                WorkloadKind::StatefulSet,
                &object.metadata,
                status.observed_generation,
            )
        }
        .available(
            status.available_replicas,
            spec.and_then(|spec| spec.min_ready_seconds),
        )
    }
}

impl From<&DaemonSet> for Rollout {
    fn from(object: &DaemonSet) -> Rollout {
        let spec = object.spec.as_ref();
        let status = object.status.clone().unwrap_or_default();
        let desired = status.desired_number_scheduled;
        let strategy = spec.and_then(|spec| spec.update_strategy.as_ref());
        let on_delete = strategy.is_some_and(|s| s.type_.as_deref() == Some("OnDelete"));
        let stray = status.number_misscheduled;
        Rollout {
            desired,
            ready: status.number_ready,
            updated: status.updated_number_scheduled.unwrap_or(0),
            to_update: if on_delete { 0 } else { desired },
            total: status.current_number_scheduled,
            notice: (stray > 0).then_some(Notice::Misscheduled(stray)),
            ..Rollout::new(
                WorkloadKind::DaemonSet,
                &object.metadata,
                status.observed_generation,
            )
        }
        .available(
            status.number_available,
            spec.and_then(|spec| spec.min_ready_seconds),
        )
    }
}

#[cfg(test)]
mod tests;
