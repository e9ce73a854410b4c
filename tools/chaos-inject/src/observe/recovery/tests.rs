//! Pods come back, and what the record says of it.

use super::*;
use crate::observe::pod_events::Seen;
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
