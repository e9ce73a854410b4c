//! pgBackRest and restic by their own programs, which scripts/setup.sh installs.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::Place;

fn installed(program: &str) -> bool {
    let there = ["/usr/bin", "/usr/local/bin"]
        .iter()
        .any(|at| Path::new(at).join(program).exists());
    if !there {
        crate::needs::skipped(&format!(
            "{program} is not installed; scripts/setup.sh does that"
        ));
    }
    there
}

fn restic(place: &Place, args: &[&str]) {
    let ran = Command::new("restic")
        .args(["--quiet", "--repo"])
        .arg(place.path("repo"))
        .args(args)
        .env("RESTIC_PASSWORD", "hunter2")
        .env("HOME", place.path(""))
        .current_dir(place.path(""))
        .output()
        .expect("it is installed");
    assert!(
        ran.status.success(),
        "{}",
        String::from_utf8_lossy(&ran.stderr)
    );
}

/// A repository with a snapshot, and a configuration.
fn repository() -> Option<Place> {
    if !installed("restic") {
        return None;
    }
    let place = Place::new();
    place.file("password", b"hunter2", 1);
    let bytes: Vec<u8> = (0..2_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 11).to_le_bytes()[0])
        .collect();
    place.file("data/large", &bytes, 1);
    restic(&place, &["init"]);
    restic(&place, &["backup", "data", "--host", "web"]);
    configured(&place, "read = '100%'");
    Some(place)
}

fn configured(place: &Place, more: &str) {
    let repository = place.path("repo");
    place.config(&format!(
        "[[backup]]\nname = 'x'\nkind = 'restic'\n[backup.restic]\nrepository = '{}'\n\
         password = {{ file = 'password' }}\n{more}\n",
        repository.display()
    ));
}

/// The largest file under a folder.
fn largest(folder: &Path) -> PathBuf {
    let mut found: Vec<(u64, PathBuf)> = Vec::new();
    let mut waiting = vec![folder.to_owned()];
    while let Some(at) = waiting.pop() {
        for entry in fs::read_dir(at).expect("there").flatten() {
            let metadata = entry.metadata().expect("there");
            if metadata.is_dir() {
                waiting.push(entry.path());
            } else {
                found.push((metadata.len(), entry.path()));
            }
        }
    }
    found.into_iter().max().expect("one").1
}

/// Changes one byte of the largest file under a folder.
fn damage(folder: &Path) {
    let path = largest(folder);
    let mut bytes = fs::read(&path).expect("there");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
    fs::write(path, bytes).expect("written");
}

#[test]
fn a_repository_of_restic_is_asked_and_verified() {
    let Some(place) = repository() else { return };
    let ran = place.run(&[]);
    ran.exits(0)
        .says("backup.complete", "/repo", "pass", "no error");
    ran.says("backup.present", "/repo", "pass", "of web");
    ran.says("backup.proven", "/repo", "skipped", "can be used");
    let contents = ran.record()["data"]["items"][0]["contents"].clone();
    assert_eq!(contents["format"], "tool");
    assert!(
        contents["tool"]
            .as_str()
            .expect("a tool")
            .starts_with("restic 0."),
        "{contents}"
    );
    assert!(!ran.everything().contains("hunter2"), "no secret");
    assert!(
        fs::read_dir(place.path("repo/locks"))
            .expect("there")
            .next()
            .is_none(),
        "no lock"
    );
    configured(&place, "host = 'other'");
    place
        .run(&[])
        .exits(1)
        .says("backup.present", "/repo", "fail", "has no snapshot");
    damage(&place.path("repo/data"));
    configured(&place, "");
    let unread = place.run(&[]);
    unread.exits(0).says(
        "backup.proven",
        "/repo",
        "skipped",
        "its data are what their digests",
    );
    configured(&place, "read = '100%'");
    place.run(&[]).exits(1).says(
        "backup.complete",
        "/repo",
        "fail",
        "repository contains errors",
    );
}

#[test]
fn a_repository_of_restic_that_cannot_be_read_is_unknown() {
    let Some(place) = repository() else { return };
    place.file("password", b"wrong", 1);
    place
        .run(&[])
        .exits(3)
        .says("backup.present", "/repo", "unknown", "wrong password");
    place.file("password", b"hunter2", 1);
    fs::rename(place.path("repo"), place.path("elsewhere")).expect("renamed");
    assert_eq!(
        place.run(&[]).exits(3).check("backup.present", "/repo").0,
        "unknown"
    );
    let other = Place::new().env("PATH", "/nowhere");
    configured(&other, "");
    other.file("password", b"x", 1);
    other.run(&[]).exits(3).says(
        "backup.present",
        "/repo",
        "unknown",
        "restic is not installed",
    );
}

#[test]
fn an_old_snapshot_of_restic_is_old() {
    let Some(place) = repository() else { return };
    restic(
        &place,
        &[
            "backup",
            "data",
            "--host",
            "gone",
            "--time",
            "2026-01-01 00:00:00",
        ],
    );
    let ran = place.run(&[]);
    ran.exits(1)
        .says("backup.fresh", "/repo", "fail", "by its tool");
    ran.says("backup.present", "/repo", "pass", "2 rows of snapshots");
    configured(&place, "host = 'web'");
    place.run(&[]).exits(0);
}

const STANZA: &str = r#"
set -euo pipefail
PATH=$(ls -d /usr/lib/postgresql/*/bin | sort -V | tail -n 1):$PATH
cd "$1"
mkdir run log spool lock repo
cat >pgbackrest.conf <<END
[global]
repo1-path=$1/repo
repo1-retention-full=2
log-path=$1/log
spool-path=$1/spool
lock-path=$1/lock
start-fast=y
[main]
pg1-path=$1/data
pg1-user=pg
pg1-socket-path=$1/run
END
initdb -U pg -A trust --no-locale --no-sync -D data >/dev/null
archive="pgbackrest --config=$1/pgbackrest.conf --stanza=main archive-push %p"
pg_ctl -D data -w -o "-k $1/run -c listen_addresses= -c archive_mode=on -c archive_command='$archive'" -l log/server start >/dev/null
trap 'pg_ctl -D data -m immediate stop >/dev/null' EXIT
for command in stanza-create 'backup --type=full'; do
  pgbackrest --config="$1/pgbackrest.conf" --stanza=main --log-level-console=warn $command
done
chmod -R a+rwX repo
"#;

fn stanza() -> Option<Place> {
    if !installed("pgbackrest") || crate::needs::postgres().is_none() {
        return None;
    }
    let place = Place::new();
    place.make(STANZA);
    place.config(
        "[[backup]]\nname = 'x'\nkind = 'pgbackrest'\n[backup.pgbackrest]\nstanza = 'main'\n\
         config = 'made/pgbackrest.conf'\n",
    );
    // pgBackRest wants the whole path.
    let whole = place.path("made/pgbackrest.conf");
    let text = fs::read_to_string(place.path("chaos.toml")).expect("there");
    let text = text.replace("made/pgbackrest.conf", &whole.display().to_string());
    fs::write(place.path("chaos.toml"), text).expect("written");
    Some(place)
}

#[test]
fn a_stanza_of_pgbackrest_is_asked_and_verified() {
    let Some(place) = stanza() else { return };
    let ran = place.run(&[]);
    ran.exits(0)
        .says("backup.complete", "pgbackrest:main", "pass", "every file");
    ran.says("backup.wal", "pgbackrest:main", "pass", "the archive has");
    ran.says("backup.fresh", "pgbackrest:main", "pass", "by its tool");
    ran.says(
        "backup.restore_tested",
        "pgbackrest:main",
        "skipped",
        "kept by a tool",
    );
    let archive = place.path("made/repo/archive/main");
    let segment = largest(
        &archive.join(
            fs::read_dir(&archive)
                .expect("there")
                .flatten()
                .find(|entry| entry.path().is_dir())
                .expect("one")
                .file_name(),
        ),
    );
    let kept = fs::read(&segment).expect("there");
    let folder = segment.parent().expect("a folder").to_owned();
    for entry in fs::read_dir(&folder).expect("there").flatten() {
        fs::remove_file(entry.path()).expect("ours");
    }
    place
        .run(&[])
        .exits(1)
        .says("backup.wal", "pgbackrest:main", "fail", "lacks WAL");
    fs::write(segment, kept).expect("written");
    damage(&place.path("made/repo/backup"));
    let ran = place.run(&[]);
    ran.exits(1).says(
        "backup.complete",
        "pgbackrest:main",
        "fail",
        "checksum invalid",
    );
    let text = fs::read_to_string(place.path("chaos.toml")).expect("there");
    fs::write(place.path("chaos.toml"), text.replace("'main'", "'none'")).expect("written");
    place
        .run(&[])
        .exits(1)
        .says("backup.present", "pgbackrest:none", "fail", "has no backup");
}

/// A program in the place of restic, which answers and then hangs.
const HANGS: &str = r#"#!/bin/sh
case "$*" in
  *snapshots*) echo '[{"time":"2026-11-22T16:00:00Z","hostname":"web","paths":["/srv"],"short_id":"a1"}]' ;;
  *check*) echo $$ >"$HOME/pid"; exec sleep 1000 ;;
esac
"#;

#[test]
fn a_program_that_never_ends_is_not_waited_for_and_ends_with_us() {
    let place = Place::new();
    let path = format!("{}:/usr/bin:/bin", place.path("bin").display());
    let place = place.env("PATH", &path);
    let program = place.file("bin/restic", HANGS.as_bytes(), 1);
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).expect("ours");
    place.file("password", b"hunter2", 1);
    configured(&place, "");
    // A machine that is busy may not have begun it in five seconds.
    let began = ["5s", "60s"].into_iter().find_map(|deadline| {
        let why = format!("not finished in {deadline}");
        place.run(&["--deadline", deadline]).exits(3).says(
            "backup.deadline",
            "/repo",
            "unknown",
            &why,
        );
        fs::read_to_string(place.path("pid")).ok()
    });
    let pid = began.expect("it began");
    let running = PathBuf::from(format!("/proc/{}", pid.trim()));
    for _ in 0..600 {
        if !running.exists() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("{pid} is left");
}
