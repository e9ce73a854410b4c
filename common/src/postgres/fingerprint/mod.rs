//! What a table holds, as a number: cheap on large tables and independent of the order of rows.
//!
//! Each row gets a 64-bit hash, and the fingerprint is the sum of the hashes modulo 2^64. A row's
//! hash is PostgreSQL's `hash_record_extended` over the row's columns, each in a form that keeps
//! every bit of it: small integers, booleans, dates, UUIDs and byte strings as they are, wide
//! numbers and times in their binary form (PostgreSQL's own hash folds a 64-bit number to 32 bits),
//! everything else as text under settings of our own. That hash adds up its columns' hashes with
//! weights, so two rows that exchange a value would leave a plain sum as it was: it is hashed once
//! more, by `hashtextextended`, before it is summed. On servers before version 14 the row's text
//! form is hashed instead.
//!
//! So that growth can be told from loss, rows are summed apart by whether they were written since
//! the earlier look (their `xmin` against the earlier snapshot), and by ranges of the primary key's
//! first column where that is an integer. See [`super::compare`] for what is made of it.

mod error;
mod relation;
mod sums;

pub use self::error::Untaken;
use self::relation::{Column, as_before, chosen, find};
use self::sums::{Group, Ranges, bounds, by_range, since, sums};
use super::session::{QueryError, Session};
use super::snapshot::{Before, Snapshot};
use crate::config::Table;
use crate::record::TableFingerprint;

pub(super) use self::sums::{Part, Sum};

/// A table's fingerprint, and its rows by groups.
#[derive(Clone, Debug)]
pub struct Taken {
    /// For the record.
    pub fingerprint: TableFingerprint,
    /// The table with its schema, quoted.
    pub relation: String,
    /// Its OID.
    pub oid: u64,
    /// Columns that there are and the earlier look did not know.
    pub new_columns: Vec<String>,
    /// Whether rows that were written since the earlier look can be told.
    pub(super) told_apart: bool,
    pub(super) parts: Vec<Part>,
}

impl Snapshot {
    /// Takes the fingerprint of a table, so that it compares with an earlier one if there is one. A
    /// table that fails does not spoil the snapshot, unless the session broke.
    ///
    /// # Errors
    /// There is no fingerprint, and why.
    pub async fn fingerprint(
        &self,
        session: &mut Session,
        table: &Table,
        before: Option<Before<'_>>,
    ) -> Result<Taken, Untaken> {
        let relation = find(session, table).await?;
        let columns = relation.columns.as_deref().unwrap_or_default();
        let (used, new_columns) = match before {
            Some(before) => as_before(columns, before.fingerprint)?,
            None => (chosen(columns, table)?, Vec::new()),
        };
        let (key, ranges) = if let Some(before) = before {
            key_before(columns, before.fingerprint)
        } else {
            let ranges = bounds(session, &relation.quoted(), relation.key.as_deref()).await?;
            (relation.key.clone(), ranges)
        };
        let earlier = before.and_then(|before| before.moment);
        let since = since(earlier, self.moment.as_ref(), &relation.kind);
        let sql = sums(
            &relation.quoted(),
            &used,
            self.major(),
            key.as_deref().zip(ranges),
            since.as_deref(),
        );
        let groups: Vec<Group> = session.attempt_rows(&sql).await?;
        let parts = parts_of(&groups, &relation.quoted())?;
        let total = Sum::of(parts.iter().map(|part| part.sum));
        let ranges = ranges.map(|ranges| ranges.list(&by_range(&parts)));
        let left_out = match before {
            Some(before) => &before.fingerprint.left_out,
            None => &table.may_change,
        };
        let fingerprint = TableFingerprint {
            table: table.name.clone(),
            method: method(self.major()),
            columns: used.iter().map(Column::text).collect(),
            left_out: left_out.clone(),
            rows: total.rows,
            sum: total.hex(),
            key,
            ranges: ranges.unwrap_or_default(),
        };
        Ok(Taken {
            fingerprint,
            relation: relation.quoted(),
            oid: relation.oid,
            new_columns,
            told_apart: since.is_some(),
            parts,
        })
    }
}

/// The key of the earlier look, if its column is still there, and the ranges that it had.
fn key_before(columns: &[Column], before: &TableFingerprint) -> (Option<String>, Option<Ranges>) {
    let is_there = |key: &String| columns.iter().any(|column| column.name == *key);
    match before.key.clone().filter(is_there) {
        Some(key) => (Some(key), Ranges::of(before)),
        None => (None, None),
    }
}

fn parts_of(groups: &[Group], relation: &str) -> Result<Vec<Part>, QueryError> {
    let parts: Option<Vec<Part>> = groups.iter().map(Group::part).collect();
    parts.ok_or_else(|| QueryError {
        what: format!("understand the fingerprint of {relation}"),
        state: Some("08P01".to_owned()),
        why: "a sum is no number".to_owned(),
    })
}

/// The name of the method. Hash functions may change between major versions of the server.
fn method(major: u32) -> String {
    let hash = if major >= 14 {
        "record-hash-64/1"
    } else {
        "text-hash-64/1"
    };
    format!("{hash} postgresql-{major}")
}
