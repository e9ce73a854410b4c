//! Load from inside the cluster: a Job whose pods each make a share of it.
//!
//! The Job has an end of its own in the cluster (`activeDeadlineSeconds`,
//! `ttlSecondsAfterFinished`), so that nothing goes on or stays behind should this process be
//! killed; otherwise it is deleted here.

use std::time::Duration;

use anyhow::bail;
use chaos_common::cluster::ReadError;
use chaos_common::config::LoadProfile;
use chaos_common::record::{Check, Load, Record, Timing, new_id};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::api::{Api, DeleteParams, ListParams, LogParams, PostParams};
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep};

use super::load::figures;
use crate::target::{ServiceUrl, Target};

/// Time in which all pods must have started.
const START: Duration = Duration::from_secs(90);
/// Time between two looks at the pods.
const PAUSE: Duration = Duration::from_millis(500);
/// Seconds for which a Job that has ended stays, should nobody have deleted it.
const STAYS: u64 = 300;
/// The most that a pod's record may be.
const MAX_LOG: i64 = 16 << 20;
/// The share of the duration by which pods may start apart.
const APART: f64 = 0.2;
/// The label by which NetworkPolicies can let the pods through.
const NAME: &str = "chaos-verify-load";

/// Makes the load from pods and gives what they measured together, a URL each.
pub(crate) async fn run(
    target: &Target<'_>,
    image: &str,
    profile: &LoadProfile,
    urls: &[ServiceUrl],
    run: &str,
) -> Result<Vec<Timing>, Box<Check>> {
    let id = "performance.job";
    let name = format!("{NAME}-{}", &new_id()[24..]);
    let object = format!("job/{name}");
    let jobs: Api<Job> = Api::namespaced(target.cluster.client.clone(), target.namespace);
    let job = manifest(&name, image, profile, urls, run);
    let what = format!("create {object} in namespace {}", target.namespace);
    let created = tokio::time::timeout(
        Duration::from_secs(10),
        jobs.create(&PostParams::default(), &job),
    )
    .await;
    match created {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => {
            return Err(Box::new(
                ReadError::from_kube(what, &error).check(id, object),
            ));
        }
        // It may have been created all the same: it is deleted below, or ends by itself.
        Err(_) => {
            drop(jobs.delete(&name, &DeleteParams::background()).await);
            return Err(Box::new(
                ReadError::timeout(what, "no answer in 10 s").check(id, object),
            ));
        }
    }
    let measured = tokio::select! {
        measured = watch(target, &name, profile, urls) => measured,
        () = stopped() => Err(ReadError::other(format!("wait for {object}"), "interrupted")),
    };
    let what = format!("delete {object}");
    let background = DeleteParams::background();
    let deleted = target
        .cluster
        .read(&what, || jobs.delete(&name, &background))
        .await;
    let mut check = match (measured, deleted) {
        (Ok(timings), Ok(_)) => return Ok(timings),
        (Err(error), _) if error.next_step().is_none() => {
            let hint = format!("kubectl -n {} get events shows more", target.namespace);
            error.hint(hint).check(id, &object)
        }
        (Err(error), _) | (Ok(_), Err(error)) => error.check(id, &object),
    };
    check.message = format!("the load could not be made: {}", check.message);
    Err(Box::new(check))
}

async fn stopped() {
    match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(mut interrupt), Ok(mut terminate)) => tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        },
        _ => std::future::pending().await,
    }
}

fn milliseconds(time: Duration) -> String {
    format!("{}ms", time.as_millis())
}

/// The Job: every pod asks all URLs at its share of the rate.
fn manifest(name: &str, image: &str, profile: &LoadProfile, urls: &[ServiceUrl], run: &str) -> Job {
    let pods = profile.pods.max(1);
    let rate = profile.rate / f64::from(pods);
    let connections = profile.connections.div_ceil(usize::from(pods)).max(1);
    let mut command = vec!["chaos-verify".to_owned(), "load".to_owned()];
    command.extend(urls.iter().map(ServiceUrl::text));
    command.extend(
        [
            "--rate",
            &rate.to_string(),
            "--duration",
            &milliseconds(profile.duration.0),
        ]
        .map(str::to_owned),
    );
    command.extend(["--warm-up", &milliseconds(profile.warm_up.0)].map(str::to_owned));
    command.extend(["--timeout", &milliseconds(profile.timeout.0)].map(str::to_owned));
    command.extend(
        [
            "--connections",
            &connections.to_string(),
            "--output",
            "json",
        ]
        .map(str::to_owned),
    );
    if profile.http2 {
        command.push("--http2".to_owned());
    }
    let labels = json!({ "app.kubernetes.io/name": NAME, "chaos-runbook/run": run, "chaos-runbook/job": name });
    serde_json::from_value(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "completionMode": "Indexed",
            "completions": pods,
            "parallelism": pods,
            // A pod whose load fails must not take the others down.
            "backoffLimitPerIndex": 0,
            "activeDeadlineSeconds": (START + longest(profile)).as_secs(),
            "ttlSecondsAfterFinished": STAYS,
            "template": {
                "metadata": { "labels": labels },
                "spec": {
                    "restartPolicy": "Never",
                    "automountServiceAccountToken": false,
                    "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 1,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": 65534, "runAsGroup": 65534,
                        "seccompProfile": { "type": "RuntimeDefault" }
                    },
                    "topologySpreadConstraints": [{
                        "maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway",
                        "labelSelector": { "matchLabels": { "chaos-runbook/job": name } }
                    }],
                    "containers": [{
                        "name": "load",
                        "image": image,
                        "command": command,
                        "workingDir": "/",
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] }
                        },
                        "resources": {
                            "requests": { "cpu": "100m", "memory": "64Mi" },
                            "limits": { "cpu": "1", "memory": "256Mi" }
                        }
                    }]
                }
            }
        }
    }))
    .expect("this is what a Job looks like")
}

/// How long a pod's load and what belongs to it may take.
fn longest(profile: &LoadProfile) -> Duration {
    profile.warm_up.0 + profile.duration.0 + profile.timeout.0 * 8 + Duration::from_secs(30)
}

/// Waits for the pods and reads what they measured.
async fn watch(
    target: &Target<'_>,
    name: &str,
    profile: &LoadProfile,
    urls: &[ServiceUrl],
) -> Result<Vec<Timing>, ReadError> {
    let pods: Api<Pod> = Api::namespaced(target.cluster.client.clone(), target.namespace);
    let params = ListParams::default().labels(&format!("chaos-runbook/job={name}"));
    let (wanted, begun) = (usize::from(profile.pods.max(1)), Instant::now());
    let what = format!(
        "run the pods of job/{name} in namespace {}",
        target.namespace
    );
    let finished = loop {
        sleep(PAUSE).await;
        let found = target.cluster.list(&pods, &params, &what).await?;
        let states: Vec<State> = found.iter().map(state).collect();
        if states.len() == wanted && states.iter().all(|state| *state == State::Ended) {
            break found;
        }
        let stuck = states.iter().find_map(|state| {
            if let State::Stuck(why) = state {
                Some(why.clone())
            } else {
                None
            }
        });
        if let Some(why) = stuck {
            return Err(ReadError::other(&what, why));
        }
        let started = states
            .iter()
            .filter(|state| matches!(state, State::Runs | State::Ended))
            .count();
        if started < wanted && begun.elapsed() > START {
            let waits = states.iter().find_map(|state| {
                if let State::Waits(why) = state {
                    Some(why.clone())
                } else {
                    None
                }
            });
            let why = match waits {
                Some(why) => why,
                None => refused(target, name).await,
            };
            let seconds = START.as_secs();
            return Err(ReadError::timeout(
                &what,
                format!("{started} of {wanted} pods started in {seconds} s: {why}"),
            ));
        }
        if states.is_empty() && begun.elapsed() > Duration::from_secs(10) {
            let why = refused(target, name).await;
            if why.contains("quota") || why.contains("forbidden") || why.contains("denied") {
                return Err(ReadError::other(&what, why));
            }
        }
        if begun.elapsed() > START + longest(profile) {
            return Err(ReadError::timeout(&what, "they did not end in time"));
        }
    };
    let mut all: Vec<Vec<Timing>> = vec![Vec::new(); urls.len()];
    for pod in &finished {
        let timings = read(target, pod).await?;
        for (all, url) in all.iter_mut().zip(urls) {
            let timing = timings.iter().find(|timing| timing.service == url.text());
            all.push(timing.cloned().ok_or_else(|| {
                ReadError::other(&what, format!("a pod did not measure {}", url.text()))
            })?);
        }
    }
    let mut merged = Vec::new();
    for (timings, url) in all.into_iter().zip(urls) {
        merged.push(
            merge(timings, url, profile)
                .map_err(|why| ReadError::other(&what, format!("{why:#}")))?,
        );
    }
    name_policies(target, &mut merged).await;
    Ok(merged)
}

/// The measurement of all pods together.
fn merge(timings: Vec<Timing>, url: &ServiceUrl, profile: &LoadProfile) -> anyhow::Result<Timing> {
    let starts: Vec<_> = timings
        .iter()
        .filter_map(|timing| Some(timing.load.as_ref()?.started))
        .collect();
    let mut merged = figures::merge(timings)?;
    merged.service.clone_from(&url.service);
    merged.path.clone_from(&url.path);
    "job".clone_into(&mut merged.vantage);
    let Some(load) = &mut merged.load else {
        bail!("a pod's measurement was not under load");
    };
    load.profile = Some(profile.name.clone());
    if let (Some(first), Some(last)) = (starts.iter().min(), starts.iter().max()) {
        let apart = Duration::from_millis(u64::try_from(last.since_ms(*first)).unwrap_or_default());
        if apart > profile.duration.0.mul_f64(APART) {
            let why = format!(
                "the pods' loads began {:.1} s apart, so that they were not one load",
                apart.as_secs_f64()
            );
            load.saturated.get_or_insert(why);
        }
    }
    Ok(merged)
}

/// What a pod wrote: its record is the last line.
async fn read(target: &Target<'_>, pod: &Pod) -> Result<Vec<Timing>, ReadError> {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(target.cluster.client.clone(), target.namespace);
    let what = format!("read what pod {name} measured");
    let params = LogParams {
        limit_bytes: Some(MAX_LOG),
        ..LogParams::default()
    };
    let text = target
        .cluster
        .read(&what, || pods.logs(&name, &params))
        .await?;
    let line = text
        .lines()
        .rfind(|line| line.starts_with("{\"schema\":\"chaos.load/1\""));
    let said = || {
        text.lines()
            .last()
            .unwrap_or("nothing")
            .chars()
            .take(200)
            .collect::<String>()
    };
    let line = line
        .ok_or_else(|| ReadError::other(&what, format!("it wrote no record, but: {}", said())))?;
    let record: Record<Load> = serde_json::from_str(line)
        .map_err(|error| ReadError::other(&what, format!("its record is broken: {error}")))?;
    Ok(record.data.timings)
}

/// How far a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Not started yet, and why.
    Waits(String),
    /// It will not start.
    Stuck(String),
    Runs,
    Ended,
}

fn state(pod: &Pod) -> State {
    let status = pod.status.clone().unwrap_or_default();
    let container = status
        .container_statuses
        .unwrap_or_default()
        .into_iter()
        .next()
        .and_then(|container| container.state);
    if let Some(waiting) = container.as_ref().and_then(|state| state.waiting.as_ref()) {
        let (reason, message) = (
            waiting.reason.clone().unwrap_or_default(),
            waiting.message.clone().unwrap_or_default(),
        );
        let why = format!("{reason} {message}").trim().to_owned();
        let stuck = [
            "ErrImagePull",
            "ImagePullBackOff",
            "InvalidImageName",
            "ErrImageNeverPull",
            "CreateContainerConfigError",
        ];
        return if stuck.contains(&reason.as_str()) {
            State::Stuck(why)
        } else {
            State::Waits(why)
        };
    }
    if let Some(ended) = container
        .as_ref()
        .and_then(|state| state.terminated.as_ref())
    {
        // The tool's own ends; anything else is a container that could not run it.
        return match ended.exit_code {
            0 | 1 | 3 => State::Ended,
            code => {
                let reason = [ended.reason.clone(), ended.message.clone()]
                    .into_iter()
                    .flatten()
                    .collect::<Vec<_>>()
                    .join(": ");
                State::Stuck(format!(
                    "its container ended with {code} ({reason}); has the image chaos-verify in its PATH?"
                ))
            }
        };
    }
    match status.phase.as_deref() {
        Some("Running") => State::Runs,
        Some("Failed") => State::Stuck(
            status
                .message
                .or(status.reason)
                .unwrap_or_else(|| "it failed".to_owned()),
        ),
        _ => {
            let conditions = status.conditions.unwrap_or_default();
            let why = conditions
                .into_iter()
                .find(|condition| condition.status == "False")
                .and_then(|c| c.message);
            State::Waits(why.unwrap_or_else(|| "it is pending".to_owned()))
        }
    }
}

/// Why the Job has no pods, as its events tell: a quota, a policy, a webhook.
async fn refused(target: &Target<'_>, name: &str) -> String {
    let events: Api<Event> = Api::namespaced(target.cluster.client.clone(), target.namespace);
    let params = ListParams::default().fields(&format!(
        "involvedObject.kind=Job,involvedObject.name={name},type=Warning"
    ));
    match target
        .cluster
        .list(&events, &params, "read the events of the Job")
        .await
    {
        Ok(events) => {
            let said = events
                .into_iter()
                .filter_map(|event| event.message)
                .next_back();
            said.unwrap_or_else(|| "the Job has no pods, and no event says why".to_owned())
        }
        Err(error) => format!("the Job has no pods ({error})"),
    }
}

/// Where nothing at all answers the pods, a NetworkPolicy may be why.
async fn name_policies(target: &Target<'_>, timings: &mut [Timing]) {
    if timings.is_empty() || timings.iter().any(|timing| timing.errors < timing.requests) {
        return;
    }
    let policies: Api<NetworkPolicy> =
        Api::namespaced(target.cluster.client.clone(), target.namespace);
    let Ok(found) = target
        .cluster
        .list(&policies, &ListParams::default(), "list network policies")
        .await
    else {
        return;
    };
    let names: Vec<_> = found
        .into_iter()
        .filter_map(|policy| policy.metadata.name)
        .collect();
    if names.is_empty() {
        return;
    }
    for timing in timings {
        let note = format!(
            "NetworkPolicies of this namespace ({}) may keep pods labelled app.kubernetes.io/name={NAME} out",
            names.join(", ")
        );
        match timing.failures.first_mut() {
            Some(first) => *first = format!("{first}; {note}"),
            None => timing.failures.push(note),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(status: &serde_json::Value) -> Pod {
        serde_json::from_value(json!({ "metadata": { "name": "p" }, "status": status }))
            .expect("a pod")
    }

    fn ended(code: i32) -> State {
        state(&pod(
            &json!({ "phase": "Failed", "containerStatuses": [{ "name": "load", "image": "i", "imageID": "", "ready": false,
            "restartCount": 0, "state": { "terminated": { "exitCode": code, "reason": "Error" } } }] }),
        ))
    }

    #[test]
    fn a_pod_whose_load_failed_has_measured_and_one_that_could_not_run_has_not() {
        assert_eq!(
            [0, 1, 3].map(ended),
            [State::Ended, State::Ended, State::Ended]
        );
        for code in [2, 127, 137] {
            assert!(matches!(ended(code), State::Stuck(_)), "{code}");
        }
    }

    #[test]
    fn what_keeps_a_pod_from_starting_is_named() {
        let waiting = |reason: &str| {
            state(&pod(
                &json!({ "phase": "Pending", "containerStatuses": [{ "name": "load", "image": "i", "imageID": "",
                "ready": false, "restartCount": 0, "state": { "waiting": { "reason": reason, "message": "m" } } }] }),
            ))
        };
        assert_eq!(
            waiting("ErrImagePull"),
            State::Stuck("ErrImagePull m".to_owned())
        );
        assert_eq!(
            waiting("ContainerCreating"),
            State::Waits("ContainerCreating m".to_owned())
        );
        let unschedulable = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
            "message": "0/1 nodes are available: 1 Insufficient cpu." }] });
        assert_eq!(
            state(&pod(&unschedulable)),
            State::Waits("0/1 nodes are available: 1 Insufficient cpu.".to_owned())
        );
    }

    #[test]
    fn the_pods_share_rate_and_connections_and_the_job_has_an_end() {
        let profile = LoadProfile {
            pods: 4,
            rate: 100.0,
            connections: 10,
            ..LoadProfile::default()
        };
        let job = manifest("n", "i", &profile, &[], "run");
        let spec = job.spec.expect("a spec");
        assert_eq!(
            (
                spec.completions,
                spec.parallelism,
                spec.backoff_limit_per_index
            ),
            (Some(4), Some(4), Some(0))
        );
        assert!(
            spec.active_deadline_seconds
                .is_some_and(|seconds| (420..600).contains(&seconds))
        );
        assert_eq!(spec.ttl_seconds_after_finished, Some(300));
        let command = spec
            .template
            .spec
            .and_then(|pod| pod.containers.into_iter().next()?.command)
            .expect("a command");
        let after = |flag: &str| {
            command
                .iter()
                .skip_while(|word| *word != flag)
                .nth(1)
                .cloned()
        };
        assert_eq!(
            (after("--rate"), after("--connections")),
            (Some("25".to_owned()), Some("3".to_owned()))
        );
    }
}
