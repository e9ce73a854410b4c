//! Secrets, which the configuration names and never holds.

use std::borrow::Cow;
use std::io::ErrorKind;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

/// Where a secret is: `{ file = "/run/secrets/smtp" }` or `{ env = "SMTP_PASSWORD" }`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Secret {
    /// The contents of a file, without white space at its ends.
    File(PathBuf),
    /// The value of an environment variable.
    Env(String),
}

/// Why a secret can't be had. Holds no part of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// The file can't be read.
    #[error("cannot read the secret file {}: {kind}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why: no more of the error than that.
        kind: ErrorKind,
    },
    /// The file holds nothing.
    #[error("the secret file {} is empty", .0.display())]
    EmptyFile(PathBuf),
    /// The variable is not set, or not in UTF-8.
    #[error("the environment variable {0}, which should hold a secret, is not set")]
    NotSet(String),
    /// The variable holds nothing.
    #[error("the environment variable {0}, which should hold a secret, is empty")]
    EmptyVariable(String),
}

impl Secret {
    /// The file that it is in, if it is in one.
    pub fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Secret::File(path) => Some(path),
            Secret::Env(_) => None,
        }
    }

    /// The secret itself.
    ///
    /// # Errors
    /// The file can't be read or the variable is not set, or it is empty.
    pub fn read(&self) -> Result<String, SecretError> {
        let (value, empty) = match self {
            Secret::File(path) => {
                let value = std::fs::read_to_string(path).map_err(|error| SecretError::File {
                    path: path.clone(),
                    kind: error.kind(),
                })?;
                (value, SecretError::EmptyFile(path.clone()))
            }
            Secret::Env(name) => {
                let value = std::env::var(name).map_err(|_| SecretError::NotSet(name.clone()))?;
                (value, SecretError::EmptyVariable(name.clone()))
            }
        };
        let value = value.trim();
        if value.is_empty() {
            return Err(empty);
        }
        Ok(value.to_owned())
    }
}

/// Written by hand so that a secret that somebody did write into the file is not shown.
impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        struct Named;
        const EXPECTED: &str = "a secret does not stand in this file: name it as { file = \"PATH\" } or { env = \"VARIABLE\" }";
        impl<'de> Visitor<'de> for Named {
            type Value = Secret;
            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: de::Error>(self, _: &str) -> Result<Secret, E> {
                Err(E::custom(EXPECTED))
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
                Err(E::custom(EXPECTED))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Secret, A::Error> {
                let secret = match map.next_key::<String>()?.as_deref() {
                    Some("file") => Secret::File(map.next_value()?),
                    Some("env") => Secret::Env(map.next_value()?),
                    _ => return Err(de::Error::custom(EXPECTED)),
                };
                if map.next_key::<String>()?.is_some() {
                    return Err(de::Error::custom(EXPECTED));
                }
                Ok(secret)
            }
        }
        deserializer.deserialize_any(Named)
    }
}

impl JsonSchema for Secret {
    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "examples": [{ "file": "/run/secrets/smtp" }, { "env": "SMTP_PASSWORD" }],
        })
    }
}
