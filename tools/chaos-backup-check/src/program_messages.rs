//! What the words of programs mean where nothing but words tells it: no exit status, no SQLSTATE.
//!
//! This is the one place where text is matched. Every row names who says it; all are said in the C
//! locale, in which the programs are run. Rows are looked at in their order.

/// What a program means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// A file, or a folder on the way to it, does not exist.
    NoSuchFile,
    /// Symbolic links lead in a circle.
    LinkLoop,
    /// A container has no such program.
    NoSuchProgram,
    /// The disk under the scratch PostgreSQL is full.
    DiskFull,
    /// The dump is of a newer PostgreSQL than the one it is restored into.
    NewerDump,
    /// psql is older than the `pg_dump` that wrote the script.
    OlderPsql,
    /// A locale that the dump wants is not installed.
    NoLocale,
    /// An extension that the dump wants is not installed.
    NoExtension,
    /// An extension that the dump wants must be loaded when the server starts.
    NotPreloaded,
    /// A tablespace that the dump names does not exist.
    NoTablespace,
    /// The schema `public` is there already, which every new database has.
    PublicIsThere,
    /// A role that the dump names does not exist.
    NoRole,
    /// The server is gone, or cannot be reached.
    NoServer,
    /// The server is not ready yet.
    StartingUp,
    /// The server has given up.
    GaveUp,
    /// A repository of backups was verified, and nothing is wrong.
    Sound,
    /// A repository of backups was verified, and something is wrong.
    Damaged,
}

/// Words of a program, all of which a message has.
struct Message {
    words: &'static [&'static str],
    means: Meaning,
}

const fn says(words: &'static [&'static str], means: Meaning) -> Message {
    Message { words, means }
}

/// GNU's and busybox's stat, readlink, find and cat.
const FILE_PROGRAMS: [Message; 4] = [
    says(&["No such file"], Meaning::NoSuchFile),
    says(&["Not a directory"], Meaning::NoSuchFile),
    says(&["Too many levels"], Meaning::LinkLoop),
    says(&["too many levels"], Meaning::LinkLoop),
];

/// Container runtimes, when a container lacks the program that is to run: runc's words.
const CONTAINER_RUNTIMES: [Message; 2] = [
    says(&["executable file not found"], Meaning::NoSuchProgram),
    says(&["no such file or directory"], Meaning::NoSuchProgram),
];

/// `psql`, `pg_restore`, `initdb`, and the server in what they pass on. `pg_restore` has no way to
/// show the server's SQLSTATE.
const POSTGRES: [Message; 21] = [
    says(&["No space left on device"], Meaning::DiskFull),
    says(&["Disk quota exceeded"], Meaning::DiskFull),
    says(&["unsupported version ("], Meaning::NewerDump),
    says(
        &["unrecognized configuration parameter"],
        Meaning::NewerDump,
    ),
    says(&["invalid command \\restrict"], Meaning::OlderPsql),
    says(&["invalid locale name"], Meaning::NoLocale),
    says(&["invalid LC_"], Meaning::NoLocale),
    says(&["could not find the locale"], Meaning::NoLocale),
    says(
        &["schema \"public\" already exists"],
        Meaning::PublicIsThere,
    ),
    says(&["shared_preload_libraries"], Meaning::NotPreloaded),
    says(&["must be preloaded"], Meaning::NotPreloaded),
    says(&["tablespace \"", "does not exist"], Meaning::NoTablespace),
    says(
        &["invalid value for parameter \"default_tablespace\""],
        Meaning::NoTablespace,
    ),
    says(&["could not access file \""], Meaning::NoExtension),
    says(
        &["could not open extension control file"],
        Meaning::NoExtension,
    ),
    says(&["extension \""], Meaning::NoExtension),
    says(&["role \"", "does not exist"], Meaning::NoRole),
    says(&["server closed the connection"], Meaning::NoServer),
    says(&["could not connect"], Meaning::NoServer),
    says(&["connection to server"], Meaning::NoServer),
    says(&["shutting down"], Meaning::NoServer),
];

/// A line of the log of a server that starts. That it is not ready yet is fatal for who asked, and
/// for nobody else.
const SERVER_LOG: [Message; 3] = [
    says(&["FATAL:", "starting up"], Meaning::StartingUp),
    says(&["FATAL:"], Meaning::GaveUp),
    says(&["PANIC:"], Meaning::GaveUp),
];

/// `pgbackrest verify`: a line of its own, whatever its exit status.
const PGBACKREST_VERIFY: [Message; 2] = [
    says(&["\nstatus: error"], Meaning::Damaged),
    says(&["\nstatus: ok"], Meaning::Sound),
];

/// `restic check`, whose exit status does not tell damage from a lost connection.
const RESTIC: [Message; 1] = [says(&["repository contains errors"], Meaning::Damaged)];

/// What `pgbackrest verify` means.
pub(crate) fn of_pgbackrest_verify(said: &str) -> Option<Meaning> {
    meaning(said, &PGBACKREST_VERIFY)
}

/// What `restic check` means.
pub(crate) fn of_restic(said: &str) -> Option<Meaning> {
    meaning(said, &RESTIC)
}

/// What one of the programs means that look at files.
pub(crate) fn of_file_program(said: &str) -> Option<Meaning> {
    meaning(said, &FILE_PROGRAMS)
}

/// What a container runtime means.
pub(crate) fn of_container_runtime(said: &str) -> Option<Meaning> {
    meaning(said, &CONTAINER_RUNTIMES)
}

/// What one of PostgreSQL's programs means.
pub(crate) fn of_postgres(said: &str) -> Option<Meaning> {
    meaning(said, &POSTGRES)
}

/// What a line of a server's log means.
pub(crate) fn of_server_log(line: &str) -> Option<Meaning> {
    meaning(line, &SERVER_LOG)
}

fn meaning(said: &str, messages: &[Message]) -> Option<Meaning> {
    let all = |message: &&Message| message.words.iter().all(|word| said.contains(word));
    messages.iter().find(all).map(|message| message.means)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_not_ready_yet_has_not_given_up() {
        let of = |line: &str| of_server_log(&format!("2026-11-22 23:24:26 UTC [1] {line}"));
        assert_eq!(
            of("FATAL:  the database system is starting up"),
            Some(Meaning::StartingUp)
        );
        assert_eq!(
            of("LOG:  database system is ready to accept connections"),
            None
        );
        assert_eq!(
            of("FATAL:  could not write lock file: No space left on device"),
            Some(Meaning::GaveUp)
        );
    }

    #[test]
    fn all_words_of_a_message_are_needed() {
        assert_eq!(
            of_postgres("ERROR:  role \"app\" does not exist"),
            Some(Meaning::NoRole)
        );
        assert_eq!(of_postgres("ERROR:  role \"app\" already exists"), None);
        assert_eq!(of_postgres("ERROR:  relation \"app\" does not exist"), None);
    }

    #[test]
    fn the_words_of_container_runtimes_are_known() {
        let runc = "OCI runtime exec failed: exec: \"pg_dump\": executable file not found in $PATH";
        assert_eq!(of_container_runtime(runc), Some(Meaning::NoSuchProgram));
        let stat = "exec: stat pg_dump: no such file or directory";
        assert_eq!(of_container_runtime(stat), Some(Meaning::NoSuchProgram));
    }
}
