//! What is looked at of a Kubernetes object. Values are judged as they are read and are not kept:
//! they may be secrets.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// An object, or a list of them.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Node {
    pub(super) api_version: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) metadata: Option<Metadata>,
    pub(super) items: Option<Vec<Node>>,
    pub(super) data: Option<Data>,
    pub(super) string_data: Option<Data>,
    pub(super) binary_data: Option<Data>,
}

/// An object's name.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct Metadata {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
}

/// The first keys of a map whose values are not of the form that the map wants.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Data {
    /// Its value is no text.
    pub(super) not_text: Option<String>,
    /// Its value is text, and not base64.
    pub(super) not_base64: Option<String>,
}

/// The form of a value.
enum Form {
    Base64,
    Text,
    Null,
    Other,
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Data, D::Error> {
        deserializer.deserialize_any(DataVisitor)
    }
}

struct DataVisitor;

impl<'de> Visitor<'de> for DataVisitor {
    type Value = Data;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Data, A::Error> {
        let mut data = Data::default();
        while let Some(key) = map.next_key::<String>()? {
            match map.next_value::<Form>()? {
                Form::Base64 | Form::Null => {}
                Form::Text => data.not_base64 = data.not_base64.or(Some(key)),
                Form::Other => data.not_text = data.not_text.or(Some(key)),
            }
        }
        Ok(data)
    }
    // Other kinds of objects may have anything called `data`.
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Data, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Data::default())
    }
    fn visit_str<E>(self, _: &str) -> Result<Data, E> {
        Ok(Data::default())
    }
    fn visit_bool<E>(self, _: bool) -> Result<Data, E> {
        Ok(Data::default())
    }
    fn visit_i64<E>(self, _: i64) -> Result<Data, E> {
        Ok(Data::default())
    }
    fn visit_u64<E>(self, _: u64) -> Result<Data, E> {
        Ok(Data::default())
    }
    fn visit_f64<E>(self, _: f64) -> Result<Data, E> {
        Ok(Data::default())
    }
    fn visit_unit<E>(self) -> Result<Data, E> {
        Ok(Data::default())
    }
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Form, D::Error> {
        deserializer.deserialize_any(FormVisitor)
    }
}

struct FormVisitor;

impl<'de> Visitor<'de> for FormVisitor {
    type Value = Form;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }
    fn visit_str<E>(self, text: &str) -> Result<Form, E> {
        Ok(if is_base64(text) { Form::Base64 } else { Form::Text })
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Form, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Form::Other)
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Form, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Form::Other)
    }
    fn visit_bool<E>(self, _: bool) -> Result<Form, E> {
        Ok(Form::Other)
    }
    fn visit_i64<E>(self, _: i64) -> Result<Form, E> {
        Ok(Form::Other)
    }
    fn visit_u64<E>(self, _: u64) -> Result<Form, E> {
        Ok(Form::Other)
    }
    fn visit_f64<E>(self, _: f64) -> Result<Form, E> {
        Ok(Form::Other)
    }
    fn visit_unit<E>(self) -> Result<Form, E> {
        Ok(Form::Null)
    }
}

/// Base64 as the API server takes it (`encoding/base64`, `StdEncoding`): whole groups of four, padded,
/// line ends between them.
fn is_base64(text: &str) -> bool {
    let (mut digits, mut padding) = (0_usize, 0_usize);
    for byte in text.bytes() {
        match byte {
            b'\r' | b'\n' => {}
            b'=' => padding += 1,
            _ if padding > 0 => return false,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' => digits += 1,
            _ => return false,
        }
    }
    padding <= 2 && (digits + padding).is_multiple_of(4)
}

#[cfg(test)]
mod tests {
    use super::is_base64;

    #[test]
    fn base64_is_told_from_other_text() {
        for good in ["", "aHVudGVyMg==", "YWI=", "YWJj", "YWJj\nYWJj\n", "+/+/"] {
            assert!(is_base64(good), "{good:?}");
        }
        for bad in ["hunter2", "aHVudGVyMg", "a===", "YW=j", "YWJj YWJj", "YWJ-", "===="] {
            assert!(!is_base64(bad), "{bad:?}");
        }
    }
}
