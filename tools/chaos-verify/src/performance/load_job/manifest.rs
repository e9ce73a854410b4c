//! The Job that makes load: every pod asks all URLs at its share of the rate.

use std::time::Duration;

use chaos_common::cluster::RUN_LABEL;
use chaos_common::config::LoadProfile;
use k8s_openapi::api::batch::v1::Job;
use serde_json::{Value, json};

use crate::performance::load_target;
use crate::target::ServiceUrl;

/// The label by which NetworkPolicies can let the pods through.
pub(super) const NAME: &str = "chaos-verify-load";
/// The label with the Job's name.
pub(super) const JOB_LABEL: &str = "chaos-runbook/job";
/// Time in which all pods must have started.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(90);
/// Seconds for which a Job that has ended stays, should nobody have deleted it.
const TTL_SECONDS: u64 = 300;
/// A user without rights on any node, by convention "nobody".
const NOBODY: i64 = 65534;

/// A Job of that name, for the run.
///
/// # Errors
/// The certificates that a Service's `ca` names can't be read.
pub(super) fn job(name: &str, image: &str, run: &str, load: Load) -> anyhow::Result<Job> {
    let command = command(load)?;
    let pods = load.profile.pods.max(1);
    let labels = json!({
        "app.kubernetes.io/name": NAME,
        RUN_LABEL: run,
        JOB_LABEL: name,
    });
    let job = serde_json::from_value(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": { "name": name, "labels": labels },
        "spec": {
            "completionMode": "Indexed",
            "completions": pods,
            "parallelism": pods,
            // A pod whose load fails must not take the others down.
            "backoffLimitPerIndex": 0,
            "activeDeadlineSeconds": (START_TIMEOUT + longest(load.profile)).as_secs(),
            "ttlSecondsAfterFinished": TTL_SECONDS,
            "template": {
                "metadata": { "labels": labels },
                "spec": pod_spec(name, image, (&command, grace(load.profile))),
            }
        }
    }));
    Ok(job.expect("this is what a Job looks like"))
}

/// What load the pods make together.
#[derive(Clone, Copy, Debug)]
pub(super) struct Load<'a> {
    pub(super) profile: &'a LoadProfile,
    pub(super) urls: &'a [ServiceUrl],
}

/// How long a pod that is told to end waits for answers under way, and writes what it measured.
pub(super) fn grace(profile: &LoadProfile) -> Duration {
    Duration::from_secs(profile.timeout.0.as_secs() + 3)
}

fn pod_spec(job: &str, image: &str, (command, grace): (&[String], Duration)) -> Value {
    json!({
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "enableServiceLinks": false,
        "terminationGracePeriodSeconds": grace.as_secs(),
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": NOBODY, "runAsGroup": NOBODY,
            "seccompProfile": { "type": "RuntimeDefault" }
        },
        "topologySpreadConstraints": [{
            "maxSkew": 1,
            "topologyKey": "kubernetes.io/hostname",
            "whenUnsatisfiable": "ScheduleAnyway",
            "labelSelector": { "matchLabels": { JOB_LABEL: job } }
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
    })
}

/// What one pod runs.
fn command(Load { profile, urls }: Load) -> anyhow::Result<Vec<String>> {
    let pods = profile.pods.max(1);
    let rate = profile.rate / f64::from(pods);
    let connections = profile.connections.div_ceil(usize::from(pods)).max(1);
    let milliseconds = |time: Duration| format!("{}ms", time.as_millis());
    let mut command = vec!["chaos-verify".to_owned(), "load".to_owned()];
    for url in urls {
        command.extend(load_target::arguments(url)?);
    }
    for (flag, value) in [
        ("--rate", rate.to_string()),
        ("--duration", milliseconds(profile.duration.0)),
        ("--warm-up", milliseconds(profile.warm_up.0)),
        ("--timeout", milliseconds(profile.timeout.0)),
        ("--connections", connections.to_string()),
        ("--output", "json".to_owned()),
    ] {
        command.extend([flag.to_owned(), value]);
    }
    if profile.http2 {
        command.push("--http2".to_owned());
    }
    Ok(command)
}

/// How long a pod's load and what belongs to it may take.
pub(super) fn longest(profile: &LoadProfile) -> Duration {
    profile.warm_up.0 + profile.duration.0 + profile.timeout.0 * 8 + Duration::from_secs(30)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pods_share_rate_and_connections_and_the_job_has_an_end() {
        let profile = LoadProfile {
            pods: 4,
            rate: 100.0,
            connections: 10,
            ..LoadProfile::default()
        };
        let load = Load {
            profile: &profile,
            urls: &[],
        };
        let job = job("n", "i", "run", load).expect("no file is read");
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
