//! A PostgreSQL server of a test's own, from Debian's binaries, in a temporary folder. It ends with
//! the test, however that ends: its shell waits for the end of a pipe that the test holds.

#[path = "../free_port/mod.rs"]
pub mod free_port;
#[path = "../needs/mod.rs"]
pub mod needs;

use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::{Duration, Instant};

use self::free_port::free_port;

/// The user that runs the server when the test is root's, which PostgreSQL refuses.
const NOBODY: u32 = 65534;

pub struct Server {
    folder: tempfile::TempDir,
    bin: PathBuf,
    running: Option<(Child, ChildStdin)>,
    pub port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn is_root(folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(folder)
        .expect("the folder is there")
        .uid()
        == 0
}

impl Server {
    /// A running server; where PostgreSQL is not installed, none.
    pub fn start() -> Option<Server> {
        needs::postgres().map(Server::of)
    }

    /// A running server of these programs.
    pub fn of(bin: PathBuf) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let mut server = Server {
            bin,
            folder,
            running: None,
            port,
        };
        if is_root(server.folder()) {
            chown(server.folder(), Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        let script = "\"$0/initdb\" -D data -U postgres -A trust --no-sync -E UTF8 --locale=C.UTF-8 >/dev/null && \
            printf 'local all all trust\\nhost all all 127.0.0.1/32 scram-sha-256\\n' >data/pg_hba.conf";
        let status = server.shell(script).status().expect("sh is there");
        assert!(status.success(), "initdb fails");
        server.run(&[]);
        server
    }

    /// A replica that follows this server, once it does.
    #[allow(dead_code, reason = "not every test that includes this file wants one")]
    pub fn replica(&self) -> Server {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let mut replica = Server {
            bin: self.bin.clone(),
            folder,
            running: None,
            port,
        };
        if is_root(replica.folder()) {
            chown(replica.folder(), Some(NOBODY), Some(NOBODY)).expect("root may");
        }
        let script = format!(
            "echo 'local replication all trust' >>'{0}/data/pg_hba.conf' && \
             \"$0/psql\" -X -q -h '{0}' -p {1} -U postgres -d postgres -c 'SELECT pg_reload_conf()' >/dev/null && \
             \"$0/pg_basebackup\" -h '{0}' -p {1} -U postgres -D data -R -c fast",
            self.folder().display(),
            self.port
        );
        let status = replica.shell(&script).status().expect("sh is there");
        assert!(status.success(), "pg_basebackup fails");
        replica.run(&[]);
        let end = Instant::now() + Duration::from_secs(60);
        let streams = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn IS NOT NULL";
        while self.sql("postgres", &[streams]) != "1" {
            assert!(Instant::now() < end, "the replica does not follow");
            std::thread::sleep(Duration::from_millis(100));
        }
        replica
    }

    /// Where its socket, its data (`data`) and its log are.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A shell command as the server's user, in its folder; `$0` is the folder of the binaries.
    pub fn shell(&self, script: &str) -> Command {
        let root = Path::new("/proc/self")
            .metadata()
            .is_ok_and(|_| is_root(Path::new("/proc/self")));
        let mut command = if root {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "sh"]);
            command
        } else {
            Command::new("sh")
        };
        command
            .args(["-c", script])
            .arg(&self.bin)
            .current_dir(self.folder())
            .env("HOME", self.folder());
        command
    }

    /// Starts the server with further settings, and waits until it answers.
    pub fn run(&mut self, settings: &[&str]) {
        let settings: Vec<String> = settings
            .iter()
            .map(|setting| format!("-c {setting}"))
            .collect();
        let settings = settings.join(" ");
        let script = format!(
            "\"$0/postgres\" -D data -k \"$PWD\" -p {} -c listen_addresses=127.0.0.1 -c fsync=off \
             -c shared_buffers=16MB {settings} >>log 2>&1 & pid=$!; cat >/dev/null; kill -INT $pid; wait $pid",
            self.port
        );
        let mut child = self
            .shell(&script)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("sh is there");
        let pipe = child.stdin.take().expect("it was asked for");
        self.running = Some((child, pipe));
        let end = Instant::now() + Duration::from_secs(60);
        while self.psql("postgres", &["SELECT 1"]).is_err() {
            let log = std::fs::read_to_string(self.folder().join("log")).unwrap_or_default();
            assert!(Instant::now() < end, "PostgreSQL does not start: {log}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Stops the server; what it holds is on the disk then.
    pub fn stop(&mut self) {
        if let Some((mut child, pipe)) = self.running.take() {
            drop(pipe);
            let _ = child.wait();
        }
    }

    fn psql(&self, database: &str, statements: &[&str]) -> Result<String, String> {
        // The one in PATH is a Perl script on Debian, which takes ten times as long to start.
        let mut command = Command::new(self.bin.join("psql"));
        command.args([
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-U",
            "postgres",
            "-d",
            database,
            "-h",
        ]);
        command
            .arg(self.folder())
            .args(["-p", &self.port.to_string()]);
        for statement in statements {
            command.args(["-c", statement]);
        }
        let output = command.output().expect("psql is there");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        }
    }

    /// Runs SQL as the superuser, each statement in a transaction of its own.
    #[track_caller]
    pub fn sql(&self, database: &str, statements: &[&str]) -> String {
        self.psql(database, statements)
            .unwrap_or_else(|why| panic!("{statements:?}: {why}"))
    }
}
