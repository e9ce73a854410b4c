//! What the program `stat` says of a file in a pod.

use std::time::{Duration, SystemTime};

use super::StoredState;

/// What `stat` is asked for: mode, size, and what is another where the bytes may be others.
pub(super) const FORMAT: &str = "%f %s %Y %Z %i %n";

/// What `stat` says of one file.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stat {
    pub(super) mode: u32,
    pub(super) size: u64,
    pub(super) modified: SystemTime,
    pub(super) version: String,
    pub(super) name: String,
}

pub(super) const FILE: u32 = 0o100_000;
pub(super) const FOLDER: u32 = 0o040_000;
pub(super) const LINK: u32 = 0o120_000;

impl Stat {
    pub(super) fn parse(line: &str) -> Option<Stat> {
        let mut fields = line.splitn(6, ' ');
        let mode = u32::from_str_radix(fields.next()?, 16).ok()?;
        let size = fields.next()?.parse().ok()?;
        let (modified, changed, inode) = (fields.next()?, fields.next()?, fields.next()?);
        // busybox may print a fraction.
        let seconds: i64 = modified.split('.').next()?.parse().ok()?;
        let since = Duration::from_secs(seconds.unsigned_abs());
        let epoch = SystemTime::UNIX_EPOCH;
        let modified = if seconds < 0 {
            epoch.checked_sub(since)?
        } else {
            epoch.checked_add(since)?
        };
        Some(Stat {
            mode,
            size,
            modified,
            version: format!("{changed} {inode}"),
            name: fields.next()?.to_owned(),
        })
    }

    pub(super) fn is(&self, kind: u32) -> bool {
        self.mode & 0o170_000 == kind
    }

    pub(super) fn word(&self) -> &'static str {
        match self.mode & 0o170_000 {
            FOLDER => "a folder",
            0o010_000 => "a FIFO",
            0o020_000 | 0o060_000 => "a device",
            0o140_000 => "a socket",
            _ => "something else",
        }
    }

    pub(super) fn state(&self) -> StoredState {
        StoredState {
            size: self.size,
            modified: Some(self.modified),
            version: self.version.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stat_says_is_read() {
        let stat =
            Stat::parse("81a4 18833 1795363200 1795363201 42 /backup/a b.dump").expect("a line");
        assert!(
            stat.is(FILE) && stat.size == 18_833 && stat.name == "/backup/a b.dump",
            "{stat:?}"
        );
        assert_eq!(
            stat.modified,
            SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_363_200)
        );
        assert_eq!(stat.version, "1795363201 42");
        assert!(Stat::parse("a1ff 9 1 1 7 x").expect("a line").is(LINK));
        assert_eq!(
            Stat::parse("11a4 0 1 1 7 x").expect("a line").word(),
            "a FIFO"
        );
        for wrong in ["", "81a4", "zz 1 1 1 1 x", "81a4 1 1 1 1"] {
            assert_eq!(Stat::parse(wrong), None, "{wrong}");
        }
    }
}
