//! A PostgreSQL in a pod of the cluster, for as long as a drill takes.
//!
//! A Job makes the pod, with data in a folder of its own and no way in but its socket: it is
//! nobody's live database. It ends with us, however we end: a program in it waits for the end of a
//! connection whose other end is ours, and stops the server then. What has ended, Kubernetes
//! removes; and if all else fails, the Job has a deadline: a short one until that program runs,
//! because before, nothing in the pod minds us.

use std::time::{Duration, Instant};

use chaos_common::cluster::exec::{ExecProcess, ExecTarget};
use chaos_common::cluster::pod_trouble::{PodTrouble, pod_trouble};
use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind};
use chaos_common::record::{Time, new_id};
use chaos_common::retry::until;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, ListParams, LogParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tokio::time::sleep;

use super::local::SUPERUSER;
use crate::context::Context;
use crate::drill::error::DrillError;
use crate::drill::feed::Feed;
use crate::drill::process::{Ran, talk};
use crate::source::remote;

/// The folder with data and socket.
pub(super) const FOLDER: &str = "/scratch";
/// The longest that a pod may take to run and answer; its image may have to be fetched.
const START: Duration = Duration::from_secs(300);
/// How long a reason why the pod does not run may last that seldom passes.
const STUCK: Duration = Duration::from_secs(5);
/// The longest that a server may take to answer.
const ANSWER: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(300);
const NOT_MADE: &str = "it is not even made";
/// After so long the cluster ends a Job whose pod was not held.
const UNHELD_S: u64 = START.as_secs() + 30;
/// After so long the cluster ends it, whatever became of us.
const DEADLINE_S: u64 = 6 * 60 * 60;
/// Time that taking it away may take.
const CLEAN_UP: Duration = Duration::from_secs(10);
const LIMIT: Duration = Duration::from_secs(30);
const MAX_ANSWER: usize = 64 << 10;

/// Where images have PostgreSQL's programs: in PATH, or where Debian puts those of each version.
const PATH: &str = concat!(
    "PATH=$PATH:$(ls -d /usr/lib/postgresql/*/bin /usr/local/pgsql/bin 2>/dev/null",
    " | sort -V | tail -n 1); export PATH LC_ALL=C;"
);
/// What the pod does.
const SERVE: &str = include_str!("serve_in_pod.sh");

/// The server; gone when this is dropped.
pub(super) struct PodServer {
    container: ExecTarget,
    job: Made,
    /// The connection whose end is the server's.
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

impl PodServer {
    pub(super) async fn start(
        image: &str,
        preload: &str,
        context: &Context,
    ) -> Result<PodServer, DrillError> {
        let access = context.access.clone();
        let cluster = on_the_talker(async move { Cluster::connect(&access).await })
            .await
            .map_err(|error| unknown(&error))?;
        // No other has this name, and its end is seen to before it begins.
        let name = format!("chaos-drill-{}", &new_id().replace('-', "")[..20]);
        let job = Made {
            cluster: cluster.clone(),
            namespace: context.namespace.clone(),
            name: name.clone(),
        };
        let wanted = self::job(&name, image, preload);
        let (namespace, image) = (context.namespace.clone(), image.to_owned());
        let (container, leash) =
            on_the_talker(async move { make(&cluster, &namespace, &wanted, &image).await }).await?;
        let server = PodServer {
            container,
            job,
            _leash: leash,
        };
        server.answers().await?;
        Ok(server)
    }

    /// For people.
    pub(super) fn label(&self) -> String {
        format!("job/{}", self.job.name)
    }

    async fn answers(&self) -> Result<(), DrillError> {
        let answer = until(tokio::time::Instant::now() + ANSWER, PAUSE, || self.ask());
        let Err(why) = answer.await else {
            return Ok(());
        };
        let (label, log) = (self.label(), self.log().await);
        Err(DrillError::unknown(format!(
            "the PostgreSQL in {label} does not answer: {}; its log ends with: {log}",
            why.trim()
        )))
    }

    /// Asks something once; the error is for people.
    async fn ask(&self) -> Result<(), String> {
        let (args, nothing) = (["-XAtqc", "SELECT 1"], Feed::bytes(Vec::new()));
        match self.run("psql", "postgres", &args, nothing).await {
            Ok(ran) if ran.success => Ok(()),
            Ok(ran) => Err(ran.said),
            Err(error) => Err(error.message),
        }
    }

    async fn log(&self) -> String {
        log(
            &self.container.cluster,
            &self.container.namespace,
            &self.container.pod,
        )
        .await
    }

    pub(super) async fn version(&self) -> Result<String, DrillError> {
        let line = format!("{PATH} exec pg_restore --version");
        let exec = self.container.exec(&["sh", "-c", &line]);
        let ran = exec.output(LIMIT, MAX_ANSWER).await;
        let ran = ran.map_err(|error| unknown(&error))?;
        let said = String::from_utf8_lossy(&ran.stdout).into_owned();
        let version = said
            .split_whitespace()
            .skip_while(|word| *word != "(PostgreSQL)")
            .nth(1);
        version
            .filter(|_| ran.code == 0)
            .map(str::to_owned)
            .ok_or_else(|| {
                DrillError::unknown(format!("the image has no pg_restore: {said}{}", ran.stderr))
                    .hint(
                        "name an image with PostgreSQL's server and client as drill.image, such as \
                    postgres:17",
                    )
            })
    }

    /// Runs one of PostgreSQL's programs.
    pub(super) async fn run(
        &self,
        program: &str,
        database: &str,
        args: &[&str],
        feed: Feed,
    ) -> Result<Ran, DrillError> {
        let line = format!(
            "{PATH} export PGHOST={FOLDER} PGUSER={SUPERUSER} PGDATABASE=\"$1\"; shift; exec \"$@\""
        );
        let command = [&["sh", "-c", line.as_str(), "sh", database, program], args].concat();
        self.fed(&command, feed).await
    }

    /// Writes a file.
    pub(super) async fn put(
        &self,
        folder: &str,
        name: &str,
        file: Feed,
    ) -> Result<(u64, String), DrillError> {
        let line = "mkdir -p \"$1\" && cat >\"$1/$2\"";
        let ran = self
            .fed(&["sh", "-c", line, "sh", folder, name], file)
            .await?;
        if ran.success {
            return Ok(ran.read);
        }
        let place = std::path::PathBuf::from(format!("{folder} of {}", self.label()));
        Err(
            DrillError::of_postgres("the dump cannot be put into the pod", &ran.said, &place)
                .not_its_fault(),
        )
    }

    async fn fed(&self, command: &[&str], feed: Feed) -> Result<Ran, DrillError> {
        let started = self.container.exec(command).with_stdin().start().await;
        let mut process = started.map_err(|error| unknown(&error))?;
        let (Some(stdin), Some(stdout), Some(stderr)) =
            (process.stdin(), process.stdout(), process.stderr())
        else {
            return Err(DrillError::unknown("the pod is not connected"));
        };
        let lost = |why: String| {
            DrillError::unknown(format!("the connection to {} is lost: {why}", self.label())).hint(
                "was its pod evicted, or out of memory? Kubernetes before 1.30 cannot be \
                    told where what it is fed ends",
            )
        };
        let (read, answer, said) = talk(feed, stdin, stdout, stderr).await;
        let status = process.wait().await;
        let read = read?;
        let code = status.map_err(|why| lost(why.to_string()))?;
        let text = |heard: std::io::Result<String>| heard.map_err(|error| lost(error.to_string()));
        Ok(Ran {
            success: code == 0,
            answer: text(answer)?,
            said: text(said)?,
            read,
        })
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
    job: &Job,
    image: &str,
) -> Result<(ExecTarget, ExecProcess), DrillError> {
    let jobs: Api<Job> = Api::namespaced(cluster.client.clone(), namespace);
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let made = jobs.create(&PostParams::default(), job).await;
    let what = format!("make the Job {name} in namespace {namespace}");
    made.map_err(|error| unknown(&ReadError::from_kube(what, &error)))?;
    let pod = running(cluster, namespace, name, image).await?;
    let container = ExecTarget::of(cluster, &pod);
    // It starts when we hold it, and from then on does not outlive us. A container's first process
    // minds no signal that it has no handler for, so this must be said until the server is there to
    // hear it.
    let hold =
        format!("touch {FOLDER}/held; cat >/dev/null; while :; do kill -QUIT 1; sleep 1; done");
    let holding = container.exec(&["sh", "-c", &hold]).with_stdin().start();
    let leash = holding.await.map_err(|error| unknown(&error))?;
    let longer = Patch::Merge(json!({"spec": {"activeDeadlineSeconds": DEADLINE_S}}));
    let given = jobs.patch(name, &PatchParams::default(), &longer).await;
    given.map_err(|error| {
        unknown(&ReadError::from_kube(
            format!("give the Job {name} more time"),
            &error,
        ))
    })?;
    Ok((container, leash))
}

fn job(name: &str, image: &str, preload: &str) -> Job {
    let labels = json!({"app.kubernetes.io/managed-by": "chaos-backup-check", "app.kubernetes.io/name": "chaos-drill"});
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
                        "runAsNonRoot": true, "runAsUser": 65534, "runAsGroup": 65534, "fsGroup": 65534,
                        "seccompProfile": {"type": "RuntimeDefault"},
                    },
                    "containers": [{
                        "name": "postgres", "image": image, "imagePullPolicy": "IfNotPresent",
                        "command": ["sh", "-c", format!("{PATH} F={FOLDER} U={SUPERUSER}\n{SERVE}")],
                        "env": [{"name": "PRELOAD", "value": preload}],
                        "securityContext": {
                            "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
                        },
                        "volumeMounts": [{"name": "scratch", "mountPath": FOLDER}],
                    }],
                    "volumes": [{"name": "scratch", "emptyDir": {}}],
                },
            },
        },
    });
    serde_json::from_value(job).expect("a Job has these fields")
}

/// How far a pod is that is to run a server.
#[derive(Debug, PartialEq, Eq)]
enum PodStart {
    Running,
    /// Its server has ended.
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
) -> Result<Pod, DrillError> {
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let of = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    let start = Instant::now();
    loop {
        let found = cluster
            .list(&pods, &of, format!("find the pod of job/{job}"))
            .await
            .map_err(|error| unknown(&error))?;
        let pod = found.into_iter().next();
        let (why, patience) = match (how_far(pod.as_ref(), Time::now()), pod) {
            (PodStart::Running, Some(pod)) => return Ok(pod),
            (PodStart::Ended, Some(pod)) => {
                return Err(ended(cluster, namespace, &pod, image).await);
            }
            (PodStart::Stuck(why), _) => (why, STUCK),
            (PodStart::Waiting(why), _) => (why, START),
            (PodStart::Running | PodStart::Ended, None) => (NOT_MADE.to_owned(), START),
        };
        if start.elapsed() > patience {
            let message = format!("the pod of job/{job} with {image} does not run: {why}");
            return Err(DrillError::unknown(message).hint(
                "can the nodes get the image, and is there room for one more pod? \
                 kubectl get events says more",
            ));
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

async fn ended(cluster: &Cluster, namespace: &str, pod: &Pod, image: &str) -> DrillError {
    let name = pod.metadata.name.as_deref().unwrap_or_default();
    let log = log(cluster, namespace, name).await;
    let message = format!("the scratch PostgreSQL of {image} does not start: {log}");
    DrillError::unknown(message).hint(
        "name an image with PostgreSQL's server and client as drill.image, such as postgres:17",
    )
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

fn unknown(error: &ReadError) -> DrillError {
    let unknown = DrillError::unknown(error.to_string());
    match (error.kind, error.next_step()) {
        (ReadErrorKind::Forbidden, _) => unknown.hint(
            "the Role needs create, patch and delete on jobs, list on pods, get on pods/log, \
             and get and create on pods/exec; test it with kubectl auth can-i",
        ),
        (_, Some(hint)) => unknown.hint(hint),
        (_, None) => unknown,
    }
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
