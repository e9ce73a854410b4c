//! What could be read of the database for a later verification.

use chaos_common::cluster::ReadError;
use chaos_common::config::{Database, Table};
use chaos_common::postgres::{Taken, Untaken};
use chaos_common::record::Check;

use super::checks::{clock, object};
use super::reading::{DatabaseReading, Integrity};
use super::{amcheck, guards, page_checksums, sequences, table};

/// `baseline.database` and `baseline.table`: what could be read?
pub(crate) fn baseline(
    database: &Database,
    reading: &Result<DatabaseReading, ReadError>,
) -> Vec<Check> {
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
    let Integrity {
        sequences,
        guards,
        amcheck,
        checksums,
        replicas: _,
    } = &reading.integrity;
    checks.extend(sequences::baseline(sequences, &object));
    checks.extend(guards::baseline(guards, &object));
    checks.push(amcheck::check("baseline.amcheck", amcheck, None, &object));
    checks.push(page_checksums::check(
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
