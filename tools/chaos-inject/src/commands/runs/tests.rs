//! The commands that see and stop runs, from a machine that knows of them only what they wrote into
//! the cluster.

use chaos_common::exit::Exit;
use chaos_common::record::Time;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use super::*;
use crate::safety::journal_entry::Entry;
use crate::safety::leases::abort_requested;
use crate::testing::objects::{NAMESPACE, RUN, deployment, plan};
use crate::testing::runs::{intent_of_shop, with_a_run};
use crate::testing::test_bed::{Ended, TestBed};
use crate::testing::{ApiServer, Behaviour};

const PATCH: &str = "PATCH deployments/shop";

fn replicas(bed: &TestBed) -> Value {
    bed.server.get("deployment/shop").expect("it exists")["spec"]["replicas"].clone()
}

/// The process of the run lives: it renews its Leases.
fn lives(server: &ApiServer) {
    let cluster = server.cluster();
    tokio::spawn(async move {
        while intent_of_shop().renew(&cluster).await.is_ok() {
            sleep(Duration::from_secs(1)).await;
        }
    });
}

/// The process of the run lives, and ends as it is asked to.
fn ends_when_asked(server: &ApiServer) {
    let server = server.clone();
    tokio::spawn(async move {
        let asked = || {
            let lease = server.get("lease/chaos-deployment-shop")?;
            abort_requested(&serde_json::from_value(lease).expect("a Lease"))
        };
        let asked = loop {
            match asked() {
                Some(asked) => break asked,
                None => sleep(Duration::from_millis(100)).await,
            }
        };
        assert_eq!(asked.reason, "the boss calls");
        assert_eq!(asked.executor, executor());
        let (cluster, intent) = (server.cluster(), intent_of_shop());
        roll_back(&cluster, &intent, false, &|_| {}).await;
        intent.release(&cluster).await.expect("released");
    });
}

async fn recovered(bed: &TestBed) -> Ended {
    let exit = recover(&mut bed.context()).await;
    bed.ended(exit)
}

async fn aborted(bed: &TestBed) -> Ended {
    let exit = abort(&mut bed.context(), "the boss calls".to_owned()).await;
    bed.ended(exit)
}

async fn shown(bed: &TestBed) -> Ended {
    let exit = status(&mut bed.context()).await;
    bed.ended(exit)
}

#[tokio::test(start_paused = true)]
async fn recover_undoes_what_a_dead_run_left_and_frees_its_targets() {
    let bed = with_a_run().await;
    let ended = recovered(&bed).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    assert_eq!(replicas(&bed), json!(3));
    assert_eq!(bed.server.names("lease"), [""; 0]);
    let run = &ended.record["runs"][0];
    assert_eq!((&run["run"], &run["undone"]), (&json!(RUN), &json!(true)));
}

#[tokio::test(start_paused = true)]
async fn recover_leaves_a_run_alone_that_lives() {
    let bed = with_a_run().await;
    lives(&bed.server);
    let ended = recovered(&bed).await;
    assert_eq!(ended.check("recover.run"), Some("skipped"));
    assert_eq!(replicas(&bed), json!(0));
}

#[tokio::test(start_paused = true)]
async fn recover_twice_finds_nothing_the_second_time() {
    let bed = with_a_run().await;
    recovered(&bed).await;
    let ended = recovered(&bed).await;
    assert_eq!(ended.exit, Exit::Pass);
    let nothing = Some("nothing is left behind");
    assert_eq!(ended.message("recover.run"), nothing);
}

#[tokio::test(start_paused = true)]
async fn what_recover_cannot_undo_is_not_restored_and_stays_locked() {
    let bed = with_a_run().await;
    bed.server.always(PATCH, Behaviour::Status(403));
    let ended = recovered(&bed).await;
    assert_eq!(ended.exit, Exit::NotRestored);
    assert_eq!(ended.record["runs"][0]["undone"], false);
    assert_eq!(bed.server.names("lease").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn recover_does_not_guess_at_an_intent_that_it_cannot_read() {
    let bed = with_a_run().await;
    let newer = json!({ "metadata": { "annotations": {
        crate::safety::leases::INTENT_ANNOTATION: "{}",
    } } });
    bed.server.edit("lease/chaos-deployment-shop", &newer);
    let ended = recovered(&bed).await;
    assert_eq!(ended.exit, Exit::NotRestored);
    let message = ended.message("recover.run").expect("it is checked");
    assert!(message.contains("can't be read"), "{message}");
    assert_eq!(bed.server.names("lease").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_living_run_that_is_aborted_hears_who_and_why_and_undoes_its_fault() {
    let bed = with_a_run().await;
    ends_when_asked(&bed.server);
    let ended = aborted(&bed).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    let message = ended.message("abort.run").expect("it is checked");
    assert!(message.contains("has undone its fault and ended"));
    assert_eq!(replicas(&bed), json!(3));
    assert_eq!(ended.reason(), "the boss calls");
    assert_eq!(ended.record["executor"], executor());
}

#[tokio::test(start_paused = true)]
async fn abort_undoes_the_fault_of_a_run_that_does_not_live() {
    let bed = with_a_run().await;
    let ended = aborted(&bed).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    assert_eq!(replicas(&bed), json!(3));
    assert_eq!(bed.server.names("lease"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_lives_and_does_not_end_is_not_said_to_have_ended() {
    let bed = with_a_run().await;
    lives(&bed.server);
    let ended = aborted(&bed).await;
    assert_eq!(ended.exit, Exit::NotRestored);
    assert_eq!(ended.check("abort.run"), Some("unknown"));
    assert_eq!(ended.record["runs"][0]["undone"], false);
}

#[tokio::test(start_paused = true)]
async fn without_runs_an_abort_has_nothing_to_do() {
    let ended = aborted(&TestBed::with([])).await;
    assert_eq!(ended.exit, Exit::Pass);
    assert_eq!(ended.message("abort.run"), Some("no run is under way"));
}

#[tokio::test(start_paused = true)]
async fn status_fails_on_what_was_left_behind_and_names_it() {
    let ended = shown(&with_a_run().await).await;
    assert_eq!(ended.verdict, "fail");
    let message = ended.message("runs.left-behind").expect("it is checked");
    assert_eq!(message, "storage-failure was left behind by ops@laptop");
    assert_eq!(ended.record["runs"][0]["run"], RUN);
}

#[tokio::test(start_paused = true)]
async fn status_warns_of_a_run_that_lives_and_touches_nothing() {
    let bed = with_a_run().await;
    lives(&bed.server);
    let ended = shown(&bed).await;
    assert_eq!(ended.check("runs.alive"), Some("warn"));
    assert_eq!(ended.exit, Exit::Pass);
    assert_eq!(replicas(&bed), json!(0));
}

#[tokio::test(start_paused = true)]
async fn status_without_runs_passes() {
    let ended = shown(&TestBed::with([])).await;
    assert_eq!(ended.exit, Exit::Pass);
    assert_eq!(ended.check("runs.left-behind"), Some("pass"));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_listed_is_unknown_and_not_no_runs() {
    let bed = with_a_run().await;
    bed.server.always("GET leases", Behaviour::Status(403));
    for ended in [
        recovered(&bed).await,
        aborted(&bed).await,
        shown(&bed).await,
    ] {
        assert_eq!(ended.exit, Exit::Unknown);
        assert_eq!(ended.check("runs.readable"), Some("unknown"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_carries_who_and_why_until_it_is_unlocked() {
    let bed = TestBed::with([]);
    let before = Time::now();
    let exit = lock(&mut bed.context(), "peak season".to_owned()).await;
    let locked = bed.ended(exit);
    assert_eq!(locked.exit, Exit::Pass);
    let lock = &locked.record["locks"][0];
    assert_eq!(lock["namespace"], NAMESPACE);
    assert_eq!(lock["executor"], executor());
    assert_eq!(lock["reason"], "peak season");
    let since: Time = serde_json::from_value(lock["since"].clone()).expect("a time");
    assert!(since.since_ms(before) >= -1000);
    let exit = unlock(&mut bed.context()).await;
    assert_eq!(bed.ended(exit).record["locks"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_lock_covers_every_namespace_that_experiments_may_touch() {
    let mut bed = TestBed::with([]);
    bed.config = "[limits]\nnamespaces = [\"prod\", \"staging\"]\n".to_owned();
    assert_eq!(namespaces(&bed.context()), ["prod", "staging"]);
    bed.config = "[monitoring]\nnamespace = \"monitoring\"\n".to_owned();
    assert_eq!(namespaces(&bed.context()), ["monitoring", "prod"]);
}

/// As [`with_a_run`], with its journal on this machine, and its Lease deleted by somebody.
async fn without_its_lease(journal: bool) -> TestBed {
    let bed = with_a_run().await;
    if journal {
        let mut plan = plan(&intent_of_shop().changes, &["shop"]);
        plan.cluster.id = "c".to_owned();
        let began = Entry::Began {
            intent: Box::new(intent_of_shop()),
            plan: Box::new(plan),
        };
        let made = Journal::create(&bed.path("journals"), RUN);
        made.and_then(|mut made| made.write(&began))
            .expect("written");
    }
    bed.server.remove("lease/chaos-deployment-shop");
    bed
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_lease_is_gone_is_found_by_the_label_of_what_it_changed() {
    let bed = without_its_lease(false).await;
    let ended = shown(&bed).await;
    assert_eq!(ended.exit, Exit::Fail, "{:#}", ended.record);
    let message = ended.message("runs.left-behind").unwrap_or_default();
    assert!(message.contains("its Lease is gone"), "{message}");
    assert!(message.contains("deployment/shop"), "{message}");
    let ended = recovered(&bed).await;
    assert_eq!(
        ended.exit,
        Exit::NotRestored,
        "nobody knows how many there were"
    );
    assert_eq!(replicas(&bed), json!(0));
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_lease_is_gone_is_undone_by_its_journal() {
    let bed = without_its_lease(true).await;
    let ended = recovered(&bed).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    assert_eq!(replicas(&bed), json!(3));
    assert_eq!(ended.record["runs"][0]["undone"], true);
    let ended = shown(&bed).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
}

#[tokio::test(start_paused = true)]
async fn a_run_without_lease_and_label_is_found_by_its_journal() {
    let bed = without_its_lease(true).await;
    let off = json!({ "metadata": { "labels": null } });
    bed.server.edit("deployment/shop", &off);
    assert_eq!(shown(&bed).await.exit, Exit::Fail);
    recovered(&bed).await;
    assert_eq!(replicas(&bed), json!(3));
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_a_run_without_lease_left_is_deleted_by_its_label() {
    let bed = TestBed::with([]);
    let mut policy = crate::testing::objects::network_policy("cut");
    let labels = json!({
        crate::labels::RUN_LABEL: RUN, crate::labels::EXPERIMENT_LABEL: "network-partition",
    });
    policy["metadata"]["labels"] = labels;
    bed.server.add(policy);
    assert_eq!(shown(&bed).await.exit, Exit::Fail);
    let ended = recovered(&bed).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    assert_eq!(bed.server.names("networkpolicy"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_of_others_that_a_run_without_lease_set_aside_is_never_deleted() {
    let bed = TestBed::with([]);
    let mut policy = crate::testing::objects::network_policy("allow-front");
    policy["metadata"]["labels"] = json!({ crate::labels::RUN_LABEL: RUN });
    bed.server.add(policy);
    let ended = recovered(&bed).await;
    assert_eq!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
    let message = ended.message("recover.run").unwrap_or_default();
    assert!(message.contains("networkpolicy/allow-front"), "{message}");
    assert_eq!(bed.server.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_pods_of_a_load_job_are_nothing_that_a_run_left() {
    let bed = TestBed::with([]);
    let mut pod = crate::testing::objects::pod("load-0", "load", true);
    pod["metadata"]["labels"] = json!({ crate::labels::RUN_LABEL: RUN });
    pod["metadata"]["ownerReferences"] = Value::Null;
    bed.server.add(pod);
    assert_eq!(shown(&bed).await.exit, Exit::Pass);
    assert_eq!(recovered(&bed).await.exit, Exit::Pass);
    assert_eq!(bed.server.names("pod"), ["load-0"]);
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_listed_is_not_said_to_be_clean() {
    let bed = TestBed::with([]);
    bed.server
        .always("GET networkpolicies", Behaviour::Status(403));
    let ended = shown(&bed).await;
    assert_eq!(ended.exit, Exit::Unknown, "{:#}", ended.record);
    assert_eq!(
        recovered(&bed).await.exit,
        Exit::Pass,
        "nothing is known to be left"
    );
}

#[tokio::test(start_paused = true)]
async fn what_somebody_left_with_less_than_before_is_no_pass_of_recover() {
    let bed = with_a_run().await;
    bed.server
        .edit("deployment/shop", &json!({ "spec": { "replicas": 1 } }));
    let ended = recovered(&bed).await;
    assert_eq!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
    let message = ended.message("recover.run").unwrap_or_default();
    assert!(message.contains("is not as before"), "{message}");
    assert_eq!(
        bed.server.names("lease"),
        [""; 0],
        "nothing is left to undo"
    );
}

#[tokio::test(start_paused = true)]
async fn a_run_that_begins_between_two_looks_is_not_taken_for_left_behind() {
    let bed = TestBed::with([deployment("shop", 3)]);
    let began = |store: &mut crate::testing::store::Store| {
        let lease = "/apis/coordination.k8s.io/v1/namespaces/prod/leases/chaos-deployment-shop";
        let labels = json!({ "labels": { crate::labels::RUN_LABEL: RUN } });
        let created = store.create(lease, json!({ "metadata": labels }));
        created.expect("it is the first");
        let shop = "/apis/apps/v1/namespaces/prod/deployments/shop";
        let label = |shop: &mut Value| shop["metadata"]["labels"] = labels["labels"].clone();
        store.update(shop, label).expect("it exists");
    };
    let first_look = Behaviour::After(Box::new(began));
    bed.server.script("GET deployments", 1, first_look);
    let ended = recovered(&bed).await;
    assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
    assert_eq!(bed.server.writes(), [""; 0], "it is left alone");
}

#[tokio::test(start_paused = true)]
async fn a_claim_that_was_made_anew_meanwhile_is_no_pass_of_recover() {
    let claim = crate::testing::application::bound_claim("data", "pv");
    let bed = TestBed::with([deployment("shop", 3), claim]);
    let mut intent = intent_of_shop();
    intent.claims = vec![chaos_common::record::ClaimRef {
        namespace: NAMESPACE.to_owned(),
        name: "data".to_owned(),
        uid: "before".to_owned(),
        volume: Some("pv".to_owned()),
    }];
    let declared = intent.declare(&bed.server.cluster()).await;
    declared.expect("declared");
    let ended = recovered(&bed).await;
    assert_eq!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
    let message = ended.message("recover.run").unwrap_or_default();
    assert!(message.contains("claim/data is another one"), "{message}");
    assert_eq!(bed.server.names("lease"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_journal_of_last_week_says_nothing_of_a_value_that_nobody_labelled() {
    let bed = TestBed::with([deployment("shop", 0)]);
    let mut intent = intent_of_shop();
    intent.since = Time(intent.since.0 - jiff::SignedDuration::from_hours(24 * 7));
    let mut plan = plan(&intent.changes, &["shop"]);
    plan.cluster.id = "c".to_owned();
    let began = Entry::Began {
        intent: Box::new(intent),
        plan: Box::new(plan),
    };
    let made = Journal::create(&bed.path("journals"), RUN);
    made.and_then(|mut made| made.write(&began))
        .expect("written");
    assert_eq!(shown(&bed).await.exit, Exit::Pass);
}

#[tokio::test(start_paused = true)]
async fn a_run_whose_lease_somebody_deleted_is_aborted_by_its_journal() {
    for labelled in [true, false] {
        let bed = without_its_lease(true).await;
        if !labelled {
            let off = json!({ "metadata": { "labels": null } });
            bed.server.edit("deployment/shop", &off);
        }
        let ended = aborted(&bed).await;
        assert_eq!(ended.exit, Exit::Pass, "{:#}", ended.record);
        assert_eq!(replicas(&bed), json!(3), "{labelled}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_abort_does_not_say_that_nothing_is_left_where_nobody_knows_what_was_before() {
    let bed = without_its_lease(false).await;
    let ended = aborted(&bed).await;
    assert_eq!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
    assert_eq!(replicas(&bed), json!(0));
}
