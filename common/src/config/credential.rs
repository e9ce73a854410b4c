//! Secrets that may also be kept in the cluster, for what is reached from there.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::Secret;

/// Where a password or a token is: as a [`Secret`], or `{ secret = "NAME", key = "KEY" }`, a key of
/// a Secret in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Credential {
    /// On this machine.
    Local(Secret),
    /// A key of a Secret in the cluster.
    InCluster {
        /// The Secret; in the namespace of what it is for unless `namespace` names another.
        secret: String,
        /// The key in it.
        key: String,
        /// The Secret's namespace.
        namespace: Option<String>,
    },
}

const EXPECTED: &str = "a secret does not stand in this file: name it as { file = \"PATH\" }, \
     { env = \"VARIABLE\" } or { secret = \"NAME\", key = \"KEY\" }";

impl Credential {
    /// The Secret of the cluster that it is in: its namespace, if one is named, and its name.
    pub fn in_cluster(&self) -> Option<(Option<&str>, &str)> {
        match self {
            Credential::Local(_) => None,
            Credential::InCluster {
                secret, namespace, ..
            } => Some((namespace.as_deref(), secret)),
        }
    }

    /// The file that it is in, if it is in one.
    pub(super) fn file_mut(&mut self) -> Option<&mut PathBuf> {
        match self {
            Credential::Local(secret) => secret.file_mut(),
            Credential::InCluster { .. } => None,
        }
    }

    fn from_fields(fields: Fields) -> Option<Credential> {
        match fields {
            Fields {
                file: Some(file),
                env: None,
                secret: None,
                key: None,
                namespace: None,
            } => Some(Credential::Local(Secret::File(file))),
            Fields {
                file: None,
                env: Some(env),
                secret: None,
                key: None,
                namespace: None,
            } => Some(Credential::Local(Secret::Env(env))),
            Fields {
                file: None,
                env: None,
                secret: Some(secret),
                key: Some(key),
                namespace,
            } => Some(Credential::InCluster {
                secret,
                key,
                namespace,
            }),
            _ => None,
        }
    }
}

/// What may stand in its table.
#[derive(Default)]
struct Fields {
    file: Option<PathBuf>,
    env: Option<String>,
    secret: Option<String>,
    key: Option<String>,
    namespace: Option<String>,
}

/// Written by hand so that a secret that somebody did write into the file is not shown.
impl<'de> Deserialize<'de> for Credential {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Credential, D::Error> {
        struct Named;
        impl<'de> Visitor<'de> for Named {
            type Value = Credential;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str(EXPECTED)
            }
            fn visit_str<E: Error>(self, _: &str) -> Result<Credential, E> {
                Err(E::custom(EXPECTED))
            }
            fn visit_i64<E: Error>(self, _: i64) -> Result<Credential, E> {
                Err(E::custom(EXPECTED))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Credential, A::Error> {
                let mut fields = Fields::default();
                while let Some(name) = map.next_key::<String>()? {
                    match name.as_str() {
                        "file" => fields.file = Some(map.next_value()?),
                        "env" => fields.env = Some(map.next_value()?),
                        "secret" => fields.secret = Some(map.next_value()?),
                        "key" => fields.key = Some(map.next_value()?),
                        "namespace" => fields.namespace = Some(map.next_value()?),
                        _ => return Err(A::Error::custom(EXPECTED)),
                    }
                }
                Credential::from_fields(fields).ok_or_else(|| A::Error::custom(EXPECTED))
            }
        }
        deserializer.deserialize_any(Named)
    }
}

impl JsonSchema for Credential {
    fn schema_name() -> Cow<'static, str> {
        "Credential".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "examples": [
                { "file": "/run/secrets/database" },
                { "env": "PGPASSWORD" },
                { "secret": "shop-postgresql", "key": "password" },
            ],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: serde_json::Value) -> Result<Credential, String> {
        serde_json::from_value(json).map_err(|error| error.to_string())
    }

    #[test]
    fn a_credential_is_in_a_file_a_variable_or_a_secret_of_the_cluster() {
        let file = read(serde_json::json!({ "file": "/p" }));
        assert_eq!(file, Ok(Credential::Local(Secret::File("/p".into()))));
        let key = read(serde_json::json!({ "secret": "db", "key": "password" }));
        let expected = Credential::InCluster {
            secret: "db".to_owned(),
            key: "password".to_owned(),
            namespace: None,
        };
        assert_eq!(key, Ok(expected));
    }

    #[test]
    fn anything_else_is_refused_and_not_repeated() {
        for wrong in [
            serde_json::json!("hunter2"),
            serde_json::json!({ "value": "hunter2" }),
            serde_json::json!({ "secret": "hunter2" }),
            serde_json::json!({ "file": "/p", "env": "hunter2" }),
        ] {
            let error = read(wrong).expect_err("it must be refused");
            assert!(error.contains("does not stand in this file"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
