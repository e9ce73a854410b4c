//! The application's database, how it is reached, and the tables that are compared.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{Secret, Span, Table};

/// `[database]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The Deployment that runs PostgreSQL.
    pub deployment: String,
    /// How it is reached: `exec` (`psql` inside its pod, as the runbook does), `port-forward` or
    /// `direct`.
    #[serde(default)]
    pub vantage: DatabaseVantage,
    /// Host for `direct`; a path is the folder of the server's socket. Also the name that the
    /// server's certificate must have.
    #[serde(default)]
    pub host: Option<String>,
    /// PostgreSQL's port.
    #[serde(default = "postgres_port")]
    pub port: u16,
    /// The database.
    pub name: String,
    /// The user; with `exec` the pod's own default if left out.
    #[serde(default)]
    pub user: Option<String>,
    /// The user's password, for `port-forward` and `direct`.
    #[serde(default)]
    pub password: Option<Secret>,
    /// Encryption for `direct` (`verify` if left out) and `port-forward` (`none` if left out: the
    /// tunnel is encrypted by itself).
    #[serde(default)]
    pub tls: Option<DatabaseTls>,
    /// PEM file of the authorities that may have signed the server's certificate; those that the
    /// system trusts if left out.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Time that the server may take for one statement, such as the fingerprint of one table.
    #[serde(default = "one_minute")]
    pub statement_timeout: Span,
    /// Tables whose rows are counted and fingerprinted before and after.
    #[serde(default)]
    pub tables: Vec<Table>,
}

/// Encryption of the way to a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseTls {
    /// Encrypted, and the server must show a certificate for its name that is trusted.
    Verify,
    /// Encrypted, whatever certificate the server shows.
    Require,
    /// Not encrypted.
    None,
}

fn one_minute() -> Span {
    Span::seconds(60)
}

fn postgres_port() -> u16 {
    5432
}

/// How a database is reached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DatabaseVantage {
    /// `psql` inside the database's pod.
    #[default]
    Exec,
    /// A connection through the API server to the pod.
    PortForward,
    /// A connection to `host`.
    Direct,
}
