//! The way to a cluster: kubectl's own kubeconfig, or the service account inside one.

pub(crate) mod cause;
pub mod certificates;
pub mod clock;
mod credential;
pub mod custom;
mod deadline;
pub mod desired_state;
mod endpoint;
mod error;
pub mod exec;
mod http_clients;
pub mod known_workloads;
mod kubeconfig;
pub mod metrics;
mod pages;
pub mod permissions;
mod pod_source;
pub mod pod_trouble;
pub mod ports;
pub mod probe;
pub mod protobuf;
mod proxied;
mod proxy;
pub mod rbac;
pub mod readiness;
mod resolver;
pub mod rights;
pub mod tls;
pub mod url;
pub mod workload;

use std::fmt::{self, Debug, Display};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::Api;
use kube::config::{AuthInfo, KubeConfigOptions};
use kube::{Client, Config, Resource};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout};

use crate::record::ClusterRef;
use crate::retry::{Again, Policy};

pub use self::cause::{CertificateProblem, cause, certificate_problem};
use self::deadline::Deadline;
pub use self::error::{ReadError, ReadErrorKind, error_chain};
pub use self::exec::{Executed, exit_code};
pub use self::pages::{Decode, ListRequest};
pub use self::workload::workload_of;

/// Label of all that a run of an experiment, or a load Job, makes or touches: the run's id.
pub const RUN_LABEL: &str = "chaos-runbook/run";

/// Time that one read may take.
const READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How a read is repeated after a failure that may pass. While the API server asks for patience
/// (429), it may take longer.
const READS: Policy = Policy {
    pause: Duration::from_millis(100),
    longest: Duration::from_millis(800),
    repeats: 4,
    within: Duration::from_secs(20),
    within_throttled: Duration::from_secs(60),
};
/// Pause after a 429 that does not say for how long.
const THROTTLED_PAUSE: Duration = Duration::from_secs(1);
/// Requests that one tool has under way at a time.
const PARALLEL: usize = 8;

/// Which cluster, in kubectl's words.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// Context of the kubeconfig; its current one if `None`.
    pub context: Option<String>,
    /// Path of the kubeconfig; kubectl's search if `None`.
    pub kubeconfig: Option<PathBuf>,
    /// Whom to act as, instead of as oneself; as the kubeconfig says if `None`.
    pub user: Option<String>,
    /// The groups of that user.
    pub groups: Vec<String>,
}

impl Access {
    /// The namespace that the context of the kubeconfig names, or that of the pod's service account.
    pub fn namespace(&self) -> Option<String> {
        kubeconfig::namespace(self)
    }

    /// Whether anything names a cluster, be it right or wrong. Where nothing does, that there is
    /// none is no failure.
    pub fn is_named(&self) -> bool {
        kubeconfig::is_named(self)
    }
}

/// A connection to a cluster. Cloning shares it.
#[derive(Clone)]
pub struct Cluster {
    /// For writes and watches; single reads go through [`Cluster::read`].
    pub client: Client,
    /// The context used; `None` inside a cluster.
    pub context: Option<String>,
    /// The API server's address.
    pub server: String,
    slots: Arc<Semaphore>,
    deadline: Option<Deadline>,
    /// Certificates that the API server's is checked with (DER), where the kubeconfig names them.
    pub roots: Option<Vec<Vec<u8>>>,
    /// Our own certificate (DER), where we log in with one.
    pub own_certificate: Option<Vec<u8>>,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cluster")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Prepares a connection; nothing is sent yet.
    ///
    /// # Errors
    /// There is no usable kubeconfig or no such context.
    pub async fn connect(access: &Access) -> Result<Cluster, ReadError> {
        Cluster::connect_as(access, "chaos-runbook").await
    }

    /// The same under a name, which the API server's audit log shows as the user agent.
    ///
    /// # Errors
    /// As [`Cluster::connect`].
    pub async fn connect_as(access: &Access, agent: &'static str) -> Result<Cluster, ReadError> {
        let (mut config, context) = configuration(access).await?;
        config.connect_timeout = Some(Duration::from_secs(5));
        // Repetition is decided here, a read at a time; a write is never repeated behind our back.
        config.default_retry = false;
        config
            .headers
            .push((http::header::USER_AGENT, HeaderValue::from_static(agent)));
        let server = config
            .cluster_url
            .to_string()
            .trim_end_matches('/')
            .to_owned();
        let (roots, own_certificate) =
            (config.root_cert.clone(), own_certificate(&config.auth_info));
        if let Some(user) = &access.user {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = Some(access.groups.clone());
        }
        let user = config.auth_info.clone();
        let client = Client::try_from(config)
            .map_err(|error| no_access(kubeconfig::client_error(&error, &user)))?;
        let slots = Arc::new(Semaphore::new(PARALLEL));
        Ok(Cluster {
            client,
            context,
            server,
            slots,
            deadline: None,
            roots,
            own_certificate,
        })
    }

    /// A connection through a client that is made already, as a test's is.
    pub fn with_client(client: Client, context: &str, server: &str) -> Cluster {
        Cluster {
            client,
            context: Some(context.to_owned()),
            server: server.to_owned(),
            slots: Arc::new(Semaphore::new(PARALLEL)),
            deadline: None,
            roots: None,
            own_certificate: None,
        }
    }

    /// Makes a read, within a time-out, and again after failures that may pass (no connection, 429,
    /// 500, 502, 503, 504). `what` names the attempt in errors. Only so many are under way at a
    /// time.
    ///
    /// # Errors
    /// It still fails after the repetitions, or fails in a way that will not pass.
    pub async fn read<T, F>(
        &self,
        what: impl Display,
        mut call: impl FnMut() -> F,
    ) -> Result<T, ReadError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let what = what.to_string();
        // On the heap: whoever looks at much has many of them side by side on the stack.
        let read = Box::pin(async {
            let _slot = self.slot().await;
            self.insist(&what, &mut call).await
        });
        self.in_time(&what, read).await
    }

    /// Waits for one of the places of requests under way.
    pub(crate) async fn slot(&self) -> SemaphorePermit<'_> {
        self.slots
            .acquire()
            .await
            .expect("nobody closes the semaphore")
    }

    /// [`Cluster::read`] for somebody who has a [`Cluster::slot`].
    pub(crate) async fn insist<T, F>(
        &self,
        what: impl Display,
        mut call: impl FnMut() -> F,
    ) -> Result<T, ReadError>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let start = Instant::now();
        let mut read = || {
            let elapsed = start.elapsed();
            let left = |phase: Duration| phase.checked_sub(elapsed);
            // So shortly before its end the first phase is as good as over: who asks still was
            // asked for patience.
            let first = left(READS.within).filter(|left| *left >= THROTTLED_PAUSE);
            let phases = [first, left(READS.within_throttled)].into_iter().flatten();
            let limit = phases.fold(READ_TIMEOUT, Duration::min);
            let call = timeout(limit, call());
            async {
                call.await
                    .map_err(|_| None)
                    .and_then(|read| read.map_err(Some))
            }
        };
        let again = |error: &Option<kube::Error>| error.as_ref().map_or(Again::Soon, again);
        let read = READS.run(&mut read, again).await;
        read.map_err(|error| {
            if let Some(error) = error {
                return ReadError::from_kube(&what, &error);
            }
            let seconds = READ_TIMEOUT.as_secs();
            let why = format!("no answer from {} in {seconds} s", self.server);
            ReadError::timeout(&what, why)
        })
    }

    /// Which cluster this is. Being forbidden to read the namespace `kube-system` is no failure.
    ///
    /// # Errors
    /// The API server can't be reached.
    pub async fn identity(&self) -> Result<ClusterRef, ReadError> {
        let api: Api<Namespace> = Api::all(self.client.clone());
        let id = match self
            .read(
                "read the cluster's identity (namespace kube-system)",
                || api.get_metadata("kube-system"),
            )
            .await
        {
            Ok(namespace) => namespace.metadata.uid,
            Err(error)
                if matches!(
                    error.kind,
                    ReadErrorKind::Forbidden | ReadErrorKind::NotFound
                ) =>
            {
                None
            }
            Err(error) => return Err(error),
        };
        Ok(ClusterRef {
            id: id.unwrap_or_else(|| format!("server:{}", self.server)),
            context: self.context.clone(),
            server: self.server.clone(),
        })
    }

    /// Runs a command in the default container of a pod, without an input, to its end.
    ///
    /// # Errors
    /// As [`exec::Exec::output`].
    pub async fn exec(
        &self,
        pod: &Pod,
        command: &[&str],
        limit: Duration,
        max: u64,
    ) -> Result<Executed, ReadError> {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let target = exec::ExecTarget::of(self, pod);
        target.exec(command).output(limit, max).await
    }
}

/// The pod's `Ready` condition is true and it is not on its way out.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref())
        .unwrap_or_default();
    pod.metadata.deletion_timestamp.is_none()
        && conditions
            .iter()
            .any(|c| c.type_ == "Ready" && c.status == "True")
}

/// UID of the controller that owns an object.
pub fn owner_uid<K: Resource>(object: &K) -> Option<&str> {
    let owners = object
        .meta()
        .owner_references
        .as_deref()
        .unwrap_or_default();
    owners
        .iter()
        .find(|owner| owner.controller == Some(true))
        .map(|owner| owner.uid.as_str())
}

/// A label selector in the form that list calls take.
pub fn label_selector(
    selector: &k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector,
) -> String {
    let mut terms: Vec<String> = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    for term in selector.match_expressions.iter().flatten() {
        let values = term.values.clone().unwrap_or_default().join(",");
        terms.push(match term.operator.as_str() {
            "In" => format!("{} in ({values})", term.key),
            "NotIn" => format!("{} notin ({values})", term.key),
            "Exists" => term.key.clone(),
            _ => format!("!{}", term.key),
        });
    }
    terms.join(",")
}

fn no_access(why: String) -> ReadError {
    ReadError::new("find a way to a cluster", ReadErrorKind::Access, why)
        .hint("name one with --kubeconfig and --context; kubectl config get-contexts lists them")
}

/// How to connect, by kubeconfig or service account and environment, and the name of the context.
async fn configuration(access: &Access) -> Result<(Config, Option<String>), ReadError> {
    let options = KubeConfigOptions {
        context: access.context.clone(),
        ..KubeConfigOptions::default()
    };
    let found = kubeconfig::find(access).map_err(|error| no_access(error.to_string()))?;
    let named = found
        .as_ref()
        .and_then(|kubeconfig| proxy::named(kubeconfig, access));
    let (mut config, context) = match found {
        None => (
            Config::incluster().map_err(|error| no_access(error_chain(&error)))?,
            None,
        ),
        Some(kubeconfig) => {
            let current = kubeconfig.current_context.clone();
            let context = access.context.clone().or(current);
            let config = Config::from_custom_kubeconfig(kubeconfig, &options).await;
            (
                config.map_err(|error| no_access(error_chain(&error)))?,
                context,
            )
        }
    };
    let environment = proxy::Environment::of_process();
    config.proxy_url = proxy::choose(named.as_deref(), &config.cluster_url, &environment)
        .map_err(|error| no_access(format!("the proxy's URL can't be used: {error}")))?;
    Ok((config, context))
}

/// The certificate that a kubeconfig's user logs in with, if it does so.
fn own_certificate(user: &AuthInfo) -> Option<Vec<u8>> {
    let pem = match (&user.client_certificate_data, &user.client_certificate) {
        (Some(data), _) => {
            serde_json::from_value::<ByteString>(data.clone().into())
                .ok()?
                .0
        }
        (None, Some(path)) => std::fs::read(path).ok()?,
        (None, None) => return None,
    };
    CertificateDer::from_pem_slice(&pem)
        .ok()
        .map(|certificate| certificate.to_vec())
}

/// Whether a call that failed so may succeed when it is made again.
pub fn again(error: &kube::Error) -> Again {
    match error {
        kube::Error::Api(status) if status.code == 429 => {
            let seconds = status
                .details
                .as_ref()
                .map_or(0, |details| details.retry_after_seconds);
            Again::After(match seconds {
                0 => THROTTLED_PAUSE,
                seconds => Duration::from_secs(u64::from(seconds)),
            })
        }
        kube::Error::Api(status) if matches!(status.code, 500 | 502 | 503 | 504) => Again::Soon,
        // A certificate that is not trusted now will not be trusted in a second either.
        kube::Error::Service(_) | kube::Error::HyperError(_)
            if cause::certificate_problem(error).is_none() =>
        {
            Again::Soon
        }
        _ => Again::Never,
    }
}

/// Whether a call that failed so may succeed when it is made again later.
pub fn may_succeed_later(error: &kube::Error) -> bool {
    again(error) != Again::Never
}
