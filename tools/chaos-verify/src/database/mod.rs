//! The application's database: version, size, rows and what they hold, sequences, constraints,
//! indexes, damage and replicas, as one read-only transaction sees them.

mod comparison;
mod damage;
mod guards;
mod replicas;
mod sequences;
mod table;
#[cfg(test)]
mod tests;

use chaos_common::cluster::ReadError;
use chaos_common::config::{Database, Table};
use chaos_common::postgres::{
    Before, QueryError, Session, Snapshot, Taken, Untaken, literal, quoted,
};
use chaos_common::record::{
    Check, Damage, DatabaseState, ReplicaState, Status, TableGuard, TableRows, Time,
};

pub(crate) use self::comparison::compare;
use self::damage::{Amcheck, Checksums};
use self::sequences::Sequences;
use crate::site::Site;

/// Clocks further apart than this are told, in milliseconds. An answer may take that long too.
const CLOCKS_MS: i64 = 5_000;

/// What was read of the database.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    pub(crate) state: DatabaseState,
    /// Every configured table: its fingerprint, or why there is none.
    pub(crate) tables: Vec<(Table, Result<Taken, Untaken>)>,
    /// How far the server's clock is ahead of this machine's, in milliseconds, give or take the
    /// time that its answer took.
    pub(crate) clock_ahead_ms: Option<i64>,
    /// What else was read, or why it was not.
    pub(crate) rest: Rest,
}

/// What belongs to the tables and to the server.
#[derive(Clone, Debug)]
pub(crate) struct Rest {
    sequences: Result<Sequences, QueryError>,
    guards: Result<Vec<TableGuard>, QueryError>,
    amcheck: Result<Amcheck, QueryError>,
    checksums: Result<Checksums, QueryError>,
    replicas: Result<Vec<ReplicaState>, QueryError>,
}

/// Reads the database in one transaction, so that it compares with `before`.
pub(crate) async fn read(
    site: &Site<'_>,
    database: &Database,
    before: Option<&DatabaseState>,
) -> Result<Reading, ReadError> {
    let mut session = Session::open(site.cluster, site.namespace, database).await?;
    let snapshot = Snapshot::begin(&mut session).await?;
    let clock_ahead_ms = snapshot.server.time.map(|time| time.since_ms(Time::now()));
    let before = before.filter(|before| before.database == snapshot.server.name);
    let mut tables = Vec::new();
    for table in &database.tables {
        let was = before.and_then(|before| {
            let fingerprint = before
                .fingerprints
                .iter()
                .find(|was| was.table == table.name)?;
            Some(Before {
                moment: before.moment.as_ref(),
                fingerprint,
            })
        });
        let taken = snapshot.fingerprint(&mut session, table, was).await;
        if let Err(Untaken::Failed(error)) = &taken
            && error.state.is_none()
        {
            return Err(error.clone().into());
        }
        tables.push((table.clone(), taken));
    }
    let taken: Vec<&Taken> = tables
        .iter()
        .filter_map(|(_, taken)| taken.as_ref().ok())
        .collect();
    let mut rest = rest(&mut session, &database.tables).await?;
    let rows = |taken: &&Taken| TableRows {
        table: taken.fingerprint.table.clone(),
        rows: taken.fingerprint.rows,
    };
    let mut state = DatabaseState {
        vantage: session.vantage().to_owned(),
        database: snapshot.server.name.clone(),
        server_version: snapshot.server.version.clone(),
        size_bytes: snapshot.server.bytes,
        tables: taken.iter().map(rows).collect(),
        server_time: snapshot.server.time,
        moment: snapshot.moment.clone(),
        fingerprints: taken
            .iter()
            .map(|taken| taken.fingerprint.clone())
            .collect(),
        sequences: rest
            .sequences
            .as_ref()
            .map(|sequences| sequences.read.clone())
            .unwrap_or_default(),
        guards: rest.guards.as_ref().cloned().unwrap_or_default(),
        damage: damaged(&tables, &rest.amcheck),
        replicas: Vec::new(),
        in_recovery: Some(snapshot.server.recovery),
        checksum_failures: match rest.checksums {
            Ok(Checksums::Failures(failures)) => Some(failures),
            _ => None,
        },
    };
    snapshot.end(&mut session).await?;
    rest.replicas = replicas::settle(&mut session, before, rest.replicas).await;
    state.replicas = rest.replicas.as_ref().cloned().unwrap_or_default();
    Ok(Reading {
        state,
        tables,
        clock_ahead_ms,
        rest,
    })
}

/// Reads what belongs to the tables and to the server. What the server refuses is kept as its
/// answer.
///
/// # Errors
/// The session broke.
async fn rest(session: &mut Session, tables: &[Table]) -> Result<Rest, QueryError> {
    fn kept<T>(answer: Result<T, QueryError>) -> Result<Result<T, QueryError>, QueryError> {
        match answer {
            Err(error) if error.state.is_none() => Err(error),
            answer => Ok(answer),
        }
    }
    Ok(Rest {
        sequences: kept(sequences::read(session, tables).await)?,
        guards: kept(guards::read(session, tables).await)?,
        amcheck: kept(damage::amcheck(session, tables).await)?,
        // After everything that reads pages.
        checksums: kept(damage::checksums(session).await)?,
        replicas: kept(replicas::read(session).await)?,
    })
}

#[cfg(test)]
impl Rest {
    /// As of a database without tables and replicas.
    fn nothing() -> Rest {
        Rest {
            sequences: Ok(Sequences::default()),
            guards: Ok(Vec::new()),
            amcheck: Ok(Amcheck::Missing("not there".to_owned(), String::new())),
            checksums: Ok(Checksums::Off),
            replicas: Ok(Vec::new()),
        }
    }
}

/// Damage that reading met, and that `amcheck` found.
fn damaged(
    tables: &[(Table, Result<Taken, Untaken>)],
    amcheck: &Result<Amcheck, QueryError>,
) -> Vec<Damage> {
    let read = tables.iter().filter_map(|(table, taken)| match taken {
        Err(Untaken::Failed(error)) if error.is_damage() => Some(Damage {
            object: table.name.clone(),
            message: error.why.clone(),
        }),
        _ => None,
    });
    let found = match amcheck {
        Ok(Amcheck::Looked(looked)) => looked.damage.as_slice(),
        _ => &[],
    };
    read.chain(found.iter().cloned()).collect()
}

/// The tables' OIDs, as a list in SQL, with NULL for those that there are not. The catalogue tells
/// of tables that may not be read too.
fn oids(tables: &[Table]) -> String {
    let names = tables.iter().filter_map(|table| quoted(&table.name));
    let oids = names.map(|name| format!("to_regclass({})::oid", literal(&name)));
    oids.chain(["NULL".to_owned()])
        .collect::<Vec<_>>()
        .join(", ")
}

/// A part of a recursive `WITH`: `relations(oid)`, the tables and their partitions.
fn relations(tables: &[Table]) -> String {
    format!(
        "relations(oid) AS (SELECT unnest(ARRAY[{}]::oid[]) UNION SELECT h.inhrelid FROM pg_inherits h \
         JOIN relations r ON r.oid = h.inhparent)",
        oids(tables)
    )
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

/// Whether the server's clock is far from this machine's. Nothing of the database is judged by it,
/// but somebody who lays logs side by side should know.
fn clock(id: &str, ahead_ms: Option<i64>, object: &str) -> Option<Check> {
    let ahead = ahead_ms.filter(|ahead| ahead.abs() > CLOCKS_MS)?;
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let message = format!(
        "its clock is {} s {side} this machine's",
        ahead.abs() / 1000
    );
    Some(Check::new(id, object, Status::Warn, message))
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
    let object = object(database);
    let mut checks = vec![Check::pass(ID, &object, message)];
    checks.extend(clock("baseline.clock", reading.clock_ahead_ms, &object));
    let failed = |(table, taken): &(Table, Result<Taken, Untaken>)| {
        taken
            .as_ref()
            .err()
            .map(|why| table::untaken(why, "baseline.table", table, &state.database))
    };
    checks.extend(reading.tables.iter().filter_map(failed));
    let Rest {
        sequences,
        guards,
        amcheck,
        checksums,
        replicas: _,
    } = &reading.rest;
    checks.extend(sequences::baseline(sequences, &object));
    checks.extend(guards::baseline(guards, &object));
    checks.push(damage::check("baseline.amcheck", amcheck, None, &object));
    checks.push(damage::check_sums(
        "baseline.checksums",
        checksums,
        None,
        &object,
    ));
    checks
        .into_iter()
        .map(|check| check.from_vantage(&state.vantage))
        .collect()
}
