//! A path whose answer is data, and what it must be.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::{Deviation, Expectation};

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

/// The most of an answer's body that is read, in bytes.
pub const LONGEST_ANSWER: usize = 4 << 20;

/// How an answer differs from the data that are expected.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum DataDeviation {
    /// Another status.
    #[error(transparent)]
    Status(Deviation),
    /// It was cut by whoever read it: what is missing of it may be what makes it JSON.
    #[error("answers {0} with more than {LONGEST_ANSWER} bytes, which is more than is read")]
    TooLong(u16),
    /// With this status, but not with JSON.
    #[error("answers {0}, but not with JSON")]
    NotJson(u16),
    /// Its list is too short, or it has none.
    #[error("answers {status} with {}; at least {least} are wanted", count(*found))]
    TooFew {
        /// Of the answer.
        status: u16,
        /// Items of its list, if it has one.
        found: Option<u64>,
        /// As configured.
        least: u64,
    },
    /// Something else stands at a place. What that is may be a secret, and is not shown.
    #[error("answers {status}, but {pointer:?} is not {wanted}")]
    Different {
        /// Of the answer.
        status: u16,
        /// The place.
        pointer: String,
        /// What stands there, if anything does.
        found: Option<Value>,
        /// As configured.
        wanted: Value,
    },
}

fn count(items: Option<u64>) -> String {
    items.map_or("no list".to_owned(), |items| format!("{items} items"))
}

impl DataPath {
    /// The number of items of an answer, where it is a list or an object whose only list is one.
    ///
    /// # Errors
    /// The answer is not the data that are expected.
    pub fn items(&self, status: u16, body: &[u8]) -> Result<Option<u64>, DataDeviation> {
        let expectation = self.expectation();
        if !expectation.accepts_status(status) {
            let expected = expectation.status;
            return Err(DataDeviation::Status(Deviation::Status {
                status,
                expected,
            }));
        }
        // A refusal that is wanted need not be JSON.
        if !(200..300).contains(&status) && self.json.is_empty() && self.min_items.is_none() {
            return Ok(None);
        }
        let value: Value = serde_json::from_slice(body).map_err(|_| {
            if body.len() >= LONGEST_ANSWER {
                DataDeviation::TooLong(status)
            } else {
                DataDeviation::NotJson(status)
            }
        })?;
        let found = items(&value).map(|items| items as u64);
        if let Some(least) = self.min_items
            && found.is_none_or(|found| found < least)
        {
            return Err(DataDeviation::TooFew {
                status,
                found,
                least,
            });
        }
        for (pointer, wanted) in &self.json {
            let found = value.pointer(pointer);
            if !found.is_some_and(|found| same(found, wanted)) {
                return Err(DataDeviation::Different {
                    status,
                    pointer: pointer.clone(),
                    found: found.cloned(),
                    wanted: wanted.clone(),
                });
            }
        }
        Ok(found)
    }

    /// What is expected of the status alone.
    pub fn expectation(&self) -> Expectation {
        Expectation {
            status: self.status,
            ..Expectation::default()
        }
    }
}

/// Whether two values are the same; 3 is 3.0.
fn same(one: &Value, other: &Value) -> bool {
    one == other
        || one
            .as_f64()
            .is_some_and(|number| other.as_f64() == Some(number))
}

fn items(value: &Value) -> Option<usize> {
    match value {
        Value::Array(items) => Some(items.len()),
        Value::Object(fields) => {
            let mut lists = fields.values().filter_map(Value::as_array);
            lists
                .next()
                .filter(|_| lists.next().is_none())
                .map(Vec::len)
        }
        _ => None,
    }
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
