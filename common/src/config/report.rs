//! `[report]`

use std::path::PathBuf;

use schemars::JsonSchema;
use serde::Deserialize;

use super::database::postgres_port;
use super::http_access::Identity;
use super::misfit::Misfit;
use super::{DatabaseTls, Secret, Span};

/// `[report]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportSettings {
    /// Folder of reports and of the streams that they were made from.
    pub archive: PathBuf,
    /// PostgreSQL that the archive is in instead. The folder then holds this machine's copies of
    /// reports, and what the database could not take yet.
    pub database: Option<ReportDatabase>,
    /// Where people find that folder, for links: `https://reports.example.com/chaos/`.
    pub url: Option<String>,
    /// Program and arguments that sign an export: the file's path is put behind them, and the
    /// signature is written beside it, as `ssh-keygen -Y sign`, `minisign -S -m` and
    /// `gpg --detach-sign` do.
    pub sign: Vec<String>,
    /// What reviews hold a month, a quarter or a year against.
    pub goals: ReportGoals,
}

impl Default for ReportSettings {
    fn default() -> ReportSettings {
        ReportSettings {
            archive: PathBuf::from("experiment-reports"),
            database: None,
            url: None,
            sign: Vec::new(),
            goals: ReportGoals::default(),
        }
    }
}

/// `[report.goals]`. A goal that is left out is not judged.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ReportGoals {
    /// Share of the experiments with an answer that should be successful, in per cent.
    pub success_percent: Option<f64>,
    /// Time within which the median run should recover.
    pub recovery: Option<Span>,
    /// Experiments that there should be in a month.
    pub experiments_a_month: Option<usize>,
}

/// `[report.database]`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(try_from = "WrittenDatabase")]
#[schemars(with = "WrittenDatabase")]
pub struct ReportDatabase {
    /// Its host, which its certificate must name; a path is the folder of the server's socket.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database.
    pub name: String,
    /// The user.
    pub user: String,
    /// The user's password.
    pub password: Option<Secret>,
    /// Encryption.
    pub tls: DatabaseTls,
    /// PEM file of the authorities that may have signed the server's certificate; those that the
    /// system trusts if `None`.
    pub ca: Option<PathBuf>,
    /// Our own certificate, for servers that want one.
    pub identity: Option<Identity>,
    /// The schema that the archive's tables are in.
    pub schema: String,
}

impl ReportDatabase {
    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let identity = self.identity.iter_mut().flat_map(Identity::files_mut);
        let password = self.password.iter_mut().filter_map(Secret::file_mut);
        self.ca.iter_mut().chain(password).chain(identity)
    }
}

/// `[report.database]` as it is written.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct WrittenDatabase {
    /// Its host, which its certificate must name; a path is the folder of the server's socket.
    host: String,
    /// PostgreSQL's port.
    #[serde(default = "postgres_port")]
    port: u16,
    /// The database.
    name: String,
    /// The user.
    user: String,
    /// The user's password: in a file or a variable.
    #[serde(default)]
    password: Option<Secret>,
    /// Encryption: `verify` if left out, `none` for a socket.
    #[serde(default)]
    tls: Option<DatabaseTls>,
    /// PEM file of the authorities that may have signed the server's certificate; those that the
    /// system trusts if left out.
    #[serde(default)]
    ca: Option<PathBuf>,
    /// PEM file of our own certificate.
    #[serde(default)]
    certificate: Option<PathBuf>,
    /// PEM file of its key.
    #[serde(default)]
    key: Option<PathBuf>,
    /// The schema that the archive's tables are in; each archive of several in one database has
    /// its own.
    #[serde(default = "archive_schema")]
    schema: String,
}

impl TryFrom<WrittenDatabase> for ReportDatabase {
    type Error = Misfit;

    fn try_from(written: WrittenDatabase) -> Result<ReportDatabase, Misfit> {
        let identity = Identity::of(written.certificate, written.key)?;
        let default = if written.host.starts_with('/') {
            DatabaseTls::None
        } else {
            DatabaseTls::Verify
        };
        let tls = written.tls.unwrap_or(default);
        if identity.is_some() && tls == DatabaseTls::None {
            let why = "a certificate is shown only where tls is not \"none\"";
            return Err(Misfit::new(why));
        }
        if written.schema.is_empty() {
            return Err(Misfit::new("a schema has a name"));
        }
        Ok(ReportDatabase {
            host: written.host,
            port: written.port,
            name: written.name,
            user: written.user,
            password: written.password,
            tls,
            ca: written.ca,
            identity,
            schema: written.schema,
        })
    }
}

fn archive_schema() -> String {
    "chaos_report".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<ReportDatabase, String> {
        let text = format!("name = \"n\"\nuser = \"u\"\n{text}");
        toml::from_str(&text).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_way_that_others_could_read_is_encrypted_unless_told_otherwise() {
        let tls = |text: &str| read(text).expect("good").tls;
        assert_eq!(tls("host = \"db\""), DatabaseTls::Verify);
        assert_eq!(tls("host = \"/run/postgresql\""), DatabaseTls::None);
        assert_eq!(tls("host = \"db\"\ntls = \"none\""), DatabaseTls::None);
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let refused = |text: &str| read(text).expect_err(text);
        assert!(refused("host = \"db\"\nkey = \"k\"").contains("go together"));
        let plain = "host = \"/run\"\nkey = \"k\"\ncertificate = \"c\"";
        assert!(refused(plain).contains("tls is not"));
        assert!(refused("host = \"db\"\npassword = \"hunter2\"").contains("does not stand"));
        assert!(refused("host = \"db\"\nschema = \"\"").contains("has a name"));
    }
}
