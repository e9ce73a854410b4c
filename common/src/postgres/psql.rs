//! The vantage `exec`: one `psql` inside a ready pod of the database, fed on its standard input. It
//! ends with the session, since its input ends then.

use std::fmt::{self, Write as _};

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::task::JoinHandle;

use crate::cluster::exec::{ExecFailure, ExecProcess, ExecTarget};
use crate::cluster::{Cluster, ReadError};
use crate::config::Database;
use crate::record::new_id;

/// The most that one answer may have, in bytes.
const MAX: usize = 16 << 20;
/// The most of standard error that is kept, in bytes.
const MAX_STDERR: usize = 4 << 10;
/// PostgreSQL's usual port.
const USUAL_PORT: u16 = 5432;

/// Why a statement has no answer: the server's SQLSTATE if it was the server that said no, and
/// words.
pub(super) type Failed = (Option<String>, String);

/// A running `psql`.
pub(super) struct Psql {
    input: Box<dyn AsyncWrite + Send + Unpin>,
    output: BufReader<Box<dyn AsyncRead + Send + Unpin>>,
    stderr: Option<JoinHandle<String>>,
    process: ExecProcess,
    /// What no answer can hold, to mark the ends of answers.
    mark: String,
}

impl fmt::Debug for Psql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Psql").finish_non_exhaustive()
    }
}

impl Psql {
    pub(super) async fn start(
        cluster: &Cluster,
        namespace: &str,
        database: &Database,
        what: &str,
    ) -> Result<Psql, ReadError> {
        let workload = database
            .workload
            .as_ref()
            .ok_or_else(|| no_workload(what))?;
        let password = match &database.password {
            Some(secret) => {
                let named = ("database.password", secret);
                Some(cluster.credential(namespace, named).await?)
            }
            None => None,
        };
        let pod = cluster.ready_pod(namespace, workload).await?;
        let mut target = ExecTarget::of(cluster, &pod);
        if let Some(container) = &database.container {
            target = target.container(container);
        }
        let command = command(database);
        let mut process = target.exec(&command).with_stdin().start().await?;
        let streams = (process.stdin(), process.stdout(), process.stderr());
        let (Some(input), Some(output), Some(stderr)) = streams else {
            return Err(ReadError::other(
                what,
                "psql's input and output are not connected",
            ));
        };
        let mut psql = Psql {
            input: Box::new(input),
            output: BufReader::new(Box::new(output)),
            stderr: Some(tokio::spawn(last_of(stderr))),
            process,
            mark: format!("chaos-{}", new_id()),
        };
        if let Some(password) = password {
            // That it is not read shows in the answer to the question.
            let _ = psql
                .input
                .write_all(format!("{password}\n").as_bytes())
                .await;
        }
        match psql.query("SELECT 1").await {
            Ok(_) => Ok(psql),
            Err((_, why)) => {
                let pod = format!("pod/{}", target.pod);
                Err(ReadError::other(what, why).hint(hint(database, namespace, &pod)))
            }
        }
    }

    /// Runs a statement. Its end and its outcome are told by `\echo`, which psql does afterwards.
    pub(super) async fn query(&mut self, sql: &str) -> Result<Vec<String>, Failed> {
        let mark = &self.mark;
        let mut text = format!("{sql};\n");
        let _ = write!(
            text,
            "\\echo {mark} :ERROR :SQLSTATE\n\\echo :LAST_ERROR_MESSAGE\n\\echo {mark} end\n"
        );
        let sent = async {
            self.input.write_all(text.as_bytes()).await?;
            self.input.flush().await
        };
        let lines = match sent.await {
            Ok(()) => self.lines().await,
            Err(_) => Ok(None),
        };
        let Some((rows, outcome, message)) = lines.map_err(|why| (None, why))? else {
            return Err((None, self.reason_of_end().await));
        };
        match outcome.split_once(' ') {
            Some(("false", _)) => Ok(rows),
            Some(("true", state)) if state.len() == 5 => Err((Some(state.to_owned()), message)),
            // Before version 11 psql does not know these variables and writes their names.
            _ => Err((
                None,
                "psql does not tell the outcome of a statement: it is older than version 11"
                    .to_owned(),
            )),
        }
    }

    /// Rows, outcome and message of one answer; `None` if psql ended before.
    async fn lines(&mut self) -> Result<Option<(Vec<String>, String, String)>, String> {
        let (mut rows, mut outcome, mut message) = (Vec::new(), None, String::new());
        let mut size = 0;
        let end = format!("{} end", self.mark);
        let start = format!("{} ", self.mark);
        loop {
            let mut line = Vec::new();
            let room = (MAX - size) as u64;
            let read = (&mut self.output)
                .take(room)
                .read_until(b'\n', &mut line)
                .await
                .unwrap_or(0);
            size += read;
            if line.pop() != Some(b'\n') {
                return if size >= MAX {
                    Err(format!("its answer has more than {MAX} bytes"))
                } else {
                    Ok(None)
                };
            }
            let line = String::from_utf8(line).map_err(|_| "its answer is not UTF-8")?;
            match &outcome {
                Some(outcome) if line == end => {
                    return Ok(Some((rows, String::clone(outcome), message)));
                }
                Some(_) => {
                    message.push_str(if message.is_empty() { "" } else { " " });
                    message.push_str(&line);
                }
                None => match line.strip_prefix(&start) {
                    Some(said) => outcome = Some(said.to_owned()),
                    None => rows.push(line),
                },
            }
        }
    }

    /// Why psql ended.
    async fn reason_of_end(&mut self) -> String {
        let status = self.process.wait().await;
        let stderr = match self.stderr.take() {
            Some(stderr) => stderr.await.unwrap_or_default(),
            None => String::new(),
        };
        let stderr = stderr.trim().chars().filter(|c| !c.is_control());
        let stderr: String = stderr.take(300).collect();
        match status {
            _ if !stderr.is_empty() => stderr,
            Ok(code) => format!("psql ended with exit status {code}"),
            Err(ExecFailure::NotStarted(why)) => format!("psql ended: {why}"),
            Err(ExecFailure::ConnectionLost(None)) => "the connection to psql broke".to_owned(),
            Err(ExecFailure::ConnectionLost(Some(why))) => {
                format!("the connection to psql broke: {why}")
            }
        }
    }
}

/// What runs in the pod. With a password psql asks for it (`-W`), and reads the answer from its
/// standard input, since there is no terminal: so it stands in no argument and no environment.
fn command(database: &Database) -> Vec<String> {
    let ask = if database.password.is_some() {
        "-W"
    } else {
        "-w"
    };
    let connection = connection(database);
    let command = ["psql", "-X", ask, "-q", "-A", "-t", "-d", &connection];
    command.map(str::to_owned).to_vec()
}

fn hint(database: &Database, namespace: &str, pod: &str) -> String {
    let container = database.container.as_ref();
    let container = container
        .map(|name| format!(" -c {name}"))
        .unwrap_or_default();
    let user = database.user.as_ref();
    let user = user.map(|user| format!(" -U {user}")).unwrap_or_default();
    let name = &database.name;
    format!("kubectl exec -n {namespace} {pod}{container} -- psql{user} -d {name} -c 'SELECT 1'")
}

/// The configuration is refused without one.
pub(super) fn no_workload(what: &str) -> ReadError {
    ReadError::other(what, "nothing says what runs the database")
        .hint("name it as database.workload in chaos.toml")
}

/// Reads to the end so that the writer never waits, and keeps the last of it.
async fn last_of(mut input: impl AsyncRead + Unpin) -> String {
    let (mut kept, mut buffer) = (Vec::new(), [0; 1024]);
    while let Ok(read) = input.read(&mut buffer).await {
        if read == 0 {
            break;
        }
        kept.extend_from_slice(&buffer[..read]);
        let over = kept.len().saturating_sub(MAX_STDERR);
        kept.drain(..over);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// What `-d` gets. A bare name would be read as connection settings if it holds a `=`. User and
/// port that the configuration leaves as they are stay the pod's own (`PGUSER`, `PGPORT`).
fn connection(database: &Database) -> String {
    let value = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let user = database
        .user
        .as_ref()
        .map(|user| format!(" user={}", value(user)))
        .unwrap_or_default();
    let port = if database.port == USUAL_PORT {
        String::new()
    } else {
        format!(" port={}", database.port)
    };
    let host = database.host.as_ref();
    let host = host
        .map(|host| format!(" host={}", value(host)))
        .unwrap_or_default();
    format!(
        "dbname={} application_name=chaos-runbook client_encoding=UTF8 connect_timeout=5\
         {host}{user}{port}",
        value(&database.name)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(json: serde_json::Value) -> Database {
        serde_json::from_value(json).expect("a database")
    }

    #[test]
    fn names_stay_values_and_defaults_stay_the_pods() {
        let plain = database(serde_json::json!({ "workload": "d", "name": "shop" }));
        let rest = "application_name=chaos-runbook client_encoding=UTF8 connect_timeout=5";
        assert_eq!(connection(&plain), format!("dbname='shop' {rest}"));
        let odd = database(
            serde_json::json!({ "workload": "d", "name": "a' host='evil", "user": "u", "port": 5433 }),
        );
        assert_eq!(
            connection(&odd),
            format!(r"dbname='a\' host=\'evil' {rest} user='u' port=5433")
        );
        let elsewhere =
            serde_json::json!({ "workload": "d", "name": "n", "host": "db.example.com" });
        let elsewhere = connection(&database(elsewhere));
        assert_eq!(
            elsewhere,
            format!("dbname='n' {rest} host='db.example.com'")
        );
    }

    #[test]
    fn a_password_is_asked_for_and_stands_in_no_argument() {
        let with = database(serde_json::json!({
            "workload": "d", "name": "n", "user": "u", "password": { "file": "/hunter2" },
        }));
        let words = command(&with);
        assert!(words.contains(&"-W".to_owned()) && !words.contains(&"-w".to_owned()));
        assert!(!words.concat().contains("hunter2"));
        let without = database(serde_json::json!({ "workload": "d", "name": "n" }));
        assert!(command(&without).contains(&"-w".to_owned()));
    }
}
