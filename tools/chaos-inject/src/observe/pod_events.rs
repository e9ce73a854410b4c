//! What the API server tells of pods and endpoints, each with the moment in which it was seen.

use std::collections::BTreeSet;
use std::fmt::Debug;

use chaos_common::cluster::Cluster;
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

/// Sightings that may wait; the reader is quick and the namespace is one.
const WAITING: usize = 4096;

/// Something that was seen.
#[derive(Clone, Debug)]
pub enum Seen {
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
}

/// Something that was seen, and when.
#[derive(Clone, Debug)]
pub struct Sighting {
    /// When it arrived here.
    pub at: Instant,
    /// What.
    pub seen: Seen,
}

/// Watches the pods and endpoints of a namespace until the receiver is dropped. A watch that breaks
/// off is taken up again by itself; what was missed shows in the next [`Seen::AllPods`].
pub fn watch(cluster: &Cluster, namespace: &str) -> mpsc::Receiver<Sighting> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let slices: Api<EndpointSlice> = Api::namespaced(cluster.client.clone(), namespace);
    tokio::spawn(follow(
        pods,
        sender.clone(),
        |pod| Seen::Pod(Box::new(slim(pod))),
        Seen::PodGone,
        Seen::AllPods,
    ));
    tokio::spawn(follow(
        slices,
        sender,
        |slice| Seen::Slice(Box::new(slice)),
        Seen::SliceGone,
        Seen::AllSlices,
    ));
    receiver
}

async fn follow<K>(
    api: Api<K>,
    sender: mpsc::Sender<Sighting>,
    changed: impl Fn(K) -> Seen,
    gone: impl Fn(String) -> Seen,
    all: impl Fn(BTreeSet<String>) -> Seen,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = std::pin::pin!(watched(api, watcher::Config::default()));
    let uid = |object: &K| object.meta().uid.clone().unwrap_or_default();
    let mut present = BTreeSet::new();
    while let Some(event) = events.next().await {
        let at = Instant::now();
        let seen = match event {
            Ok(Event::Apply(object)) => changed(object),
            Ok(Event::Delete(object)) => gone(uid(&object)),
            Ok(Event::Init) => {
                present.clear();
                continue;
            }
            Ok(Event::InitApply(object)) => {
                present.insert(uid(&object));
                changed(object)
            }
            Ok(Event::InitDone) => all(std::mem::take(&mut present)),
            // The watcher tries again, after a pause; the limit of the experiment bounds it.
            Err(_) => continue,
        };
        if sender.send(Sighting { at, seen }).await.is_err() {
            return;
        }
    }
}
