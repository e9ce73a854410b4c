//! A PostgreSQL that a drill restores into, wherever it is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::feed::Feed;
use super::programs::Programs;
use super::scratch::Scratch;
use super::trouble::Trouble;

/// The most that is kept of what a program says.
const MAX_SAID: u64 = 256 << 10;
/// The most that an answer may have.
const MAX_ANSWER: u64 = 64 << 20;

/// The way to a server, by programs of this machine. Passwords go through the environment.
#[derive(Debug)]
pub(crate) struct Server {
    programs: Programs,
    env: Vec<(String, String)>,
    /// The database to ask in before there is one of the drill's own.
    first: String,
    /// For people: what it is.
    pub(crate) name: String,
    folder: PathBuf,
    /// Kept so that it lives; gone with this.
    _scratch: Option<Scratch>,
}

impl Server {
    /// One started for the drill.
    pub(crate) async fn scratch() -> Result<Server, Trouble> {
        let programs = Programs::find(&["initdb", "postgres", "psql", "pg_restore"]).await.map_err(|why| {
            Trouble::unknown(format!("no scratch database can be started: {why}"))
                .hint("install PostgreSQL's server (postgresql-15 or newer), or name a scratch one as drill.url in chaos.toml")
        })?;
        let scratch = Scratch::start(&programs).await?;
        let folder = scratch.folder().to_owned();
        let env =
            vec![("PGHOST".to_owned(), folder.display().to_string()), ("PGUSER".to_owned(), "postgres".to_owned())];
        let name = format!("{}, started for the drill", scratch.version);
        Ok(Server { programs, env, first: "postgres".to_owned(), name, folder, _scratch: Some(scratch) })
    }

    /// The one that a URL names.
    pub(crate) async fn of_url(url: &str) -> Result<Server, Trouble> {
        let wrong = |why: &str| Trouble::unknown(format!("drill.url is not the URL of a PostgreSQL: {why}"));
        let url: reqwest::Url = url.parse().map_err(|_| wrong("it cannot be read"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(wrong("it does not begin with postgres://"));
        }
        let programs = Programs::find(&["psql", "pg_restore"]).await.map_err(|why| {
            Trouble::unknown(format!("nothing can be restored: {why}")).hint("install PostgreSQL's client programs")
        })?;
        let plain = |text: &str| percent_decoded(text).ok_or_else(|| wrong("it is not well escaped"));
        let host = url.host_str().unwrap_or("localhost").trim_matches(['[', ']']).to_owned();
        let mut env = BTreeMap::from([
            ("PGHOST".to_owned(), plain(&host)?),
            ("PGPORT".to_owned(), url.port().unwrap_or(5432).to_string()),
        ]);
        for (name, value) in [("PGUSER", url.username()), ("PGPASSWORD", url.password().unwrap_or_default())] {
            if !value.is_empty() {
                env.insert(name.to_owned(), plain(value)?);
            }
        }
        for (key, value) in url.query_pairs() {
            let name = match key.as_ref() {
                "sslmode" => "PGSSLMODE",
                "sslrootcert" => "PGSSLROOTCERT",
                "host" => "PGHOST",
                other => return Err(wrong(&format!("its parameter {other:?} is not known here"))),
            };
            env.insert(name.to_owned(), value.into_owned());
        }
        let database = plain(url.path().trim_start_matches('/'))?;
        let first = if database.is_empty() { "postgres".to_owned() } else { database };
        let name = format!("PostgreSQL at {}:{}", env["PGHOST"], env["PGPORT"]);
        let folder = PathBuf::from("the server's data directory");
        Ok(Server { programs, env: env.into_iter().collect(), first, name, folder, _scratch: None })
    }

    fn command(&self, program: &str, database: Option<&str>) -> Command {
        let mut command = Command::new(self.programs.path(program));
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.env("PGDATABASE", database.unwrap_or(&self.first)).env("PGCONNECT_TIMEOUT", "10").env("LC_ALL", "C");
        command.env("PATH", "/usr/bin:/bin").current_dir("/").kill_on_drop(true);
        command
    }

    /// Asks one thing; the answer's lines have fields with tabs between them.
    pub(crate) async fn ask(&self, database: Option<&str>, sql: &str) -> Result<String, Trouble> {
        let mut command = self.command("psql", database);
        command.args(["-XAtq", "-v", "ON_ERROR_STOP=1", "-F", "\t", "-f", "-"]);
        let (said, answer) = run(command, Feed::of(std::io::Cursor::new(sql.as_bytes().to_vec())))
            .await
            .map(|ran| ((ran.success, ran.said), ran.answer))?;
        if !said.0 {
            return Err(Trouble::of_postgres("asking the scratch database", &said.1, &self.folder));
        }
        Ok(answer)
    }

    /// Restores a dump of the custom format into a database; gives size and digest of what was read.
    pub(crate) async fn restore(&self, database: &str, dump: Feed) -> Result<(u64, String), Trouble> {
        let mut command = self.command("pg_restore", None);
        // Owners and rights name roles, which a dump does not hold.
        command.args(["--exit-on-error", "--no-owner", "--no-privileges", "--dbname", database]);
        let ran = run(command, dump).await?;
        if !ran.success {
            return Err(Trouble::of_postgres("it does not restore", &ran.said, &self.folder));
        }
        Ok(ran.read)
    }

    /// Drops a database, by a program that is not waited for.
    pub(crate) fn drop_now(&self, database: &str) -> std::io::Result<std::process::Child> {
        let mut command = self.command("psql", None).into_std();
        command.args(["-XAtq", "-c", &format!("DROP DATABASE {database} WITH (FORCE)")]);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
    }

    /// Its version: `15.18`.
    pub(crate) async fn version(&self) -> Result<String, Trouble> {
        let said = self.ask(None, "SHOW server_version").await.map_err(Trouble::not_its_fault)?;
        Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
    }

    /// Version of `pg_restore`.
    pub(crate) fn client_version(&self) -> &str {
        &self.programs.version
    }
}

/// What a program did.
struct Ran {
    success: bool,
    answer: String,
    said: String,
    read: (u64, String),
}

async fn run(mut command: Command, feed: Feed) -> Result<Ran, Trouble> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let program = Path::new(command.as_std().get_program()).display().to_string();
    let cannot = |error: std::io::Error| Trouble::unknown(format!("cannot run {program}: {error}"));
    let mut child = command.spawn().map_err(cannot)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(Trouble::unknown(format!("{program} is not connected")));
    };
    let (mut answer, mut said) = (Vec::new(), Vec::new());
    let read = async {
        let mut stdout = stdout.take(MAX_ANSWER);
        stdout.read_to_end(&mut answer).await
    };
    let hear = async {
        let mut stderr = stderr.take(MAX_SAID);
        let heard = stderr.read_to_end(&mut said).await;
        // What it says besides is not kept, but must not stop it.
        let mut rest = stderr.into_inner();
        tokio::io::copy(&mut rest, &mut tokio::io::sink()).await.and(heard)
    };
    let (eaten, answered, heard) = futures::future::join3(feed.into(stdin), read, hear).await;
    let status = child.wait().await.map_err(cannot)?;
    let read = eaten?;
    answered.map_err(cannot)?;
    heard.map_err(cannot)?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Ok(Ran { success: status.success(), answer: text(answer), said: text(said), read })
}

/// Text of a URL in which `%41` stands for `A`.
fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        if *first == b'%' {
            let (digits, behind) = behind.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = behind;
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn escapes_of_a_url_are_read() {
        assert_eq!(percent_decoded("p%40ss%2Fw").as_deref(), Some("p@ss/w"));
        assert_eq!(percent_decoded("%4"), None);
        assert_eq!(percent_decoded("%zz"), None);
    }
}
