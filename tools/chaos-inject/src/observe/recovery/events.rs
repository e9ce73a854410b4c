//! Pod events in: what each one says of the pods that were hit and of their replacements.

use std::collections::BTreeSet;

use chaos_common::cluster::{is_ready, owner_uid};
use chaos_common::record::{PodRef, RecoveryPhases};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::time::Instant;

use super::Tracker;
use super::phases::Track;
use crate::observe::pod_events::{PodEvent, Watched};

impl Tracker {
    /// Takes in what was seen.
    pub fn see(&mut self, at: Instant, seen: &PodEvent) {
        match seen {
            PodEvent::Pod(pod) => self.see_pod(at, pod),
            PodEvent::PodGone(uid) => self.pod_gone(at, uid),
            PodEvent::Broken(what, why) => {
                self.broken.insert(*what, why.clone());
            }
            PodEvent::AllPods(present) => {
                self.broken.remove(&Watched::Pods);
                let gone: Vec<String> = self
                    .owners
                    .keys()
                    .filter(|uid| !present.contains(*uid))
                    .cloned()
                    .collect();
                for uid in gone {
                    self.pod_gone(at, &uid);
                }
            }
            PodEvent::Slice(slice) => {
                let (uid, service) = (
                    slice.metadata.uid.clone().unwrap_or_default(),
                    service_of(slice),
                );
                self.slices.insert(uid, (service, ready_pods(slice)));
                self.see_endpoints(at);
            }
            PodEvent::SliceGone(uid) => {
                self.slices.remove(uid);
                self.see_endpoints(at);
            }
            PodEvent::AllSlices(present) => {
                self.broken.remove(&Watched::Slices);
                self.slices.retain(|uid, _| present.contains(uid));
                self.see_endpoints(at);
            }
        }
    }

    fn see_pod(&mut self, at: Instant, pod: &Pod) {
        let uid = pod.metadata.uid.clone().unwrap_or_default();
        let controller = owner_uid(pod).unwrap_or_default().to_owned();
        self.owners.insert(uid.clone(), controller.clone());
        if is_ready(pod) {
            let name = pod.metadata.name.clone().unwrap_or_default();
            self.ready.insert(uid.clone(), name)
        } else {
            self.ready.remove(&uid)
        };
        if pod.metadata.deletion_timestamp.is_some() {
            self.leaving.insert(uid.clone());
            self.lost(at, &uid);
            let mut tracks = self.tracks.iter_mut();
            if let Some(track) = tracks.find(|track| track.target.uid == uid) {
                track.seen_leaving(at);
            }
        } else if !self.before.contains(&uid) && !self.is_paired(&uid) {
            let waiting = |track: &&mut Track| {
                track.sent.is_some()
                    && track.replacement.is_none()
                    && track.controller == controller
            };
            if let Some(track) = self.tracks.iter_mut().find(waiting) {
                track.replacement = Some(PodRef {
                    name: pod.metadata.name.clone().unwrap_or_default(),
                    uid: uid.clone(),
                });
                track.phases.created_ms = Some(track.since(at));
            } else if !self.tracks.is_empty() {
                self.spare.insert(uid.clone(), pod.clone());
            }
        }
        let Some(track) = self
            .tracks
            .iter_mut()
            .find(|track| track.replacement.as_ref().is_some_and(|pod| pod.uid == uid))
        else {
            return;
        };
        let ms = track.since(at);
        track.labels = pod.metadata.labels.clone().unwrap_or_default();
        if pod
            .spec
            .as_ref()
            .is_some_and(|spec| spec.node_name.is_some())
        {
            track.phases.scheduled_ms.get_or_insert(ms);
        }
        if all_running(pod) {
            track.phases.started_ms.get_or_insert(ms);
        }
        if is_ready(pod) {
            track.phases.ready_ms.get_or_insert(ms);
        }
        self.see_endpoints(at);
    }

    fn is_paired(&self, uid: &str) -> bool {
        self.tracks
            .iter()
            .any(|track| track.replacement.as_ref().is_some_and(|pod| pod.uid == uid))
    }

    fn pod_gone(&mut self, at: Instant, uid: &str) {
        self.owners.remove(uid);
        self.ready.remove(uid);
        self.leaving.remove(uid);
        let mut tracks = self.tracks.iter_mut();
        if let Some(track) = tracks.find(|track| track.target.uid == uid) {
            track.seen_leaving(at);
            track.phases.gone_ms.get_or_insert(track.since(at));
        }
        self.lost(at, uid);
    }

    /// A new pod is on its way out. Where it was a replacement, somebody took that away too: its
    /// successor counts.
    fn lost(&mut self, at: Instant, uid: &str) {
        self.spare.remove(uid);
        let paired = self
            .tracks
            .iter_mut()
            .find(|track| track.replacement.as_ref().is_some_and(|pod| pod.uid == uid));
        if let Some(track) = paired {
            track.replacement = None;
            track.labels.clear();
            let RecoveryPhases {
                out_of_endpoints_ms,
                gone_ms,
                ..
            } = track.phases.clone();
            track.phases = RecoveryPhases {
                out_of_endpoints_ms,
                gone_ms,
                ..RecoveryPhases::default()
            };
            for pod in std::mem::take(&mut self.spare).into_values() {
                self.see_pod(at, &pod);
            }
        }
    }

    fn see_endpoints(&mut self, at: Instant) {
        let (slices, facts) = (&self.slices, &self.services);
        let behind = |service: &String, uid: &String| {
            slices
                .values()
                .any(|(name, ready)| name == service && ready.contains(uid))
        };
        let has_endpoint = |service: &String| {
            slices
                .values()
                .any(|(name, ready)| name == service && !ready.is_empty())
        };
        for track in self.tracks.iter_mut().filter(|track| track.sent.is_some()) {
            let ms = track.since(at);
            if !track
                .services
                .iter()
                .any(|service| behind(service, &track.target.uid))
            {
                track.phases.out_of_endpoints_ms.get_or_insert(ms);
            }
            let Some(replacement) = &track.replacement else {
                continue;
            };
            let services = track.services.iter().cloned();
            let (selecting, others): (BTreeSet<String>, BTreeSet<String>) =
                services.partition(|service| facts.selects(service, &track.labels));
            track.probed = selecting.intersection(&facts.probed).next().is_some();
            track.forsaken = others.into_iter().find(|service| !has_endpoint(service));
            if !selecting.is_empty()
                && selecting
                    .iter()
                    .all(|service| behind(service, &replacement.uid))
            {
                track.phases.in_endpoints_ms.get_or_insert(ms);
            }
            track.selecting = selecting;
        }
    }
}

fn service_of(slice: &EndpointSlice) -> String {
    let labels = slice.metadata.labels.as_ref();
    labels
        .and_then(|labels| labels.get("kubernetes.io/service-name"))
        .cloned()
        .unwrap_or_default()
}

fn ready_pods(slice: &EndpointSlice) -> BTreeSet<String> {
    let ready = slice.endpoints.iter().filter(|one| {
        one.conditions
            .as_ref()
            .is_none_or(|c| c.ready != Some(false))
    });
    ready
        .filter_map(|one| one.target_ref.as_ref()?.uid.clone())
        .collect()
}

fn all_running(pod: &Pod) -> bool {
    let statuses = pod
        .status
        .as_ref()
        .and_then(|status| status.container_statuses.as_deref())
        .unwrap_or_default();
    !statuses.is_empty()
        && statuses.iter().all(|status| {
            status
                .state
                .as_ref()
                .is_some_and(|state| state.running.is_some())
        })
}
