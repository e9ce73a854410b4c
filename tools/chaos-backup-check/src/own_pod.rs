//! A pod of ours in the cluster, for as long as it is needed.
//!
//! A Job makes the pod. It ends with us, however we end: a program in it waits for the end of a
//! connection whose other end is ours, and ends the pod's first process then. What has ended,
//! Kubernetes removes; and if all else fails, the Job has a deadline: a short one until that program
//! runs, because before, nothing in the pod minds us.

use std::time::{Duration, Instant};

use chaos_common::cluster::exec::{ExecProcess, ExecTarget};
use chaos_common::cluster::pod_trouble::{PodTrouble, pod_trouble};
use chaos_common::cluster::{Access, Cluster, ReadError, ReadErrorKind};
use chaos_common::record::{Time, new_id};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::sleep;

use crate::source::remote;

/// The folder that it may write to.
pub(crate) const FOLDER: &str = "/scratch";
/// The longest that a pod may take to run; its image may have to be fetched.
const START: Duration = Duration::from_secs(300);
/// How long a reason why the pod does not run may last that seldom passes.
const STUCK: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);
const NOT_MADE: &str = "it is not even made";
/// After so long the cluster ends a Job whose pod was not held.
const UNHELD_S: u64 = START.as_secs() + 30;
/// After so long the cluster ends it, whatever became of us.
const DEADLINE_S: u64 = 6 * 60 * 60;
/// Time that taking it away may take.
const CLEAN_UP: Duration = Duration::from_secs(10);
/// What the pod does first: it waits to be held.
const UNTIL_HELD: &str = include_str!("until_held.sh");

/// What the pod is to be.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    /// What it is for: the Job is called `chaos-PURPOSE-…`.
    pub(crate) purpose: &'static str,
    /// Its image, with `sh`, `cat`, `touch` and `sleep`.
    pub(crate) image: String,
    /// What `sh -c` does in it once it is held, as its first process, which SIGQUIT ends.
    pub(crate) script: String,
    /// Variables that are set for it.
    pub(crate) env: Vec<(&'static str, String)>,
    /// The user and group that it runs as.
    pub(crate) user: i64,
    /// A claim, and where it is mounted to be read.
    pub(crate) claim: Option<(String, String)>,
}

/// Why there is no pod.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OwnPodError {
    /// The API server did not do its part.
    #[error(transparent)]
    Cluster(#[from] ReadError),
    /// It does not run.
    #[error("the pod of job/{job} with {image} does not run: {why}")]
    NotRunning {
        job: String,
        image: String,
        why: String,
    },
    /// Its program has ended.
    #[error("the pod of job/{job} with {image} has ended: {log}")]
    Ended {
        job: String,
        image: String,
        log: String,
    },
}

impl OwnPodError {
    /// What a person does next.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            OwnPodError::Cluster(error) if error.kind == ReadErrorKind::Forbidden => Some(
                "the Role needs create, patch and delete on jobs, list on pods, get on pods/log, \
                 and get and create on pods/exec; test it with kubectl auth can-i",
            ),
            OwnPodError::Cluster(error) => error.next_step(),
            OwnPodError::NotRunning { .. } => Some(
                "can the nodes get the image, and is there room for one more pod? \
                 kubectl get events says more",
            ),
            OwnPodError::Ended { .. } => None,
        }
    }
}

/// The pod; gone when this is dropped.
pub(crate) struct OwnPod {
    pub(crate) container: ExecTarget,
    made: Made,
    /// The connection whose end is the pod's.
    _leash: ExecProcess,
}

/// A Job, or the name of one that is about to be made; deleted when this is dropped.
struct Made {
    cluster: Cluster,
    namespace: String,
    name: String,
}

impl Drop for Made {
    fn drop(&mut self) {
        let (jobs, name) = (self.jobs(), self.name.clone());
        // Without it, the cluster removes the Job by itself, a moment after its pod has lost us.
        remote::clean_up(CLEAN_UP, async move {
            drop(jobs.delete(&name, &DeleteParams::background()).await);
        });
    }
}

impl Made {
    fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }
}

impl OwnPod {
    /// Makes one, and holds it.
    ///
    /// # Errors
    /// It can't be made, or does not run.
    pub(crate) async fn start(
        access: &Access,
        namespace: &str,
        wanted: Wanted,
    ) -> Result<OwnPod, OwnPodError> {
        let access = access.clone();
        let cluster = on_the_talker(async move { Cluster::connect(&access).await }).await?;
        // No other has this name, and its end is seen to before it begins.
        let id = new_id().replace('-', "");
        let made = Made {
            cluster: cluster.clone(),
            namespace: namespace.to_owned(),
            name: format!("chaos-{}-{}", wanted.purpose, &id[..20]),
        };
        let (namespace, name) = (made.namespace.clone(), made.name.clone());
        let (container, leash) =
            on_the_talker(async move { make(&cluster, &namespace, &name, &wanted).await }).await?;
        Ok(OwnPod {
            container,
            made,
            _leash: leash,
        })
    }

    /// For people.
    pub(crate) fn label(&self) -> String {
        format!("job/{}", self.made.name)
    }

    /// The last lines that it wrote.
    pub(crate) async fn log(&self) -> String {
        let ExecTarget {
            cluster,
            namespace,
            pod,
            ..
        } = &self.container;
        log(cluster, namespace, pod).await
    }
}

/// Does something where connections live as long as the process, and stops when nobody waits for
/// it.
async fn on_the_talker<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> T {
    let (mut send, done) = tokio::sync::oneshot::channel();
    remote::spawn(async move {
        tokio::select! {
            // Who waited may have gone just now.
            result = work => drop(send.send(result)),
            () = send.closed() => {}
        }
    });
    done.await
        .expect("it ends with its result, or has panicked")
}

/// Makes the Job, and holds its pod.
async fn make(
    cluster: &Cluster,
    namespace: &str,
    name: &str,
    wanted: &Wanted,
) -> Result<(ExecTarget, ExecProcess), OwnPodError> {
    let jobs: Api<Job> = Api::namespaced(cluster.client.clone(), namespace);
    let made = jobs
        .create(&PostParams::default(), &job(name, wanted))
        .await;
    let what = format!("make the Job {name} in namespace {namespace}");
    made.map_err(|error| ReadError::from_kube(what, &error))?;
    let pod = running(cluster, namespace, name, &wanted.image).await?;
    let container = ExecTarget::of(cluster, &pod);
    // It starts when we hold it, and from then on does not outlive us. A container's first process
    // minds no signal that it has no handler for, so this must be said until it is there to hear it.
    let hold =
        format!("touch {FOLDER}/held; cat >/dev/null; while :; do kill -QUIT 1; sleep 1; done");
    let holding = container.exec(&["sh", "-c", &hold]).with_stdin().start();
    let leash = holding.await?;
    let longer = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": DEADLINE_S}}));
    let given = jobs.patch(name, &PatchParams::default(), &longer).await;
    let what = format!("give the Job {name} more time");
    given.map_err(|error| ReadError::from_kube(what, &error))?;
    Ok((container, leash))
}

fn job(name: &str, wanted: &Wanted) -> Job {
    let labels = json!({
        "app.kubernetes.io/managed-by": "chaos-backup-check",
        "app.kubernetes.io/name": format!("chaos-{}", wanted.purpose),
    });
    let mut volumes = vec![json!({"name": "scratch", "emptyDir": {}})];
    let mut mounts = vec![json!({"name": "scratch", "mountPath": FOLDER})];
    // Nothing gives the files of a claim to another group: they are somebody's, and only read.
    if let Some((claim, mount)) = &wanted.claim {
        let of = json!({"claimName": claim, "readOnly": true});
        volumes.push(json!({"name": "claim", "persistentVolumeClaim": of}));
        mounts.push(json!({"name": "claim", "mountPath": mount, "readOnly": true}));
    }
    let env = wanted.env.iter();
    let env = env.map(|(name, value)| json!({"name": name, "value": value}));
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "backoffLimit": 0, "activeDeadlineSeconds": UNHELD_S, "ttlSecondsAfterFinished": 0,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never", "automountServiceAccountToken": false, "enableServiceLinks": false,
                    "terminationGracePeriodSeconds": 2,
                    "securityContext": {
                        "runAsNonRoot": true, "runAsUser": wanted.user, "runAsGroup": wanted.user,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": wanted.purpose, "image": wanted.image, "imagePullPolicy": "IfNotPresent",
                        "command": ["sh", "-c", format!("F={FOLDER}\n{UNTIL_HELD}\n{}", wanted.script)],
                        "env": env.collect::<Vec<_>>(),
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                        },
                        "volumeMounts": mounts,
                    }],
                    "volumes": volumes,
                },
            },
        },
    });
    serde_json::from_value(job).expect("a Job has these fields")
}

/// How far a pod is.
#[derive(Debug, PartialEq, Eq)]
enum PodStart {
    Running,
    /// Its program has ended.
    Ended,
    /// Not running yet, and why.
    Waiting(String),
    /// Not running, for a reason that seldom passes.
    Stuck(String),
}

/// Waits for the pod of a Job.
async fn running(
    cluster: &Cluster,
    namespace: &str,
    job: &str,
    image: &str,
) -> Result<Pod, OwnPodError> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let of = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    let start = Instant::now();
    loop {
        let found = cluster.list(&pods, &of, format!("find the pod of job/{job}"));
        let pod = found.await?.into_iter().next();
        let (why, patience) = match (how_far(pod.as_ref(), Time::now()), pod) {
            (PodStart::Running, Some(pod)) => return Ok(pod),
            (PodStart::Ended, Some(pod)) => {
                let name = pod.metadata.name.as_deref().unwrap_or_default();
                return Err(OwnPodError::Ended {
                    job: job.to_owned(),
                    image: image.to_owned(),
                    log: log(cluster, namespace, name).await,
                });
            }
            (PodStart::Stuck(why), _) => (why, STUCK),
            (PodStart::Waiting(why), _) => (why, START),
            (PodStart::Running | PodStart::Ended, None) => (NOT_MADE.to_owned(), START),
        };
        if start.elapsed() > patience {
            return Err(OwnPodError::NotRunning {
                job: job.to_owned(),
                image: image.to_owned(),
                why,
            });
        }
        sleep(PAUSE).await;
    }
}

/// How far a pod is, if there is one.
fn how_far(pod: Option<&Pod>, now: Time) -> PodStart {
    let Some(pod) = pod else {
        return PodStart::Waiting(NOT_MADE.to_owned());
    };
    let status = pod.status.as_ref();
    match status.and_then(|status| status.phase.as_deref()) {
        Some("Running") => return PodStart::Running,
        Some("Failed" | "Succeeded") => return PodStart::Ended,
        _ => {}
    }
    match pod_trouble(pod, now, 0) {
        Some(trouble @ PodTrouble::Container { .. }) => PodStart::Stuck(trouble.to_string()),
        Some(trouble) => PodStart::Waiting(trouble.to_string()),
        None => PodStart::Waiting("it has not started yet".to_owned()),
    }
}

/// The last lines that a pod wrote.
async fn log(cluster: &Cluster, namespace: &str, pod: &str) -> String {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let params = LogParams {
        tail_lines: Some(3),
        ..LogParams::default()
    };
    let log = pods
        .logs(pod, &params)
        .await
        .unwrap_or_else(|error| format!("(its log cannot be read: {error})"));
    log.trim().replace('\n', "; ").chars().take(500).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(status: &serde_json::Value) -> PodStart {
        let pod = json!({"metadata": {"name": "x"}, "status": status});
        let pod: Pod = serde_json::from_value(pod).expect("a pod");
        how_far(Some(&pod), Time::now())
    }

    #[test]
    fn a_reason_that_seldom_passes_is_told_from_one_that_does() {
        let waiting = |reason: &str| {
            json!({"phase": "Pending", "containerStatuses": [{
                "name": "postgres", "image": "x", "imageID": "", "ready": false,
                "restartCount": 0, "state": {"waiting": {"reason": reason}},
            }]})
        };
        for reason in [
            "ImagePullBackOff",
            "InvalidImageName",
            "CreateContainerConfigError",
        ] {
            let start = start(&waiting(reason));
            assert!(
                matches!(&start, PodStart::Stuck(why) if why.contains(reason)),
                "{start:?}"
            );
        }
        let creating = start(&waiting("ContainerCreating"));
        assert!(matches!(creating, PodStart::Waiting(_)), "{creating:?}");
        assert_eq!(start(&json!({"phase": "Running"})), PodStart::Running);
        assert_eq!(start(&json!({"phase": "Failed"})), PodStart::Ended);
        assert!(matches!(how_far(None, Time::now()), PodStart::Waiting(_)));
    }
}
