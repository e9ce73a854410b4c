//! The rows of a restored database, counted table by table and held against the dump.

use std::collections::BTreeMap;

use chaos_common::postgres::literal;
use chaos_common::record::{Check, TableRows};

use super::error::DrillError;
use super::server::Server;

const ROWS: &str = "drill.rows";
/// Differences that are told one by one.
const TOLD: usize = 5;
/// Tables that are counted by one statement.
const TABLES: usize = 200;

/// Every table of a database.
const LIST: &str = r"SELECT n.nspname, c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  ORDER BY 1, 2";

/// The rows of every table of a database, by schema and name; of a table with children its own.
pub(super) async fn count(
    server: &Server,
    database: &str,
) -> Result<BTreeMap<String, u64>, DrillError> {
    let uncounted = || DrillError::unknown("the rows of the restored tables cannot be counted");
    let tables = server.query(Some(database), LIST).await?;
    let mut counted = BTreeMap::new();
    for tables in tables.chunks(TABLES) {
        let count = |table: &Vec<String>| match &table[..] {
            [schema, name] => Some(count_of(schema, name)),
            _ => None,
        };
        let counts: Option<Vec<String>> = tables.iter().map(count).collect();
        let sql = counts.ok_or_else(uncounted)?.join(" UNION ALL ");
        for row in server.query(Some(database), &sql).await? {
            let [table, rows] = &row[..] else {
                return Err(uncounted());
            };
            counted.insert(table.clone(), rows.parse().map_err(|_| uncounted())?);
        }
    }
    Ok(counted)
}

fn count_of(schema: &str, name: &str) -> String {
    format!(
        "SELECT {}, count(*) FROM ONLY {}.{}",
        literal(&format!("{schema}.{name}")),
        identifier(schema),
        identifier(name)
    )
}

/// A name as SQL takes it, whatever is in it.
pub(super) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Whether every table has the rows that its data in the dump have.
pub(super) fn judge(
    expected: &[TableRows],
    counted: &BTreeMap<String, u64>,
    object: &str,
) -> Check {
    if expected.is_empty() {
        let rows: u64 = counted.values().sum();
        let tables = counted.len();
        let message = format!(
            "no rows were counted in the dump itself, which {rows} in {tables} tables could be \
             held against"
        );
        return Check::skipped(ROWS, object, message);
    }
    let differs = |table: &TableRows| {
        let name = &table.table;
        match counted.get(name) {
            Some(rows) if *rows == table.rows => None,
            Some(rows) => Some(format!(
                "{name} has {rows} rows and should have {}",
                table.rows
            )),
            None => Some(format!("{name} is missing")),
        }
    };
    let wrong: Vec<String> = expected.iter().filter_map(differs).collect();
    if wrong.is_empty() {
        let rows: u64 = expected.iter().map(|table| table.rows).sum();
        let tables = expected.len();
        let message = format!("{tables} tables have the {rows} rows that the dump holds");
        return Check::pass(ROWS, object, message);
    }
    let (first, rest) = wrong.split_at(wrong.len().min(TOLD));
    let more = match rest.len() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Check::fail(ROWS, object, format!("{}{more}", first.join(", ")))
        .hint("pg_restore lost or doubled rows: look at triggers and rules of these tables")
}

#[cfg(test)]
mod tests {
    use chaos_common::record::Status;

    use super::*;

    fn table(name: &str, rows: u64) -> TableRows {
        TableRows {
            table: name.into(),
            rows,
        }
    }

    #[test]
    fn every_table_must_have_its_rows() {
        let counted = BTreeMap::from([
            ("public.users".to_owned(), 3),
            ("public.od\td".to_owned(), 1),
        ]);
        let status = |expected: &[TableRows]| judge(expected, &counted, "x").status;
        assert_eq!(status(&[table("public.users", 3)]), Status::Pass);
        assert_eq!(status(&[table("public.od\td", 1)]), Status::Pass);
        assert_eq!(status(&[]), Status::Skipped, "nothing was counted");
        assert_eq!(status(&[table("public.users", 2)]), Status::Fail);
        assert_eq!(status(&[table("public.users", 4)]), Status::Fail);
        assert_eq!(status(&[table("public.orders", 0)]), Status::Fail);
    }

    #[test]
    fn names_are_quoted_where_rows_are_counted() {
        assert_eq!(
            count_of("public", "o'd\"d"),
            "SELECT E'public.o''d\"d', count(*) FROM ONLY \"public\".\"o'd\"\"d\""
        );
    }
}
