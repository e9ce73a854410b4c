use tokio::task::LocalSet;

use super::*;
use crate::abort::{self, Abort};
use crate::testing::Behaviour;
use crate::testing::objects::{deployment, plan, scale_to_zero};
use crate::testing::test_bed::TestBed;

const LEASE: &str = "chaos-deployment-shop";

fn bed() -> TestBed {
    let mut bed = TestBed::with([deployment("shop", 3)]);
    bed.config = "[experiment]\nundo_limit = \"10s\"\n".to_owned();
    bed
}

async fn declared(context: &mut Context) -> (Result<Guarded, Check>, Abort) {
    let (alarm, abort) = AbortSignal::new();
    let plan = plan(&[scale_to_zero("shop", 3)], &["shop"]);
    (Guarded::declare(context, &plan, &alarm).await, abort)
}

/// A guarded run that ends so; gives what is left of Leases, and the issues.
async fn ended(bed: &TestBed, outcome: Outcome, taken_back: bool) -> (Vec<String>, Vec<String>) {
    let mut context = bed.context();
    let test = async {
        let (guarded, abort) = declared(&mut context).await;
        let guarded = guarded.map_err(|check| check.message).expect("declared");
        assert_eq!(bed.server.names("lease"), [LEASE]);
        guarded.end(&mut context, outcome, taken_back).await;
        assert_eq!(abort::reason(&abort), None, "an orderly end is no alarm");
    };
    LocalSet::new().run_until(test).await;
    (bed.server.names("lease"), context.issues)
}

#[tokio::test(start_paused = true)]
async fn the_lease_of_a_target_owns_what_the_run_makes_beside_it() {
    let bed = bed();
    let mut context = bed.context();
    let test = async {
        let (guarded, _abort) = declared(&mut context).await;
        let guarded = guarded.map_err(|check| check.message).expect("declared");
        let lease = bed.server.get(&format!("lease/{LEASE}"));
        let uid = lease.expect("it is there")["metadata"]["uid"].clone();
        assert_eq!(guarded.owners["prod"].uid, uid);
        assert_eq!(guarded.intent.changes.len(), 1);
        guarded.end(&mut context, Outcome::Completed, true).await;
    };
    LocalSet::new().run_until(test).await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_over_releases_its_target() {
    for outcome in [Outcome::Completed, Outcome::Aborted, Outcome::Refused] {
        let (leases, issues) = ended(&bed(), outcome, true).await;
        assert_eq!(leases, [""; 0], "{outcome:?}");
        assert_eq!(issues, [""; 0], "{outcome:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_undone_and_not_whole_stays_locked() {
    let (leases, _) = ended(&bed(), Outcome::NotRestored, true).await;
    assert_eq!(leases, [LEASE]);
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_can_not_be_deleted_is_an_issue_with_what_to_type() {
    let bed = bed();
    bed.server.always("DELETE leases", Behaviour::Status(403));
    bed.server.always("PATCH leases", Behaviour::Status(403));
    let (leases, issues) = ended(&bed, Outcome::Completed, true).await;
    assert_eq!(leases, [LEASE]);
    let told = format!("kubectl delete lease {LEASE} -n prod");
    assert!(issues[0].contains(&told), "{issues:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_state_folder_there_is_no_run_and_no_lease() {
    let bed = bed();
    let mut context = bed.context();
    context.journals = Err(crate::safety::journal::NoStateFolder);
    let test = async {
        let (guarded, _abort) = declared(&mut context).await;
        let refused = guarded.err().expect("there is no place for a journal");
        assert_eq!(refused.id, "intent.journal");
        assert!(refused.hint.is_some(), "it says what to do");
    };
    LocalSet::new().run_until(test).await;
    assert_eq!(bed.server.writes(), [""; 0]);
}
