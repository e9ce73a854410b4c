//! Is the data what it was?

use chaos_common::cluster::ReadError;
use chaos_common::config::Database;
use chaos_common::record::{Check, DatabaseState, Status};

use super::{Reading, object, table};

/// By how much a database may shrink before that is worth a look, in per cent. Sizes move by
/// themselves with every vacuum.
const SHRINK_PERCENT: f64 = 10.0;

/// `data.database`, `data.size` and `data.table`: does the database answer, and has it what it had?
pub(crate) fn compare(
    database: &Database,
    before: Option<&DatabaseState>,
    reading: &Result<Reading, ReadError>,
) -> Vec<Check> {
    const ID: &str = "data.database";
    let reading = match reading {
        Ok(reading) => reading,
        Err(error) => return vec![error.check(ID, object(database))],
    };
    let now = &reading.state;
    let object = object(database);
    let answers = format!("answers: PostgreSQL {}", now.server_version);
    let check = match before {
        Some(before) if before.server_version != now.server_version => {
            Check::new(ID, object.clone(), Status::Warn, format!("{answers}; it was {}", before.server_version))
        }
        _ => Check::pass(ID, object.clone(), answers),
    };
    let mut checks = vec![check];
    let other = before.filter(|before| before.database != now.database);
    if let Some(other) = other {
        let message = format!("the baseline is of database {}, and this one is {}", other.database, now.database);
        checks.push(Check::unknown("data.table", object, message));
    } else {
        checks.push(size(&object, before, now));
        checks.extend(reading.tables.iter().map(|(table, taken)| table::check(table, taken, before, &now.database)));
    }
    checks.into_iter().map(|check| check.from_vantage(&now.vantage)).collect()
}

fn size(object: &str, before: Option<&DatabaseState>, now: &DatabaseState) -> Check {
    const ID: &str = "data.size";
    let now = now.size_bytes;
    let Some(before) = before.map(|before| before.size_bytes) else {
        return Check::unknown(ID, object, format!("{now} bytes, and there is no baseline to compare with"));
    };
    #[expect(clippy::cast_precision_loss, reason = "sizes stay far below 2^52 bytes")]
    let percent = (now as f64 - before as f64) / (before as f64).max(1.0) * 100.0;
    let message = format!("{now} bytes, baseline {before} bytes ({percent:+.1} %)");
    let status = if percent < -SHRINK_PERCENT { Status::Warn } else { Status::Pass };
    Check::new(ID, object, status, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::config::Table;
    use chaos_common::database::Untaken;
    use chaos_common::record::TableRows;

    fn database() -> Database {
        serde_json::from_value(serde_json::json!({ "deployment": "d", "name": "shop" })).expect("a database")
    }

    fn state(size_bytes: u64, tables: &[(&str, u64)]) -> DatabaseState {
        let rows = |(table, rows): &(&str, u64)| TableRows { table: (*table).to_owned(), rows: *rows };
        let tables: Vec<TableRows> = tables.iter().map(rows).collect();
        serde_json::from_value(serde_json::json!({
            "vantage": "exec:deployment/d", "database": "shop", "server_version": "15.18",
            "size_bytes": size_bytes, "tables": tables,
        }))
        .expect("a state")
    }

    fn compared(before: Option<&DatabaseState>, now: DatabaseState, untaken: Option<Untaken>) -> Vec<Check> {
        let table = Table { name: "users".to_owned(), may_change: Vec::new() };
        let tables = untaken.into_iter().map(|why| (table.clone(), Err(why))).collect();
        compare(&database(), before, &Ok(Reading { state: now, tables }))
    }

    fn of<'a>(checks: &'a [Check], id: &str) -> &'a Check {
        checks.iter().find(|check| check.id == id).expect("the check was made")
    }

    #[test]
    fn a_table_that_is_gone_fails_with_what_it_had() {
        let before = state(1000, &[("users", 5)]);
        let checks = compared(Some(&before), state(1000, &[]), Some(Untaken::Missing));
        let check = of(&checks, "data.table");
        assert_eq!(check.status, Status::Fail);
        assert!(check.message.contains("gone") && check.message.contains('5'), "{}", check.message);
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
        let size = |bytes| of(&compared(Some(&before), state(bytes, &[]), None), "data.size").status;
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
        let checks = compare(&database(), None, &Err(ReadError::other("read database shop", "nobody there")));
        assert_eq!(checks.iter().map(|check| check.status).collect::<Vec<_>>(), [Status::Unknown]);
        assert!(checks[0].message.contains("nobody there"));
    }
}
