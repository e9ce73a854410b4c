//! Growth told from loss and change.
//!
//! The proof that no row was lost or changed is a set of rows of today that are as many as the rows
//! of before and whose hashes have the same sum: then they are, but for the odds of the hash, the
//! same rows, however the set was found. Three sets are tried: the rows that were not written
//! since, the rows within the range of keys of before, and all rows. How rows are told apart
//! decides only whether a proof is found, never whether it holds, so nothing that is wrong in it (a
//! counter of transactions that wrapped around, a restored server) can make a pass.

use super::fingerprint::{Sum, Taken};
use crate::record::{Status, TableFingerprint};

/// Ranges of keys that a message names at most.
const NAMED: usize = 3;

/// What became of the rows of before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Pass: every row is there as it was. Warn: so, but worth a look. Fail: rows were lost or
    /// changed. Unknown: it can't be told.
    pub status: Status,
    /// In words, with what was compared.
    pub message: String,
}

impl Comparison {
    fn new(status: Status, message: impl Into<String>) -> Comparison {
        Comparison {
            status,
            message: message.into(),
        }
    }
}

/// Holds a table against an earlier look at it.
pub fn compare(before: &TableFingerprint, now: &Taken) -> Comparison {
    let then = Sum {
        rows: before.rows,
        hash: u64::from_str_radix(&before.sum, 16).unwrap_or_default(),
    };
    if before.sum.len() != 16 || u64::from_str_radix(&before.sum, 16).is_err() {
        return Comparison::new(Status::Unknown, "the baseline's fingerprint is not one");
    }
    if before.method != now.fingerprint.method {
        let (was, is) = (&before.method, &now.fingerprint.method);
        let message = format!("the fingerprints do not compare: {was} in the baseline, {is} now");
        return Comparison::new(Status::Unknown, message);
    }
    let sums = Sums::of(now);
    let mut result = match sums.proof(then) {
        Some(proof) => intact(then, &sums, proof, before),
        None => broken(then, &sums, before, now),
    };
    if !now.new_columns.is_empty() {
        let new = now.new_columns.join(", ");
        result.message = format!(
            "{}; columns that are new and were not compared: {new}",
            result.message
        );
        if result.status == Status::Pass {
            result.status = Status::Warn;
        }
    }
    result
}

/// The sums that a comparison needs.
struct Sums {
    all: Sum,
    /// Not written since, where that can be told.
    untouched: Option<Sum>,
    /// Within the keys of before, where there is such a key.
    inside: Option<Sum>,
    /// Of those, written since.
    inside_since: u64,
}

/// The set of rows that proves that all are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proof {
    Untouched,
    Inside,
    All,
}

impl Sums {
    fn of(now: &Taken) -> Sums {
        let sum = |choose: &dyn Fn(&super::fingerprint::Part) -> bool| {
            Sum::of(
                now.parts
                    .iter()
                    .filter(|part| choose(part))
                    .map(|part| part.sum),
            )
        };
        Sums {
            all: sum(&|_| true),
            untouched: now.told_apart.then(|| sum(&|part| !part.since)),
            inside: (!now.fingerprint.ranges.is_empty()).then(|| sum(&|part| part.range.is_some())),
            inside_since: sum(&|part| part.since && part.range.is_some()).rows,
        }
    }

    fn proof(&self, then: Sum) -> Option<Proof> {
        if self.untouched == Some(then) {
            Some(Proof::Untouched)
        } else if self.inside == Some(then) {
            Some(Proof::Inside)
        } else {
            (self.all == then).then_some(Proof::All)
        }
    }
}

fn rows(number: u64) -> String {
    if number == 1 {
        "1 row".to_owned()
    } else {
        format!("{number} rows")
    }
}

fn intact(then: Sum, sums: &Sums, proof: Proof, before: &TableFingerprint) -> Comparison {
    let new = sums.all.rows - then.rows;
    let there = match then.rows {
        0 => "the baseline had no rows".to_owned(),
        1 => "the row of the baseline is there as it was".to_owned(),
        many => format!("the {many} rows of the baseline are all there as they were"),
    };
    let grown = if new == 0 {
        "no other".to_owned()
    } else {
        format!("{new} new")
    };
    let how = match proof {
        Proof::Untouched => "of the rows not written since",
        Proof::Inside => "of the rows with the keys of the baseline",
        Proof::All => "of all rows",
    };
    let message = format!("{there}, {grown} (fingerprint {how})");
    let written = sums
        .untouched
        .map_or(0, |untouched| then.rows.saturating_sub(untouched.rows));
    if proof == Proof::Untouched || written == 0 {
        return Comparison::new(Status::Pass, message);
    }
    let message = format!(
        "{message}; {} of them written anew with the same content",
        rows(written)
    );
    // With columns left out, an update of one of those is what was to be expected.
    let expected = !before.left_out.is_empty();
    Comparison::new(if expected { Status::Pass } else { Status::Warn }, message)
}

/// No proof was found: what can be said of the difference?
fn broken(then: Sum, sums: &Sums, before: &TableFingerprint, now: &Taken) -> Comparison {
    let key = before.key.as_deref().unwrap_or("key");
    let lost = |left: Sum| then.rows.checked_sub(left.rows).filter(|lost| *lost > 0);
    let mut facts = Vec::new();
    let mut status = Status::Fail;
    if sums
        .untouched
        .is_some_and(|untouched| untouched.rows == then.rows)
    {
        // No transaction wrote them, and they are not what they were.
        facts.push(format!(
            "corrupted: {} of the baseline hold something else than they did, and no transaction has written them",
            rows(then.rows)
        ));
    } else {
        if let Some(lost) = lost(sums.inside.unwrap_or(sums.all)) {
            let within = if sums.inside.is_some() {
                format!(" with the {key}s of the baseline")
            } else {
                String::new()
            };
            facts.push(format!(
                "at least {} lost: {} are left of {}{within}",
                rows(lost),
                then.rows - lost,
                then.rows
            ));
        }
        match sums
            .untouched
            .map(|untouched| then.rows.checked_sub(untouched.rows))
        {
            Some(Some(touched)) => {
                facts.push(format!(
                    "{} of the baseline were changed, replaced or deleted",
                    rows(touched)
                ));
                if sums.inside.is_some() && sums.inside_since > 0 {
                    facts.push(format!(
                        "{} among its {key}s were written since",
                        rows(sums.inside_since)
                    ));
                }
            }
            // More rows than the baseline had seem older than it: their transactions were open
            // then.
            Some(None) => status = Status::Unknown,
            None if facts.is_empty() => {
                if sums.inside.unwrap_or(sums.all).rows == then.rows {
                    facts.push("what the rows of the baseline hold has changed".to_owned());
                } else {
                    status = Status::Unknown;
                }
            }
            None => {}
        }
        let inserted = sums.inside.is_some_and(|inside| inside.rows > then.rows);
        if status == Status::Fail && inserted && !before.left_out.is_empty() {
            // A row that was being inserted while the baseline was taken, beside updates that are
            // allowed.
            status = Status::Unknown;
        }
    }
    let (was, is) = (rows(then.rows), rows(sums.all.rows));
    facts.push(format!("{was} then, {is} now"));
    if status == Status::Unknown {
        facts.insert(
            0,
            "whether rows were changed can't be told from rows that were added".to_owned(),
        );
    }
    let changed = changed_ranges(before, now);
    if !changed.is_empty() {
        facts.push(format!("the difference is at {key} {}", changed.join(", ")));
    }
    Comparison::new(status, facts.join("; "))
}

/// The ranges of keys whose rows are not what they were, in words.
fn changed_ranges(before: &TableFingerprint, now: &Taken) -> Vec<String> {
    let changed: Vec<_> = (0..)
        .zip(&before.ranges)
        .filter(|(n, range)| {
            let is = Sum::of(
                now.parts
                    .iter()
                    .filter(|part| part.range == Some(*n))
                    .map(|part| part.sum),
            );
            (is.rows, is.hex()) != (range.rows, range.sum.clone())
        })
        .map(|(_, range)| format!("{} to {}", range.first, range.last))
        .collect();
    let more = changed.len().saturating_sub(NAMED);
    let mut named: Vec<String> = changed.into_iter().take(NAMED).collect();
    if more > 0 {
        named.push(format!("and {more} more ranges"));
    }
    named
}

#[cfg(test)]
mod tests {
    use super::super::fingerprint::Part;
    use super::*;
    use crate::record::KeyRange;

    /// A row's hash, as good as any.
    fn hash(row: u64) -> u64 {
        row.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (row << 7)
    }

    fn sum(rows: &[u64]) -> Sum {
        Sum::of(rows.iter().map(|row| Sum {
            rows: 1,
            hash: hash(*row),
        }))
    }

    /// A table with these rows, which are their own keys.
    fn before(all: &[u64], keyed: bool) -> TableFingerprint {
        let range = |first: u64, last: u64| {
            let of: Vec<u64> = all
                .iter()
                .copied()
                .filter(|row| (first..=last).contains(row))
                .collect();
            let (first, last) = (
                i64::try_from(first).expect("small"),
                i64::try_from(last).expect("small"),
            );
            KeyRange {
                first,
                last,
                rows: of.len() as u64,
                sum: sum(&of).hex(),
            }
        };
        TableFingerprint {
            table: "t".to_owned(),
            method: "m".to_owned(),
            columns: vec!["\"id\" bigint".to_owned()],
            left_out: Vec::new(),
            rows: all.len() as u64,
            sum: sum(all).hex(),
            key: keyed.then(|| "id".to_owned()),
            ranges: if keyed {
                vec![range(1, 5), range(6, 10)]
            } else {
                Vec::new()
            },
        }
    }

    /// The table later: rows as (key, what its content hashes like, written since).
    fn now(all: &[(u64, u64, bool)], keyed: bool, told_apart: bool) -> Taken {
        let part = |&(key, row, since): &(u64, u64, bool)| Part {
            since: since && told_apart,
            range: keyed
                .then_some(key)
                .filter(|key| (1..=10).contains(key))
                .map(|key| usize::from(key > 5)),
            sum: sum(&[row]),
        };
        let hashes: Vec<u64> = all.iter().map(|row| row.1).collect();
        Taken {
            fingerprint: before(&hashes, keyed),
            relation: "public.t".to_owned(),
            oid: 1,
            new_columns: Vec::new(),
            told_apart,
            parts: all.iter().map(part).collect(),
        }
    }

    fn old(keys: std::ops::RangeInclusive<u64>) -> Vec<(u64, u64, bool)> {
        keys.map(|key| (key, key, false)).collect()
    }

    const TEN: [u64; 10] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10];
    /// With a key, with transactions told apart, with both and with neither.
    const WAYS: [(bool, bool); 4] = [(true, false), (false, true), (true, true), (false, false)];

    fn judged(all: &[(u64, u64, bool)], keyed: bool, told_apart: bool) -> Comparison {
        compare(&before(&TEN, keyed), &now(all, keyed, told_apart))
    }

    #[test]
    fn what_is_as_it_was_passes_every_way() {
        for (keyed, apart) in WAYS {
            assert_eq!(judged(&old(1..=10), keyed, apart).status, Status::Pass);
        }
    }

    #[test]
    fn growth_passes_where_it_can_be_told_and_is_unknown_where_not() {
        let mut all = old(1..=10);
        all.extend([(11, 11, true), (12, 12, true)]);
        for (keyed, apart) in WAYS {
            let result = judged(&all, keyed, apart);
            let expected = if keyed || apart {
                Status::Pass
            } else {
                Status::Unknown
            };
            assert_eq!(result.status, expected, "{result:?}");
            assert!(
                !(keyed || apart) || result.message.contains(", 2 new"),
                "{result:?}"
            );
        }
    }

    #[test]
    fn a_row_that_was_being_inserted_when_the_baseline_was_taken_is_growth() {
        // Key 7 came late: its number is below the greatest of then.
        let before = before(&[1, 2, 3, 4, 5, 6, 8, 9, 10], true);
        let mut all: Vec<_> = old(1..=10).into_iter().filter(|row| row.0 != 7).collect();
        all.push((7, 7, true));
        assert_eq!(
            compare(&before, &now(&all, true, true)).status,
            Status::Pass
        );
        assert_ne!(
            compare(&before, &now(&all, true, false)).status,
            Status::Pass
        );
    }

    #[test]
    fn loss_fails_even_where_growth_hides_it_in_the_count() {
        let mut all: Vec<_> = old(1..=10).into_iter().filter(|row| row.0 != 3).collect();
        for (keyed, apart) in WAYS {
            let result = judged(&all, keyed, apart);
            assert_eq!(result.status, Status::Fail, "{result:?}");
            assert!(result.message.contains("1 row lost"), "{result:?}");
        }
        all.push((11, 11, true));
        for (keyed, apart) in WAYS {
            assert_eq!(judged(&all, keyed, apart).status, Status::Fail);
        }
        all.extend([(12, 12, true), (13, 13, true)]);
        for (keyed, apart) in WAYS {
            let expected = if keyed || apart {
                Status::Fail
            } else {
                Status::Unknown
            };
            assert_eq!(judged(&all, keyed, apart).status, expected);
        }
    }

    #[test]
    fn a_change_fails_and_names_the_range() {
        let mut all = old(1..=10);
        all[6] = (7, 777, true);
        for (keyed, apart) in WAYS {
            let result = judged(&all, keyed, apart);
            assert_eq!(result.status, Status::Fail, "{result:?}");
            assert!(
                !keyed || result.message.contains("id 6 to 10"),
                "{result:?}"
            );
            assert!(
                !apart
                    || result
                        .message
                        .contains("1 row of the baseline were changed"),
                "{result:?}"
            );
        }
    }

    #[test]
    fn content_that_changed_without_a_transaction_is_corruption() {
        let mut all = old(1..=10);
        all[6] = (7, 777, false);
        all.push((11, 11, true));
        let result = judged(&all, true, true);
        assert_eq!(result.status, Status::Fail);
        assert!(result.message.contains("corrupted"), "{result:?}");
        assert!(result.message.contains("id 6 to 10"), "{result:?}");
    }

    #[test]
    fn a_row_that_was_lost_and_added_again_is_told() {
        let mut all = old(1..=10);
        all[6] = (7, 7, true);
        let result = judged(&all, true, true);
        assert_eq!(result.status, Status::Warn);
        assert!(
            result.message.contains("1 row of them written anew"),
            "{result:?}"
        );
        let mut before = before(&TEN, true);
        before.left_out = vec!["stock".to_owned()];
        assert_eq!(
            compare(&before, &now(&all, true, true)).status,
            Status::Pass
        );
    }

    #[test]
    fn rows_older_than_the_baseline_that_it_did_not_see_make_it_unknown() {
        let mut all = old(1..=10);
        all.push((11, 11, false));
        // The key proves it.
        assert_eq!(judged(&all, true, true).status, Status::Pass);
        assert_eq!(judged(&all, false, true).status, Status::Unknown);
    }

    #[test]
    fn an_empty_table_may_grow() {
        let before = before(&[], false);
        assert_eq!(
            compare(&before, &now(&[], false, true)).status,
            Status::Pass
        );
        assert_eq!(
            compare(&before, &now(&[(1, 1, true)], false, true)).status,
            Status::Pass
        );
    }

    #[test]
    fn fingerprints_of_different_methods_do_not_compare() {
        let mut before = before(&TEN, true);
        before.method = "record-hash-64/1 postgresql-14".to_owned();
        assert_eq!(
            compare(&before, &now(&old(1..=10), true, true)).status,
            Status::Unknown
        );
    }

    #[test]
    fn a_column_that_is_new_warns() {
        let mut now = now(&old(1..=10), true, true);
        now.new_columns = vec!["\"colour\" text".to_owned()];
        let result = compare(&before(&TEN, true), &now);
        assert_eq!(result.status, Status::Warn);
        assert!(result.message.contains("colour"), "{result:?}");
    }
}
