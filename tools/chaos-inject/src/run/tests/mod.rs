//! The engine from its gates to its record, with an experiment of which the test says how it goes,
//! against an API server in memory.

use chaos_common::exit::Exit;
use chaos_common::record::{Check, SystemState, Time};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use crate::run::experiment::Effect;
use crate::safety::active_runs::{ActiveRuns, request_abort};
use crate::safety::leases::Attribution;
use crate::safety::lock;
use crate::testing::Behaviour;
use crate::testing::experiment::Stub;
use crate::testing::objects::{NAMESPACE, deployment, intent_of, plan, scale_to_zero};
use crate::testing::test_bed::{Ended, TestBed};

mod availability;
mod rules;
mod undo;

const PATCH: &str = "PATCH deployments/shop";

/// A cluster with two Deployments.
fn bed() -> TestBed {
    TestBed::with([deployment("shop", 3), deployment("db", 1)])
}

/// Scales the shop to zero.
fn stub() -> Stub {
    Stub::of(vec![scale_to_zero("shop", 3)])
}

fn replicas(bed: &TestBed, name: &str) -> Value {
    let object = bed.server.get(&format!("deployment/{name}"));
    object.expect("it exists")["spec"]["replicas"].clone()
}

/// Nothing of the run is left: neither its fault nor its Lease.
#[track_caller]
fn is_restored(bed: &TestBed) {
    assert_eq!(replicas(bed, "shop"), json!(3));
    assert_eq!(bed.server.names("lease"), [""; 0]);
}

#[track_caller]
fn is_refused(bed: &TestBed, ended: &Ended, id: &str) {
    assert_eq!(ended.exit, Exit::Refused, "{:#}", ended.record);
    assert_eq!(ended.record["outcome"], "refused");
    assert!(ended.reason().starts_with(id), "{}", ended.reason());
    let touched = bed
        .server
        .writes()
        .iter()
        .any(|call| call.starts_with(PATCH));
    assert!(!touched, "nothing is touched: {:?}", bed.server.writes());
}

/// Does something in the cluster while the fault is on.
fn during_the_fault(bed: &TestBed, act: impl AsyncFnOnce(crate::testing::ApiServer) + 'static) {
    let server = bed.server.clone();
    tokio::task::spawn_local(async move {
        sleep(Duration::from_secs(15)).await;
        act(server).await;
    });
}

async fn in_local_set<T>(test: impl Future<Output = T>) -> T {
    tokio::task::LocalSet::new().run_until(test).await
}

#[tokio::test(start_paused = true)]
async fn a_run_goes_from_intent_to_fault_to_effect_to_undo_to_recovery() {
    let bed = bed();
    let ended = bed.run(stub()).await;
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    let order = [
        "prepare",
        "prove effect",
        "before rollback",
        "applied deployment/shop",
        "await steady state",
        "confirm steady state",
        "judge",
    ];
    assert_eq!(ended.log, order);
    is_restored(&bed);
}

#[tokio::test(start_paused = true)]
async fn the_intent_is_in_the_cluster_before_the_first_write_and_until_after_the_last() {
    let bed = bed();
    bed.run(stub()).await;
    let writes = bed.server.writes();
    let of_run: Vec<&str> = writes
        .iter()
        .filter(|call| !call.starts_with("PATCH leases"))
        .map(String::as_str)
        .collect();
    let lease = "DELETE leases/chaos-namespace-prod";
    assert_eq!(of_run, ["POST leases", PATCH, PATCH, lease]);
}

#[tokio::test(start_paused = true)]
async fn the_intent_is_in_the_journal_with_all_that_an_undo_needs() {
    let bed = bed();
    bed.run(stub()).await;
    let journal = bed.journal();
    let first: Value = serde_json::from_str(journal.lines().next().expect("a line")).expect("JSON");
    let change = &first["what"]["intent"]["changes"][0];
    assert_eq!(
        (&change["original"], &change["faulted"]),
        (&json!(3), &json!(0))
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_health_record_the_gate_is_closed() {
    let mut bed = bed();
    bed.overridden = None;
    let ended = bed.run(stub()).await;
    is_refused(&bed, &ended, "gate.health");
    assert_eq!(bed.server.writes(), [""; 0]);
}

/// A health record of the test's cluster that passed just now.
fn healthy() -> String {
    let data = json!({
        "cluster": { "id": "c", "server": "https://test" }, "namespace": NAMESPACE, "checks": [],
        "state": SystemState::default(),
    });
    let record = json!({
        "schema": "chaos.health/1", "id": "1", "run": "r", "time": Time::now(), "tool": "t 1",
        "verdict": "pass", "summary": "s", "data": data,
    });
    format!("{record}\n")
}

#[tokio::test(start_paused = true)]
async fn a_fresh_pass_of_this_cluster_opens_the_gate_without_an_override() {
    let mut bed = bed();
    (bed.overridden, bed.upstream) = (None, healthy());
    let ended = bed.run(stub()).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    assert_eq!(ended.check("gate.health"), Some("pass"));
    assert_eq!(ended.record["overridden"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn with_data_at_stake_health_alone_does_not_open_the_gates() {
    let mut bed = bed();
    (bed.overridden, bed.upstream) = (None, healthy());
    let mut stub = stub();
    stub.data_at_stake = true;
    let ended = bed.run(stub).await;
    is_refused(&bed, &ended, "gate.backup");
}

#[tokio::test(start_paused = true)]
async fn an_overridden_gate_is_in_the_record_with_its_reason() {
    let ended = bed().run(stub()).await;
    let health = json!([{ "gate": "gate.health", "reason": "a test" }]);
    assert_eq!(ended.record["overridden"], health);
    assert_eq!(ended.check("gate.health"), Some("warn"));
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_not_kept_refuses_the_run_in_spite_of_an_override() {
    let bed = bed();
    let mut stub = stub();
    stub.checks = vec![Check::fail("limit.survivors", "", "all pods would go")];
    let ended = bed.run(stub).await;
    is_refused(&bed, &ended, "limit.survivors");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_that_the_configuration_does_not_allow_is_not_touched() {
    let mut bed = bed();
    bed.config = "[limits]\nnamespaces = [\"staging\"]\n".to_owned();
    let ended = bed.run(stub()).await;
    is_refused(&bed, &ended, "limit.namespace");
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_the_undo_needs_and_is_missing_refuses_the_run() {
    let bed = bed();
    bed.server.deny("patch deployments");
    let ended = bed.run(stub()).await;
    is_refused(&bed, &ended, "limit.permissions");
}

#[tokio::test(start_paused = true)]
async fn a_locked_namespace_refuses_the_run_and_says_who_and_why() {
    let bed = bed();
    let by = Attribution {
        executor: "boss@desk".into(),
        reason: "peak season".into(),
        since: Time::now(),
    };
    lock::lock(&bed.server.cluster(), NAMESPACE, &by)
        .await
        .expect("locked");
    let ended = bed.run(stub()).await;
    is_refused(&bed, &ended, "limit.lock");
    assert!(
        ended.reason().contains("boss@desk locked it: peak season"),
        "{}",
        ended.reason()
    );
}

#[tokio::test(start_paused = true)]
async fn a_target_that_another_run_holds_refuses_the_run() {
    let bed = bed();
    let other = intent_of("run-2", &[], &[]);
    assert_eq!(
        other.leases,
        intent_of("run-1", &plan(&[], &[]).changes, &[]).leases
    );
    other
        .declare(&bed.server.cluster())
        .await
        .expect("declared");
    let ended = bed.run(stub()).await;
    is_refused(&bed, &ended, "limit.lock");
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_is_not_durable_in_the_cluster_refuses_the_run() {
    let bed = bed();
    bed.server.always("POST leases", Behaviour::Status(500));
    let ended = bed.run(stub()).await;
    is_refused(&bed, &ended, "intent.cluster");
}

#[tokio::test(start_paused = true)]
async fn without_a_guardian_there_is_no_run() {
    let bed = bed();
    bed.server.always("GET /version", Behaviour::Status(403));
    let ended = bed.run(stub()).await;
    is_refused(&bed, &ended, "intent.guardian");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_observed_is_not_broken() {
    let bed = bed();
    let mut stub = stub();
    stub.unobservable = Some("pods can't be watched");
    let ended = bed.run(stub).await;
    assert_eq!(ended.record["outcome"], "refused");
    assert!(!bed.server.writes().contains(&PATCH.to_owned()));
    is_restored(&bed);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_has_moved_since_the_plan_is_not_touched() {
    let bed = bed();
    let path = "/apis/apps/v1/namespaces/prod/deployments/shop";
    let moved = move |store: &mut crate::testing::store::Store| {
        let edited = store.update(path, |object| object["spec"]["replicas"] = json!(5));
        edited.expect("it exists");
    };
    // Between the plan and the intent.
    bed.server
        .script("POST leases", 1, Behaviour::After(Box::new(moved)));
    let ended = bed.run(stub()).await;
    assert_eq!(ended.record["outcome"], "aborted");
    assert!(
        ended.reason().contains("somebody changes it"),
        "{}",
        ended.reason()
    );
    assert_eq!(replicas(&bed, "shop"), json!(5));
}

#[tokio::test(start_paused = true)]
async fn a_fault_without_effect_never_passes_and_is_undone() {
    let bed = bed();
    let mut stub = stub();
    stub.effect = Effect::NotSeen("all questions are still answered".to_owned());
    let ended = bed.run(stub).await;
    assert_eq!(ended.verdict, "unknown", "{:#}", ended.record);
    assert_eq!(ended.check("stub.effect"), Some("unknown"));
    is_restored(&bed);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_fails_half_way_undoes_those_before_it_and_skips_those_after_it() {
    let bed = bed();
    bed.server
        .always("PATCH deployments/db", Behaviour::Status(403));
    let changes = vec![
        scale_to_zero("shop", 3),
        scale_to_zero("db", 1),
        scale_to_zero("x", 1),
    ];
    let ended = bed.run(Stub::of(changes)).await;
    assert_eq!(ended.record["outcome"], "aborted", "{:#}", ended.record);
    let skipped = ["skipped deployment/db", "skipped deployment/x"].map(str::to_owned);
    assert!(
        skipped.iter().all(|line| ended.log.contains(line)),
        "{:?}",
        ended.log
    );
    is_restored(&bed);
}

#[tokio::test(start_paused = true)]
async fn an_undo_that_the_cluster_does_not_show_is_not_restored_and_stays_locked() {
    let bed = bed();
    in_local_set(async {
        during_the_fault(&bed, async |server| {
            server.always(PATCH, Behaviour::Status(403));
        });
        let ended = bed.run(stub()).await;
        assert_eq!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
        assert_eq!(
            (ended.record["outcome"].as_str(), ended.verdict.as_str()),
            (Some("not_restored"), "fail")
        );
        assert_eq!(
            bed.server.names("lease").len(),
            1,
            "nobody breaks it further"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_does_not_recover_is_not_restored() {
    let bed = bed();
    let mut stub = stub();
    stub.steady = [false, true];
    let ended = bed.run(stub).await;
    assert_eq!(ended.exit, Exit::NotRestored);
    assert_eq!(ended.reason(), "deployment/shop has 0 of 3 ready pods");
    assert_eq!(
        replicas(&bed, "shop"),
        json!(3),
        "though the fault is undone"
    );
}

#[tokio::test(start_paused = true)]
async fn an_end_that_nobody_saw_is_unknown_and_locks_nothing() {
    let bed = bed();
    let mut stub = stub();
    stub.unseen = Some("the watch is gone");
    let ended = bed.run(stub).await;
    assert_eq!(ended.exit, Exit::Unknown, "{:#}", ended.record);
    assert_eq!(ended.record["outcome"], "completed");
    assert_eq!(ended.record["restored"], Value::Null);
    assert_eq!(ended.check("stub.restored"), Some("unknown"));
    let message = ended.message("stub.restored").unwrap_or_default();
    assert!(message.contains("the watch is gone"), "{message}");
    is_restored(&bed);
}

#[tokio::test(start_paused = true)]
async fn what_recovers_and_fails_again_is_not_restored() {
    let mut stub = stub();
    stub.steady = [true, false];
    let ended = bed().run(stub).await;
    assert_eq!(ended.exit, Exit::NotRestored);
}

#[tokio::test(start_paused = true)]
async fn a_request_from_elsewhere_aborts_the_run_and_its_fault_is_undone_at_once() {
    let bed = bed();
    in_local_set(async {
        during_the_fault(&bed, async |server| {
            let found = ActiveRuns::list(&server.cluster(), &[NAMESPACE.to_owned()]).await;
            let found = found.expect("listed");
            let (_, run) = found.runs().pop_first().expect("a run");
            let by = Attribution {
                executor: "boss@desk".into(),
                reason: "the boss calls".into(),
                since: Time::now(),
            };
            request_abort(&server.cluster(), &run.intent.expect("its intent"), &by)
                .await
                .expect("written");
        });
        let mut stub = stub();
        stub.hold = Duration::from_secs(3600);
        let ended = bed.run(stub).await;
        assert_eq!(ended.exit, Exit::Aborted, "{:#}", ended.record);
        assert_eq!(ended.reason(), "boss@desk aborted it: the boss calls");
        assert_ne!(ended.verdict, "pass");
        is_restored(&bed);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_not_to_suffer_and_does_aborts_the_run() {
    let mut bed = bed();
    bed.config =
        "[[service]]\nname = \"shop\"\nport = 8000\nhealth = \"/health\"\nvantage = \"api-proxy\"\n".to_owned();
    bed.server.answer("shop", 200, "ok");
    in_local_set(async {
        during_the_fault(&bed, async |server| server.answer("shop", 503, ""));
        let mut stub = stub();
        stub.hold = Duration::from_secs(3600);
        let ended = bed.run(stub).await;
        assert_eq!(ended.exit, Exit::Aborted, "{:#}", ended.record);
        assert!(
            ended.reason().starts_with("steady state guard"),
            "{}",
            ended.reason()
        );
        is_restored(&bed);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_sets_during_the_fault_stays_and_is_reported() {
    let bed = bed();
    in_local_set(async {
        during_the_fault(&bed, async |server| {
            server.edit("deployment/shop", &json!({ "spec": { "replicas": 5 } }));
        });
        let ended = bed.run(stub()).await;
        assert_eq!(replicas(&bed, "shop"), json!(5));
        let issues = ended.record["issues"].to_string();
        assert!(issues.contains("which somebody else set"), "{issues}");
    })
    .await;
}
