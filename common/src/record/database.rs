//! A database at one moment, as far as a later look can be held against it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{TableRows, Time};

/// A database as one read-only transaction saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseState {
    /// How it was reached.
    pub vantage: String,
    /// The database's name.
    pub database: String,
    /// Version of the server.
    pub server_version: String,
    /// `pg_database_size`, in bytes.
    pub size_bytes: u64,
    /// Rows of the configured tables.
    pub tables: Vec<TableRows>,
    /// The server's clock; absent where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_time: Option<Time>,
    /// The transactions that it saw; absent where the server does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moment: Option<DatabaseMoment>,
    /// What the configured tables hold, by fingerprint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<TableFingerprint>,
    /// Sequences that the columns of the configured tables take their values from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequences: Vec<SequenceState>,
    /// Constraints and indexes of the configured tables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub guards: Vec<TableGuard>,
    /// Damage that was found in tables and indexes by `amcheck` or by reading them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damage: Vec<Damage>,
    /// Replicas that follow this server, and how far behind they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replicas: Vec<ReplicaState>,
    /// Whether the server itself is a replica; absent where it was not asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_recovery: Option<bool>,
    /// Pages that failed their checksum since the server's statistics began; absent where checksums
    /// are off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum_failures: Option<u64>,
}

/// Which transactions a snapshot sees: those below `next`, but for the ones in `open`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DatabaseMoment {
    /// The server's `system_identifier`: the same as long as it is the same cluster of data.
    pub system: String,
    /// OID of the database in it.
    pub database: u64,
    /// The first transaction that is not seen, as a 64-bit number (`pg_snapshot_xmax`).
    pub next: u64,
    /// Transactions below that which were still open.
    pub open: Vec<u64>,
}

/// What a table holds, by a sum that does not depend on the order of rows.
///
/// The fingerprint is the sum, modulo 2^64, of one 64-bit hash a row; sums of disjoint sets of rows
/// can be added and subtracted. A change that is an accident goes unseen with odds of about 1 in
/// 2^64 (two values of one row that change places: 1 in 2^56 at worst). It is no protection against
/// somebody who makes rows up to fit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableFingerprint {
    /// The table, as configured.
    pub table: String,
    /// How it was made; only equal methods compare. `record-hash-64/1 postgresql-15`.
    pub method: String,
    /// The columns that are in it with their types, in order.
    pub columns: Vec<String>,
    /// Columns that the configuration lets change; they are not in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
    /// Rows in the table.
    pub rows: u64,
    /// The fingerprint of all rows, 16 hexadecimal digits.
    pub sum: String,
    /// First column of the primary key, where it is an integer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The rows by ranges of that key, so that a difference can be narrowed down. After an
    /// experiment these are the baseline's ranges, and rows outside of them are in none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<KeyRange>,
}

/// Rows whose key lies in a range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyRange {
    /// The least key that belongs here.
    pub first: i64,
    /// The greatest key that belongs here.
    pub last: i64,
    /// Rows in it.
    pub rows: u64,
    /// Their fingerprint.
    pub sum: String,
}

/// Where a sequence stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SequenceState {
    /// Its name with its schema.
    pub sequence: String,
    /// The table and column that take their values from it.
    pub column: String,
    /// The value before its next one: what it gave last, where it gave any. Absent where the user
    /// may not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<i64>,
    /// The greatest value in the column; absent if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greatest: Option<i64>,
    /// By how much it counts up, or down if negative.
    pub increment: i64,
}

/// A constraint or an index of a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TableGuard {
    /// `constraint` or `index`.
    pub kind: String,
    /// The table with its schema.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Its definition in SQL.
    pub definition: String,
    /// A constraint that is validated, an index that is valid and ready.
    pub valid: bool,
}

/// Damage to stored data.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Damage {
    /// The table or index, with its schema.
    pub object: String,
    /// What the server says of it.
    pub message: String,
}

/// A replica as its primary sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReplicaState {
    /// Its `application_name`.
    pub name: String,
    /// `streaming`, or what it does instead.
    pub state: String,
    /// Bytes of WAL that it has not replayed; absent where the user may not see it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_bytes: Option<i64>,
    /// Time from a commit here to its being seen there, in milliseconds; absent when nothing is
    /// under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag_ms: Option<f64>,
}
