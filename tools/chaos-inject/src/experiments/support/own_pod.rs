//! A probe pod of ours, which asks where no pod of the application can: restricted in all that Pod
//! Security knows, without any right, and with a deadline of its own. It is part of the intent, so
//! whoever undoes the run takes it away.
//!
//! It bears the labels of the pods that it stands for as far as NetworkPolicies look at them, and is
//! never ready: no Service sends traffic to it. Its owner is the run's Lease, so it counts as
//! nobody's pod.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;
use async_trait::async_trait;
use chaos_common::cluster::pod_trouble::pod_trouble;
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::record::{Plan, Time};
use futures::io::AsyncBufReadExt as _;
use futures::{AsyncBufRead, TryStreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, LogParams};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::peer::{Line, Peers, Session, Tasks};
use super::probe_pod::ProbeCommand;
use crate::labels::EXPERIMENT_LABEL;

/// Its containers: the one that asks along the route, and the one along the control route.
const CONTAINERS: [&str; 2] = ["route", "control"];
/// Time for its image to be there and for both to run.
pub const START: Duration = Duration::from_secs(60);
/// A deadline on the cluster's side on top of the longest run, for a pod that nobody can delete.
const SLACK: Duration = Duration::from_secs(30);
/// Between two looks at whether it runs.
const LOOK: Duration = Duration::from_millis(200);
/// A condition that nobody sets: with it as a readiness gate, a pod is never ready.
const NEVER: &str = "chaos-runbook/takes-no-traffic";
/// A user without rights on any node, by convention "nobody".
const NOBODY: u32 = 65534;

/// What it is made of.
#[derive(Clone, Debug)]
pub struct ProbePod<'a> {
    /// The experiment that it is for.
    pub experiment: &'a str,
    /// Its image.
    pub image: &'a str,
    /// Labels of the pods that it stands for.
    pub labels: BTreeMap<String, String>,
    /// What its containers run.
    pub commands: &'a [ProbeCommand; 2],
    /// How long they run.
    pub most: Duration,
}

/// Its name.
pub fn name(experiment: &str) -> String {
    format!("chaos-{experiment}-probe")
}

impl ProbePod<'_> {
    /// The object.
    pub fn manifest(&self, namespace: &str) -> Value {
        let container = |(name, asked): (&str, &ProbeCommand)| {
            json!({
                "name": name, "image": self.image, "imagePullPolicy": "IfNotPresent",
                "command": asked.command,
                // An autoscaler that finds the pod by its labels wants requests of each.
                "resources": {
                    "requests": { "cpu": "10m", "memory": "16Mi" },
                    "limits": { "cpu": "200m", "memory": "64Mi" },
                },
                "securityContext": {
                    "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                    "runAsNonRoot": true, "runAsUser": NOBODY, "runAsGroup": NOBODY,
                    "capabilities": { "drop": ["ALL"] },
                    "seccompProfile": { "type": "RuntimeDefault" },
                },
            })
        };
        let containers = CONTAINERS.into_iter().zip(self.commands).map(container);
        let mut labels = json!(self.labels);
        labels[EXPERIMENT_LABEL] = self.experiment.into();
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {
                "name": name(self.experiment), "namespace": namespace, "labels": labels,
            },
            "spec": {
                "restartPolicy": "Never", "automountServiceAccountToken": false,
                "enableServiceLinks": false, "terminationGracePeriodSeconds": 1,
                "activeDeadlineSeconds": (self.most + START + SLACK).as_secs(),
                "readinessGates": [{ "conditionType": NEVER }],
                "containers": containers.collect::<Vec<_>>(),
            },
        })
    }
}

/// A probe pod that was made.
#[derive(Clone, Debug)]
pub struct OwnPod {
    cluster: Cluster,
    namespace: String,
    pod: String,
}

impl OwnPod {
    /// The one of a plan, if it makes one.
    pub fn of(cluster: &Cluster, plan: &Plan) -> Option<OwnPod> {
        let object = plan.probe_pods.first()?.object();
        Some(OwnPod {
            cluster: cluster.clone(),
            namespace: object.namespace.clone()?,
            pod: object.name.clone(),
        })
    }

    fn api(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// Waits until both containers run.
    ///
    /// # Errors
    /// They do not; says what keeps them.
    pub async fn await_running(&self) -> anyhow::Result<()> {
        let (api, name) = (self.api(), &self.pod);
        let deadline = Instant::now() + START;
        loop {
            let what = format!("read pod {name} in namespace {}", self.namespace);
            let pod = self.cluster.read(what, || api.get(name)).await?;
            match progress(&pod) {
                Progress::Runs => return Ok(()),
                Progress::Ended(why) => bail!(
                    "the probe pod {name} does not ask: {why}; experiment.probe_image in \
                     chaos.toml names an image with sh and curl 7.84 or later"
                ),
                Progress::Starts if Instant::now() < deadline => sleep(LOOK).await,
                Progress::Starts => {
                    let trouble = pod_trouble(&pod, Time::now(), 0);
                    let why = trouble.map_or_else(String::new, |why| format!(": {why}"));
                    bail!(
                        "the probe pod {name} does not run after {} s{why}; \
                         experiment.probe_image in chaos.toml names its image",
                        START.as_secs()
                    );
                }
            }
        }
    }
}

/// How far a probe pod has come.
#[derive(Debug, PartialEq, Eq)]
enum Progress {
    Starts,
    Runs,
    /// A container has ended, and why.
    Ended(String),
}

fn progress(pod: &Pod) -> Progress {
    let status = pod.status.as_ref();
    let containers = status.and_then(|status| status.container_statuses.as_deref());
    let all = || {
        let containers = containers.unwrap_or_default().iter();
        containers.filter_map(|one| Some((&one.name, one.state.as_ref()?)))
    };
    let ended = all().find_map(|(name, state)| Some((name, state.terminated.as_ref()?)));
    if let Some((name, ended)) = ended {
        let why = ended.message.as_deref().or(ended.reason.as_deref());
        let why = why.unwrap_or_default();
        let code = ended.exit_code;
        return Progress::Ended(format!("container {name} ended with status {code} {why}"));
    }
    let running = all().filter(|(_, state)| state.running.is_some()).count();
    if running == CONTAINERS.len() {
        Progress::Runs
    } else {
        Progress::Starts
    }
}

#[async_trait]
impl Peers for OwnPod {
    async fn start(
        &self,
        _commands: &[ProbeCommand; 2],
        _not: Option<&str>,
    ) -> Result<Session, ReadError> {
        let (api, pod) = (self.api(), &self.pod);
        let (sender, said) = mpsc::unbounded_channel();
        let mut tasks = Tasks::default();
        for (n, container) in CONTAINERS.into_iter().enumerate() {
            let params = LogParams {
                container: Some(container.to_owned()),
                follow: true,
                // What was said before was heard, or is too old to say how things are.
                tail_lines: Some(0),
                ..LogParams::default()
            };
            let what = format!("follow the log of container {container} of pod {pod}");
            let log = self.cluster.read(what, || api.log_stream(pod, &params));
            let reading = tokio::spawn(read(Box::pin(log.await?), n, sender.clone()));
            tasks.0.push(reading.abort_handle());
        }
        let pod = pod.clone();
        Ok(Session { pod, said, tasks })
    }
}

/// Reads a log up to its end.
async fn read(
    log: impl AsyncBufRead + Unpin,
    n: usize,
    said: mpsc::UnboundedSender<(usize, Line)>,
) {
    let mut lines = log.lines();
    let why = loop {
        match lines.try_next().await {
            Ok(Some(line)) => {
                if said.send((n, Line::Said(line))).is_err() {
                    return;
                }
            }
            Ok(None) => break "its log has ended".to_owned(),
            Err(error) => break error.to_string(),
        }
    };
    // Whoever listened may have begun anew.
    let _ = said.send((n, Line::Ended(why)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(statuses: &str) -> Pod {
        serde_saphyr::from_str(&format!("{{status: {{containerStatuses: [{statuses}]}}}}"))
            .expect("a pod")
    }

    fn container(name: &str, state: &str) -> String {
        format!(
            "{{name: {name}, image: i, imageID: i, ready: true, restartCount: 0, state: {{{state}}}}}"
        )
    }

    #[test]
    fn it_runs_once_both_of_its_containers_do() {
        let two = |a: &str, b: &str| {
            let both = [container("route", a), container("control", b)];
            progress(&pod(&both.join(",")))
        };
        assert_eq!(progress(&Pod::default()), Progress::Starts);
        assert_eq!(two("running: {}", "waiting: {}"), Progress::Starts);
        assert_eq!(two("running: {}", "running: {}"), Progress::Runs);
        let ended = two(
            "running: {}",
            "terminated: {exitCode: 127, message: no curl}",
        );
        let why = "container control ended with status 127 no curl".to_owned();
        assert_eq!(ended, Progress::Ended(why));
    }

    #[test]
    fn it_is_restricted_never_ready_and_ends_by_itself() {
        let commands = ["/a", "/b"]
            .map(|path| ProbeCommand::kept(&format!("http://s{path}"), Duration::from_secs(100)));
        let probe = ProbePod {
            experiment: "cut",
            image: "curl:1",
            labels: [("app".to_owned(), "front".to_owned())].into(),
            commands: &commands,
            most: Duration::from_secs(100),
        };
        let pod: Pod = serde_json::from_value(probe.manifest("prod")).expect("a pod");
        let labels = pod.metadata.labels.expect("labels");
        assert_eq!(labels["app"], "front");
        assert_eq!(labels[EXPERIMENT_LABEL], "cut");
        let spec = pod.spec.expect("a spec");
        assert_eq!(spec.active_deadline_seconds, Some(190));
        assert_eq!(spec.readiness_gates.map_or(0, |gates| gates.len()), 1);
        assert_eq!(spec.automount_service_account_token, Some(false));
        for one in spec.containers {
            let security = one.security_context.expect("one");
            assert_eq!(security.run_as_non_root, Some(true));
            assert_eq!(security.read_only_root_filesystem, Some(true));
            assert_eq!(security.allow_privilege_escalation, Some(false));
        }
    }
}
