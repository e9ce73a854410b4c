//! Why a drill did not come to a good end: because of the backup, or because of something else.

use std::path::Path;

use chaos_common::record::{Check, Status};

/// What went wrong.
#[derive(Debug)]
pub(crate) struct Trouble {
    /// `fail` where the backup does not restore, `unknown` where that could not be tried.
    pub(crate) status: Status,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    /// It was not let to happen.
    pub(crate) refused: bool,
    /// A role is missing that the backup names.
    pub(crate) lacks_role: bool,
}

impl Trouble {
    /// The backup does not restore.
    pub(crate) fn fail(message: impl Into<String>) -> Trouble {
        Trouble {
            status: Status::Fail,
            message: message.into(),
            hint: None,
            refused: false,
            lacks_role: false,
        }
    }

    /// It could not be tried.
    pub(crate) fn unknown(message: impl Into<String>) -> Trouble {
        Trouble {
            status: Status::Unknown,
            message: message.into(),
            hint: None,
            refused: false,
            lacks_role: false,
        }
    }

    /// It may not be done here; nothing was touched.
    pub(crate) fn refused(message: impl Into<String>) -> Trouble {
        Trouble {
            refused: true,
            ..Trouble::unknown(message)
        }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Trouble {
        self.hint = Some(hint.into());
        self
    }

    /// What a program of PostgreSQL means by its last words. `folder` is where the scratch data is.
    pub(crate) fn of_postgres(what: &str, said: &str, folder: &Path) -> Trouble {
        let first = first_error(said);
        let told = format!("{what}: {first}");
        if said.contains("No space left on device") || said.contains("Disk quota exceeded") {
            return Trouble::unknown(format!("{what}: the disk under {} is full ({first})", folder.display()))
                .hint("make room there, or name another place with TMPDIR; nothing of the drill is left there");
        }
        let newer = "unrecognized configuration parameter";
        if said.contains("unsupported version (") || said.contains(newer) {
            return Trouble::unknown(format!(
                "{what}: the dump is of a newer PostgreSQL than this one ({first})"
            ))
            .hint("install the version of PostgreSQL that made the dump, or a newer one");
        }
        if said.contains("invalid command \\restrict") {
            return Trouble::unknown(format!(
                "{what}: psql is older than the pg_dump that wrote it ({first})"
            ))
            .hint("update PostgreSQL's client programs where the drill restores to");
        }
        if said.contains("invalid locale name")
            || said.contains("invalid LC_")
            || said.contains("could not find the locale")
        {
            return Trouble::unknown(told)
                .hint("the dump's databases want a locale that is not installed where the drill restores to; install it (Debian: dpkg-reconfigure locales), or name an image that has it as drill.image");
        }
        if said.contains("could not open extension control file") || said.contains("extension \"") {
            return Trouble::unknown(told)
                .hint("install the extension where the drill restores to");
        }
        if said.contains("role \"") && said.contains("does not exist") {
            return Trouble { lacks_role: true, ..Trouble::unknown(told) }
                .hint("the dump names a role that it does not hold (pg_dumpall --globals-only does); make it in a scratch PostgreSQL, and name that as drill.url");
        }
        if said.contains("server closed the connection")
            || said.contains("could not connect")
            || said.contains("connection to server")
            || said.contains("shutting down")
        {
            return Trouble::unknown(told)
                .hint("is the scratch PostgreSQL up, and the way to it open?");
        }
        Trouble::fail(told)
    }

    /// The same where the backup can't be to blame.
    pub(crate) fn not_its_fault(mut self) -> Trouble {
        self.status = Status::Unknown;
        self
    }

    /// As a check.
    pub(crate) fn check(self, id: &str, object: &str) -> Check {
        let mut check = Check::new(id, object, self.status, self.message);
        check.hint = self.hint;
        check
    }
}

/// The line that says what is wrong: the first that calls itself an error, else the first.
fn first_error(said: &str) -> String {
    let mut lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let marked = said.lines().find(|line| {
        ["error:", "ERROR:", "FATAL:", "PANIC:"]
            .iter()
            .any(|word| line.contains(word))
    });
    let line = marked.or_else(|| lines.next()).unwrap_or("it says nothing");
    line.trim().chars().take(400).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backup_s_fault_is_told_from_its_surroundings() {
        let of = |said: &str| Trouble::of_postgres("restoring", said, Path::new("/scratch"));
        for said in [
            "pg_restore: error: could not execute query: ERROR:  could not extend file \"base/5/1\": No space left on device",
            "pg_restore: error: unsupported version (1.16) in file header",
            "pg_restore: error: could not execute query: ERROR:  extension \"postgis\" is not available",
            "pg_restore: error: could not execute query: ERROR:  role \"app\" does not exist",
            "pg_restore: error: could not execute query: server closed the connection unexpectedly",
        ] {
            assert_eq!(of(said).status, Status::Unknown, "{said}");
            assert!(of(said).hint.is_some(), "{said}");
        }
        let bad = of(
            "some talk\npg_restore: error: could not execute query: ERROR:  duplicate key value\nmore",
        );
        assert_eq!(bad.status, Status::Fail);
        assert!(
            bad.message.ends_with("ERROR:  duplicate key value"),
            "{}",
            bad.message
        );
        assert!(of("No space left on device").message.contains("/scratch"));
    }
}
