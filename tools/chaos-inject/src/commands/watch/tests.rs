//! Watchers in the cluster: what they take back, and what they leave alone.

use chaos_common::record::{Change, ClaimRef, ObjectRef};
use serde_json::json;
use tokio::task::{JoinHandle, LocalSet, spawn_local};

use super::*;
use crate::change::apply;
use crate::testing::objects::{NAMESPACE, RUN, create_policy, deployment, intent, scale_to_zero};
use crate::testing::runs::{intent_of_shop, with_a_run};
use crate::testing::test_bed::{Ended, TestBed};
use crate::testing::{ApiServer, Behaviour};

const LEASE: &str = "lease/chaos-deployment-shop";

fn replicas(server: &ApiServer) -> serde_json::Value {
    server.get("deployment/shop").expect("it exists")["spec"]["replicas"].clone()
}

/// The guardian of the run renews its Leases every two seconds, for so long.
fn lives_for(server: &ApiServer, seconds: u64) -> JoinHandle<()> {
    let cluster = server.cluster();
    tokio::spawn(async move {
        for _ in 0..seconds / 2 {
            let _ = intent_of_shop().renew(&cluster).await;
            sleep(Duration::from_secs(2)).await;
        }
    })
}

/// Watches for so long.
async fn watched(bed: &TestBed, seconds: u64) -> Ended {
    let (alarm, end) = AbortSignal::new();
    let mut context = bed.context();
    let later = async {
        sleep(Duration::from_secs(seconds)).await;
        alarm.raise("the test is over");
    };
    let (exit, ()) = tokio::join!(watch_until(&mut context, end), later);
    bed.ended(exit)
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_run_left_is_taken_back_within_twenty_seconds_of_its_last_sign_of_life() {
    let bed = with_a_run().await;
    let (server, start) = (bed.server.clone(), Instant::now());
    let back = tokio::spawn(async move {
        while replicas(&server) == json!(0) {
            sleep(Duration::from_millis(50)).await;
        }
        start.elapsed()
    });
    let ended = watched(&bed, 30).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    let back = back.await.expect("it came back");
    assert!(back < Duration::from_secs(20), "{back:?}");
    assert_eq!(bed.server.names("lease"), [""; 0], "nothing is left");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lives_is_left_alone_and_taken_back_once_it_dies() {
    let bed = with_a_run().await;
    lives_for(&bed.server, 60);
    let ended = watched(&bed, 60).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    assert_eq!(replicas(&bed.server), json!(0), "its fault is still on");
    watched(&bed, 30).await;
    assert_eq!(replicas(&bed.server), json!(3));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_cut_off_for_less_than_the_limit_is_left_alone() {
    let bed = with_a_run().await;
    lives_for(&bed.server, 60);
    let server = bed.server.clone();
    tokio::spawn(async move {
        for _ in 0..5 {
            sleep(Duration::from_secs(4)).await;
            // What the guardian sends does not arrive for five seconds.
            server.always("PATCH leases/chaos-deployment", Behaviour::Status(503));
            sleep(Duration::from_secs(5)).await;
            server.mend();
        }
    });
    watched(&bed, 55).await;
    assert_eq!(replicas(&bed.server), json!(0), "its fault is still on");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_is_away_or_read_only_gets_no_run_undone() {
    for part in ["* /", "PATCH leases"] {
        let bed = with_a_run().await;
        let alive = lives_for(&bed.server, 80);
        let server = bed.server.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(10)).await;
            server.always(part, Behaviour::NoConnection);
            sleep(Duration::from_secs(30)).await;
            server.mend();
        });
        watched(&bed, 70).await;
        assert_eq!(replicas(&bed.server), json!(0), "{part}");
        alive.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn two_watchers_do_no_harm() {
    let bed = with_a_run().await;
    let mut other = TestBed::with([]);
    other.server = bed.server.clone();
    let set = LocalSet::new();
    let both = async {
        let second = spawn_local(async move { watched(&other, 40).await.exit });
        let first = watched(&bed, 40).await;
        assert_eq!(first.exit, Exit::Pass, "{:#}", first.record);
        assert_eq!(second.await.expect("it ends"), Exit::Pass);
        bed
    };
    let bed = set.run_until(both).await;
    assert_eq!(replicas(&bed.server), json!(3));
    let shop = bed.server.get("deployment/shop").expect("it exists");
    assert!(
        shop["metadata"]["labels"]
            .get(crate::labels::RUN_LABEL)
            .is_none()
    );
    assert_eq!(bed.server.names("lease"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_lock_of_a_run_that_ended_not_restored_stays_for_a_person() {
    let bed = with_a_run().await;
    let cluster = bed.server.cluster();
    intent_of_shop().give_up(&cluster, "no pod is ready").await;
    let ended = watched(&bed, 40).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    assert!(bed.server.get(LEASE).is_some(), "it stays locked");
    assert_eq!(replicas(&bed.server), json!(0), "nothing was written");
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_is_refused_is_tried_until_it_is_accepted() {
    let bed = with_a_run().await;
    bed.server
        .always("PATCH deployments/shop", Behaviour::Status(403));
    let server = bed.server.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(60)).await;
        server.mend();
    });
    let ended = watched(&bed, 50).await;
    assert_eq!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
    let ended = watched(&bed, 60).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    assert_eq!(replicas(&bed.server), json!(3));
}

#[tokio::test(start_paused = true)]
async fn it_says_that_it_is_there_and_leaves_when_it_ends() {
    let bed = TestBed::with([]);
    let server = bed.server.clone();
    let there = tokio::spawn(async move {
        sleep(Duration::from_secs(3)).await;
        server.names("lease")
    });
    let ended = watched(&bed, 5).await;
    assert_eq!(ended.record["cause"], "watch");
    assert_eq!(there.await.expect("looked"), [presence::NAME]);
    assert_eq!(bed.server.names("lease"), [""; 0]);
}

/// A run died that had done one of everything that is taken back.
async fn with_everything() -> TestBed {
    let of = |kind: &str, resource: &str, api: &str, name: &str| ObjectRef {
        api_version: api.to_owned(),
        kind: kind.to_owned(),
        resource: resource.to_owned(),
        namespace: Some(NAMESPACE.to_owned()),
        name: name.to_owned(),
        uid: Some(format!("{name}-uid")),
    };
    let mut objects = vec![deployment("shop", 3)];
    let mut changes = vec![scale_to_zero("shop", 3), create_policy("cut")];
    let patched = [
        of("StatefulSet", "statefulsets", "apps/v1", "database"),
        of(
            "NetworkPolicy",
            "networkpolicies",
            "networking.k8s.io/v1",
            "open",
        ),
    ];
    for object in patched {
        objects.push(json!({
            "apiVersion": object.api_version, "kind": object.kind,
            "metadata": { "name": object.name, "namespace": NAMESPACE, "uid": object.uid },
            "spec": { "field": 3 },
        }));
        changes.push(Change::Patch {
            object,
            field: vec!["spec".into(), "field".into()],
            original: json!(3),
            faulted: json!(0),
        });
    }
    changes.push(Change::Create {
        object: ObjectRef {
            uid: None,
            ..of("Pod", "pods", "v1", "load")
        },
        manifest: json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "load" },
            "spec": { "containers": [{ "name": "main" }] },
        }),
    });
    objects.push(json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data", "namespace": NAMESPACE, "uid": "data-uid" },
    }));
    let bed = TestBed::with(objects);
    let cluster = bed.server.cluster();
    let intent = Intent {
        claims: vec![ClaimRef {
            namespace: NAMESPACE.to_owned(),
            name: "data".to_owned(),
            uid: "data-uid".to_owned(),
            volume: None,
        }],
        ..intent(&changes, &["shop"])
    };
    let owners = intent.declare(&cluster).await.expect("declared");
    for change in &intent.changes {
        let deadline = intent.deadline();
        let applied = apply::apply(&cluster, change, RUN, &owners[NAMESPACE], deadline).await;
        applied.expect("applied");
    }
    bed
}

/// What is not as it should be after a watcher was there: what it left, and what it could not tell.
async fn missed(without: Option<&Permission>) -> Vec<String> {
    let bed = with_everything().await;
    if let Some(right) = without {
        bed.server
            .forbid(&format!("{} {}", right.verb, right.resource));
    }
    let ended = watched(&bed, 40).await;
    let of = |kind: &str| bed.server.names(kind);
    let mut missed = [of("lease"), of("pod")].concat();
    missed.extend(of("networkpolicy").into_iter().filter(|it| it == "cut"));
    for (object, field) in [
        ("deployment/shop", "replicas"),
        ("statefulset/database", "field"),
        ("networkpolicy/open", "field"),
    ] {
        let now = bed.server.get(object).expect("it exists");
        if now["spec"][field] != 3 {
            missed.push(object.to_owned());
        }
    }
    let records = bed.records("chaos.rollback/1");
    let told = records.iter().filter(|it| it["verdict"] != "pass");
    missed.extend(told.map(|it| it["summary"].to_string()));
    // Without the right to read its identity, a cluster is known by its address alone.
    if ended.record["cluster"]["id"] != "c" {
        missed.push("which cluster it was".to_owned());
    }
    missed
}

#[tokio::test(start_paused = true)]
async fn each_right_that_is_printed_is_missed_once_it_is_taken_away() {
    assert_eq!(missed(None).await, [""; 0], "with all of them");
    for right in needed(&[NAMESPACE.to_owned()]) {
        let missed = missed(Some(&right)).await;
        assert!(!missed.is_empty(), "{right:?} is needless");
    }
}
