//! How an API server merges a patch into an object.

use serde_json::{Map, Value};

/// JSON merge patch (RFC 7386).
pub fn merge(object: &mut Value, patch: &Value) {
    merge_with(object, patch, |_, new| new.clone());
}

/// Strategic merge patch, as far as Kubernetes' types need it here: elements of a list are found by
/// their `name`; a list of others is replaced.
pub fn strategic(object: &mut Value, patch: &Value) {
    merge_with(object, patch, |old, new| {
        let elements = || new.as_array().into_iter().flatten();
        if elements().any(|one| one["name"].is_null()) {
            return new.clone();
        }
        let mut list = old.as_array().cloned().unwrap_or_default();
        for element in elements() {
            let same = |one: &&mut Value| one["name"] == element["name"];
            match list.iter_mut().find(same) {
                Some(one) => strategic(one, element),
                None => list.push(element.clone()),
            }
        }
        list.into()
    });
}

fn merge_with(object: &mut Value, patch: &Value, lists: fn(&Value, &Value) -> Value) {
    match patch {
        Value::Object(fields) => {
            if !object.is_object() {
                *object = Value::Object(Map::new());
            }
            let target = object.as_object_mut().expect("it is one now");
            for (name, value) in fields {
                if value.is_null() {
                    target.remove(name);
                } else {
                    merge_with(
                        target.entry(name.clone()).or_insert(Value::Null),
                        value,
                        lists,
                    );
                }
            }
        }
        Value::Array(_) => *object = lists(object, patch),
        _ => *object = patch.clone(),
    }
}
