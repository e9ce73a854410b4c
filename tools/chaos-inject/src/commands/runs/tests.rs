//! The commands that see and stop runs, from a machine that knows of them only what they wrote into
//! the cluster.

use chaos_common::exit::Exit;
use chaos_common::record::Time;
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use super::*;
use crate::change::apply;
use crate::safety::leases::abort_requested;
use crate::testing::objects::{NAMESPACE, RUN, deployment, intent, scale_to_zero};
use crate::testing::test_bed::{Ended, TestBed};
use crate::testing::{ApiServer, Behaviour};

const PATCH: &str = "PATCH deployments/shop";

fn intent_of_shop() -> Intent {
    intent(&[scale_to_zero("shop", 3)], &["shop"])
}

/// A run declared its intent and scaled the shop to zero. Whether it lives, the test says.
async fn with_a_run() -> TestBed {
    let bed = TestBed::with([deployment("shop", 3)]);
    let (cluster, intent) = (bed.server.cluster(), intent_of_shop());
    let owners = intent.declare(&cluster).await.expect("declared");
    let (change, deadline) = (&intent.changes[0], intent.deadline());
    let applied = apply::apply(&cluster, change, RUN, &owners[NAMESPACE], deadline).await;
    applied.expect("applied");
    bed
}

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
