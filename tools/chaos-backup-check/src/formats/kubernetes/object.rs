//! What is looked at of a Kubernetes object. Values are judged as they are read, and only their
//! digests are kept: they may be secrets.

use std::collections::BTreeMap;
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
    pub(super) status: Option<IgnoredAny>,
}

/// An object's name, and which fields it has that only a server makes.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Metadata {
    pub(super) name: Option<String>,
    pub(super) namespace: Option<String>,
    uid: Option<IgnoredAny>,
    resource_version: Option<IgnoredAny>,
    creation_timestamp: Option<IgnoredAny>,
    generation: Option<IgnoredAny>,
    managed_fields: Option<IgnoredAny>,
    owner_references: Option<IgnoredAny>,
    deletion_timestamp: Option<IgnoredAny>,
}

/// What it is in digits: BLAKE3.
pub type Sum = [u8; 32];

impl Node {
    /// The fields that only a server makes.
    pub(super) fn server_made(&self) -> Vec<&'static str> {
        let metadata = self.metadata.as_ref();
        let has = |of: fn(&Metadata) -> &Option<IgnoredAny>| {
            metadata.is_some_and(|metadata| of(metadata).is_some())
        };
        let fields = [
            ("uid", has(|metadata| &metadata.uid)),
            (
                "resourceVersion",
                has(|metadata| &metadata.resource_version),
            ),
            (
                "creationTimestamp",
                has(|metadata| &metadata.creation_timestamp),
            ),
            ("generation", has(|metadata| &metadata.generation)),
            ("managedFields", has(|metadata| &metadata.managed_fields)),
            (
                "ownerReferences",
                has(|metadata| &metadata.owner_references),
            ),
            (
                "deletionTimestamp",
                has(|metadata| &metadata.deletion_timestamp),
            ),
            ("status", self.status.is_some()),
        ];
        fields
            .into_iter()
            .filter(|(_, has)| *has)
            .map(|(name, _)| name)
            .collect()
    }
}

/// The digests of a value: of its text, and of the bytes that it means if it is base64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) text: Sum,
    pub(super) bytes: Option<Sum>,
}

/// The keys of a map: the first whose values are not of the form that the map wants, and digests of
/// the values of the others.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Data {
    /// Its value is no text.
    pub(super) not_text: Option<String>,
    /// Its value is text, and not base64.
    pub(super) not_base64: Option<String>,
    /// Of every key with text.
    pub(super) digests: BTreeMap<String, Digests>,
}

/// The form of a value.
enum Form {
    Text(Digests),
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
                Form::Null => drop(data.digests.insert(key, Digests::of(""))),
                Form::Text(digests) => {
                    if digests.bytes.is_none() {
                        data.not_base64.get_or_insert_with(|| key.clone());
                    }
                    data.digests.insert(key, digests);
                }
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
        Ok(Form::Text(Digests::of(text)))
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

impl Digests {
    fn of(text: &str) -> Digests {
        let bytes = from_base64(text).map(|bytes| blake3::hash(&bytes).into());
        Digests {
            text: blake3::hash(text.as_bytes()).into(),
            bytes,
        }
    }
}

/// Decodes base64 as the API server takes it (`encoding/base64`, `StdEncoding`): whole groups of
/// four, padded, line ends between them. `None` if it is something else.
fn from_base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut digits, mut padding) =
        (Vec::with_capacity(text.len() / 4 * 3), 0_usize, 0_usize);
    let mut bits = 0_u32;
    for byte in text.bytes() {
        let digit = match byte {
            b'\r' | b'\n' => continue,
            b'=' => {
                padding += 1;
                continue;
            }
            _ if padding > 0 => return None,
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        digits += 1;
        bits = bits << 6 | u32::from(digit);
        if digits % 4 == 0 {
            bytes.extend_from_slice(&bits.to_be_bytes()[1..]);
            bits = 0;
        }
    }
    match (digits % 4, padding) {
        (0, 0) => {}
        (2, 2) => bytes.push(bits.to_be_bytes()[2] << 4 | bits.to_be_bytes()[3] >> 4),
        (3, 1) => bytes.extend_from_slice(&(bits << 6).to_be_bytes()[1..3]),
        _ => return None,
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::from_base64;

    #[test]
    fn base64_is_told_from_other_text() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("aHVudGVyMg==", b"hunter2"),
            ("YWI=", b"ab"),
            ("YWJj", b"abc"),
            ("YWJj\nYWJj\n", b"abcabc"),
            ("+/+/", b"\xfb\xff\xbf"),
            ("AAECAw==", b"\0\x01\x02\x03"),
            ("//79", b"\xff\xfe\xfd"),
            ("//78+w==", b"\xff\xfe\xfc\xfb"),
            ("//78+/o=", b"\xff\xfe\xfc\xfb\xfa"),
        ] {
            assert_eq!(from_base64(text).as_deref(), Some(bytes), "{text:?}");
        }
        for bad in [
            "hunter2",
            "aHVudGVyMg",
            "a===",
            "YW=j",
            "YWJj YWJj",
            "YWJ-",
            "====",
            "YWJjYQ=",
            "YWI==",
        ] {
            assert_eq!(from_base64(bad), None, "{bad:?}");
        }
    }
}
