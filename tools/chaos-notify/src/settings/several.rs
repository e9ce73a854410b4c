//! A table, or an array of tables: `[notify.slack]` or `[[notify.slack]]`.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};

use crate::channels::ChannelSettings;

/// The channels of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Several<T>(pub(crate) Vec<T>);

// Not derived: whether a channel has defaults does not matter.
impl<T> Default for Several<T> {
    fn default() -> Several<T> {
        Several(Vec::new())
    }
}

impl<T: ChannelSettings> Several<T> {
    /// The names that were given to them.
    pub(super) fn names(&self) -> Vec<Option<String>> {
        let names = self.0.iter().map(ChannelSettings::name);
        names.map(|name| name.map(str::to_owned)).collect()
    }

    /// Makes the relative paths of each count from a folder.
    pub(super) fn anchor(&mut self, folder: &Path) {
        for channel in &mut self.0 {
            channel.anchor(folder);
        }
    }
}

/// A name for each: the one that was given, else that of their kind, with a number from the second
/// on.
pub(super) fn named(kind: &str, given: Vec<Option<String>>) -> impl Iterator<Item = String> {
    let numbered = given.into_iter().enumerate();
    numbered.map(move |(at, name)| match (name, at) {
        (Some(name), _) => name,
        (None, 0) => kind.to_owned(),
        (None, at) => format!("{kind}-{}", at + 1),
    })
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Several<T>, D::Error> {
        struct Form<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Form<T> {
            type Value = Several<T>;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a table, or an array of tables")
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Several<T>, A::Error> {
                let one = T::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Several(vec![one]))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Several<T>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(seq)).map(Several)
            }
        }
        deserializer.deserialize_any(Form(PhantomData))
    }
}

impl<T: JsonSchema> JsonSchema for Several<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        format!("Several{}", T::schema_name()).into()
    }
    // The channels' settings have one name, and are told apart by their modules.
    fn schema_id() -> Cow<'static, str> {
        format!("Several<{}>", T::schema_id()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let one = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}
