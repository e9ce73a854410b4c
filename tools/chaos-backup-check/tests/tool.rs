//! The tool as people and pipelines run it.

mod begun;

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

const HEALTH: &str = r#"{"schema":"chaos.health/1","id":"1","run":"the-run","time":"2026-11-22T16:00:00.123Z","tool":"chaos-health 0.1.0","verdict":"pass","summary":"s","data":{}}"#;

/// A folder with a configuration and backups.
struct Bench {
    folder: TempDir,
    config: String,
}

/// What the tool did.
struct Ran {
    output: Output,
    took: Duration,
}

impl Bench {
    fn new() -> Bench {
        let config = "[application]\nnamespace = \"shop\"\n".to_owned();
        Bench {
            folder: tempfile::tempdir().expect("a folder"),
            config,
        }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn backup(mut self, kind: &str, path: &str) -> Bench {
        let table =
            format!("[[backup]]\nname = \"{path}\"\nkind = \"{kind}\"\npath = \"{path}\"\n");
        self.config.push_str(&table);
        self
    }

    fn file(self, path: &str, contents: &[u8]) -> Bench {
        fs::write(self.path().join(path), contents).expect("written");
        self
    }

    /// One good backup of each kind.
    fn good() -> Bench {
        let fixtures = Path::new("tests/fixtures");
        let read = |path: &str| fs::read(fixtures.join(path)).expect("a fixture");
        let secret =
            b"apiVersion: v1\nkind: Secret\nmetadata: {name: db}\ndata: {password: aHVudGVyMg==}\n";
        let bench = Bench::new()
            .backup("postgres", "latest.dump")
            .file("shop-1.dump", &begun::today(read("pgdump/gzip.dump")))
            .backup("tar", "app.tar.gz")
            .file("app.tar.gz", &read("tar/gnu.tar.gz"))
            .backup("kubernetes", "secrets.yaml")
            .file("secrets.yaml", secret);
        symlink("shop-1.dump", bench.path().join("latest.dump")).expect("a link");
        bench
    }

    fn run(&self, args: &[&str], stdin: Option<&str>) -> Ran {
        fs::write(self.path().join("chaos.toml"), &self.config).expect("written");
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_chaos-backup-check"))
            .args(args)
            .env_clear()
            .env("HOME", self.path())
            .current_dir(self.path())
            .stdin(if stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the tool starts");
        if let Some(text) = stdin {
            child
                .stdin
                .take()
                .expect("piped")
                .write_all(text.as_bytes())
                .expect("it reads its input");
        }
        // What it writes fits into a pipe, so that it can end before it is read.
        while child.try_wait().expect("it is ours").is_none() {
            if started.elapsed() > Duration::from_secs(240) {
                child.kill().expect("it is ours");
                panic!("it hangs");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        let output = child.wait_with_output().expect("it ends");
        Ran {
            output,
            took: started.elapsed(),
        }
    }
}

impl Ran {
    fn stdout(&self) -> String {
        String::from_utf8(self.output.stdout.clone()).expect("UTF-8")
    }

    fn everything(&self) -> String {
        format!(
            "{}\n{}\n{:?}",
            self.stdout(),
            String::from_utf8_lossy(&self.output.stderr),
            self.output.status
        )
    }

    #[track_caller]
    fn exits(&self, code: i32) -> &Ran {
        assert_eq!(
            self.output.status.code(),
            Some(code),
            "{}",
            self.everything()
        );
        self
    }

    fn result(&self) -> Value {
        let stdout = self.stdout();
        let last = stdout.lines().last().expect("a line");
        serde_json::from_str(last).expect("JSON")
    }

    /// Status and message of the check of this id on the backup of this name.
    #[track_caller]
    fn check(&self, id: &str, name: &str) -> (String, String) {
        let result = self.result();
        let checks = result["data"]["checks"].as_array().expect("checks").clone();
        let found = checks.iter().find(|check| {
            check["id"] == id && check["object"].as_str().unwrap_or_default().ends_with(name)
        });
        let check = found.unwrap_or_else(|| panic!("no {id} of {name}: {}", self.everything()));
        let text = |key: &str| check[key].as_str().expect("text").to_owned();
        (text("status"), text("message"))
    }
}

#[test]
fn good_backups_pass_and_the_record_says_what_they_hold() {
    let ran = Bench::good().run(&[], None);
    let result = ran.exits(0).result();
    assert_eq!(
        (&result["schema"], &result["verdict"]),
        (&"chaos.backup/1".into(), &"pass".into())
    );
    let items = &result["data"]["items"];
    assert_eq!(items.as_array().map(Vec::len), Some(3));
    assert_eq!(items[0]["contents"]["format"], "postgres");
    assert_eq!(
        items[0]["contents"]["tables"].as_array().map(Vec::len),
        Some(7)
    );
    assert!(
        items[0]["resolved"]
            .as_str()
            .expect("a link")
            .ends_with("/shop-1.dump"),
        "{items}"
    );
    assert_eq!(items[1]["contents"]["members"], 16);
    assert_eq!(items[2]["contents"]["kinds"]["Secret"], 1);
    assert_eq!(items[0]["max_age_s"], 86_400);
    assert_eq!(ran.check("backup.restorable", "latest.dump").0, "pass");
    assert_eq!(ran.check("backup.fresh", "app.tar.gz").0, "pass");
    assert!(
        ran.stdout().contains("\"backup.tool\"")
            && ran.stdout().contains("no [database] is configured")
    );
    assert!(
        !ran.everything().contains("aHVudGVyMg"),
        "no value of a secret: {}",
        ran.everything()
    );
}

#[test]
fn the_stream_passes_byte_for_byte_and_its_run_is_kept() {
    let foreign = "{\"other\": [1,  2]}\n";
    let stream = format!("{HEALTH}\n{foreign}{HEALTH}\n");
    let ran = Bench::good().run(&["-o", "json"], Some(&stream));
    ran.exits(0);
    assert!(ran.stdout().starts_with(&stream), "{}", ran.everything());
    assert_eq!(ran.result()["run"], "the-run");
}

#[test]
fn a_worse_stream_makes_a_worse_exit() {
    let bench = Bench::good();
    let failed = HEALTH.replace("\"verdict\":\"pass\"", "\"verdict\":\"fail\"");
    assert_eq!(
        bench
            .run(&[], Some(&format!("{failed}\n")))
            .exits(1)
            .result()["verdict"],
        "pass"
    );
    for broken in [&HEALTH[..50], &format!("{HEALTH}\nNAME READY\n")] {
        let ran = bench.run(&[], Some(broken));
        assert_eq!(
            ran.exits(3).check("stream.upstream", "standard input").0,
            "unknown"
        );
    }
}

#[test]
fn usage_and_missing_configuration() {
    let bench = Bench::good();
    bench.run(&["--no-such-flag"], None).exits(2);
    bench.run(&["--config", "absent.toml"], None).exits(2);
    bench.run(&["-n", "Not_A_Name"], None).exits(2);
    assert_eq!(
        bench.run(&["-n", "other"], None).exits(0).result()["data"]["namespace"],
        "other"
    );
    let mut nothing = Bench::new();
    assert_eq!(
        nothing.run(&[], None).exits(3).result()["verdict"],
        "unknown"
    );
    assert!(
        nothing
            .run(&[], None)
            .stdout()
            .contains("backup.configured")
    );
    nothing.config.clear();
    nothing.run(&[], None).exits(2);
}

#[test]
fn a_table_for_people() {
    let text = Bench::good().run(&["-o", "text"], None).exits(0).stdout();
    assert!(
        text.contains("backup.complete") && text.contains("395 rows in 7 tables"),
        "{text}"
    );
    assert!(
        text.trim_end()
            .lines()
            .last()
            .expect("a line")
            .starts_with("pass"),
        "{text}"
    );
}

#[test]
fn what_is_no_file_fails_at_once_and_by_name() {
    let names = [
        "absent",
        "folder",
        "fifo",
        "dangling",
        "loop",
        "device",
        "latest.dump/x",
    ];
    let bench = names
        .iter()
        .fold(Bench::good(), |bench, name| bench.backup("tar", name));
    let at = |name: &str| bench.path().join(name);
    fs::create_dir(at("folder")).expect("made");
    assert!(
        Command::new("mkfifo")
            .arg(at("fifo"))
            .status()
            .expect("mkfifo is there")
            .success()
    );
    symlink("nowhere", at("dangling")).expect("made");
    symlink("loop", at("loop")).expect("made");
    symlink("/dev/zero", at("device")).expect("made");
    let ran = bench.run(&[], None);
    assert!(
        ran.exits(1).took < Duration::from_secs(60),
        "{:?}",
        ran.took
    );
    for (name, word) in [
        ("absent", "does not exist"),
        ("folder", "has nothing in it, and no backup"),
        ("fifo", "a FIFO"),
        ("dangling", "to nowhere that leads nowhere"),
        ("loop", "cannot be followed"),
        ("device", "a device"),
        ("latest.dump/x", "does not exist"),
    ] {
        let (status, message) = ran.check("backup.present", name);
        assert!(
            status == "fail" && message.contains(word),
            "{name}: {status} {message}"
        );
        assert_eq!(ran.check("backup.complete", name).0, "skipped");
    }
    assert_eq!(
        ran.check("backup.complete", "app.tar.gz").0,
        "pass",
        "the others are looked at all the same"
    );
}

#[test]
fn damage_fails_and_what_cannot_be_read_is_unknown() {
    let dump = fs::read(Bench::good().path().join("shop-1.dump")).expect("there");
    let bench = Bench::good()
        .file("shop-1.dump", &dump[..dump.len() - 1])
        .file("app.tar.gz", b"");
    let ran = bench.run(&[], None);
    let (status, message) = ran.exits(1).check("backup.complete", "latest.dump");
    assert!(status == "fail" && message.contains("is cut"), "{message}");
    assert!(ran.result()["data"]["items"][0].get("contents").is_none());
    assert!(
        ran.check("backup.complete", "app.tar.gz")
            .1
            .contains("empty")
    );
    let ran = Bench::good().file("app.tar.gz", b"LZIP...").run(&[], None);
    assert_eq!(
        ran.exits(3).check("backup.complete", "app.tar.gz").0,
        "unknown"
    );
}

#[test]
fn old_fails_and_future_is_unknown() {
    let bench = Bench::good();
    let touch = |time: SystemTime| {
        let file = File::options()
            .write(true)
            .open(bench.path().join("shop-1.dump"))
            .expect("there");
        file.set_modified(time).expect("set");
    };
    touch(SystemTime::now() - Duration::from_hours(25));
    let ran = bench.run(&[], None);
    assert_eq!(ran.exits(1).check("backup.fresh", "latest.dump").0, "fail");
    assert!(
        ran.result()["data"]["items"][0]["age_s"]
            .as_i64()
            .expect("an age")
            >= 25 * 3600
    );
    touch(SystemTime::now() + Duration::from_hours(1));
    assert_eq!(
        bench
            .run(&[], None)
            .exits(3)
            .check("backup.fresh", "latest.dump")
            .0,
        "unknown"
    );
    touch(SystemTime::now());
    bench.run(&[], None).exits(0);
    let old = fs::read("tests/fixtures/pgdump/gzip.dump").expect("a fixture");
    fs::write(bench.path().join("shop-1.dump"), old).expect("written");
    let ran = bench.run(&[], None);
    let (status, message) = ran.exits(1).check("backup.fresh", "latest.dump");
    assert!(
        status == "fail" && message.contains("by its own header"),
        "{message}"
    );
}

#[test]
fn a_date_in_a_name_counts_where_the_configuration_says_so() {
    let archive = fs::read("tests/fixtures/tar/gnu.tar.gz").expect("a fixture");
    let named = |name: &str, more: &str| {
        let mut bench = Bench::new().backup("tar", name).file(name, &archive);
        bench.config.push_str(more);
        bench.run(&[], None)
    };
    for name in [
        "shop-2024.01.15-nightly.tar.gz",
        "1700000000_2023_11_14_16.6.0_gitlab_backup.tar",
    ] {
        let ran = named(name, "");
        assert_eq!(ran.exits(0).check("backup.fresh", name).0, "pass");
    }
    let dated = "dated = 'shop-%Y-%m-%d.tar.gz'\n";
    let ran = named("shop-2024-01-15.tar.gz", dated);
    let (status, message) = ran.exits(1).check("backup.fresh", "shop-2024-01-15.tar.gz");
    assert!(
        status == "fail" && message.contains("by its name"),
        "{message}"
    );
    let ran = named("latest.tar.gz", dated);
    let (status, message) = ran.exits(3).check("backup.fresh", "latest.tar.gz");
    assert!(
        status == "unknown" && message.contains("dated"),
        "{message}"
    );
    named("x.tar.gz", "dated = 'x.tar.gz'\n").exits(2);
}

#[test]
fn a_seal_is_not_washed_clean() {
    let bench = Bench::good();
    let secrets = bench.path().join("secrets.yaml");
    bench.run(&["seal"], None).exits(0);
    bench.run(&["seal"], None).exits(0);
    let changed = fs::read_to_string(&secrets)
        .expect("there")
        .replace("Mg==", "Mw==");
    fs::write(&secrets, changed).expect("written");
    let told = bench.run(&["seal"], None);
    told.exits(4);
    let said = String::from_utf8_lossy(&told.output.stderr).into_owned();
    assert!(said.contains("is not what was sealed before"), "{said}");
    bench.run(&[], None).exits(1);
    bench.run(&["seal", "--force", ""], None).exits(2);
    bench
        .run(&["seal", "--force", "a new password"], None)
        .exits(0);
    bench.run(&[], None).exits(0);
    let manifest = fs::read(bench.path().join("secrets.yaml.manifest.json")).expect("there");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(manifest["replaces"]["reason"], "a new password");
}

#[test]
fn a_dump_that_was_begun_later_is_another_backup_and_sealed_anew() {
    let bench = Bench::new().backup("postgres", "x.dump");
    let old = fs::read("tests/fixtures/pgdump/gzip.dump").expect("a fixture");
    fs::write(bench.path().join("x.dump"), old).expect("written");
    bench.run(&["seal"], None).exits(0);
    let path = bench.path().join("x.dump.manifest.json");
    let text = fs::read_to_string(&path).expect("there");
    let sealed: Value = serde_json::from_str(&text).expect("JSON");
    let then = "2026-01-01T00:00:00.000Z";
    let earlier = text.replace(sealed["sealed"].as_str().expect("a time"), then);
    fs::write(&path, earlier).expect("written");
    let new = fs::read("tests/fixtures/pgdump/none.dump").expect("a fixture");
    fs::write(bench.path().join("x.dump"), begun::today(new)).expect("written");
    bench.run(&["seal"], None).exits(0);
    bench.run(&[], None).exits(0);
}

#[test]
fn two_backups_of_one_name_are_refused() {
    let bench = Bench::good().backup("tar", "app.tar.gz");
    let ran = bench.run(&[], None);
    let said = String::from_utf8_lossy(&ran.exits(2).output.stderr).into_owned();
    assert!(said.contains("two backups are called"), "{said}");
}

#[test]
fn what_is_to_be_held_is_held_against_the_file() {
    let globals = fs::read("tests/fixtures/pgdump/globals-17.sql").expect("a fixture");
    let judged = |name: &str, contents: &[u8], more: &str| {
        let mut bench = Bench::new().backup("postgres", name).file(name, contents);
        bench.config.push_str(more);
        bench.run(&[], None).check("backup.restorable", name)
    };
    let (status, message) = judged("globals.sql", &globals, "");
    assert!(
        status == "fail" && message.contains("globals-only"),
        "{message}"
    );
    assert_eq!(
        judged("globals.sql", &globals, "holds = 'globals'\n").0,
        "pass"
    );
    let schema = fs::read("tests/fixtures/pgdump/schema-only.dump").expect("a fixture");
    let (status, message) = judged("s.dump", &schema, "");
    assert!(
        status == "fail" && message.contains("schema-only"),
        "{message}"
    );
    assert_eq!(judged("s.dump", &schema, "holds = 'schema'\n").0, "pass");
    assert_eq!(judged("s.dump", &schema, "holds = 'globals'\n").0, "fail");
}

#[test]
fn a_database_that_cannot_be_asked_is_unknown_and_the_files_are_checked_all_the_same() {
    let mut bench = Bench::good();
    bench
        .config
        .push_str("[database]\ndeployment = \"db\"\nname = \"ecommerce\"\n");
    let ran = bench.run(&[], None);
    assert_eq!(
        ran.exits(3).check("backup.tool", "deployment/db").0,
        "unknown"
    );
    assert_eq!(ran.check("backup.complete", "latest.dump").0, "pass");
}

#[test]
fn what_is_sealed_is_checked_against_its_manifest() {
    let bench = Bench::good();
    let ran = bench.run(&[], None);
    let (status, message) = ran.exits(0).check("backup.sealed", "latest.dump");
    assert!(
        status == "skipped" && message.contains("no manifest"),
        "{message}"
    );
    let sealed = bench.run(&["seal"], None);
    assert_eq!(
        sealed.exits(0).stdout().lines().count(),
        3,
        "{}",
        sealed.everything()
    );
    let manifest = fs::read(bench.path().join("shop-1.dump.manifest.json"))
        .expect("beside what the link leads to");
    let manifest: Value = serde_json::from_slice(&manifest).expect("JSON");
    assert_eq!(
        manifest["contents"]["tables"].as_array().map(Vec::len),
        Some(7)
    );
    assert_eq!(manifest["file"], "shop-1.dump");
    let ran = bench.run(&[], None);
    for name in ["latest.dump", "app.tar.gz", "secrets.yaml"] {
        assert_eq!(ran.exits(0).check("backup.sealed", name).0, "pass");
    }
    assert_eq!(
        ran.result()["data"]["items"][0]["blake3"],
        manifest["blake3"]
    );
    let secrets = bench.path().join("secrets.yaml");
    fs::write(
        &secrets,
        fs::read_to_string(&secrets)
            .expect("there")
            .replace("{name: db}", "{name: dc}"),
    )
    .expect("written");
    let ran = bench.run(&[], None);
    let (status, message) = ran.exits(1).check("backup.sealed", "secrets.yaml");
    assert!(
        status == "fail" && message.contains("has the digest"),
        "{message}"
    );
    assert_eq!(
        ran.check("backup.complete", "secrets.yaml").0,
        "pass",
        "the format does not show it"
    );
    fs::write(bench.path().join("app.tar.gz.manifest.json"), "{").expect("written");
    assert_eq!(
        bench
            .run(&[], None)
            .exits(1)
            .check("backup.sealed", "app.tar.gz")
            .0,
        "unknown"
    );
}

#[test]
fn what_is_not_whole_is_not_sealed() {
    let bench = Bench::good();
    let dump = fs::read(bench.path().join("shop-1.dump")).expect("there");
    let bench = bench.file("shop-1.dump", &dump[..dump.len() - 1]);
    let ran = bench.run(&["seal", "shop-1.dump", "absent", "app.tar.gz"], None);
    assert!(
        ran.exits(1).everything().contains("is cut"),
        "{}",
        ran.everything()
    );
    assert!(!bench.path().join("shop-1.dump.manifest.json").exists());
    assert!(
        bench.path().join("app.tar.gz.manifest.json").exists(),
        "the others are sealed all the same"
    );
    assert_eq!(Bench::new().run(&["seal"], None).exits(2).stdout(), "");
}

#[test]
fn the_wrong_database_and_what_is_missing_fail() {
    let with = |table: &str| {
        let mut bench = Bench::new().backup("postgres", "latest.dump");
        bench.config.push_str(table);
        let dump = fs::read(Bench::good().path().join("shop-1.dump")).expect("there");
        bench.file("latest.dump", &dump)
    };
    let ran = with("database = \"billing\"\n").run(&[], None);
    let (status, message) = ran.exits(1).check("backup.database", "latest.dump");
    assert!(
        status == "fail" && message.contains("is of ecommerce, and not of billing"),
        "{message}"
    );
    let ran =
        with("database = \"ecommerce\"\nexpect = [\"users\", \"public.orders\"]\n").run(&[], None);
    assert_eq!(
        ran.exits(0).check("backup.expected", "latest.dump").0,
        "pass"
    );
    let ran = with("expect = [\"users\", \"payments\"]\n").run(&[], None);
    assert!(
        ran.exits(1)
            .check("backup.expected", "latest.dump")
            .1
            .contains("lacks payments")
    );
    let ran = with("expect = [\"empty\"]\n").run(&[], None);
    assert!(
        ran.exits(1)
            .check("backup.expected", "latest.dump")
            .1
            .contains("no row in empty")
    );
    let ran = with("schedule = \"0 0 31 2 *\"\n").run(&[], None);
    assert!(
        ran.exits(2)
            .everything()
            .contains("names no time that ever was"),
        "{}",
        ran.everything()
    );
    with("schedule = \"nightly\"\n").run(&[], None).exits(2);
    let ran = with("schedule = \"* * * * *\"\n").run(&[], None);
    assert!(
        ran.exits(0)
            .check("backup.fresh", "latest.dump")
            .1
            .contains("one was due at"),
        "{}",
        ran.everything()
    );
}

#[test]
fn a_sudden_shrink_warns_and_does_not_fail() {
    let bench = Bench::good();
    for (number, size) in [(0, 60_000), (9, 50_000)] {
        let path = bench.path().join(format!("shop-{number}.dump"));
        fs::write(&path, vec![b'x'; size]).expect("written");
        let yesterday = SystemTime::now() - Duration::from_hours(24);
        File::options()
            .write(true)
            .open(path)
            .expect("there")
            .set_modified(yesterday)
            .expect("set");
    }
    let (status, message) = bench
        .run(&[], None)
        .exits(0)
        .check("backup.size", "latest.dump");
    assert!(
        status == "warn"
            && message.contains("18833 bytes; the 2 before it, by their median, 60000"),
        "{message}"
    );
}

#[test]
fn a_file_that_still_grows_is_told_from_one_that_is_cut() {
    let bench = Bench::good();
    let path = bench.path().join("shop-1.dump");
    let dump = fs::read(&path).expect("there");
    fs::write(&path, &dump[..5000]).expect("written");
    let (done, ended) = mpsc::channel::<()>();
    let growing = std::thread::spawn(move || {
        let mut file = File::options().append(true).open(&path).expect("there");
        // However late it is looked at, it grows.
        for byte in &dump[5000..] {
            if ended.recv_timeout(Duration::from_millis(200)) != Err(RecvTimeoutError::Timeout) {
                break;
            }
            file.write_all(&[*byte]).expect("written");
        }
        fs::write(path, dump).expect("written");
    });
    let (status, message) = bench
        .run(&[], None)
        .exits(3)
        .check("backup.complete", "latest.dump");
    drop(done);
    growing.join().expect("no panic");
    assert!(
        status == "unknown" && message.contains("still being written"),
        "{message}"
    );
    assert_eq!(
        bench
            .run(&[], None)
            .exits(0)
            .check("backup.complete", "latest.dump")
            .0,
        "pass"
    );
}

#[test]
fn what_is_no_backup_at_all_is_said_to_be_none() {
    let noise: Vec<u8> = (0..100_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0] | 1)
        .collect();
    for (kind, bytes) in [
        ("postgres", &noise[..]),
        ("tar", &noise[..]),
        ("postgres", b"hello\n"),
        ("tar", b"hello\n"),
        ("kubernetes", b"hello\n"),
    ] {
        let ran = Bench::new()
            .backup(kind, "x")
            .file("x", bytes)
            .run(&[], None);
        let (status, message) = ran.exits(1).check("backup.complete", "x");
        assert!(status == "fail" && !message.is_empty(), "{kind}: {message}");
    }
}

#[test]
fn a_file_that_may_not_be_read_is_unknown() {
    let bench = Bench::good();
    fs::set_permissions(
        bench.path().join("app.tar.gz"),
        std::os::unix::fs::PermissionsExt::from_mode(0o000),
    )
    .expect("ours");
    fs::write(bench.path().join("chaos.toml"), &bench.config).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos-backup-check"));
    if File::open(bench.path().join("app.tar.gz")).is_ok() {
        // Root may read everything, so it is nobody who looks.
        let own = bench.path().join("tool");
        fs::copy(env!("CARGO_BIN_EXE_chaos-backup-check"), &own).expect("copied");
        fs::set_permissions(
            bench.path(),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .expect("ours");
        command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
            .arg(own);
    }
    command
        .env_clear()
        .env("HOME", bench.path())
        .env("PATH", "/usr/bin:/bin")
        .current_dir(bench.path());
    let output = command.stdin(Stdio::null()).output().expect("it starts");
    let ran = Ran {
        output,
        took: Duration::ZERO,
    };
    let (status, message) = ran.exits(3).check("backup.present", "app.tar.gz");
    assert!(
        status == "unknown" && message.contains("cannot be opened"),
        "{message}"
    );
}

#[test]
fn bombs_and_impossible_sizes_take_neither_memory_nor_time() {
    // Three members of zeros, a thousand times as large as they are packed; and an entry of 2^60
    // bytes.
    let mut header = [0_u8; 512];
    header[..5].copy_from_slice(b"large");
    header[100..108].copy_from_slice(b"0000644\0");
    header[156] = b'0';
    header[257..265].copy_from_slice(b"ustar\x0000");
    let with_size = |size: u64| {
        let mut header = header;
        header[124] = 0x80;
        header[128..136].copy_from_slice(&size.to_be_bytes());
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        header.to_vec()
    };
    let bench = Bench::new()
        .backup("tar", "huge.tar")
        .file("huge.tar", &with_size(1 << 60));
    let ran = bench.run(&[], None);
    let (status, message) = ran.exits(1).check("backup.complete", "huge.tar");
    assert!(status == "fail" && message.contains("cut"), "{message}");

    let size = 1_u64 << 30;
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&with_size(size)).expect("memory");
    let zeros = vec![0; 1 << 20];
    for _ in 0..(size >> 20) {
        bomb.write_all(&zeros).expect("memory");
    }
    bomb.write_all(&zeros[..1024]).expect("memory");
    let bomb = bomb.finish().expect("memory");
    assert!(bomb.len() < 2 << 20, "{} bytes", bomb.len());
    let bench = Bench::new()
        .backup("tar", "bomb.tar.gz")
        .file("bomb.tar.gz", &bomb);
    fs::write(bench.path().join("chaos.toml"), &bench.config).expect("written");
    // It fits into little memory, whatever comes out of it.
    let mut limited = Command::new("sh");
    limited.args([
        "-c",
        "ulimit -v 800000; exec \"$0\"",
        env!("CARGO_BIN_EXE_chaos-backup-check"),
    ]);
    let output = limited
        .env_clear()
        .env("HOME", bench.path())
        .current_dir(bench.path())
        .stdin(Stdio::null())
        .output();
    let output = output.expect("sh is there");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(said.contains("\"unpacked_bytes\":1073741824"), "{said}");
}

#[test]
fn a_backup_has_one_place_and_its_settings_are_looked_at_first() {
    let refused = |table: &str, word: &str| {
        let mut bench = Bench::new();
        let table = format!("[[backup]]\nname = 'x'\n{table}\n");
        bench.config.push_str(&table);
        for command in [&[][..], &["seal"], &["drill"]] {
            let ran = bench.run(command, None);
            assert!(
                ran.exits(2).everything().contains(word),
                "{}",
                ran.everything()
            );
        }
    };
    refused("kind = 'tar'", "has no path");
    refused("kind = 'tar'\npath = '/x'\npod = 'db'", "deployment/NAME");
    refused(
        "kind = 'tar'\npath = 's3://b/x'\n[s3]\nendpoint = 'http://s3.example'",
        "s3.allow_http = true",
    );
    refused("kind = 'volume-snapshot'", "does not say which");
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let bench = Bench::good();
    fs::write(bench.path().join("chaos.toml"), &bench.config).expect("written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_chaos-backup-check"))
        .current_dir(bench.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool starts");
    drop(child.stdout.take());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
