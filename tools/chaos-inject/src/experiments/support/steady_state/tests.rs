use serde_json::json;
use tokio::time::sleep;

use super::*;
use crate::testing::application::{HASH, application, owned_pod, with};
use crate::testing::objects;
use crate::testing::test_bed::TestBed;
use crate::testing::{ApiServer, Behaviour};

const LIMIT: Duration = Duration::from_secs(30);
const SERVICE: &str =
    "[[service]]\nname = \"front\"\nport = 80\nhealth = \"/health\"\nvantage = \"api-proxy\"\n";

/// A shop of two pods, of which a plan affects these Services, and what is awaited of it.
async fn shop(affected: &[&str]) -> (ApiServer, Context, SteadyState) {
    let mut bed = TestBed::with(application("Deployment", "shop", 2));
    bed.config = SERVICE.to_owned();
    bed.server.answer("front", 200, "ok");
    let context = bed.context();
    let mut plan = objects::plan(&[], &["shop"]);
    plan.affected = affected.iter().map(ToString::to_string).collect();
    let shop = Workload::read(&context, &context.namespace, "deployment/shop").await;
    let steady = SteadyState::watch(&context, &plan, &[shop.expect("it is there")]).await;
    (bed.server, context, steady.expect("watched"))
}

/// Somebody does this after ten seconds.
fn later(server: &ApiServer, act: impl FnOnce(&ApiServer) + Send + 'static) {
    let server = server.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(10)).await;
        act(&server);
    });
}

#[track_caller]
fn missing(recovery: Recovery) -> (String, String) {
    match recovery {
        Recovery::NotRecovered { what, hint } => (what, hint),
        other => panic!("something is missing, and not seen: {other:?}"),
    }
}

#[track_caller]
fn unseen(recovery: Recovery) -> String {
    match recovery {
        Recovery::Unseen(why) => why,
        other => panic!("it can't be seen: {other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_as_it_was_is_not_waited_for() {
    let (_server, context, mut steady) = shop(&[]).await;
    let began = Instant::now();
    assert_eq!(steady.wait(&context, LIMIT).await, Recovery::SteadyState);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_missing_is_waited_for_and_named_with_what_to_type() {
    let (server, context, mut steady) = shop(&[]).await;
    server.remove("pod/shop-0");
    let began = Instant::now();
    let (what, hint) = missing(steady.wait(&context, LIMIT).await);
    assert!(began.elapsed() >= LIMIT);
    assert_eq!(
        what,
        "deployment/shop has not 2 ready pods and no other: pod shop-1 is ready after 30 s"
    );
    assert_eq!(hint, "kubectl get pods,events -n prod");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_comes_back_in_time_ends_the_wait() {
    let (server, context, mut steady) = shop(&[]).await;
    let pod = server.get("pod/shop-0").expect("it is there");
    server.remove("pod/shop-0");
    later(&server, move |server| {
        let mut new = pod;
        new["metadata"]["name"] = json!("shop-9");
        new["metadata"]["uid"] = json!("new");
        new["metadata"]["resourceVersion"] = json!(null);
        server.add(new);
    });
    assert_eq!(steady.wait(&context, LIMIT).await, Recovery::SteadyState);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_is_still_on_its_way_out_is_no_steady_state() {
    let (server, context, mut steady) = shop(&[]).await;
    server.edit(
        "pod/shop-0",
        &json!({ "metadata": { "finalizers": ["x/y"] } }),
    );
    server.remove("pod/shop-0");
    let (what, _) = missing(steady.wait(&context, LIMIT).await);
    assert!(what.contains("pod shop-0 is on its way out"), "{what}");
}

#[tokio::test(start_paused = true)]
async fn the_count_that_somebody_else_set_meanwhile_is_what_has_to_be_there() {
    let (server, context, mut steady) = shop(&[]).await;
    server.edit("deployment/shop", &json!({ "spec": { "replicas": 1 } }));
    let (what, _) = missing(steady.wait(&context, LIMIT).await);
    assert!(what.contains("has not 1 ready pods"), "{what}");
    later(&server, |server| server.remove("pod/shop-1"));
    assert_eq!(steady.wait(&context, LIMIT).await, Recovery::SteadyState);
}

#[tokio::test(start_paused = true)]
async fn the_count_of_before_is_awaited_where_the_workload_can_not_be_read() {
    let (server, context, mut steady) = shop(&[]).await;
    server.always("GET deployments/shop", Behaviour::Status(403));
    assert_eq!(steady.wait(&context, LIMIT).await, Recovery::SteadyState);
    server.remove("pod/shop-1");
    let (what, _) = missing(steady.wait(&context, LIMIT).await);
    assert!(what.contains("has not 2 ready pods"), "{what}");
}

#[tokio::test(start_paused = true)]
async fn an_affected_service_has_to_answer_again() {
    let (server, context, mut steady) = shop(&["front"]).await;
    server.answer("front", 500, "no");
    let (what, _) = missing(steady.wait(&context, LIMIT).await);
    let answer = "http://front.prod:80/health answers with status 500";
    assert!(what.starts_with(answer), "{what}");
    later(&server, |server| server.answer("front", 200, "ok"));
    assert_eq!(steady.wait(&context, LIMIT).await, Recovery::SteadyState);
}

#[tokio::test(start_paused = true)]
async fn a_service_without_any_answer_is_told_apart_from_one_with_a_bad_one() {
    let (server, context, mut steady) = shop(&["front"]).await;
    server.answers_no_more("front");
    let (what, _) = missing(steady.wait(&context, LIMIT).await);
    assert!(
        what.contains("http://front.prod:80/health does not answer"),
        "{what}"
    );
    // The API server's own refusal on the way is no answer of the Service.
    server.always("GET services/front", Behaviour::Status(503));
    let why = unseen(steady.wait(&context, LIMIT).await);
    assert!(why.contains("/health can't be asked"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_the_fault_did_not_affect_is_not_asked() {
    let (server, context, mut steady) = shop(&[]).await;
    assert_eq!(steady.wait(&context, LIMIT).await, Recovery::SteadyState);
    let asked = server.calls().iter().any(|call| call.contains("proxy"));
    assert!(!asked, "{:?}", server.calls());
}

#[tokio::test(start_paused = true)]
async fn all_that_is_missing_is_said_at_once() {
    let (server, context, mut steady) = shop(&["front"]).await;
    server.remove("pod/shop-0");
    server.answer("front", 500, "no");
    let began = Instant::now();
    let (what, _) = missing(steady.wait(&context, LIMIT).await);
    assert!(
        what.contains("ready pods") && what.contains("status 500"),
        "{what}"
    );
    assert!(began.elapsed() < LIMIT * 2, "one limit holds for all");
}

#[tokio::test(start_paused = true)]
async fn pods_that_nobody_can_see_any_more_are_not_said_to_be_missing() {
    let (server, context, mut steady) = shop(&[]).await;
    server.always("GET pods", Behaviour::NoConnection);
    server.break_watches(false);
    let why = unseen(steady.wait(&context, LIMIT).await);
    assert!(why.contains("can't be seen any more"), "{why}");
    assert!(why.contains("pod shop-0 is ready"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn what_happened_while_a_watch_was_broken_counts_when_it_is_back() {
    let (server, context, mut steady) = shop(&[]).await;
    server.always("GET pods", Behaviour::Status(500));
    server.break_watches(false);
    // It was ready when it was last seen, and is gone.
    server.remove("pod/shop-0");
    let mend = server.clone();
    later(&server, move |_| mend.mend());
    let (what, _) = missing(steady.wait(&context, LIMIT).await);
    assert!(what.contains("has not 2 ready pods"), "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_can_not_be_asked_is_asked_in_another_way() {
    let mut bed = TestBed::with(application("Deployment", "shop", 2));
    bed.config = SERVICE.replace("api-proxy", "exec:deployment/gone");
    bed.server.answer("front", 200, "ok");
    let context = bed.context();
    let asked = Asked {
        endpoint: Endpoint::of_service(&context.config.services[0], "prod"),
        path: "/health".to_owned(),
        expect: Expectation::default(),
        before: Ok(()),
    };
    let deadline = Instant::now() + LIMIT;
    assert!(asked.await_answer(&context, deadline).await.is_none());
    bed.server.answer("front", 500, "no");
    let deadline = Instant::now() + LIMIT;
    let lack = asked.await_answer(&context, deadline).await;
    assert!(matches!(lack, Some(Lack::Unseen(_))), "{lack:?}");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_did_not_answer_before_is_not_waited_for_and_not_known() {
    let mut bed = TestBed::with(application("Deployment", "shop", 2));
    bed.config = SERVICE.to_owned();
    let context = bed.context();
    let mut plan = objects::plan(&[], &["shop"]);
    plan.affected = vec!["front".to_owned()];
    let shop = Workload::read(&context, &context.namespace, "deployment/shop").await;
    let steady = SteadyState::watch(&context, &plan, &[shop.expect("it is there")]).await;
    let began = Instant::now();
    let why = unseen(steady.expect("watched").wait(&context, LIMIT).await);
    assert!(began.elapsed() < LIMIT / 2);
    assert!(why.contains("and before the fault:"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn the_configured_status_is_the_good_one() {
    for status in [302, 401] {
        let mut bed = TestBed::with(application("Deployment", "shop", 2));
        bed.config = format!("{SERVICE}expect = {{ status = {status} }}\n");
        bed.server.answer("front", status, "");
        let context = bed.context();
        let mut plan = objects::plan(&[], &["shop"]);
        plan.affected = vec!["front".to_owned()];
        let shop = Workload::read(&context, &context.namespace, "deployment/shop").await;
        let steady = SteadyState::watch(&context, &plan, &[shop.expect("it is there")]).await;
        let recovery = steady.expect("watched").wait(&context, LIMIT).await;
        assert_eq!(recovery, Recovery::SteadyState, "{status}");
    }
}
/// Pods that bear the shop's label without being its own: a canary's, a copy for debugging, and one
/// of its own that was evicted.
fn add_others(server: &ApiServer) {
    server.add(objects::replica_set("canary-5d8f"));
    server.add(owned_pod("canary-0", "shop", ("ReplicaSet", "canary-5d8f")));
    let copy = json!({ "metadata": { "ownerReferences": null } });
    server.add(with(objects::pod("copy", "shop", true), &copy));
    let owner = format!("shop-{HASH}");
    let evicted = json!({ "status": { "phase": "Failed", "reason": "Evicted" } });
    server.add(with(
        owned_pod("evicted", "shop", ("ReplicaSet", &owner)),
        &evicted,
    ));
}

#[tokio::test(start_paused = true)]
async fn pods_with_the_same_labels_are_counted_by_their_owner() {
    let (server, context, mut steady) = shop(&[]).await;
    add_others(&server);
    assert_eq!(steady.wait(&context, LIMIT).await, Recovery::SteadyState);
    server.remove("pod/shop-0");
    let (what, _) = missing(steady.wait(&context, LIMIT).await);
    assert!(
        what.contains("has not 2 ready pods"),
        "a canary is no replacement: {what}"
    );
    assert!(!what.contains("canary"), "{what}");
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_others_took_meanwhile_is_named_by_the_condition_of_the_controller() {
    for object in ["deployment/shop", "replicaset/shop-5d8f"] {
        let (server, context, mut steady) = shop(&[]).await;
        server.remove("pod/shop-0");
        let condition = json!({
            "type": "ReplicaFailure", "status": "True", "reason": "FailedCreate",
            "message": "pods \"shop-x\" is forbidden: exceeded quota: pods",
        });
        let owner = json!([{ "apiVersion": "apps/v1", "kind": "Deployment", "name": "shop",
            "uid": objects::uid("deployment", "shop") }]);
        server.edit(
            "replicaset/shop-5d8f",
            &json!({ "metadata": { "ownerReferences": owner } }),
        );
        server.edit(
            object,
            &json!({ "status": { "replicas": 1, "conditions": [condition] } }),
        );
        let (what, _) = missing(steady.wait(&context, LIMIT).await);
        let cause =
            "deployment/shop may not make its pods: FailedCreate: pods \"shop-x\" is forbidden";
        assert!(what.starts_with(cause), "{object}: {what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_namespace_or_a_workload_that_somebody_deleted_is_named_as_the_cause() {
    let (server, context, mut steady) = shop(&[]).await;
    server.remove("deployment/shop");
    server.remove("pod/shop-0");
    let (what, _) = missing(steady.wait(&context, LIMIT).await);
    assert!(
        what.starts_with("deployment/shop is gone: somebody deleted it"),
        "{what}"
    );
    let (server, context, mut steady) = shop(&[]).await;
    server.delete_namespace();
    let (what, _) = missing(steady.wait(&context, LIMIT).await);
    assert!(
        what.starts_with("namespace prod is being deleted"),
        "{what}"
    );
}
