//! Which logs of a pod may hold lines of the time that counts.

use chaos_common::record::Time;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

/// One log to read: a container of a pod, now or before its last restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) pod: String,
    pub(super) container: String,
    /// The instance before the last restart.
    pub(super) previous: bool,
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let main = status
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default();
    let init = status
        .and_then(|status| status.init_container_statuses.as_deref())
        .unwrap_or_default();
    main.iter().chain(init)
}

/// The logs of a pod that may hold lines since then.
pub(super) fn sources(pod: &Pod, since: Time) -> Vec<Source> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let mut sources = Vec::new();
    for status in statuses(pod) {
        let source = |previous| Source {
            pod: name.clone(),
            container: status.name.clone(),
            previous,
        };
        let state = status.state.clone().unwrap_or_default();
        let last = status.last_state.clone().unwrap_or_default().terminated;
        let ended = last
            .as_ref()
            .map(|last| last.finished_at.as_ref().map(|at| Time(at.0)));
        let waits = state.running.is_none() && state.terminated.is_none();
        // Between two crashes the log that the API gives as the present one is the last instance's.
        if !waits || last.is_some() {
            sources.push(source(false));
        }
        if !waits && ended.is_some_and(|ended| ended.is_none_or(|ended| ended >= since)) {
            sources.push(source(true));
        }
    }
    sources
}

/// Whether a container was restarted more often since then than its node keeps logs.
pub(super) fn lost(pod: &Pod, since: Time) -> bool {
    statuses(pod).any(|status| {
        let last = status
            .last_state
            .as_ref()
            .and_then(|state| state.terminated.as_ref());
        let start = last.and_then(|last| last.started_at.as_ref());
        status.restart_count > 1 && start.is_some_and(|start| Time(start.0) > since)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Time {
        Time(text.parse().expect("a time"))
    }

    const SINCE: &str = "2026-11-22T16:00:00.600Z";

    fn pod(container: &serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": "p" },
            "status": { "containerStatuses": [container] },
        }))
        .expect("a pod")
    }

    fn restarted(count: i32, started: &str, finished: &str) -> Pod {
        pod(&serde_json::json!({
            "name": "c", "image": "i", "imageID": "i", "ready": true, "restartCount": count,
            "state": { "running": {} },
            "lastState": {
                "terminated": { "exitCode": 1, "startedAt": started, "finishedAt": finished },
            },
        }))
    }

    #[test]
    fn the_instance_before_a_restart_is_read_if_it_ended_in_that_time() {
        let previous = |pod: &Pod| {
            sources(pod, time(SINCE))
                .iter()
                .map(|s| s.previous)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            previous(&restarted(
                1,
                "2026-11-22T15:00:00Z",
                "2026-11-22T16:00:05Z"
            )),
            [false, true]
        );
        assert_eq!(
            previous(&restarted(
                1,
                "2026-11-22T15:00:00Z",
                "2026-11-22T15:30:00Z"
            )),
            [false]
        );
        let new = pod(&serde_json::json!({
            "name": "c", "image": "i", "imageID": "i", "ready": false, "restartCount": 0,
            "state": { "waiting": { "reason": "ContainerCreating" } },
        }));
        assert_eq!(sources(&new, time(SINCE)), []);
    }

    #[test]
    fn logs_of_earlier_instances_are_known_to_be_gone() {
        assert!(lost(
            &restarted(3, "2026-11-22T16:00:03Z", "2026-11-22T16:00:05Z"),
            time(SINCE)
        ));
        assert!(!lost(
            &restarted(3, "2026-11-22T15:00:00Z", "2026-11-22T16:00:05Z"),
            time(SINCE)
        ));
    }
}
