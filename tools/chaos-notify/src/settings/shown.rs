//! Every key of `[notify]` is documented where it is defined, and shown in
//! `scripts/ecommerce.toml`.

use std::collections::BTreeSet;

use schemars::schema_for;
use serde_json::Value;

use super::Settings;

/// The names of all properties of a schema; `undocumented` are those without a description.
fn keys(schema: &Value, keys: &mut BTreeSet<String>, undocumented: &mut BTreeSet<String>) {
    match schema {
        Value::Object(map) => {
            let properties = map.get("properties").and_then(Value::as_object);
            for (name, property) in properties.into_iter().flatten() {
                keys.insert(name.clone());
                if property.get("description").is_none() {
                    undocumented.insert(name.clone());
                }
            }
            for inner in map.values() {
                self::keys(inner, keys, undocumented);
            }
        }
        Value::Array(list) => {
            for inner in list {
                self::keys(inner, keys, undocumented);
            }
        }
        _ => {}
    }
}

#[test]
fn every_key_is_documented_and_shown() {
    let (mut all, mut undocumented) = (BTreeSet::new(), BTreeSet::new());
    keys(
        schema_for!(Settings).as_value(),
        &mut all,
        &mut undocumented,
    );
    assert!(all.len() > 25, "the walk has lost its way: {all:?}");
    assert!(undocumented.is_empty(), "{undocumented:?}");
    let example = include_str!("../../../../scripts/ecommerce.toml");
    for key in all {
        let forms = [
            format!("\n{key} ="),
            format!("\n# {key} ="),
            format!("[notify.{key}]"),
            format!("[[notify.{key}]]"),
            format!("[[notify.escalation.{key}]]"),
        ];
        let shown = forms.iter().any(|form| example.contains(form));
        assert!(shown, "scripts/ecommerce.toml does not show {key}");
    }
}
