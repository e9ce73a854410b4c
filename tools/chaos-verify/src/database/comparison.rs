//! Is the data what it was?

use chaos_common::cluster::ReadError;
use chaos_common::config::Database;
use chaos_common::record::{Check, DatabaseState, Status};

use super::{Reading, object, vantage};

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
        Err(error) => return vec![error.check(ID, object(database)).from_vantage(vantage(database))],
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
        checks.extend(now.tables.iter().map(|table| rows(&table.table, table.rows, before)));
        checks.extend(reading.uncounted.iter().map(|(table, why)| uncounted(table, why, before, &now.database)));
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

fn rows_before(table: &str, before: Option<&DatabaseState>) -> Option<u64> {
    before?.tables.iter().find(|other| other.table == table).map(|other| other.rows)
}

fn rows(table: &str, now: u64, before: Option<&DatabaseState>) -> Check {
    const ID: &str = "data.table";
    let object = format!("table {table}");
    match rows_before(table, before) {
        None if before.is_none() => {
            Check::unknown(ID, object, format!("{now} rows, and there is no baseline to compare with"))
        }
        None => Check::unknown(ID, object, format!("{now} rows, and the baseline did not count it")),
        Some(before) if now < before => {
            Check::fail(ID, object, format!("{now} rows, {} fewer than the {before} in the baseline", before - now))
        }
        Some(before) if now > before => {
            Check::pass(ID, object, format!("{now} rows, {} new since the baseline", now - before))
        }
        Some(_) => Check::pass(ID, object, format!("{now} rows, as in the baseline")),
    }
}

/// A table that can't be counted now. One that had rows before is lost.
fn uncounted(table: &str, why: &super::Uncounted, before: Option<&DatabaseState>, database: &str) -> Check {
    let mut check = why.check("data.table", table, database);
    if let (super::Uncounted::Missing, Some(before)) = (why, rows_before(table, before)) {
        check.message = format!("the table is gone; it had {before} rows in the baseline");
        check.hint = None;
    }
    check
}

#[cfg(test)]
mod tests {
    use super::super::Uncounted;
    use super::*;
    use chaos_common::record::TableRows;

    fn database() -> Database {
        serde_json::from_value(serde_json::json!({ "deployment": "d", "name": "shop" })).expect("a database")
    }

    fn state(size_bytes: u64, tables: &[(&str, u64)]) -> DatabaseState {
        let tables = tables.iter().map(|(table, rows)| TableRows { table: (*table).to_owned(), rows: *rows }).collect();
        let (vantage, database) = ("exec:deployment/d".to_owned(), "shop".to_owned());
        DatabaseState { vantage, database, server_version: "15.18".to_owned(), size_bytes, tables }
    }

    fn compared(before: Option<&DatabaseState>, now: DatabaseState) -> Vec<Check> {
        compare(&database(), before, &Ok(Reading { state: now, uncounted: Vec::new() }))
    }

    fn of<'a>(checks: &'a [Check], id: &str) -> &'a Check {
        checks.iter().find(|check| check.id == id).expect("the check was made")
    }

    #[test]
    fn lost_rows_fail_and_new_ones_pass() {
        let before = state(1000, &[("users", 5)]);
        let table = |rows| {
            let checks = compared(Some(&before), state(1000, &[("users", rows)]));
            let check = of(&checks, "data.table").clone();
            (check.status, check.message)
        };
        assert_eq!(table(4), (Status::Fail, "4 rows, 1 fewer than the 5 in the baseline".to_owned()));
        assert_eq!(table(5), (Status::Pass, "5 rows, as in the baseline".to_owned()));
        assert_eq!(table(7), (Status::Pass, "7 rows, 2 new since the baseline".to_owned()));
    }

    #[test]
    fn a_table_that_is_gone_fails_with_what_it_had() {
        let before = state(1000, &[("users", 5)]);
        let uncounted = vec![("users".to_owned(), Uncounted::Missing)];
        let now = Ok(Reading { state: state(1000, &[]), uncounted });
        let checks = compare(&database(), Some(&before), &now);
        let check = of(&checks, "data.table");
        assert_eq!(check.status, Status::Fail);
        assert!(check.message.contains("gone") && check.message.contains('5'), "{}", check.message);
    }

    #[test]
    fn a_table_that_may_not_be_read_is_unknown() {
        let uncounted = vec![("users".to_owned(), Uncounted::Forbidden)];
        let now = Ok(Reading { state: state(1000, &[]), uncounted });
        let checks = compare(&database(), Some(&state(1000, &[("users", 5)])), &now);
        assert_eq!(of(&checks, "data.table").status, Status::Unknown);
    }

    #[test]
    fn without_a_baseline_rows_and_size_are_unknown() {
        let checks = compared(None, state(1000, &[("users", 5)]));
        assert_eq!(of(&checks, "data.database").status, Status::Pass);
        assert_eq!(of(&checks, "data.size").status, Status::Unknown);
        assert_eq!(of(&checks, "data.table").status, Status::Unknown);
        let checks = compared(Some(&state(1000, &[])), state(1000, &[("users", 5)]));
        assert_eq!(of(&checks, "data.table").status, Status::Unknown);
    }

    #[test]
    fn a_database_that_shrank_much_warns() {
        let before = state(1000, &[]);
        let size = |bytes| of(&compared(Some(&before), state(bytes, &[])), "data.size").status;
        assert_eq!(size(899), Status::Warn);
        assert_eq!(size(900), Status::Pass);
        assert_eq!(size(5000), Status::Pass);
    }

    #[test]
    fn another_database_is_not_compared() {
        let mut before = state(1000, &[("users", 5)]);
        before.database = "other".to_owned();
        let checks = compared(Some(&before), state(1000, &[("users", 5)]));
        assert_eq!(of(&checks, "data.table").status, Status::Unknown);
    }

    #[test]
    fn a_database_that_does_not_answer_is_unknown() {
        let checks = compare(&database(), None, &Err(ReadError::other("read database shop", "nobody there")));
        assert_eq!(checks.iter().map(|check| check.status).collect::<Vec<_>>(), [Status::Unknown]);
        assert!(checks[0].message.contains("nobody there"));
    }
}
