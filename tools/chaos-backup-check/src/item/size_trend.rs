//! The size of a backup against those before it: one that lost most of its weight over night may be
//! whole and still not hold what it should.

use std::time::SystemTime;

use chaos_common::record::{Check, Status};

use super::inspect::StoredFacts;

const ID: &str = "backup.size";
/// So many of the previous ones are looked at.
const PREVIOUS: usize = 7;

/// Whether a backup is much smaller than the ones before it, which stand beside it with other
/// numbers in their names; `None` if there are none.
pub(super) fn check(stored: &StoredFacts, object: &str) -> Option<Check> {
    let shape = shape(&stored.name);
    let others = stored
        .neighbours
        .iter()
        .filter(|other| other.name != stored.name && self::shape(&other.name) == shape);
    let before = |modified: SystemTime| stored.modified.is_none_or(|own| modified <= own);
    let mut others: Vec<(SystemTime, u64)> = others
        .filter(|other| before(other.modified))
        .map(|other| (other.modified, other.size))
        .collect();
    others.sort_unstable_by(|one, other| other.cmp(one));
    others.truncate(PREVIOUS);
    let sizes = others.into_iter().map(|(_, size)| size).collect();
    judge(stored.size, sizes, object)
}

fn judge(size: u64, mut previous: Vec<u64>, object: &str) -> Option<Check> {
    previous.sort_unstable();
    let usual = *previous.get(previous.len() / 2)?;
    let number = previous.len();
    let than = if number == 1 {
        "the one before".to_owned()
    } else {
        format!("the {number} before it, by their median")
    };
    let message = format!("has {size} bytes; {than}, {usual}");
    if size < usual / 2 {
        return Some(
            Check::new(
                ID,
                object,
                Status::Warn,
                format!("{message}: less than half"),
            )
            .hint(
                "see whether something was deleted, or left out of the backup, since the last one",
            ),
        );
    }
    Some(Check::pass(ID, object, message))
}

/// A name with all its numbers the same.
fn shape(name: &str) -> String {
    let mut shape = String::new();
    for c in name.chars() {
        let c = if c.is_ascii_digit() { '0' } else { c };
        if c != '0' || !shape.ends_with('0') {
            shape.push(c);
        }
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(size: u64, previous: &[u64]) -> Option<Status> {
        judge(size, previous.to_vec(), "x").map(|check| check.status)
    }

    #[test]
    fn only_a_sudden_shrink_warns() {
        assert_eq!(status(100, &[]), None);
        assert_eq!(status(100, &[110, 90, 100]), Some(Status::Pass));
        assert_eq!(status(49, &[100]), Some(Status::Warn));
        assert_eq!(status(50, &[100]), Some(Status::Pass));
        assert_eq!(
            status(1000, &[100, 1, 2]),
            Some(Status::Pass),
            "growth is good"
        );
        assert_eq!(
            status(30, &[100, 100, 1]),
            Some(Status::Warn),
            "one small one before does not hide it"
        );
    }

    #[test]
    fn names_of_one_shape_are_of_one_row() {
        assert_eq!(
            shape("shop-20261122T160000Z.dump"),
            shape("shop-20261121T160000Z.dump")
        );
        assert_eq!(shape("shop-9.dump"), shape("shop-10.dump"));
        assert_ne!(shape("shop-1.dump"), shape("users-1.dump"));
        assert_ne!(shape("shop-1.dump"), shape("shop-1.dump.manifest.json"));
    }
}
