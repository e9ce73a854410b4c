//! The size of a backup against those before it: one that lost most of its weight over night may be
//! whole and still not hold what it should.

use chaos_common::record::{Check, Status};

use super::inspect::StoredFacts;

const ID: &str = "backup.size";

/// Whether a backup is much smaller than the ones before it, which stand beside it with other
/// numbers in their names; `None` if there are none.
pub(super) fn check(stored: &StoredFacts, object: &str) -> Option<Check> {
    judge(stored.size, stored.before.sizes(), object)
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
}
