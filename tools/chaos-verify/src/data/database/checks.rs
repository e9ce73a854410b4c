//! Checks that several parts of the database share.

use chaos_common::config::Database;
use chaos_common::postgres::QueryError;
use chaos_common::record::{Check, Status};

/// Clocks further apart than this are told, in milliseconds. An answer may take that long too.
const CLOCKS_MS: i64 = 5_000;

/// What a failed statement says of the check `id`: damage is a failure, everything else unknown.
pub(super) fn failed(id: &str, object: impl Into<String>, error: &QueryError) -> Check {
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
pub(super) fn clock(id: &str, ahead_ms: Option<i64>, object: &str) -> Option<Check> {
    let ahead = ahead_ms.filter(|ahead| ahead.abs() > CLOCKS_MS)?;
    let side = if ahead > 0 { "ahead of" } else { "behind" };
    let message = format!(
        "its clock is {} s {side} this machine's",
        ahead.abs() / 1000
    );
    Some(Check::new(id, object, Status::Warn, message))
}

/// The database as an object of checks.
pub(super) fn object(database: &Database) -> String {
    format!("database {}", database.name)
}
