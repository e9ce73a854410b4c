//! The application's database: version, size and rows, as one read-only transaction sees them.

mod comparison;
mod psql;
mod question;
mod wire;

use std::time::Duration;

use chaos_common::cluster::ReadError;
use chaos_common::config::{Database, DatabaseVantage};
use chaos_common::record::{Check, DatabaseState, TableRows};

pub(crate) use self::comparison::compare;
use self::question::{Lines, Presence};
use crate::site::Site;

/// Time that PostgreSQL may take for one statement. Kept below [`LIMIT`], so that a count that is
/// too long is ended by the server and does not go on without us.
const STATEMENT_TIMEOUT: &str = "30s";
/// Time that all statements of one transaction may take together.
const LIMIT: Duration = Duration::from_secs(60);

/// What was read of the database.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) state: DatabaseState,
    /// Tables whose rows could not be counted, and why.
    pub(crate) uncounted: Vec<(String, Uncounted)>,
}

/// Why the rows of a table were not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Uncounted {
    /// There is no such table.
    Missing,
    /// The user may not read it.
    Forbidden,
    /// The configuration does not give a name that a table can have.
    NoName,
}

impl Uncounted {
    fn check(&self, id: &str, table: &str, database: &str) -> Check {
        let object = format!("table {table}");
        match self {
            Uncounted::Missing => Check::fail(id, object, format!("there is no such table in database {database}"))
                .hint("names count in upper and lower case as PostgreSQL keeps them; write SCHEMA.TABLE for one outside the search path"),
            Uncounted::Forbidden => Check::unknown(id, object, format!("the user may not read it in database {database}"))
                .hint(format!("as its owner: GRANT SELECT ON {table} TO the user of database.user")),
            Uncounted::NoName => Check::unknown(id, object, "no table can have that name")
                .hint("correct database.tables in chaos.toml"),
        }
    }
}

/// Reads the database: which tables there are, and then size and rows in one transaction.
pub(crate) async fn read(site: &Site<'_>, database: &Database) -> Result<Reading, ReadError> {
    let names: Vec<_> = database.tables.iter().map(|table| question::quoted(table)).collect();
    let presence = ask(site, database, &question::presence(&names)).await?;
    let presence = presence.presence(&names);
    let countable: Vec<_> =
        names.iter().enumerate().filter(|(i, _)| presence.get(i) == Some(&Presence::Readable)).collect();
    let countable: Vec<_> = countable.into_iter().filter_map(|(i, name)| Some((i, name.clone()?))).collect();
    let answer = ask(site, database, &question::counts(&countable)).await?;
    let (server, rows) = answer.counts(&countable).map_err(|why| cannot_understand(database, why))?;
    let mut tables = Vec::new();
    let mut uncounted = Vec::new();
    for (i, table) in database.tables.iter().enumerate() {
        let why = match (rows.get(&i), &names[i], presence.get(&i)) {
            (Some(rows), ..) => {
                tables.push(TableRows { table: table.clone(), rows: *rows });
                continue;
            }
            (None, None, _) => Uncounted::NoName,
            (None, _, Some(Presence::Forbidden)) => Uncounted::Forbidden,
            _ => Uncounted::Missing,
        };
        uncounted.push((table.clone(), why));
    }
    let vantage = vantage(database);
    let question::Server { version, bytes, name, .. } = server;
    let state = DatabaseState { vantage, database: name, server_version: version, size_bytes: bytes, tables };
    Ok(Reading { state, uncounted })
}

async fn ask(site: &Site<'_>, database: &Database, statements: &[String]) -> Result<Lines, ReadError> {
    let answer = match database.vantage {
        DatabaseVantage::Exec => psql::ask(site, database, statements).await,
        DatabaseVantage::PortForward | DatabaseVantage::Direct => wire::ask(site, database, statements).await,
    };
    Lines::parse(&answer?).map_err(|why| cannot_understand(database, why))
}

fn cannot_understand(database: &Database, why: String) -> ReadError {
    ReadError::other(format!("understand database {}", database.name), why)
}

/// The vantage as records name it.
fn vantage(database: &Database) -> String {
    match database.vantage {
        DatabaseVantage::Exec => format!("exec:deployment/{}", database.deployment),
        DatabaseVantage::PortForward => "port-forward".to_owned(),
        DatabaseVantage::Direct => "direct".to_owned(),
    }
}

/// The database as an object of checks.
pub(crate) fn object(database: &Database) -> String {
    format!("database {}", database.name)
}

/// `baseline.database` and `baseline.table`: what could be read?
pub(crate) fn baseline(database: &Database, reading: &Result<Reading, ReadError>) -> Vec<Check> {
    const ID: &str = "baseline.database";
    let reading = match reading {
        Ok(reading) => reading,
        Err(error) => return vec![error.check(ID, object(database)).from_vantage(vantage(database))],
    };
    let state = &reading.state;
    let rows: u64 = state.tables.iter().map(|table| table.rows).sum();
    let message = format!(
        "PostgreSQL {}, {} bytes, {rows} rows in {} tables",
        state.server_version,
        state.size_bytes,
        state.tables.len()
    );
    let mut checks = vec![Check::pass(ID, object(database), message).from_vantage(&state.vantage)];
    checks.extend(reading.uncounted.iter().map(|(table, why)| why.check("baseline.table", table, &state.database)));
    checks
}
