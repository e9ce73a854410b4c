//! Reads the database.

use chaos_common::cluster::ReadError;
use chaos_common::config::{Database, Table};
use chaos_common::postgres::{Before, QueryError, Session, Snapshot, Taken, Untaken};
use chaos_common::record::{Damage, DatabaseState, ReplicaState, TableGuard, TableRows, Time};

use super::amcheck::{self, Amcheck};
use super::page_checksums::{self, Checksums};
use super::sequences::{self, Sequences};
use super::{guards, replicas};
use crate::target::Target;

/// Reads the configured database, if there is one, so that it compares with `before`.
pub(crate) async fn read_configured(
    target: &Target<'_>,
    before: Option<&DatabaseState>,
) -> Option<Result<DatabaseReading, ReadError>> {
    match &target.config.database {
        Some(database) => Some(read(target, database, before).await),
        None => None,
    }
}

/// What was read of the database.
#[derive(Clone, Debug)]
pub(crate) struct DatabaseReading {
    pub(crate) state: DatabaseState,
    /// Every configured table: its fingerprint, or why there is none.
    pub(crate) tables: Vec<(Table, Result<Taken, Untaken>)>,
    /// How far the server's clock is ahead of this machine's, in milliseconds, give or take the
    /// time that its answer took.
    pub(crate) clock_ahead_ms: Option<i64>,
    /// What else was read, or why it was not.
    pub(crate) integrity: Integrity,
}

/// What belongs to the tables and to the server.
#[derive(Clone, Debug)]
pub(crate) struct Integrity {
    pub(super) sequences: Result<Sequences, QueryError>,
    pub(super) guards: Result<Vec<TableGuard>, QueryError>,
    pub(super) amcheck: Result<Amcheck, QueryError>,
    pub(super) checksums: Result<Checksums, QueryError>,
    pub(super) replicas: Result<Vec<ReplicaState>, QueryError>,
}

/// Reads the database in one transaction, so that it compares with `before`.
pub(super) async fn read(
    target: &Target<'_>,
    database: &Database,
    before: Option<&DatabaseState>,
) -> Result<DatabaseReading, ReadError> {
    let mut session = Session::open(target.cluster, target.namespace, database).await?;
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
    let mut integrity = read_integrity(&mut session, &database.tables).await?;
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
        sequences: integrity
            .sequences
            .as_ref()
            .map(|sequences| sequences.read.clone())
            .unwrap_or_default(),
        guards: integrity.guards.as_ref().cloned().unwrap_or_default(),
        damage: damaged(&tables, &integrity.amcheck),
        replicas: Vec::new(),
        in_recovery: Some(snapshot.server.recovery),
        checksum_failures: match integrity.checksums {
            Ok(Checksums::Failures(failures)) => Some(failures),
            _ => None,
        },
    };
    snapshot.end(&mut session).await?;
    integrity.replicas = replicas::settle(&mut session, before, integrity.replicas).await;
    state.replicas = integrity.replicas.as_ref().cloned().unwrap_or_default();
    Ok(DatabaseReading {
        state,
        tables,
        clock_ahead_ms,
        integrity,
    })
}

/// Reads what belongs to the tables and to the server. What the server refuses is kept as its
/// answer.
///
/// # Errors
/// The session broke.
async fn read_integrity(session: &mut Session, tables: &[Table]) -> Result<Integrity, QueryError> {
    fn kept<T>(answer: Result<T, QueryError>) -> Result<Result<T, QueryError>, QueryError> {
        match answer {
            Err(error) if error.state.is_none() => Err(error),
            answer => Ok(answer),
        }
    }
    Ok(Integrity {
        sequences: kept(sequences::read(session, tables).await)?,
        guards: kept(guards::read(session, tables).await)?,
        amcheck: kept(amcheck::look(session, tables).await)?,
        // After everything that reads pages.
        checksums: kept(page_checksums::read(session).await)?,
        replicas: kept(replicas::read(session).await)?,
    })
}

#[cfg(test)]
impl Integrity {
    /// As of a database without tables and replicas.
    pub(super) fn nothing() -> Integrity {
        Integrity {
            sequences: Ok(Sequences::default()),
            guards: Ok(Vec::new()),
            amcheck: Ok(Amcheck::NoTables),
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
