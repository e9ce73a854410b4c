//! How far the pods of the Job are.

use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStateWaiting, Pod, PodStatus};

/// Reasons of a container that waits for what will not come.
const STUCK: [&str; 5] = [
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "CreateContainerConfigError",
];

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
pub(super) fn pod_state(pod: &Pod) -> PodState {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.clone().unwrap_or_default();
    let container = containers.into_iter().next().and_then(|one| one.state);
    match container.map(|state| (state.waiting, state.terminated)) {
        Some((Some(waiting), _)) => waiting_state(waiting),
        Some((None, Some(terminated))) => terminated_state(terminated),
        _ => phase_state(status),
    }
}

fn waiting_state(waiting: ContainerStateWaiting) -> PodState {
    let reason = waiting.reason.unwrap_or_default();
    let message = waiting.message.unwrap_or_default();
    let why = format!("{reason} {message}").trim().to_owned();
    if STUCK.contains(&reason.as_str()) {
        PodState::Stuck(why)
    } else {
        PodState::Waits(why)
    }
}

fn terminated_state(terminated: ContainerStateTerminated) -> PodState {
    match terminated.exit_code {
        // The tool's own ends; anything else is a container that could not run it.
        0 | 1 | 3 => PodState::Ended,
        code => {
            let told = [terminated.reason, terminated.message];
            let told: Vec<String> = told.into_iter().flatten().collect();
            PodState::Stuck(format!(
                "its container ended with {code} ({}); has the image chaos-verify in its PATH?",
                told.join(": ")
            ))
        }
    }
}

/// The state of a pod whose container says nothing yet.
fn phase_state(status: PodStatus) -> PodState {
    match status.phase.as_deref() {
        Some("Running") => PodState::Runs,
        Some("Failed") => {
            let why = status.message.or(status.reason);
            PodState::Stuck(why.unwrap_or_else(|| "it failed".to_owned()))
        }
        _ => {
            let conditions = status.conditions.unwrap_or_default();
            let unmet = conditions.into_iter().find(|one| one.status == "False");
            let why = unmet.and_then(|condition| condition.message);
            PodState::Waits(why.unwrap_or_else(|| "it is pending".to_owned()))
        }
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

    fn ended(code: i32) -> PodState {
        pod_state(&pod(&json!({
            "phase": "Failed",
            "containerStatuses": [{
                "name": "load", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": { "terminated": { "exitCode": code, "reason": "Error" } },
            }],
        })))
    }

    #[test]
    fn a_pod_whose_load_failed_has_measured_and_one_that_could_not_run_has_not() {
        assert_eq!(
            [0, 1, 3].map(ended),
            [PodState::Ended, PodState::Ended, PodState::Ended]
        );
        for code in [2, 127, 137] {
            assert!(matches!(ended(code), PodState::Stuck(_)), "{code}");
        }
    }

    #[test]
    fn what_keeps_a_pod_from_starting_is_named() {
        let waiting = |reason: &str| {
            pod_state(&pod(&json!({
                "phase": "Pending",
                "containerStatuses": [{
                    "name": "load", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                    "state": { "waiting": { "reason": reason, "message": "m" } },
                }],
            })))
        };
        assert_eq!(
            waiting("ErrImagePull"),
            PodState::Stuck("ErrImagePull m".to_owned())
        );
        assert_eq!(
            waiting("ContainerCreating"),
            PodState::Waits("ContainerCreating m".to_owned())
        );
        let unschedulable = json!({
            "phase": "Pending",
            "conditions": [{
                "type": "PodScheduled", "status": "False",
                "message": "0/1 nodes are available: 1 Insufficient cpu.",
            }],
        });
        assert_eq!(
            pod_state(&pod(&unschedulable)),
            PodState::Waits("0/1 nodes are available: 1 Insufficient cpu.".to_owned())
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
