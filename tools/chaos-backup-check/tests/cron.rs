//! The tool under cron and monitoring.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

const OBJECT: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

/// A folder with a configuration and one backup that passes.
struct Fixture {
    folder: TempDir,
}

impl Fixture {
    fn new() -> Fixture {
        let fixture = Fixture {
            folder: tempfile::tempdir().expect("a folder"),
        };
        fixture.write("maps.yaml", OBJECT);
        fixture.write(
            "chaos.toml",
            "[application]\nnamespace = \"shop\"\n[[backup]]\nname = \"maps\"\nkind = \"kubernetes\"\npath = \"maps.yaml\"\n",
        );
        fixture
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).expect("written");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chaos-backup-check"));
        command.args(args).env_clear().env("HOME", self.path());
        command
            .current_dir(self.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs it as cron does: standard input is a pipe with nothing in it.
    fn run(&self, args: &[&str]) -> Ran {
        let mut child = self
            .command(args)
            .stdin(Stdio::piped())
            .spawn()
            .expect("the tool starts");
        drop(child.stdin.take());
        Ran(child.wait_with_output().expect("it ends"))
    }
}

struct Ran(Output);

impl Ran {
    fn stdout(&self) -> String {
        String::from_utf8(self.0.stdout.clone()).expect("UTF-8")
    }

    fn stderr(&self) -> String {
        String::from_utf8(self.0.stderr.clone()).expect("UTF-8")
    }

    #[track_caller]
    fn exits(&self, code: i32) -> &Ran {
        assert_eq!(
            self.0.status.code(),
            Some(code),
            "{:?}\n{}\n{}",
            self.0.status,
            self.stdout(),
            self.stderr()
        );
        self
    }
}

#[test]
fn nagios_gets_one_line_and_its_own_statuses() {
    let fixture = Fixture::new();
    let line = fixture.run(&["--nagios"]).exits(0).stdout();
    assert!(
        line.starts_with("BACKUP OK: ")
            && line.contains(" | time=")
            && line.contains("'maps_age'="),
        "{line}"
    );
    assert_eq!(line.lines().count(), 1, "{line}");
    fixture.write("maps.yaml", &OBJECT[..30]);
    let line = fixture.run(&["--nagios"]).exits(2).stdout();
    assert!(
        line.starts_with("BACKUP CRITICAL: ") && line.contains("maps.yaml"),
        "{line}"
    );
    for (args, word) in [
        (&["--nagios", "--no-such-flag"][..], "usage"),
        (&["--nagios", "--config", "absent.toml"], "absent.toml"),
        (&["--nagios", "-n", "Not_A_Name"], "Not_A_Name"),
        (&["--nagios", "-o", "json"], "cannot be used with"),
        (
            &["--nagios", "--textfile", "no/such/folder/x.prom"],
            "metrics",
        ),
    ] {
        let line = fixture.run(args).exits(3).stdout();
        assert!(
            line.starts_with("BACKUP UNKNOWN: ") && line.contains(word),
            "{line}"
        );
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn quiet_prints_nothing_unless_something_is_wrong() {
    let fixture = Fixture::new();
    let ran = fixture.run(&["--quiet"]);
    ran.exits(0);
    assert_eq!((ran.stdout(), ran.stderr()), (String::new(), String::new()));
    fs::remove_file(fixture.path().join("maps.yaml")).expect("removed");
    let ran = fixture.run(&["-q"]);
    let text = ran.exits(1).stdout();
    assert!(
        text.contains("does not exist") && text.contains("fail"),
        "{text}"
    );
    let json = fixture.run(&["-q", "-o", "json"]).exits(1).stdout();
    let record: serde_json::Value = serde_json::from_str(&json).expect("one record");
    assert_eq!(
        (&record["schema"], &record["verdict"]),
        (&"chaos.backup/1".into(), &"fail".into())
    );
}

#[test]
fn metrics_are_written_beside_the_stream_and_a_bad_run_keeps_the_last_good_time() {
    let fixture = Fixture::new();
    let metric = |name: &str| {
        let text = fs::read_to_string(fixture.path().join("backup.prom")).expect("written");
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name).map(str::to_owned));
        line.unwrap_or_else(|| panic!("no {name} in {text}"))
    };
    let args = ["--textfile", "backup.prom", "-o", "json"];
    let child = fixture.command(&args).output().expect("it runs");
    assert_eq!(child.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&child.stdout).contains("\"verdict\":\"pass\""));
    let good = metric("chaos_backup_check_last_success_timestamp_seconds ");
    assert_eq!(metric("chaos_backup_pass{backup=\"maps\"} "), "1");
    fixture.write("maps.yaml", "");
    assert_eq!(
        fixture
            .command(&args)
            .output()
            .expect("it runs")
            .status
            .code(),
        Some(1)
    );
    assert_eq!(
        metric("chaos_backup_check_last_success_timestamp_seconds "),
        good
    );
    assert_eq!(metric("chaos_backup_pass{backup=\"maps\"} "), "0");
    fixture.write("maps.yaml", OBJECT);
    fs::create_dir(fixture.path().join("dir.prom")).expect("made");
    let blocked = fixture
        .command(&["--textfile", "dir.prom"])
        .output()
        .expect("it runs");
    assert_eq!(
        blocked.status.code(),
        Some(3),
        "monitoring that is not told must show"
    );
    assert!(
        String::from_utf8_lossy(&blocked.stderr).contains("cannot write the metrics to dir.prom")
    );
}

#[test]
fn runs_do_not_pile_up_and_a_person_may_look_all_the_same() {
    let fixture = Fixture::new();
    fixture.run(&["--quiet"]).exits(0);
    let state = fixture.path().join(".local/state/chaos");
    let name = fs::read_dir(&state)
        .expect("made")
        .next()
        .expect("a lock")
        .expect("readable")
        .file_name();
    let lock = File::options()
        .read(true)
        .write(true)
        .open(state.join(name))
        .expect("there");
    lock.lock().expect("free");
    let ran = fixture.run(&["--quiet"]);
    assert!(
        ran.exits(4).stderr().contains("another check"),
        "{}",
        ran.stderr()
    );
    let line = fixture.run(&["--nagios"]).exits(3).stdout();
    assert!(line.contains("another check"), "{line}");
    assert_eq!(
        fixture
            .command(&[])
            .output()
            .expect("it runs")
            .status
            .code(),
        Some(0)
    );
    drop(lock);
    fixture.run(&["--quiet"]).exits(0);
    // A fixture for the lock that can't be had is told, and stops nothing.
    let mut command = fixture.command(&["--quiet"]);
    let ran = Ran(command
        .env("XDG_STATE_HOME", "/dev/null")
        .output()
        .expect("it runs"));
    assert!(
        ran.exits(0)
            .stderr()
            .contains("cannot see whether another check runs"),
        "{}",
        ran.stderr()
    );
}

#[test]
fn what_is_not_finished_at_the_deadline_is_unknown() {
    let fixture = Fixture::new();
    let mut config = fs::read_to_string(fixture.path().join("chaos.toml")).expect("there");
    config.push_str("[[backup]]\nname = \"big\"\nkind = \"tar\"\npath = \"big.tar\"\n");
    fixture.write("chaos.toml", &config);
    // A hole of this size takes minutes to read.
    File::create(fixture.path().join("big.tar"))
        .and_then(|file| file.set_len(1 << 40))
        .expect("a hole");
    let mut header = File::options()
        .write(true)
        .open(fixture.path().join("big.tar"))
        .expect("there");
    let mut tar = tar::Header::new_ustar();
    tar.set_path("big").expect("a name");
    tar.set_size((1 << 40) - 1024);
    tar.set_cksum();
    header.write_all(tar.as_bytes()).expect("written");
    let late = |deadline: &str| {
        let started = Instant::now();
        let ran = fixture.run(&["--quiet", "--deadline", deadline, "-o", "json"]);
        assert!(started.elapsed() < Duration::from_secs(60), "{deadline}");
        let record: serde_json::Value =
            serde_json::from_str(&ran.exits(3).stdout()).expect("a record");
        let items = record["data"]["items"].as_array().map(Vec::len);
        assert_eq!(items, Some(2), "{record}");
        let checks = record["data"]["checks"].as_array().expect("checks");
        let late = checks.iter().filter(|it| it["id"] == "backup.deadline");
        let objects = late.filter_map(|it| it["object"].as_str());
        objects.map(str::to_owned).collect::<Vec<_>>()
    };
    // The large one is never done. How long the other takes depends on what else this machine does.
    let kept = ["500ms", "3s", "30s"].into_iter().any(|deadline| {
        let late = late(deadline);
        assert!(late.iter().any(|it| it.ends_with("big.tar")), "{late:?}");
        late.len() == 1
    });
    assert!(kept, "what was done in time is given as well");
    assert!(
        fixture
            .run(&["--deadline", "5"])
            .exits(2)
            .stderr()
            .contains("not a duration")
    );
}

#[test]
fn progress_is_for_a_terminal_alone() {
    let fixture = Fixture::new();
    let config = fs::read_to_string(fixture.path().join("chaos.toml"))
        .expect("there")
        .replace("kubernetes", "tar");
    fixture.write("chaos.toml", &config.replace("maps.yaml", "big.tar"));
    let mut header = File::create(fixture.path().join("big.tar")).expect("made");
    header.set_len(1 << 40).expect("a hole");
    let mut tar = tar::Header::new_ustar();
    tar.set_path("big").expect("a name");
    tar.set_size((1 << 40) - 1024);
    tar.set_cksum();
    header.write_all(tar.as_bytes()).expect("written");
    let tool = env!("CARGO_BIN_EXE_chaos-backup-check");
    let terminal = |deadline: &str, args: &str| {
        let line = format!("{tool} --deadline {deadline} {args} >/dev/null </dev/null");
        let mut command = Command::new("script");
        command
            .args(["-qec", &line, "/dev/null"])
            .current_dir(fixture.path())
            .env("HOME", fixture.path());
        command
            .env("KUBECONFIG", "/nonexistent")
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().expect("script is there: it is in bsdutils");
        let mut seen = Vec::new();
        child
            .stdout
            .take()
            .expect("piped")
            .read_to_end(&mut seen)
            .expect("readable");
        child.wait().expect("it ends");
        String::from_utf8_lossy(&seen).into_owned()
    };
    // A busy machine may not get so far in two seconds as to show anything.
    let shown = ["2s", "10s", "60s"].into_iter().find_map(|deadline| {
        let seen = terminal(deadline, "-o json");
        seen.contains("B/s").then_some(seen)
    });
    let seen = shown.expect("progress is shown");
    assert!(
        seen.contains("big.tar: ") && seen.contains(" of 1.0 TB"),
        "{seen:?}"
    );
    assert!(
        seen.contains("\r\x1b[Kchaos-backup-check: unknown:"),
        "the line is taken back: {seen:?}"
    );
    assert!(!terminal("2s", "--quiet").contains("B/s"));
    let piped = fixture.run(&["--deadline", "2s"]);
    assert!(!piped.stderr().contains("B/s"), "{}", piped.stderr());
}
