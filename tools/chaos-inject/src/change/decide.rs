//! What to write next so that a change is applied, or undone: pure decisions on what the object
//! looks like now. Nothing is written on a guess: every write names the UID and the resource
//! version that the decision was made on, so the API server refuses it if the object has changed
//! meanwhile.

use chaos_common::record::{Change, ObjectRef};
use serde_json::{Value, json};

use crate::change::fields;
use crate::labels::{RUN_LABEL, run_of};

/// The next step on the way to a goal.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The goal is reached; where somebody else had a hand in it, what they did.
    Done(Option<String>),
    /// Create this object.
    Create(Value),
    /// Send this strategic merge patch.
    Patch(Value),
    /// Delete the object of this UID.
    Delete(String),
    /// It is being deleted: look again.
    Wait,
    /// It can't be done, because of somebody else.
    Refuse(String),
}

/// The Lease that an object of the run belongs to. A call that arrives after the run has ended then
/// creates an object whose owner is gone, which Kubernetes removes by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The Lease's name.
    pub name: String,
    /// The Lease's UID.
    pub uid: String,
}

/// The next step towards the fault. `now` is the object as it is.
pub fn next_to_apply(change: &Change, now: Option<&Value>, run: &str, owner: &Owner) -> Step {
    match change {
        Change::Patch {
            object,
            field,
            original,
            faulted,
        } => {
            let Some(now) = now.filter(|now| is_same(now, object)) else {
                return Step::Refuse(format!("{object} is not the one of the plan any more"));
            };
            let value = fields::get(now, field);
            match run_of(now) {
                Some(other) if other != run => {
                    Step::Refuse(format!("{object} is held by run {other}"))
                }
                // Our own write, whose answer got lost.
                Some(_) if value == *faulted => Step::Done(None),
                _ if value == *original => Step::Patch(patch(now, Some(run), field, faulted)),
                _ => Step::Refuse(format!(
                    "{object} has {} {value}, and had {original} when the plan was made: \
                     somebody changes it",
                    fields::path(field)
                )),
            }
        }
        Change::Create { object, manifest } => match now {
            Some(now) if run_of(now) == Some(run) => Step::Done(None),
            Some(_) => Step::Refuse(format!("{object} exists already, and is not of this run")),
            None => Step::Create(owned(manifest.clone(), run, owner)),
        },
        Change::Delete { object } => match now {
            Some(now) if is_same(now, object) && !is_terminating(now) => {
                Step::Delete(object.uid.clone().unwrap_or_default())
            }
            _ => Step::Done(None),
        },
    }
}

/// The next step towards the state before. With `fence`, an object that looks untouched is written
/// once all the same: a call of a tool that died may still be on its way, and the new resource
/// version turns it away.
pub fn next_to_undo(change: &Change, now: Option<&Value>, run: &str, fence: bool) -> Step {
    match change {
        Change::Patch {
            object,
            field,
            original,
            faulted,
        } => {
            let Some(now) = now else {
                return Step::Done(Some(format!(
                    "{object} is gone: somebody deleted it, and it can't be restored"
                )));
            };
            if !is_same(now, object) {
                return Step::Done(Some(format!(
                    "{object} was created anew by somebody, and is left as it is"
                )));
            }
            let value = fields::get(now, field);
            match (run_of(now) == Some(run), &value) {
                (true, value) if value == faulted => Step::Patch(patch(now, None, field, original)),
                // The original or somebody else's value: only our label goes.
                (true, _) => Step::Patch(patch(now, None, &[], &Value::Null)),
                (false, value) if value == original && fence => {
                    Step::Patch(patch(now, Some(run), &[], &Value::Null))
                }
                (false, value) if value == original => Step::Done(None),
                // Also where it is the faulted value: without our label, somebody else wrote it.
                (false, value) => Step::Done(Some(format!(
                    "{object} has {} {value}, which somebody else set, and is left so; \
                     it was {original}",
                    fields::path(field)
                ))),
            }
        }
        Change::Create { object, .. } => match now {
            None => Step::Done(None),
            Some(now) if run_of(now) != Some(run) => Step::Done(Some(format!(
                "{object} is not of this run (any more), and is left as it is"
            ))),
            Some(now) if is_terminating(now) => Step::Wait,
            Some(now) => Step::Delete(uid(now).unwrap_or_default().to_owned()),
        },
        // Its controller creates another pod.
        Change::Delete { .. } => Step::Done(None),
    }
}

fn uid(object: &Value) -> Option<&str> {
    object["metadata"]["uid"].as_str()
}

/// Whether this is the object of the plan, and not another one of its name.
fn is_same(now: &Value, object: &ObjectRef) -> bool {
    uid(now) == object.uid.as_deref()
}

fn is_terminating(object: &Value) -> bool {
    !object["metadata"]["deletionTimestamp"].is_null()
}

/// An object of the run: with its label, and owned by its Lease.
fn owned(mut manifest: Value, run: &str, owner: &Owner) -> Value {
    manifest["metadata"]["labels"][RUN_LABEL] = run.into();
    manifest["metadata"]["ownerReferences"] = json!([{
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "name": owner.name,
        "uid": owner.uid,
    }]);
    manifest
}

/// A patch for the object as it is `now` and no other: sets the run's label, or takes it away, and
/// sets a field, if there is one.
fn patch(now: &Value, run: Option<&str>, field: &[String], value: &Value) -> Value {
    let mut patch = if field.is_empty() {
        json!({})
    } else {
        fields::nest(field, value)
    };
    patch["metadata"] = json!({
        "uid": now["metadata"]["uid"], "resourceVersion": now["metadata"]["resourceVersion"],
        "labels": { RUN_LABEL: run },
    });
    patch
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::ObjectRef;

    fn scale() -> Change {
        let object = ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            resource: "deployments".into(),
            namespace: Some("prod".into()),
            name: "shop".into(),
            uid: Some("u1".into()),
        };
        Change::Patch {
            object,
            field: vec!["spec".into(), "replicas".into()],
            original: json!(3),
            faulted: json!(0),
        }
    }

    fn deployment(uid: &str, replicas: u32, label: Option<&str>) -> Value {
        json!({ "metadata": { "uid": uid, "resourceVersion": "7", "labels": { RUN_LABEL: label } }, "spec": { "replicas": replicas } })
    }

    fn make() -> Change {
        let Change::Patch { mut object, .. } = scale() else {
            unreachable!()
        };
        object.uid = None;
        Change::Create {
            object,
            manifest: json!({ "metadata": { "name": "x" } }),
        }
    }

    fn owner() -> Owner {
        Owner {
            name: "lease".into(),
            uid: "l1".into(),
        }
    }

    fn replicas(step: &Step) -> Option<&Value> {
        let Step::Patch(patch) = step else {
            return None;
        };
        patch.get("spec").map(|spec| &spec["replicas"])
    }

    #[test]
    fn a_value_is_only_changed_from_what_the_plan_saw() {
        let step = |now: &Value| next_to_apply(&scale(), Some(now), "r", &owner());
        let first = step(&deployment("u1", 3, None));
        assert_eq!(replicas(&first), Some(&json!(0)));
        let Step::Patch(patch) = first else {
            unreachable!()
        };
        assert_eq!(patch["metadata"]["labels"][RUN_LABEL], "r");
        assert_eq!(
            (
                &patch["metadata"]["uid"],
                &patch["metadata"]["resourceVersion"]
            ),
            (&json!("u1"), &json!("7"))
        );
        assert_eq!(step(&deployment("u1", 0, Some("r"))), Step::Done(None));
        assert!(matches!(step(&deployment("u1", 5, None)), Step::Refuse(_)));
        assert!(
            matches!(step(&deployment("u1", 0, None)), Step::Refuse(_)),
            "somebody else scaled it to 0"
        );
        assert!(matches!(step(&deployment("u2", 3, None)), Step::Refuse(_)));
        assert!(matches!(
            step(&deployment("u1", 3, Some("other"))),
            Step::Refuse(_)
        ));
        assert!(matches!(
            next_to_apply(&scale(), None, "r", &owner()),
            Step::Refuse(_)
        ));
    }

    #[test]
    fn what_is_ours_goes_back_and_what_is_not_stays() {
        let step = |now: &Value, fence| next_to_undo(&scale(), Some(now), "r", fence);
        let back = step(&deployment("u1", 0, Some("r")), false);
        assert_eq!(replicas(&back), Some(&json!(3)));
        let Step::Patch(patch) = back else {
            unreachable!()
        };
        assert_eq!(patch["metadata"]["labels"][RUN_LABEL], Value::Null);
        // Somebody scaled it meanwhile: only our label goes.
        let theirs = step(&deployment("u1", 5, Some("r")), false);
        assert!(matches!(theirs, Step::Patch(_)) && replicas(&theirs).is_none());
        assert!(
            matches!(step(&deployment("u1", 0, None), true), Step::Done(Some(_))),
            "not our zero"
        );
        assert!(matches!(
            step(&deployment("u2", 0, Some("r")), true),
            Step::Done(Some(_))
        ));
        assert!(matches!(
            next_to_undo(&scale(), None, "r", true),
            Step::Done(Some(_))
        ));
        assert_eq!(step(&deployment("u1", 3, None), false), Step::Done(None));
    }

    #[test]
    fn a_fence_makes_a_call_on_its_way_too_late_and_goes_again() {
        let Step::Patch(fence) =
            next_to_undo(&scale(), Some(&deployment("u1", 3, None)), "r", true)
        else {
            panic!("no fence")
        };
        assert_eq!(fence["metadata"]["labels"][RUN_LABEL], "r");
        assert!(fence.get("spec").is_none());
        let Step::Patch(away) =
            next_to_undo(&scale(), Some(&deployment("u1", 3, Some("r"))), "r", true)
        else {
            panic!("it stays")
        };
        assert_eq!(away["metadata"]["labels"][RUN_LABEL], Value::Null);
        assert!(away.get("spec").is_none());
    }

    #[test]
    fn an_object_is_made_once_with_label_and_owner_and_only_ours_is_deleted() {
        let Step::Create(made) = next_to_apply(&make(), None, "r", &owner()) else {
            panic!("not made")
        };
        assert_eq!(made["metadata"]["labels"][RUN_LABEL], "r");
        assert_eq!(made["metadata"]["ownerReferences"][0]["uid"], "l1");
        assert_eq!(
            next_to_apply(
                &make(),
                Some(&deployment("u1", 0, Some("r"))),
                "r",
                &owner()
            ),
            Step::Done(None)
        );
        assert!(matches!(
            next_to_apply(&make(), Some(&deployment("u1", 0, None)), "r", &owner()),
            Step::Refuse(_)
        ));
        assert_eq!(
            next_to_undo(&make(), Some(&deployment("u1", 0, Some("r"))), "r", false),
            Step::Delete("u1".into())
        );
        assert!(matches!(
            next_to_undo(&make(), Some(&deployment("u1", 0, None)), "r", false),
            Step::Done(Some(_))
        ));
        assert_eq!(next_to_undo(&make(), None, "r", true), Step::Done(None));
        let mut going = deployment("u1", 0, Some("r"));
        going["metadata"]["deletionTimestamp"] = json!("2026-11-22T16:00:00Z");
        assert_eq!(next_to_undo(&make(), Some(&going), "r", false), Step::Wait);
    }
}
