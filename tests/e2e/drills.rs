//! Drills of `chaos-backup-check` into a real PostgreSQL of this machine.

use std::fs;
use std::process::{Child, Command, Stdio};

use chaos_tests::cluster::repository;
use chaos_tests::run::{Place, Ran, check, until};
use chaos_tests::schedule::Needs;
use serde_json::Value;

use crate::begun;

pub(crate) fn status(record: &Value, id: &str, object: &str) -> (String, String) {
    let found = check(record, id, object);
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    (text("status"), text("message"))
}

/// Status and message of the first check of an id.
#[track_caller]
pub(crate) fn found(record: &Value, id: &str) -> (String, String) {
    status(record, id, "")
}

/// A fixture; a dump as if it had been begun now.
pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = repository()
        .join("tools/chaos-backup-check/tests/fixtures")
        .join(name);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if bytes.starts_with(b"PGDMP") {
        return begun::today(bytes);
    }
    bytes
}

/// A place with one dump and a scratch folder of its own for drills.
fn dump_place(drill: &str) -> Place {
    let place = Place::needing(Needs::machine());
    let scratch = place.path().join("scratch");
    fs::create_dir(&scratch).expect("made");
    // Whoever the scratch database belongs to must get there.
    for folder in [place.path(), scratch.as_path()] {
        fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o777))
            .expect("ours");
    }
    fs::write(place.path().join("db.dump"), fixture("pgdump/gzip.dump")).expect("written");
    place.file(
        "chaos.toml",
        &format!(
            "[application]\nnamespace = 'shop'\n[[backup]]\nname = 'db'\nkind = 'postgres'\npath = 'db.dump'\n[drill]\nevidence = 'drills'\n{drill}"
        ),
    );
    place.env("TMPDIR", scratch)
}

/// What a drill has left: folders, and processes that know them.
fn left(place: &Place) -> Vec<String> {
    let scratch = place.path().join("scratch");
    let mut left: Vec<String> = fs::read_dir(&scratch)
        .expect("there")
        .flatten()
        .map(|entry| entry.path().display().to_string())
        .collect();
    let scratch = scratch.display().to_string();
    for process in fs::read_dir("/proc").expect("Linux").flatten() {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).replace('\0', " ");
        // A session of PostgreSQL does not name the folder that it works in.
        let folder = fs::read_link(process.path().join("cwd")).unwrap_or_default();
        let session = command.starts_with("postgres:") && folder.starts_with(&scratch);
        if command.contains(&scratch) || session {
            left.push(command);
        }
    }
    left
}

#[track_caller]
fn nothing_left(place: &Place) {
    until("the end of all that the drill made", || {
        left(place).is_empty().then_some(())
    });
}

/// There is no evidence; that a drill was tried stands in a hidden file.
fn nothing_proven(place: &Place) -> bool {
    let Ok(entries) = fs::read_dir(place.path().join("drills")) else {
        return true;
    };
    let mut names = entries.map(|entry| entry.expect("readable").file_name());
    names.all(|name| name.to_string_lossy().starts_with('.'))
}

/// Starts a drill that does not end by itself, and waits until it is in the middle of it.
fn started(place: &Place) -> Child {
    let mut command = place.command("chaos-backup-check");
    command
        .arg("drill")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let child = command.spawn().expect("the tool starts");
    until("the drill's query", || {
        let asks = |line: &String| line.contains("chaos_drill_") && line.contains("SELECT");
        left(place).iter().any(asks).then_some(())
    });
    child
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .arg(name)
        .arg(child.id().to_string())
        .status()
        .expect("kill is there");
    assert!(sent.success());
}

#[test]
#[ignore = "needs PostgreSQL's server programs: make test"]
fn a_drill_restores_and_later_checks_want_its_evidence() {
    let place = dump_place("[[drill.query]]\nsql = 'SELECT count(*) = 100 FROM users'\n");
    let ran = place.tool("chaos-backup-check", &[]).exits(3);
    let (found, message) = status(
        &ran.record("chaos.backup/1"),
        "backup.restore_tested",
        "db.dump",
    );
    assert_eq!(
        (found.as_str(), message.as_str()),
        ("unknown", "no drill has restored it")
    );

    let ran = place.tool("chaos-backup-check", &["drill", "db"]);
    let record = ran.record("chaos.backup/1");
    assert_eq!(record["data"]["action"], "drill");
    for id in ["drill.restored", "drill.rows", "drill.evidence"] {
        assert_eq!(status(&record, id, "db.dump").0, "pass", "{}", ran.show());
    }
    assert_eq!(
        record["data"]["items"][0]["drill"]["rows"],
        395,
        "{}",
        ran.show()
    );
    nothing_left(&place);

    let ran = place.tool("chaos-backup-check", &[]).exits(0);
    let record = ran.record("chaos.backup/1");
    let (found, message) = status(&record, "backup.restore_tested", "db.dump");
    assert_eq!(found, "pass");
    assert!(
        message.starts_with("this very file was restored in "),
        "{message}"
    );
    assert_eq!(record["data"]["action"], "check");

    // A question with the wrong answer: what was proven is no more.
    place
        .shell("sed -i 's/count(.) = 100/count(*) = 6/' chaos.toml")
        .exits(0);
    let ran = place.tool("chaos-backup-check", &["drill"]).exits(1);
    assert_eq!(
        status(&ran.record("chaos.backup/1"), "drill.query", "").0,
        "fail",
        "{}",
        ran.show()
    );
    let ran = place.tool("chaos-backup-check", &[]).exits(1);
    assert_eq!(
        status(
            &ran.record("chaos.backup/1"),
            "backup.restore_tested",
            "db.dump"
        )
        .0,
        "fail",
        "{}",
        ran.show()
    );

    // Old evidence proves nothing.
    place
        .shell("sed -i 's/count(.) = 6/count(*) = 100/' chaos.toml")
        .exits(0);
    place.tool("chaos-backup-check", &["drill"]).exits(0);
    place
        .shell("sed -i 's/\"time\":\"2[0-9]*/\"time\":\"2020/' drills/*.json")
        .exits(0);
    let ran = place.tool("chaos-backup-check", &[]).exits(1);
    let (found, message) = status(
        &ran.record("chaos.backup/1"),
        "backup.restore_tested",
        "db.dump",
    );
    assert!(
        found == "fail" && message.contains("is the limit"),
        "{}",
        ran.show()
    );
    place
        .tool("chaos-backup-check", &["drill", "no-such"])
        .exits(2)
        .says("no backup is called");
}

#[test]
#[ignore = "needs PostgreSQL's server programs: make test"]
fn nothing_is_left_of_a_drill_that_is_stopped() {
    let place = dump_place("[[drill.query]]\nsql = 'SELECT pg_sleep(600) IS NULL'\n");
    for (name, code) in [("-TERM", Some(6)), ("-KILL", None)] {
        let mut child = started(&place);
        signal(&child, name);
        let status = child.wait().expect("it ends");
        assert_eq!(status.code(), code, "{name}");
        nothing_left(&place);
        assert!(
            nothing_proven(&place),
            "a drill that was stopped proves nothing"
        );
    }
    let ran = place
        .tool("chaos-backup-check", &["drill", "--deadline", "8s"])
        .exits(3);
    assert!(
        status(&ran.record("chaos.backup/1"), "drill.restored", "db.dump")
            .1
            .contains("not finished in 8s")
    );
    nothing_left(&place);
}

#[test]
#[ignore = "needs PostgreSQL's server programs: make test"]
fn what_keeps_a_drill_from_being_made_is_unknown_and_named() {
    let place = dump_place("");
    // A server that is older than the dump.
    let mut dump = fixture("pgdump/gzip.dump");
    let at = dump
        .windows(3)
        .position(|window| window == b"15.")
        .expect("the server's version is in the header");
    dump[at..at + 2].copy_from_slice(b"99");
    fs::write(place.path().join("db.dump"), &dump).expect("written");
    let ran = place.tool("chaos-backup-check", &["drill"]).exits(3);
    let (found, message) = status(&ran.record("chaos.backup/1"), "drill.restored", "db.dump");
    assert!(
        found == "unknown" && message.contains("the dump was made of 99."),
        "{}",
        ran.show()
    );
    nothing_left(&place);
    // Damage is seen before anything is restored.
    fs::write(
        place.path().join("db.dump"),
        &fixture("pgdump/gzip.dump")[..9000],
    )
    .expect("written");
    let ran = place.tool("chaos-backup-check", &["drill"]).exits(1);
    let (found, message) = status(&ran.record("chaos.backup/1"), "drill.restored", "db.dump");
    assert!(
        found == "fail" && message.contains("was not restored"),
        "{}",
        ran.show()
    );
    fs::write(place.path().join("db.dump"), fixture("pgdump/gzip.dump")).expect("written");
    assert!(
        nothing_proven(&place),
        "nothing was restored, and nothing is proven"
    );
}

#[test]
#[ignore = "needs root, to mount a small disk: make test"]
fn a_full_disk_is_unknown_and_leaves_nothing() {
    let place = dump_place("");
    let line = format!(
        "mount -t tmpfs -o size=24m,mode=1777 none {0}/scratch && chaos-backup-check drill; code=$?; find {0}/scratch -mindepth 1; exit $code",
        place.path().display()
    );
    let ran = place.run_in_own_mounts(&line).exits(3);
    let said = ran.stdout();
    let record: Value = serde_json::from_str(
        said.lines()
            .find(|line| line.contains("drill.restored"))
            .unwrap_or("{}"),
    )
    .unwrap_or_else(|error| panic!("{error}: {}", ran.show()));
    let (found, message) = status(&record, "drill.restored", "db.dump");
    assert!(
        found == "unknown" && message.contains("is full"),
        "{}",
        ran.show()
    );
    assert!(
        !said.lines().any(|line| line.starts_with('/')),
        "it left files: {}",
        ran.show()
    );
}

trait OwnMounts {
    fn run_in_own_mounts(&self, line: &str) -> Ran;
}

impl OwnMounts for Place {
    fn run_in_own_mounts(&self, line: &str) -> Ran {
        self.file("line.sh", line);
        self.shell("unshare -m bash line.sh </dev/null")
    }
}
