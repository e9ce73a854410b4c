//! What the API server tells of pods and endpoints, each with the moment in which it was seen.

use std::collections::BTreeSet;
use std::fmt::Debug;

use chaos_common::cluster::{Cluster, error_chain};
use futures::StreamExt;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Resource;
use kube::api::Api;
use kube::runtime::watcher::{self, Event};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::observe::pod_watch::{slim, watched};

/// Events that may wait; the reader is quick and the namespace is one.
const WAITING: usize = 4096;

/// Something that was seen.
#[derive(Clone, Debug)]
pub enum PodEvent {
    /// A pod, as it is now, slimmed.
    Pod(Box<Pod>),
    /// The pod of this UID is gone.
    PodGone(String),
    /// All pods that there are, by UID: the watch has begun, or begun again after a gap.
    AllPods(BTreeSet<String>),
    /// Endpoints, as they are now.
    Slice(Box<EndpointSlice>),
    /// The slice of this UID is gone.
    SliceGone(String),
    /// All slices that there are, by UID.
    AllSlices(BTreeSet<String>),
    /// Pods, or endpoints, are not seen any more, up to the next [`PodEvent::AllPods`] or
    /// [`PodEvent::AllSlices`].
    Broken(Watched, String),
}

/// What a watch is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Watched {
    /// Pods.
    Pods,
    /// Endpoints of Services.
    Slices,
}

/// Something that was seen, and when.
#[derive(Clone, Debug)]
pub struct TimedEvent {
    /// When it arrived here.
    pub at: Instant,
    /// What.
    pub seen: PodEvent,
}

/// Watches the pods and endpoints of a namespace until the receiver is dropped. A watch that breaks
/// off is taken up again by itself; what was missed shows in the next [`PodEvent::AllPods`].
pub fn watch(cluster: &Cluster, namespace: &str) -> mpsc::Receiver<TimedEvent> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let slices: Api<EndpointSlice> = Api::namespaced(cluster.client.clone(), namespace);
    tokio::spawn(follow(
        pods,
        sender.clone(),
        Kind {
            watched: Watched::Pods,
            changed: |pod| PodEvent::Pod(Box::new(slim(pod))),
            gone: PodEvent::PodGone,
            all: PodEvent::AllPods,
        },
    ));
    tokio::spawn(follow(
        slices,
        sender,
        Kind {
            watched: Watched::Slices,
            changed: |slice| PodEvent::Slice(Box::new(slice)),
            gone: PodEvent::SliceGone,
            all: PodEvent::AllSlices,
        },
    ));
    receiver
}

/// How objects of a kind are told.
struct Kind<K> {
    watched: Watched,
    changed: fn(K) -> PodEvent,
    gone: fn(String) -> PodEvent,
    all: fn(BTreeSet<String>) -> PodEvent,
}

async fn follow<K>(api: Api<K>, sender: mpsc::Sender<TimedEvent>, kind: Kind<K>)
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = std::pin::pin!(watched(api, watcher::Config::default()));
    let uid = |object: &K| object.meta().uid.clone().unwrap_or_default();
    let mut present = BTreeSet::new();
    while let Some(event) = events.next().await {
        let at = Instant::now();
        let seen = match event {
            Ok(Event::Apply(object)) => (kind.changed)(object),
            Ok(Event::Delete(object)) => (kind.gone)(uid(&object)),
            Ok(Event::Init) => {
                present.clear();
                continue;
            }
            Ok(Event::InitApply(object)) => {
                present.insert(uid(&object));
                (kind.changed)(object)
            }
            Ok(Event::InitDone) => (kind.all)(std::mem::take(&mut present)),
            // The watch begins again, after a pause; the limit of the experiment bounds it.
            Err(error) => PodEvent::Broken(kind.watched, error_chain(&error)),
        };
        if sender.send(TimedEvent { at, seen }).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::Duration;
    use tokio::time::timeout;

    use crate::testing::objects::{NAMESPACE, pod, replica_set, uid};
    use crate::testing::{ApiServer, Behaviour};

    /// A watch of a namespace with one pod, after its first look.
    async fn watched_pod() -> (ApiServer, mpsc::Receiver<TimedEvent>) {
        let server = ApiServer::with([replica_set("shop"), pod("a", "shop", true)]);
        let mut events = watch(&server.cluster(), NAMESPACE);
        until(&mut events, |seen| matches!(seen, PodEvent::AllPods(_))).await;
        (server, events)
    }

    /// Reads events up to one of this kind, which comes within ten seconds.
    async fn until(
        events: &mut mpsc::Receiver<TimedEvent>,
        wanted: impl Fn(&PodEvent) -> bool,
    ) -> PodEvent {
        let next = async {
            loop {
                let event = events.recv().await.expect("the watch goes on");
                if wanted(&event.seen) {
                    return event.seen;
                }
            }
        };
        let found = timeout(Duration::from_secs(10), next).await;
        found.expect("it is seen")
    }

    fn is_gone(name: &'static str) -> impl Fn(&PodEvent) -> bool {
        move |seen| matches!(seen, PodEvent::PodGone(gone) if *gone == uid("pod", name))
    }

    fn is_pod(name: &'static str) -> impl Fn(&PodEvent) -> bool {
        move |seen| matches!(seen, PodEvent::Pod(pod) if pod.metadata.name.as_deref() == Some(name))
    }

    #[tokio::test(start_paused = true)]
    async fn pods_that_come_and_go_are_seen() {
        let (server, mut events) = watched_pod().await;
        server.add(pod("b", "shop", false));
        until(&mut events, is_pod("b")).await;
        server.remove("pod/a");
        until(&mut events, is_gone("a")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_breaks_off_is_taken_up_where_it_was() {
        let (server, mut events) = watched_pod().await;
        server.break_watches(false);
        server.remove("pod/a");
        until(&mut events, is_gone("a")).await;
    }

    #[tokio::test(start_paused = true)]
    async fn what_went_while_the_api_server_forgot_shows_in_the_next_list() {
        let (server, mut events) = watched_pod().await;
        server.break_watches(false);
        server.remove("pod/a");
        server.add(pod("b", "shop", true));
        server.break_watches(true);
        let seen = until(&mut events, |seen| matches!(seen, PodEvent::AllPods(_))).await;
        let PodEvent::AllPods(present) = seen else {
            unreachable!()
        };
        assert_eq!(present, [uid("pod", "b")].into());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_fails_for_a_while_is_tried_again_without_growing_pauses() {
        let (server, mut events) = watched_pod().await;
        server.script("GET pods", 10, Behaviour::Status(500));
        server.break_watches(false);
        server.remove("pod/a");
        let broken = |seen: &PodEvent| matches!(seen, PodEvent::Broken(Watched::Pods, _));
        until(&mut events, broken).await;
        let seen = until(&mut events, |seen| matches!(seen, PodEvent::AllPods(_))).await;
        let PodEvent::AllPods(present) = seen else {
            unreachable!()
        };
        assert_eq!(present, [].into());
    }

    #[tokio::test(start_paused = true)]
    async fn endpoints_are_seen_too() {
        let (server, mut events) = watched_pod().await;
        server.add(json!({
            "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": { "name": "shop-1", "namespace": NAMESPACE }, "endpoints": [],
        }));
        until(&mut events, |seen| matches!(seen, PodEvent::Slice(_))).await;
        server.remove("endpointslice/shop-1");
        until(&mut events, |seen| matches!(seen, PodEvent::SliceGone(_))).await;
    }
}
