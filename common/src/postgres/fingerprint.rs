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

use serde::Deserialize;

use super::name::{identifier, literal, quoted};
use super::session::{QueryError, Session};
use super::snapshot::{Before, Snapshot};
use crate::config::Table;
use crate::record::{DatabaseMoment, KeyRange, TableFingerprint};

/// Ranges of the key: so many groups are told apart by four yes-or-no questions, which is a form
/// that PostgreSQL's planner sees to be few groups, and so sums them up in parallel.
const RANGES: i128 = 16;
const BITS: u32 = 4;
/// Open transactions that are told apart at most.
const MAX_OPEN: usize = 1000;

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

/// Rows of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Written since the earlier look.
    pub(super) since: bool,
    /// The range of the key, of those that the earlier look had.
    pub(super) range: Option<usize>,
    pub(super) sum: Sum,
}

/// A number of rows and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    pub(super) rows: u64,
    pub(super) hash: u64,
}

impl Sum {
    pub(super) fn of(parts: impl Iterator<Item = Sum>) -> Sum {
        parts.fold(Sum::default(), |a, b| Sum {
            rows: a.rows + b.rows,
            hash: a.hash.wrapping_add(b.hash),
        })
    }

    pub(super) fn hex(self) -> String {
        format!("{:016x}", self.hash)
    }
}

/// Why a table has no fingerprint.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Untaken {
    /// There is no such table.
    #[error("there is no such table")]
    Missing,
    /// The user may not read it.
    #[error("the user may not read it")]
    Forbidden,
    /// The configuration does not give a name that a table can have.
    #[error("the configuration gives no name that a table can have")]
    NoName,
    /// `may_change` names a column that the table does not have.
    #[error("may_change names the column {0}, which it does not have")]
    NoColumn(String),
    /// Columns that the earlier look saw are gone or have another type.
    #[error("columns are gone or have another type: {}", .0.join(", "))]
    Columns(Vec<String>),
    /// The server said no, or the session broke.
    #[error("{0}")]
    Failed(QueryError),
}

impl From<QueryError> for Untaken {
    fn from(error: QueryError) -> Untaken {
        Untaken::Failed(error)
    }
}

/// A table as the catalogue has it.
#[derive(Clone, Debug, Deserialize)]
struct Relation {
    oid: u64,
    schema: String,
    name: String,
    kind: String,
    readable: bool,
    columns: Option<Vec<Column>>,
    key: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
struct Column {
    name: String,
    r#type: String,
    oid: u64,
}

impl Column {
    /// As records name it.
    fn text(&self) -> String {
        format!("{} {}", identifier(&self.name), self.r#type)
    }

    /// The column in a form that keeps all of its bits when it is hashed.
    fn hashable(&self) -> String {
        let name = identifier(&self.name);
        match self.oid {
            // bool, bytea, int2, int4, oid, date, uuid
            16 | 17 | 21 | 23 | 26 | 1082 | 2950 => name,
            20 => format!("int8send({name})"),
            700 => format!("float4send({name})"),
            701 => format!("float8send({name})"),
            1083 => format!("time_send({name})"),
            1114 => format!("timestamp_send({name})"),
            1184 => format!("timestamptz_send({name})"),
            1700 => format!("numeric_send({name})"),
            _ => format!("{name}::text COLLATE \"C\""),
        }
    }
}

/// The ranges that keys are sorted into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Ranges {
    first: i64,
    last: i64,
    width: i64,
}

impl Ranges {
    fn new(first: i64, last: i64) -> Option<Ranges> {
        let keys = i128::from(last) - i128::from(first) + 1;
        let width = i64::try_from((keys + RANGES - 1) / RANGES).ok()?;
        // The difference of two keys must be a number that the server can hold.
        (keys > 0 && i64::try_from(keys).is_ok()).then_some(Ranges { first, last, width })
    }

    fn of(before: &TableFingerprint) -> Option<Ranges> {
        Ranges::new(before.ranges.first()?.first, before.ranges.last()?.last)
    }

    fn list(self, sums: &[Sum]) -> Vec<KeyRange> {
        let range = |(n, sum): (i64, &Sum)| {
            let first = self
                .first
                .checked_add(n.checked_mul(self.width)?)
                .filter(|first| *first <= self.last)?;
            let last = first.saturating_add(self.width - 1).min(self.last);
            Some(KeyRange {
                first,
                last,
                rows: sum.rows,
                sum: sum.hex(),
            })
        };
        (0..).zip(sums).map_while(range).collect()
    }
}

#[derive(Deserialize)]
struct Group {
    since: bool,
    inside: bool,
    range: usize,
    rows: u64,
    sum: String,
}

#[derive(Deserialize)]
struct Bounds {
    first: Option<i64>,
    last: Option<i64>,
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
        let columns = relation.columns.clone().unwrap_or_default();
        let (used, new_columns) = match before {
            Some(before) => as_before(&columns, before.fingerprint)?,
            None => (chosen(&columns, table)?, Vec::new()),
        };
        let name = format!(
            "{}.{}",
            identifier(&relation.schema),
            identifier(&relation.name)
        );
        let (key, ranges) = match before {
            Some(before) => {
                let key = before
                    .fingerprint
                    .key
                    .clone()
                    .filter(|key| columns.iter().any(|c| &c.name == key));
                let ranges = key.as_ref().and_then(|_| Ranges::of(before.fingerprint));
                (key, ranges)
            }
            None => (
                relation.key.clone(),
                bounds(session, &name, relation.key.as_deref()).await?,
            ),
        };
        let since = since(
            before.and_then(|before| before.moment),
            self.moment.as_ref(),
            &relation.kind,
        );
        let sql = sums(
            &name,
            &used,
            self.major(),
            key.as_deref().zip(ranges),
            since.as_deref(),
        );
        let groups: Vec<Group> = session.attempt_rows(&sql).await?;
        let parts = groups
            .iter()
            .map(Group::part)
            .collect::<Option<Vec<_>>>()
            .ok_or_else(|| {
                let (what, why) = (
                    format!("understand the fingerprint of {name}"),
                    "a sum is no number".to_owned(),
                );
                QueryError {
                    what,
                    state: Some("08P01".to_owned()),
                    why,
                }
            })?;
        let total = Sum::of(parts.iter().map(|part| part.sum));
        let ranges = ranges
            .map(|ranges| ranges.list(&by_range(&parts)))
            .unwrap_or_default();
        let fingerprint = TableFingerprint {
            table: table.name.clone(),
            method: method(self.major()),
            columns: used.iter().map(Column::text).collect(),
            left_out: before.map_or_else(
                || table.may_change.clone(),
                |before| before.fingerprint.left_out.clone(),
            ),
            rows: total.rows,
            sum: total.hex(),
            key,
            ranges,
        };
        let oid = relation.oid;
        Ok(Taken {
            fingerprint,
            relation: name,
            oid,
            new_columns,
            told_apart: since.is_some(),
            parts,
        })
    }
}

impl Group {
    fn part(&self) -> Option<Part> {
        let sum: i128 = self.sum.parse().ok()?;
        let modulus = i128::from(u64::MAX) + 1;
        let hash = u64::try_from(sum.rem_euclid(modulus)).ok()?;
        let range = self.inside.then_some(self.range);
        Some(Part {
            since: self.since,
            range,
            sum: Sum {
                rows: self.rows,
                hash,
            },
        })
    }
}

fn by_range(parts: &[Part]) -> Vec<Sum> {
    let of = |n: usize| {
        Sum::of(
            parts
                .iter()
                .filter(|part| part.range == Some(n))
                .map(|part| part.sum),
        )
    };
    (0..1 << BITS).map(of).collect()
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

async fn find(session: &mut Session, table: &Table) -> Result<Relation, Untaken> {
    let name = quoted(&table.name).ok_or(Untaken::NoName)?;
    let sql = format!(
        "SELECT json_build_object('oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname, 'kind', c.relkind, \
         'readable', has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE'), \
         'columns', (SELECT json_agg(json_build_object('name', a.attname, 'oid', a.atttypid::bigint, \
         'type', format_type(a.atttypid, a.atttypmod)) ORDER BY a.attnum) FROM pg_attribute a \
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), \
         'key', (SELECT a.attname FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid \
         AND a.attnum = i.indkey[0] WHERE i.indrelid = c.oid AND i.indisprimary AND a.atttypid IN (20, 21, 23))) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass({})",
        literal(&name)
    );
    let found: Vec<Relation> = match session.attempt_rows(&sql).await {
        // A schema that may not be used hides whether the table is there.
        Err(error) if error.is_forbidden() => return Err(Untaken::Forbidden),
        found => found?,
    };
    match found.into_iter().next() {
        Some(relation) if relation.readable => Ok(relation),
        Some(_) => Err(Untaken::Forbidden),
        None => Err(Untaken::Missing),
    }
}

/// The columns without those that may change.
fn chosen(columns: &[Column], table: &Table) -> Result<Vec<Column>, Untaken> {
    if let Some(unknown) = table
        .may_change
        .iter()
        .find(|name| !columns.iter().any(|column| column.name == **name))
    {
        return Err(Untaken::NoColumn(unknown.clone()));
    }
    Ok(columns
        .iter()
        .filter(|column| !table.may_change.contains(&column.name))
        .cloned()
        .collect())
}

/// The columns that an earlier look had, in its order, and those that it did not know.
fn as_before(
    columns: &[Column],
    before: &TableFingerprint,
) -> Result<(Vec<Column>, Vec<String>), Untaken> {
    let TableFingerprint {
        columns: before,
        left_out,
        ..
    } = before;
    let find = |text: &String| {
        columns
            .iter()
            .find(|column| column.text() == *text)
            .cloned()
    };
    let gone: Vec<String> = before
        .iter()
        .filter(|text| find(text).is_none())
        .cloned()
        .collect();
    if !gone.is_empty() {
        return Err(Untaken::Columns(gone));
    }
    let new = columns
        .iter()
        .filter(|c| !before.contains(&c.text()) && !left_out.contains(&c.name));
    Ok((
        before.iter().filter_map(find).collect(),
        new.map(Column::text).collect(),
    ))
}

async fn bounds(
    session: &mut Session,
    table: &str,
    key: Option<&str>,
) -> Result<Option<Ranges>, Untaken> {
    let Some(key) = key.map(identifier) else {
        return Ok(None);
    };
    let sql =
        format!("SELECT json_build_object('first', min({key}), 'last', max({key})) FROM {table}");
    let bounds: Vec<Bounds> = session.attempt_rows(&sql).await?;
    let bounds = bounds
        .into_iter()
        .next()
        .and_then(|bounds| bounds.first.zip(bounds.last));
    Ok(bounds.and_then(|(first, last)| Ranges::new(first, last)))
}

/// The condition under which a row was written since the earlier look; `None` if that can't be
/// told: another server, too long ago, or no table of PostgreSQL's own kind.
fn since(
    before: Option<&DatabaseMoment>,
    now: Option<&DatabaseMoment>,
    kind: &str,
) -> Option<String> {
    const WRAP: u64 = 1 << 32;
    let (before, now) = before.zip(now)?;
    let same = (&before.system, before.database) == (&now.system, now.database);
    let span = now.next.checked_sub(before.next)?;
    // A row keeps 32 bits of its transaction. Old rows whose bits happen to lie in the span would
    // be taken for new, which can cost a pass and not make one; a short span makes that rare.
    if !same || span >= WRAP / 2 || before.open.len() > MAX_OPEN || !matches!(kind, "r" | "p" | "m")
    {
        return None;
    }
    let xid = "xmin::text::bigint";
    let mut condition = format!("(({xid} - {}) & {}) < {span}", before.next % WRAP, WRAP - 1);
    if !before.open.is_empty() {
        let open: Vec<String> = before
            .open
            .iter()
            .map(|xid| (xid % WRAP).to_string())
            .collect();
        condition = format!("{condition} OR {xid} IN ({})", open.join(", "));
    }
    Some(condition)
}

/// The statement that sums up a table, a row of JSON a group.
fn sums(
    table: &str,
    columns: &[Column],
    major: u32,
    key: Option<(&str, Ranges)>,
    since: Option<&str>,
) -> String {
    let row = columns
        .iter()
        .map(Column::hashable)
        .collect::<Vec<_>>()
        .join(", ");
    let hash = if major >= 14 {
        format!("hashtextextended(hash_record_extended(ROW({row}), 0)::text COLLATE \"C\", 0)")
    } else {
        format!("hashtextextended(ROW({row})::text COLLATE \"C\", 0)")
    };
    let (inside, range) = match key {
        Some((key, Ranges { first, last, width })) => {
            let key = identifier(key);
            let inside = format!("{key} BETWEEN {first} AND {last}");
            let range =
                format!("CASE WHEN {inside} THEN ({key}::bigint - ({first})) / {width} ELSE 0 END");
            (inside, range)
        }
        None => ("false".to_owned(), "0".to_owned()),
    };
    let bit = |n: u32| format!("(({range}) & {}) <> 0 AS chaos_b{n}", 1 << n);
    let bits = (0..BITS).map(bit).collect::<Vec<_>>().join(", ");
    let back = (0..BITS)
        .map(|n| format!("chaos_b{n}::int * {}", 1 << n))
        .collect::<Vec<_>>()
        .join(" + ");
    let names = (0..BITS)
        .map(|n| format!("chaos_b{n}"))
        .collect::<Vec<_>>()
        .join(", ");
    let since = since.unwrap_or("false");
    format!(
        "SELECT json_build_object('since', chaos_s, 'inside', chaos_i, 'range', {back}, 'rows', count(*), \
         'sum', coalesce(sum(chaos_h), 0)::text) FROM (SELECT {since} AS chaos_s, {inside} AS chaos_i, {bits}, \
         {hash} AS chaos_h FROM {table}) AS chaos_rows GROUP BY chaos_s, chaos_i, {names}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, oid: u64) -> Column {
        Column {
            name: name.to_owned(),
            r#type: "t".to_owned(),
            oid,
        }
    }

    fn table(may_change: &[&str]) -> Table {
        Table {
            name: "t".to_owned(),
            may_change: may_change.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn ranges_hold_every_key_once_even_at_the_ends_of_the_numbers() {
        for (first, last) in [
            (1, 1),
            (1, 15),
            (1, 16),
            (1, 17),
            (-5, 1000),
            (0, i64::MAX - 1),
            (i64::MAX, i64::MAX),
        ] {
            let ranges = Ranges::new(first, last)
                .expect("ranges")
                .list(&[Sum::default(); 16]);
            assert_eq!(ranges.first().map(|range| range.first), Some(first));
            assert_eq!(
                ranges.last().map(|range| range.last),
                Some(last),
                "{first}..{last}"
            );
            assert!(
                ranges.windows(2).all(|two| two[0].last + 1 == two[1].first),
                "{ranges:?}"
            );
        }
        assert_eq!(Ranges::new(i64::MIN, i64::MAX), None);
        assert_eq!(Ranges::new(2, 1), None);
    }

    #[test]
    fn sums_wrap_and_keep_their_sign() {
        let part = |sum: &str| {
            let group = Group {
                since: false,
                inside: true,
                range: 0,
                rows: 1,
                sum: sum.to_owned(),
            };
            group.part().map(|part| part.sum.hex())
        };
        assert_eq!(part("-1").as_deref(), Some("ffffffffffffffff"));
        assert_eq!(
            part("18446744073709551617").as_deref(),
            Some("0000000000000001")
        );
        assert_eq!(part("-18446744073709551617"), part("-1"));
        assert_eq!(part("no"), None);
    }

    fn moment(system: &str, next: u64, open: &[u64]) -> DatabaseMoment {
        DatabaseMoment {
            system: system.to_owned(),
            database: 5,
            next,
            open: open.to_vec(),
        }
    }

    #[test]
    fn rows_are_told_apart_only_within_one_history() {
        let then = moment("a", (1 << 32) + 10, &[(1 << 32) + 7]);
        let condition =
            since(Some(&then), Some(&moment("a", (1 << 32) + 30, &[])), "r").expect("told apart");
        assert_eq!(
            condition,
            "((xmin::text::bigint - 10) & 4294967295) < 20 OR xmin::text::bigint IN (7)"
        );
        for (now, kind) in [
            (moment("b", (1 << 32) + 30, &[]), "r"),
            (moment("a", 9, &[]), "r"),
            (moment("a", 1 << 33, &[]), "r"),
            (moment("a", (1 << 32) + 30, &[]), "v"),
        ] {
            assert_eq!(since(Some(&then), Some(&now), kind), None);
        }
        assert_eq!(since(None, Some(&then), "r"), None);
    }

    #[test]
    fn columns_that_may_change_are_left_out_and_must_exist() {
        let columns = [column("id", 23), column("stock", 23)];
        let names = |columns: Vec<Column>| columns.into_iter().map(|c| c.name).collect::<Vec<_>>();
        assert_eq!(
            chosen(&columns, &table(&["stock"])).map(names).ok(),
            Some(vec!["id".to_owned()])
        );
        assert!(
            matches!(chosen(&columns, &table(&["stok"])), Err(Untaken::NoColumn(name)) if name == "stok")
        );
    }

    #[test]
    fn a_column_that_is_gone_is_named_and_a_new_one_does_not_spoil_the_comparison() {
        let before = TableFingerprint {
            table: "t".to_owned(),
            method: method(15),
            columns: vec!["\"a\" t".to_owned(), "\"b\" t".to_owned()],
            left_out: vec!["d".to_owned()],
            rows: 0,
            sum: Sum::default().hex(),
            key: None,
            ranges: Vec::new(),
        };
        let gone = as_before(&[column("b", 23)], &before);
        assert!(matches!(gone, Err(Untaken::Columns(names)) if names == ["\"a\" t"]));
        // In another order, as after a restore.
        let now = [
            column("c", 23),
            column("b", 23),
            column("a", 23),
            column("d", 23),
        ];
        let (used, new) = as_before(&now, &before).expect("comparable");
        assert_eq!(
            used.iter().map(|c| c.name.as_str()).collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!(new, ["\"c\" t"]);
    }
}
