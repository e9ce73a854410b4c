//! Objects as they come out of YAML or JSON, by themselves or in lists, in little memory.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::data::{Data, Texts};
use super::object::{Object, Values, Words};

/// All that was read so far.
#[derive(Default)]
pub(super) struct Found {
    pub(super) all: Vec<Object>,
    /// The first object that is none.
    pub(super) flaw: Option<Flaw>,
    words: Words,
}

/// Why something with a kind, or without, is no object that an API server takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// The object with this number lacks what every object has.
    Lacks(usize, &'static str),
    /// A field of an object that is wrong: kind and name, the field, and why.
    Field(String, &'static str, &'static str),
    /// A value of an object that is wrong: kind and name, its key, and why.
    Value(String, String, &'static str),
}

/// The fields of an object that are looked at.
#[derive(Debug, Default)]
struct Fields {
    api_version: Option<String>,
    kind: Option<String>,
    metadata: Option<Metadata>,
    data: Option<Data>,
    string_data: Option<Data>,
    binary_data: Option<Data>,
    status: bool,
}

/// An object's name, and which fields it has that only a server makes.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metadata {
    name: Option<String>,
    namespace: Option<String>,
    #[serde(rename = "labels")]
    _labels: Option<Texts>,
    #[serde(rename = "annotations")]
    _annotations: Option<Texts>,
    uid: Option<IgnoredAny>,
    resource_version: Option<IgnoredAny>,
    creation_timestamp: Option<IgnoredAny>,
    generation: Option<IgnoredAny>,
    managed_fields: Option<IgnoredAny>,
    owner_references: Option<IgnoredAny>,
    deletion_timestamp: Option<IgnoredAny>,
}

/// The name of a field.
#[derive(Clone, Copy, PartialEq, Eq, serde::Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Field {
    ApiVersion,
    Kind,
    Metadata,
    Items,
    Data,
    StringData,
    BinaryData,
    Status,
    #[serde(other)]
    Other,
}

impl Found {
    /// Reads an object, or a list with all objects in it.
    pub(super) fn read<'de, D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        let number = self.all.len() + 1;
        if let Some(fields) = Node(self).deserialize(from)? {
            let lacks = match &fields.kind {
                None => "kind",
                Some(_) => "apiVersion",
            };
            self.flawed(Flaw::Lacks(number, lacks));
        }
        Ok(())
    }

    fn flawed(&mut self, flaw: Flaw) {
        self.flaw.get_or_insert(flaw);
    }

    /// Takes an object of this kind.
    fn take(&mut self, mut fields: Fields, version: &str, kind: &str) {
        let number = self.all.len() + 1;
        let metadata = fields.metadata.take().unwrap_or_default();
        let server_made = metadata.server_made(fields.status);
        let Some(name) = metadata.name.filter(|name| !name.is_empty()) else {
            return self.flawed(Flaw::Lacks(number, "metadata.name"));
        };
        if let Err(flaw) = fields.check(version, kind, &name) {
            return self.flawed(flaw);
        }
        let object = Object {
            api_version: self.words.get(version),
            kind: self.words.get(kind),
            namespace: metadata.namespace.map(|name| self.words.get(&name)),
            name: name.into(),
            values: fields.values(version, kind),
            server_made,
        };
        self.all.push(object);
    }
}

/// Reads a node into what was found; gives its fields where they do not say what it is, which the
/// list around it may.
struct Node<'f>(&'f mut Found);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Option<Box<Fields>>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Option<Box<Fields>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let found = self.0;
        let (start, flaw) = (found.all.len(), found.flaw.clone());
        let mut fields = Fields::default();
        let mut items = None;
        let mut seen = Vec::new();
        while let Some(field) = map.next_key::<Field>()? {
            if field != Field::Other && seen.contains(&field) {
                return Err(A::Error::custom("has a field twice"));
            }
            seen.push(field);
            match field {
                Field::ApiVersion => fields.api_version = map.next_value()?,
                Field::Kind => fields.kind = map.next_value()?,
                Field::Metadata => fields.metadata = map.next_value()?,
                Field::Items => items = map.next_value_seed(Items(found))?,
                Field::Data => fields.data = map.next_value()?,
                Field::StringData => fields.string_data = map.next_value()?,
                Field::BinaryData => fields.binary_data = map.next_value()?,
                Field::Status => fields.status = map.next_value::<Option<IgnoredAny>>()?.is_some(),
                Field::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let word = |word: &Option<String>| word.clone().filter(|word| !word.is_empty());
        fields.kind = word(&fields.kind);
        fields.api_version = word(&fields.api_version);
        let (Some(kind), Some(version)) = (fields.kind.clone(), fields.api_version.clone()) else {
            return Ok(Some(Box::new(fields)));
        };
        match (items, kind.strip_suffix("List")) {
            (Some(unnamed), Some(item)) => found.take_unnamed(unnamed, &version, item),
            (Some(_), None) => {
                // It is no list, whatever it has in it.
                found.all.truncate(start);
                found.flaw = flaw;
                found.take(fields, &version, &kind);
            }
            (None, _) => found.take(fields, &version, &kind),
        }
        Ok(None)
    }
}

impl Found {
    /// Takes the items of a list that do not say what they are. A list of one kind says it.
    fn take_unnamed(&mut self, items: Vec<Fields>, version: &str, of: &str) {
        for item in items {
            let number = self.all.len() + 1;
            let kind = item
                .kind
                .clone()
                .or((!of.is_empty()).then(|| of.to_owned()));
            let version = item
                .api_version
                .clone()
                .or((!of.is_empty()).then(|| version.to_owned()));
            match (kind, version) {
                (Some(kind), Some(version)) => self.take(item, &version, &kind),
                (None, _) => self.flawed(Flaw::Lacks(number, "kind")),
                (Some(_), None) => self.flawed(Flaw::Lacks(number, "apiVersion")),
            }
        }
    }
}

/// Reads the items of a list; gives those that do not say what they are, and `None` if there is no
/// list.
struct Items<'f>(&'f mut Found);

impl<'de> DeserializeSeed<'de> for Items<'_> {
    type Value = Option<Vec<Fields>>;
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Items<'_> {
    type Value = Option<Vec<Fields>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut unnamed = Vec::new();
        while let Some(item) = seq.next_element_seed(Node(&mut *self.0))? {
            unnamed.extend(item.map(|fields| *fields));
        }
        Ok(Some(unnamed))
    }
}

impl Metadata {
    /// The fields that only a server makes.
    fn server_made(&self, status: bool) -> Vec<&'static str> {
        let fields = [
            ("uid", self.uid.is_some()),
            ("resourceVersion", self.resource_version.is_some()),
            ("creationTimestamp", self.creation_timestamp.is_some()),
            ("generation", self.generation.is_some()),
            ("managedFields", self.managed_fields.is_some()),
            ("ownerReferences", self.owner_references.is_some()),
            ("deletionTimestamp", self.deletion_timestamp.is_some()),
            ("status", status),
        ];
        let made = fields.into_iter().filter(|(_, has)| *has);
        made.map(|(name, _)| name).collect()
    }
}

impl Fields {
    /// Whether its maps are such as an object of this kind has.
    fn check(&self, version: &str, kind: &str, name: &str) -> Result<(), Flaw> {
        let (text, base64) = match (version, kind) {
            ("v1", "Secret") => (
                [("data", &self.data), ("stringData", &self.string_data)],
                &self.data,
            ),
            ("v1", "ConfigMap") => (
                [("data", &self.data), ("binaryData", &self.binary_data)],
                &self.binary_data,
            ),
            _ => return Ok(()),
        };
        let named = || format!("{kind} {name}");
        for (field, data) in text {
            let Some(data) = data else { continue };
            if data.not_map {
                return Err(Flaw::Field(named(), field, "is no map"));
            }
            if let Some(key) = &data.not_text {
                return Err(Flaw::Value(named(), key.clone(), "is no text"));
            }
        }
        match base64.as_ref().and_then(|data| data.not_base64.clone()) {
            Some(key) => Err(Flaw::Value(named(), key, "is not base64")),
            None => Ok(()),
        }
    }

    /// The digests of its values, by what they mean and not by how they are written.
    fn values(self, version: &str, kind: &str) -> Values {
        let (encoded, plain) = match (version, kind) {
            ("v1", "Secret") => (self.data, self.string_data),
            ("v1", "ConfigMap") => (self.binary_data, self.data),
            _ => return Values::default(),
        };
        let digests = |data: Option<Data>| data.map(|data| data.digests).unwrap_or_default();
        // Of a key that is in both, the plain one counts.
        let mut all: std::collections::BTreeMap<_, _> = digests(encoded)
            .into_iter()
            .filter_map(|(key, digests)| Some((key, digests.bytes?)))
            .collect();
        let plain = digests(plain).into_iter();
        all.extend(plain.map(|(key, digests)| (key, digests.text)));
        all.into_iter().collect()
    }
}
