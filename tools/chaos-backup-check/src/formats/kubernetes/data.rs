//! The maps `data`, `stringData` and `binaryData` of an object, and its labels.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::base64::from_base64;
use super::object::Sum;

/// What stands under `data` or its like. Only some kinds must have a map of texts there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Data {
    /// It is something else than a map.
    pub(super) not_map: bool,
    /// The first key whose value is no text.
    pub(super) not_text: Option<String>,
    /// The first key whose value is text, and not base64.
    pub(super) not_base64: Option<String>,
    /// The digests of every value that is text.
    pub(super) digests: BTreeMap<Box<str>, Digests>,
}

/// The digests of a value: of its text, and of the bytes that it means if it is base64.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Digests {
    pub(super) text: Sum,
    pub(super) bytes: Option<Sum>,
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

/// The form of a value.
enum Form {
    Text(Digests),
    Null,
    Map(Data),
    Other,
}

/// Reads anything, and says of which form it is. `Map` says whether the entries of a map matter.
struct FormVisitor {
    map: bool,
}

impl<'de> Visitor<'de> for FormVisitor {
    type Value = Form;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Form, A::Error> {
        if !self.map {
            while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
            return Ok(Form::Other);
        }
        let mut data = Data::default();
        while let Some(key) = map.next_key::<String>()? {
            match map.next_value::<Form>()? {
                Form::Null => drop(data.digests.insert(key.into(), Digests::of(""))),
                Form::Text(digests) => {
                    if digests.bytes.is_none() {
                        data.not_base64.get_or_insert_with(|| key.clone());
                    }
                    data.digests.insert(key.into(), digests);
                }
                Form::Map(_) | Form::Other => data.not_text = data.not_text.or(Some(key)),
            }
        }
        Ok(Form::Map(data))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Form, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Form::Other)
    }
    fn visit_str<E>(self, text: &str) -> Result<Form, E> {
        Ok(Form::Text(Digests::of(text)))
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

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Form, D::Error> {
        deserializer.deserialize_any(FormVisitor { map: false })
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Data, D::Error> {
        let form = deserializer.deserialize_any(FormVisitor { map: true })?;
        Ok(match form {
            Form::Map(data) => data,
            Form::Null => Data::default(),
            Form::Text(_) | Form::Other => Data {
                not_map: true,
                ..Data::default()
            },
        })
    }
}

/// A map of texts, as labels and annotations are; of anything else no object can be made.
#[derive(Debug)]
pub(super) struct Texts;

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Texts, D::Error> {
        let data = Data::deserialize(deserializer)?;
        if data.not_map || data.not_text.is_some() {
            return Err(D::Error::custom("is no map of texts"));
        }
        Ok(Texts)
    }
}
