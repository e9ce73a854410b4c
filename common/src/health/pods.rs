//! Are all pods running and ready, and do they stay within their limits?

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::metrics::{Sample, Usage, quantity};
use crate::cluster::{ReadError, is_ready};
use crate::config::Limits;
use crate::record::{Check, Status, Time};

/// A pod that stays longer than this after its grace period is stuck.
const STUCK_AFTER_MS: i64 = 10_000;
/// So many restarts, the last within [`CRASH_WINDOW_MS`], are a crash loop even between two crashes.
const CRASHES: i32 = 3;
const CRASH_WINDOW_MS: i64 = 10 * 60 * 1000;
/// The metrics API may not know a pod that is younger than this.
const METRICS_DELAY_MS: i64 = 90_000;

/// What is wrong with one pod; `None` if it runs and is ready, or has done its work.
pub fn trouble(pod: &Pod, now: Time) -> Option<(Status, String)> {
    let status = pod.status.clone().unwrap_or_default();
    let phase = status.phase.as_deref().unwrap_or("Unknown");
    if let Some(deletion) = &pod.metadata.deletion_timestamp {
        // The timestamp holds the grace period already.
        let over = now.since_ms(Time(deletion.0));
        return Some(if over > STUCK_AFTER_MS {
            (Status::Fail, format!("stuck in Terminating for {} s after its grace period", over / 1000))
        } else {
            (Status::Warn, "is terminating".to_owned())
        });
    }
    let owner = pod.metadata.owner_references.as_deref().unwrap_or_default();
    let of_job = owner.iter().any(|owner| owner.kind == "Job");
    match phase {
        "Succeeded" => return None,
        "Failed" => {
            let reason = status.reason.or(status.message).unwrap_or_else(|| "no reason given".to_owned());
            return Some((if of_job { Status::Warn } else { Status::Fail }, format!("has failed: {reason}")));
        }
        _ => {}
    }
    let containers = status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
    for container in containers {
        if let Some(why) = container_trouble(container, now) {
            return Some((Status::Fail, format!("container {}: {why}", container.name)));
        }
    }
    if phase == "Pending" {
        let conditions = status.conditions.unwrap_or_default();
        let unscheduled = conditions.iter().find(|c| c.type_ == "PodScheduled" && c.status == "False");
        let why = unscheduled.and_then(|c| c.message.clone()).map(|m| format!(": {m}")).unwrap_or_default();
        return Some((Status::Fail, format!("is Pending{why}")));
    }
    if phase != "Running" {
        return Some((Status::Unknown, format!("is in phase {phase}: its node does not report")));
    }
    (!is_ready(pod)).then(|| (Status::Fail, "is Running but not ready".to_owned()))
}

fn container_trouble(container: &ContainerStatus, now: Time) -> Option<String> {
    let state = container.state.as_ref();
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        let reason = waiting.reason.as_deref().unwrap_or("waiting");
        if reason == "CrashLoopBackOff" {
            return Some(format!("crash loop, {} restarts", container.restart_count));
        }
        if !matches!(reason, "ContainerCreating" | "PodInitializing") {
            let message = waiting.message.as_deref().map(|m| format!(": {m}")).unwrap_or_default();
            return Some(format!("{reason}{message}"));
        }
    }
    let last = container.last_state.as_ref().and_then(|state| state.terminated.as_ref())?;
    let recently = last.finished_at.as_ref().is_some_and(|end| now.since_ms(Time(end.0)) < CRASH_WINDOW_MS);
    (container.restart_count >= CRASHES && recently && last.exit_code != 0).then(|| {
        format!("crash loop, {} restarts, the last with exit status {}", container.restart_count, last.exit_code)
    })
}

/// `pods.ready`: one check for every pod in trouble, and one that counts the others.
pub fn judge(pods: &Result<Vec<Pod>, ReadError>, namespace: &str, now: Time) -> Vec<Check> {
    const ID: &str = "pods.ready";
    let pods = match pods {
        Ok(pods) => pods,
        Err(error) => return vec![error.check(ID, format!("namespace/{namespace}"))],
    };
    let mut checks = Vec::new();
    let mut good = 0;
    for pod in pods {
        match trouble(pod, now) {
            None => good += 1,
            Some((status, why)) => {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                checks.push(
                    Check::new(ID, format!("pod/{name}"), status, why)
                        .hint(format!("kubectl describe pod {name} -n {namespace}")),
                );
            }
        }
    }
    if pods.is_empty() {
        checks.push(
            Check::unknown(ID, format!("namespace/{namespace}"), "there are no pods")
                .hint("is this the right namespace?"),
        );
    } else if good > 0 {
        let message = format!("{good} of {} pods are running and ready, or done", pods.len());
        checks.insert(0, Check::pass(ID, format!("namespace/{namespace}"), message));
    }
    checks
}

/// Sums of a pod's requests and limits; a limit only counts if every container has one.
fn bounds(pod: &Pod, resource: &str) -> (f64, Option<f64>) {
    let containers = pod.spec.as_ref().map(|spec| spec.containers.as_slice()).unwrap_or_default();
    let (mut requests, mut limits) = (0.0, Some(0.0));
    for container in containers {
        let bounds = container.resources.clone().unwrap_or_default();
        let read = |map: Option<
            std::collections::BTreeMap<String, k8s_openapi::apimachinery::pkg::api::resource::Quantity>,
        >| { map.and_then(|map| map.get(resource).and_then(|q| quantity(&q.0))) };
        requests += read(bounds.requests).unwrap_or(0.0);
        limits = limits.zip(read(bounds.limits)).map(|(sum, limit)| sum + limit);
    }
    (requests, limits)
}

/// `pods.usage`: is every pod within its limits?
pub fn judge_usage(
    pods: &Result<Vec<Pod>, ReadError>,
    usage: &Result<Usage, ReadError>,
    limits: &Limits,
    namespace: &str,
    now: Time,
) -> Vec<Check> {
    const ID: &str = "pods.usage";
    let object = format!("namespace/{namespace}");
    let (Ok(pods), usage) = (pods, usage) else {
        return Vec::new(); // `pods.ready` says already that the pods could not be listed.
    };
    let usage = match usage {
        Ok(usage) => usage,
        Err(error) => return vec![error.check(ID, object)],
    };
    let running: Vec<&Pod> = pods.iter().filter(|pod| is_ready(pod)).collect();
    let (mut checks, mut measured, mut young) = (Vec::new(), 0, 0);
    let (mut sum, mut requested) = (Sample::default(), Sample::default());
    for pod in &running {
        let name = pod.metadata.name.as_deref().unwrap_or_default();
        let Some(sample) = usage.get(name) else {
            let born = pod.metadata.creation_timestamp.as_ref().map(|time| Time(time.0));
            if born.is_some_and(|born| now.since_ms(born) < METRICS_DELAY_MS) {
                young += 1;
            } else {
                checks.push(Check::unknown(ID, format!("pod/{name}"), "the metrics API has no figures for it"));
            }
            continue;
        };
        measured += 1;
        let (cpu_request, cpu_limit) = bounds(pod, "cpu");
        let (memory_request, memory_limit) = bounds(pod, "memory");
        sum = Sample {
            cpu_cores: sum.cpu_cores + sample.cpu_cores,
            memory_bytes: sum.memory_bytes + sample.memory_bytes,
        };
        requested = Sample {
            cpu_cores: requested.cpu_cores + cpu_request,
            memory_bytes: requested.memory_bytes + memory_request,
        };
        for (what, used, limit, most) in [
            ("processor", sample.cpu_cores, cpu_limit, limits.pod_cpu_percent),
            ("memory", sample.memory_bytes, memory_limit, limits.pod_memory_percent),
        ] {
            let Some(limit) = limit.filter(|limit| *limit > 0.0) else { continue };
            let percent = used / limit * 100.0;
            if percent > most {
                checks.push(Check::fail(
                    ID,
                    format!("pod/{name}"),
                    format!("uses {percent:.0} % of its {what} limit; at most {most:.0} % is normal"),
                ));
            }
        }
    }
    if measured > 0 && checks.is_empty() {
        let late = if young > 0 { format!("; {young} too new to have figures") } else { String::new() };
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
        checks.push(Check::unknown(ID, object, "the metrics API has no figures for any pod yet"));
    }
    checks
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
        trouble(&pod(yaml), now()).map(|(status, _)| status)
    }

    #[test]
    fn a_ready_pod_and_a_finished_one_are_no_trouble() {
        assert_eq!(status_of("{status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}"), None);
        assert_eq!(status_of("{status: {phase: Succeeded}}"), None);
    }

    #[test]
    fn running_is_not_ready() {
        assert_eq!(
            status_of("{status: {phase: Running, conditions: [{type: Ready, status: 'False'}]}}"),
            Some(Status::Fail)
        );
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
    fn a_node_that_does_not_report_is_unknown() {
        assert_eq!(status_of("{status: {phase: Unknown}}"), Some(Status::Unknown));
    }

    #[test]
    fn no_pods_is_unknown() {
        let checks = judge(&Ok(Vec::new()), "shop", now());
        assert_eq!(checks[0].status, Status::Unknown);
    }

    const MEASURED: &str = "{metadata: {name: a, creationTimestamp: '2026-11-22T10:00:00Z'},
        spec: {containers: [{name: c, resources: {limits: {cpu: '1', memory: 100Mi}}}]},
        status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}";

    #[test]
    fn a_pod_near_its_memory_limit_fails() {
        let usage: Usage = [("a".to_owned(), Sample { cpu_cores: 0.1, memory_bytes: 95.0 * 1_048_576.0 })].into();
        let checks = judge_usage(&Ok(vec![pod(MEASURED)]), &Ok(usage), &Limits::default(), "shop", now());
        assert_eq!(checks[0].status, Status::Fail, "{checks:?}");
    }

    #[test]
    fn an_old_pod_without_figures_is_unknown() {
        let checks = judge_usage(&Ok(vec![pod(MEASURED)]), &Ok(Usage::new()), &Limits::default(), "shop", now());
        assert_eq!(checks[0].status, Status::Unknown, "{checks:?}");
    }
}
