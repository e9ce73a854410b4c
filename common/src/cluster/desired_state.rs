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
        let Rollout { desired, ready, .. } = *self;
        let (updated, to_update, total) = (self.updated, self.to_update, self.total);
        if self.deleting {
            Some(Shortfall::Deleting)
        } else if !self.observed {
            Some(Shortfall::NotObserved)
        } else if ready < desired {
            Some(Shortfall::NotReady { ready, desired })
        } else if updated < to_update {
            Some(Shortfall::NotUpdated { updated, to_update })
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
            updated: 0,
            to_update: 0,
            total: 0,
            observed: observed >= meta.generation,
            deleting: meta.deletion_timestamp.is_some(),
            failure: None,
            notice: None,
        }
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
            notice: paused.then_some(Notice::Paused),
            ..Rollout::new(
                WorkloadKind::Deployment,
                &object.metadata,
                status.observed_generation,
            )
        }
    }
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
    let reason = condition.reason.as_deref().unwrap_or(&condition.type_);
    let message = condition.message.as_deref().unwrap_or_default();
    Some(format!("{reason}: {message}"))
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
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::de::DeserializeOwned;

    fn rollout<K: DeserializeOwned>(yaml: &str) -> Rollout
    where
        for<'k> Rollout: From<&'k K>,
    {
        let object: K = serde_saphyr::from_str(yaml).expect("an object");
        Rollout::from(&object)
    }

    fn deployment(replicas: i32, status: &str) -> Option<Shortfall> {
        let spec = format!("{{replicas: {replicas}, selector: {{}}, template: {{}}}}");
        let yaml = format!("{{metadata: {{generation: 2}}, spec: {spec}, status: {{{status}}}}}");
        rollout::<Deployment>(&yaml).shortfall()
    }

    #[test]
    fn a_deployment_needs_ready_pods_of_the_latest_revision_and_no_others() {
        let all = "observedGeneration: 2, replicas: 3, updatedReplicas: 3";
        let ready = |ready: i32| deployment(3, &format!("{all}, readyReplicas: {ready}"));
        assert_eq!(ready(3), None);
        let not_ready = Shortfall::NotReady {
            ready: 2,
            desired: 3,
        };
        assert_eq!(ready(2), Some(not_ready));
        assert_eq!(not_ready.to_string(), "has 2 of 3 ready pods");
        let old = "observedGeneration: 2, replicas: 3, readyReplicas: 3, updatedReplicas: 1";
        let not_updated = Shortfall::NotUpdated {
            updated: 1,
            to_update: 3,
        };
        assert_eq!(deployment(3, old), Some(not_updated));
        let surge = "observedGeneration: 2, replicas: 4, readyReplicas: 3, updatedReplicas: 3";
        let surplus = Shortfall::Surplus {
            total: 4,
            desired: 3,
        };
        assert_eq!(deployment(3, surge), Some(surplus));
    }

    #[test]
    fn numbers_from_before_the_latest_change_say_nothing() {
        let old = "observedGeneration: 1, replicas: 3, readyReplicas: 3, updatedReplicas: 3";
        assert_eq!(deployment(3, old), Some(Shortfall::NotObserved));
        let deleting = "{metadata: {deletionTimestamp: '2026-11-22T16:00:00Z'}}";
        let shortfall = rollout::<Deployment>(deleting).shortfall();
        assert_eq!(shortfall, Some(Shortfall::Deleting));
    }

    #[test]
    fn zero_pods_are_a_desired_state() {
        assert_eq!(deployment(0, "observedGeneration: 2"), None);
    }

    #[test]
    fn a_failed_replica_is_told_before_a_rollout_that_does_not_go_on() {
        let yaml = "{status: {conditions: [
            {type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: p},
            {type: ReplicaFailure, status: 'True', reason: FailedCreate, message: quota}]}}";
        let failure = rollout::<Deployment>(yaml).failure;
        assert_eq!(failure.as_deref(), Some("FailedCreate: quota"));
    }

    #[test]
    fn a_partition_and_on_delete_keep_old_pods_on_purpose() {
        let set = |strategy: &str| {
            let spec = format!(
                "{{replicas: 3, serviceName: s, selector: {{}}, template: {{}}, updateStrategy: {strategy}}}"
            );
            let status = "{replicas: 3, readyReplicas: 3, updatedReplicas: 1}";
            rollout::<StatefulSet>(&format!("{{spec: {spec}, status: {status}}}")).shortfall()
        };
        assert_eq!(set("{type: OnDelete}"), None);
        assert_eq!(set("{rollingUpdate: {partition: 2}}"), None);
        let not_updated = Shortfall::NotUpdated {
            updated: 1,
            to_update: 3,
        };
        assert_eq!(set("{}"), Some(not_updated));
    }

    #[test]
    fn a_daemon_set_wants_a_pod_on_each_of_its_nodes() {
        let set = |ready: i32| {
            rollout::<DaemonSet>(&format!(
                "{{status: {{desiredNumberScheduled: 2, currentNumberScheduled: 2, \
                 numberMisscheduled: 1, numberReady: {ready}, updatedNumberScheduled: 2}}}}"
            ))
        };
        assert_eq!(set(2).shortfall(), None);
        assert_eq!(set(2).notice, Some(Notice::Misscheduled(1)));
        let not_ready = Shortfall::NotReady {
            ready: 1,
            desired: 2,
        };
        assert_eq!(set(1).shortfall(), Some(not_ready));
    }
}
