//! Which of the files of a folder, or of the objects under a prefix, is the backup: the newest that
//! the patterns let in and that is no side file.

use std::time::SystemTime;

use chaos_common::config::{Backup, BackupKind, DumpHolds};

use super::side_file::{SideFile, is_globals, side_file};
use super::{Absent, pattern};

/// What may be the backup.
#[derive(Clone, Debug)]
pub(crate) struct Selection {
    /// Whether it may be a folder, as dumps in directory format are.
    pub(super) dumps: bool,
    /// Whether a server's globals are what is looked for.
    globals: bool,
    include: Vec<String>,
    exclude: Vec<String>,
}

/// Something that may be the backup.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    pub(super) modified: Option<SystemTime>,
    /// Of a link and what it leads to, the latter is named.
    pub(super) plain: bool,
    pub(super) name: String,
}

/// What was seen while it was chosen.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Seen {
    files: u64,
    side_files: u64,
}

impl Selection {
    /// Those of the configuration.
    pub(super) fn of(backup: &Backup) -> Selection {
        let kind = backup.kind;
        Selection {
            dumps: kind.is_none_or(|kind| kind == BackupKind::Postgres),
            globals: backup.holds == DumpHolds::Globals
                || backup.include.iter().any(|pattern| is_globals(pattern)),
            include: backup.include.clone(),
            exclude: backup.exclude.clone(),
        }
    }

    /// Anything at all.
    pub(super) fn any() -> Selection {
        Selection {
            dumps: true,
            globals: false,
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }

    /// Whether there are patterns, which only choose where there are several.
    pub(super) fn is_given(&self) -> bool {
        !self.include.is_empty() || !self.exclude.is_empty()
    }

    /// Whether this may be the backup, and counts it.
    pub(super) fn lets_in(&self, name: &str, size: u64, seen: &mut Seen) -> bool {
        seen.files += 1;
        let like = |patterns: &[String]| patterns.iter().any(|one| pattern::matches(one, name));
        let included = self.include.is_empty() || like(&self.include);
        if !included || like(&self.exclude) {
            return false;
        }
        let is_side_file = match side_file(name, size) {
            Some(SideFile::Globals) => !self.globals,
            other => other.is_some(),
        };
        seen.side_files += u64::from(is_side_file);
        !is_side_file
    }

    /// There is none. `place` is what was searched, with its article.
    pub(super) fn none(&self, place: &str, seen: Seen) -> Absent {
        let files = match seen.files {
            0 => "has nothing in it".to_owned(),
            1 => "has one entry in it".to_owned(),
            number => format!("has {number} entries in it"),
        };
        let side = match seen.side_files {
            0 => String::new(),
            number => format!(
                ", {number} of which {} beside a backup (digests, logs, unfinished files)",
                if number == 1 { "stands" } else { "stand" }
            ),
        };
        let absent = Absent::fail(format!(
            "is {place} that {files}{side}, and no backup{}",
            self.like()
        ));
        absent.hint("see what the job that makes it has done; include and exclude choose by name")
    }

    fn like(&self) -> String {
        let words = |word: &str, patterns: &[String]| match patterns {
            [] => String::new(),
            _ => format!(" {word} {}", patterns.join(" or ")),
        };
        words("like", &self.include) + &words("but for what is like", &self.exclude)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(include: &[&str], exclude: &[&str]) -> Vec<&'static str> {
        let owned = |all: &[&str]| all.iter().map(|one| (*one).to_owned()).collect();
        let selection = Selection::of(&Backup {
            include: owned(include),
            exclude: owned(exclude),
            ..Backup::default()
        });
        let names = ["a.dump", "b.dump", "b.dump.sha256", "globals.sql", "c.tar"];
        let mut seen = Seen::default();
        let chosen = names
            .into_iter()
            .filter(|name| selection.lets_in(name, 100, &mut seen));
        chosen.collect()
    }

    #[test]
    fn patterns_choose_and_side_files_are_never_chosen() {
        assert_eq!(chosen(&[], &[]), ["a.dump", "b.dump", "c.tar"]);
        assert_eq!(chosen(&["*.dump*"], &["b*"]), ["a.dump"]);
        assert_eq!(
            chosen(&["globals.*"], &[]),
            ["globals.sql"],
            "they are asked for"
        );
        assert_eq!(chosen(&["*"], &["?.dump"]), ["c.tar"]);
    }

    #[test]
    fn the_newest_counts_and_of_two_the_one_that_is_no_link() {
        let at = |seconds| Some(SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
        let of = |name: &str, seconds, plain| Candidate {
            name: name.to_owned(),
            modified: at(seconds),
            plain,
        };
        let newest = [
            of("latest", 2, false),
            of("b", 2, true),
            of("a", 2, true),
            of("c", 1, true),
        ];
        assert_eq!(
            newest.into_iter().max().map(|found| found.name).as_deref(),
            Some("b")
        );
    }

    #[test]
    fn what_was_seen_is_told() {
        let mut seen = Seen::default();
        let selection = Selection {
            include: vec!["*.dump".to_owned()],
            ..Selection::any()
        };
        for name in ["a.dump.md5", "b.dump.part", "c.tar"] {
            selection.lets_in(name, 1, &mut seen);
        }
        let absent = selection.none("a folder", seen);
        assert!(absent.why.contains("has 3 entries in it"), "{}", absent.why);
        assert!(
            absent.why.ends_with("no backup like *.dump"),
            "{}",
            absent.why
        );
    }
}
