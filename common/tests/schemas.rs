//! The JSON Schemas in `schemas/` are those of the types, and `scripts/ecommerce.toml` shows every
//! key of the configuration.

use std::path::{Path, PathBuf};

use chaos_common::config::Config;
use chaos_common::record::{
    Backup, Baseline, Data, Event, Experiment, Health, Load, Note, Notification, Plan, Record,
    Report, Verification,
};
use schemars::schema_for;
use serde_json::Value;

fn in_step<D: Data>() {
    let path = PathBuf::from(format!("schemas/{}.1.json", D::KIND.name()));
    let schema =
        serde_json::to_string_pretty(&schema_for!(Record<D>)).expect("a schema is JSON") + "\n";
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        std::fs::write(&path, schema).expect("schemas can be written");
        return;
    }
    let stored = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        stored == schema,
        "{} is not that of the type; look at the difference that make schemas makes",
        path.display()
    );
}

#[test]
fn schemas_are_those_of_the_types() {
    in_step::<Health>();
    in_step::<Backup>();
    in_step::<Baseline>();
    in_step::<Notification>();
    in_step::<Plan>();
    in_step::<Event>();
    in_step::<Experiment>();
    in_step::<Verification>();
    in_step::<Report>();
    in_step::<Load>();
    in_step::<Note>();
}

/// All properties of a schema, with the schema of each; `$ref`s are followed.
fn properties<'a>(schema: &'a Value, root: &'a Value, found: &mut Vec<(&'a str, &'a Value)>) {
    match schema {
        Value::Object(map) => {
            if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
                let target = root
                    .pointer(&reference[1..])
                    .expect("a reference leads somewhere");
                properties(target, root, found);
            }
            for (name, property) in map
                .get("properties")
                .and_then(Value::as_object)
                .into_iter()
                .flatten()
            {
                found.push((name, property));
                properties(property, root, found);
            }
            for key in ["items", "anyOf", "allOf", "oneOf"] {
                if let Some(inner) = map.get(key) {
                    properties(inner, root, found);
                }
            }
        }
        Value::Array(list) => list.iter().for_each(|inner| properties(inner, root, found)),
        _ => {}
    }
}

#[test]
fn every_key_of_the_configuration_is_documented_and_shown() {
    let schema = schema_for!(Config);
    let mut keys = Vec::new();
    properties(schema.as_value(), schema.as_value(), &mut keys);
    assert!(
        keys.len() > 60,
        "the walk has lost its way: {} keys",
        keys.len()
    );
    let example = Path::new("../scripts/ecommerce.toml");
    let example = std::fs::read_to_string(example).expect("the example is there");
    for (key, property) in keys {
        assert!(
            property.get("description").is_some(),
            "{key} has no description"
        );
        let shown = [
            format!("\n{key} ="),
            format!("\n# {key} ="),
            format!(", {key} ="),
            format!("[{key}]"),
            format!("[{key}."),
            format!(".{key}]"),
        ];
        assert!(
            shown.iter().any(|form| example.contains(form)),
            "scripts/ecommerce.toml does not show {key}"
        );
    }
}

#[test]
fn the_example_is_a_configuration() {
    let path = Path::new("../scripts/ecommerce.toml");
    let loaded = chaos_common::config::load(Some(path)).expect("it can be read");
    assert_eq!(loaded.config.services.len(), 2);
    assert_eq!(loaded.config.contacts.len(), 4);
}
