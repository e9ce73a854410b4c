//! A path whose answer is data, and what it must be.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

/// A path that answers with JSON: `"/api/users"`, or `{ path = "/api/products", min_items = 3, json
/// = { "/products/0/name" = "Widget" } }`.
#[derive(Clone, Debug, PartialEq)]
pub struct DataPath {
    /// The path.
    pub path: String,
    /// The status that it must answer with; any in the 200s if absent.
    pub status: Option<u16>,
    /// Items that its list must have at least.
    pub min_items: Option<u64>,
    /// What must stand where in its JSON, by JSON pointer (RFC 6901).
    pub json: BTreeMap<String, Value>,
}

/// The long form.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Long {
    /// The path.
    path: String,
    /// The status that it must answer with; any in the 200s if left out.
    #[serde(default)]
    status: Option<u16>,
    /// Items that its list must have at least.
    #[serde(default)]
    min_items: Option<u64>,
    /// What must stand where in its JSON, by JSON pointer (RFC 6901).
    #[serde(default)]
    json: BTreeMap<String, Value>,
}

impl<'de> Deserialize<'de> for DataPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DataPath, D::Error> {
        struct Form;
        impl<'de> Visitor<'de> for Form {
            type Value = DataPath;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(
                    "a path, or { path = \"/PATH\", status = 200, min_items = 1, json = { \"/POINTER\" = VALUE } }",
                )
            }
            fn visit_str<E: Error>(self, path: &str) -> Result<DataPath, E> {
                Ok(DataPath {
                    path: path.to_owned(),
                    status: None,
                    min_items: None,
                    json: BTreeMap::new(),
                })
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<DataPath, A::Error> {
                let Long {
                    path,
                    status,
                    min_items,
                    json,
                } = Long::deserialize(MapAccessDeserializer::new(map))?;
                match json
                    .keys()
                    .find(|pointer| !pointer.is_empty() && !pointer.starts_with('/'))
                {
                    Some(wrong) => Err(A::Error::custom(format!(
                        "{wrong:?} is no JSON pointer: one begins with /"
                    ))),
                    None => Ok(DataPath {
                        path,
                        status,
                        min_items,
                        json,
                    }),
                }
            }
        }
        deserializer.deserialize_any(Form)
    }
}

impl JsonSchema for DataPath {
    fn schema_name() -> Cow<'static, str> {
        "DataPath".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let long = generator.subschema_for::<Long>();
        schemars::json_schema!({ "anyOf": [{ "type": "string" }, long] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    struct File {
        data: Vec<DataPath>,
    }

    #[test]
    fn a_path_may_have_expectations() {
        let text = "data = [\"/a\", { path = \"/b\", status = 201, min_items = 2, json = { \"/x/0\" = 3 } }]";
        let file: File = toml::from_str(text).expect("good");
        assert_eq!(
            (file.data[0].path.as_str(), file.data[0].status),
            ("/a", None)
        );
        let long = &file.data[1];
        assert_eq!(
            (long.status, long.min_items, &long.json["/x/0"]),
            (Some(201), Some(2), &Value::from(3))
        );
        for (text, words) in [
            (
                "data = [{ path = \"/b\", json = { \"x\" = 3 } }]",
                "no JSON pointer",
            ),
            (
                "data = [{ path = \"/b\", body = \"x\" }]",
                "unknown field `body`",
            ),
        ] {
            let error = toml::from_str::<File>(text)
                .expect_err("refused")
                .to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
