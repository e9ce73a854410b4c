//! A PostgreSQL that a drill restores into, wherever it is.

mod client_programs;
mod direct;
mod local;
mod pod;
mod url;

use std::path::PathBuf;

use self::client_programs::ClientPrograms;
use self::local::{SUPERUSER, Scratch};
use self::pod::PodServer;
use self::url::ServerUrl;
use super::error::DrillError;
use super::feed::Feed;
use super::process::Ran;
use super::programs::Programs;
use crate::context::Context;

/// Between the columns and the rows of an answer of `psql`: what no value has.
const COLUMN: &str = "\u{1f}";
const ROW: &str = "\u{1e}";

/// The rows of an answer, and the columns of each, as text; nothing for NULL.
pub(super) type Answer = Vec<Vec<String>>;

/// The way to a server.
pub(super) struct Server {
    way: Way,
    /// The database to ask in before there is one of the drill's own.
    first: String,
    /// For people: what it is.
    pub(super) name: String,
    /// Where its data is, for people.
    folder: PathBuf,
    /// Version of its programs.
    programs: String,
}

/// Where the server is, and its programs run.
enum Way {
    /// Started for the drill on this machine; gone with this.
    Own(Scratch, ClientPrograms),
    /// Somebody's, by its URL; the programs run on this machine.
    Url(ClientPrograms),
    /// In the pod that was made for the drill, with the programs beside it.
    Pod(Box<PodServer>),
}

/// Where a dump in directory format is put.
pub(super) struct DumpFolder {
    /// Where the programs run.
    pub(super) path: String,
    /// Gone with this, where it does not go with the server.
    _made: Option<tempfile::TempDir>,
}

impl Server {
    /// One started for the drill, which loads these libraries.
    pub(super) async fn scratch(preload: &str) -> Result<Server, DrillError> {
        let wanted = ["initdb", "postgres", "psql", "pg_restore"];
        let programs = Programs::find(&wanted).await.map_err(|error| {
            DrillError::unknown(format!("no scratch database can be started: {error}")).hint(
                "install PostgreSQL's server (postgresql-15 or newer), or name an image for one \
                 in the cluster as drill.image, or a scratch one as drill.url",
            )
        })?;
        let scratch = Scratch::start(&programs, preload).await?;
        let folder = scratch.folder().to_owned();
        let env = [
            ("PGHOST", folder.display().to_string()),
            ("PGUSER", SUPERUSER.to_owned()),
        ];
        let env = env.map(|(name, value)| (name.to_owned(), value)).into();
        Ok(Server {
            first: "postgres".to_owned(),
            name: format!("{}, started for the drill", scratch.version),
            folder,
            programs: programs.version.clone(),
            way: Way::Own(scratch, ClientPrograms { programs, env }),
        })
    }

    /// One in a pod that is made for the drill, which loads these libraries.
    pub(super) async fn in_pod(
        image: &str,
        preload: &str,
        context: &Context,
    ) -> Result<Server, DrillError> {
        let pod = PodServer::start(image, preload, context).await?;
        let (version, label) = (pod.version().await?, pod.label());
        Ok(Server {
            way: Way::Pod(Box::new(pod)),
            first: "postgres".to_owned(),
            name: format!("PostgreSQL {version} of {image} in {label}, made for the drill"),
            folder: PathBuf::from(format!("{} of {label}", self::pod::FOLDER)),
            programs: version,
        })
    }

    /// The one that a URL names.
    pub(super) async fn of_url(url: &str) -> Result<Server, DrillError> {
        let url = ServerUrl::parse(url).map_err(|why| {
            DrillError::unknown(format!("drill.url is not the URL of a PostgreSQL: {why}"))
        })?;
        let programs = Programs::find(&["psql", "pg_restore"]).await;
        let programs = programs.map_err(|error| {
            DrillError::unknown(format!("nothing can be restored: {error}"))
                .hint("install PostgreSQL's client programs")
        })?;
        let name = url.name();
        let version = programs.version.clone();
        let env = url.env.into_iter().collect();
        Ok(Server {
            way: Way::Url(ClientPrograms { programs, env }),
            first: url.database,
            name,
            folder: PathBuf::from("the server's data directory"),
            programs: version,
        })
    }

    /// Whether it was made for the drill, and is thrown away with all that is in it.
    pub(super) fn is_own(&self) -> bool {
        !matches!(self.way, Way::Url(_))
    }

    /// Runs one of PostgreSQL's programs on a database.
    async fn run(
        &self,
        program: &str,
        database: Option<&str>,
        args: &[&str],
        feed: Feed,
    ) -> Result<Ran, DrillError> {
        let database = database.unwrap_or(&self.first);
        match &self.way {
            Way::Own(_, programs) | Way::Url(programs) => {
                programs.run(program, database, args, feed).await
            }
            Way::Pod(pod) => pod.run(program, database, args, feed).await,
        }
    }

    /// Asks something, in a database or in the first one.
    pub(super) async fn query(
        &self,
        database: Option<&str>,
        sql: &str,
    ) -> Result<Answer, DrillError> {
        let what = "asking the scratch database";
        if let Way::Own(scratch, _) = &self.way {
            let database = database.unwrap_or(&self.first);
            let answer = direct::query(scratch.folder(), SUPERUSER, database, sql).await;
            return answer.map_err(|error| direct::drill_error(what, &error, &self.folder));
        }
        let mut args = vec!["-XAtq", "-v", "ON_ERROR_STOP=1", "-F", COLUMN];
        args.extend(["-R", ROW, "-f", "-"]);
        let sql = format!("{};\n", sql.trim_end().trim_end_matches(';'));
        let feed = Feed::bytes(sql.into_bytes());
        let ran = self.run("psql", database, &args, feed).await?;
        if ran.success {
            Ok(answer(&ran.answer))
        } else {
            Err(DrillError::of_postgres(what, &ran.said, &self.folder))
        }
    }

    /// Restores a dump of the custom format into a database; gives size and digest of what was
    /// read.
    pub(super) async fn restore(
        &self,
        database: &str,
        dump: Feed,
    ) -> Result<(u64, String), DrillError> {
        self.pg_restore(database, &[], dump).await
    }

    /// Restores a dump of the directory format, which is in `folder` where the programs run.
    pub(super) async fn restore_folder(
        &self,
        database: &str,
        folder: &str,
    ) -> Result<(), DrillError> {
        let args = ["--format=directory", folder];
        let nothing = Feed::bytes(Vec::new());
        self.pg_restore(database, &args, nothing).await.map(drop)
    }

    async fn pg_restore(
        &self,
        database: &str,
        more: &[&str],
        dump: Feed,
    ) -> Result<(u64, String), DrillError> {
        // Owners and rights name roles, which a dump does not hold, and tablespaces are folders of
        // its own machine.
        let mut args = vec!["--exit-on-error", "--no-owner", "--no-privileges"];
        args.push("--no-tablespaces");
        args.extend(["--dbname", database]);
        args.extend(more);
        let ran = self.run("pg_restore", None, &args, dump).await?;
        self.restored(ran)
    }

    /// The statements of a dump that is in `folder` where the programs run, or that is given, without
    /// its data, owners and rights.
    pub(super) async fn statements(
        &self,
        database: &str,
        folder: Option<&str>,
        dump: Feed,
    ) -> Result<Feed, DrillError> {
        let mut args = vec!["--schema-only", "--no-owner", "--no-privileges", "-f", "-"];
        args.extend(folder.map(|_| "--format=directory"));
        args.extend(folder);
        let ran = self.run("pg_restore", Some(database), &args, dump).await?;
        if !ran.success {
            let what = "its statements cannot be listed";
            return Err(DrillError::of_postgres(what, &ran.said, &self.folder).not_its_fault());
        }
        Ok(Feed::bytes(ran.answer.into_bytes()))
    }

    /// Runs a script of SQL, beginning in a database; gives size and digest of what was read.
    pub(super) async fn run_script(
        &self,
        database: Option<&str>,
        script: Feed,
    ) -> Result<(u64, String), DrillError> {
        let args = ["-Xq", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", "-"];
        let ran = self.run("psql", database, &args, script).await?;
        self.restored(ran)
    }

    fn restored(&self, ran: Ran) -> Result<(u64, String), DrillError> {
        if ran.success {
            return Ok(ran.read);
        }
        let what = "it does not restore";
        Err(DrillError::of_postgres(what, &ran.said, &self.folder))
    }

    /// Puts a file into a folder of the drill's own, where the programs run, and gives size and
    /// digest.
    pub(super) async fn put(
        &self,
        folder: &str,
        name: &str,
        file: Feed,
    ) -> Result<(u64, String), DrillError> {
        match &self.way {
            Way::Pod(pod) => pod.put(folder, name, file).await,
            Way::Own(..) | Way::Url(_) => client_programs::put(folder, name, file).await,
        }
    }

    /// A folder for a dump in directory format.
    pub(super) fn dump_folder(&self) -> Result<DumpFolder, DrillError> {
        let (path, made) = match &self.way {
            Way::Pod(_) => (format!("{}/dump", self::pod::FOLDER), None),
            Way::Own(scratch, _) => {
                let path = scratch.folder().join("dump");
                (path.display().to_string(), None)
            }
            Way::Url(_) => {
                let made = local::folder()?;
                (made.path().display().to_string(), Some(made))
            }
        };
        Ok(DumpFolder { path, _made: made })
    }

    /// Starts a statement in the first database, by a program that is not waited for. Only for
    /// servers that are not thrown away.
    pub(super) fn start_psql(&self, sql: &str) -> std::io::Result<std::process::Child> {
        match &self.way {
            Way::Url(programs) => programs.start_psql(&self.first, sql),
            Way::Own(..) | Way::Pod(_) => Err(std::io::Error::other("it goes with its server")),
        }
    }

    /// Its version: `15.18`.
    pub(super) async fn version(&self) -> Result<String, DrillError> {
        let said = self.query(None, "SHOW server_version").await;
        let said = said.map_err(DrillError::not_its_fault)?;
        let text = said.into_iter().flatten().next().unwrap_or_default();
        Ok(text
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned())
    }

    /// Version of `pg_restore` and `psql`.
    pub(super) fn client_version(&self) -> &str {
        &self.programs
    }
}

/// The answer of `psql`, which ends the last row with a newline.
fn answer(text: &str) -> Answer {
    let text = text.strip_suffix('\n').unwrap_or(text);
    if text.is_empty() {
        return Vec::new();
    }
    let columns = |row: &str| row.split(COLUMN).map(str::to_owned).collect();
    text.split(ROW).map(columns).collect()
}

#[cfg(test)]
mod tests {
    use super::answer;

    #[test]
    fn an_answer_has_rows_and_columns() {
        assert_eq!(answer(""), Vec::<Vec<String>>::new());
        assert_eq!(answer("t\n"), [["t"]]);
        let two = "public\u{1f}od\td\u{1e}public\u{1f}users\n";
        assert_eq!(answer(two), [["public", "od\td"], ["public", "users"]]);
    }
}
