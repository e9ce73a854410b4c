use super::*;
use serde_json::json;

use crate::testing::objects::{
    RUN, create_policy, delete_pod, deployment, network_policy, pod, replica_set, scale_to_zero,
    uid,
};
use crate::testing::patch::merge;
use crate::testing::{ApiServer, Behaviour};

const SHOP: &str = "deployment/shop";
const PATCH: &str = "PATCH deployments/shop";

fn shop() -> ApiServer {
    ApiServer::with([deployment("shop", 3)])
}

fn replicas(server: &ApiServer) -> Value {
    server.get(SHOP).expect("it exists")["spec"]["replicas"].clone()
}

fn label(server: &ApiServer) -> Value {
    server.get(SHOP).expect("it exists")["metadata"]["labels"][crate::labels::RUN_LABEL].clone()
}

/// Somebody else patches the Deployment right before our next write arrives.
fn meddle(server: &ApiServer, patch: Value) {
    let deployment = "/apis/apps/v1/namespaces/prod/deployments/shop";
    let act = Box::new(move |store: &mut crate::testing::store::Store| {
        let edited = store.update(deployment, |object| merge(object, &patch));
        edited.expect("it exists");
    });
    server.script(PATCH, 1, Behaviour::After(act));
}

fn in_seconds(seconds: u64) -> Instant {
    Instant::now() + Duration::from_secs(seconds)
}

fn owner() -> Owner {
    Owner {
        name: "lease".into(),
        uid: "lease-uid".into(),
    }
}

async fn apply_to(server: &ApiServer, change: &Change) -> Result<Applied, NotApplied> {
    apply(&server.cluster(), change, RUN, &owner(), in_seconds(15)).await
}

/// For ten seconds, and nobody hears of refusals.
fn how(fence: bool) -> Undo<'static> {
    Undo {
        fence,
        deadline: in_seconds(10),
        refused: &|_| {},
    }
}

async fn undo_in(server: &ApiServer, change: &Change) -> Result<Option<String>, NotUndone> {
    let undone = undo(&server.cluster(), change, RUN, how(false)).await;
    undone.map(|note| note.map(|note| note.text))
}

/// The shop, scaled to zero by our run.
async fn scaled() -> ApiServer {
    let server = shop();
    apply_to(&server, &scale_to_zero("shop", 3))
        .await
        .expect("applied");
    server
}

#[tokio::test(start_paused = true)]
async fn a_change_is_written_once_with_the_label_of_its_run() {
    let server = scaled().await;
    assert_eq!((replicas(&server), label(&server)), (json!(0), json!(RUN)));
    assert_eq!(server.writes(), [PATCH]);
}

#[tokio::test(start_paused = true)]
async fn a_value_that_somebody_changes_meanwhile_is_not_overwritten() {
    let server = shop();
    meddle(&server, json!({ "spec": { "replicas": 5 } }));
    let error = apply_to(&server, &scale_to_zero("shop", 3))
        .await
        .expect_err("refused");
    assert!(error.why.contains("somebody changes it"), "{}", error.why);
    assert!(error.maybe_applied.is_none());
    assert_eq!((replicas(&server), label(&server)), (json!(5), Value::Null));
}

#[tokio::test(start_paused = true)]
async fn a_change_of_another_field_meanwhile_only_takes_a_second_look() {
    let server = shop();
    meddle(
        &server,
        json!({ "metadata": { "labels": { "team": "a" } } }),
    );
    let applied = apply_to(&server, &scale_to_zero("shop", 3))
        .await
        .expect("applied");
    assert!(
        !applied.uncertain,
        "a refused write is surely not carried out"
    );
    assert_eq!(server.writes(), [PATCH, PATCH]);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_is_not_made_twice() {
    let server = shop();
    server.script(PATCH, 1, Behaviour::AnswerLost);
    let applied = apply_to(&server, &scale_to_zero("shop", 3))
        .await
        .expect("applied");
    assert!(!applied.uncertain, "the look after it shows it");
    assert_eq!(server.writes(), [PATCH]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_lost_may_still_be_on_its_way() {
    let server = shop();
    server.script(PATCH, 1, Behaviour::Lost);
    let applied = apply_to(&server, &scale_to_zero("shop", 3))
        .await
        .expect("applied");
    assert!(applied.uncertain);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_not_permitted_is_not_tried_again() {
    let server = shop();
    server.always(PATCH, Behaviour::Status(403));
    let error = apply_to(&server, &scale_to_zero("shop", 3))
        .await
        .expect_err("refused");
    assert!(error.maybe_applied.is_none());
    assert_eq!(server.writes(), [PATCH]);
}

#[tokio::test(start_paused = true)]
async fn after_a_server_error_until_the_deadline_the_change_may_be_applied() {
    let server = shop();
    server.always(PATCH, Behaviour::Status(500));
    let error = apply_to(&server, &scale_to_zero("shop", 3))
        .await
        .expect_err("no success");
    assert!(error.maybe_applied.is_some());
}

#[tokio::test(start_paused = true)]
async fn throttling_and_outages_are_waited_out() {
    let server = shop();
    server.script(PATCH, 2, Behaviour::Status(429));
    server.script("GET deployments", 2, Behaviour::NoConnection);
    apply_to(&server, &scale_to_zero("shop", 3))
        .await
        .expect("applied");
    assert_eq!(replicas(&server), json!(0));
}

#[tokio::test(start_paused = true)]
async fn another_pod_of_the_same_name_is_not_deleted() {
    let mut other = pod("a", "shop", true);
    other["metadata"]["uid"] = "another".into();
    let server = ApiServer::with([replica_set("shop"), other]);
    let error = apply_to(&server, &delete_pod("a"))
        .await
        .expect_err("its pod is gone");
    assert!(
        error.why.contains("somebody else took it away"),
        "{}",
        error.why
    );
    assert!(error.maybe_applied.is_none());
    assert_eq!(server.names("pod"), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn the_pod_of_the_plan_is_deleted_by_its_uid() {
    let server = ApiServer::with([replica_set("shop"), pod("a", "shop", true)]);
    apply_to(&server, &delete_pod("a")).await.expect("deleted");
    assert_eq!(server.names("pod"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_object_that_exists_is_not_taken_for_ours() {
    let server = ApiServer::with([network_policy("cut")]);
    let error = apply_to(&server, &create_policy("cut"))
        .await
        .expect_err("refused");
    assert!(error.why.contains("is not of this run"), "{}", error.why);
    assert_eq!(
        undo_in(&server, &create_policy("cut"))
            .await
            .map(|note| note.is_some()),
        Ok(true)
    );
    assert_eq!(server.names("networkpolicy"), ["cut"]);
}

#[tokio::test(start_paused = true)]
async fn an_object_whose_lease_is_gone_does_not_stay() {
    let server = ApiServer::default();
    apply_to(&server, &create_policy("cut"))
        .await
        .expect("created");
    assert_eq!(
        server.names("networkpolicy"),
        [""; 0],
        "garbage without its owner"
    );
}

#[tokio::test(start_paused = true)]
async fn an_undo_restores_the_value_and_takes_the_label_away() {
    let server = scaled().await;
    assert_eq!(undo_in(&server, &scale_to_zero("shop", 3)).await, Ok(None));
    assert_eq!((replicas(&server), label(&server)), (json!(3), Value::Null));
}

#[tokio::test(start_paused = true)]
async fn an_undo_does_not_overwrite_what_somebody_else_set() {
    let server = scaled().await;
    server.edit(SHOP, &json!({ "spec": { "replicas": 5 } }));
    let note = undo_in(&server, &scale_to_zero("shop", 3))
        .await
        .expect("done");
    assert!(
        note.expect("it says so")
            .contains("which somebody else set")
    );
    assert_eq!((replicas(&server), label(&server)), (json!(5), Value::Null));
}

#[tokio::test(start_paused = true)]
async fn an_undo_does_not_overwrite_what_changes_between_its_look_and_its_write() {
    let server = scaled().await;
    meddle(&server, json!({ "spec": { "replicas": 5 } }));
    undo_in(&server, &scale_to_zero("shop", 3))
        .await
        .expect("done");
    assert_eq!((replicas(&server), label(&server)), (json!(5), Value::Null));
}

/// The shop is deleted, and made anew from what it was a moment ago.
fn replace(server: &ApiServer, patch: &Value) {
    let mut export = server.get(SHOP).expect("it exists");
    server.remove(SHOP);
    export["metadata"]["managedFields"] = Value::Null;
    export["metadata"]["resourceVersion"] = Value::Null;
    export["metadata"]["uid"] = "another".into();
    merge(&mut export, patch);
    server.add(export);
}

#[tokio::test(start_paused = true)]
async fn an_undo_puts_an_object_right_that_was_made_anew_from_a_live_export() {
    let server = scaled().await;
    replace(&server, &json!({}));
    assert_eq!(undo_in(&server, &scale_to_zero("shop", 3)).await, Ok(None));
    assert_eq!((replicas(&server), label(&server)), (json!(3), Value::Null));
}

#[tokio::test(start_paused = true)]
async fn an_object_that_was_made_anew_as_under_the_fault_is_not_undone() {
    let server = scaled().await;
    replace(&server, &json!({ "metadata": { "labels": null } }));
    let began = Instant::now();
    let error = undo_in(&server, &scale_to_zero("shop", 3))
        .await
        .expect_err("nobody knows what is right");
    assert!(error.to_string().contains("was made anew"), "{error}");
    assert!(
        began.elapsed() < Duration::from_secs(1),
        "waiting does not help"
    );
}

#[tokio::test(start_paused = true)]
async fn our_value_is_undone_though_somebody_took_our_label_off() {
    let server = scaled().await;
    let off = json!({ "metadata": { "labels": { crate::labels::RUN_LABEL: null } } });
    server.edit(SHOP, &off);
    assert_eq!(undo_in(&server, &scale_to_zero("shop", 3)).await, Ok(None));
    assert_eq!(replicas(&server), json!(3));
}

#[tokio::test(start_paused = true)]
async fn an_object_of_ours_is_deleted_though_somebody_took_our_label_off() {
    let server = ApiServer::with([deployment("lease", 1)]);
    let owner = Owner {
        name: "lease".into(),
        uid: uid("deployment", "lease"),
    };
    let change = create_policy("cut");
    let applied = apply(&server.cluster(), &change, RUN, &owner, in_seconds(15)).await;
    applied.expect("applied");
    server.edit(
        "networkpolicy/cut",
        &json!({ "metadata": { "labels": null } }),
    );
    assert_eq!(undo_in(&server, &change).await, Ok(None));
    assert_eq!(server.names("networkpolicy"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_undo_is_not_done_before_the_cluster_shows_it() {
    let server = scaled().await;
    server.always(PATCH, Behaviour::Ignored);
    let error = undo_in(&server, &scale_to_zero("shop", 3))
        .await
        .expect_err("the answers say that it is done, the object does not");
    assert!(
        error.to_string().contains("still shows the fault"),
        "{error}"
    );
    assert!(server.writes().len() < 50, "with pauses between them");
}

#[tokio::test(start_paused = true)]
async fn an_undo_waits_out_an_api_server_that_is_away() {
    let server = scaled().await;
    server.script("GET deployments", 5, Behaviour::NoConnection);
    server.script(PATCH, 2, Behaviour::Status(503));
    assert_eq!(undo_in(&server, &scale_to_zero("shop", 3)).await, Ok(None));
    assert_eq!(replicas(&server), json!(3));
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_does_not_come_about_says_what_stands_in_its_way() {
    let server = scaled().await;
    server.always(PATCH, Behaviour::Status(403));
    let error = undo_in(&server, &scale_to_zero("shop", 3))
        .await
        .expect_err("not undone");
    assert!(error.to_string().contains("403"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_object_that_a_finalizer_holds_is_not_gone() {
    let mut held = network_policy("cut");
    held["metadata"]["labels"] = json!({ crate::labels::RUN_LABEL: RUN });
    held["metadata"]["finalizers"] = json!(["example.com/hold"]);
    let server = ApiServer::with([held]);
    let error = undo_in(&server, &create_policy("cut"))
        .await
        .expect_err("it stays");
    assert!(error.to_string().contains("finalizer"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_fence_turns_away_a_write_that_is_still_on_its_way() {
    let server = shop();
    let before = server.get(SHOP).expect("it exists");
    undo(&server.cluster(), &scale_to_zero("shop", 3), RUN, how(true))
        .await
        .expect("nothing to undo");
    let after = server.get(SHOP).expect("it exists");
    let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
    assert_ne!(version(&before), version(&after));
    let late = json!({
        "metadata": { "uid": uid("deployment", "shop"), "resourceVersion": version(&before) },
        "spec": { "replicas": 0 },
    });
    let error = write(
        &server.cluster(),
        scale_to_zero("shop", 3).object(),
        &Step::Patch(late),
    )
    .await
    .expect_err("too late");
    assert!(is_stale(&error));
    assert_eq!((replicas(&server), label(&server)), (json!(3), Value::Null));
}
