//! Why a drill did not come to a good end: because of the backup, or because of something else.

use std::io::ErrorKind;
use std::path::Path;

use chaos_common::record::{Check, Status};

use crate::program_messages::{self, Meaning};

const NO_SERVER: &str = "is the scratch PostgreSQL up, and the way to it open?";

/// What went wrong, for people and for who decides.
#[derive(Debug)]
pub(crate) struct DrillError {
    pub(super) kind: DrillErrorKind,
    pub(super) message: String,
    hint: Option<String>,
}

/// What went wrong, for who decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DrillErrorKind {
    /// The backup does not restore.
    DoesNotRestore,
    /// It could not be tried.
    NotTried,
    /// It could not be tried: the connection to the server, or to its pod, broke.
    Disconnected,
    /// It may not be done here; nothing was touched.
    Refused,
    /// It could not be tried: a role is missing that the backup names.
    LacksRole,
    /// It could not be tried: the backup makes the schema `public`, which is there already.
    PublicIsThere,
}

impl DrillError {
    fn new(kind: DrillErrorKind, message: impl Into<String>) -> DrillError {
        DrillError {
            kind,
            message: message.into(),
            hint: None,
        }
    }

    /// The backup does not restore.
    pub(super) fn fail(message: impl Into<String>) -> DrillError {
        DrillError::new(DrillErrorKind::DoesNotRestore, message)
    }

    /// It could not be tried.
    pub(super) fn unknown(message: impl Into<String>) -> DrillError {
        DrillError::new(DrillErrorKind::NotTried, message)
    }

    /// It could not be tried: the connection to the server, or to its pod, broke.
    pub(super) fn disconnected(message: impl Into<String>) -> DrillError {
        DrillError::new(DrillErrorKind::Disconnected, message)
    }

    /// It may not be done here; nothing was touched.
    pub(super) fn refused(message: impl Into<String>) -> DrillError {
        DrillError::new(DrillErrorKind::Refused, message)
    }

    /// The same with a next step for a person.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> DrillError {
        self.hint = Some(hint.into());
        self
    }

    /// What a program of PostgreSQL means by what it said. `folder` is where the scratch data is.
    pub(super) fn of_postgres(what: &str, said: &str, folder: &Path) -> DrillError {
        let first = first_error(said);
        match program_messages::of_postgres(said) {
            Some(meaning) => DrillError::of_meaning(meaning, what, &first, folder),
            None => DrillError::fail(format!("{what}: {first}")),
        }
    }

    /// What an error of this machine's file system means; the backup is not to blame for any.
    pub(super) fn of_io(what: &str, error: &std::io::Error, folder: &Path) -> DrillError {
        match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                DrillError::of_meaning(Meaning::DiskFull, what, &error.to_string(), folder)
            }
            _ => DrillError::unknown(format!("{what}: {error}")),
        }
    }

    /// What it means for a drill that a program, or a server, means this.
    pub(super) fn of_meaning(
        meaning: Meaning,
        what: &str,
        said: &str,
        folder: &Path,
    ) -> DrillError {
        let told = format!("{what}: {said}");
        match meaning {
            Meaning::DiskFull => {
                let folder = folder.display();
                DrillError::unknown(format!("{what}: the disk under {folder} is full ({said})"))
                    .hint(
                        "make room there, or name another place with TMPDIR; \
                         nothing of the drill is left there",
                    )
            }
            Meaning::NewerDump => DrillError::unknown(format!(
                "{what}: the dump is of a newer PostgreSQL than this one ({said})"
            ))
            .hint("install the version of PostgreSQL that made the dump, or a newer one"),
            Meaning::OlderPsql => DrillError::unknown(format!(
                "{what}: psql is older than the pg_dump that wrote it ({said})"
            ))
            .hint("update PostgreSQL's client programs where the drill restores to"),
            Meaning::NoLocale => DrillError::unknown(told).hint(
                "the dump's databases want a locale that is not installed where the drill \
                 restores to; install it (Debian: dpkg-reconfigure locales), or name an image \
                 that has it as drill.image",
            ),
            Meaning::NoExtension => {
                DrillError::unknown(told).hint("install the extension where the drill restores to")
            }
            Meaning::NoRole => DrillError::new(DrillErrorKind::LacksRole, told).hint(
                "the dump names a role that it does not hold (pg_dumpall --globals-only does); \
                 make it in a scratch PostgreSQL, and name that as drill.url",
            ),
            Meaning::NotPreloaded => DrillError::unknown(told).hint(
                "an extension of the dump must be loaded when the server starts: name its library \
                 in drill.preload, such as [\"timescaledb\"]",
            ),
            Meaning::NoTablespace => DrillError::unknown(told).hint(
                "the dump names a tablespace of its server; make it in a scratch PostgreSQL, and \
                 name that as drill.url",
            ),
            Meaning::PublicIsThere => DrillError::new(DrillErrorKind::PublicIsThere, told),
            Meaning::NoServer => DrillError::disconnected(told).hint(NO_SERVER),
            Meaning::StartingUp => DrillError::unknown(told).hint(NO_SERVER),
            Meaning::NoSuchFile
            | Meaning::LinkLoop
            | Meaning::NoSuchProgram
            | Meaning::GaveUp
            | Meaning::Sound
            | Meaning::Damaged => DrillError::unknown(told),
        }
    }

    /// The same where the backup can't be to blame.
    pub(super) fn not_its_fault(mut self) -> DrillError {
        if self.kind == DrillErrorKind::DoesNotRestore {
            self.kind = DrillErrorKind::NotTried;
        }
        self
    }

    /// `fail` where the backup does not restore, `unknown` where that could not be tried.
    pub(super) fn status(&self) -> Status {
        match self.kind {
            DrillErrorKind::DoesNotRestore => Status::Fail,
            _ => Status::Unknown,
        }
    }

    /// As a check.
    pub(super) fn check(&self, id: &str, object: &str) -> Check {
        let mut check = Check::new(id, object, self.status(), &self.message);
        check.hint.clone_from(&self.hint);
        check
    }
}

/// The line that says what is wrong: the first that calls itself an error, else the first.
fn first_error(said: &str) -> String {
    const MARKS: [&str; 4] = ["error:", "ERROR:", "FATAL:", "PANIC:"];
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let marked = said
        .lines()
        .find(|line| MARKS.iter().any(|mark| line.contains(mark)));
    let line = marked.or_else(|| lines.next()).unwrap_or("it says nothing");
    line.trim().chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backup_s_fault_is_told_from_its_surroundings() {
        let of = |said: &str| DrillError::of_postgres("restoring", said, Path::new("/scratch"));
        for said in [
            "pg_restore: error: could not execute query: \
             ERROR:  could not extend file \"base/5/1\": No space left on device",
            "pg_restore: error: unsupported version (1.16) in file header",
            "pg_restore: error: could not execute query: \
             ERROR:  extension \"postgis\" is not available",
            "pg_restore: error: could not execute query: ERROR:  role \"app\" does not exist",
            "pg_restore: error: could not execute query: \
             ERROR:  pg_stat_statements must be loaded via \"shared_preload_libraries\"",
            "psql:<stdin>:3: FATAL:  extension \"timescaledb\" must be preloaded",
            "psql:<stdin>:3: ERROR:  tablespace \"fast\" does not exist",
            "pg_restore: error: could not execute query: \
             server closed the connection unexpectedly",
        ] {
            assert_eq!(of(said).status(), Status::Unknown, "{said}");
            assert!(of(said).hint.is_some(), "{said}");
        }
        let bad = of("some talk\npg_restore: error: could not execute query: \
             ERROR:  duplicate key value\nmore");
        assert_eq!(bad.status(), Status::Fail);
        assert!(
            bad.message.ends_with("ERROR:  duplicate key value"),
            "{}",
            bad.message
        );
        assert!(of("No space left on device").message.contains("/scratch"));
    }
}
