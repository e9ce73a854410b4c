//! The configured tables in SQL.

use chaos_common::config::Table;
use chaos_common::postgres::{literal, quoted};

/// The tables' OIDs, as a list in SQL, with NULL for those that there are not. The catalogue tells
/// of tables that may not be read too.
pub(super) fn oids(tables: &[Table]) -> String {
    let names = tables.iter().filter_map(|table| quoted(&table.name));
    let oids = names.map(|name| format!("to_regclass({})::oid", literal(&name)));
    oids.chain(["NULL".to_owned()])
        .collect::<Vec<_>>()
        .join(", ")
}

/// A part of a recursive `WITH`: `relations(oid)`, the tables and their partitions.
pub(super) fn relations(tables: &[Table]) -> String {
    format!(
        "relations(oid) AS (SELECT unnest(ARRAY[{}]::oid[]) \
         UNION SELECT h.inhrelid FROM pg_inherits h JOIN relations r ON r.oid = h.inhparent)",
        oids(tables)
    )
}
