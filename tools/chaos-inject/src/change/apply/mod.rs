//! Applies changes and undoes them: looks, lets [`crate::change::decide`] decide, writes, and looks
//! again, through whatever the API server does meanwhile, until a deadline.

use std::time::Duration;

use chaos_common::cluster::{Cluster, ReadError, error_chain, may_succeed_later};
use chaos_common::record::{Change, ObjectRef};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::change::decide::{Note, Owner, Step, next_to_apply, next_to_undo};
use crate::change::ownership::FIELD_MANAGER;

/// Time that one call may take before it is made again.
const CALL: Duration = Duration::from_secs(5);
/// How long a dry run is tried.
const DRY_RUN: Duration = Duration::from_secs(15);
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

/// Whether the API server would accept the write of a change: a dry run, which leaves nothing. An
/// object that is not as the plan found it is not written at all. It leaves nothing, and so is tried
/// again where an API server that has more to do may answer the next time.
///
/// # Errors
/// As the API server's.
pub async fn dry_run(cluster: &Cluster, change: &Change) -> kube::Result<()> {
    let mut pauses = Pauses::until(Instant::now() + DRY_RUN);
    loop {
        match dry_run_once(cluster, change).await {
            Err(error) if may_succeed_later(&error) && pauses.wait().await => {}
            result => return result,
        }
    }
}

async fn dry_run_once(cluster: &Cluster, change: &Change) -> kube::Result<()> {
    // No run has this id, and the Lease that will own the object is not there yet.
    let nobody = Owner {
        name: String::new(),
        uid: String::new(),
    };
    let now = match change {
        Change::Create { .. } => None,
        _ => read_object(cluster, change.object()).await?,
    };
    let mut step = next_to_apply(change, now.as_ref(), "dry-run", &nobody);
    if let Step::Create(manifest) = &mut step {
        manifest["metadata"]["ownerReferences"] = Value::Null;
    }
    send(cluster, change.object(), &step, true).await
}

async fn write(cluster: &Cluster, object: &ObjectRef, step: &Step) -> kube::Result<()> {
    send(cluster, object, step, false).await
}

async fn send(
    cluster: &Cluster,
    object: &ObjectRef,
    step: &Step,
    dry_run: bool,
) -> kube::Result<()> {
    let api = api(cluster, object);
    match step {
        Step::Create(manifest) => {
            let made: DynamicObject =
                serde_json::from_value(manifest.clone()).map_err(kube::Error::SerdeError)?;
            let params = PostParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                dry_run,
            };
            in_time(api.create(&params, &made)).await.map(|_| ())
        }
        Step::Patch(patch) => in_time(api.patch(
            &object.name,
            &PatchParams {
                field_manager: Some(FIELD_MANAGER.to_owned()),
                dry_run,
                ..PatchParams::default()
            },
            &match object.custom_group() {
                None => Patch::Strategic(patch),
                // The API server knows no strategy for custom resources.
                Some(_) => Patch::Merge(patch),
            },
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
    let is_delete = matches!(change, Change::Delete { .. });
    // A pod is deleted by its UID: there is nothing to look at before.
    let of_plan = object.uid.clone().filter(|_| is_delete);
    let mut next = of_plan.map(Step::Delete);
    loop {
        let step = match next.take() {
            Some(step) => Ok(step),
            None => read_object(cluster, object)
                .await
                .map(|now| next_to_apply(change, now.as_ref(), run, owner)),
        };
        let error = match step {
            Ok(Step::Done(_)) if is_delete && maybe_applied.is_none() => {
                return Err(NotApplied {
                    why: format!("{object} is gone already: somebody else took it away"),
                    maybe_applied,
                });
            }
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

/// How a change is undone.
#[derive(Clone, Copy)]
pub struct Undo<'a> {
    /// See [`next_to_undo`].
    pub fence: bool,
    /// When it is given up.
    pub deadline: Instant,
    /// Hears why it is not undone yet, at once, and once for each change: somebody may be needed
    /// now.
    pub refused: &'a (dyn Fn(&str) + Sync),
}

/// Undoes a change and looks until the cluster shows it. A note says what somebody else did to the
/// object.
///
/// # Errors
/// It is not undone at the deadline; says what stands in the way.
pub async fn undo(
    cluster: &Cluster,
    change: &Change,
    run: &str,
    how: Undo<'_>,
) -> Result<Option<Note>, NotUndone> {
    let object = change.object();
    let mut pauses = Pauses::until(how.deadline);
    let (mut fence, mut writes, mut told) = (how.fence, 0, false);
    loop {
        // Whatever the API server answers to a write: only a look that shows the state before ends
        // this early. An undo is done when the system shows it, not when a call returned.
        let (last, refused) = match read_object(cluster, object).await {
            Err(error) => (describe(object, &error), true),
            Ok(now) => match next_to_undo(change, now.as_ref(), run, fence) {
                Step::Done(note) => return Ok(note),
                Step::Wait => {
                    let why = format!(
                        "{object} is being deleted, and does not go: something holds it \
                         (a finalizer, or its node)"
                    );
                    (why, false)
                }
                // Only a person knows what is right: waiting does not help.
                Step::Refuse(why) => return Err(NotUndone(why)),
                step => match write(cluster, object, &step).await {
                    Ok(()) => {
                        // One write is enough to outdate a call that is still on its way.
                        fence = false;
                        writes += 1;
                        if writes <= QUICK_WRITES {
                            continue;
                        }
                        let why = format!(
                            "{object} still shows the fault, though the API server accepts \
                             every write: something sets it again"
                        );
                        (why, true)
                    }
                    Err(error) => (describe(object, &error), !is_stale(&error)),
                },
            },
        };
        if refused && !told {
            (how.refused)(&last);
            told = true;
        }
        if !pauses.wait().await {
            return Err(NotUndone(last));
        }
    }
}

#[cfg(test)]
mod tests;
