//! The application's database, how it is reached, and the tables that are compared.

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::http_access::Identity;
use super::misfit::Misfit;
use super::{Credential, Span, Table};
use crate::record::{PodSource, WorkloadRef};

/// `[database]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "Written")]
#[schemars(with = "Written")]
pub struct Database {
    /// How it is reached.
    pub vantage: DatabaseVantage,
    /// What runs PostgreSQL, where that is in the cluster; always there with the vantages `exec`
    /// and `port-forward`.
    pub workload: Option<PodSource>,
    /// The container of its pods that has psql; the pods' default one if `None`.
    pub container: Option<String>,
    /// Host for `direct`, where it is always there; a path is the folder of the server's socket.
    /// With `exec`, where psql connects to from its pod. Also the name that the server's
    /// certificate must have.
    pub host: Option<String>,
    /// PostgreSQL's port.
    pub port: u16,
    /// The database.
    pub name: String,
    /// The user; with `exec` the pod's own default if `None`.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<Credential>,
    /// Encryption; by default `verify` for `direct` and `none` for `port-forward`: the tunnel is
    /// encrypted by itself.
    pub tls: Option<DatabaseTls>,
    /// PEM file of the authorities that may have signed the server's certificate; those that the
    /// system trusts if `None`.
    pub ca: Option<PathBuf>,
    /// Our own certificate, for servers that want one.
    pub identity: Option<Identity>,
    /// Time that the server may take for one statement, such as the fingerprint of one table.
    pub statement_timeout: Span,
    /// Tables whose rows are counted and fingerprinted before and after.
    pub tables: Vec<Table>,
}

impl Database {
    /// Where it is, for messages: `statefulset/db`, or its host.
    pub fn place(&self) -> String {
        match (self.vantage, &self.host, &self.workload) {
            (DatabaseVantage::Direct, Some(host), _) => format!("{host}:{}", self.port),
            (_, _, Some(workload)) => workload.to_string(),
            (_, _, None) => "no workload".to_owned(),
        }
    }

    /// Whether this workload runs it.
    pub fn is_run_by(&self, workload: &WorkloadRef) -> bool {
        let named = self.workload.as_ref();
        named.is_some_and(|named| named.is(workload))
    }

    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let identity = self.identity.iter_mut().flat_map(Identity::files_mut);
        let password = self.password.iter_mut().filter_map(Credential::file_mut);
        self.ca.iter_mut().chain(password).chain(identity)
    }
}

/// `[database]` as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Written {
    /// What runs PostgreSQL: `statefulset/NAME`, `deployment/NAME`, `KIND.GROUP/NAME` or
    /// `selector=LABELS`. Not asked for with `direct`.
    #[serde(default, alias = "deployment")]
    workload: Option<PodSource>,
    /// The container of its pods that has psql; their default one if left out.
    #[serde(default)]
    container: Option<String>,
    /// How it is reached: `exec` (`psql` inside its pod, as the runbook does), `port-forward` or
    /// `direct`.
    #[serde(default)]
    vantage: DatabaseVantage,
    /// Host for `direct`; a path is the folder of the server's socket. With `exec`, where psql
    /// connects to from its pod; its own socket if left out. Also the name that the server's
    /// certificate must have.
    #[serde(default)]
    host: Option<String>,
    /// PostgreSQL's port.
    #[serde(default = "postgres_port")]
    port: u16,
    /// The database.
    name: String,
    /// The user; with `exec` the pod's own default if left out.
    #[serde(default)]
    user: Option<String>,
    /// The user's password: in a file, a variable, or a key of a Secret in the cluster.
    #[serde(default)]
    password: Option<Credential>,
    /// Encryption for `direct` (`verify` if left out) and `port-forward` (`none` if left out: the
    /// tunnel is encrypted by itself).
    #[serde(default)]
    tls: Option<DatabaseTls>,
    /// PEM file of the authorities that may have signed the server's certificate; those that the
    /// system trusts if left out.
    #[serde(default)]
    ca: Option<PathBuf>,
    /// PEM file of our own certificate, for `direct` and `port-forward`.
    #[serde(default)]
    certificate: Option<PathBuf>,
    /// PEM file of its key.
    #[serde(default)]
    key: Option<PathBuf>,
    /// Time that the server may take for one statement, such as the fingerprint of one table.
    #[serde(default = "one_minute")]
    statement_timeout: Span,
    /// Tables whose rows are counted and fingerprinted before and after.
    #[serde(default)]
    tables: Vec<Table>,
}

impl TryFrom<Written> for Database {
    type Error = Misfit;

    fn try_from(written: Written) -> Result<Database, Misfit> {
        let lacks = match written.vantage {
            DatabaseVantage::Direct => written
                .host
                .is_none()
                .then_some("`host`: direct leads there"),
            DatabaseVantage::Exec | DatabaseVantage::PortForward => written
                .workload
                .is_none()
                .then_some("`workload`: what runs the database, unless vantage is \"direct\""),
        };
        if let Some(lacks) = lacks {
            return Err(Misfit::new(format!("missing field {lacks}")));
        }
        let identity = Identity::of(written.certificate, written.key)?;
        if identity.is_some() && written.tls == Some(DatabaseTls::None) {
            let why = "a certificate is shown only where tls is not \"none\"";
            return Err(Misfit::new(why));
        }
        Ok(Database {
            vantage: written.vantage,
            workload: written.workload,
            container: written.container,
            host: written.host,
            port: written.port,
            name: written.name,
            user: written.user,
            password: written.password,
            tls: written.tls,
            ca: written.ca,
            identity,
            statement_timeout: written.statement_timeout,
            tables: written.tables,
        })
    }
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

pub(super) fn postgres_port() -> u16 {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Database, String> {
        toml::from_str(text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn nothing_asks_for_a_workload_where_the_way_is_direct() {
        let direct = read("name = \"n\"\nvantage = \"direct\"\nhost = \"db.example.com\"");
        let direct = direct.expect("good");
        assert_eq!(
            (direct.workload.is_none(), direct.place()),
            (true, "db.example.com:5432".into())
        );
        let set = read("name = \"n\"\nworkload = \"sts/db\"").expect("good");
        assert_eq!(set.place(), "statefulset/db");
        let old = read("name = \"n\"\ndeployment = \"db\"").expect("good");
        assert_eq!(old.place(), "deployment/db");
    }

    #[test]
    fn what_is_missing_for_a_vantage_is_named() {
        let refused = |text: &str| read(text).expect_err(text);
        assert!(refused("name = \"n\"").contains("`workload`"));
        let tunnel = "name = \"n\"\nvantage = \"port-forward\"";
        assert!(refused(tunnel).contains("`workload`"));
        assert!(refused("name = \"n\"\nvantage = \"direct\"").contains("`host`"));
        let half = "name = \"n\"\nworkload = \"db\"\nkey = \"k\"";
        assert!(refused(half).contains("go together"));
    }
}
