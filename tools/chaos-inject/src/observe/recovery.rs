//! How pods come back, from what was seen of them: a pure state machine over sightings.
//!
//! A replacement is paired with the pod that it replaces by the UID of the controller that owns
//! both, and by being new: its UID was not there before the injection.

use std::collections::{BTreeMap, BTreeSet};

use chaos_common::cluster::{is_ready, owner_uid};
use chaos_common::record::{PodRecovery, PodRef, RecoveryPhases, Target};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use tokio::time::Instant;

use crate::observe::pod_events::Seen;

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

/// One pod that is hit.
#[derive(Clone, Debug)]
struct Track {
    target: Target,
    /// UID of its controller.
    controller: String,
    /// Services that it stood behind before.
    services: BTreeSet<String>,
    /// The delete call: when it was sent and when its acceptance arrived.
    sent: Option<Instant>,
    accepted: Option<Instant>,
    /// When the deletion showed in the watch.
    noticed: Option<Instant>,
    /// The replacement must answer itself too.
    probed: bool,
    replacement: Option<PodRef>,
    phases: RecoveryPhases,
    /// Granularity of the first answer, in milliseconds.
    answer_bound_ms: f64,
}

impl Track {
    fn since(&self, at: Instant) -> f64 {
        self.sent.map_or(0.0, |sent| milliseconds(sent, at))
    }

    fn is_whole(&self) -> bool {
        self.phases.gone_ms.is_some()
            && self.phases.ready_ms.is_some()
            && (self.services.is_empty() || self.phases.in_endpoints_ms.is_some())
            && (!self.probed || self.phases.first_answer_ms.is_some())
    }

    fn recovery_ms(&self) -> Option<f64> {
        let p = &self.phases;
        self.is_whole().then(|| {
            [p.ready_ms, p.in_endpoints_ms, p.first_answer_ms]
                .into_iter()
                .flatten()
                .fold(0.0, f64::max)
        })
    }

    /// What is still missing, in words.
    fn missing(&self) -> Option<String> {
        let name = self.replacement.as_ref().map(|pod| pod.name.as_str());
        let p = &self.phases;
        Some(match name {
            _ if p.gone_ms.is_none() => format!("pod {} is not gone", self.target.name),
            None => format!("no pod took the place of {}", self.target.name),
            Some(name) if p.scheduled_ms.is_none() => format!("pod {name} has no node"),
            Some(name) if p.started_ms.is_none() => format!("pod {name} has not started"),
            Some(name) if p.ready_ms.is_none() => format!("pod {name} is not ready"),
            Some(name) if !self.services.is_empty() && p.in_endpoints_ms.is_none() => {
                format!("pod {name} is not in the endpoints")
            }
            Some(name) if self.probed && p.first_answer_ms.is_none() => {
                format!("pod {name} does not answer")
            }
            Some(_) => return None,
        })
    }
}

impl Tracker {
    /// Takes what is there now, from the first sightings, as the state before; `targets` will be
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

    /// Takes in what was seen.
    pub fn see(&mut self, at: Instant, seen: &Seen) {
        match seen {
            Seen::Pod(pod) => self.see_pod(at, pod),
            Seen::PodGone(uid) => self.pod_gone(at, uid),
            Seen::AllPods(present) => {
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
            Seen::Slice(slice) => {
                let (uid, service) = (
                    slice.metadata.uid.clone().unwrap_or_default(),
                    service_of(slice),
                );
                self.slices.insert(uid, (service, ready_pods(slice)));
                self.see_endpoints(at);
            }
            Seen::SliceGone(uid) => {
                self.slices.remove(uid);
                self.see_endpoints(at);
            }
            Seen::AllSlices(present) => {
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
            self.ready.insert(uid.clone())
        } else {
            self.ready.remove(&uid)
        };
        if pod.metadata.deletion_timestamp.is_some() {
            self.lost(at, &uid);
            if let Some(track) = self
                .tracks
                .iter_mut()
                .find(|track| track.target.uid == uid && track.sent.is_some())
            {
                track.noticed.get_or_insert(at);
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
        let target = self
            .tracks
            .iter_mut()
            .find(|track| track.target.uid == uid && track.sent.is_some());
        if let Some(track) = target {
            track.noticed.get_or_insert(at);
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
        let slices = &self.slices;
        let behind = |service: &String, uid: &String| {
            slices
                .values()
                .any(|(name, ready)| name == service && ready.contains(uid))
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
            if !track.services.is_empty()
                && track
                    .services
                    .iter()
                    .all(|service| behind(service, &replacement.uid))
            {
                track.phases.in_endpoints_ms.get_or_insert(ms);
            }
        }
    }

    /// Everything that was hit is whole again, and still is: what came back is ready now.
    pub fn is_whole(&self) -> bool {
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
        let recovery = |track: &Track| {
            // Nothing we see can have happened later than we see it. It may have happened earlier
            // by the time that the API server took to accept the call, by the delay of the watch,
            // for which our own deletion is the sample, and by the pause between two questions.
            let between = |from: Option<Instant>, to: Option<Instant>| {
                from.zip(to)
                    .map_or(0.0, |(from, to)| milliseconds(from, to))
            };
            let call = between(track.sent, track.accepted);
            let watch = between(track.sent, track.noticed);
            let by_answer = track
                .phases
                .first_answer_ms
                .is_some_and(|ms| Some(ms) == track.recovery_ms());
            PodRecovery {
                deleted: PodRef {
                    name: track.target.name.clone(),
                    uid: track.target.uid.clone(),
                },
                replacement: track.replacement.clone(),
                owner: track.target.owner.clone(),
                phases: track.phases.clone(),
                recovery_ms: track.recovery_ms(),
                error_bound_ms: call
                    + if by_answer {
                        track.answer_bound_ms
                    } else {
                        watch
                    },
            }
        };
        self.tracks.iter().map(recovery).collect()
    }
}

/// Between two moments, to the microsecond.
fn milliseconds(from: Instant, to: Instant) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "an experiment lasts minutes")]
    let microseconds = to.saturating_duration_since(from).as_micros() as f64;
    microseconds / 1000.0
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

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::WorkloadRef;
    use std::time::Duration;

    fn pod(uid: &str, owner: &str, ready: bool, terminating: bool) -> Seen {
        let deletion = if terminating {
            "deletionTimestamp: '2026-11-22T16:00:00Z',"
        } else {
            ""
        };
        let yaml = format!(
            "{{metadata: {{name: pod-{uid}, uid: {uid}, {deletion} ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: r, uid: {owner}, controller: true}}]}},
               spec: {{nodeName: n, containers: []}}, status: {{conditions: [{{type: Ready, status: '{}'}}],
               containerStatuses: [{{name: c, image: i, imageID: i, ready: true, restartCount: 0, state: {{running: {{}}}}}}]}}}}",
            if ready { "True" } else { "False" }
        );
        Seen::Pod(Box::new(serde_saphyr::from_str(&yaml).expect("a pod")))
    }

    fn slice(uids: &[&str]) -> Seen {
        let endpoints: Vec<String> = uids
            .iter()
            .map(|uid| {
                format!("{{addresses: [10.0.0.1], conditions: {{ready: true}}, targetRef: {{kind: Pod, uid: {uid}}}}}")
            })
            .collect();
        let yaml = format!(
            "{{metadata: {{name: s, uid: s, labels: {{kubernetes.io/service-name: shop}}}}, addressType: IPv4, endpoints: [{}]}}",
            endpoints.join(",")
        );
        Seen::Slice(Box::new(serde_saphyr::from_str(&yaml).expect("a slice")))
    }

    fn target(uid: &str) -> Target {
        let owner = WorkloadRef {
            kind: "Deployment".into(),
            namespace: "prod".into(),
            name: "shop".into(),
        };
        Target {
            kind: "Pod".into(),
            namespace: "prod".into(),
            name: format!("pod-{uid}"),
            uid: uid.into(),
            owner,
            node: None,
        }
    }

    struct Story {
        tracker: Tracker,
        start: Instant,
    }

    impl Story {
        /// Pods a and b of one owner and x of another; a, b behind the Service; a is deleted at 0
        /// ms, accepted at 4 ms.
        fn begin(targets: &[&str]) -> Story {
            let start = Instant::now();
            let mut story = Story {
                tracker: Tracker::default(),
                start,
            };
            for seen in [
                pod("a", "r1", true, false),
                pod("b", "r1", true, false),
                pod("x", "r2", true, false),
                slice(&["a", "b"]),
            ] {
                story.at(0, &seen);
            }
            let targets: Vec<Target> = targets.iter().map(|uid| target(uid)).collect();
            story.tracker.start(&targets, |_| false);
            for target in &targets {
                story
                    .tracker
                    .deleted(&target.uid, start, start + Duration::from_millis(4));
            }
            story
        }

        fn at(&mut self, ms: u64, seen: &Seen) {
            self.tracker
                .see(self.start + Duration::from_millis(ms), seen);
        }
    }

    #[test]
    fn phases_are_measured_from_the_delete_call_and_paired_by_owner() {
        let mut story = Story::begin(&["a"]);
        story.at(10, &pod("a", "r1", false, true));
        story.at(12, &slice(&["b"]));
        story.at(15, &pod("y", "r2", true, false)); // another workload's new pod must not count
        story.at(20, &pod("c", "r1", false, false));
        story.at(900, &Seen::PodGone("a".into()));
        assert!(!story.tracker.is_whole());
        story.at(1500, &pod("c", "r1", true, false));
        assert!(
            !story.tracker.is_whole(),
            "ready, but not in the endpoints yet"
        );
        story.at(1600, &slice(&["b", "c"]));
        assert!(story.tracker.is_whole());
        let recovery = &story.tracker.recoveries()[0];
        assert_eq!(
            recovery.replacement.as_ref().map(|pod| pod.uid.as_str()),
            Some("c")
        );
        assert_eq!(recovery.recovery_ms, Some(1600.0));
        assert_eq!(recovery.phases.out_of_endpoints_ms, Some(12.0));
        assert_eq!(recovery.phases.gone_ms, Some(900.0));
        assert_eq!(recovery.phases.created_ms, Some(20.0));
        assert_eq!(recovery.phases.ready_ms, Some(1500.0));
        assert!(
            (recovery.error_bound_ms - 14.0).abs() < 0.01,
            "call 4 ms, watch 10 ms: {}",
            recovery.error_bound_ms
        );
    }

    #[test]
    fn two_pods_of_one_owner_get_a_replacement_each() {
        let mut story = Story::begin(&["a", "b"]);
        story.at(10, &Seen::PodGone("a".into()));
        story.at(10, &Seen::PodGone("b".into()));
        story.at(20, &pod("c", "r1", true, false));
        story.at(30, &slice(&["c"]));
        assert!(!story.tracker.is_whole());
        story.at(40, &pod("d", "r1", true, false));
        story.at(50, &slice(&["c", "d"]));
        assert!(story.tracker.is_whole());
        let recoveries = story.tracker.recoveries();
        assert_ne!(recoveries[0].replacement, recoveries[1].replacement);
    }

    #[test]
    fn a_replacement_that_dies_is_replaced_in_the_record_too() {
        let mut story = Story::begin(&["a"]);
        story.at(10, &Seen::PodGone("a".into()));
        story.at(20, &pod("c", "r1", true, false));
        story.at(30, &slice(&["b", "c"]));
        story.at(40, &Seen::PodGone("c".into()));
        assert!(!story.tracker.is_whole());
        story.at(50, &pod("d", "r1", true, false));
        story.at(60, &slice(&["b", "d"]));
        assert_eq!(story.tracker.recoveries()[0].recovery_ms, Some(60.0));
    }

    #[test]
    fn a_successor_that_came_before_the_replacement_went_counts() {
        let mut story = Story::begin(&["a"]);
        story.at(10, &Seen::PodGone("a".into()));
        story.at(20, &pod("c", "r1", true, false));
        story.at(30, &pod("c", "r1", true, true));
        story.at(31, &pod("d", "r1", true, false));
        story.at(40, &slice(&["b", "d"]));
        story.at(50, &Seen::PodGone("c".into()));
        assert!(story.tracker.is_whole(), "{:?}", story.tracker.missing());
        let mut story = Story::begin(&["a"]);
        story.at(10, &Seen::PodGone("a".into()));
        story.at(20, &pod("c", "r1", true, false));
        story.at(31, &pod("d", "r1", true, false));
        story.at(40, &slice(&["b", "d"]));
        story.at(50, &Seen::PodGone("c".into()));
        assert!(story.tracker.is_whole(), "{:?}", story.tracker.missing());
    }

    #[test]
    fn a_replacement_that_is_ready_no_more_is_not_whole() {
        let mut story = Story::begin(&["a"]);
        story.at(10, &Seen::PodGone("a".into()));
        story.at(20, &pod("c", "r1", true, false));
        story.at(30, &slice(&["b", "c"]));
        assert!(story.tracker.is_whole());
        story.at(40, &pod("c", "r1", false, false));
        assert_eq!(
            story.tracker.missing(),
            ["pod pod-c was ready and is not any more"]
        );
    }

    #[test]
    fn a_gap_in_the_watch_shows_what_went_meanwhile() {
        let mut story = Story::begin(&["a"]);
        story.at(500, &pod("c", "r1", true, false));
        story.at(
            501,
            &Seen::AllPods(["b", "c", "x"].map(String::from).into()),
        );
        story.at(502, &slice(&["b", "c"]));
        assert!(story.tracker.is_whole());
        assert_eq!(story.tracker.recoveries()[0].phases.gone_ms, Some(501.0));
    }

    #[test]
    fn a_pod_that_stays_is_no_effect() {
        let mut story = Story::begin(&["a"]);
        story.at(10, &pod("a", "r1", true, true));
        story.at(20, &pod("c", "r1", true, false));
        story.at(30, &slice(&["b", "c"]));
        assert!(!story.tracker.all_gone());
        assert_eq!(story.tracker.missing(), ["pod pod-a is not gone"]);
    }
}
