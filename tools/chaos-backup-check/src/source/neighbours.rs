//! The backups before one: those beside it whose names differ from its own in nothing but numbers.

use std::time::SystemTime;

/// So many are kept.
const KEPT: usize = 7;

/// A file beside a backup.
#[derive(Clone, Debug)]
pub(crate) struct Neighbour {
    pub(crate) name: String,
    pub(crate) modified: SystemTime,
    pub(crate) size: u64,
}

/// The last few of a row, however long that is.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    /// The backup whose row it is.
    name: String,
    shape: String,
    modified: Option<SystemTime>,
    kept: Vec<Neighbour>,
}

impl Row {
    /// The row that a backup is the end of.
    pub(crate) fn before(name: &str, modified: Option<SystemTime>) -> Row {
        Row {
            name: name.to_owned(),
            shape: shape(name),
            modified,
            kept: Vec::new(),
        }
    }

    /// Takes a file in, if it is one of the last few before the backup.
    pub(super) fn add(&mut self, other: Neighbour) {
        let later = self.modified.is_some_and(|own| other.modified > own);
        if later || other.name == self.name || shape(&other.name) != self.shape {
            return;
        }
        let newer = |kept: &Neighbour| kept.modified >= other.modified;
        let place = self.kept.partition_point(newer);
        if place < KEPT {
            self.kept.insert(place, other);
            self.kept.truncate(KEPT);
        }
    }

    /// Their sizes in bytes.
    pub(crate) fn sizes(&self) -> Vec<u64> {
        self.kept.iter().map(|kept| kept.size).collect()
    }
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
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_last_few_of_a_row_are_kept() {
        let mut row = Row::before("shop-50.dump", Some(at(50)));
        for number in (0..100).rev() {
            for kind in ["dump", "tar"] {
                row.add(Neighbour {
                    name: format!("shop-{number}.{kind}"),
                    modified: at(number),
                    size: number,
                });
            }
        }
        assert_eq!(row.sizes(), [49, 48, 47, 46, 45, 44, 43]);
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
