//! `chaos-backup-check` with backups in object storage, on a real S3 server.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chaos_tests::cluster::cache;
use chaos_tests::free_port::free_port;
use chaos_tests::run::{Place, until};
use chaos_tests::schedule::Needs;
use serde_json::Value;

use crate::drills::{fixture, found};
use crate::postgres::Dumps;

const KEY: &str = "chaos";
const SECRET: &str = "hunter2hunter2";
const BUCKET: &str = "backups";

/// An S3 server whose buckets are folders.
struct Storage {
    place: Place,
    server: Child,
    port: u16,
}

impl Storage {
    fn new() -> Storage {
        let mut place = Place::needing(Needs::machine())
            .env("AWS_ACCESS_KEY_ID", KEY)
            .env("AWS_SECRET_ACCESS_KEY", SECRET);
        let none = place.path().join("none");
        place = place.env("KUBECONFIG", none);
        fs::create_dir_all(place.path().join("data").join(BUCKET)).expect("made");
        let port = free_port();
        let program = cache().join("bin/versitygw");
        let server = place
            .command(&program)
            .args([
                "--port",
                &format!("127.0.0.1:{port}"),
                "--quiet",
                "posix",
                "data",
            ])
            .env("ROOT_ACCESS_KEY", KEY)
            .env("ROOT_SECRET_KEY", SECRET)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{}: {error}; scripts/test.sh makes it", program.display())
            });
        let storage = Storage {
            place,
            server,
            port,
        };
        until("the S3 server", || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        storage
    }

    /// Puts an object there.
    fn put(&self, key: &str, bytes: &[u8]) {
        let file = self.place.path().join("object");
        fs::write(&file, bytes).expect("written");
        let sent = Command::new("curl")
            .args([
                "-sS",
                "--fail-with-body",
                "--aws-sigv4",
                "aws:amz:us-east-1:s3",
                "--user",
            ])
            .arg(format!("{KEY}:{SECRET}"))
            .args(["-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "-T"])
            .arg(file)
            .arg(format!("http://127.0.0.1:{}/{BUCKET}/{key}", self.port))
            .output()
            .expect("curl is there");
        assert!(
            sent.status.success(),
            "{}",
            String::from_utf8_lossy(&sent.stdout)
        );
    }

    /// The file that an object is.
    fn file(&self, key: &str) -> PathBuf {
        self.place.path().join("data").join(BUCKET).join(key)
    }

    fn age(&self, key: &str, hours: u64) {
        let file = fs::File::options()
            .write(true)
            .open(self.file(key))
            .expect("there");
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(hours * 60 * 60))
            .expect("ours");
    }

    /// Names the backup, and where the server is said to be.
    fn config(&self, port: u16, backup: &str) {
        self.place.file(
            "chaos.toml",
            &format!("[application]\nnamespace = 'shop'\n[s3]\nendpoint = 'http://127.0.0.1:{port}'\nregion = 'us-east-1'\n[[backup]]\nname = 'x'\n{backup}"),
        );
    }

    /// The record of a check that ends so.
    #[track_caller]
    fn checked(&self, code: i32) -> Value {
        let ran = self.place.tool("chaos-backup-check", &[]).exits(code);
        assert!(!ran.show().contains(SECRET), "no secret: {}", ran.show());
        ran.record("chaos.backup/1")
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[test]
#[ignore = "needs an S3 server: make test"]
fn an_object_is_read_sealed_and_restored_like_a_file() {
    let storage = Storage::new();
    storage.put("db/shop-1.dump", &vec![b'x'; 60_000]);
    storage.age("db/shop-1.dump", 24);
    storage.put("db/shop-2.dump", &fixture("pgdump/gzip.dump"));
    storage.config(
        storage.port,
        "kind = 'postgres'\npath = 's3://backups/db/'\n[drill]\nevidence = 'drills'\n",
    );
    let record = storage.checked(3);
    let (status, message) = found(&record, "backup.present");
    assert!(
        status == "pass" && message.contains("the newest is s3://backups/db/shop-2.dump"),
        "{message}"
    );
    assert_eq!(found(&record, "backup.complete").0, "pass");
    assert_eq!(found(&record, "backup.fresh").0, "pass");
    assert_eq!(found(&record, "backup.sealed").0, "skipped");
    let (status, message) = found(&record, "backup.size");
    assert!(status == "warn" && message.contains("60000"), "{message}");
    assert_eq!(found(&record, "backup.restore_tested").0, "unknown");
    let item = &record["data"]["items"][0];
    assert_eq!(
        (&item["path"], &item["resolved"]),
        (
            &"s3://backups/db/".into(),
            &"s3://backups/db/shop-2.dump".into()
        )
    );

    storage
        .place
        .tool("chaos-backup-check", &["seal", "x"])
        .exits(0);
    assert!(
        storage.file("db/shop-2.dump.manifest.json").exists(),
        "it is an object beside it"
    );
    let drilled = storage
        .place
        .tool("chaos-backup-check", &["drill"])
        .exits(0)
        .record("chaos.backup/1");
    assert_eq!(found(&drilled, "drill.rows").0, "pass", "{drilled:#}");
    let record = storage.checked(0);
    assert_eq!(found(&record, "backup.sealed").0, "pass");
    assert_eq!(found(&record, "backup.restore_tested").0, "pass");
    assert_eq!(
        record["data"]["items"][0]["resolved"], "s3://backups/db/shop-2.dump",
        "a manifest is no backup"
    );

    // One of the same name that is another.
    let mut other = fixture("pgdump/gzip.dump");
    let at = other
        .windows(3)
        .position(|window| window == b"15.")
        .expect("the server's version is in the header");
    other[at + 3] ^= 1;
    storage.put("db/shop-2.dump", &other);
    let record = storage.checked(1);
    assert_eq!(found(&record, "backup.sealed").0, "fail", "{record:#}");
    // A cut one, an old one, and a name that is older than its object.
    storage.put("db/shop-2.dump", &fixture("pgdump/gzip.dump")[..9000]);
    assert_eq!(found(&storage.checked(1), "backup.complete").0, "fail");
    storage.put(
        "db/shop-20200101T000000Z.dump",
        &fixture("pgdump/gzip.dump"),
    );
    storage.config(
        storage.port,
        "kind = 'postgres'\npath = 's3://backups/db/shop-20200101T000000Z.dump'\ndated = 'shop-%Y%m%dT%H%M%SZ.dump'\n",
    );
    let (status, message) = found(&storage.checked(1), "backup.fresh");
    assert!(
        status == "fail" && message.contains("by its name"),
        "{message}"
    );
    storage.put("db/shop-3.dump", &fixture("pgdump/gzip.dump"));
    storage.age("db/shop-3.dump", 25);
    storage.config(
        storage.port,
        "kind = 'postgres'\npath = 's3://backups/db/shop-3.dump'\n",
    );
    assert_eq!(found(&storage.checked(1), "backup.fresh").0, "fail");
}

#[test]
#[ignore = "needs an S3 server: make test"]
fn a_folder_of_objects_is_a_dump_in_directory_format() {
    let storage = Storage::new();
    let dumps = Dumps::new(&storage.place);
    for file in fs::read_dir(dumps.path("folder"))
        .expect("a fixture")
        .flatten()
    {
        let bytes = fs::read(file.path()).expect("a file");
        storage.put(
            &format!("dumps/today/{}", file.file_name().display()),
            &bytes,
        );
    }
    storage.config(
        storage.port,
        "kind = 'postgres'\npath = 's3://backups/dumps/'\n[drill]\nevidence = 'drills'\n",
    );
    let drilled = storage
        .place
        .tool("chaos-backup-check", &["drill"])
        .exits(0)
        .record("chaos.backup/1");
    assert_eq!(found(&drilled, "drill.rows").0, "pass", "{drilled:#}");
    let record = storage.checked(0);
    assert!(
        found(&record, "backup.present")
            .1
            .contains("the newest is s3://backups/dumps/today"),
        "{record:#}"
    );
    assert_eq!(
        found(&record, "backup.restore_tested").0,
        "pass",
        "{record:#}"
    );
}

#[test]
#[ignore = "needs an S3 server: make test"]
fn what_keeps_an_object_from_being_read_is_named() {
    let storage = Storage::new();
    storage.put("app.tar.gz", &fixture("tar/gnu.tar.gz"));
    for (path, code, status, word) in [
        ("s3://backups/app.tar.gz", 0, "pass", "an object of"),
        ("s3://backups/absent.tar.gz", 1, "fail", "does not exist"),
        (
            "s3://backups/none/",
            1,
            "fail",
            "has nothing in it, and no backup",
        ),
        ("s3://nowhere/x/", 3, "unknown", "bucket does not exist"),
    ] {
        storage.config(storage.port, &format!("kind = 'tar'\npath = '{path}'\n"));
        let (found, message) = found(&storage.checked(code), "backup.present");
        assert!(
            found == status && message.contains(word),
            "{path}: {found} {message}"
        );
    }
    storage.config(
        storage.port,
        "kind = 'tar'\npath = 's3://backups/app.tar.gz'\n",
    );
    let foreign = |name: &str, value: &str| {
        let mut command = storage.place.command("chaos-backup-check");
        let output = command
            .env(name, value)
            .stdin(Stdio::null())
            .output()
            .expect("it runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (code, said) = foreign("AWS_SECRET_ACCESS_KEY", "another-secret");
    assert!(
        code == Some(3) && said.contains("may not be looked at") && said.contains("s3:GetObject"),
        "{code:?} {said}"
    );
    assert!(!said.contains("another-secret"), "{said}");
    // Keys by the configuration go before those of the environment.
    let text = fs::read_to_string(storage.place.path().join("chaos.toml")).expect("there");
    storage.place.file("key", &format!("{SECRET}\n"));
    storage.place.file(
        "chaos.toml",
        &text.replace(
            "region",
            "access_key = { env = 'AWS_ACCESS_KEY_ID' }\nsecret_key = { file = 'key' }\nregion",
        ),
    );
    assert_eq!(
        foreign("AWS_SECRET_ACCESS_KEY", "another-secret").0,
        Some(0)
    );
    // No way there, and a way that everybody can read.
    storage.config(
        free_port(),
        "kind = 'tar'\npath = 's3://backups/app.tar.gz'\n",
    );
    let (status, message) = found(&storage.checked(3), "backup.present");
    assert!(
        status == "unknown" && message.contains("cannot be looked at"),
        "{message}"
    );
    storage
        .place
        .file("chaos.toml", &text.replace("127.0.0.1", "s3.example.com"));
    storage
        .place
        .tool("chaos-backup-check", &[])
        .exits(2)
        .says("http://");
}

/// A way to the server that breaks each time when so many bytes have come back.
struct Breaking {
    port: u16,
    broken: Arc<AtomicUsize>,
}

impl Breaking {
    fn new(
        to: u16,
        after: usize,
        times: usize,
        then: impl Fn(usize) + Send + Sync + 'static,
    ) -> Breaking {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has one").port();
        let broken = Arc::new(AtomicUsize::new(0));
        let (count, then) = (broken.clone(), Arc::new(then));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let server = TcpStream::connect(("127.0.0.1", to)).expect("it is up");
                let (count, then) = (count.clone(), then.clone());
                std::thread::spawn(move || pass(client, server, after, times, &count, &*then));
            }
        });
        Breaking { port, broken }
    }
}

fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    after: usize,
    times: usize,
    broken: &AtomicUsize,
    then: &dyn Fn(usize),
) {
    let (mut from, mut to) = (
        client.try_clone().expect("a socket"),
        server.try_clone().expect("a socket"),
    );
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut passed, mut buffer) = (0, vec![0; 32 << 10]);
    while let Ok(read @ 1..) = server.read(&mut buffer) {
        passed += read;
        if client.write_all(&buffer[..read]).is_err() {
            return;
        }
        if passed > after && broken.load(Ordering::SeqCst) < times {
            then(broken.fetch_add(1, Ordering::SeqCst) + 1);
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
            return;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
}

/// A tar archive of some megabytes that do not compress.
fn archive(storage: &Storage, seed: u8) -> Vec<u8> {
    let line = format!(
        "mkdir -p a && head -c 8000000 /dev/urandom >a/data && echo {seed} >a/seed && tar -cf a.tar a && cat a.tar >{seed}.tar"
    );
    storage.place.shell(&line).exits(0);
    fs::read(storage.place.path().join(format!("{seed}.tar"))).expect("made")
}

#[test]
#[ignore = "needs an S3 server: make test"]
fn a_connection_that_breaks_is_taken_up_and_never_mixes_two_versions() {
    let storage = Storage::new();
    let (one, two) = (archive(&storage, 1), archive(&storage, 2));
    let backup = "kind = 'tar'\npath = 's3://backups/app.tar'\n";
    storage.put("app.tar", &one);
    storage.config(storage.port, backup);
    let whole = storage.checked(0)["data"]["items"][0]["blake3"].clone();

    // Three times it breaks, and is the same in the end.
    let breaking = Breaking::new(storage.port, 2_000_000, 3, |_| {});
    storage.config(breaking.port, backup);
    let record = storage.checked(0);
    assert_eq!(breaking.broken.load(Ordering::SeqCst), 3, "it did break");
    assert_eq!(record["data"]["items"][0]["blake3"], whole);

    // While it is broken, the object is replaced by one of the same size.
    assert_eq!(one.len(), two.len());
    let (other, file) = (two.clone(), storage.file("app.tar"));
    let next = storage
        .place
        .path()
        .join("data")
        .join(BUCKET)
        .join("next.tar");
    storage.put("next.tar", &other);
    let breaking = Breaking::new(storage.port, 2_000_000, 1, move |_| {
        fs::rename(&next, &file).expect("ours");
    });
    storage.config(breaking.port, backup);
    let (status, message) = found(&storage.checked(3), "backup.complete");
    assert_eq!(breaking.broken.load(Ordering::SeqCst), 1, "it did break");
    assert!(
        status == "unknown"
            && (message.contains("replaced") || message.contains("still being written")),
        "{message}"
    );

    // A way that breaks again and again is unknown, and no damage.
    let breaking = Breaking::new(storage.port, 100_000, usize::MAX, |_| {});
    storage.config(breaking.port, backup);
    let (status, message) = found(&storage.checked(3), "backup.complete");
    assert!(status == "unknown", "{message}");
}
