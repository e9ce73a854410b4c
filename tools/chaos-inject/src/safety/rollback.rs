//! Undoes all that an intent says, from wherever it is known: the tool itself, its guardian, or
//! `recover` on another machine.

use std::io::Write as _;
use std::time::Duration;

use chaos_common::cluster::Cluster;
use chaos_common::output::printable_lines;
use chaos_common::record::Change;
use futures::future::{join, join_all};
use serde_json::Value;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use crate::change::apply::{self, Undo};
use crate::change::decide::Note;
use crate::change::fields;
use crate::safety::intent::{Intent, ReleaseError};

/// A call of a process that died may be carried out this much later: the Leases are deleted again
/// then, counted from the first time.
const LATE: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_millis(1200),
];

/// What was created is deleted after what was changed is set back, or after this time.
const SET_BACK_FIRST: Duration = Duration::from_secs(1);

/// What came of an undo.
#[derive(Clone, Debug, Default)]
pub struct RolledBack {
    /// What was undone, a sentence each.
    pub actions: Vec<String>,
    /// What somebody else did meanwhile, which was left so.
    pub notes: Vec<String>,
    /// Of these, what leaves less than before: the run does not pass.
    pub less: Vec<String>,
    /// What is not undone, and why.
    pub failed: Vec<String>,
}

/// Undoes every change, all at the same time, and looks until the cluster shows it. With `fence`,
/// calls of a process that died and may still be on their way are turned away. `refused` hears of
/// each object that is not undone at the first attempt, at once, in the words of whoever is in the
/// way.
pub async fn roll_back(
    cluster: &Cluster,
    intent: &Intent,
    fence: bool,
    refused: &(dyn Fn(&str) + Sync),
) -> RolledBack {
    let deadline = intent.deadline();
    let how = Undo {
        fence,
        deadline,
        refused: &|why| {
            let told = format!("the undo is not accepted, and is tried again: {why}");
            refused(&told);
        },
    };
    // Side by side: one object that does not go must not keep the others broken.
    let one = |change| async move {
        let undone = apply::undo(cluster, change, &intent.run, how).await;
        (change, undone)
    };
    let changes = || intent.changes.iter();
    let set_back = changes().filter(|change| matches!(change, Change::Patch { .. }));
    let deleted = changes().filter(|change| matches!(change, Change::Create { .. }));
    let (done, mut waiting) = watch::channel(());
    let set_back = async {
        let undone = join_all(set_back.map(one)).await;
        drop(done);
        undone
    };
    // A policy of ours stays until those that were set aside for it hold again, or nearly so.
    let deleted = async {
        let _ = timeout(SET_BACK_FIRST, waiting.changed()).await;
        join_all(deleted.map(one)).await
    };
    let (set_back, deleted) = join(set_back, deleted).await;
    let mut outcome = RolledBack::default();
    for (change, result) in set_back.into_iter().chain(deleted) {
        match result {
            Ok(None) => outcome.actions.push(describe(change)),
            Ok(Some(Note { text, less })) => {
                if less {
                    outcome.less.push(text.clone());
                }
                outcome.notes.push(text);
            }
            Err(why) => outcome.failed.push(format!("{}: {why}", change.object())),
        }
    }
    outcome
}

/// Says why an undo is not done yet to whoever reads standard error, and waits for nobody's answer.
pub fn to_stderr(why: &str) {
    // Nobody may be there to read it.
    let why = printable_lines(why);
    let _ = writeln!(std::io::stderr(), "chaos-inject: {why}");
}

/// Deletes the Leases of a process that died, also one whose creation was still on its way.
///
/// # Errors
/// Some could not be deleted; says which, and what to type.
pub async fn release_after_crash(cluster: &Cluster, intent: &Intent) -> Result<(), ReleaseError> {
    let start = Instant::now();
    for pause in LATE {
        sleep(pause.saturating_sub(start.elapsed())).await;
        intent.release(cluster).await?;
    }
    Ok(())
}

/// That a change is undone.
fn describe(change: &Change) -> String {
    match change {
        Change::Patch {
            object,
            field,
            original,
            ..
        } => {
            let path = fields::path(field);
            match original {
                Value::Null => format!("{object} has no {path} again"),
                original => format!("{object} has {path} {original} again"),
            }
        }
        Change::Create { object, .. } => format!("{object} is gone"),
        Change::Delete { object } => format!("{object} was left to its controller"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::change::decide::Owner;
    use crate::testing::objects::{
        RUN, create_policy, delete_pod, deployment, intent, scale_to_zero,
    };
    use crate::testing::{ApiServer, Behaviour};

    /// A shop whose Deployments were scaled down and whose network was cut by our run.
    async fn broken() -> (ApiServer, Intent) {
        let server = ApiServer::with([deployment("shop", 3), deployment("db", 1)]);
        let changes = [
            scale_to_zero("shop", 3),
            scale_to_zero("db", 1),
            create_policy("cut"),
        ];
        let intent = intent(&changes, &["shop", "db"]);
        let owners = intent.declare(&server.cluster()).await.expect("declared");
        let owner: &Owner = &owners["prod"];
        for change in &changes {
            let deadline = intent.deadline();
            let applied = apply::apply(&server.cluster(), change, RUN, owner, deadline).await;
            applied.expect("applied");
        }
        (server, intent)
    }

    fn replicas(server: &ApiServer) -> [serde_json::Value; 2] {
        ["deployment/shop", "deployment/db"]
            .map(|name| server.get(name).expect("it exists")["spec"]["replicas"].clone())
    }

    #[tokio::test(start_paused = true)]
    async fn everything_that_the_intent_says_is_undone() {
        let (server, intent) = broken().await;
        let outcome = roll_back(&server.cluster(), &intent, true, &|_| {}).await;
        assert_eq!(
            outcome.actions,
            [
                "deployment/shop has spec.replicas 3 again",
                "deployment/db has spec.replicas 1 again",
                "networkpolicy/cut is gone",
            ]
        );
        assert_eq!(replicas(&server), [json!(3), json!(1)]);
        assert_eq!(server.names("networkpolicy"), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_that_cannot_be_undone_does_not_keep_the_others_broken() {
        let (server, intent) = broken().await;
        server.always("PATCH deployments/db", Behaviour::Status(403));
        let outcome = roll_back(&server.cluster(), &intent, true, &|_| {}).await;
        assert_eq!(outcome.failed.len(), 1, "{outcome:?}");
        assert_eq!(replicas(&server), [json!(3), json!(0)]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_refusal_is_told_at_once_and_once_in_the_words_of_the_policy() {
        let (server, intent) = broken().await;
        server.script("PATCH deployments/db", 12, Behaviour::Status(403));
        let told = std::sync::Mutex::new(Vec::new());
        let start = Instant::now();
        let tell = |why: &str| {
            let told_after = start.elapsed();
            let mut told = told.lock().expect("free");
            told.push((told_after, why.to_owned()));
        };
        let outcome = roll_back(&server.cluster(), &intent, true, &tell).await;
        assert!(outcome.failed.is_empty(), "{outcome:?}");
        assert!(start.elapsed() > Duration::from_secs(5), "it was tried on");
        let told = told.into_inner().expect("free");
        let [(after, why)] = told.as_slice() else {
            panic!("once: {told:?}")
        };
        assert!(*after < Duration::from_millis(100), "{after:?}");
        assert!(why.contains("deployment/db"), "{why}");
        assert!(why.contains("Forbidden by the test"), "{why}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_rollback_finds_everything_undone() {
        let (server, intent) = broken().await;
        roll_back(&server.cluster(), &intent, true, &|_| {}).await;
        let outcome = roll_back(&server.cluster(), &intent, true, &|_| {}).await;
        assert!(outcome.failed.is_empty(), "{outcome:?}");
        assert_eq!(replicas(&server), [json!(3), json!(1)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deleted_pod_is_left_to_its_controller() {
        let server = ApiServer::default();
        let outcome = roll_back(
            &server.cluster(),
            &intent(&[delete_pod("a")], &["shop"]),
            true,
            &|_| {},
        )
        .await;
        assert!(
            outcome.actions.is_empty() && outcome.failed.is_empty(),
            "{outcome:?}"
        );
        assert_eq!(server.writes(), [""; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lease_that_arrives_after_the_death_of_its_run_is_deleted_too() {
        let (server, intent) = broken().await;
        let (cluster, late) = (server.cluster(), intent.clone());
        intent.release(&server.cluster()).await.expect("released");
        tokio::spawn(async move {
            sleep(Duration::from_millis(900)).await;
            late.declare(&cluster).await.expect("it was on its way");
        });
        release_after_crash(&server.cluster(), &intent)
            .await
            .expect("released");
        assert_eq!(server.names("lease"), [""; 0]);
    }
}
