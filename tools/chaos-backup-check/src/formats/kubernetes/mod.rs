//! Reads exported Kubernetes objects: YAML, of one document or several, or JSON; objects by
//! themselves or lists of them, as `kubectl get -o yaml` writes them.
//!
//! What the form can't show: documents of YAML stand for themselves, so that a file which is cut
//! between two of them looks whole. A list, which is what kubectl exports, has its kind at the end.

mod object;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet};
use std::io::{self, BufRead, BufReader, Read};

use chaos_common::record::{Check, Contents, Status};

use self::object::{Data, Node, Sum};
use crate::formats::error::{FormatError, count};

/// The largest file that is read: what an API server could hold fits in it.
const MAX_FILE: usize = 64 << 20;

/// What a file of objects holds.
#[derive(Debug)]
pub struct Objects {
    /// For the record.
    pub contents: Contents,
    /// For people.
    pub message: String,
    /// Each of them.
    pub all: Vec<Object>,
}

/// An object, and the digests of its values; no value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Group and version: `v1`, `apps/v1`.
    pub api_version: String,
    /// `ConfigMap` and the like.
    pub kind: String,
    /// Nothing where the object says none.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
    /// Of a ConfigMap and a Secret: BLAKE3 digest of each value, decoded where it is base64.
    pub values: BTreeMap<String, Sum>,
    /// Fields that only a server makes.
    pub server_made: Vec<&'static str>,
}

impl Object {
    /// The group, which is empty for the first one.
    pub fn group(&self) -> &str {
        self.api_version
            .rsplit_once('/')
            .map_or("", |(group, _)| group)
    }

    /// An object of the cluster, as it comes from there.
    ///
    /// # Errors
    ///
    /// It is no object, or lacks what every object has.
    pub fn of_json(json: serde_json::Value) -> Result<Object, FormatError> {
        let mut found = Inspection::default();
        let damaged =
            |_| FormatError::Damaged("holds something that is no Kubernetes object".to_owned());
        found.take(serde_json::from_value(json).map_err(damaged)?, None)?;
        found
            .all
            .pop()
            .ok_or_else(|| FormatError::Damaged("is a list".to_owned()))
    }
}

/// Whether the objects could be applied as they are.
pub fn restorable_check(objects: &[Object], object: &str) -> Check {
    const ID: &str = "backup.restorable";
    let mut fields: BTreeMap<&str, u64> = BTreeMap::new();
    for field in objects.iter().flat_map(|object| &object.server_made) {
        *fields.entry(field).or_default() += 1;
    }
    if fields.is_empty() {
        return Check::pass(
            ID,
            object,
            "holds nothing that only a server makes: it can be applied as it is",
        );
    }
    let fields: Vec<String> = fields
        .iter()
        .map(|(field, number)| format!("{field} in {number}"))
        .collect();
    let message = format!(
        "holds what only a server makes ({}): applied over objects that have changed, it conflicts",
        fields.join(", ")
    );
    Check::new(ID, object, Status::Warn, message).hint(
        "take these fields out before it is applied; chaos-backup-check export leaves them out",
    )
}

/// Reads a file of `size` bytes, if that is known.
///
/// # Errors
///
/// It cannot be read to its end, or something in it is no object.
pub fn examine(reader: impl Read, size: Option<u64>) -> Result<Objects, FormatError> {
    let too_large = |size: String| {
        FormatError::cannot_tell(format!(
            "has {size} bytes, and no more than {MAX_FILE} of Kubernetes objects are read"
        ))
    };
    if let Some(size) = size.filter(|size| *size > MAX_FILE as u64) {
        return too_large(size.to_string());
    }
    let mut found = Inspection::default();
    let reader = reader.take(MAX_FILE as u64 + 1);
    let mut reader = BufReader::new(Watched {
        reader,
        last: b'\n',
        failed: false,
    });
    let start = reader
        .fill_buf()
        .map_err(|error| FormatError::reading(0, &error))?;
    let json = start
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| *byte == b'{');
    let read = if json {
        read_json(&mut reader, &mut found)
    } else {
        read_yaml(&mut reader, &mut found)
    };
    let watched = reader.into_inner();
    if watched.failed {
        return FormatError::cannot_tell(
            "cannot be read to its end: the file system reports an error",
        );
    }
    if watched.reader.limit() == 0 {
        return too_large(format!("more than {MAX_FILE}"));
    }
    read?;
    if found.kinds.is_empty() {
        return FormatError::damaged("holds no object");
    }
    if !json && watched.last != b'\n' {
        return FormatError::cannot_tell("may be cut: its last line has no end");
    }
    let objects = found.kinds.values().sum();
    let kinds: Vec<String> = found
        .kinds
        .iter()
        .map(|(kind, number)| format!("{number} {kind}"))
        .collect();
    let message = format!(
        "read to the end: {} ({})",
        count(objects as u64, "object"),
        kinds.join(", ")
    );
    Ok(Objects {
        contents: Contents::Kubernetes {
            objects,
            kinds: found.kinds,
        },
        message,
        all: found.all,
    })
}

fn read_json(reader: &mut impl Read, found: &mut Inspection) -> Result<(), FormatError> {
    for node in serde_json::Deserializer::from_reader(reader).into_iter::<Node>() {
        // The error's own words may repeat a value.
        let node = node.map_err(|error| {
            let what = match error.classify() {
                serde_json::error::Category::Eof => "is cut: its JSON ends in the middle",
                serde_json::error::Category::Data => "holds something that is no Kubernetes object",
                _ => "is not JSON",
            };
            FormatError::Damaged(format!(
                "{what}, at line {}, column {}",
                error.line(),
                error.column()
            ))
        })?;
        found.take(node, None)?;
    }
    Ok(())
}

fn read_yaml(reader: &mut impl Read, found: &mut Inspection) -> Result<(), FormatError> {
    let options = serde_saphyr::options! {
        with_snippet: false,
        emit_comments: false,
        budget: serde_saphyr::budget! {
            max_reader_input_bytes: Some(MAX_FILE),
            max_total_scalar_bytes: MAX_FILE,
            max_events: 20_000_000,
            max_nodes: 10_000_000,
            max_documents: 100_000,
            max_depth: 200,
        },
    };
    for node in serde_saphyr::read_with_options::<_, Node>(reader, options) {
        found.take(node.map_err(|error| yaml_trouble(&error))?, None)?;
    }
    Ok(())
}

/// What is wrong, without the error's own words: they may repeat a value.
fn yaml_trouble(error: &serde_saphyr::Error) -> FormatError {
    use serde_saphyr::Error;
    let place = error.location().map_or(String::new(), |at| {
        format!(", at line {}, column {}", at.line(), at.column())
    });
    match error.without_snippet() {
        // What goes wrong inside an alias is wrapped in an error of its own; kubectl writes none.
        Error::Budget { .. }
        | Error::AliasError { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => FormatError::CannotTell(format!(
            "is larger or deeper than this version reads{place}"
        )),
        Error::SerdeInvalidType { .. } | Error::Unexpected { .. } => FormatError::Damaged(format!(
            "holds something that is no Kubernetes object{place}"
        )),
        Error::DuplicateMappingKey { .. } => {
            FormatError::Damaged(format!("has the same key twice{place}"))
        }
        _ => FormatError::Damaged(format!("is not YAML{place}")),
    }
}

/// The objects seen so far.
#[derive(Default)]
struct Inspection {
    kinds: BTreeMap<String, usize>,
    /// Group, kind, namespace and name.
    names: HashSet<(String, String, Option<String>, String)>,
    all: Vec<Object>,
}

impl Inspection {
    /// Takes an object or a list. `of` is the version and kind that the list gives its items.
    fn take(&mut self, node: Node, of: Option<(&str, &str)>) -> Result<(), FormatError> {
        let number = self.all.len() + 1;
        let server_made = node.server_made();
        let lacks =
            |what| FormatError::Damaged(format!("is damaged: object {number} has no {what}"));
        let given = |own: Option<String>, of: Option<&str>| {
            own.filter(|word| !word.is_empty())
                .or(of.map(str::to_owned))
        };
        let kind = given(node.kind, of.map(|of| of.1)).ok_or_else(|| lacks("kind"))?;
        let version =
            given(node.api_version, of.map(|of| of.0)).ok_or_else(|| lacks("apiVersion"))?;
        if let (Some(items), Some(item)) = (node.items, kind.strip_suffix("List")) {
            let of = (!item.is_empty()).then_some((version.as_str(), item));
            return items.into_iter().try_for_each(|item| self.take(item, of));
        }
        let metadata = node.metadata.unwrap_or_default();
        let name = metadata
            .name
            .filter(|name| !name.is_empty())
            .ok_or_else(|| lacks("metadata.name"))?;
        values(
            &kind,
            &version,
            [&node.data, &node.string_data, &node.binary_data],
        )
        .map_err(|(key, why)| {
            FormatError::Damaged(format!(
                "is damaged: the value of {key:?} in {kind} {name} {why}"
            ))
        })?;
        let values = digests(
            &kind,
            &version,
            [node.data, node.string_data, node.binary_data],
        );
        let object = Object {
            api_version: version,
            kind,
            namespace: metadata.namespace,
            name,
            values,
            server_made,
        };
        let (group, kind, name) = (
            object.group().to_owned(),
            object.kind.clone(),
            object.name.clone(),
        );
        if !self
            .names
            .insert((group, kind.clone(), object.namespace.clone(), name.clone()))
        {
            return FormatError::damaged(format!("holds {kind} {name} twice"));
        }
        self.all.push(object);
        *self.kinds.entry(kind).or_default() += 1;
        Ok(())
    }
}

/// The first value that its object can't have: its key, and why.
fn values(
    kind: &str,
    version: &str,
    maps: [&Option<Data>; 3],
) -> Result<(), (String, &'static str)> {
    let [data, string, binary] = maps.map(Option::as_ref);
    let (text, base64) = match (version, kind) {
        ("v1", "Secret") => ([data, string], [data]),
        ("v1", "ConfigMap") => ([data, binary], [binary]),
        _ => return Ok(()),
    };
    if let Some(key) = text
        .into_iter()
        .flatten()
        .find_map(|data| data.not_text.clone())
    {
        return Err((key, "is no text"));
    }
    match base64
        .into_iter()
        .flatten()
        .find_map(|data| data.not_base64.clone())
    {
        Some(key) => Err((key, "is not base64")),
        None => Ok(()),
    }
}

/// The digests of an object's values, by what they mean and not by how they are written.
fn digests(kind: &str, version: &str, maps: [Option<Data>; 3]) -> BTreeMap<String, Sum> {
    let [data, string, binary] = maps.map(|data| data.map(|data| data.digests).unwrap_or_default());
    let text = |data: BTreeMap<String, object::Digests>| {
        data.into_iter().map(|(key, digests)| (key, digests.text))
    };
    let bytes = |data: BTreeMap<String, object::Digests>| {
        data.into_iter()
            .filter_map(|(key, digests)| Some((key, digests.bytes?)))
    };
    match (version, kind) {
        ("v1", "Secret") => bytes(data).chain(text(string)).collect(),
        ("v1", "ConfigMap") => text(data).chain(bytes(binary)).collect(),
        _ => BTreeMap::new(),
    }
}

/// A reader that remembers the last byte, and whether the file system failed: parsers turn that
/// into errors of their own.
struct Watched<R> {
    reader: R,
    last: u8,
    failed: bool,
}

impl<R: Read> Read for Watched<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer);
        match &read {
            Ok(read) => self.last = buffer[..*read].last().copied().unwrap_or(self.last),
            Err(error) => self.failed |= error.kind() != io::ErrorKind::Interrupted,
        }
        read
    }
}
