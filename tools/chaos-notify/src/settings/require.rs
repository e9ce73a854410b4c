//! Which channels must take a message for the verdict to be `pass`.

use std::borrow::Cow;
use std::convert::Infallible;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

/// `all`, `any`, or the name of a channel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Require {
    /// Each of them.
    #[default]
    All,
    /// At least one.
    Any,
    /// This one.
    Channel(String),
}

impl FromStr for Require {
    type Err = Infallible;
    fn from_str(text: &str) -> Result<Require, Infallible> {
        Ok(match text {
            "all" => Require::All,
            "any" => Require::Any,
            name => Require::Channel(name.to_owned()),
        })
    }
}

impl<'de> Deserialize<'de> for Require {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Require, D::Error> {
        let Ok(require) = String::deserialize(deserializer)?.parse();
        Ok(require)
    }
}

impl JsonSchema for Require {
    fn schema_name() -> Cow<'static, str> {
        "Require".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "examples": ["all", "any", "mail"] })
    }
}
