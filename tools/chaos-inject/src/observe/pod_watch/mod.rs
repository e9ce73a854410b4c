//! The pods of a selector, followed by a watch.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::Context as _;
use chaos_common::cluster::custom::Family;
use chaos_common::cluster::{Cluster, ReadError, error_chain, is_ready};
use chaos_common::record::WorkloadRef;
use futures::{Stream, StreamExt, stream};
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus};
use kube::Resource;
use kube::api::{Api, ListParams};
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Time that the first look may take.
const FIRST_LOOK: Duration = Duration::from_secs(15);

/// Pods a page of a list. A page is in memory as a whole, and a pod as the API server tells it
/// takes ten kilobytes and more.
const PAGE: u32 = 100;

/// Takes in every pod of a list, slimmed, with no more than a page in memory. `what` names the
/// attempt in errors.
///
/// # Errors
/// As [`Cluster::read`].
pub async fn each(
    cluster: &Cluster,
    namespace: &str,
    params: &ListParams,
    what: &str,
    mut take: impl FnMut(Pod),
) -> Result<(), ReadError> {
    let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let mut params = params.clone().limit(PAGE);
    loop {
        let (cluster, api, asked, what) = (
            cluster.clone(),
            api.clone(),
            params.clone(),
            what.to_owned(),
        );
        // Read on the thread of the tasks, as a watch of the same pods is: what memory that takes
        // is taken once.
        let read = tokio::spawn(async move { cluster.read(what, || api.list(&asked)).await });
        let page = read.await.expect("reading does not panic")?;
        page.items.into_iter().map(slim).for_each(&mut take);
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(()),
        }
    }
}

/// How many pods of a namespace are ready.
///
/// # Errors
/// As [`Cluster::read`].
pub async fn count_ready(cluster: &Cluster, namespace: &str) -> Result<usize, ReadError> {
    let mut ready = 0;
    let what = format!("list pods in namespace {namespace}");
    each(cluster, namespace, &ListParams::default(), &what, |pod| {
        ready += usize::from(is_ready(&pod));
    })
    .await?;
    Ok(ready)
}

/// A pod without all that decides nothing here: who it is and belongs to, its node, and how it
/// stands.
pub fn slim(mut pod: Pod) -> Pod {
    pod.metadata.managed_fields = None;
    pod.metadata.annotations = None;
    pod.spec = pod.spec.map(|spec| PodSpec {
        node_name: spec.node_name,
        ..PodSpec::default()
    });
    pod.status = pod.status.map(|status| PodStatus {
        phase: status.phase,
        reason: status.reason,
        conditions: status.conditions,
        container_statuses: status.container_statuses,
        ..PodStatus::default()
    });
    pod
}

/// What decides of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Brief {
    /// Its name.
    pub name: String,
    /// The workload that it belongs to, by its owner; `None` of a pod that nobody controls.
    pub owner: Option<WorkloadRef>,
    /// It is ready.
    pub ready: bool,
    /// It is on its way out.
    pub leaving: bool,
    /// Its phase.
    pub phase: String,
    /// What keeps it from being ready, as far as it says.
    pub trouble: Option<String>,
    /// Restarts of its containers, together.
    pub restarts: i32,
}

/// Pods by UID.
pub type Pods = BTreeMap<String, Brief>;

/// What a watch has shown.
#[derive(Clone, Debug, Default)]
struct Latest {
    /// The pods as they were last seen; absent before the first look.
    pods: Option<Pods>,
    /// Why they are not seen now. What they were before is no evidence then.
    broken: Option<String>,
}

impl Latest {
    /// The pods, where they are seen now.
    fn seen(&self) -> Option<&Pods> {
        self.pods.as_ref().filter(|_| self.broken.is_none())
    }
}

/// A running watch.
#[derive(Debug)]
pub struct PodWatch {
    latest: watch::Receiver<Latest>,
    task: JoinHandle<()>,
}

impl Drop for PodWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PodWatch {
    /// Starts to watch, and waits for the first look.
    ///
    /// # Errors
    /// The pods can't be watched.
    pub async fn start(
        cluster: &Cluster,
        namespace: &str,
        selector: &str,
    ) -> anyhow::Result<PodWatch> {
        PodWatch::of_family(cluster, namespace, (selector, Family::default())).await
    }

    /// The same where a family says whose the pods are.
    ///
    /// # Errors
    /// The pods can't be watched.
    pub async fn of_family(
        cluster: &Cluster,
        namespace: &str,
        (selector, family): (&str, Family),
    ) -> anyhow::Result<PodWatch> {
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
        let (sender, mut latest) = watch::channel(Latest::default());
        let task = tokio::spawn(follow(
            api,
            watcher::Config::default().labels(selector),
            (sender, family),
        ));
        let first = timeout(
            FIRST_LOOK,
            latest.wait_for(|latest| latest.seen().is_some()),
        )
        .await
        .is_ok_and(|seen| seen.is_ok());
        let watch = PodWatch { latest, task };
        first.then_some(watch).with_context(|| {
            format!("the pods {selector} of namespace {namespace} cannot be watched")
        })
    }

    /// The pods as they were last seen.
    pub fn now(&self) -> Pods {
        self.latest.borrow().pods.clone().unwrap_or_default()
    }

    /// Why the pods are not seen now; nothing while they are.
    pub fn broken(&self) -> Option<String> {
        self.latest.borrow().broken.clone()
    }

    /// Waits until the pods are seen to be as wanted.
    ///
    /// # Errors
    /// They are not, at the deadline; gives how they were last seen.
    pub async fn until(
        &mut self,
        deadline: Instant,
        mut wanted: impl FnMut(&Pods) -> bool,
    ) -> Result<Pods, Pods> {
        let wait = self
            .latest
            .wait_for(|latest| latest.seen().is_some_and(&mut wanted));
        let met = timeout_at(deadline, wait)
            .await
            .ok()
            .and_then(Result::ok)
            .map(|latest| latest.pods.clone().unwrap_or_default());
        met.ok_or_else(|| self.now())
    }
}

/// The pause before a watch that failed is taken up again, always the same: what it would show
/// meanwhile is being timed, and pauses that grow, as they usually do, can outlast the time that a
/// recovery may take.
const PATIENCE: Duration = Duration::from_millis(300);

/// A watch that begins with page after page of what is there. After an error it begins so again:
/// what is there is listed anew, so that who reads it knows that it is seen again.
pub fn watched<K>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = config.page_size(PAGE);
    let begin = move || Box::pin(watcher::watcher(api.clone(), config.clone()));
    stream::unfold((begin(), false), move |(mut events, failed)| {
        let begin = begin.clone();
        async move {
            if failed {
                sleep(PATIENCE).await;
                events = begin();
            }
            let event = events.next().await?;
            let failed = event.is_err();
            Some((event, (events, failed)))
        }
    })
}

async fn follow(
    api: Api<Pod>,
    config: watcher::Config,
    (latest, family): (watch::Sender<Latest>, Family),
) {
    let brief = |pod: &Pod| brief(pod, &family);
    let mut events = std::pin::pin!(watched(api, config));
    let (mut pods, mut fresh) = (Pods::new(), Pods::new());
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(pod)) => {
                drop(pods.insert(pod.metadata.uid.clone().unwrap_or_default(), brief(&pod)));
            }
            Ok(Event::Delete(pod)) => {
                drop(pods.remove(pod.metadata.uid.as_deref().unwrap_or_default()));
            }
            Ok(Event::Init) => {
                fresh.clear();
                continue;
            }
            Ok(Event::InitApply(pod)) => {
                fresh.insert(pod.metadata.uid.clone().unwrap_or_default(), brief(&pod));
                continue;
            }
            Ok(Event::InitDone) => pods = std::mem::take(&mut fresh),
            Err(error) => {
                // The watch is taken up again, after a pause; who waits has a deadline.
                latest.send_modify(|latest| latest.broken = Some(error_chain(&error)));
                continue;
            }
        }
        latest.send_replace(Latest {
            pods: Some(pods.clone()),
            broken: None,
        });
    }
}

fn brief(pod: &Pod, family: &Family) -> Brief {
    let status = pod.status.clone().unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False");
    let unscheduled = unscheduled.map(|c| {
        format!(
            "{}: {}",
            c.reason.clone().unwrap_or_default(),
            c.message.clone().unwrap_or_default()
        )
    });
    let troubled = containers.iter().find_map(|container| {
        let state = container.state.as_ref()?;
        let waiting = state
            .waiting
            .as_ref()
            .and_then(|waiting| waiting.reason.clone());
        waiting.or_else(|| {
            state
                .terminated
                .as_ref()
                .and_then(|ended| ended.reason.clone())
        })
    });
    Brief {
        name: pod.metadata.name.clone().unwrap_or_default(),
        owner: family.workload_of(pod),
        ready: is_ready(pod),
        leaving: pod.metadata.deletion_timestamp.is_some(),
        phase: status.phase.unwrap_or_default(),
        trouble: unscheduled.or(status.reason).or(troubled),
        restarts: containers
            .iter()
            .map(|container| container.restart_count)
            .sum(),
    }
}

/// So many pods are ready, and none is on its way in or out.
pub fn settled(pods: &Pods, wanted: usize) -> bool {
    pods.len() == wanted && pods.values().all(|pod| pod.ready && !pod.leaving)
}

/// How pods stand, in words.
pub fn in_words(pods: &Pods) -> String {
    if pods.is_empty() {
        return "there is no pod".to_owned();
    }
    let one = |pod: &Brief| {
        let state = match pod {
            Brief { leaving: true, .. } => "is on its way out",
            Brief { ready: true, .. } => "is ready",
            Brief { .. } => "is not ready",
        };
        let trouble = pod
            .trouble
            .as_ref()
            .filter(|_| !pod.ready)
            .map(|why| format!(" ({why})"))
            .unwrap_or_default();
        format!("pod {} {state}{trouble}", pod.name)
    };
    pods.values().map(one).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests;
