use super::*;

use crate::safety::active_runs::ActiveRuns;
use crate::testing::objects::{NAMESPACE, RUN, intent, intent_of, scale_to_zero};
use crate::testing::{ApiServer, Behaviour};

const API: &str = "chaos-deployment-api";
const SHOP: &str = "chaos-deployment-shop";

/// The intent of a run that scales the shop down, and whose blast radius is two Deployments.
fn ours() -> Intent {
    intent(&[scale_to_zero("shop", 3)], &["shop", "api"])
}

fn theirs() -> Intent {
    intent_of("run-2", &[scale_to_zero("shop", 3)], &["shop"])
}

async fn declared() -> ApiServer {
    let server = ApiServer::default();
    ours().declare(&server.cluster()).await.expect("declared");
    server
}

fn lease(server: &ApiServer, name: &str) -> serde_json::Value {
    server.get(&format!("lease/{name}")).expect("it exists")
}

#[tokio::test(start_paused = true)]
async fn each_target_is_locked_by_a_lease_that_says_all_that_an_undo_needs() {
    let server = declared().await;
    assert_eq!(server.names("lease"), [API, SHOP]);
    for kept in [API, SHOP] {
        let server = declared().await;
        server.remove(&format!("lease/{}", if kept == API { SHOP } else { API }));
        let found = ActiveRuns::list(&server.cluster(), &[NAMESPACE.to_owned()]).await;
        let found = found.expect("listed");
        let run = found.runs().remove(RUN).expect("the run");
        let intent = run.intent.expect("its intent");
        assert_eq!(
            intent.changes,
            ours().changes,
            "one Lease is enough: {kept}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_run_on_the_same_target_is_refused_and_leaves_nothing() {
    let server = ApiServer::default();
    theirs().declare(&server.cluster()).await.expect("declared");
    let error = ours().declare(&server.cluster()).await.expect_err("held");
    assert!(matches!(error, DeclareError::Conflict { .. }), "{error:?}");
    assert!(
        error.to_string().contains("run run-2 holds it since"),
        "{error}"
    );
    assert_eq!(
        server.names("lease"),
        [SHOP],
        "ours on the api is gone again"
    );
    assert_eq!(lease(&server, SHOP)["spec"]["holderIdentity"], "run-2");
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_creation_was_not_answered_is_ours_all_the_same() {
    let server = ApiServer::default();
    server.script("POST leases", 1, Behaviour::AnswerLost);
    let owners = ours().declare(&server.cluster()).await.expect("declared");
    assert_eq!(
        owners[NAMESPACE].uid,
        lease(&server, API)["metadata"]["uid"]
    );
    assert_eq!(server.names("lease"), [API, SHOP]);
}

#[tokio::test(start_paused = true)]
async fn a_conflict_with_somebody_elses_write_is_no_lock() {
    let server = ApiServer::default();
    server.script("POST leases", 1, Behaviour::Status(409));
    ours().declare(&server.cluster()).await.expect("declared");
    assert_eq!(server.names("lease"), [API, SHOP]);
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_cannot_be_written_is_an_error_and_leaves_nothing() {
    let server = ApiServer::default();
    let second = |store: &mut crate::testing::store::Store| assert_eq!(store.paths().len(), 0);
    server.script("POST leases", 1, Behaviour::After(Box::new(second)));
    server.always("POST leases", Behaviour::Status(403));
    let error = ours()
        .declare(&server.cluster())
        .await
        .expect_err("forbidden");
    assert!(matches!(error, DeclareError::Write { .. }), "{error:?}");
    assert_eq!(server.names("lease"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_release_deletes_no_lease_of_another_run() {
    let server = ApiServer::default();
    theirs().declare(&server.cluster()).await.expect("declared");
    ours()
        .release(&server.cluster())
        .await
        .expect("nothing is ours");
    assert_eq!(server.names("lease"), [SHOP]);
}

#[tokio::test(start_paused = true)]
async fn a_release_deletes_no_lease_that_another_run_took_in_the_last_moment() {
    let server = declared().await;
    let path = format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{SHOP}");
    let retaken = move |store: &mut crate::testing::store::Store| {
        let mut lease = store.get(&path).expect("ours");
        store
            .delete(&path, &serde_json::Value::Null)
            .expect("ended");
        lease["metadata"]["uid"] = "another".into();
        lease["metadata"]["labels"][RUN_LABEL] = "run-2".into();
        store.create(&path, lease).expect("taken");
    };
    let delete = format!("DELETE leases/{SHOP}");
    server.script(&delete, 1, Behaviour::After(Box::new(retaken)));
    ours()
        .release(&server.cluster())
        .await
        .expect("nothing of ours is left");
    assert_eq!(server.names("lease"), [SHOP], "it is the other run's");
}

#[tokio::test(start_paused = true)]
async fn a_release_goes_on_until_the_api_server_is_back() {
    let server = declared().await;
    server.script("DELETE leases", 8, Behaviour::Status(503));
    ours().release(&server.cluster()).await.expect("released");
    assert_eq!(server.names("lease"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_release_that_is_not_permitted_says_what_to_type() {
    let server = declared().await;
    server.always("DELETE leases", Behaviour::Status(403));
    server.always("PATCH leases", Behaviour::Status(403));
    let error = ours()
        .release(&server.cluster())
        .await
        .expect_err("forbidden");
    let command = format!("kubectl delete lease {SHOP} -n {NAMESPACE}");
    assert!(error.to_string().contains(&command), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_a_policy_forbids_to_delete_is_no_lock_any_more() {
    let server = declared().await;
    server.always("DELETE leases", Behaviour::Status(403));
    ours().release(&server.cluster()).await.expect("disowned");
    assert_eq!(server.names("lease"), [API, SHOP], "they may not go");
    let found = ActiveRuns::list(&server.cluster(), &[NAMESPACE.to_owned()]).await;
    assert_eq!(found.expect("listed").runs().len(), 0);
    let owners = theirs()
        .declare(&server.cluster())
        .await
        .expect("taken over");
    assert_eq!(lease(&server, SHOP)["spec"]["holderIdentity"], "run-2");
    assert_eq!(
        owners[NAMESPACE].uid,
        lease(&server, SHOP)["metadata"]["uid"]
    );
    let error = ours().declare(&server.cluster()).await.expect_err("held");
    assert!(error.to_string().contains("run run-2 holds it"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_run_without_targets_locks_its_namespace() {
    let intent = intent(&[], &[]);
    assert_eq!(
        intent.leases,
        [(NAMESPACE.to_owned(), "chaos-namespace-prod".to_owned())]
    );
}
