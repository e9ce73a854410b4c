//! The rules of safety, each by what the cluster and the disk have seen of a run: that nothing is
//! broken whose way back is not durable, that there is no pass without a proof, that a target is
//! held by one run only, and that a closed gate touches nothing at all.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use chaos_common::exit::Exit;
use chaos_common::record::{Check, Plan, Record, Verdict};
use serde_json::{Value, json};

use super::{PATCH, bed, healthy, in_local_set, is_refused, is_restored, replicas, stub};
use crate::run::experiment::Effect;
use crate::testing::Behaviour;
use crate::testing::experiment::Stub;
use crate::testing::objects::{NAMESPACE, create_policy, intent_of, scale_to_zero};
use crate::testing::store::Store;
use crate::testing::test_bed::TestBed;

const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/prod/leases/chaos-namespace-prod";

/// What is there at the moment in which a request arrives.
type Seen = Arc<Mutex<Vec<Value>>>;

/// Notes what `look` finds when the first request like this arrives, before it is carried out.
fn at_the_first(
    bed: &TestBed,
    request: &str,
    look: impl Fn(&Store) -> Value + Send + 'static,
) -> Seen {
    let seen = Seen::default();
    let noted = seen.clone();
    let note = move |store: &mut Store| noted.lock().expect("free").push(look(store));
    bed.server
        .script(request, 1, Behaviour::After(Box::new(note)));
    seen
}

/// What the only journal of a folder says; nothing where there is none.
fn journal_in(folder: &PathBuf) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    let journal = paths.find(|path| path.extension().is_some_and(|end| end == "ndjson"));
    let text = journal.map(std::fs::read_to_string);
    text.map_or_else(String::new, |text| text.expect("readable"))
}

fn only(seen: &Seen) -> Value {
    let seen = seen.lock().expect("free");
    assert_eq!(seen.len(), 1, "it was asked for once");
    seen[0].clone()
}

#[tokio::test(start_paused = true)]
async fn the_way_back_is_on_the_disk_before_the_cluster_hears_of_the_run() {
    let bed = bed();
    let folder = bed.path("journals");
    let look = move |_: &Store| json!(journal_in(&folder));
    let seen = at_the_first(&bed, "POST leases", look);
    bed.run(stub()).await;
    let on_disk = only(&seen);
    let line = on_disk.as_str().and_then(|text| text.lines().next());
    let line: Value = serde_json::from_str(line.expect("a line")).expect("whole");
    let change = &line["what"]["intent"]["changes"][0];
    assert_eq!(change["original"], json!(3));
    assert_eq!(change["object"]["name"], "shop");
}

#[tokio::test(start_paused = true)]
async fn the_way_back_is_in_the_cluster_before_the_first_change() {
    let bed = bed();
    let seen = at_the_first(&bed, PATCH, |store| store.get(LEASE).unwrap_or_default());
    bed.run(stub()).await;
    let annotations = only(&seen)["metadata"]["annotations"].clone();
    let annotations = annotations.as_object().expect("the Lease is there").clone();
    let intent = annotations.values().find_map(Value::as_str);
    let intent: Value = serde_json::from_str(intent.expect("the intent")).expect("JSON");
    assert_eq!(intent["changes"][0]["original"], json!(3));
    assert_eq!(intent["changes"][0]["object"]["name"], "shop");
}

#[tokio::test(start_paused = true)]
async fn the_guardian_is_ready_before_the_cluster_hears_of_the_run() {
    let bed = bed();
    bed.run(stub()).await;
    let calls = bed.server.calls();
    let first = |part: &str| calls.iter().position(|call| call.contains(part));
    let ready = first("GET /version").expect("the guardian has asked");
    let lease = first("POST /apis/coordination").expect("a Lease");
    let change = first("PATCH /apis/apps").expect("a change");
    assert!(ready < lease && lease < change, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn of_several_changes_all_are_durable_before_the_first() {
    let bed = bed();
    let seen = at_the_first(&bed, PATCH, |store| store.get(LEASE).unwrap_or_default());
    let changes = vec![
        scale_to_zero("shop", 3),
        scale_to_zero("db", 1),
        create_policy("cut"),
    ];
    let ended = bed.run(Stub::of(changes)).await;
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    let lease = only(&seen).to_string();
    for name in ["shop", "db", "cut"] {
        assert!(lease.contains(name), "{name} is not in {lease}");
    }
    is_restored(&bed);
    assert_eq!(replicas(&bed, "db"), json!(1));
    assert_eq!(bed.server.names("networkpolicy"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn changes_are_undone_in_the_cluster_before_the_lease_goes() {
    let bed = bed();
    let lease = "DELETE leases/chaos-namespace-prod";
    let path = "/apis/apps/v1/namespaces/prod/deployments/shop";
    let seen = at_the_first(&bed, lease, move |store| {
        store.get(path).expect("it exists")["spec"]["replicas"].clone()
    });
    bed.run(stub()).await;
    assert_eq!(only(&seen), json!(3));
}

#[tokio::test(start_paused = true)]
async fn without_a_place_for_the_journal_nothing_is_written_at_all() {
    let bed = bed();
    // Where the folder should be is a file.
    std::fs::write(bed.path("journals"), "").expect("writable");
    let ended = bed.run(stub()).await;
    is_refused(&bed, &ended, "intent.journal");
    assert_eq!(bed.server.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn without_a_guardian_not_even_a_lease_is_written() {
    let bed = bed();
    bed.server.always("GET /version", Behaviour::Status(403));
    let ended = bed.run(stub()).await;
    is_refused(&bed, &ended, "intent.guardian");
    assert_eq!(bed.server.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn an_intent_that_the_cluster_refuses_leaves_nothing_there() {
    let bed = bed();
    bed.server.always("POST leases", Behaviour::Status(403));
    let ended = bed.run(stub()).await;
    is_refused(&bed, &ended, "intent.cluster");
    let is_lease = |call: &String| call.contains("leases");
    assert!(
        bed.server.writes().iter().all(is_lease),
        "{:?}",
        bed.server.writes()
    );
    is_restored(&bed);
}

/// What a gate or a limit that is closed by `close` writes: nothing, not even a Lease.
async fn writes_nothing(id: &str, close: impl FnOnce(&mut TestBed, &mut Stub)) {
    let (mut bed, mut stub) = (bed(), stub());
    (bed.overridden, bed.upstream) = (None, healthy());
    close(&mut bed, &mut stub);
    let ended = bed.run(stub).await;
    is_refused(&bed, &ended, id);
    assert_eq!(bed.server.writes(), [""; 0], "{id}");
    assert!(!bed.path("journals").exists(), "{id}: no run has begun");
    assert_eq!(ended.verdict, "unknown", "{id}");
    assert_eq!(ended.log, [""; 0], "{id}: nothing was observed");
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_writes_nothing_at_all() {
    writes_nothing("gate.health", |bed, _| bed.upstream.clear()).await;
    writes_nothing("gate.health", |bed, _| {
        bed.upstream = healthy().replace("\"pass\"", "\"fail\"");
    })
    .await;
    writes_nothing("gate.health", |bed, _| {
        bed.upstream = healthy().replace("\"id\":\"c\"", "\"id\":\"another\"");
    })
    .await;
    writes_nothing("gate.backup", |_, stub| stub.data_at_stake = true).await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_is_not_kept_or_not_known_writes_nothing_at_all() {
    writes_nothing("limit.share", |_, stub| {
        stub.checks = vec![Check::fail("limit.share", "", "too many")];
    })
    .await;
    writes_nothing("limit.others", |_, stub| {
        stub.checks = vec![Check::unknown("limit.others", "", "nobody can say")];
    })
    .await;
    writes_nothing("limit.namespace", |bed, _| {
        bed.config = "[limits]\nnamespaces = [\"staging\"]\n".to_owned();
    })
    .await;
    writes_nothing("limit.permissions", |bed, _| {
        bed.server.deny("get deployments");
    })
    .await;
    writes_nothing("limit.lock", |bed, _| {
        bed.server.always("GET leases", Behaviour::Status(403));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_override_opens_gates_and_no_limit() {
    for permission in ["patch deployments", "create leases", "delete leases"] {
        let bed = bed();
        bed.server.deny(permission);
        let ended = bed.run(stub()).await;
        is_refused(&bed, &ended, "limit.permissions");
        assert_eq!(bed.server.writes(), [""; 0], "{permission}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_effect_that_nobody_saw_is_no_pass_though_all_else_is_well() {
    for effect in [
        Effect::NotSeen("all questions are still answered".to_owned()),
        Effect::KnownAfterwards,
    ] {
        let bed = bed();
        let mut stub = stub();
        stub.effect = effect.clone();
        let ended = bed.run(stub).await;
        assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
        assert_eq!(ended.check("stub.effect"), Some("unknown"), "{effect:?}");
        assert_eq!(ended.verdict, "unknown", "{effect:?}");
        assert_eq!(ended.exit, Exit::Unknown, "{effect:?}");
        is_restored(&bed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_fault_without_an_effect_does_not_stay_for_its_time() {
    let bed = bed();
    let mut stub = stub();
    stub.effect = Effect::NotSeen("nothing".to_owned());
    stub.hold = std::time::Duration::from_secs(3600);
    let began = tokio::time::Instant::now();
    let ended = bed.run(stub).await;
    assert!(began.elapsed().as_secs() < 60, "{:?}", began.elapsed());
    assert!(!ended.log.contains(&"before rollback".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn of_two_runs_that_saw_the_target_free_one_gets_it() {
    let bed = bed();
    // The other one declares its intent after this one's plan, right before this one's own.
    let other = intent_of("run-2", &[], &[]);
    let lease = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": other.leases[0].1, "namespace": NAMESPACE,
            "labels": { crate::labels::RUN_LABEL: "run-2" },
        },
        "spec": { "holderIdentity": "run-2" },
    });
    let declare = move |store: &mut Store| drop(store.create(LEASE, lease.clone()));
    bed.server
        .script("POST leases", 1, Behaviour::After(Box::new(declare)));
    let ended = bed.run(stub()).await;
    is_refused(&bed, &ended, "limit.lock");
    assert!(ended.reason().contains("run-2"), "{}", ended.reason());
    let held = bed.server.get("lease/chaos-namespace-prod");
    let held = held.expect("the other run keeps its Lease");
    assert_eq!(
        held["metadata"]["labels"][crate::labels::RUN_LABEL],
        "run-2"
    );
}

#[tokio::test(start_paused = true)]
async fn while_one_run_has_its_fault_on_a_second_is_refused_and_leaves_the_first_alone() {
    let first = bed();
    let mut second = bed();
    second.server = first.server.clone();
    in_local_set(async {
        let mut long = stub();
        long.hold = std::time::Duration::from_secs(120);
        let late = async {
            tokio::time::sleep(std::time::Duration::from_secs(20)).await;
            assert_eq!(replicas(&first, "shop"), json!(0), "the fault is on");
            let refused = second.run(stub()).await;
            assert_eq!(replicas(&first, "shop"), json!(0), "and stays");
            assert_eq!(first.server.names("lease").len(), 1);
            refused
        };
        let (ended, refused) = tokio::join!(first.run(long), late);
        assert_eq!(refused.exit, Exit::Refused, "{:#}", refused.record);
        assert!(
            refused.reason().starts_with("limit.lock"),
            "{}",
            refused.reason()
        );
        assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    })
    .await;
    is_restored(&first);
}

#[tokio::test(start_paused = true)]
async fn of_several_targets_that_one_is_held_releases_the_others() {
    let server = bed().server;
    let ours = intent_of("run-1", &[], &["a", "b"]);
    let theirs = intent_of("run-2", &[], &["b", "c"]);
    theirs.declare(&server.cluster()).await.expect("all free");
    let refused = ours.declare(&server.cluster()).await;
    assert!(refused.is_err());
    let left = server.names("lease");
    assert_eq!(left, ["chaos-deployment-b", "chaos-deployment-c"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_is_undone_as_if_it_had_been_carried_out() {
    for lost in [Behaviour::AnswerLost, Behaviour::Lost] {
        let bed = bed();
        bed.server.script(PATCH, 9, lost);
        let mend = bed.server.clone();
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_secs(25)).await;
            mend.mend();
        });
        let ended = bed.run(stub()).await;
        assert_ne!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
        let patched = |call: &&String| *call == PATCH;
        let sent = bed.server.writes().iter().filter(patched).count();
        assert!(sent >= 2, "it is sent again: {sent}");
        is_restored(&bed);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_run_did_and_how_it_ended_is_in_the_journal_in_order() {
    let bed = bed();
    bed.run(stub()).await;
    let journal = bed.journal();
    let line = |part: &str| {
        let found = journal.lines().position(|line| line.contains(part));
        found.unwrap_or_else(|| panic!("{part} is not in {journal}"))
    };
    let order = [
        "\"intent\"",
        "from 3 to 0",
        "nobody answers",
        "everything that was hit is at its steady state again",
        "\"outcome\":\"completed\"",
    ];
    let found = order.map(line);
    assert!(found.is_sorted(), "{found:?}");
    let (_, damage) = crate::safety::journal::parse(&journal);
    assert!(!damage.is_bad(), "{damage:?}");
}

#[tokio::test(start_paused = true)]
async fn who_sets_a_fault_back_is_named_and_it_is_no_pass() {
    let bed = bed();
    in_local_set(async {
        super::during_the_fault(&bed, async |server| {
            let back = json!({ "spec": { "replicas": 3 } });
            server.edit_by("argocd-controller", "deployment/shop", &back);
        });
        let ended = bed.run(stub()).await;
        assert_eq!(ended.check("stub.lasting"), Some("unknown"));
        let message = ended.message("stub.lasting").unwrap_or_default();
        assert!(message.contains("Argo CD"), "{message}");
        assert_eq!(ended.exit, Exit::Unknown, "{:#}", ended.record);
        let issues = ended.record["issues"].to_string();
        assert!(issues.contains("the fault did not last"), "{issues}");
    })
    .await;
    is_restored(&bed);
}

#[tokio::test(start_paused = true)]
async fn the_plan_of_the_stream_is_carried_out_and_told_once() {
    let mut bed = bed();
    bed.announced = Some(bed.plan(stub()).await);
    let ended = bed.run(stub()).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    assert_eq!(ended.check("gate.plan"), Some("pass"));
    assert_eq!(bed.kinds(), ["\"chaos.experiment/1\""]);
    is_restored(&bed);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_has_moved_from_under_its_plan_is_not_touched() {
    let mut bed = bed();
    bed.announced = Some(bed.plan(stub()).await);
    let moved = Stub::of(vec![scale_to_zero("shop", 4)]);
    let ended = bed.run(moved).await;
    is_refused(&bed, &ended, "gate.plan");
    assert_eq!(bed.server.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_plan_behind_other_tools_is_refused_by_a_closed_gate_before_it_is_announced() {
    let mut bed = bed();
    let verdict = |plan: Record<Plan>| plan.verdict;
    assert_eq!(verdict(bed.plan(stub()).await), Some(Verdict::Pass));
    (bed.overridden, bed.upstream) = (None, healthy());
    assert_eq!(verdict(bed.plan(stub()).await), Some(Verdict::Pass));
    bed.upstream = healthy().replace("\"pass\"", "\"fail\"");
    assert_eq!(verdict(bed.plan(stub()).await), Some(Verdict::Fail));
}
