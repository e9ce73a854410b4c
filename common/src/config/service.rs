//! What must answer: the application's Services and URLs.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{DataPath, Expectation};
use crate::record::Vantage;

/// `[[service]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// The Service's name.
    pub name: String,
    /// The port it is asked on.
    pub port: u16,
    /// Its namespace, if that is not the application's.
    #[serde(default)]
    pub namespace: Option<String>,
    /// It speaks https. Its certificate must be of the name `SERVICE.NAMESPACE`, from an authority
    /// that `ca` names, or that this machine trusts (or `SSL_CERT_FILE` names); through the API
    /// server it is not looked at.
    #[serde(default)]
    pub https: bool,
    /// File with the certificates that are trusted instead of the system's, in PEM.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// From where it is asked: `auto` (default), `direct`, `api-proxy`, `port-forward` or
    /// `exec:deployment/NAME`.
    #[serde(default)]
    pub vantage: Vantage,
    /// Path that must answer with a status in the 200s. Without it the Service is not asked.
    #[serde(default)]
    pub health: Option<String>,
    /// What the answer of `health` must be besides.
    #[serde(default)]
    pub expect: Expectation,
    /// Paths whose answers are data: status in the 200s and JSON, before and after, and what else
    /// is expected of them.
    #[serde(default)]
    pub data: Vec<DataPath>,
    /// Paths whose response times are measured before and after.
    #[serde(default)]
    pub timed: Vec<String>,
}

/// `[[url]]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Url {
    /// The address, `http://` or `https://`, asked from where the tool runs.
    pub url: String,
    /// What its answer must be.
    #[serde(default)]
    pub expect: Expectation,
    /// File with the certificates that are trusted instead of the system's, in PEM.
    #[serde(default)]
    pub ca: Option<PathBuf>,
}
