//! Reads exported Kubernetes objects: YAML, of one document or several, or JSON; objects by
//! themselves or lists of them, as `kubectl get -o yaml` writes them.
//!
//! What the form can't show: documents of YAML stand for themselves, so that a file which is cut
//! between two of them looks whole. A list, which is what kubectl exports, has its kind at the end.

mod base64;
mod chars;
mod data;
mod object;
mod reader;
mod scalar;
#[cfg(test)]
mod tests;
mod yaml;

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, BufRead, BufReader, Read};

use chaos_common::record::{Check, Contents, Status};
use serde::de::DeserializeOwned;

pub use self::object::{Object, Sum, Values};
use self::reader::{Flaw, Found};
use self::yaml::Yaml;
use crate::formats::error::{FormatError, count};
use crate::formats::inspection::Expectations;

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

impl Object {
    /// An object of the cluster, as it comes from there.
    ///
    /// # Errors
    ///
    /// It is no object, or lacks what every object has.
    pub fn of_json(json: serde_json::Value) -> Result<Object, FormatError> {
        let mut found = Found::default();
        let damaged =
            |_| FormatError::Damaged("holds something that is no Kubernetes object".to_owned());
        found.read(json).map_err(damaged)?;
        if let Some(flaw) = found.flaw {
            return Err(flaw.into());
        }
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

/// Whether what is expected is there: objects as `KIND/NAME`, where the name may be `*`, and of each
/// resource that belongs into the backup at least one.
pub fn expected_checks(objects: &[Object], want: &Expectations, object: &str) -> Vec<Check> {
    let there = |expected: &String| {
        let (kind, name) = expected.split_once('/').unwrap_or((expected, "*"));
        let mut of_name = objects.iter().filter(|object| {
            object.kind.eq_ignore_ascii_case(kind) && (name == "*" || *object.name == *name)
        });
        of_name.next().map(|_| true)
    };
    let mut checks: Vec<Check> = want.judge(object, "value", there).into_iter().collect();
    checks.extend(resources_check(objects, want, object));
    checks
}

/// Id of the check of whether the kinds that belong into a backup are in it.
pub const RESOURCES: &str = "backup.resources";

fn resources_check(objects: &[Object], want: &Expectations, object: &str) -> Option<Check> {
    if want.resources.is_empty() {
        return None;
    }
    let none_of = |resource: &&String| !objects.iter().any(|object| object.is_of(resource));
    let missing: Vec<&str> = want
        .resources
        .iter()
        .filter(none_of)
        .map(|name| &**name)
        .collect();
    let resources = count(want.resources.len() as u64, "resource");
    Some(if missing.is_empty() {
        Check::pass(
            RESOURCES,
            object,
            format!("has objects of the {resources} that it should"),
        )
    } else {
        let message = format!("has no {}, which belong into it", missing.join(", no "));
        Check::fail(RESOURCES, object, message)
            .hint("see what it was made of; take out of resources what the namespace does not have")
    })
}

/// Reads the documents of YAML, or the values of JSON, as kubectl takes them.
///
/// # Errors
///
/// It is neither, or not what is wanted. No value is in the message.
pub fn documents<T: DeserializeOwned>(text: impl Read) -> Result<Vec<T>, FormatError> {
    let mut reader = BufReader::new(text);
    let mut all = Vec::new();
    if is_json(&mut reader)? {
        for value in serde_json::Deserializer::from_reader(reader).into_iter() {
            all.push(value.map_err(|error| json_trouble(&error))?);
        }
        return Ok(all);
    }
    let mut yaml = Yaml::new(reader);
    while yaml.begins().map_err(yaml::YamlError::into_format_error)? {
        let document = T::deserialize(&mut yaml);
        all.push(document.map_err(yaml::YamlError::into_format_error)?);
    }
    Ok(all)
}

/// Whether the first character is that of a JSON object.
fn is_json(reader: &mut impl BufRead) -> Result<bool, FormatError> {
    let start = reader
        .fill_buf()
        .map_err(|error| FormatError::reading(0, &error))?;
    let first = start.iter().find(|byte| !byte.is_ascii_whitespace());
    Ok(first == Some(&b'{'))
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
    let mut found = Found::default();
    let reader = reader.take(MAX_FILE as u64 + 1);
    let mut reader = BufReader::new(Watched {
        reader,
        last: b'\n',
        failed: false,
    });
    let json = is_json(&mut reader)?;
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
    if let Some(flaw) = found.flaw {
        return Err(flaw.into());
    }
    if found.all.is_empty() {
        return FormatError::damaged("holds no object");
    }
    once_each(&found.all)?;
    // The last byte of a line's end, whichever way round it is in UTF-16.
    if !json && watched.last != b'\n' && watched.last != 0 {
        return FormatError::cannot_tell("may be cut: its last line has no end");
    }
    Ok(Objects::of(found.all))
}

impl Objects {
    fn of(all: Vec<Object>) -> Objects {
        let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
        for object in &all {
            match kinds.get_mut(&*object.kind) {
                Some(number) => *number += 1,
                None => drop(kinds.insert(object.kind.to_string(), 1)),
            }
        }
        let told: Vec<String> = kinds
            .iter()
            .map(|(kind, number)| format!("{number} {kind}"))
            .collect();
        let objects = all.len();
        let message = format!(
            "read to the end: {} ({})",
            count(objects as u64, "object"),
            told.join(", ")
        );
        Objects {
            contents: Contents::Kubernetes { objects, kinds },
            message,
            all,
        }
    }
}

/// Whether no object is there twice.
fn once_each(objects: &[Object]) -> Result<(), FormatError> {
    let key = |object: &Object| {
        let mut hasher = DefaultHasher::new();
        (
            object.group(),
            &object.kind,
            &object.namespace,
            &object.name,
        )
            .hash(&mut hasher);
        hasher.finish()
    };
    let mut keys: Vec<(u64, usize)> = objects
        .iter()
        .enumerate()
        .map(|(number, object)| (key(object), number))
        .collect();
    keys.sort_unstable();
    let same = |one: &Object, other: &Object| {
        one.kind == other.kind
            && one.name == other.name
            && one.namespace == other.namespace
            && one.group() == other.group()
    };
    for (one, next) in keys.iter().zip(keys.iter().skip(1)) {
        let (first, second) = (&objects[one.1], &objects[next.1]);
        if one.0 == next.0 && same(first, second) {
            return FormatError::damaged(format!("holds {} {} twice", first.kind, first.name));
        }
    }
    Ok(())
}

impl From<Flaw> for FormatError {
    fn from(flaw: Flaw) -> FormatError {
        FormatError::Damaged(match flaw {
            Flaw::Lacks(number, what) => format!("is damaged: object {number} has no {what}"),
            Flaw::Field(object, field, why) => {
                format!("is damaged: the field {field} of {object} {why}")
            }
            Flaw::Value(object, key, why) => {
                format!("is damaged: the value of {key:?} in {object} {why}")
            }
        })
    }
}

fn read_json(reader: &mut impl Read, found: &mut Found) -> Result<(), FormatError> {
    let mut json = serde_json::Deserializer::from_reader(reader);
    loop {
        found
            .read(&mut json)
            .map_err(|error| json_trouble(&error))?;
        if json.end().is_ok() {
            return Ok(());
        }
    }
}

/// What is wrong, without the error's own words: they may repeat a value.
fn json_trouble(error: &serde_json::Error) -> FormatError {
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
}

fn read_yaml(reader: &mut impl BufRead, found: &mut Found) -> Result<(), FormatError> {
    let mut yaml = Yaml::new(reader);
    while yaml.begins().map_err(yaml::YamlError::into_format_error)? {
        found
            .read(&mut yaml)
            .map_err(yaml::YamlError::into_format_error)?;
    }
    Ok(())
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
