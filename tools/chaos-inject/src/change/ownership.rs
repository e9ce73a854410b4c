//! Who wrote a field, as the API server keeps it in an object's `managedFields`. A label can be
//! taken off an object, and an export carries it along; this stays with the value.

use serde_json::{Map, Value};

/// The name under which this tool writes to objects of others.
pub const FIELD_MANAGER: &str = "chaos-inject";

/// Who wrote the value that a field has now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Writer {
    /// This tool.
    Ours,
    /// Somebody else: the names that the API server has for them.
    Others(Vec<String>),
    /// The object does not say.
    Unknown,
}

/// What the API server keeps of those who wrote a field: an entry of `managedFields` for each. See
/// [`crate::change::fields`] for the way to a field.
pub fn entries<'o>(object: &'o Value, field: &[String]) -> impl Iterator<Item = &'o Value> {
    all_entries(object).filter(|entry| holds(&entry["fieldsV1"], field))
}

/// Whether an entry's fields hold this one, or something that is only written as a whole and that
/// it is a part of.
fn holds(mut fields: &Value, field: &[String]) -> bool {
    for (n, part) in field.iter().enumerate() {
        match fields.get(key(part)) {
            Some(inner) => fields = inner,
            None => return n > 0 && *fields == Value::Object(Map::new()),
        }
    }
    true
}

fn all_entries(object: &Value) -> impl Iterator<Item = &Value> {
    let entries = object["metadata"]["managedFields"].as_array();
    entries.into_iter().flatten()
}

/// The writer of a field.
pub fn writer(object: &Value, field: &[String]) -> Writer {
    let managers: Vec<&str> = entries(object, field)
        .filter_map(|entry| entry["manager"].as_str())
        .collect();
    if managers.is_empty() {
        Writer::Unknown
    } else if managers.contains(&FIELD_MANAGER) {
        Writer::Ours
    } else {
        Writer::Others(managers.into_iter().map(str::to_owned).collect())
    }
}

/// Whether this tool wrote any of an object.
pub fn wrote_any(object: &Value) -> bool {
    all_entries(object).any(|entry| entry["manager"] == FIELD_MANAGER)
}

/// A part of a field's way, as `fieldsV1` names it.
fn key(part: &str) -> String {
    match part
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        Some(name) => format!("k:{{\"name\":\"{name}\"}}"),
        None => format!("f:{part}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn managed(managers: &[&str]) -> Value {
        let entry = |name: &&str| {
            json!({ "manager": name, "operation": "Update",
                "fieldsV1": { "f:spec": { "f:replicas": {} } } })
        };
        let entries: Vec<Value> = managers.iter().map(entry).collect();
        json!({ "metadata": { "managedFields": entries } })
    }

    #[test]
    fn the_writer_of_a_field_is_known_by_its_manager() {
        let field = ["spec".to_owned(), "replicas".to_owned()];
        let by = |managers: &[&str]| writer(&managed(managers), &field);
        assert_eq!(by(&["kubectl"]), Writer::Others(vec!["kubectl".into()]));
        assert_eq!(by(&["kubectl", FIELD_MANAGER]), Writer::Ours);
        assert_eq!(by(&[]), Writer::Unknown);
        let other = ["spec".to_owned(), "paused".to_owned()];
        assert_eq!(writer(&managed(&["kubectl"]), &other), Writer::Unknown);
        let image = ["spec", "containers", "[shop]", "image"].map(str::to_owned);
        let fields =
            json!({ "f:spec": { "f:containers": { "k:{\"name\":\"shop\"}": { "f:image": {} } } } });
        let object =
            json!({ "metadata": { "managedFields": [{ "manager": "helm", "fieldsV1": fields }] } });
        assert_eq!(writer(&object, &image), Writer::Others(vec!["helm".into()]));
    }

    #[test]
    fn what_is_only_written_as_a_whole_is_known_by_its_parts() {
        let terms = ["spec", "podSelector", "matchExpressions"].map(str::to_owned);
        let by = |fields: Value| {
            let entry = json!({ "manager": "helm", "fieldsV1": fields });
            writer(&json!({ "metadata": { "managedFields": [entry] } }), &terms)
        };
        let helm = Writer::Others(vec!["helm".into()]);
        assert_eq!(by(json!({ "f:spec": { "f:podSelector": {} } })), helm);
        let other = json!({ "f:spec": { "f:ingress": {} } });
        assert_eq!(by(other), Writer::Unknown);
        assert_eq!(by(json!({})), Writer::Unknown);
    }
}
