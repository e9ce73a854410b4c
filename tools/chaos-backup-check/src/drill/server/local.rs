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

use crate::drill::error::Trouble;
use crate::drill::programs::Programs;

/// Its one user. Scripts of `pg_dumpall` make the users that they know, mostly with one that is
/// called postgres.
pub(super) const SUPERUSER: &str = "chaos_drill";
/// The longest that a fresh server may take to answer.
const START: Duration = Duration::from_secs(60);

/// What the shell does: the server, the wait, the end.
const SHELL: &str = r#"
folder=$1; shift
"$@" >"$folder/log" 2>&1 &
server=$!
while read -r _; do :; done
kill -QUIT "$server" 2>/dev/null
wait "$server"
rm -rf "$folder"
"#;

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
    pub(crate) async fn start(programs: &Programs) -> Result<Scratch, Trouble> {
        let folder = folder()?;
        let data = folder.path().join("data");
        let owner = owner(folder.path()).map_err(|error| {
            Trouble::unknown(format!(
                "cannot prepare {}: {error}",
                folder.path().display()
            ))
        })?;
        let mut initdb = tokio::process::Command::new(programs.path("initdb"));
        initdb.args([
            "--username",
            SUPERUSER,
            "--auth=trust",
            "--encoding=UTF8",
            "--no-locale",
            "--no-sync",
            "--no-instructions",
            "--wal-segsize=16",
            "-D",
        ]);
        initdb
            .arg(&data)
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/");
        initdb.stdin(Stdio::null()).kill_on_drop(true);
        if let Some((user, group)) = owner {
            initdb.uid(user).gid(group);
        }
        let made = initdb
            .output()
            .await
            .map_err(|error| Trouble::unknown(format!("cannot run initdb: {error}")))?;
        if !made.status.success() {
            return Err(Trouble::of_postgres(
                "initdb cannot make a scratch database",
                &String::from_utf8_lossy(&made.stderr),
                folder.path(),
            )
            .not_its_fault());
        }
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", SHELL, "chaos-drill"])
            .arg(folder.path())
            .arg(programs.path("postgres"))
            .arg("-D")
            .arg(&data)
            .arg("-k")
            .arg(folder.path());
        for setting in [
            "listen_addresses=",
            "fsync=off",
            "full_page_writes=off",
            "synchronous_commit=off",
            "autovacuum=off",
            "max_wal_senders=0",
            "wal_level=minimal",
            "max_connections=10",
            "logging_collector=off",
        ] {
            shell.args(["-c", setting]);
        }
        // Ctrl-C is for us; the shell ends when we do.
        shell
            .process_group(0)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("LC_ALL", "C")
            .current_dir("/");
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        if let Some((user, group)) = owner {
            shell.uid(user).gid(group);
        }
        let shell = shell.spawn().map_err(|error| {
            Trouble::unknown(format!("cannot start a scratch database: {error}"))
        })?;
        // From here on the shell removes the folder.
        let scratch = Scratch {
            folder: folder.keep(),
            shell,
            version: format!("PostgreSQL {}", programs.version),
        };
        scratch.answers(programs).await?;
        Ok(scratch)
    }

    /// The folder with its socket.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    async fn answers(&self, programs: &Programs) -> Result<(), Trouble> {
        let start = Instant::now();
        loop {
            let mut ask = tokio::process::Command::new(programs.path("psql"));
            ask.args([
                "-XAtq", "-U", SUPERUSER, "-d", "postgres", "-c", "SELECT 1", "-h",
            ])
            .arg(&self.folder);
            ask.env_clear().stdin(Stdio::null()).kill_on_drop(true);
            let asked = ask
                .output()
                .await
                .map_err(|error| Trouble::unknown(format!("cannot run psql: {error}")))?;
            if asked.status.success() {
                return Ok(());
            }
            let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            if log.lines().any(is_the_end) || start.elapsed() > START {
                return Err(Trouble::of_postgres(
                    "the scratch database does not start",
                    &log,
                    &self.folder,
                )
                .not_its_fault());
            }
            sleep(Duration::from_millis(50)).await;
        }
    }
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

/// Whether a line of the log says that the server has given up. That it is not ready yet is fatal
/// for who asked, and for nobody else.
fn is_the_end(line: &str) -> bool {
    (line.contains("FATAL:") && !line.contains("starting up")) || line.contains("PANIC:")
}

/// A folder that nobody else can look into.
pub(super) fn folder() -> Result<tempfile::TempDir, Trouble> {
    let place = std::env::temp_dir();
    let made = tempfile::Builder::new()
        .prefix("chaos-drill-")
        .permissions(Permissions::from_mode(0o700))
        .tempdir();
    made.map_err(|error| {
        Trouble::unknown(format!(
            "cannot make a scratch folder in {}: {error}",
            place.display()
        ))
        .hint("name another place with TMPDIR")
    })
}

/// PostgreSQL does not run as root: the folder is given to somebody who may nothing else.
fn owner(folder: &Path) -> std::io::Result<Option<(u32, u32)>> {
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
    use super::is_the_end;

    #[test]
    fn a_server_that_is_not_ready_yet_has_not_given_up() {
        assert!(!is_the_end(
            "2026-11-22 23:24:26 UTC [1] FATAL:  the database system is starting up"
        ));
        assert!(!is_the_end(
            "2026-11-22 23:24:26 UTC [1] LOG:  database system is ready to accept connections"
        ));
        assert!(is_the_end(
            "2026-11-22 23:24:26 UTC [1] FATAL:  could not write lock file: No space left on device"
        ));
    }
}
