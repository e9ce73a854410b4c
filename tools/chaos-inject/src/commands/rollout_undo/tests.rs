//! The runbook's rollback, against an API server in memory.

use serde_json::{Value, json};

use super::*;
use crate::testing::application::{with, workload};
use crate::testing::objects::{NAMESPACE, uid};
use crate::testing::store::Store;
use crate::testing::test_bed::{Ended, TestBed};
use crate::testing::{ApiServer, Behaviour};

const CONFIG: &str = "[[workload]]\nname = \"shop\"\n[[workload]]\nname = \"api\"\n";
const PUT: &str = "PUT deployments/shop";

fn emergency() -> Args {
    Args {
        yes: true,
        dry_run: false,
        emergency: true,
    }
}

fn in_order() -> Args {
    Args {
        emergency: false,
        ..emergency()
    }
}

/// A Deployment at this revision, whose pods run the image `NAME:REVISION`.
fn at_revision(name: &str, revision: u32) -> Value {
    let patch = json!({
        "metadata": { "annotations": { REVISION: revision.to_string() } },
        "spec": { "template": template(name, revision) },
    });
    with(workload("Deployment", name, 2), &patch)
}

fn template(name: &str, revision: u32) -> Value {
    let container = json!({ "name": "main", "image": format!("{name}:{revision}") });
    json!({ "metadata": { "labels": { "app": name } }, "spec": { "containers": [container] } })
}

/// The ReplicaSet that a Deployment has for one of its revisions.
fn replica_set(name: &str, revision: u32) -> Value {
    let mut template = template(name, revision);
    template["metadata"]["labels"][HASH] = format!("h{revision}").into();
    json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {
            "name": format!("{name}-h{revision}"), "namespace": NAMESPACE,
            "annotations": { REVISION: revision.to_string() },
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "Deployment", "name": name, "controller": true,
                "uid": uid("deployment", name),
            }],
        },
        "spec": { "selector": { "matchLabels": { "app": name } }, "template": template },
    })
}

/// A Deployment that has had revisions up to this one.
fn with_history(name: &str, revision: u32) -> Vec<Value> {
    let sets = (1..=revision).map(|one| replica_set(name, one));
    [at_revision(name, revision)]
        .into_iter()
        .chain(sets)
        .collect()
}

/// A shop at its eleventh revision, and an API at its second.
fn bed() -> TestBed {
    let mut bed = TestBed::with([with_history("shop", 11), with_history("api", 2)].concat());
    bed.config = CONFIG.to_owned();
    bed
}

async fn rolled_back(bed: &TestBed, args: &Args) -> Ended {
    let mut context = bed.context();
    let exit = rollback(&mut context, args).await;
    bed.ended(exit)
}

/// The template that a Deployment has now.
fn template_of(server: &ApiServer, name: &str) -> Value {
    let deployment = server.get(&format!("deployment/{name}"));
    deployment.expect("it exists")["spec"]["template"].clone()
}

fn image_of(server: &ApiServer, name: &str) -> String {
    let template = template_of(server, name);
    let image = &template["spec"]["containers"][0]["image"];
    image.as_str().expect("an image").to_owned()
}

/// What was said of each Deployment.
fn said(ended: &Ended) -> Vec<(String, String)> {
    let checks = ended.record["checks"].as_array().expect("checks");
    let text = |check: &Value, field: &str| check[field].as_str().unwrap_or("").to_owned();
    let of_revisions = checks.iter().filter(|check| check["id"] == ID);
    of_revisions
        .map(|check| (text(check, "status"), text(check, "message")))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn each_gets_the_template_of_its_previous_revision_by_number() {
    for args in [in_order(), emergency()] {
        let bed = bed();
        let ended = rolled_back(&bed, &args).await;
        assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
        // Not of the ninth, which is the last one in the order of letters.
        assert_eq!(image_of(&bed.server, "shop"), "shop:10");
        assert_eq!(image_of(&bed.server, "api"), "api:1");
        assert_eq!(said(&ended)[0].1, "is back at revision 10, and whole");
    }
}

#[tokio::test(start_paused = true)]
async fn the_label_that_tells_replica_sets_apart_does_not_come_with_the_template() {
    let bed = bed();
    rolled_back(&bed, &in_order()).await;
    let labels = template_of(&bed.server, "shop")["metadata"]["labels"].clone();
    assert_eq!(labels, json!({ "app": "shop" }));
}

#[tokio::test(start_paused = true)]
async fn all_else_of_the_deployment_stays_as_it_is() {
    let bed = bed();
    bed.server.edit(
        "deployment/shop",
        &json!({ "spec": { "minReadySeconds": 7 } }),
    );
    rolled_back(&bed, &in_order()).await;
    let spec = bed.server.get("deployment/shop").expect("it exists")["spec"].clone();
    assert_eq!(
        (&spec["minReadySeconds"], &spec["replicas"]),
        (&json!(7), &json!(2))
    );
}

#[tokio::test(start_paused = true)]
async fn a_deployment_without_an_earlier_revision_stays_as_it_is() {
    let mut bed = TestBed::with([with_history("shop", 1), with_history("api", 2)].concat());
    bed.config = CONFIG.to_owned();
    let ended = rolled_back(&bed, &in_order()).await;
    assert_eq!(said(&ended)[0].0, "skipped");
    assert_eq!(image_of(&bed.server, "shop"), "shop:1");
    assert_eq!(bed.server.writes(), ["PUT deployments/api"]);
    assert_eq!(
        image_of(&bed.server, "api"),
        "api:1",
        "the next one goes back all the same"
    );
}

#[tokio::test(start_paused = true)]
async fn replica_sets_of_another_deployment_are_nothing_to_go_back_to() {
    let bed = bed();
    let foreign = json!({ "metadata": { "annotations": { REVISION: "10" } } });
    bed.server.edit("replicaset/api-h1", &foreign);
    bed.server.remove("replicaset/shop-h10");
    rolled_back(&bed, &in_order()).await;
    assert_eq!(image_of(&bed.server, "shop"), "shop:9");
}

#[tokio::test(start_paused = true)]
async fn a_paused_deployment_takes_no_template_and_is_told_at_once() {
    let bed = bed();
    bed.server
        .edit("deployment/shop", &json!({ "spec": { "paused": true } }));
    let began = Instant::now();
    let ended = rolled_back(&bed, &emergency()).await;
    let (status, message) = said(&ended)[0].clone();
    assert_eq!(status, "unknown", "{message}");
    assert!(message.contains("paused"), "{message}");
    assert!(began.elapsed() < LIMIT, "nobody waits for what can't come");
    assert_eq!(image_of(&bed.server, "shop"), "shop:11");
    assert_eq!(image_of(&bed.server, "api"), "api:1");
    assert_eq!(ended.exit, Exit::NotRestored);
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_was_written_in_between_is_read_again() {
    let bed = bed();
    let path = "/apis/apps/v1/namespaces/prod/deployments/shop";
    let somebody = move |store: &mut Store| {
        let edit = |object: &mut Value| object["spec"]["minReadySeconds"] = json!(7);
        store.update(path, edit).expect("it exists");
    };
    bed.server
        .script(PUT, 1, Behaviour::After(Box::new(somebody)));
    let ended = rolled_back(&bed, &in_order()).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    let spec = bed.server.get("deployment/shop").expect("it exists")["spec"].clone();
    assert_eq!(
        spec["minReadySeconds"],
        json!(7),
        "what somebody else wrote stays"
    );
    assert_eq!(image_of(&bed.server, "shop"), "shop:10");
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_written_all_the_time_is_given_up_after_a_while() {
    let bed = bed();
    bed.server.always(PUT, Behaviour::Status(409));
    let ended = rolled_back(&bed, &in_order()).await;
    assert_eq!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
    assert_eq!(image_of(&bed.server, "shop"), "shop:11");
}

#[tokio::test(start_paused = true)]
async fn one_that_fails_stops_the_rollback_in_order_and_not_the_emergency() {
    for (args, api) in [(in_order(), "api:2"), (emergency(), "api:1")] {
        let bed = bed();
        bed.server.always(PUT, Behaviour::Status(403));
        let ended = rolled_back(&bed, &args).await;
        assert_eq!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
        assert_eq!(image_of(&bed.server, "api"), api);
        assert_ne!(ended.verdict, "pass");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_get_whole_is_a_failure_that_says_what_is_missing() {
    let bed = bed();
    bed.server.edit(
        "deployment/shop",
        &json!({ "status": { "readyReplicas": 1 } }),
    );
    let ended = rolled_back(&bed, &in_order()).await;
    let (status, message) = said(&ended)[0].clone();
    assert_eq!(status, "fail");
    assert!(
        message.starts_with("went back to revision 10, but "),
        "{message}"
    );
    assert!(message.ends_with("after 180 s"), "{message}");
    assert_eq!(ended.exit, Exit::NotRestored);
}

#[tokio::test(start_paused = true)]
async fn one_that_gets_whole_only_later_is_waited_for() {
    let bed = bed();
    bed.server.edit(
        "deployment/shop",
        &json!({ "status": { "readyReplicas": 1 } }),
    );
    let server = bed.server.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(60)).await;
        server.edit(
            "deployment/shop",
            &json!({ "status": { "readyReplicas": 2 } }),
        );
    });
    let ended = rolled_back(&bed, &in_order()).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_says_what_it_would_do_and_changes_nothing() {
    let bed = bed();
    let args = Args {
        dry_run: true,
        ..emergency()
    };
    let ended = rolled_back(&bed, &args).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    assert_eq!(said(&ended)[0].1, "would go back to revision 10");
    assert_eq!(bed.server.writes(), [""; 0]);
    assert_eq!(ended.record["dry_run"], json!(true));
}

#[tokio::test(start_paused = true)]
async fn a_deployment_that_is_gone_is_an_error_with_its_name() {
    let bed = bed();
    bed.server.remove("deployment/shop");
    let ended = rolled_back(&bed, &emergency()).await;
    let (status, message) = said(&ended)[0].clone();
    assert_ne!(status, "pass");
    assert!(message.contains("deployment/shop"), "{message}");
    assert_eq!(image_of(&bed.server, "api"), "api:1");
}

#[tokio::test(start_paused = true)]
async fn without_a_configured_deployment_there_is_nothing_to_roll_back() {
    let mut bed = bed();
    bed.config = "[[workload]]\nname = \"db\"\nkind = \"StatefulSet\"\n".to_owned();
    let ended = rolled_back(&bed, &emergency()).await;
    assert_eq!(ended.exit, Exit::Usage);
    assert_eq!(bed.server.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn monitoring_is_rolled_back_after_the_application() {
    let mut bed = bed();
    let system = "{ deployment = \"prom\", service = \"prom\", port = 9090 }";
    bed.config = format!("{CONFIG}[monitoring]\nnamespace = \"mon\"\nprometheus = {system}\n");
    let names: Vec<String> = named(&bed.context())
        .iter()
        .map(|one| format!("{}/{}", one.namespace, one.name))
        .collect();
    assert_eq!(names, ["prod/shop", "prod/api", "mon/prom"]);
}

#[test]
fn the_newest_older_revision_is_the_previous_one() {
    let typed = |value: Value| serde_json::from_value::<ReplicaSet>(value).expect("a set");
    let deployment: Deployment =
        serde_json::from_value(at_revision("shop", 4)).expect("a Deployment");
    let sets = [1, 3, 4].map(|revision| typed(replica_set("shop", revision)));
    let (revision, _) = previous(&deployment, sets.to_vec()).expect("there is one");
    assert_eq!(revision, 3);
    let other = typed(replica_set("api", 2));
    assert!(previous(&deployment, vec![sets[2].clone(), other]).is_none());
}
