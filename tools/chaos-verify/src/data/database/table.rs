//! One table: has it the rows that it had, and are they what they were?

use chaos_common::config::Table;
use chaos_common::postgres::{self, Taken, Untaken};
use chaos_common::record::{Check, DatabaseState, Status, TableFingerprint};

use super::checks::failed;

/// `data.table`: a table held against the baseline.
pub(super) fn check(
    table: &Table,
    taken: &Result<Taken, Untaken>,
    before: Option<&DatabaseState>,
    database: &str,
) -> Check {
    let was = Earlier::of(table, before);
    let taken = match taken {
        Ok(taken) => taken,
        Err(why) => return was.unread(why, untaken(why, ID, table, database)),
    };
    match was {
        Earlier::Fingerprint(was) => compare(table, was, taken),
        _ => was.without_fingerprint(object(table), taken.fingerprint.rows),
    }
}

const ID: &str = "data.table";

/// What the baseline knows of a table.
#[derive(Clone, Copy, Debug)]
enum Earlier<'a> {
    NoBaseline,
    /// There is a baseline, and it did not read the table.
    NotRead,
    /// Only how many rows it had.
    Rows(u64),
    Fingerprint(&'a TableFingerprint),
}

impl Earlier<'_> {
    fn of<'a>(table: &Table, before: Option<&'a DatabaseState>) -> Earlier<'a> {
        let Some(before) = before else {
            return Earlier::NoBaseline;
        };
        let mut fingerprints = before.fingerprints.iter();
        if let Some(was) = fingerprints.find(|was| was.table == table.name) {
            return Earlier::Fingerprint(was);
        }
        let mut tables = before.tables.iter();
        let counted = tables.find(|was| was.table == table.name);
        counted.map_or(Earlier::NotRead, |was| Earlier::Rows(was.rows))
    }

    /// The check of a table that can't be read now. One that had rows before is lost.
    fn unread(self, why: &Untaken, mut check: Check) -> Check {
        let rows = match self {
            Earlier::Fingerprint(was) => was.rows,
            Earlier::Rows(rows) => rows,
            Earlier::NoBaseline | Earlier::NotRead => return check,
        };
        if let Untaken::Missing = why {
            check.message = format!("the table is gone; it had {rows} rows in the baseline");
            check.hint = None;
        }
        check
    }

    /// The check of a table whose rows can only be counted. Fewer are lost; as many may be others.
    fn without_fingerprint(self, object: String, now: u64) -> Check {
        let message = match self {
            Earlier::NoBaseline => {
                format!("{now} rows, and there is no baseline to compare with")
            }
            Earlier::Rows(then) if now < then => {
                let fewer = then - now;
                let message = format!("{now} rows, {fewer} fewer than the {then} in the baseline");
                return Check::fail(ID, object, message);
            }
            Earlier::Rows(then) => {
                format!("{now} rows, {then} in the baseline, which has no fingerprint of them")
            }
            Earlier::NotRead | Earlier::Fingerprint(_) => {
                format!("{now} rows, and the baseline did not read it")
            }
        };
        Check::unknown(ID, object, message)
    }
}

fn compare(table: &Table, was: &TableFingerprint, taken: &Taken) -> Check {
    let result = postgres::compare(was, taken);
    let mut message = result.message;
    if !was.left_out.is_empty() {
        let left_out = was.left_out.join(", ");
        message = format!("{message}; not compared, since they may change: {left_out}");
    }
    let check = Check::new(ID, object(table), result.status, message);
    match result.status {
        Status::Fail => check.hint(format!(
            "compare with a backup; if rows of {} may change, name the columns: \
             {{ name = {:?}, may_change = [\"…\"] }}",
            table.name, table.name
        )),
        _ => check,
    }
}

fn object(table: &Table) -> String {
    format!("table {}", table.name)
}

/// Why a table was not read, as the check `id`.
pub(super) fn untaken(why: &Untaken, id: &str, table: &Table, database: &str) -> Check {
    let (object, name) = (object(table), &table.name);
    match why {
        Untaken::Missing => {
            let message = format!("there is no such table in database {database}");
            Check::fail(id, object, message).hint(
                "names count in upper and lower case as PostgreSQL keeps them; \
                 write SCHEMA.TABLE for one outside the search path",
            )
        }
        Untaken::Forbidden => {
            let message = format!("the user may not read it in database {database}");
            Check::unknown(id, object, message).hint(format!(
                "as its owner: GRANT SELECT ON {name} TO the user of database.user"
            ))
        }
        Untaken::NoName => Check::unknown(id, object, "no table can have that name")
            .hint("correct database.tables in chaos.toml"),
        Untaken::NoColumn(column) => {
            let message = format!("it has no column {column}, which the configuration lets change");
            Check::unknown(id, object, message)
                .hint("correct may_change in database.tables of chaos.toml")
        }
        Untaken::Columns(gone) => {
            let message = format!(
                "columns are gone or have another type since the baseline: {}",
                gone.join(", ")
            );
            Check::fail(id, object, message)
        }
        Untaken::Failed(error) => failed(id, object, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        serde_json::from_value(serde_json::json!("orders")).expect("a table")
    }

    /// A baseline that only counted the rows.
    fn counted(rows: u64) -> DatabaseState {
        serde_json::from_value(serde_json::json!({
            "vantage": "direct", "database": "shop", "server_version": "15.18", "size_bytes": 1,
            "tables": [{ "table": "orders", "rows": rows }],
        }))
        .expect("a state")
    }

    #[test]
    fn fewer_rows_than_were_counted_fail_and_as_many_prove_nothing() {
        let before = counted(10);
        let of = |now| {
            let was = Earlier::of(&table(), Some(&before));
            was.without_fingerprint("table orders".to_owned(), now)
                .status
        };
        assert_eq!(
            [of(0), of(9), of(10), of(11)],
            [Status::Fail, Status::Fail, Status::Unknown, Status::Unknown]
        );
    }

    #[test]
    fn rows_that_nobody_counted_before_are_unknown() {
        let mut other = counted(10);
        other.tables[0].table = "users".to_owned();
        for before in [None, Some(&other)] {
            let was = Earlier::of(&table(), before);
            let check = was.without_fingerprint("table orders".to_owned(), 3);
            assert_eq!(check.status, Status::Unknown, "{check:?}");
        }
    }
}
