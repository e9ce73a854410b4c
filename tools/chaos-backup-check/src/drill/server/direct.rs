//! Questions to a PostgreSQL on this machine, by its socket.

use std::path::Path;
use std::time::Duration;

use chaos_common::cluster::error_chain;
use postgres::error::SqlState;
use postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::Answer;
use crate::drill::blocking::blocking;
use crate::drill::error::DrillError;
use crate::program_messages::{self, Meaning};

/// The longest that a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Asks in a database of the server whose socket is in `folder`.
pub(super) async fn query(
    folder: &Path,
    user: &'static str,
    database: &str,
    sql: &str,
) -> Result<Answer, postgres::Error> {
    let (folder, database, sql) = (folder.to_owned(), database.to_owned(), sql.to_owned());
    blocking(move || {
        let mut config = Config::new();
        config
            .host_path(folder)
            .user(user)
            .dbname(&database)
            .connect_timeout(CONNECT);
        let mut client: Client = config.connect(NoTls)?;
        let messages = client.simple_query(&sql)?;
        Ok(messages.iter().filter_map(row).collect())
    })
    .await
}

/// The values of a row; nothing where there is none.
fn row(message: &SimpleQueryMessage) -> Option<Vec<String>> {
    let SimpleQueryMessage::Row(row) = message else {
        return None;
    };
    let value = |column| row.get(column).unwrap_or_default().to_owned();
    Some((0..row.len()).map(value).collect())
}

/// What an answer means that is none; nothing where the server says that the statement is wrong.
pub(super) fn meaning(error: &postgres::Error) -> Option<Meaning> {
    let Some(said) = error.as_db_error() else {
        return Some(Meaning::NoServer);
    };
    let code = said.code();
    if *code == SqlState::DISK_FULL {
        Some(Meaning::DiskFull)
    } else if *code == SqlState::CANNOT_CONNECT_NOW {
        Some(Meaning::StartingUp)
    } else if matches!(code.code().get(..2), Some("08")) || stops(code) {
        Some(Meaning::NoServer)
    } else {
        None
    }
}

fn stops(code: &SqlState) -> bool {
    *code == SqlState::ADMIN_SHUTDOWN || *code == SqlState::CRASH_SHUTDOWN
}

/// For people, and for who decides.
pub(super) fn drill_error(what: &str, error: &postgres::Error, folder: &Path) -> DrillError {
    let words = match error.as_db_error() {
        Some(said) => format!("{}:  {}", said.severity(), said.message()),
        None => error_chain(error),
    };
    // One SQLSTATE stands for many things; what has none of its own is known by its words.
    match meaning(error).or_else(|| program_messages::of_postgres(&words)) {
        Some(meaning) => DrillError::of_meaning(meaning, what, &words, folder),
        None => DrillError::fail(format!("{what}: {words}")),
    }
}
