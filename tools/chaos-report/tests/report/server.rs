//! A PostgreSQL server of a test's own.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::free_port::free_port;
use crate::needs;

/// Makes the server's data, a certificate of its own authority, and the databases.
const MAKE: &str = r#"
set -euo pipefail
PATH=$2:$PATH
cd "$1"
new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'
mkdir run
echo secret > password
initdb -U postgres --auth-local=trust --auth-host=scram-sha-256 --pwfile=password -E UTF8 --no-locale --no-sync -D data >/dev/null
openssl req -x509 $new -days 2 -subj /CN=authority -keyout ca.key -out ca.pem 2>/dev/null
openssl req $new -subj /CN=localhost -keyout data/server.key -out server.csr 2>/dev/null
openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -days 2 -out data/server.crt \
  -extfile <(echo subjectAltName=DNS:localhost) 2>/dev/null
openssl req -x509 $new -days 2 -subj /CN=other -keyout other.key -out other.pem 2>/dev/null
chmod 600 data/server.key
"#;

/// What the server is started with besides its port.
const SETTINGS: &str = "ssl=on fsync=off listen_addresses=127.0.0.1 max_connections=60";
/// The longest that a start is waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that listens on a socket and, with TLS, on a port; gone when it is dropped.
pub(crate) struct Server {
    folder: tempfile::TempDir,
    port: u16,
    /// The server's own programs: the psql in PATH is a Perl script on Debian, which takes ten times as long to start.
    bin: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// One that runs; nothing where PostgreSQL is not installed.
    pub(crate) fn start() -> Option<Server> {
        let bin = needs::postgres()?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        // The server refuses to run as root, and writes here as nobody.
        let open = fs::Permissions::from_mode(0o777);
        fs::set_permissions(folder.path(), open).expect("ours");
        let mut server = Server {
            folder,
            port: free_port(),
            bin,
            child: None,
        };
        let made = unprivileged("bash")
            .args(["-c", MAKE, "bash"])
            .arg(server.folder.path())
            .arg(&server.bin)
            .output()
            .expect("bash is there");
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        server.again();
        Some(server)
    }

    /// Starts it again.
    pub(crate) fn again(&mut self) {
        let mut command = unprivileged(self.bin.join("postgres"));
        command
            .arg("-D")
            .arg(self.path("data"))
            .arg("-k")
            .arg(self.path("run"))
            .args(["-p", &self.port.to_string()]);
        for setting in SETTINGS.split(' ') {
            command.args(["-c", setting]);
        }
        let log = fs::File::options()
            .append(true)
            .create(true)
            .open(self.path("log"))
            .expect("writable");
        command.stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("setpriv is there"));
        let begun = Instant::now();
        while self.psql("SELECT 1").is_none() {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            assert!(begun.elapsed() < PATIENCE, "it does not start: {log}");
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// Stops it at once, as a machine that fails.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let id = child.id().to_string();
            // SIGQUIT: the server ends its own children.
            let _ = Command::new("kill").args(["-QUIT", &id]).status();
            let _ = child.wait();
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What a statement gives, if the server answers and accepts it.
    pub(crate) fn psql(&self, sql: &str) -> Option<String> {
        let output = Command::new(self.bin.join("psql"))
            .args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-h"])
            .arg(self.path("run"))
            .args(["-p", &self.port.to_string(), "-c", sql, "postgres"])
            .stderr(Stdio::null())
            .output()
            .expect("psql is there");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        output.status.success().then(|| text.trim().to_owned())
    }

    /// `[report.database]` by its socket.
    pub(crate) fn by_socket(&self, more: &str) -> String {
        let run = self.path("run").display().to_string();
        let more = format!("user = \"postgres\"\n{more}");
        self.table(&format!("host = {run:?}\n{more}"))
    }

    /// `[report.database]` by its port.
    pub(crate) fn by_port(&self, more: &str) -> String {
        self.table(&format!("host = \"localhost\"\n{more}"))
    }

    fn table(&self, more: &str) -> String {
        let port = self.port;
        format!("[report.database]\nname = \"postgres\"\nport = {port}\n{more}\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A command as a user who may not do all, that ends with the test.
fn unprivileged(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]);
    if fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    }
    command
        .arg(program)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null());
    command
}
