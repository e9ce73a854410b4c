//! PostgreSQL's client programs on this machine, for a server that is reached from here.

use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, Stdio};

use tokio::process::Command;

use crate::drill::error::DrillError;
use crate::drill::feed::Feed;
use crate::drill::process::{Ran, talk};
use crate::drill::programs::Programs;

/// The programs, and what they are told through the environment: passwords too.
pub(super) struct ClientPrograms {
    pub(super) programs: Programs,
    pub(super) env: Vec<(String, String)>,
}

impl ClientPrograms {
    /// Runs one of them on a database.
    pub(super) async fn run(
        &self,
        program: &str,
        database: &str,
        args: &[&str],
        feed: Feed,
    ) -> Result<Ran, DrillError> {
        let mut command = self.command(program, database);
        command
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let path = self.programs.path(program).display().to_string();
        let cannot =
            |error: std::io::Error| DrillError::unknown(format!("cannot run {path}: {error}"));
        let mut child = command.spawn().map_err(cannot)?;
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
            return Err(DrillError::unknown(format!("{path} is not connected")));
        };
        let (read, answer, said) = talk(feed, stdin, stdout, stderr).await;
        let status = child.wait().await.map_err(cannot)?;
        if let Some(signal) = status.signal() {
            let why = format!("{path} was ended by signal {signal}");
            return Err(DrillError::unknown(why).hint("was this machine out of memory?"));
        }
        Ok(Ran {
            success: status.success(),
            answer: answer.map_err(cannot)?,
            said: said.map_err(cannot)?,
            read: read?,
        })
    }

    /// Starts `psql` with a statement, and does not wait for it.
    pub(super) fn start_psql(&self, database: &str, sql: &str) -> std::io::Result<Child> {
        let mut command = self.command("psql", database).into_std();
        command
            .args(["-XAtq", "-c", sql])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }

    fn command(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(self.programs.path(program));
        let env = self.env.iter().map(|(name, value)| (name, value));
        command
            .env_clear()
            .envs(env)
            .env("PGDATABASE", database)
            .env("PGCONNECT_TIMEOUT", "10")
            .env("LC_ALL", "C")
            .env("PATH", "/usr/bin:/bin")
            .current_dir("/")
            .kill_on_drop(true);
        command
    }
}

/// Writes a file into a folder that is made where it is missing; gives size and digest.
pub(super) async fn put(
    folder: &str,
    name: &str,
    mut file: Feed,
) -> Result<(u64, String), DrillError> {
    let path = Path::new(folder).join(name);
    let failed = |error: std::io::Error| {
        let what = format!("{} cannot be written", path.display());
        DrillError::of_io(&what, &error, Path::new(folder))
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut out = std::fs::File::create(&path).map_err(failed)?;
    while let Some(piece) = file.next().await? {
        std::io::Write::write_all(&mut out, &piece).map_err(failed)?;
    }
    Ok(file.read())
}
