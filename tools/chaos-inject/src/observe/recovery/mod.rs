//! How pods come back, from what was seen of them: a pure state machine over pod events.
//!
//! A replacement is paired with the pod that it replaces by the UID of the controller that owns
//! both, and by being new: its UID was not there before the injection.

mod events;
mod phases;

use std::collections::{BTreeMap, BTreeSet};

use chaos_common::record::{PodRecovery, PodRef, RecoveryPhases, Target};
use k8s_openapi::api::core::v1::Pod;
use tokio::time::Instant;

use self::phases::Track;
use crate::observe::pod_events::Watched;

/// Pods that were hit, and what has been seen of their return.
#[derive(Debug, Default)]
pub struct Tracker {
    before: BTreeSet<String>,
    tracks: Vec<Track>,
    /// Endpoints now: slice UID to its Service and the pods in it that are ready.
    slices: BTreeMap<String, (String, BTreeSet<String>)>,
    /// Controllers of pods, by pod UID.
    owners: BTreeMap<String, String>,
    /// Pods that were seen on their way out, by UID.
    leaving: BTreeSet<String>,
    /// Pods that are there and ready now: UID to name.
    ready: BTreeMap<String, String>,
    /// What is not seen now, and why. What was there before is no evidence then.
    broken: BTreeMap<Watched, String>,
    services: ServiceFacts,
    /// New pods that nobody waits for yet, by UID: a controller makes the successor of a
    /// replacement before the replacement is gone.
    spare: BTreeMap<String, Pod>,
}

/// What has to be known of the namespace's Services, by name.
#[derive(Clone, Debug, Default)]
pub struct ServiceFacts {
    /// Whom each selects; nobody where somebody else writes its endpoints.
    pub selectors: BTreeMap<String, BTreeMap<String, String>>,
    /// Those whose pods can be asked themselves.
    pub probed: BTreeSet<String>,
}

impl ServiceFacts {
    /// Whether a Service selects pods with these labels. One that is not known does.
    fn selects(&self, service: &str, labels: &BTreeMap<String, String>) -> bool {
        self.selectors.get(service).is_none_or(|selector| {
            !selector.is_empty()
                && selector
                    .iter()
                    .all(|(key, value)| labels.get(key) == Some(value))
        })
    }
}

impl Tracker {
    /// Takes what is there now, from the first events, as the state before; `targets` will be hit.
    pub fn start(&mut self, targets: &[Target], services: ServiceFacts) {
        self.before = self.owners.keys().cloned().collect();
        self.services = services;
        self.tracks = targets
            .iter()
            .map(|target| {
                let behind = self
                    .slices
                    .values()
                    .filter(|(_, ready)| ready.contains(&target.uid));
                let services: BTreeSet<String> =
                    behind.map(|(service, _)| service.clone()).collect();
                Track {
                    target: target.clone(),
                    controller: self.owners.get(&target.uid).cloned().unwrap_or_default(),
                    probed: false,
                    services,
                    labels: BTreeMap::new(),
                    selecting: BTreeSet::new(),
                    forsaken: None,
                    taken: self.is_taken(&target.uid),
                    sent: None,
                    accepted: None,
                    noticed: None,
                    replacement: None,
                    phases: RecoveryPhases::default(),
                    answer_bound_ms: 0.0,
                }
            })
            .collect();
    }

    /// A pod is gone, or on its way out.
    fn is_taken(&self, uid: &str) -> bool {
        self.leaving.contains(uid) || !self.owners.contains_key(uid)
    }

    /// The delete call for a target was sent and accepted.
    pub fn deleted(&mut self, uid: &str, sent: Instant, accepted: Instant) {
        if let Some(track) = self.tracks.iter_mut().find(|track| track.target.uid == uid) {
            (track.sent, track.accepted) = (Some(sent), Some(accepted));
        }
    }

    /// The delete call for a target was not accepted: it was not hit, and is not waited for.
    pub fn spared(&mut self, uid: &str) {
        self.tracks.retain(|track| track.target.uid != uid);
    }

    /// The targets that somebody else took away before our own call was sent. They were not hit by
    /// us, their replacements may have come before, and they are not waited for.
    pub fn taken_by_others(&mut self) -> Vec<Target> {
        let (taken, ours) = std::mem::take(&mut self.tracks)
            .into_iter()
            .partition(|track| track.taken);
        self.tracks = ours;
        taken.into_iter().map(|track: Track| track.target).collect()
    }

    /// A replacement gave its first good answer itself; `bound_ms` is the time since it was last
    /// asked without one.
    pub fn answered(&mut self, uid: &str, at: Instant, bound_ms: f64) {
        let track = self
            .tracks
            .iter_mut()
            .find(|track| track.replacement.as_ref().is_some_and(|pod| pod.uid == uid));
        if let Some(track) = track.filter(|track| track.phases.first_answer_ms.is_none()) {
            track.phases.first_answer_ms = Some(track.since(at));
            track.answer_bound_ms = bound_ms;
        }
    }

    /// Everything that was hit is seen to be at its steady state: what came back is ready, and
    /// still is.
    pub fn is_steady(&self) -> bool {
        self.missing().is_empty() && self.broken.is_empty()
    }

    /// Why pods or endpoints are not seen now; nothing while they are.
    pub fn broken(&self) -> Option<&str> {
        self.broken.values().next().map(String::as_str)
    }

    /// Nothing is missing but first answers: of these replacements.
    pub fn unanswered(&self) -> Option<Vec<PodRef>> {
        let mut unanswered = Vec::new();
        for track in &self.tracks {
            match &track.replacement {
                Some(pod) if track.lacks_only_an_answer() && self.ready.contains_key(&pod.uid) => {
                    unanswered.push(pod.clone());
                }
                _ if track.missing().is_none() => {}
                _ => return None,
            }
        }
        (!unanswered.is_empty()).then_some(unanswered)
    }

    /// Pods can't be asked themselves any more: that they answer is not waited for.
    pub fn waive_answers(&mut self) {
        self.services.probed.clear();
        for track in &mut self.tracks {
            track.probed = false;
        }
    }

    /// A ready pod behind a Service that is none of these.
    pub fn ready_behind(&self, service: &str, not: &BTreeSet<String>) -> Option<PodRef> {
        let behind = self.slices.values().filter(|(name, _)| name == service);
        let mut uids = behind.flat_map(|(_, ready)| ready);
        let uid = uids.find(|uid| self.ready.contains_key(*uid) && !not.contains(*uid))?;
        let name = self.ready[uid].clone();
        let uid = uid.clone();
        Some(PodRef { name, uid })
    }

    /// What is missing for that, in words.
    pub fn missing(&self) -> Vec<String> {
        let missing = |track: &Track| {
            let now = track
                .replacement
                .as_ref()
                .filter(|pod| !self.ready.contains_key(&pod.uid));
            track.missing().or_else(|| {
                now.map(|pod| format!("pod {} was ready and is not any more", pod.name))
            })
        };
        self.tracks.iter().filter_map(missing).collect()
    }

    /// Replacements that wait for their first answer, with the Services that they stand behind.
    pub fn to_probe(&self) -> Vec<(PodRef, BTreeSet<String>)> {
        let waiting = self.tracks.iter().filter(|track| {
            track.probed
                && track.phases.started_ms.is_some()
                && track.phases.first_answer_ms.is_none()
        });
        waiting
            .filter_map(|track| Some((track.replacement.clone()?, track.selecting.clone())))
            .collect()
    }

    /// The effect was seen on every target that was hit: the object is gone.
    pub fn all_gone(&self) -> bool {
        !self.tracks.is_empty()
            && self
                .tracks
                .iter()
                .all(|track| track.phases.gone_ms.is_some())
    }

    /// Pods that were hit and had left the endpoints of their Services.
    pub fn left_endpoints(&self) -> bool {
        self.tracks
            .iter()
            .filter(|track| !track.services.is_empty())
            .all(|track| track.phases.out_of_endpoints_ms.is_some())
    }

    /// How each pod came back.
    pub fn recoveries(&self) -> Vec<PodRecovery> {
        self.tracks.iter().map(Track::recovery).collect()
    }
}

#[cfg(test)]
mod tests;
