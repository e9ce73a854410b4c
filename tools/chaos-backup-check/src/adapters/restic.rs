//! restic: `snapshots` says what there is, `check` holds structure and metadata against their
//! digests, and as much of the data as is asked for.
//!
//! Its JSON is that of <https://restic.readthedocs.io/en/stable/075_scripting.html>. The repository
//! is not locked: a check must not keep a backup away.

use std::collections::BTreeMap;
use std::time::Duration;

use chaos_backup_check::formats::inspection::COMPLETE;
use chaos_common::config::Restic;
use chaos_common::record::Status;
use jiff::Timestamp;
use serde::Deserialize;

use super::account::{Account, Finding};
use super::program::{Answer, Question};
use crate::program_messages::{self, Meaning};
use crate::source::Absent;

const PROGRAM: &str = "restic";
/// The longest that a question may take that reads no data.
const LIMIT: Duration = Duration::from_secs(300);

#[derive(Clone, Debug, Deserialize)]
struct Snapshot {
    time: Timestamp,
    hostname: String,
    paths: Vec<String>,
    short_id: String,
}

/// Asks it.
pub(super) fn ask(settings: &Restic) -> Result<Account, Absent> {
    let version = question(settings, &["version"], Some(LIMIT))?.ask()?;
    let listed = question(settings, &of_snapshots(settings), Some(LIMIT))?.ask()?;
    if !listed.status.success() {
        return Err(listed
            .refused(PROGRAM, "list the snapshots")
            .hint("try restic snapshots by hand; [backup.restic] names repository and password"));
    }
    let snapshots = parse(&listed.stdout)?;
    let subset = settings.read.as_ref();
    let mut check = vec!["check".to_owned()];
    check.extend(subset.map(|share| format!("--read-data-subset={share}")));
    let checked = question(settings, &check, None)?.ask()?;
    let busy = if checked.status.success() {
        false
    } else {
        let locks = question(settings, &["list", "locks"], Some(LIMIT))?.ask()?;
        !locks.stdout.is_empty()
    };
    let whole = whole(&checked, settings, busy);
    let mut account = judge(&snapshots, settings, whole)?;
    let words = String::from_utf8_lossy(&version.stdout).into_owned();
    let version = words.split(" compiled").next().unwrap_or_default();
    version.trim().clone_into(&mut account.tool);
    Ok(account)
}

/// The repository without the password that its URL may have.
pub(super) fn plain(repository: &str) -> String {
    let Some((start, rest)) = repository.split_once("://") else {
        return repository.to_owned();
    };
    let host_begins = rest.split('/').next().and_then(|place| place.rfind('@'));
    let rest = host_begins.map_or(rest, |at| &rest[at + 1..]);
    format!("{start}://{rest}")
}

fn question<A: AsRef<str>>(
    settings: &Restic,
    args: &[A],
    limit: Option<Duration>,
) -> Result<Question<'static>, Absent> {
    let mut all = vec!["--no-lock".to_owned(), "--quiet".to_owned()];
    all.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
    // A URL may hold a password, which no list of processes shall show.
    let mut env = vec![("RESTIC_REPOSITORY", settings.repository.clone())];
    if let Some(password) = &settings.password {
        let password = password.read().map_err(|error| {
            Absent::unknown(format!("has a password that cannot be read: {error}"))
        })?;
        env.push(("RESTIC_PASSWORD", password));
    }
    Ok(Question {
        program: PROGRAM,
        args: all,
        env,
        limit,
    })
}

fn of_snapshots(settings: &Restic) -> Vec<String> {
    let mut args = vec!["snapshots".to_owned(), "--json".to_owned()];
    let filters = [
        ("host", &settings.host),
        ("tag", &settings.tag),
        ("path", &settings.path),
    ];
    for (name, value) in filters {
        args.extend(value.as_ref().map(|value| format!("--{name}={value}")));
    }
    args
}

fn parse(listed: &[u8]) -> Result<Vec<Snapshot>, Absent> {
    // An empty repository is `null` to some versions.
    let snapshots: Option<Vec<Snapshot>> = serde_json::from_slice(listed).map_err(|error| {
        Absent::unknown(format!(
            "restic snapshots says what is not understood here: {error}"
        ))
        .hint("versions 0.12 to 0.18 of restic are known")
    })?;
    Ok(snapshots.unwrap_or_default())
}

/// What `check` means. Its status is 1 whatever went wrong.
fn whole(checked: &Answer, settings: &Restic, busy: bool) -> Finding {
    let what = match &settings.read {
        None => "structure and metadata".to_owned(),
        Some(share) => format!("structure, metadata and {share} of the data"),
    };
    if checked.status.success() {
        let message = format!("restic check found no error in {what}");
        return Finding::new(COMPLETE, Status::Pass, message);
    }
    let message = format!("restic check of {what}: {}", checked.words());
    match program_messages::of_restic(&checked.said) {
        Some(Meaning::Damaged) if !busy => Finding::new(COMPLETE, Status::Fail, message)
            .hint("restic check --read-data says what is lost; make a new backup now"),
        Some(Meaning::Damaged) => {
            let message = format!("{message}; somebody is writing to the repository meanwhile");
            Finding::new(COMPLETE, Status::Unknown, message)
                .hint("check again when nobody writes; restic list locks says who does")
        }
        _ => Finding::new(COMPLETE, Status::Unknown, message),
    }
}

/// Of every host and its paths the newest snapshot counts, and of these the oldest: none of them
/// may have stopped unseen.
fn judge(snapshots: &[Snapshot], settings: &Restic, whole: Finding) -> Result<Account, Absent> {
    let mut rows: BTreeMap<(&str, &[String]), &Snapshot> = BTreeMap::new();
    for snapshot in snapshots {
        let row = (snapshot.hostname.as_str(), snapshot.paths.as_slice());
        let newest = rows.entry(row).or_insert(snapshot);
        if newest.time < snapshot.time {
            *newest = snapshot;
        }
    }
    let counts = rows.values().min_by_key(|snapshot| snapshot.time);
    let Some(counts) = counts else {
        return Err(
            Absent::fail("has no snapshot that host, tag and path let in")
                .hint("see what restic backup says, and whether the repository is the right one"),
        );
    };
    let (number, id) = (snapshots.len(), &counts.short_id);
    let of = format!("{} of {}", counts.paths.join(", "), counts.hostname);
    let present = if rows.len() == 1 {
        format!("the newest of {number} snapshots is {id} ({of})")
    } else {
        format!(
            "of {} rows of snapshots each has a newest, and {id} ({of}) is the oldest of them: \
             name host, tag or path where that one has ended",
            rows.len()
        )
    };
    let mut unproven = vec!["that what is in it can be used: restic restore".to_owned()];
    match settings.read.as_deref() {
        None => {
            unproven.push("that its data are what their digests say (read = \"5%\")".to_owned());
        }
        Some("100%") => {}
        Some(share) => unproven.push(format!(
            "that the data beyond {share} are what their digests say"
        )),
    }
    let proven = if whole.status == Status::Pass {
        vec![whole.message.clone()]
    } else {
        Vec::new()
    };
    Ok(Account {
        tool: PROGRAM.to_owned(),
        backup: id.clone(),
        present,
        made: Some(counts.time),
        size: None,
        findings: vec![whole],
        proven,
        unproven,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    use super::*;

    fn settings() -> Restic {
        Restic {
            repository: "/r".to_owned(),
            password: None,
            host: None,
            tag: None,
            path: None,
            read: None,
        }
    }

    fn checked(code: i32, said: &str) -> Answer {
        Answer {
            status: ExitStatus::from_raw(code << 8),
            stdout: Vec::new(),
            said: said.to_owned(),
        }
    }

    fn snapshots(all: &[(&str, &str)]) -> Vec<Snapshot> {
        let one = |(time, host): &(&str, &str)| serde_json::json!({"time": time, "hostname": host, "paths": ["/srv"], "short_id": time, "id": "x"});
        let all: Vec<_> = all.iter().map(one).collect();
        parse(serde_json::json!(all).to_string().as_bytes())
            .map_err(|absent| absent.why)
            .expect("JSON")
    }

    #[test]
    fn the_row_that_stopped_first_counts() {
        let good = || Finding::new(COMPLETE, Status::Pass, "x");
        let made = |all: &[(&str, &str)]| {
            let account = judge(&snapshots(all), &settings(), good());
            account
                .map_err(|absent| absent.status)
                .map(|account| account.backup)
        };
        let (one, two, three) = (
            "2026-11-20T01:00:00.5+01:00",
            "2026-11-21T00:00:00Z",
            "2026-11-22T00:00:00Z",
        );
        assert_eq!(
            made(&[(one, "a"), (three, "a"), (two, "a")]).as_deref(),
            Ok(three)
        );
        assert_eq!(
            made(&[(one, "a"), (two, "a"), (three, "b")]).as_deref(),
            Ok(two)
        );
        assert_eq!(made(&[]), Err(Status::Fail));
    }

    #[test]
    fn damage_is_told_from_what_could_not_be_read() {
        let status = |code, said, busy| whole(&checked(code, said), &settings(), busy).status;
        let errors = "pack 211aaa: does not exist; Fatal: repository contains errors";
        assert_eq!(status(0, "", false), Status::Pass);
        assert_eq!(status(1, errors, false), Status::Fail);
        assert_eq!(status(1, errors, true), Status::Unknown);
        assert_eq!(
            status(1, "Fatal: unable to open config file", false),
            Status::Unknown
        );
        assert_eq!(status(130, "", false), Status::Unknown);
    }

    #[test]
    fn answers_of_other_versions_are_unknown_and_no_password_is_told() {
        assert_eq!(
            parse(b"null")
                .map_err(|absent| absent.why)
                .map(|all| all.len()),
            Ok(0)
        );
        for odd in ["", "{}", "[{\"time\":\"yesterday\"}]"] {
            assert_eq!(
                parse(odd.as_bytes()).expect_err(odd).status,
                Status::Unknown
            );
        }
        assert_eq!(
            plain("rest:https://me:hunter2@host:8000/r"),
            "rest:https://host:8000/r"
        );
        assert_eq!(plain("/srv/a@b"), "/srv/a@b");
        assert_eq!(plain("sftp:me@host:/r"), "sftp:me@host:/r");
    }
}
