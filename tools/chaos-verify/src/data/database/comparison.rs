//! Is the database what it was?

use chaos_common::cluster::ReadError;
use chaos_common::config::Database;
use chaos_common::record::{Check, DatabaseState, Status};

use super::checks::{clock, object};
use super::reading::{DatabaseReading, Integrity};
use super::{amcheck, guards, page_checksums, replicas, sequences, table};

/// By how much a database may shrink before that is worth a look, in per cent. Sizes move by
/// themselves with every vacuum.
const SHRINK_PERCENT: f64 = 10.0;

/// The checks `data.…` of the database: does it answer, has it what it had, and is that sound?
pub(crate) fn compare(
    database: &Database,
    before: Option<&DatabaseState>,
    reading: &Result<DatabaseReading, ReadError>,
) -> Vec<Check> {
    const ID: &str = "data.database";
    let reading = match reading {
        Ok(reading) => reading,
        Err(error) => return vec![error.check(ID, object(database))],
    };
    let now = &reading.state;
    let object = object(database);
    let mut checks = vec![version(&object, before, now)];
    checks.extend(clock("data.clock", reading.clock_ahead_ms, &object));
    let other = before.filter(|before| before.database != now.database);
    if let Some(other) = other {
        let message = format!(
            "the baseline is of database {}, and this one is {}",
            other.database, now.database
        );
        checks.push(Check::unknown("data.table", object, message));
        return checks
            .into_iter()
            .map(|check| check.from_vantage(&now.vantage))
            .collect();
    }
    let Integrity {
        sequences,
        guards,
        amcheck,
        checksums,
        replicas,
    } = &reading.integrity;
    checks.push(replicas::role(before, now, &object));
    checks.push(size(&object, before, now));
    checks.extend(
        reading
            .tables
            .iter()
            .map(|(table, taken)| table::check(table, taken, before, &now.database)),
    );
    checks.extend(sequences::compare(sequences, before, now, &object));
    checks.extend(guards::compare(guards, before, &object));
    checks.push(amcheck::check("data.amcheck", amcheck, before, &object));
    checks.push(page_checksums::check(
        "data.checksums",
        checksums,
        before,
        &object,
    ));
    checks.extend(replicas::compare(replicas, before, &object));
    checks
        .into_iter()
        .map(|check| check.from_vantage(&now.vantage))
        .collect()
}

/// `data.database`: it answers, and is it the same server?
fn version(object: &str, before: Option<&DatabaseState>, now: &DatabaseState) -> Check {
    const ID: &str = "data.database";
    let mut changed = Vec::new();
    if let Some(before) = before {
        if before.server_version != now.server_version {
            changed.push(format!("it was {}", before.server_version));
        }
        if let Some((was, is)) = before.moment.as_ref().zip(now.moment.as_ref())
            && was.system != is.system
        {
            changed.push(
                "its data is not that server's of the baseline, but made anew (system identifier)"
                    .to_owned(),
            );
        }
    }
    let answers = format!("answers: PostgreSQL {}", now.server_version);
    if changed.is_empty() {
        return Check::pass(ID, object, answers);
    }
    Check::new(
        ID,
        object,
        Status::Warn,
        format!("{answers}; {}", changed.join("; ")),
    )
}

fn size(object: &str, before: Option<&DatabaseState>, now: &DatabaseState) -> Check {
    const ID: &str = "data.size";
    let now = now.size_bytes;
    let Some(before) = before.map(|before| before.size_bytes) else {
        return Check::unknown(
            ID,
            object,
            format!("{now} bytes, and there is no baseline to compare with"),
        );
    };
    #[expect(
        clippy::cast_precision_loss,
        reason = "sizes stay far below 2^52 bytes"
    )]
    let percent = (now as f64 - before as f64) / (before as f64).max(1.0) * 100.0;
    let message = format!("{now} bytes, baseline {before} bytes ({percent:+.1} %)");
    let status = if percent < -SHRINK_PERCENT {
        Status::Warn
    } else {
        Status::Pass
    };
    Check::new(ID, object, status, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::config::Table;
    use chaos_common::postgres::Untaken;
    use chaos_common::record::TableRows;

    fn database() -> Database {
        serde_json::from_value(serde_json::json!({ "deployment": "d", "name": "shop" }))
            .expect("a database")
    }

    fn state(size_bytes: u64, tables: &[(&str, u64)]) -> DatabaseState {
        let rows = |(table, rows): &(&str, u64)| TableRows {
            table: (*table).to_owned(),
            rows: *rows,
        };
        let tables: Vec<TableRows> = tables.iter().map(rows).collect();
        serde_json::from_value(serde_json::json!({
            "vantage": "exec:deployment/d", "database": "shop", "server_version": "15.18",
            "size_bytes": size_bytes, "tables": tables,
        }))
        .expect("a state")
    }

    fn compared(
        before: Option<&DatabaseState>,
        now: DatabaseState,
        untaken: Option<Untaken>,
    ) -> Vec<Check> {
        let table = Table {
            name: "users".to_owned(),
            may_change: Vec::new(),
        };
        let tables = untaken
            .into_iter()
            .map(|why| (table.clone(), Err(why)))
            .collect();
        compare(
            &database(),
            before,
            &Ok(DatabaseReading {
                state: now,
                tables,
                clock_ahead_ms: None,
                integrity: Integrity::nothing(),
            }),
        )
    }

    fn of<'a>(checks: &'a [Check], id: &str) -> &'a Check {
        checks
            .iter()
            .find(|check| check.id == id)
            .expect("the check was made")
    }

    #[test]
    fn a_table_that_is_gone_fails_with_what_it_had() {
        let before = state(1000, &[("users", 5)]);
        let checks = compared(Some(&before), state(1000, &[]), Some(Untaken::Missing));
        let check = of(&checks, "data.table");
        assert_eq!(check.status, Status::Fail);
        assert!(
            check.message.contains("gone") && check.message.contains('5'),
            "{}",
            check.message
        );
    }

    #[test]
    fn a_table_that_may_not_be_read_is_unknown() {
        let before = state(1000, &[("users", 5)]);
        let checks = compared(Some(&before), state(1000, &[]), Some(Untaken::Forbidden));
        assert_eq!(of(&checks, "data.table").status, Status::Unknown);
    }

    #[test]
    fn without_a_baseline_size_is_unknown() {
        let checks = compared(None, state(1000, &[]), None);
        assert_eq!(of(&checks, "data.database").status, Status::Pass);
        assert_eq!(of(&checks, "data.size").status, Status::Unknown);
    }

    #[test]
    fn a_database_that_shrank_much_warns() {
        let before = state(1000, &[]);
        let size = |bytes| {
            of(
                &compared(Some(&before), state(bytes, &[]), None),
                "data.size",
            )
            .status
        };
        assert_eq!(size(899), Status::Warn);
        assert_eq!(size(900), Status::Pass);
        assert_eq!(size(5000), Status::Pass);
    }

    #[test]
    fn another_database_is_not_compared() {
        let mut before = state(1000, &[("users", 5)]);
        before.database = "other".to_owned();
        let checks = compared(Some(&before), state(1000, &[]), None);
        assert_eq!(of(&checks, "data.table").status, Status::Unknown);
    }

    #[test]
    fn a_database_that_does_not_answer_is_unknown() {
        let checks = compare(
            &database(),
            None,
            &Err(ReadError::other("read database shop", "nobody there")),
        );
        assert_eq!(
            checks.iter().map(|check| check.status).collect::<Vec<_>>(),
            [Status::Unknown]
        );
        assert!(checks[0].message.contains("nobody there"));
    }
}
