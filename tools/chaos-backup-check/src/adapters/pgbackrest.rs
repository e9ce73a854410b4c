//! pgBackRest: `info` says which backups there are, `verify` reads their files and holds them
//! against their checksums.
//!
//! The fields are those of <https://pgbackrest.org/command.html#command-info>, as versions 2.36 and
//! later write them. `verify` ends with status 0 whatever it finds; its words say what it found.

use std::time::Duration;

use chaos_backup_check::formats::inspection::COMPLETE;
use chaos_common::config::PgBackRest;
use chaos_common::record::Status;
use jiff::Timestamp;
use serde::Deserialize;

use super::account::{Account, Finding};
use super::program::{Answer, Question};
use crate::program_messages::{self, Meaning};
use crate::source::Absent;

const PROGRAM: &str = "pgbackrest";
/// The longest that `info` may take.
const LIMIT: Duration = Duration::from_secs(120);
/// Id of the check of whether the WAL is there that a backup needs.
const WAL: &str = "backup.wal";
/// Status codes of a stanza: all is well; the three ways in which there is nothing.
const OK: u32 = 0;
const NOTHING: [u32; 3] = [1, 2, 3];

#[derive(Debug, Deserialize)]
struct Stanza {
    name: String,
    status: StanzaStatus,
    #[serde(default)]
    backup: Vec<Backup>,
    #[serde(default)]
    archive: Vec<Archive>,
}

#[derive(Debug, Deserialize)]
struct StanzaStatus {
    code: u32,
    message: String,
}

#[derive(Clone, Debug, Deserialize)]
struct Backup {
    label: String,
    #[serde(rename = "type")]
    kind: String,
    timestamp: Times,
    /// Whether pages with wrong checksums were found when it was made.
    error: bool,
    info: Sizes,
    archive: Segments,
    database: Database,
    backrest: Version,
}

#[derive(Clone, Debug, Deserialize)]
struct Times {
    stop: i64,
}

#[derive(Clone, Debug, Deserialize)]
struct Sizes {
    size: u64,
}

/// The WAL that a backup needs.
#[derive(Clone, Debug, Deserialize)]
struct Segments {
    start: Option<String>,
    stop: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
struct Database {
    id: u64,
    #[serde(rename = "repo-key", default)]
    repository: u64,
}

#[derive(Clone, Debug, Deserialize)]
struct Version {
    version: String,
}

/// The WAL that there is of a database.
#[derive(Debug, Deserialize)]
struct Archive {
    database: Database,
    min: Option<String>,
    max: Option<String>,
}

/// Asks it.
pub(super) fn ask(settings: &PgBackRest) -> Result<Account, Absent> {
    let info = question(settings, "info", &["--output=json"], Some(LIMIT)).ask()?;
    if !info.status.success() {
        return Err(info.refused(PROGRAM, "tell its backups"));
    }
    let stanza = parse(&info.stdout, &settings.stanza)?;
    let verified = if settings.verify && stanza.status.code == OK {
        let args = ["--output=text", "--verbose"];
        Some(question(settings, "verify", &args, None).ask()?)
    } else {
        None
    };
    judge(&stanza, verified.as_ref())
}

fn question(
    settings: &PgBackRest,
    command: &str,
    args: &[&str],
    limit: Option<Duration>,
) -> Question<'static> {
    let mut all = vec![format!("--stanza={}", settings.stanza)];
    if let Some(config) = &settings.config {
        all.push(format!("--config={}", config.display()));
    }
    // Only the answer on standard output, and nothing written.
    let quiet = [
        "--log-level-console=off",
        "--log-level-stderr=error",
        "--log-level-file=off",
    ];
    all.extend(quiet.iter().chain(args).map(|arg| (*arg).to_owned()));
    all.push(command.to_owned());
    Question {
        program: PROGRAM,
        args: all,
        env: Vec::new(),
        limit,
    }
}

fn parse(info: &[u8], name: &str) -> Result<Stanza, Absent> {
    let stanzas: Vec<Stanza> = serde_json::from_slice(info).map_err(|error| {
        Absent::unknown(format!(
            "pgbackrest info says what is not understood here: {error}"
        ))
        .hint("versions 2.36 to 2.57 of pgBackRest are known")
    })?;
    let mut own = stanzas.into_iter().filter(|stanza| stanza.name == name);
    own.next()
        .ok_or_else(|| Absent::unknown("pgbackrest info says nothing of this stanza"))
}

/// What its answers mean.
fn judge(stanza: &Stanza, verified: Option<&Answer>) -> Result<Account, Absent> {
    let StanzaStatus { code, message } = &stanza.status;
    let newest = stanza
        .backup
        .iter()
        .max_by_key(|backup| backup.timestamp.stop);
    let Some(newest) = newest else {
        let why = format!("has no backup: pgbackrest says {message:?}");
        return Err(if *code == OK || NOTHING.contains(code) {
            Absent::fail(why).hint("see what pgbackrest backup says; pgbackrest info shows more")
        } else {
            Absent::unknown(why)
        });
    };
    let mut findings = vec![whole(newest, verified), wal(newest, &stanza.archive)];
    if *code != OK {
        let status = if NOTHING.contains(code) {
            Status::Fail
        } else {
            Status::Unknown
        };
        let message = format!("pgbackrest says of the stanza: {message}");
        findings.push(Finding::new("backup.repository", status, message));
    }
    let mut proven = vec!["its WAL is in the archive, by its first and last segment".to_owned()];
    let mut unproven = vec![
        "that PostgreSQL starts with it and its tables can be read: pgbackrest restore".to_owned(),
    ];
    let checksums = "that its files are what their checksums say";
    if verified.is_some() {
        proven.push(checksums.to_owned());
    } else {
        unproven.push(format!("{checksums} (verify = false)"));
    }
    let number = stanza.backup.len();
    Ok(Account {
        tool: format!("pgBackRest {}", newest.backrest.version),
        backup: newest.label.clone(),
        present: format!(
            "the newest of {number} in the stanza is {} ({})",
            newest.label, newest.kind
        ),
        made: Timestamp::from_second(newest.timestamp.stop).ok(),
        size: Some(newest.info.size),
        findings,
        proven,
        unproven,
    })
}

/// Whether all its files are as they were written.
fn whole(backup: &Backup, verified: Option<&Answer>) -> Finding {
    if backup.error {
        let message = "holds pages whose checksums were wrong already when it was made";
        return Finding::new(COMPLETE, Status::Fail, message)
            .hint("the database itself is damaged: see the log of pgbackrest backup");
    }
    let Some(verified) = verified else {
        let message = "its files were not read (verify = false)";
        return Finding::new(COMPLETE, Status::Skipped, message);
    };
    if !verified.status.success() {
        let said = verified.words();
        let message = format!("pgbackrest verify did not come to its end: {said}");
        return Finding::new(COMPLETE, Status::Unknown, message);
    }
    let said = String::from_utf8_lossy(&verified.stdout);
    match program_messages::of_pgbackrest_verify(&said) {
        Some(Meaning::Sound) => {
            let message = "every file of the repository was read and is what its checksum says";
            Finding::new(COMPLETE, Status::Pass, message)
        }
        Some(Meaning::Damaged) => {
            let wrong = said.lines().map(str::trim).filter(|line| !line.is_empty());
            let wrong: Vec<&str> = wrong.skip(2).take(4).collect();
            let message = format!("pgbackrest verify finds damage: {}", wrong.join("; "));
            Finding::new(COMPLETE, Status::Fail, message)
                .hint("make a full backup now; pgbackrest verify --verbose --output=text says more")
        }
        _ => {
            let message = "pgbackrest verify says what is not understood here";
            Finding::new(COMPLETE, Status::Unknown, message)
        }
    }
}

/// Whether the WAL is there without which it does not start. `verify` does not miss any.
fn wal(backup: &Backup, archives: &[Archive]) -> Finding {
    let (Some(start), Some(stop)) = (&backup.archive.start, &backup.archive.stop) else {
        let message = "does not say which WAL it needs";
        return Finding::new(WAL, Status::Unknown, message);
    };
    // Segments of one history sort by their names.
    let holds = |archive: &&Archive| {
        archive.min.as_ref().is_some_and(|min| min <= start)
            && archive.max.as_ref().is_some_and(|max| max >= stop)
    };
    let own = |archive: &&Archive| archive.database == backup.database;
    if archives.iter().filter(own).any(|archive| holds(&archive)) {
        return Finding::new(
            WAL,
            Status::Pass,
            format!("the archive has {start} to {stop}"),
        );
    }
    let message =
        format!("the archive lacks WAL from {start} to {stop}, without which it is no backup");
    Finding::new(WAL, Status::Fail, message)
        .hint("see whether archive_command works: pgbackrest check")
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    const INFO: &str = r#"[{"archive":[{"database":{"id":1,"repo-key":1},"id":"15-1","max":"000000010000000000000002","min":"000000010000000000000001"}],
        "backup":[{"archive":{"start":"000000010000000000000002","stop":"000000010000000000000002"},"backrest":{"format":5,"version":"2.45"},
        "database":{"id":1,"repo-key":1},"error":false,"info":{"delta":22992594,"repository":{"delta":3043470,"size":3043470},"size":22992594},
        "label":"20261129-140721F","lsn":{"start":"0/2000028","stop":"0/2000100"},"prior":null,"reference":null,
        "timestamp":{"start":1795961241,"stop":1795961244},"type":"full"}],"cipher":"none","db":[],"name":"main","repo":[],
        "status":{"code":0,"lock":{"backup":{"held":false}},"message":"ok"}}]"#;

    fn verify(said: &str) -> Answer {
        Answer {
            status: ExitStatus::from_raw(0),
            stdout: said.as_bytes().to_vec(),
            said: String::new(),
        }
    }

    fn status(info: &str, said: &str, id: &str) -> Status {
        let stanza = parse(info.as_bytes(), "main").map_err(|absent| absent.why);
        let account = judge(&stanza.expect("JSON"), Some(&verify(said)));
        let account = account.map_err(|absent| absent.why).expect("a backup");
        let found = account.findings.iter().find(|finding| finding.id == id);
        found.unwrap_or_else(|| panic!("no {id}")).status
    }

    const GOOD: &str = "stanza: main\nstatus: ok\n";
    const BAD: &str = "stanza: main\nstatus: error\n  backup: x, status: invalid\n    missing: 1\n";

    #[test]
    fn only_what_verify_calls_good_is_good() {
        assert_eq!(status(INFO, GOOD, COMPLETE), Status::Pass);
        assert_eq!(
            status(INFO, BAD, COMPLETE),
            Status::Fail,
            "its exit status is 0"
        );
        assert_eq!(status(INFO, "", COMPLETE), Status::Unknown);
        assert_eq!(status(INFO, "all is fine", COMPLETE), Status::Unknown);
        let pages = INFO.replace("\"error\":false", "\"error\":true");
        assert_eq!(status(&pages, GOOD, COMPLETE), Status::Fail);
    }

    #[test]
    fn missing_wal_is_found_which_verify_does_not_miss() {
        assert_eq!(status(INFO, GOOD, WAL), Status::Pass);
        let lost = INFO.replace(r#""max":"000000010000000000000002""#, r#""max":null"#);
        assert_eq!(status(&lost, GOOD, WAL), Status::Fail);
        let cut = INFO.replace(
            r#""max":"000000010000000000000002""#,
            r#""max":"000000010000000000000001""#,
        );
        assert_eq!(status(&cut, GOOD, WAL), Status::Fail);
        let other = INFO.replacen(r#""id":1"#, r#""id":2"#, 1);
        assert_eq!(
            status(&other, GOOD, WAL),
            Status::Fail,
            "of another database"
        );
    }

    #[test]
    fn no_backup_fails_and_an_unknown_answer_is_unknown() {
        let none = r#"[{"archive":[],"backup":[],"name":"main","status":{"code":1,"message":"missing stanza path"}}]"#;
        let stanza = parse(none.as_bytes(), "main").map_err(|absent| absent.why);
        let absent = judge(&stanza.expect("JSON"), None).expect_err("there is none");
        assert_eq!(absent.status, Status::Fail);
        for (text, name) in [
            ("{}", "main"),
            ("[{\"name\":\"main\"}]", "main"),
            (INFO, "other"),
        ] {
            let absent = parse(text.as_bytes(), name).expect_err(text);
            assert_eq!(absent.status, Status::Unknown, "{text}");
        }
    }
}
