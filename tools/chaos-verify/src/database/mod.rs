//! The application's database: version, size, rows and what they hold, as one read-only transaction
//! sees them.

mod comparison;
mod table;

use chaos_common::cluster::ReadError;
use chaos_common::config::{Database, Table};
use chaos_common::database::{Before, QueryError, Session, Snapshot, Taken, Untaken};
use chaos_common::record::{Check, DatabaseState, TableRows};

pub(crate) use self::comparison::compare;
use crate::site::Site;

/// What was read of the database.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) state: DatabaseState,
    /// Every configured table: its fingerprint, or why there is none.
    pub(crate) tables: Vec<(Table, Result<Taken, Untaken>)>,
}

/// Reads the database in one transaction, so that it compares with `before`.
pub(crate) async fn read(
    site: &Site<'_>,
    database: &Database,
    before: Option<&DatabaseState>,
) -> Result<Reading, ReadError> {
    let mut session = Session::open(site.cluster, site.namespace, database).await?;
    let snapshot = Snapshot::begin(&mut session).await?;
    let before = before.filter(|before| before.database == snapshot.server.name);
    let mut tables = Vec::new();
    for table in &database.tables {
        let was = before.and_then(|before| {
            let fingerprint = before.fingerprints.iter().find(|was| was.table == table.name)?;
            Some(Before { moment: before.moment.as_ref(), fingerprint })
        });
        let taken = snapshot.fingerprint(&mut session, table, was).await;
        if let Err(Untaken::Failed(error)) = &taken
            && error.state.is_none()
        {
            return Err(error.clone().into());
        }
        tables.push((table.clone(), taken));
    }
    let taken: Vec<&Taken> = tables.iter().filter_map(|(_, taken)| taken.as_ref().ok()).collect();
    let rows = |taken: &&Taken| TableRows { table: taken.fingerprint.table.clone(), rows: taken.fingerprint.rows };
    let state = DatabaseState {
        vantage: session.vantage().to_owned(),
        database: snapshot.server.name.clone(),
        server_version: snapshot.server.version.clone(),
        size_bytes: snapshot.server.bytes,
        tables: taken.iter().map(rows).collect(),
        server_time: snapshot.server.time,
        moment: snapshot.moment.clone(),
        fingerprints: taken.iter().map(|taken| taken.fingerprint.clone()).collect(),
        sequences: Vec::new(),
        guards: Vec::new(),
        damage: Vec::new(),
        replicas: Vec::new(),
        in_recovery: Some(snapshot.server.recovery),
        checksum_failures: None,
    };
    snapshot.end(&mut session).await?;
    Ok(Reading { state, tables })
}

/// What a failed statement says of the check `id`: damage is a failure, everything else unknown.
fn failed(id: &str, object: impl Into<String>, error: &QueryError) -> Check {
    let object = object.into();
    let mut check = if error.is_damage() {
        Check::fail(id, object, format!("stored data is damaged: {}", error.why))
    } else {
        Check::unknown(id, object, error.to_string())
    };
    check.hint = error.hint().map(str::to_owned);
    check
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
        Err(error) => return vec![error.check(ID, object(database))],
    };
    let state = &reading.state;
    let rows: u64 = state.tables.iter().map(|table| table.rows).sum();
    let message = format!(
        "PostgreSQL {}, {} bytes, {rows} rows in {} tables, fingerprints taken",
        state.server_version,
        state.size_bytes,
        state.tables.len()
    );
    let mut checks = vec![Check::pass(ID, object(database), message)];
    let failed = |(table, taken): &(Table, Result<Taken, Untaken>)| {
        taken.as_ref().err().map(|why| table::untaken(why, "baseline.table", table, &state.database))
    };
    checks.extend(reading.tables.iter().filter_map(failed));
    checks.into_iter().map(|check| check.from_vantage(&state.vantage)).collect()
}
