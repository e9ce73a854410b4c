//! A table of the database in the configuration: a name, or a name and what may change.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

/// A table whose rows must stay: `"users"`, or `{ name = "products", may_change = ["stock"] }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name as in `users`, `public.users`, `"Odd.Name"`.
    pub name: String,
    /// Columns that rows may change while an experiment runs; they are left out of the fingerprint.
    pub may_change: Vec<String>,
}

/// The long form.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Long {
    /// Its name as in `users`, `public.users`, `"Odd.Name"`.
    name: String,
    /// Columns that rows may change while an experiment runs; they are left out of the fingerprint.
    #[serde(default)]
    may_change: Vec<String>,
}

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Table, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = Table;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a table's name, or { name = \"NAME\", may_change = [\"COLUMN\"] }")
            }
            fn visit_str<E: Error>(self, name: &str) -> Result<Table, E> {
                Ok(Table {
                    name: name.to_owned(),
                    may_change: Vec::new(),
                })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Table, A::Error> {
                let Long { name, may_change } = Long::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Table { name, may_change })
            }
        }
        deserializer.deserialize_any(Form)
    }
}

impl JsonSchema for Table {
    fn schema_name() -> Cow<'static, str> {
        "Table".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<Long>();
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, long] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_a_name_or_a_name_with_columns() {
        let read = |json| serde_json::from_value::<Table>(json);
        let plain = read(serde_json::json!("users")).expect("a name");
        assert_eq!(
            plain,
            Table {
                name: "users".to_owned(),
                may_change: Vec::new()
            }
        );
        let long =
            read(serde_json::json!({ "name": "a", "may_change": ["b"] })).expect("the long form");
        assert_eq!(long.may_change, ["b"]);
        let error = read(serde_json::json!({ "name": "a", "ignore": ["b"] }))
            .expect_err("no such key")
            .to_string();
        assert!(error.contains("unknown field `ignore`"), "{error}");
    }
}
