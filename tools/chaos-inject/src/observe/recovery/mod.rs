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

/// Pods that were hit, and what has been seen of their return.
#[derive(Debug, Default)]
pub struct Tracker {
    before: BTreeSet<String>,
    tracks: Vec<Track>,
    /// Endpoints now: slice UID to its Service and the pods in it that are ready.
    slices: BTreeMap<String, (String, BTreeSet<String>)>,
    /// Controllers of pods, by pod UID.
    owners: BTreeMap<String, String>,
    /// Pods that are there and ready now.
    ready: BTreeSet<String>,
    /// New pods that nobody waits for yet, by UID: a controller makes the successor of a
    /// replacement before the replacement is gone.
    spare: BTreeMap<String, Pod>,
}

impl Tracker {
    /// Takes what is there now, from the first events, as the state before; `targets` will be
    /// hit. `probed` tells whether a Service's pods can be asked themselves.
    pub fn start(&mut self, targets: &[Target], probed: impl Fn(&BTreeSet<String>) -> bool) {
        self.before = self.owners.keys().cloned().collect();
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
                    probed: probed(&services),
                    services,
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

    /// Everything that was hit is at its steady state: what came back is ready, and still is.
    pub fn is_steady(&self) -> bool {
        self.missing().is_empty()
    }

    /// What is missing for that, in words.
    pub fn missing(&self) -> Vec<String> {
        let missing = |track: &Track| {
            let now = track
                .replacement
                .as_ref()
                .filter(|pod| !self.ready.contains(&pod.uid));
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
            .filter_map(|track| Some((track.replacement.clone()?, track.services.clone())))
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
