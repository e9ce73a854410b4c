//! Who wrote which field, as an API server keeps it in `managedFields`. Lists are one field here.

use serde_json::{Value, json};

/// Notes that `manager` made `new` of `old`: what it changed in the spec is its own now.
pub fn note(old: &Value, new: &mut Value, manager: &str) {
    let mut changed = Vec::new();
    differences(
        &old["spec"],
        &new["spec"],
        &mut vec!["spec".to_owned()],
        &mut changed,
    );
    if changed.is_empty() {
        return;
    }
    let mut entries = new["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    for path in &changed {
        for entry in &mut entries {
            drop_field(&mut entry["fieldsV1"], path);
        }
    }
    if entries.iter().all(|entry| entry["manager"] != manager) {
        entries.push(json!({ "manager": manager, "operation": "Update", "fieldsV1": {} }));
    }
    let ours = entries.iter_mut().find(|entry| entry["manager"] == manager);
    let ours = ours.expect("it was added");
    for path in &changed {
        let mut at = &mut ours["fieldsV1"];
        for part in path {
            at = &mut at[format!("f:{part}")];
        }
        if at.is_null() {
            *at = json!({});
        }
    }
    new["metadata"]["managedFields"] = entries.into();
}

/// The ways to all fields of two values that differ.
fn differences(old: &Value, new: &Value, at: &mut Vec<String>, found: &mut Vec<Vec<String>>) {
    if old == new {
        return;
    }
    match new {
        Value::Object(fields) if !fields.is_empty() => {
            for (name, value) in fields {
                at.push(name.clone());
                differences(&old[name], value, at, found);
                at.pop();
            }
        }
        _ => found.push(at.clone()),
    }
}

fn drop_field(fields: &mut Value, path: &[String]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let Some(fields) = fields.as_object_mut() else {
        return;
    };
    let key = format!("f:{first}");
    if rest.is_empty() {
        fields.remove(&key);
    } else if let Some(inner) = fields.get_mut(&key) {
        drop_field(inner, rest);
    }
}
