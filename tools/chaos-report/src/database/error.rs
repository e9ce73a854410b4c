//! Why the database can't be used.

use std::time::Duration;

use chaos_common::cluster::{certificate_problem, error_chain};
use chaos_common::config::SecretError;
use chaos_common::postgres::{ConnectorError, certificate_hint};
use postgres::error::SqlState;

/// The table of `chaos.toml` that the database is described in.
const TABLE: &str = "report.database";

/// Why the database can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    #[error("no password: {0}")]
    Password(#[from] SecretError),
    #[error("no encryption: {0}")]
    Encryption(#[from] ConnectorError),
    #[error("{}", error_chain(.0))]
    Postgres(#[from] postgres::Error),
    #[error("no answer in {} s", .0.as_secs())]
    NoAnswer(Duration),
    #[error("{} bytes are more than it takes", .0)]
    TooLarge(usize),
    #[error(
        "its archive is of version {found}, made by {by}; this is chaos-report {}, which knows \
         versions up to {known}", env!("CARGO_PKG_VERSION")
    )]
    Newer { found: i32, by: String, known: i32 },
    #[error("the archive's tables can't be made: {}", error_chain(.0))]
    NotMade(#[source] postgres::Error),
    /// It could not be used a moment ago, and was not asked again.
    #[error("{why}")]
    Before { why: String, hint: String },
}

impl DatabaseError {
    /// What to do about it.
    pub(crate) fn hint(&self) -> String {
        match self {
            DatabaseError::Password(_) => {
                format!("see what {TABLE}.password names in chaos.toml")
            }
            DatabaseError::Encryption(_) => {
                format!("see {TABLE}.tls, ca, certificate and key in chaos.toml")
            }
            DatabaseError::NoAnswer(_) => format!("is the database at {TABLE}.host well?"),
            DatabaseError::TooLarge(_) => "keep it in a folder: --archive FOLDER".to_owned(),
            DatabaseError::Newer { .. } => {
                "install the version of chaos-report that the others have".to_owned()
            }
            DatabaseError::Before { hint, .. } => hint.clone(),
            DatabaseError::NotMade(_) => format!(
                "let a user who may create the schema make them once: chaos-report list as that \
                 user; see {TABLE}.user and {TABLE}.schema in chaos.toml"
            ),
            DatabaseError::Postgres(error) => of_postgres(error),
        }
    }
}

fn of_postgres(error: &postgres::Error) -> String {
    if let Some(problem) = certificate_problem(error) {
        return certificate_hint(problem, TABLE);
    }
    let why = error_chain(error);
    let code = error.code().map_or("", SqlState::code);
    if why.contains("does not support TLS") {
        format!("the server does not encrypt: {TABLE}.tls = \"none\" if others may read the way")
    } else if code == "3D000" {
        format!("check {TABLE}.name in chaos.toml")
    } else if code == "42501" {
        format!("grant {TABLE}.user what it needs on the tables of {TABLE}.schema")
    } else if code.starts_with("28") || why.contains("password") {
        format!("check {TABLE}.user and what {TABLE}.password names in chaos.toml")
    } else if code.starts_with("53") {
        "the server has no room or no connection left".to_owned()
    } else {
        format!("is the database up, and are {TABLE}.host and {TABLE}.port in chaos.toml right?")
    }
}
