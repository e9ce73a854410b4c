//! Lines that tell of errors in the logs of the workloads that the configuration names for it.
//!
//! All pods that a workload has now are read, all their containers, and the instance before the
//! present one where a container was restarted. What is gone can't be read: the logs of pods that
//! were deleted, of still earlier instances, and what the node has rotated away.

mod lines;
mod period;

use std::time::Duration;

use chaos_common::cluster::workload_of;
use chaos_common::cluster::{ReadError, error_chain};
use chaos_common::config::LogPatterns;
use chaos_common::record::{Check, Experiment, LogErrors, PatternCount, Record, Time};
use futures::future::join_all;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::api::{Api, ListParams, LogParams};
use tokio::time::timeout;

use self::lines::{LineCounts, SAMPLES};
pub(crate) use self::period::Period;
use crate::target::Target;

const ID: &str = "data.logs";
/// Time that the log of one container may take.
const LIMIT: Duration = Duration::from_secs(60);

/// One log to read: a container of a pod, now or before its last restart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    pod: String,
    container: String,
    previous: bool,
}

/// What the logs of a workload gave.
#[derive(Clone, Debug)]
pub(crate) struct Searched {
    pub(crate) found: LogErrors,
    pub(crate) check: Check,
}

/// Searches the logs of every workload that is configured with `logs`.
pub(crate) async fn search(
    target: &Target<'_>,
    period: Option<Period>,
    experiments: &[Record<Experiment>],
) -> (Vec<LogErrors>, Vec<Check>) {
    let workloads: Vec<_> = target
        .config
        .workloads
        .iter()
        .filter(|workload| !workload.logs.is_empty())
        .collect();
    if workloads.is_empty() {
        return (
            Vec::new(),
            vec![Check::skipped(
                ID,
                "",
                "no workload is configured with logs",
            )],
        );
    }
    let Some(period) = &period else {
        let message =
            "there is no experiment and no baseline in the stream, so it is not known from when on";
        let unknown = |name: String| Check::unknown(ID, name, message);
        return (
            Vec::new(),
            workloads
                .iter()
                .map(|w| unknown(object(&w.kind, &w.name)))
                .collect(),
        );
    };
    let pods: Api<Pod> = Api::namespaced(target.cluster.client.clone(), target.namespace);
    let what = format!("list pods in namespace {}", target.namespace);
    let all = match target
        .cluster
        .list(&pods, &ListParams::default(), what)
        .await
    {
        Ok(all) => all,
        Err(error) => {
            return (
                Vec::new(),
                workloads
                    .iter()
                    .map(|w| error.check(ID, object(&w.kind, &w.name)))
                    .collect(),
            );
        }
    };
    let search = workloads.into_iter().map(|workload| {
        let of = |pod: &&Pod| {
            workload_of(pod).is_some_and(|o| o.kind == workload.kind && o.name == workload.name)
        };
        let of_workload: Vec<_> = all.iter().filter(of).collect();
        let deleted = experiments
            .iter()
            .flat_map(|record| &record.data.recoveries);
        let deleted = deleted
            .filter(|r| r.owner.kind == workload.kind && r.owner.name == workload.name)
            .count();
        search_one(
            target,
            &pods,
            object(&workload.kind, &workload.name),
            &workload.logs,
            of_workload,
            period,
            deleted,
        )
    });
    join_all(search)
        .await
        .into_iter()
        .map(|searched| (searched.found, searched.check))
        .unzip()
}

fn object(kind: &str, name: &str) -> String {
    format!("{}/{name}", kind.to_lowercase())
}

async fn search_one(
    target: &Target<'_>,
    api: &Api<Pod>,
    workload: String,
    patterns: &LogPatterns,
    pods: Vec<&Pod>,
    period: &Period,
    deleted: usize,
) -> Searched {
    let sources: Vec<_> = pods.iter().map(|pod| sources(pod, period.since)).collect();
    let lost = pods.iter().filter(|pod| lost(pod, period.since)).count();
    let read = sources.iter().map(|of_pod| {
        join_all(
            of_pod
                .iter()
                .map(|source| scan(api, source, patterns, period)),
        )
    });
    let read = join_all(read).await;
    let count = |pattern: &str| PatternCount {
        pattern: pattern.to_owned(),
        lines: 0,
    };
    let patterns = patterns.texts().map(count).collect();
    let mut found = LogErrors {
        workload,
        pods: 0,
        lines: 0,
        outage_lines: 0,
        patterns,
        samples: Vec::new(),
    };
    let mut unread = Vec::new();
    for of_pod in read {
        found.pods += usize::from(of_pod.iter().all(Result::is_ok));
        for one in of_pod {
            match one {
                Ok(tally) => {
                    found.lines += tally.lines;
                    found.outage_lines += tally.outage_lines;
                    found
                        .patterns
                        .iter_mut()
                        .zip(&tally.each)
                        .for_each(|(all, each)| all.lines += each);
                    found.samples.extend(tally.samples);
                }
                Err(error) => unread.push(error),
            }
        }
    }
    found.samples.truncate(SAMPLES);
    let check = judge(
        &found,
        &unread,
        lost,
        deleted,
        target.config.limits.log_errors,
        period.since,
    );
    Searched { found, check }
}

/// `data.logs`: did a workload report more errors than it may?
fn judge(
    found: &LogErrors,
    unread: &[ReadError],
    lost: usize,
    deleted: usize,
    most: u64,
    since: Time,
) -> Check {
    let LogErrors {
        workload,
        pods,
        lines,
        outage_lines,
        patterns,
        samples,
    } = found;
    let allowed = if most > 0 {
        format!(", {most} allowed")
    } else {
        String::new()
    };
    let outage = match outage_lines {
        0 => String::new(),
        _ => format!(", and {outage_lines} while services were expected to suffer"),
    };
    let gone = |count, what| {
        if count > 0 {
            format!("; the logs of {count} {what} are gone")
        } else {
            String::new()
        }
    };
    let sought = match patterns.as_slice() {
        [one] => format!("{lines} {} lines", one.pattern),
        many => {
            let each = many
                .iter()
                .map(|one| format!("{} {}", one.lines, one.pattern));
            format!(
                "{lines} lines of errors ({})",
                each.collect::<Vec<_>>().join(", ")
            )
        }
    };
    let message = format!(
        "{sought} in the logs of {pods} pods since {}{allowed}{outage}{}{}",
        since.human(),
        gone(deleted, "pods that the experiment deleted"),
        gone(lost, "pods' earlier containers"),
    );
    if *lines > most {
        let first = samples
            .first()
            .map(|first| format!("; the first: {first}"))
            .unwrap_or_default();
        return Check::fail(ID, workload, format!("{message}{first}"));
    }
    match unread.first() {
        Some(error) => {
            let mut check = error.check(ID, workload);
            check.message = format!("{message}; {error}");
            check
        }
        None if *pods == 0 => {
            Check::unknown(ID, workload, "it has no pods whose logs could be read")
        }
        None => Check::pass(ID, workload, message),
    }
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
fn sources(pod: &Pod, since: Time) -> Vec<Source> {
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
fn lost(pod: &Pod, since: Time) -> bool {
    statuses(pod).any(|status| {
        let last = status
            .last_state
            .as_ref()
            .and_then(|state| state.terminated.as_ref());
        let start = last.and_then(|last| last.started_at.as_ref());
        status.restart_count > 1 && start.is_some_and(|start| Time(start.0) > since)
    })
}

async fn scan(
    api: &Api<Pod>,
    source: &Source,
    patterns: &LogPatterns,
    period: &Period,
) -> Result<LineCounts, ReadError> {
    let Source {
        pod,
        container,
        previous,
    } = source;
    let which = if *previous { " before its restart" } else { "" };
    let what = format!("read the log of container {container} of pod {pod}{which}");
    let params = LogParams {
        container: Some(container.clone()),
        previous: *previous,
        // The API counts in seconds, and would round up past the first half second.
        since_time: Some(floor(period.since).0),
        timestamps: true,
        ..LogParams::default()
    };
    let read = async {
        let log = api
            .log_stream(pod, &params)
            .await
            .map_err(|error| ReadError::from_kube(&what, &error))?;
        lines::search(std::pin::pin!(log), patterns, period)
            .await
            .map_err(|error| ReadError::other(&what, error_chain(&error)))
    };
    match timeout(LIMIT, read).await {
        Ok(tally) => tally,
        Err(_) => Err(ReadError::timeout(
            &what,
            format!("it did not end in {} s", LIMIT.as_secs()),
        )),
    }
}

/// The start of the second.
fn floor(time: Time) -> Time {
    let text = time.to_string();
    text.split_once('.')
        .and_then(|(seconds, _)| format!("{seconds}Z").parse().ok())
        .map_or(time, Time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Status;

    fn time(text: &str) -> Time {
        Time(text.parse().expect("a time"))
    }

    const SINCE: &str = "2026-11-22T16:00:00.600Z";

    #[test]
    fn the_time_is_rounded_down_to_the_second() {
        assert_eq!(floor(time(SINCE)), time("2026-11-22T16:00:00Z"));
    }

    fn pod(container: &serde_json::Value) -> Pod {
        serde_json::from_value(serde_json::json!({
            "metadata": { "name": "p" },
            "status": { "containerStatuses": [container] },
        }))
        .expect("a pod")
    }

    fn restarted(count: i32, started: &str, finished: &str) -> Pod {
        pod(&serde_json::json!({
            "name": "c", "image": "i", "imageID": "i", "ready": true, "restartCount": count, "state": { "running": {} },
            "lastState": { "terminated": { "exitCode": 1, "startedAt": started, "finishedAt": finished } },
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

    fn nothing() -> LogErrors {
        let patterns = vec![PatternCount {
            pattern: "ERROR".to_owned(),
            lines: 0,
        }];
        LogErrors {
            workload: "deployment/a".to_owned(),
            pods: 0,
            lines: 0,
            outage_lines: 0,
            patterns,
            samples: Vec::new(),
        }
    }

    #[test]
    fn too_many_lines_fail_even_if_other_logs_are_unread_and_few_are_then_unknown() {
        let found = |lines| LogErrors {
            pods: 2,
            lines,
            ..nothing()
        };
        let unread = [ReadError::other("read the log of pod a", "gone")];
        let judge = |lines, unread: &[ReadError]| {
            super::judge(&found(lines), unread, 0, 0, 1, time(SINCE)).status
        };
        assert_eq!(judge(1, &[]), Status::Pass);
        assert_eq!(judge(2, &[]), Status::Fail);
        assert_eq!(judge(2, &unread), Status::Fail);
        assert_eq!(judge(1, &unread), Status::Unknown);
    }

    #[test]
    fn no_pods_are_no_evidence() {
        let found = nothing();
        assert_eq!(
            judge(&found, &[], 0, 0, 0, time(SINCE)).status,
            Status::Unknown
        );
    }
}
