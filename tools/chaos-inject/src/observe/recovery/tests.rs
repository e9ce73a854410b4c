//! Pods come back, and what the record says of it.

use super::*;
use crate::observe::pod_events::PodEvent;
use chaos_common::record::WorkloadRef;
use std::time::Duration;

fn pod(uid: &str, owner: &str, ready: bool, terminating: bool) -> PodEvent {
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
    PodEvent::Pod(Box::new(serde_saphyr::from_str(&yaml).expect("a pod")))
}

fn slice(uids: &[&str]) -> PodEvent {
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
    PodEvent::Slice(Box::new(serde_saphyr::from_str(&yaml).expect("a slice")))
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

struct Scenario {
    tracker: Tracker,
    start: Instant,
}

impl Scenario {
    /// Pods a and b of one owner and x of another; a, b behind the Service; a is deleted at 0
    /// ms, accepted at 4 ms.
    fn begin(targets: &[&str]) -> Scenario {
        Scenario::with(targets, ServiceFacts::default())
    }

    /// The same where this is known of the Services.
    fn with(targets: &[&str], facts: ServiceFacts) -> Scenario {
        let start = Instant::now();
        let mut scenario = Scenario {
            tracker: Tracker::default(),
            start,
        };
        for seen in [
            pod("a", "r1", true, false),
            pod("b", "r1", true, false),
            pod("x", "r2", true, false),
            slice(&["a", "b"]),
        ] {
            scenario.at(0, &seen);
        }
        let targets: Vec<Target> = targets.iter().map(|uid| target(uid)).collect();
        scenario.tracker.start(&targets, facts);
        for target in &targets {
            scenario
                .tracker
                .deleted(&target.uid, start, start + Duration::from_millis(4));
        }
        scenario
    }

    fn at(&mut self, ms: u64, seen: &PodEvent) {
        self.tracker
            .see(self.start + Duration::from_millis(ms), seen);
    }
}

#[test]
fn phases_are_measured_from_the_delete_call_and_paired_by_owner() {
    let mut scenario = Scenario::begin(&["a"]);
    scenario.at(10, &pod("a", "r1", false, true));
    scenario.at(12, &slice(&["b"]));
    scenario.at(15, &pod("y", "r2", true, false)); // another workload's new pod must not count
    scenario.at(20, &pod("c", "r1", false, false));
    scenario.at(900, &PodEvent::PodGone("a".into()));
    assert!(!scenario.tracker.is_steady());
    scenario.at(1500, &pod("c", "r1", true, false));
    assert!(
        !scenario.tracker.is_steady(),
        "ready, but not in the endpoints yet"
    );
    scenario.at(1600, &slice(&["b", "c"]));
    assert!(scenario.tracker.is_steady());
    let recovery = &scenario.tracker.recoveries()[0];
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
    let mut scenario = Scenario::begin(&["a", "b"]);
    scenario.at(10, &PodEvent::PodGone("a".into()));
    scenario.at(10, &PodEvent::PodGone("b".into()));
    scenario.at(20, &pod("c", "r1", true, false));
    scenario.at(30, &slice(&["c"]));
    assert!(!scenario.tracker.is_steady());
    scenario.at(40, &pod("d", "r1", true, false));
    scenario.at(50, &slice(&["c", "d"]));
    assert!(scenario.tracker.is_steady());
    let recoveries = scenario.tracker.recoveries();
    assert_ne!(recoveries[0].replacement, recoveries[1].replacement);
}

#[test]
fn a_replacement_that_dies_is_replaced_in_the_record_too() {
    let mut scenario = Scenario::begin(&["a"]);
    scenario.at(10, &PodEvent::PodGone("a".into()));
    scenario.at(20, &pod("c", "r1", true, false));
    scenario.at(30, &slice(&["b", "c"]));
    scenario.at(40, &PodEvent::PodGone("c".into()));
    assert!(!scenario.tracker.is_steady());
    scenario.at(50, &pod("d", "r1", true, false));
    scenario.at(60, &slice(&["b", "d"]));
    assert_eq!(scenario.tracker.recoveries()[0].recovery_ms, Some(60.0));
}

#[test]
fn a_successor_that_came_before_the_replacement_went_counts() {
    let mut scenario = Scenario::begin(&["a"]);
    scenario.at(10, &PodEvent::PodGone("a".into()));
    scenario.at(20, &pod("c", "r1", true, false));
    scenario.at(30, &pod("c", "r1", true, true));
    scenario.at(31, &pod("d", "r1", true, false));
    scenario.at(40, &slice(&["b", "d"]));
    scenario.at(50, &PodEvent::PodGone("c".into()));
    assert!(
        scenario.tracker.is_steady(),
        "{:?}",
        scenario.tracker.missing()
    );
    let mut scenario = Scenario::begin(&["a"]);
    scenario.at(10, &PodEvent::PodGone("a".into()));
    scenario.at(20, &pod("c", "r1", true, false));
    scenario.at(31, &pod("d", "r1", true, false));
    scenario.at(40, &slice(&["b", "d"]));
    scenario.at(50, &PodEvent::PodGone("c".into()));
    assert!(
        scenario.tracker.is_steady(),
        "{:?}",
        scenario.tracker.missing()
    );
}

#[test]
fn a_replacement_that_is_ready_no_more_is_not_whole() {
    let mut scenario = Scenario::begin(&["a"]);
    scenario.at(10, &PodEvent::PodGone("a".into()));
    scenario.at(20, &pod("c", "r1", true, false));
    scenario.at(30, &slice(&["b", "c"]));
    assert!(scenario.tracker.is_steady());
    scenario.at(40, &pod("c", "r1", false, false));
    assert_eq!(
        scenario.tracker.missing(),
        ["pod pod-c was ready and is not any more"]
    );
}

#[test]
fn a_gap_in_the_watch_shows_what_went_meanwhile() {
    let mut scenario = Scenario::begin(&["a"]);
    scenario.at(500, &pod("c", "r1", true, false));
    scenario.at(
        501,
        &PodEvent::AllPods(["b", "c", "x"].map(String::from).into()),
    );
    scenario.at(502, &slice(&["b", "c"]));
    assert!(scenario.tracker.is_steady());
    assert_eq!(scenario.tracker.recoveries()[0].phases.gone_ms, Some(501.0));
}

#[test]
fn a_pod_that_stays_is_no_effect() {
    let mut scenario = Scenario::begin(&["a"]);
    scenario.at(10, &pod("a", "r1", true, true));
    scenario.at(20, &pod("c", "r1", true, false));
    scenario.at(30, &slice(&["b", "c"]));
    assert!(!scenario.tracker.all_gone());
    assert_eq!(scenario.tracker.missing(), ["pod pod-a is not gone"]);
}

/// A Service that selects pods by this label.
fn selects(value: &str) -> ServiceFacts {
    let selector = [("role".to_owned(), value.to_owned())];
    ServiceFacts {
        selectors: [("shop".to_owned(), selector.into())].into(),
        ..ServiceFacts::default()
    }
}

#[test]
fn a_replacement_that_the_service_does_not_select_needs_not_be_in_its_endpoints() {
    let mut scenario = Scenario::with(&["a"], selects("leader"));
    scenario.at(10, &PodEvent::PodGone("a".into()));
    scenario.at(12, &slice(&[]));
    scenario.at(20, &pod("c", "r1", true, false));
    let missing = scenario.tracker.missing();
    assert_eq!(missing, ["service shop has no ready endpoint"]);
    // Another pod leads now.
    scenario.at(30, &slice(&["b"]));
    assert!(
        scenario.tracker.is_steady(),
        "{:?}",
        scenario.tracker.missing()
    );
    assert_eq!(scenario.tracker.recoveries()[0].recovery_ms, Some(20.0));
}

#[test]
fn what_is_not_seen_now_is_no_steady_state() {
    let mut scenario = Scenario::begin(&["a"]);
    scenario.at(10, &PodEvent::PodGone("a".into()));
    scenario.at(20, &pod("c", "r1", true, false));
    scenario.at(30, &slice(&["b", "c"]));
    scenario.at(40, &PodEvent::Broken(Watched::Pods, "refused".into()));
    assert!(!scenario.tracker.is_steady());
    assert_eq!(scenario.tracker.broken(), Some("refused"));
    let present = ["b", "c", "x"].map(String::from);
    scenario.at(50, &PodEvent::AllPods(present.into()));
    assert!(scenario.tracker.is_steady());
}

#[test]
fn a_pod_that_somebody_else_took_away_before_us_is_not_waited_for() {
    let hit = |before: &[PodEvent], buffered: &[PodEvent]| {
        let start = Instant::now() + Duration::from_secs(1);
        let mut tracker = Tracker::default();
        let first = [
            pod("a", "r1", true, false),
            pod("b", "r1", true, false),
            slice(&["a", "b"]),
        ];
        for seen in first.iter().chain(before) {
            tracker.see(start - Duration::from_millis(500), seen);
        }
        tracker.start(&[target("a"), target("b")], ServiceFacts::default());
        for uid in ["a", "b"] {
            tracker.deleted(uid, start, start + Duration::from_millis(4));
        }
        for seen in buffered {
            tracker.see(start - Duration::from_millis(100), seen);
        }
        let taken = tracker.taken_by_others();
        let names: Vec<String> = taken.into_iter().map(|target| target.name).collect();
        (names, tracker)
    };
    let leaving = pod("a", "r1", false, true);
    let gone = PodEvent::PodGone("a".into());
    for (before, buffered) in [
        (&[leaving][..], &[][..]),
        (&[gone][..], &[]),
        (&[], &[pod("a", "r1", false, true)]),
        (&[], &[PodEvent::PodGone("a".into())]),
    ] {
        let (names, tracker) = hit(before, buffered);
        assert_eq!(names, ["pod-a"]);
        assert_eq!(tracker.missing(), ["pod pod-b is not gone"]);
    }
    assert_eq!(hit(&[], &[]).0, [] as [&str; 0]);
}
