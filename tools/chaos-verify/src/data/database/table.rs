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
    const ID: &str = "data.table";
    let object = object(table);
    let was = before.and_then(|before| {
        before
            .fingerprints
            .iter()
            .find(|was| was.table == table.name)
    });
    let taken = match taken {
        Ok(taken) => taken,
        Err(why) => return lost(untaken(why, ID, table, database), why, was, before, table),
    };
    let now = taken.fingerprint.rows;
    let Some(was) = was else {
        let counted =
            before.and_then(|before| before.tables.iter().find(|was| was.table == table.name));
        let message = match (before, counted) {
            (None, _) => format!("{now} rows, and there is no baseline to compare with"),
            (_, Some(then)) if now < then.rows => {
                let message = format!(
                    "{now} rows, {} fewer than the {} in the baseline",
                    then.rows - now,
                    then.rows
                );
                return Check::fail(ID, object, message);
            }
            (_, Some(then)) => {
                format!(
                    "{now} rows, {} in the baseline, which has no fingerprint of them",
                    then.rows
                )
            }
            (_, None) => format!("{now} rows, and the baseline did not read it"),
        };
        return Check::unknown(ID, object, message);
    };
    let result = postgres::compare(was, taken);
    let mut message = result.message;
    if !was.left_out.is_empty() {
        message = format!(
            "{message}; not compared, since they may change: {}",
            was.left_out.join(", ")
        );
    }
    let check = Check::new(ID, object, result.status, message);
    match result.status {
        Status::Fail => check.hint(format!(
            "compare with a backup; if rows of {} may change, name the columns: {{ name = {:?}, may_change = [\"…\"] }}",
            table.name, table.name
        )),
        _ => check,
    }
}

/// A table that can't be read now. One that had rows before is lost.
fn lost(
    mut check: Check,
    why: &Untaken,
    was: Option<&TableFingerprint>,
    before: Option<&DatabaseState>,
    table: &Table,
) -> Check {
    let counted =
        before.and_then(|before| before.tables.iter().find(|was| was.table == table.name));
    let rows = was.map(|was| was.rows).or(counted.map(|was| was.rows));
    if let (Untaken::Missing, Some(rows)) = (why, rows) {
        check.message = format!("the table is gone; it had {rows} rows in the baseline");
        check.hint = None;
    }
    check
}

fn object(table: &Table) -> String {
    format!("table {}", table.name)
}

/// Why a table was not read, as the check `id`.
pub(super) fn untaken(why: &Untaken, id: &str, table: &Table, database: &str) -> Check {
    let (object, name) = (object(table), &table.name);
    match why {
        Untaken::Missing => Check::fail(id, object, format!("there is no such table in database {database}")).hint(
            "names count in upper and lower case as PostgreSQL keeps them; write SCHEMA.TABLE for one outside the \
             search path",
        ),
        Untaken::Forbidden => Check::unknown(id, object, format!("the user may not read it in database {database}"))
            .hint(format!("as its owner: GRANT SELECT ON {name} TO the user of database.user")),
        Untaken::NoName => {
            Check::unknown(id, object, "no table can have that name").hint("correct database.tables in chaos.toml")
        }
        Untaken::NoColumn(column) => {
            Check::unknown(id, object, format!("it has no column {column}, which the configuration lets change"))
                .hint("correct may_change in database.tables of chaos.toml")
        }
        Untaken::Columns(gone) => {
            let message = format!("columns are gone or have another type since the baseline: {}", gone.join(", "));
            Check::fail(id, object, message)
        }
        Untaken::Failed(error) => failed(id, object, error),
    }
}
