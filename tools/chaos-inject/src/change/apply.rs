//! Applies changes and undoes them: looks, lets [`crate::change::decide`] decide, writes, and looks
//! again, through whatever the API server does meanwhile, until a deadline.

use std::time::Duration;

use chaos_common::cluster::{Cluster, ReadError, error_chain, may_succeed_later};
use chaos_common::record::{Change, ObjectRef};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::change::decide::{Owner, Step, next_to_apply, next_to_undo};

/// Time that one call may take before it is made again.
const CALL: Duration = Duration::from_secs(5);
/// Pause after the first failure or conflict; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Writes of an undo that the next look follows at once: the fence, the value, and one more for an
/// object that somebody changes meanwhile.
const QUICK_WRITES: u32 = 3;

/// A change that was applied.
#[derive(Clone, Copy, Debug)]
pub struct Applied {
    /// When the call was sent.
    pub sent: Instant,
    /// When its answer came.
    pub accepted: Instant,
    /// A call was not answered, so that it may still be on its way.
    pub uncertain: bool,
}

/// A change that was not applied, or perhaps was.
#[derive(Clone, Debug)]
pub struct NotApplied {
    /// Why.
    pub why: String,
    /// When a call was sent that may have been carried out, though its answer does not say so.
    pub maybe_applied: Option<Instant>,
}

/// How to reach objects of the kind of this one.
pub fn api(cluster: &Cluster, object: &ObjectRef) -> Api<DynamicObject> {
    let (group, version) = object
        .api_version
        .split_once('/')
        .unwrap_or(("", &object.api_version));
    let kind = GroupVersionKind::gvk(group, version, &object.kind);
    let resource = ApiResource::from_gvk_with_plural(&kind, &object.resource);
    match &object.namespace {
        Some(namespace) => Api::namespaced_with(cluster.client.clone(), namespace, &resource),
        None => Api::all_with(cluster.client.clone(), &resource),
    }
}

/// The object as it is now.
///
/// # Errors
/// As the API server's; no answer in time is one, too.
pub async fn read_object(cluster: &Cluster, object: &ObjectRef) -> kube::Result<Option<Value>> {
    let api = api(cluster, object);
    let found = in_time(api.get_opt(&object.name)).await?;
    Ok(found.map(|found| serde_json::to_value(found).expect("an object is JSON")))
}

async fn in_time<T>(call: impl Future<Output = kube::Result<T>>) -> kube::Result<T> {
    let late = |_| {
        Err(kube::Error::Service(
            format!("no answer in {} s", CALL.as_secs()).into(),
        ))
    };
    timeout(CALL, call).await.unwrap_or_else(late)
}

async fn write(cluster: &Cluster, object: &ObjectRef, step: &Step) -> kube::Result<()> {
    let api = api(cluster, object);
    match step {
        Step::Create(manifest) => {
            let made: DynamicObject =
                serde_json::from_value(manifest.clone()).map_err(kube::Error::SerdeError)?;
            in_time(api.create(&PostParams::default(), &made))
                .await
                .map(|_| ())
        }
        Step::Patch(patch) => in_time(api.patch(
            &object.name,
            &PatchParams::default(),
            &Patch::Strategic(patch),
        ))
        .await
        .map(|_| ()),
        Step::Delete(uid) => {
            let mut params = DeleteParams::default().preconditions(Preconditions {
                uid: Some(uid.clone()),
                resource_version: None,
            });
            if object.kind == "Pod" && object.uid.is_none() {
                // A pod of our own has nothing to finish.
                params = params.grace_period(1);
            }
            in_time(api.delete(&object.name, &params)).await.map(|_| ())
        }
        Step::Done(_) | Step::Wait | Step::Refuse(_) => Ok(()),
    }
}

/// The object has changed since we looked, or is there or gone against expectation: look again.
fn is_stale(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if matches!(status.code, 404 | 409 | 410))
}

/// Pauses that double, up to a deadline.
struct Pauses {
    pause: Duration,
    end: Instant,
}

impl Pauses {
    fn until(end: Instant) -> Pauses {
        Pauses {
            pause: FIRST_PAUSE,
            end,
        }
    }

    /// Waits; `false` if the deadline would pass meanwhile.
    async fn wait(&mut self) -> bool {
        if Instant::now() + self.pause >= self.end {
            return false;
        }
        sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        true
    }
}

/// Applies a change: nothing is written twice, and nothing is written on an object that has changed
/// since it was looked at.
///
/// # Errors
/// Somebody else stands in the way, the API server does not accept it, or the deadline passed.
pub async fn apply(
    cluster: &Cluster,
    change: &Change,
    run: &str,
    owner: &Owner,
    deadline: Instant,
) -> Result<Applied, NotApplied> {
    let object = change.object();
    let mut pauses = Pauses::until(deadline);
    let (mut maybe_applied, mut last) = (None, String::new());
    // A pod is deleted by its UID: there is nothing to look at before.
    let mut next = match (change, &object.uid) {
        (Change::Delete { .. }, Some(uid)) => Some(Step::Delete(uid.clone())),
        _ => None,
    };
    loop {
        let step = match next.take() {
            Some(step) => Ok(step),
            None => read_object(cluster, object)
                .await
                .map(|now| next_to_apply(change, now.as_ref(), run, owner)),
        };
        let error = match step {
            // Not written by this attempt: an earlier one, which was not answered, has arrived.
            Ok(Step::Done(_)) => {
                let now = Instant::now();
                return Ok(Applied {
                    sent: maybe_applied.unwrap_or(now),
                    accepted: now,
                    uncertain: false,
                });
            }
            Ok(Step::Refuse(why)) => return Err(NotApplied { why, maybe_applied }),
            Ok(Step::Wait) => None,
            Ok(step) => {
                let sent = Instant::now();
                match write(cluster, object, &step).await {
                    Ok(()) => {
                        return Ok(Applied {
                            sent: maybe_applied.unwrap_or(sent),
                            accepted: Instant::now(),
                            uncertain: maybe_applied.is_some(),
                        });
                    }
                    // Refused, and so surely not applied.
                    Err(error) if is_stale(&error) => last = error_chain(&error),
                    // Not answered, or with an error after which it may have been carried out.
                    Err(error) if may_succeed_later(&error) => {
                        maybe_applied.get_or_insert(sent);
                        last = error_chain(&error);
                    }
                    Err(error) => return Err(not_applied(object, &error, maybe_applied)),
                }
                None
            }
            Err(error) => Some(error),
        };
        match error {
            Some(error) if may_succeed_later(&error) => last = error_chain(&error),
            Some(error) => return Err(not_applied(object, &error, maybe_applied)),
            None => {}
        }
        if !pauses.wait().await {
            return Err(NotApplied {
                why: format!("{object}: {last}"),
                maybe_applied,
            });
        }
    }
}

fn not_applied(object: &ObjectRef, error: &kube::Error, maybe: Option<Instant>) -> NotApplied {
    NotApplied {
        why: describe(object, error),
        maybe_applied: maybe,
    }
}

fn describe(object: &ObjectRef, error: &kube::Error) -> String {
    ReadError::from_kube(format!("change {object}"), error).to_string()
}

/// What stands in the way of an undo that is not done at its deadline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotUndone(String);

/// Undoes a change and looks until the cluster shows it. A note says what somebody else did to the
/// object. For `fence` see [`next_to_undo`].
///
/// # Errors
/// It is not undone at the deadline; says what stands in the way.
pub async fn undo(
    cluster: &Cluster,
    change: &Change,
    run: &str,
    mut fence: bool,
    deadline: Instant,
) -> Result<Option<String>, NotUndone> {
    let object = change.object();
    let mut pauses = Pauses::until(deadline);
    let mut writes = 0;
    loop {
        // Whatever the API server answers to a write: only a look that shows the state before ends
        // this early. An undo is done when the system shows it, not when a call returned.
        let last = match read_object(cluster, object).await {
            Err(error) => describe(object, &error),
            Ok(now) => match next_to_undo(change, now.as_ref(), run, fence) {
                Step::Done(note) => return Ok(note),
                Step::Wait => format!(
                    "{object} is being deleted, and does not go: something holds it \
                     (a finalizer, or its node)"
                ),
                Step::Refuse(why) => why,
                step => match write(cluster, object, &step).await {
                    Ok(()) => {
                        // One write is enough to outdate a call that is still on its way.
                        fence = false;
                        writes += 1;
                        if writes <= QUICK_WRITES {
                            continue;
                        }
                        format!(
                            "{object} still shows the fault, though the API server accepts \
                             every write: something sets it again"
                        )
                    }
                    Err(error) => describe(object, &error),
                },
            },
        };
        if !pauses.wait().await {
            return Err(NotUndone(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    use crate::testing::objects::{
        RUN, create_policy, delete_pod, deployment, network_policy, pod, replica_set,
        scale_to_zero, uid,
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

    async fn undo_in(server: &ApiServer, change: &Change) -> Result<Option<String>, NotUndone> {
        undo(&server.cluster(), change, RUN, false, in_seconds(10)).await
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
        apply_to(&server, &delete_pod("a"))
            .await
            .expect("its pod is gone");
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

    #[tokio::test(start_paused = true)]
    async fn an_undo_leaves_an_object_that_was_created_anew() {
        let server = scaled().await;
        server.remove(SHOP);
        let mut other = deployment("shop", 0);
        other["metadata"]["uid"] = "another".into();
        server.add(other);
        let note = undo_in(&server, &scale_to_zero("shop", 3))
            .await
            .expect("done");
        assert!(note.expect("it says so").contains("created anew"));
        assert_eq!(replicas(&server), json!(0));
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
        undo(
            &server.cluster(),
            &scale_to_zero("shop", 3),
            RUN,
            true,
            in_seconds(10),
        )
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
}
