//! What to write next so that a change is applied, or undone: pure decisions on what the object
//! looks like now. Nothing is written on a guess: every write names the UID and the resource
//! version that the decision was made on, so the API server refuses it if the object has changed
//! meanwhile.

use chaos_common::record::{Change, ObjectRef};
use serde_json::{Value, json};

use crate::change::fields;
use crate::change::ownership::{self, Writer};
use crate::labels::{RUN_LABEL, run_of};

/// The next step on the way to a goal.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// The goal is reached; where somebody else had a hand in it, what they did.
    Done(Option<Note>),
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

/// What somebody else did to an object, which is left so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// What they did, for people.
    pub text: String,
    /// The object has less than before: nothing of this ends in a pass.
    pub less: bool,
}

impl Note {
    /// Something that takes nothing away.
    fn of(text: String) -> Note {
        Note { text, less: false }
    }

    /// Something that leaves less than before.
    fn less(text: String) -> Note {
        Note { text, less: true }
    }
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
        Change::Patch { object, .. } => match now {
            None => Step::Done(Some(Note::less(format!(
                "{object} is gone: somebody deleted it, and it can't be restored"
            )))),
            Some(now) => next_to_set_back(change, now, run, fence),
        },
        Change::Create { object, .. } => match now {
            None => Step::Done(None),
            Some(now) if !is_ours(now, run) => Step::Done(Some(Note::of(format!(
                "{object} is not of this run (any more), and is left as it is"
            )))),
            Some(now) if is_terminating(now) => Step::Wait,
            Some(now) => Step::Delete(uid(now).unwrap_or_default().to_owned()),
        },
        // Its controller creates another pod.
        Change::Delete { .. } => Step::Done(None),
    }
}

/// The next step for a field that was set, by what it holds now and who wrote that. Neither the
/// object's UID nor our label decides alone: an object that is made anew from an export carries our
/// value, and somebody may take the label off.
fn next_to_set_back(change: &Change, now: &Value, run: &str, fence: bool) -> Step {
    let Change::Patch {
        object,
        field,
        original,
        faulted,
    } = change
    else {
        return Step::Done(None);
    };
    let value = fields::get(now, field);
    let (same, label) = (is_same(now, object), run_of(now));
    let labelled = label == Some(run);
    let path = fields::path(field);
    if value == *original {
        return match label {
            Some(_) if labelled => Step::Patch(patch(now, None, &[], &Value::Null)),
            None if same && fence => Step::Patch(patch(now, Some(run), &[], &Value::Null)),
            _ => Step::Done(None),
        };
    }
    let writer = ownership::writer(now, field);
    if value == *faulted {
        // Our own value: by the label, or by who wrote it where nobody else's label is there.
        let ours = labelled || (same && label.is_none() && !matches!(writer, Writer::Others(_)));
        if ours {
            return Step::Patch(patch(now, None, field, original));
        }
        if !same {
            return Step::Refuse(format!(
                "{object} was made anew by somebody, and has {path} {value} as under the fault; \
                 it was {original}: set it back"
            ));
        }
    }
    if labelled {
        // Somebody else's value: only our label goes.
        return Step::Patch(patch(now, None, &[], &Value::Null));
    }
    let who = match writer {
        Writer::Others(names) => format!(" ({})", names.join(", ")),
        Writer::Ours | Writer::Unknown => String::new(),
    };
    let anew = if same { "" } else { " was made anew," };
    let text = format!(
        "{object}{anew} has {path} {value}, which somebody else set{who}, and is left so; \
         it was {original}"
    );
    Step::Done(Some(Note {
        text,
        less: is_less(&value, original),
    }))
}

/// Whether a value is less than the one of before. What can't be compared is.
fn is_less(value: &Value, original: &Value) -> bool {
    match (value.as_f64(), original.as_f64()) {
        (Some(value), Some(original)) => value < original,
        _ => true,
    }
}

/// Whether an object is the one that the run created: by its label; or, where somebody took that
/// off, by who wrote it.
fn is_ours(now: &Value, run: &str) -> bool {
    match run_of(now) {
        Some(other) => other == run,
        None => ownership::wrote_any(now),
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
mod tests;
