//! How far the pods of the Job are.

use chaos_common::cluster::pod_trouble::{ContainerTrouble, PodTrouble, pod_trouble};
use chaos_common::record::Time;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, Pod};

/// How far a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PodState {
    /// Not started yet, and why.
    Waits(String),
    /// It will not start.
    Stuck(String),
    Runs,
    Ended,
}

/// How far a pod is, by its status.
pub(super) fn pod_state(pod: &Pod, now: Time) -> PodState {
    if let Some(end) = end_of_load(pod) {
        return ended(end);
    }
    // The Job starts no container anew, so that no crash is from before.
    match pod_trouble(pod, now, 0) {
        None | Some(PodTrouble::NotReady(_)) => PodState::Runs,
        Some(trouble) if is_final(&trouble) => PodState::Stuck(trouble.to_string()),
        Some(trouble) => PodState::Waits(trouble.to_string()),
    }
}

fn end_of_load(pod: &Pod) -> Option<&ContainerStateTerminated> {
    let containers = pod.status.as_ref()?.container_statuses.as_ref()?;
    containers.first()?.state.as_ref()?.terminated.as_ref()
}

fn ended(end: &ContainerStateTerminated) -> PodState {
    match end.exit_code {
        // The tool's own ends; anything else is a container that could not run it.
        0 | 1 | 3 | 6 => PodState::Ended,
        code => {
            let told = [end.reason.as_deref(), end.message.as_deref()];
            let told: Vec<_> = told.into_iter().flatten().collect();
            PodState::Stuck(format!(
                "its container ended with {code} ({}); has the image chaos-verify in its PATH?",
                told.join(": ")
            ))
        }
    }
}

/// Whether waiting does not help. A container that can't be made for another reason than its
/// configuration may still be: the kubelet tries again.
fn is_final(trouble: &PodTrouble) -> bool {
    match trouble {
        PodTrouble::Failed { .. } => true,
        PodTrouble::Container { trouble, .. } => match trouble {
            ContainerTrouble::Image { .. } => true,
            ContainerTrouble::Start { reason, .. } => reason == "CreateContainerConfigError",
            ContainerTrouble::CrashLoop { .. } => false,
        },
        _ => false,
    }
}

/// How far all pods are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// All have ended.
    Ended,
    /// One will not start, and why.
    Stuck(String),
    /// So many have started; why one of the others has not, if it tells.
    Waiting { started: usize, why: Option<String> },
}

/// How far the pods are, of which so many are wanted.
pub(super) fn progress(states: &[PodState], wanted: usize) -> Progress {
    let ended = |state: &PodState| *state == PodState::Ended;
    if states.len() == wanted && states.iter().all(ended) {
        return Progress::Ended;
    }
    let (mut started, mut waits) = (0, None);
    for state in states {
        match state {
            PodState::Stuck(why) => return Progress::Stuck(why.clone()),
            PodState::Waits(why) => waits = waits.or_else(|| Some(why.clone())),
            PodState::Runs | PodState::Ended => started += 1,
        }
    }
    Progress::Waiting {
        started,
        why: waits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "p" }, "status": status }))
            .expect("a pod")
    }

    fn state(status: &serde_json::Value) -> PodState {
        pod_state(&pod(status), Time::now())
    }

    fn ended_with(code: i32) -> PodState {
        state(&json!({
            "phase": "Failed",
            "containerStatuses": [{
                "name": "load", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "terminated": { "exitCode": code, "reason": "Error" } },
            }],
        }))
    }

    #[test]
    fn a_pod_whose_load_failed_has_measured_and_one_that_could_not_run_has_not() {
        assert_eq!(
            [0, 1, 3, 6].map(ended_with),
            [(); 4].map(|()| PodState::Ended)
        );
        for code in [2, 127, 137] {
            assert!(matches!(ended_with(code), PodState::Stuck(_)), "{code}");
        }
    }

    #[test]
    fn what_keeps_a_pod_from_starting_is_named() {
        let waiting = |reason: &str| {
            state(&json!({
                "phase": "Pending",
                "containerStatuses": [{
                    "name": "load", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                    "state": { "waiting": { "reason": reason, "message": "m" } },
                }],
            }))
        };
        assert_eq!(
            waiting("ErrImagePull"),
            PodState::Stuck("container load: ErrImagePull: m".to_owned())
        );
        assert_eq!(
            waiting("ContainerCreating"),
            PodState::Waits("is Pending: ContainerCreating".to_owned())
        );
        let unschedulable = json!({
            "phase": "Pending",
            "conditions": [{
                "type": "PodScheduled", "status": "False",
                "message": "0/1 nodes are available: 1 Insufficient cpu.",
            }],
        });
        assert_eq!(
            state(&unschedulable),
            PodState::Waits("is Pending: 0/1 nodes are available: 1 Insufficient cpu.".to_owned())
        );
    }

    #[test]
    fn a_pod_that_is_stuck_ends_the_wait_and_one_that_waits_does_not() {
        let (ended, runs) = (PodState::Ended, PodState::Runs);
        let waits = PodState::Waits("Insufficient cpu".to_owned());
        let stuck = PodState::Stuck("ErrImagePull".to_owned());
        assert_eq!(
            progress(&[ended.clone(), ended.clone()], 2),
            Progress::Ended
        );
        assert_eq!(
            progress(std::slice::from_ref(&ended), 2),
            Progress::Waiting {
                started: 1,
                why: None
            }
        );
        assert_eq!(
            progress(&[runs, waits], 2),
            Progress::Waiting {
                started: 1,
                why: Some("Insufficient cpu".to_owned())
            }
        );
        assert_eq!(
            progress(&[ended, stuck], 2),
            Progress::Stuck("ErrImagePull".to_owned())
        );
    }
}
