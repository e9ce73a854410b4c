//! Sums of the hashes of rows: by whether they are new, and by ranges of the key.

use serde::Deserialize;

use super::error::Untaken;
use super::relation::Column;
use crate::postgres::name::identifier;
use crate::postgres::session::Session;
use crate::record::{DatabaseMoment, KeyRange, TableFingerprint};

/// Ranges of the key: so many groups are told apart by four yes-or-no questions, which is a form
/// that PostgreSQL's planner sees to be few groups, and so sums them up in parallel.
const RANGES: i128 = 16;
const BITS: u32 = 4;
/// Open transactions that are told apart at most.
const MAX_OPEN: usize = 1000;

/// Rows of one group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::postgres) struct Part {
    /// Written since the earlier look.
    pub(in crate::postgres) since: bool,
    /// The range of the key, of those that the earlier look had.
    pub(in crate::postgres) range: Option<usize>,
    pub(in crate::postgres) sum: Sum,
}

/// A number of rows and the sum of their hashes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::postgres) struct Sum {
    pub(in crate::postgres) rows: u64,
    pub(in crate::postgres) hash: u64,
}

impl Sum {
    pub(in crate::postgres) fn of(parts: impl Iterator<Item = Sum>) -> Sum {
        parts.fold(Sum::default(), |a, b| Sum {
            rows: a.rows + b.rows,
            hash: a.hash.wrapping_add(b.hash),
        })
    }

    pub(in crate::postgres) fn hex(self) -> String {
        format!("{:016x}", self.hash)
    }
}

/// The ranges that keys are sorted into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ranges {
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

    pub(super) fn of(before: &TableFingerprint) -> Option<Ranges> {
        Ranges::new(before.ranges.first()?.first, before.ranges.last()?.last)
    }

    pub(super) fn list(self, sums: &[Sum]) -> Vec<KeyRange> {
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
pub(super) struct Group {
    since: bool,
    inside: bool,
    range: usize,
    rows: u64,
    sum: String,
}

impl Group {
    pub(super) fn part(&self) -> Option<Part> {
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

pub(super) fn by_range(parts: &[Part]) -> Vec<Sum> {
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

#[derive(Deserialize)]
struct Bounds {
    first: Option<i64>,
    last: Option<i64>,
}

pub(super) async fn bounds(
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
pub(super) fn since(
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
pub(super) fn sums(
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
        "SELECT json_build_object('since', chaos_s, 'inside', chaos_i, 'range', {back}, \
         'rows', count(*), 'sum', coalesce(sum(chaos_h), 0)::text) \
         FROM (SELECT {since} AS chaos_s, {inside} AS chaos_i, {bits}, {hash} AS chaos_h \
         FROM {table}) AS chaos_rows GROUP BY chaos_s, chaos_i, {names}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
