//! The archive's tables, and how they came to be as they are.

use chaos_common::postgres::identifier;
use postgres::Client;

use super::DatabaseError;

/// What makes the tables, step by step. A step that was released is never changed.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/1.sql")];

/// Who makes the tables, as they say it themselves.
const BY: &str = concat!("chaos-report ", env!("CARGO_PKG_VERSION"));

/// Sees to it that the tables are those that this version knows.
///
/// # Errors
/// They are of a newer version, or can't be made.
pub(super) fn ensure(client: &mut Client, schema: &str) -> Result<(), DatabaseError> {
    let known = i32::try_from(MIGRATIONS.len()).expect("there are few");
    let (found, by) = version(client)?;
    if found > known {
        return Err(DatabaseError::Newer { found, by, known });
    }
    if found < known {
        migrate(client, schema).map_err(DatabaseError::NotMade)?;
    }
    Ok(())
}

/// The version of the tables, and who made them; 0 where there are none.
fn version(client: &mut Client) -> Result<(i32, String), postgres::Error> {
    let there = client.query_one("SELECT to_regclass('migration') IS NOT NULL", &[])?;
    if !there.get::<_, bool>(0) {
        return Ok((0, String::new()));
    }
    let sql = "SELECT version, made_by FROM migration ORDER BY version DESC LIMIT 1";
    let row = client.query_opt(sql, &[])?;
    Ok(row.map_or((0, String::new()), |row| (row.get(0), row.get(1))))
}

/// Makes what is missing: all of it or nothing, and one program at a time.
fn migrate(client: &mut Client, schema: &str) -> Result<(), postgres::Error> {
    let mut transaction = client.transaction()?;
    let lock = "SELECT pg_advisory_xact_lock(hashtext('chaos-report ' || $1))";
    transaction.query(lock, &[&schema])?;
    let there = "SELECT 1 FROM pg_namespace WHERE nspname = $1";
    if transaction.query_opt(there, &[&schema])?.is_none() {
        transaction.batch_execute(&format!("CREATE SCHEMA {}", identifier(schema)))?;
    }
    transaction.batch_execute(
        "CREATE TABLE IF NOT EXISTS migration (version integer PRIMARY KEY, made_by text NOT NULL, \
         made timestamptz NOT NULL DEFAULT now())",
    )?;
    let sql = "SELECT coalesce(max(version), 0) FROM migration";
    let done: i32 = transaction.query_one(sql, &[])?.get(0);
    for (version, step) in (1_i32..).zip(MIGRATIONS) {
        if version > done {
            transaction.batch_execute(step)?;
            let sql = "INSERT INTO migration (version, made_by) VALUES ($1, $2)";
            transaction.execute(sql, &[&version, &BY])?;
        }
    }
    transaction.commit()
}
