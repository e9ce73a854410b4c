//! From where something was asked.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::PodSource;

/// From where a Service is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Vantage {
    /// `direct` inside a cluster, `api-proxy` outside.
    #[default]
    Auto,
    /// By its name in the cluster's DNS.
    Direct,
    /// Through the API server, which connects to one of the Service's ready pods.
    ApiProxy,
    /// Through a tunnel to one of the Service's ready pods.
    PortForward,
    /// With `curl` inside one of these pods that is ready.
    Exec(PodSource),
}

/// A text that names no vantage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no vantage; there are auto, direct, api-proxy, port-forward and \
     exec:KIND/NAME"
)]
pub struct NotAVantage(String);

impl FromStr for Vantage {
    type Err = NotAVantage;
    fn from_str(text: &str) -> Result<Vantage, NotAVantage> {
        match text {
            "auto" => Ok(Vantage::Auto),
            "direct" => Ok(Vantage::Direct),
            "api-proxy" => Ok(Vantage::ApiProxy),
            "port-forward" => Ok(Vantage::PortForward),
            _ => {
                let pods = text.strip_prefix("exec:").map(str::parse);
                let pods = pods.and_then(Result::ok).map(Vantage::Exec);
                pods.ok_or_else(|| NotAVantage(text.to_owned()))
            }
        }
    }
}

impl fmt::Display for Vantage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Vantage::Auto => f.write_str("auto"),
            Vantage::Direct => f.write_str("direct"),
            Vantage::ApiProxy => f.write_str("api-proxy"),
            Vantage::PortForward => f.write_str("port-forward"),
            Vantage::Exec(pods) => write!(f, "exec:{pods}"),
        }
    }
}

impl<'de> Deserialize<'de> for Vantage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Vantage, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

impl JsonSchema for Vantage {
    fn schema_name() -> Cow<'static, str> {
        "Vantage".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(auto|direct|api-proxy|port-forward|exec:.+)$",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Vantage;

    #[test]
    fn vantages_are_written_as_they_are_read() {
        for text in [
            "auto",
            "direct",
            "api-proxy",
            "port-forward",
            "exec:deployment/shop",
            "exec:statefulset/db",
            "exec:selector=app=shop",
        ] {
            assert_eq!(
                text.parse::<Vantage>().map(|v| v.to_string()),
                Ok(text.to_owned())
            );
        }
        let short = "exec:sts/db".parse::<Vantage>().map(|v| v.to_string());
        assert_eq!(short, Ok("exec:statefulset/db".to_owned()));
        assert!("exec:deployment/".parse::<Vantage>().is_err());
        assert!("laptop".parse::<Vantage>().is_err());
    }
}
