//! Data that goes with the pods: what a plan says of it, what a run asks for, and what its record
//! tells.

use chaos_common::exit::Exit;
use chaos_common::record::{Plan, Status};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use super::{experiment, needs, of, planned, refusals, workload_named};
use crate::plan::target::Selection;
use crate::testing::Behaviour;
use crate::testing::application::{application, bound_claim, mounting, with};
use crate::testing::controllers;
use crate::testing::test_bed::{Ended, TestBed};

const MONITORING: &str = r#"
[monitoring]
namespace = "prod"
prometheus = { deployment = "prom", service = "prom", port = 9090, vantage = "api-proxy" }
"#;

async fn run(bed: &TestBed, name: &str, selection: &Selection) -> Ended {
    let experiment = experiment(name, selection, &bed.context()).expect("it is named");
    let _controllers = controllers::start(&bed.server);
    bed.run_experiment(experiment).await
}

/// A set of pods with a claim each, which go or stay when it is scaled, beside a shop.
fn set(replicas: u32, when_scaled: &str) -> TestBed {
    let bed = TestBed::with(application("Deployment", "shop", 9));
    let mut objects = application("StatefulSet", "db", replicas);
    let spec = json!({
        "persistentVolumeClaimRetentionPolicy": { "whenScaled": when_scaled },
        "volumeClaimTemplates": [{ "metadata": { "name": "data" } }],
    });
    objects[0] = with(objects[0].clone(), &json!({ "spec": spec }));
    objects.extend((0..replicas).map(|n| bound_claim(&format!("data-db-{n}"), "pv-before")));
    bed.server.add_all(objects);
    bed
}

fn db() -> Selection {
    workload_named("statefulset/db")
}

/// A Deployment whose pods mount this volume, beside others.
fn mounted(name: &str, replicas: u32, volume: &Value) -> TestBed {
    let bed = TestBed::with(application("StatefulSet", "other", 9));
    bed.server
        .add_all(application("Deployment", name, replicas));
    let template = json!({ "spec": { "template": { "spec": mounting(volume) } } });
    bed.server.edit(&format!("deployment/{name}"), &template);
    for n in 0..replicas {
        let pod = json!({ "spec": mounting(volume) });
        bed.server.edit(&format!("pod/{name}-{n}"), &pod);
    }
    bed
}

fn names(plan: &Plan) -> Vec<&str> {
    plan.losses.iter().map(|loss| loss.name.as_str()).collect()
}

#[track_caller]
fn uid(bed: &TestBed, claim: &str) -> Value {
    let claim = bed.server.get(&format!("persistentvolumeclaim/{claim}"));
    claim.expect("it is there")["metadata"]["uid"].clone()
}

#[tokio::test(start_paused = true)]
async fn claims_that_are_deleted_when_a_set_is_scaled_refuse_it_whatever_is_overridden() {
    for name in ["storage-failure", "scale-down"] {
        let bed = set(3, "Delete");
        let before = uid(&bed, "data-db-2");
        let ended = run(&bed, name, &db()).await;
        assert_eq!(ended.exit, Exit::Refused, "{name}: {:#}", ended.record);
        assert!(
            ended.reason().starts_with("limit.loss fail"),
            "{}",
            ended.reason()
        );
        assert!(
            ended.reason().contains("lost for good"),
            "{}",
            ended.reason()
        );
        assert_eq!(uid(&bed, "data-db-2"), before);
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_very_claims_that_go_are_named_and_have_to_be_accepted_each() {
    let mut bed = set(3, "Delete");
    let plan = planned(&bed, "scale-down", &db()).await.expect("planned");
    assert_eq!(names(&plan), ["claim/data-db-2"], "the last pod goes");
    assert_eq!(plan.claims.len(), 3, "all have to be there afterwards");
    assert!(needs(
        &plan,
        "get persistentvolumeclaims",
        Some("data-db-0")
    ));
    let plan = planned(&bed, "storage-failure", &db())
        .await
        .expect("planned");
    assert_eq!(refusals(&plan, "limit.loss").len(), 3);
    bed.accepted = vec!["claim/data-db-0".into(), "claim/data-db-7".into()];
    let plan = planned(&bed, "storage-failure", &db())
        .await
        .expect("planned");
    assert_eq!(refusals(&plan, "limit.loss").len(), 2);
    let told = plan
        .checks
        .iter()
        .find(|check| check.object.as_deref() == Some("claim/data-db-7"));
    assert_eq!(
        told.expect("it is told").status,
        Status::Warn,
        "nothing of that name goes"
    );
}

#[tokio::test(start_paused = true)]
async fn an_accepted_claim_is_in_the_record_and_is_never_a_pass() {
    let mut bed = set(2, "Delete");
    bed.accepted = vec!["claim/data-db-1".into()];
    let ended = run(&bed, "scale-down", &db()).await;
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    assert_eq!(ended.verdict, "fail", "{:#}", ended.record);
    let loss = &ended.record["losses"][0];
    assert_eq!(
        (&loss["name"], &loss["accepted"]),
        (&json!("claim/data-db-1"), &json!(true))
    );
    assert!(
        ended.record["issues"]
            .to_string()
            .contains("is another one than before")
    );
}

#[tokio::test(start_paused = true)]
async fn a_set_that_keeps_its_claims_passes_with_the_same_ones() {
    let bed = set(2, "Retain");
    let ended = run(&bed, "scale-down", &db()).await;
    assert_eq!(ended.verdict, "pass", "{:#}", ended.record);
    assert_eq!(ended.check("scale-down.claims"), Some("pass"));
    assert_eq!(ended.record["losses"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_is_made_anew_against_expectation_is_not_restored() {
    for name in ["storage-failure", "scale-down", "pod-failure"] {
        let bed = set(2, "Retain");
        for n in 0..2 {
            let volume =
                json!({ "persistentVolumeClaim": { "claimName": format!("data-db-{n}") } });
            bed.server.edit(
                &format!("pod/db-{n}"),
                &json!({ "spec": mounting(&volume) }),
            );
        }
        let server = bed.server.clone();
        tokio::spawn(async move {
            sleep(Duration::from_secs(1)).await;
            // As an operator does that owns both.
            while server.names("lease").is_empty() {
                sleep(Duration::from_millis(10)).await;
            }
            for n in 0..2 {
                server.remove(&format!("persistentvolumeclaim/data-db-{n}"));
                server.add(bound_claim(&format!("data-db-{n}"), "pv-new"));
            }
        });
        let ended = run(&bed, name, &db()).await;
        assert_eq!(ended.exit, Exit::NotRestored, "{name}: {:#}", ended.record);
        assert!(
            ended.reason().contains("is another one than before"),
            "{}",
            ended.reason()
        );
        assert_eq!(ended.record["losses"][0]["accepted"], false, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_goes_with_its_pod_or_is_deleted_already_refuses_the_fault() {
    let pod =
        json!([{ "apiVersion": "v1", "kind": "Pod", "name": "shop-0", "uid": "pod-shop-0-uid" }]);
    let owned = json!({ "metadata": { "ownerReferences": pod } });
    let going = json!({ "metadata": { "deletionTimestamp": "2026-11-22T16:00:00Z" } });
    for (patch, why) in [
        (owned, "belongs to pod shop-0"),
        (going, "was deleted already"),
    ] {
        let claim = json!({ "persistentVolumeClaim": { "claimName": "own" } });
        let bed = mounted("shop", 2, &claim);
        bed.server.add(with(bound_claim("own", "pv"), &patch));
        let plan = planned(&bed, "pod-failure", &of("shop"))
            .await
            .expect("planned");
        let refused = refusals(&plan, "limit.loss");
        assert!(
            refused.len() == 1 && refused[0].contains(why),
            "{refused:?}"
        );
    }
}

/// Monitoring whose Prometheus keeps what it collects in this volume.
fn monitored(volume: &Value) -> TestBed {
    let mut bed = mounted("prom", 1, volume);
    bed.config = MONITORING.to_owned();
    bed
}

#[tokio::test(start_paused = true)]
async fn what_monitoring_collected_is_lost_only_with_consent_to_exactly_that() {
    let empty = json!({ "emptyDir": {} });
    let nothing = Selection::default();
    let bed = monitored(&empty);
    let plan = planned(&bed, "monitoring-failure", &nothing)
        .await
        .expect("planned");
    assert_eq!(names(&plan), ["deployment/prom/data"]);
    assert_eq!(
        refusals(&plan, ""),
        [""; 0],
        "the plan tells, and the run asks"
    );
    let ended = run(&bed, "monitoring-failure", &nothing).await;
    assert_eq!(
        ended.exit,
        Exit::Refused,
        "an override is no consent: {:#}",
        ended.record
    );
    assert!(
        ended.reason().starts_with("gate.loss"),
        "{}",
        ended.reason()
    );
    let mut bed = monitored(&empty);
    bed.accepted = vec!["deployment/prom".into()];
    let ended = run(&bed, "monitoring-failure", &nothing).await;
    assert_eq!(ended.exit, Exit::Refused, "another name is none either");
}

#[tokio::test(start_paused = true)]
async fn what_monitoring_lost_is_in_the_record_and_among_its_issues() {
    let mut bed = monitored(&json!({ "emptyDir": {} }));
    bed.accepted = vec!["deployment/prom/data".into()];
    let ended = run(&bed, "monitoring-failure", &Selection::default()).await;
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    assert_eq!(ended.check("monitoring-failure.lost"), Some("warn"));
    assert_eq!(ended.record["losses"][0]["name"], "deployment/prom/data");
    let issues = ended.record["issues"].to_string();
    assert!(
        issues.contains("lost: volume data of the pods of deployment/prom"),
        "{issues}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_front_end_with_an_empty_dir_needs_no_consent_and_the_plan_tells_of_it() {
    for name in ["pod-failure", "scale-down"] {
        let bed = mounted("shop", 3, &json!({ "emptyDir": {} }));
        let plan = planned(&bed, name, &of("shop")).await.expect("planned");
        let told = plan.checks.iter().find(|check| check.id == "limit.loss");
        assert_eq!(told.expect("it is told").status, Status::Pass, "{name}");
        let ended = run(&bed, name, &of("shop")).await;
        assert_eq!(ended.verdict, "pass", "{name}: {:#}", ended.record);
        assert_eq!(ended.record["losses"], Value::Null);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_of_a_set_without_claims_takes_its_data_with_it() {
    let bed = TestBed::with(application("StatefulSet", "cache", 3));
    let pod = json!({ "spec": mounting(&json!({ "emptyDir": {} })) });
    bed.server.edit("pod/cache-0", &pod);
    let ended = run(&bed, "pod-failure", &workload_named("statefulset/cache")).await;
    assert_eq!(ended.exit, Exit::Refused, "{:#}", ended.record);
    assert!(
        ended.reason().contains("statefulset/cache"),
        "{}",
        ended.reason()
    );
}

#[tokio::test(start_paused = true)]
async fn a_volume_that_is_a_folder_of_any_node_is_told_in_the_plan() {
    let bed = set(2, "Retain");
    let volume = json!({
        "metadata": { "name": "pv-before" },
        "spec": { "hostPath": { "path": "/srv/db" } },
    });
    let path = "/api/v1/persistentvolumes/pv-before";
    let add = move |store: &mut crate::testing::store::Store| {
        let there = store.get(path).is_ok();
        if !there {
            store.create(path, volume.clone()).expect("it is new");
        }
    };
    bed.server
        .always("GET persistentvolumes", Behaviour::After(Box::new(add)));
    let plan = planned(&bed, "scale-down", &db()).await.expect("planned");
    let told = plan.checks.iter().find(|check| check.id == "limit.loss");
    let told = told.expect("it is told");
    assert_eq!(told.status, Status::Warn);
    assert!(told.message.contains("/srv/db"), "{}", told.message);
}
