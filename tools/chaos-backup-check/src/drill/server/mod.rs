//! A PostgreSQL that a drill restores into, wherever it is.

mod local;
mod pod;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use self::local::{SUPERUSER, Scratch};
use self::pod::PodServer;
use crate::context::Context;
use crate::drill::error::Trouble;
use crate::drill::feed::Feed;
use crate::drill::process::{Ran, talk};
use crate::drill::programs::Programs;

/// The way to a server, by PostgreSQL's own programs. Passwords go through the environment.
pub(crate) struct Server {
    way: Way,
    /// The database to ask in before there is one of the drill's own.
    first: String,
    /// For people: what it is.
    pub(crate) name: String,
    /// Where its data is, for people.
    folder: PathBuf,
    /// Version of its programs.
    programs: String,
}

/// Where the programs run.
enum Way {
    /// On this machine; the server too, if it is our own, which is gone with this.
    Here {
        programs: Programs,
        env: Vec<(String, String)>,
        own: Option<Scratch>,
    },
    /// In the pod that was made for the drill, beside the server.
    Pod(Box<PodServer>),
}

impl Server {
    /// One started for the drill.
    pub(crate) async fn scratch() -> Result<Server, Trouble> {
        let programs = Programs::find(&["initdb", "postgres", "psql", "pg_restore"]).await.map_err(|why| {
            Trouble::unknown(format!("no scratch database can be started: {why}"))
                .hint("install PostgreSQL's server (postgresql-15 or newer), or name an image for one in the cluster as drill.image, or a scratch one as drill.url")
        })?;
        let scratch = Scratch::start(&programs).await?;
        let folder = scratch.folder().to_owned();
        let env = vec![
            ("PGHOST".to_owned(), folder.display().to_string()),
            ("PGUSER".to_owned(), SUPERUSER.to_owned()),
        ];
        let name = format!("{}, started for the drill", scratch.version);
        let version = programs.version.clone();
        let way = Way::Here {
            programs,
            env,
            own: Some(scratch),
        };
        Ok(Server {
            way,
            first: "postgres".to_owned(),
            name,
            folder,
            programs: version,
        })
    }

    /// One in a pod that is made for the drill.
    pub(crate) async fn in_pod(image: &str, context: &Context) -> Result<Server, Trouble> {
        let pod = PodServer::start(image, context).await?;
        let version = pod.version().await?;
        let name = format!(
            "PostgreSQL {version} of {image} in {}, made for the drill",
            pod.label()
        );
        let folder = PathBuf::from(format!("{} of {}", pod::FOLDER, pod.label()));
        Ok(Server {
            way: Way::Pod(Box::new(pod)),
            first: "postgres".to_owned(),
            name,
            folder,
            programs: version,
        })
    }

    /// The one that a URL names.
    pub(crate) async fn of_url(url: &str) -> Result<Server, Trouble> {
        let wrong = |why: &str| {
            Trouble::unknown(format!("drill.url is not the URL of a PostgreSQL: {why}"))
        };
        let url: reqwest::Url = url.parse().map_err(|_| wrong("it cannot be read"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(wrong("it does not begin with postgres://"));
        }
        let programs = Programs::find(&["psql", "pg_restore"])
            .await
            .map_err(|why| {
                Trouble::unknown(format!("nothing can be restored: {why}"))
                    .hint("install PostgreSQL's client programs")
            })?;
        let plain =
            |text: &str| percent_decoded(text).ok_or_else(|| wrong("it is not well escaped"));
        let host = url
            .host_str()
            .unwrap_or("localhost")
            .trim_matches(['[', ']'])
            .to_owned();
        let mut env = BTreeMap::from([
            ("PGHOST".to_owned(), plain(&host)?),
            ("PGPORT".to_owned(), url.port().unwrap_or(5432).to_string()),
        ]);
        for (name, value) in [
            ("PGUSER", url.username()),
            ("PGPASSWORD", url.password().unwrap_or_default()),
        ] {
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
        let first = if database.is_empty() {
            "postgres".to_owned()
        } else {
            database
        };
        let name = format!("PostgreSQL at {}:{}", env["PGHOST"], env["PGPORT"]);
        let folder = PathBuf::from("the server's data directory");
        let version = programs.version.clone();
        let way = Way::Here {
            programs,
            env: env.into_iter().collect(),
            own: None,
        };
        Ok(Server {
            way,
            first,
            name,
            folder,
            programs: version,
        })
    }

    /// Whether it was made for the drill, and is thrown away with all that is in it.
    pub(crate) fn is_own(&self) -> bool {
        !matches!(self.way, Way::Here { own: None, .. })
    }

    /// Runs one of PostgreSQL's programs on a database.
    async fn run(
        &self,
        program: &str,
        database: Option<&str>,
        args: &[&str],
        feed: Feed,
    ) -> Result<Ran, Trouble> {
        let database = database.unwrap_or(&self.first);
        match &self.way {
            Way::Here { programs, env, .. } => {
                run(here(programs, env, program, database).args(args), feed).await
            }
            Way::Pod(pod) => pod.run(program, database, args, feed).await,
        }
    }

    /// Asks one thing; the answer's lines have fields with tabs between them.
    pub(crate) async fn ask(&self, database: Option<&str>, sql: &str) -> Result<String, Trouble> {
        let args = ["-XAtq", "-v", "ON_ERROR_STOP=1", "-F", "\t", "-f", "-"];
        let ran = self
            .run(
                "psql",
                database,
                &args,
                Feed::bytes(sql.as_bytes().to_vec()),
            )
            .await?;
        if !ran.success {
            return Err(Trouble::of_postgres(
                "asking the scratch database",
                &ran.said,
                &self.folder,
            ));
        }
        Ok(ran.answer)
    }

    /// Restores a dump of the custom format into a database; gives size and digest of what was
    /// read.
    pub(crate) async fn restore(
        &self,
        database: &str,
        dump: Feed,
    ) -> Result<(u64, String), Trouble> {
        self.pg_restore(database, &[], dump).await
    }

    /// Restores a dump of the directory format, which is in `folder` where the programs run.
    pub(crate) async fn restore_folder(&self, database: &str, folder: &str) -> Result<(), Trouble> {
        self.pg_restore(
            database,
            &["--format=directory", folder],
            Feed::bytes(Vec::new()),
        )
        .await
        .map(drop)
    }

    async fn pg_restore(
        &self,
        database: &str,
        more: &[&str],
        dump: Feed,
    ) -> Result<(u64, String), Trouble> {
        // Owners and rights name roles, which a dump does not hold.
        let args = [
            &[
                "--exit-on-error",
                "--no-owner",
                "--no-privileges",
                "--dbname",
                database,
            ],
            more,
        ]
        .concat();
        let ran = self.run("pg_restore", None, &args, dump).await?;
        if ran.success {
            Ok(ran.read)
        } else {
            Err(Trouble::of_postgres(
                "it does not restore",
                &ran.said,
                &self.folder,
            ))
        }
    }

    /// Runs a script of SQL, beginning in a database; gives size and digest of what was read.
    pub(crate) async fn run_script(
        &self,
        database: Option<&str>,
        script: Feed,
    ) -> Result<(u64, String), Trouble> {
        let args = ["-Xq", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", "-"];
        let ran = self.run("psql", database, &args, script).await?;
        if ran.success {
            Ok(ran.read)
        } else {
            Err(Trouble::of_postgres(
                "it does not restore",
                &ran.said,
                &self.folder,
            ))
        }
    }

    /// Puts a file into a folder of the drill's own, where the programs run, and gives size and
    /// digest.
    pub(crate) async fn put(
        &self,
        folder: &str,
        name: &str,
        file: Feed,
    ) -> Result<(u64, String), Trouble> {
        match &self.way {
            Way::Pod(pod) => pod.put(folder, name, file).await,
            Way::Here { .. } => {
                let path = Path::new(folder).join(name);
                let failed = |error: std::io::Error| {
                    let what = format!("{} cannot be written", path.display());
                    Trouble::of_postgres(
                        &what,
                        &format!("error: {}", said_of(&error)),
                        Path::new(folder),
                    )
                    .not_its_fault()
                };
                std::fs::create_dir_all(folder).map_err(failed)?;
                let mut out = std::fs::File::create(&path).map_err(failed)?;
                let mut file = file;
                while let Some(piece) = file.next().await? {
                    std::io::Write::write_all(&mut out, &piece).map_err(failed)?;
                }
                Ok(file.read())
            }
        }
    }

    /// A folder for a dump in directory format, which goes with the server, or with what is given
    /// besides.
    pub(crate) fn room(&self) -> Result<(String, Option<tempfile::TempDir>), Trouble> {
        match &self.way {
            Way::Pod(_) => Ok((format!("{}/dump", pod::FOLDER), None)),
            Way::Here {
                own: Some(scratch), ..
            } => Ok((scratch.folder().join("dump").display().to_string(), None)),
            Way::Here { own: None, .. } => {
                let made = local::folder()?;
                Ok((made.path().display().to_string(), Some(made)))
            }
        }
    }

    /// Drops a database, by a program that is not waited for. Only for servers that are not thrown
    /// away.
    pub(crate) fn drop_now(&self, database: &str) -> std::io::Result<std::process::Child> {
        let Way::Here { programs, env, .. } = &self.way else {
            return Err(std::io::Error::other("it goes with its server"));
        };
        let mut command = here(programs, env, "psql", &self.first).into_std();
        command.args([
            "-XAtq",
            "-c",
            &format!("DROP DATABASE {database} WITH (FORCE)"),
        ]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
    }

    /// Its version: `15.18`.
    pub(crate) async fn version(&self) -> Result<String, Trouble> {
        let said = self
            .ask(None, "SHOW server_version")
            .await
            .map_err(Trouble::not_its_fault)?;
        Ok(said
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned())
    }

    /// Version of `pg_restore` and `psql`.
    pub(crate) fn client_version(&self) -> &str {
        &self.programs
    }
}

/// An error of a file system, with the words that PostgreSQL has for it.
fn said_of(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::StorageFull => "No space left on device".to_owned(),
        std::io::ErrorKind::QuotaExceeded => "Disk quota exceeded".to_owned(),
        _ => error.to_string(),
    }
}

fn here(programs: &Programs, env: &[(String, String)], program: &str, database: &str) -> Command {
    let mut command = Command::new(programs.path(program));
    command
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)));
    command
        .env("PGDATABASE", database)
        .env("PGCONNECT_TIMEOUT", "10")
        .env("LC_ALL", "C");
    command
        .env("PATH", "/usr/bin:/bin")
        .current_dir("/")
        .kill_on_drop(true);
    command
}

async fn run(command: &mut Command, feed: Feed) -> Result<Ran, Trouble> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let program = Path::new(command.as_std().get_program())
        .display()
        .to_string();
    let cannot = |error: std::io::Error| Trouble::unknown(format!("cannot run {program}: {error}"));
    let mut child = command.spawn().map_err(cannot)?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(Trouble::unknown(format!("{program} is not connected")));
    };
    let (read, answer, said) = talk(feed, stdin, stdout, stderr).await;
    let status = child.wait().await.map_err(cannot)?;
    Ok(Ran {
        success: status.success(),
        answer: answer.map_err(cannot)?,
        said: said.map_err(cannot)?,
        read: read?,
    })
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
