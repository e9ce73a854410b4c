//! A PostgreSQL server of one's own, for as long as a drill takes.
//!
//! It listens on a socket in its folder and nowhere else, belongs to somebody without rights if we
//! are root, and does not live longer than this process: a shell beside it waits for the end of a
//! pipe whose other end is ours, and when that comes, however it comes, stops the server and
//! removes the folder.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::direct;
use crate::drill::error::DrillError;
use crate::drill::programs::Programs;
use crate::program_messages::{self, Meaning};

/// Its one user. Scripts of `pg_dumpall` make the users that they know, mostly with one that is
/// called postgres.
pub(super) const SUPERUSER: &str = "chaos_drill";
/// The longest that a fresh server may take to answer.
const START: Duration = Duration::from_secs(60);

/// What the shell does: the server, the wait, the end. A shell's background process ignores SIGQUIT
/// until it has a handler of its own, so a server that has just been started must be told again.
const SHELL: &str = r#"
folder=$1; shift
"$@" >"$folder/log" 2>&1 &
server=$!
while read -r _; do :; done
while kill -QUIT "$server"; do sleep 1; done >/dev/null 2>&1 &
again=$!
wait "$server"
kill "$again" 2>/dev/null
rm -rf "$folder"
"#;

/// A server that listens on its socket alone, and whose data nobody needs after a crash.
const SETTINGS: [&str; 9] = [
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "autovacuum=off",
    "max_wal_senders=0",
    "wal_level=minimal",
    "max_connections=10",
    "logging_collector=off",
];

/// User and group, if it is somebody else than us.
type Owner = Option<(u32, u32)>;

/// The server; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Scratch {
    folder: PathBuf,
    shell: Child,
    /// `PostgreSQL 15.18`
    pub(crate) version: String,
}

impl Scratch {
    /// Makes a cluster and starts it.
    pub(super) async fn start(programs: &Programs, preload: &str) -> Result<Scratch, DrillError> {
        let folder = folder()?;
        let owner = owner(folder.path()).map_err(|error| {
            let path = folder.path().display();
            DrillError::unknown(format!("cannot prepare {path}: {error}"))
        })?;
        initdb(programs, folder.path(), owner).await?;
        let shell = shell(programs, folder.path(), owner, preload).spawn();
        let shell = shell.map_err(|error| {
            DrillError::unknown(format!("cannot start a scratch database: {error}"))
        })?;
        // From here on the shell removes the folder.
        let scratch = Scratch {
            folder: folder.keep(),
            shell,
            version: format!("PostgreSQL {}", programs.version),
        };
        scratch.answers().await?;
        Ok(scratch)
    }

    /// The folder with its socket.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    async fn answers(&self) -> Result<(), DrillError> {
        let start = Instant::now();
        loop {
            let asked = direct::query(&self.folder, SUPERUSER, "postgres", "SELECT 1").await;
            if asked.is_ok() {
                return Ok(());
            }
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            if log.lines().any(gave_up) || start.elapsed() > START {
                let what = "the scratch database does not start";
                return Err(DrillError::of_postgres(what, &log, &self.folder).not_its_fault());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Makes the files of a cluster.
async fn initdb(programs: &Programs, folder: &Path, owner: Owner) -> Result<(), DrillError> {
    let mut initdb = tokio::process::Command::new(programs.path("initdb"));
    initdb
        .args(["--username", SUPERUSER, "--auth=trust", "--encoding=UTF8"])
        .args(["--no-locale", "--no-sync", "--no-instructions"])
        .args(["--wal-segsize=16", "-D"])
        .arg(folder.join("data"))
        .env_clear()
        .env("LC_ALL", "C")
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    if let Some((user, group)) = owner {
        initdb.uid(user).gid(group);
    }
    let made = initdb.output().await;
    let made = made.map_err(|error| DrillError::unknown(format!("cannot run initdb: {error}")))?;
    if made.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&made.stderr);
    let what = "initdb cannot make a scratch database";
    Err(DrillError::of_postgres(what, &said, folder).not_its_fault())
}

/// The shell that runs the server as long as we live.
fn shell(programs: &Programs, folder: &Path, owner: Owner, preload: &str) -> Command {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", SHELL, "chaos-drill"])
        .arg(folder)
        .arg(programs.path("postgres"))
        .arg("-D")
        .arg(folder.join("data"))
        .arg("-k")
        .arg(folder);
    for setting in SETTINGS {
        shell.args(["-c", setting]);
    }
    shell.args(["-c", &format!("shared_preload_libraries={preload}")]);
    // Ctrl-C is for us; the shell ends when we do.
    shell
        .process_group(0)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some((user, group)) = owner {
        shell.uid(user).gid(group);
    }
    shell
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        // It has been told; whether it could be waited for changes nothing.
        let _ = self.shell.wait();
        // What the shell may not remove, because it belongs to the folder around it.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn gave_up(line: &str) -> bool {
    program_messages::of_server_log(line) == Some(Meaning::GaveUp)
}

/// A folder that nobody else can look into.
pub(super) fn folder() -> Result<tempfile::TempDir, DrillError> {
    let place = std::env::temp_dir();
    let made = tempfile::Builder::new()
        .prefix("chaos-drill-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir();
    made.map_err(|error| {
        DrillError::unknown(format!(
            "cannot make a scratch folder in {}: {error}",
            place.display()
        ))
        .hint("name another place with TMPDIR")
    })
}

/// PostgreSQL does not run as root: the folder is given to somebody who may nothing else.
fn owner(folder: &Path) -> std::io::Result<Owner> {
    if std::fs::metadata(folder)?.uid() != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd")?;
    let find = |name: &str| {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            let found = fields.next()? == name;
            let (user, group) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
            found.then_some((user, group))
        })
    };
    let (user, group) = find("postgres")
        .or_else(|| find("nobody"))
        .unwrap_or((65_534, 65_534));
    chown(folder, Some(user), Some(group))?;
    Ok(Some((user, group)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_mind_signals_yet_is_ended_too() {
        let folder = tempfile::tempdir().expect("a folder").keep();
        // Like a PostgreSQL that has just been started.
        let server = "sleep 1; $SIG{QUIT} = sub { exit }; sleep 600";
        let mut shell = Command::new("/bin/sh")
            .args(["-c", SHELL, "chaos-drill"])
            .arg(&folder)
            .args(["perl", "-e", server])
            .stdin(Stdio::null())
            .spawn()
            .expect("a shell");
        let start = Instant::now();
        let ended = loop {
            match shell.try_wait().expect("it is ours") {
                Some(_) => break true,
                None if start.elapsed() > START => break false,
                None => std::thread::sleep(Duration::from_millis(50)),
            }
        };
        if !ended {
            shell.kill().expect("it is ours");
        }
        assert!(ended && !folder.exists(), "{ended}");
    }
}
