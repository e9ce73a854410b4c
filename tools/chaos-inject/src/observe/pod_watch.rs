//! The pods of a selector, followed by a watch.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::time::Duration;

use anyhow::Context as _;
use chaos_common::cluster::{Cluster, ReadError, is_ready, workload_of};
use chaos_common::record::WorkloadRef;
use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::{Pod, PodSpec, PodStatus};
use kube::Resource;
use kube::api::{Api, ListParams};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout, timeout_at};

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

/// A running watch.
#[derive(Debug)]
pub struct PodWatch {
    latest: watch::Receiver<Option<Pods>>,
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
        let api: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
        let (sender, mut latest) = watch::channel(None);
        let task = tokio::spawn(follow(
            api,
            watcher::Config::default().labels(selector),
            sender,
        ));
        let first = timeout(FIRST_LOOK, latest.wait_for(Option::is_some))
            .await
            .is_ok_and(|seen| seen.is_ok());
        let watch = PodWatch { latest, task };
        first.then_some(watch).with_context(|| {
            format!("the pods {selector} of namespace {namespace} cannot be watched")
        })
    }

    /// The pods as they were last seen.
    pub fn now(&self) -> Pods {
        self.latest.borrow().clone().unwrap_or_default()
    }

    /// Waits until the pods are as wanted.
    ///
    /// # Errors
    /// They are not, at the deadline; gives how they were then.
    pub async fn until(
        &mut self,
        deadline: Instant,
        mut wanted: impl FnMut(&Pods) -> bool,
    ) -> Result<Pods, Pods> {
        let wait = self
            .latest
            .wait_for(|pods| pods.as_ref().is_some_and(&mut wanted));
        let met = timeout_at(deadline, wait)
            .await
            .ok()
            .and_then(Result::ok)
            .map(|pods| pods.clone().unwrap_or_default());
        met.ok_or_else(|| self.now())
    }
}

/// The pause before a watch that failed is taken up again, always the same: what it would show
/// meanwhile is being timed, and pauses that grow, as they usually do, can outlast the time that a
/// recovery may take.
struct Patience;

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(300))
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {}
}

/// A watch that begins with page after page of what is there, and goes on by itself after an error.
pub fn watched<K>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = watcher::Result<Event<K>>> + Send
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    watcher::watcher(api, config.page_size(PAGE)).backoff(Patience)
}

async fn follow(api: Api<Pod>, config: watcher::Config, latest: watch::Sender<Option<Pods>>) {
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
            // The watcher tries again, after a pause; who waits has a deadline.
            Err(_) => continue,
        }
        latest.send_replace(Some(pods.clone()));
    }
}

fn brief(pod: &Pod) -> Brief {
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
        owner: workload_of(pod),
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
mod tests {
    use super::*;

    use crate::testing::objects::{NAMESPACE, pod as object, replica_set};
    use crate::testing::{ApiServer, Behaviour};

    fn pod(ready: bool, leaving: bool) -> Brief {
        Brief {
            name: "p".into(),
            owner: None,
            ready,
            leaving,
            phase: "Running".into(),
            trouble: None,
            restarts: 0,
        }
    }

    #[test]
    fn settled_is_neither_too_few_nor_too_many_nor_half_way() {
        let pods = |list: &[(bool, bool)]| -> Pods {
            list.iter()
                .enumerate()
                .map(|(n, (ready, leaving))| (n.to_string(), pod(*ready, *leaving)))
                .collect()
        };
        assert!(settled(&pods(&[(true, false), (true, false)]), 2));
        assert!(!settled(&pods(&[(true, false)]), 2));
        assert!(!settled(&pods(&[(true, false), (false, false)]), 2));
        assert!(!settled(
            &pods(&[(true, false), (true, false), (true, true)]),
            2
        ));
    }

    async fn watched(objects: Vec<serde_json::Value>) -> (ApiServer, PodWatch) {
        let server = ApiServer::with([replica_set("shop")]);
        for object in objects {
            server.add(object);
        }
        let watch = PodWatch::start(&server.cluster(), NAMESPACE, "app=shop").await;
        (server, watch.expect("watched"))
    }

    #[tokio::test(start_paused = true)]
    async fn only_pods_of_the_selector_are_watched() {
        let (server, mut watch) = watched(vec![object("a", "shop", true)]).await;
        server.add(object("x", "db", true));
        server.add(object("b", "shop", true));
        let deadline = Instant::now() + Duration::from_secs(5);
        let pods = watch.until(deadline, |pods| settled(pods, 2)).await;
        assert_eq!(pods.expect("two").len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_deadline_the_pods_are_given_as_they_are() {
        let (_server, mut watch) = watched(vec![object("a", "shop", false)]).await;
        let deadline = Instant::now() + Duration::from_secs(5);
        let pods = watch.until(deadline, |pods| settled(pods, 1)).await;
        assert_eq!(
            in_words(&pods.expect_err("not ready")),
            "pod a is not ready"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn pods_that_may_not_be_watched_are_an_error() {
        let server = ApiServer::default();
        server.always("GET pods", Behaviour::Status(403));
        let watch = PodWatch::start(&server.cluster(), NAMESPACE, "app=shop").await;
        assert!(watch.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn ready_pods_are_counted_over_all_pages() {
        let server = ApiServer::with([replica_set("shop")]);
        for n in 0..250 {
            server.add(object(&format!("pod-{n:03}"), "shop", n % 2 == 0));
        }
        let ready = count_ready(&server.cluster(), NAMESPACE).await;
        assert_eq!(ready.expect("counted"), 125);
    }

    fn in_five_seconds() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[tokio::test(start_paused = true)]
    async fn what_went_while_the_watch_was_away_is_gone_when_it_is_back() {
        for forget in [false, true] {
            let pods = vec![object("a", "shop", true), object("b", "shop", true)];
            let (server, mut watch) = watched(pods).await;
            server.script("GET pods", 3, Behaviour::Status(500));
            server.break_watches(false);
            server.remove("pod/a");
            server.break_watches(forget);
            let pods = watch
                .until(in_five_seconds(), |pods| settled(pods, 1))
                .await;
            let pods = pods.unwrap_or_else(|pods| panic!("{forget}: {pods:?}"));
            assert_eq!(in_words(&pods), "pod b is ready");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pod_that_is_made_anew_under_its_name_is_another_one() {
        let (server, mut watch) = watched(vec![object("a", "shop", true)]).await;
        let before = watch.now();
        server.remove("pod/a");
        let mut anew = object("a", "shop", true);
        anew["metadata"]["uid"] = "another".into();
        server.add(anew);
        let other = |pods: &Pods| pods.contains_key("another");
        let pods = watch.until(in_five_seconds(), other).await.expect("seen");
        assert_eq!(pods.len(), 1);
        assert!(before.keys().all(|uid| !pods.contains_key(uid)));
    }

    #[test]
    fn what_keeps_a_pod_from_being_ready_is_told_in_words() {
        let told = |status: serde_json::Value| {
            let mut pod = object("a", "shop", false);
            pod["status"] = status;
            let pod: Pod = serde_json::from_value(pod).expect("a pod");
            in_words(&[("u".to_owned(), brief(&slim(pod)))].into())
        };
        let waiting = serde_json::json!({ "containerStatuses": [{
            "name": "main", "ready": false, "restartCount": 4, "image": "i", "imageID": "i",
            "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        }] });
        assert_eq!(told(waiting), "pod a is not ready (CrashLoopBackOff)");
        let unscheduled = serde_json::json!({ "conditions": [{
            "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
            "message": "no node has room",
        }] });
        let words = "pod a is not ready (Unschedulable: no node has room)";
        assert_eq!(told(unscheduled), words);
        let evicted = serde_json::json!({ "phase": "Failed", "reason": "Evicted" });
        assert_eq!(told(evicted), "pod a is not ready (Evicted)");
        assert_eq!(in_words(&Pods::new()), "there is no pod");
    }
}
