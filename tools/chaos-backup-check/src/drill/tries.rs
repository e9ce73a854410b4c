//! When each backup was last tried to be restored, and how long that took, whatever came of it: what
//! proves nothing leaves no evidence, and must not be first in every run all the same.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chaos_common::record::Time;

use crate::item::evidence;

/// One try.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Try {
    /// When it began.
    pub(crate) began: Time,
    /// How long it took; `None` if it was stopped.
    pub(crate) took: Option<Duration>,
}

fn path(folder: &Path, namespace: &str, backup: &str) -> PathBuf {
    // Who reads the evidence passes over what is hidden.
    folder.join(format!(".tried-{}", evidence::file_name(namespace, backup)))
}

/// Notes a try; once when it begins, and once more with its duration when it has ended.
pub(super) fn note(folder: &Path, namespace: &str, backup: &str, one: &Try) -> io::Result<()> {
    let took = one
        .took
        .map_or(String::new(), |took| took.as_millis().to_string());
    fs::create_dir_all(folder)?;
    fs::write(
        path(folder, namespace, backup),
        format!("{} {took}\n", one.began),
    )
}

/// The last one, as far as it is known.
pub(crate) fn last(folder: &Path, namespace: &str, backup: &str) -> Option<Try> {
    let text = fs::read_to_string(path(folder, namespace, backup)).ok()?;
    let mut words = text.split_whitespace();
    let began = Time(words.next()?.parse().ok()?);
    let took = words.next().and_then(|took| took.parse().ok());
    Some(Try {
        began,
        took: took.map(Duration::from_millis),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_try_is_known_with_its_duration() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path().join("drills");
        assert_eq!(last(&folder, "shop", "db"), None);
        let began = Time("2026-11-22T16:00:00.123Z".parse().expect("a time"));
        for took in [None, Some(Duration::from_millis(1234))] {
            let one = Try { began, took };
            note(&folder, "shop", "db", &one).expect("written");
            assert_eq!(last(&folder, "shop", "db"), Some(one));
        }
        assert_eq!(last(&folder, "shop", "other"), None);
        let read = evidence::read(&folder, "shop", "db").expect("readable");
        assert!(read.is_empty(), "it is no evidence: {read:?}");
    }
}
