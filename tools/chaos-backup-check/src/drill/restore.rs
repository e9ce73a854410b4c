//! The drill of a database: restored whole into a database of its own, its rows counted, its
//! questions asked, and thrown away.

use std::collections::BTreeMap;
use std::time::Instant;

use chaos_backup_check::formats::digest;
use chaos_backup_check::formats::pg_dump::directory::line;
use chaos_common::config::{Backup, DrillSettings, DrillSql};
use chaos_common::record::{BackupItem, Check, Contents, TableRows};

use super::dump::Dump;
use super::error::{DrillError, DrillErrorKind};
use super::feed::Feed;
use super::own_database::OwnDatabase;
use super::programs::numbers;
use super::rows::{self, identifier};
use super::server::Server;
use super::{Attempt, Restored, identity, roles};
use crate::context::Context;
use crate::item;

const QUERY: &str = "drill.query";

/// How a dump is restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// By `pg_restore`, from its standard input.
    Custom,
    /// By `pg_restore`, from a folder.
    Folder,
    /// By `psql`, into one database.
    Script,
    /// By `psql`, into the databases that it makes and connects to; it names roles that it does
    /// not make.
    DatabaseScript,
    /// The same, of `pg_dumpall`: it makes the roles itself, and its tables are named with their
    /// databases.
    ClusterScript,
}

/// A dump, what it says of itself, and what is asked of it.
struct Trial<'d> {
    dump: &'d Dump,
    /// Its name in checks.
    object: &'d str,
    form: Form,
    /// The files of a dump in directory format.
    files: Vec<String>,
    /// The database that it is of; empty if it does not say.
    database: &'d str,
    /// The database that it should be of.
    wanted: Option<String>,
    /// The version of the server that it is of.
    server_version: &'d str,
    tables: &'d [TableRows],
    /// SQL to do before the restore and after it, and questions.
    before: Vec<&'d str>,
    after: Vec<&'d str>,
    queries: Vec<&'d str>,
}

/// What the place was given that the dump lacks, since a first try failed.
#[derive(Default)]
struct Amended {
    /// The roles that it names.
    roles: bool,
    /// A database without the schema `public`, which it makes itself.
    public: bool,
}

/// What was read in order to restore it: size in bytes and BLAKE3 digest.
type Read = (u64, String);

/// Restores a dump.
pub(super) async fn drill(
    context: &Context,
    backup: &Backup,
    item: &BackupItem,
    dump: &Dump,
) -> Attempt {
    let settings = context.config.drill.clone().unwrap_or_default();
    let trial = Trial::of(item, dump, &settings).await.map(|trial| Trial {
        wanted: item::expectations(backup, &context.config).database,
        ..trial
    });
    let attempt = match trial {
        Ok(trial) => trial.attempt(context, &settings).await,
        Err(error) => Err(error),
    };
    attempt.unwrap_or_else(|error| Err(error).into())
}

impl<'d> Trial<'d> {
    async fn of(
        item: &'d BackupItem,
        dump: &'d Dump,
        settings: &'d DrillSettings,
    ) -> Result<Trial<'d>, DrillError> {
        let Some(Contents::Postgres {
            version,
            database,
            server_version,
            tables,
            ..
        }) = &item.contents
        else {
            return Err(DrillError::unknown("what it holds could not be read"));
        };
        let files = dump.files().await?;
        let form = match version.as_str() {
            "script" if database.is_empty() => Form::Script,
            "script" => Form::DatabaseScript,
            "cluster script" => Form::ClusterScript,
            _ if files.is_some() => Form::Folder,
            _ => Form::Custom,
        };
        let ours = |all: &'d [DrillSql]| {
            let own = |one: &&DrillSql| one.backup.as_ref().is_none_or(|name| *name == item.name);
            all.iter().filter(own).map(|one| one.sql.as_str()).collect()
        };
        Ok(Trial {
            dump,
            object: &item.path,
            form,
            files: files.unwrap_or_default(),
            database,
            wanted: None,
            server_version,
            tables,
            before: ours(&settings.before),
            after: ours(&settings.after),
            queries: ours(&settings.queries),
        })
    }

    /// Restores it into a server, and throws away what that made. A connection that breaks says
    /// nothing of the backup: then all is made anew, once, and that is told.
    async fn attempt(
        &self,
        context: &Context,
        settings: &DrillSettings,
    ) -> Result<Attempt, DrillError> {
        let lost = match self.attempt_once(context, settings).await {
            Err(error) if error.kind == DrillErrorKind::Disconnected => error,
            attempt => return attempt,
        };
        let mut attempt = self.attempt_once(context, settings).await?;
        if let Ok(restored) = &mut attempt.restored {
            let told = format!(
                "; at the second try, as the first one ended early: {}",
                lost.message
            );
            restored.message += &told;
        }
        Ok(attempt)
    }

    async fn attempt_once(
        &self,
        context: &Context,
        settings: &DrillSettings,
    ) -> Result<Attempt, DrillError> {
        let server = server(context, settings).await?;
        self.fits(&server).await?;
        let mut own = OwnDatabase::new(&server).await?;
        let attempt = self.restore_into(&server, &own).await;
        let removed = own.remove().await;
        let attempt = attempt?;
        Ok(match removed {
            Ok(()) => attempt,
            Err(error) => Attempt {
                restored: Err(error),
                ..attempt
            },
        })
    }

    /// Whether a server and its programs can take it.
    async fn fits(&self, server: &Server) -> Result<(), DrillError> {
        let version = server.version().await?;
        let (dumped, needed) = (self.server_version, numbers(self.server_version).0);
        let programs = [
            ("the scratch PostgreSQL is", version.as_str()),
            ("pg_restore is", server.client_version()),
        ];
        let older = programs
            .into_iter()
            .find(|(_, version)| numbers(version).0 < needed);
        if let Some((what, version)) = older {
            return Err(DrillError::unknown(format!(
                "{what} version {version}, and the dump was made of {dumped}: \
                 an older one cannot restore it"
            ))
            .hint(format!(
                "install PostgreSQL {needed} or newer, or name an image of it as drill.image, \
                 such as postgres:{needed}, or a scratch one as drill.url"
            )));
        }
        if self.form.makes_databases() && !server.is_own() {
            return Err(DrillError::unknown(format!(
                "was not restored: it makes databases and roles of its own, \
                 and {} is not thrown away afterwards",
                server.name
            ))
            .hint(
                "leave drill.url out, or name an image instead as drill.image: \
                 then a PostgreSQL is made for the drill",
            ));
        }
        Ok(())
    }

    async fn restore_into(
        &self,
        server: &Server,
        own: &OwnDatabase<'_>,
    ) -> Result<Attempt, DrillError> {
        let start = Instant::now();
        let (size_bytes, blake3) = self.fill(server, own).await?;
        let took = start.elapsed();
        let within = if self.form.makes_databases() {
            databases(server, own.name()).await?
        } else {
            vec![own.name().to_owned()]
        };
        let asked = self.asked(&within);
        hooks(server, Some(asked), &self.after).await?;
        let mut counted = BTreeMap::new();
        for database in &within {
            let named = |table| match self.form {
                Form::ClusterScript => format!("{database}.{table}"),
                _ => table,
            };
            let found = rows::count(server, database).await?;
            counted.extend(found.into_iter().map(|(table, rows)| (named(table), rows)));
        }
        let mut checks = vec![rows::judge(self.tables, &counted, self.object)];
        for sql in &self.queries {
            checks.push(ask(server, asked, sql).await?);
        }
        let rows: u64 = counted.values().sum();
        let (into, tables) = (server.name.clone(), counted.len());
        let ms = took.as_millis();
        let restored = Restored {
            message: format!("restored in {ms} ms into {into}: {rows} rows in {tables} tables"),
            took,
            size_bytes,
            blake3,
            into,
            rows: Some(rows),
        };
        Ok(Attempt {
            restored: Ok(restored),
            checks,
        })
    }

    /// Restores it; once more into an empty database, where that lacked what can be made.
    async fn fill(&self, server: &Server, own: &OwnDatabase<'_>) -> Result<Read, DrillError> {
        let mut amended = Amended::default();
        loop {
            if amended.public {
                let gone = "DROP SCHEMA public";
                let dropped = server.query(Some(own.name()), gone).await;
                dropped.map_err(DrillError::not_its_fault)?;
            }
            let first = (!self.form.makes_databases()).then(|| own.name());
            hooks(server, first, &self.before).await?;
            match self.fill_once(server, own).await {
                Err(error) if self.amend(server, own, &error, &mut amended).await? => {
                    own.renew().await?;
                }
                done => return done,
            }
        }
    }

    /// Whether what was lacking could be made, so that another try is worth it.
    async fn amend(
        &self,
        server: &Server,
        own: &OwnDatabase<'_>,
        error: &DrillError,
        amended: &mut Amended,
    ) -> Result<bool, DrillError> {
        if self.form.makes_databases() {
            return Ok(false);
        }
        let tried = match error.kind {
            // Roles are the server's, and stay.
            DrillErrorKind::LacksRole if server.is_own() => &mut amended.roles,
            DrillErrorKind::PublicIsThere => &mut amended.public,
            _ => return Ok(false),
        };
        if std::mem::replace(tried, true) {
            return Ok(false);
        }
        if error.kind == DrillErrorKind::LacksRole {
            make_roles(server, self.script(server, own).await?).await?;
        }
        Ok(true)
    }

    /// The statements of the dump, of which archives are unpacked without their data.
    async fn script(&self, server: &Server, own: &OwnDatabase<'_>) -> Result<Feed, DrillError> {
        match self.form {
            Form::Custom => server.statements(own.name(), None, self.dump.feed()).await,
            Form::Folder => {
                let folder = server.dump_folder()?.path;
                let nothing = Feed::bytes(Vec::new());
                server.statements(own.name(), Some(&folder), nothing).await
            }
            _ => Ok(self.dump.feed()),
        }
    }

    async fn fill_once(&self, server: &Server, own: &OwnDatabase<'_>) -> Result<Read, DrillError> {
        match self.form {
            Form::Custom => server.restore(own.name(), self.dump.feed()).await,
            Form::Folder => self.fill_from_folder(server, own.name()).await,
            Form::Script => server.run_script(Some(own.name()), self.dump.feed()).await,
            Form::DatabaseScript => {
                make_roles(server, self.dump.feed()).await?;
                server.run_script(None, self.dump.feed()).await
            }
            Form::ClusterScript => server.run_script(None, self.dump.feed()).await,
        }
    }

    /// Puts the files where `pg_restore` can read them, and restores them.
    async fn fill_from_folder(&self, server: &Server, database: &str) -> Result<Read, DrillError> {
        let place = server.dump_folder()?;
        let (mut size_bytes, mut lines) = (0, String::new());
        for name in &self.files {
            let (size, blake3) = server.put(&place.path, name, self.dump.file(name)).await?;
            size_bytes += size;
            lines += &line(name, Some(&blake3));
        }
        server.restore_folder(database, &place.path).await?;
        Ok((size_bytes, digest::of(lines.as_bytes())))
    }

    /// The database that the questions are for.
    fn asked<'w>(&'w self, within: &'w [String]) -> &'w str {
        if let [one] = within {
            return one;
        }
        let wanted = self.wanted.as_deref();
        let found = within
            .iter()
            .find(|database| Some(database.as_str()) == wanted);
        found.map_or(self.database, String::as_str)
    }
}

impl Form {
    fn makes_databases(self) -> bool {
        matches!(self, Form::DatabaseScript | Form::ClusterScript)
    }
}

/// Does what the configuration says for before or after the restore, in a database or in the
/// server's first one.
async fn hooks(server: &Server, database: Option<&str>, all: &[&str]) -> Result<(), DrillError> {
    for sql in all {
        server.query(database, sql).await.map_err(|error| {
            if error.kind == DrillErrorKind::Disconnected {
                return error;
            }
            let why = error.not_its_fault().message;
            DrillError::unknown(format!(
                "{sql:?} of the configuration cannot be done: {why}"
            ))
            .hint("see [[drill.before]] and [[drill.after]] in chaos.toml")
        })?;
    }
    Ok(())
}

/// Makes the roles that a script names.
async fn make_roles(server: &Server, script: Feed) -> Result<(), DrillError> {
    let roles = roles::named(script).await?;
    // It may be there: a hook may have made it, or every server may have it. Some things must belong
    // to a superuser, and the server is thrown away.
    let statement = |role: &String| {
        let name = identifier(role);
        format!(
            "DO $$BEGIN CREATE ROLE {name} SUPERUSER; EXCEPTION WHEN duplicate_object OR reserved_name THEN END$$;"
        )
    };
    let statements: Vec<String> = roles.iter().map(statement).collect();
    let made = server.query(None, &statements.join("\n")).await;
    made.map(drop).map_err(DrillError::not_its_fault)
}

/// The databases that a script has filled: all but the drill's own and those that every server has
/// empty.
async fn databases(server: &Server, own: &str) -> Result<Vec<String>, DrillError> {
    let sql = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1";
    let all = server.query(None, sql).await?;
    let names = all.into_iter().flatten();
    Ok(names.filter(|name| name != own).collect())
}

async fn server(context: &Context, settings: &DrillSettings) -> Result<Server, DrillError> {
    let preload = settings.preload.join(",");
    match (&settings.url, &settings.image) {
        (Some(_), _) if !preload.is_empty() => Err(DrillError::unknown(
            "drill.preload says what a PostgreSQL loads that is started for the drill, and \
             drill.url names one that is running",
        )),
        (Some(url), _) => {
            let url = url.read().map_err(|error| {
                DrillError::unknown(error.to_string()).hint("it is drill.url in chaos.toml")
            })?;
            let server = Server::of_url(&url).await?;
            identity::is_not_live(context, &server).await?;
            Ok(server)
        }
        (None, Some(image)) => Server::in_pod(image, &preload, context).await,
        (None, None) => Server::scratch(&preload).await,
    }
}

async fn ask(server: &Server, database: &str, sql: &str) -> Result<Check, DrillError> {
    let answer = match server.query(Some(database), sql).await {
        Ok(answer) => answer,
        Err(error) if error.kind == DrillErrorKind::Disconnected => return Err(error),
        Err(error) => return Ok(Check::new(QUERY, sql, error.status(), error.message)),
    };
    if answer == [["t"]] {
        return Ok(Check::pass(QUERY, sql, "is true"));
    }
    let lines: Vec<String> = answer.iter().map(|row| row.join("\t")).collect();
    let said: String = lines.join("\n").chars().take(80).collect();
    let message = format!("gives {said:?}, and must give one true value (t)");
    Ok(Check::fail(QUERY, sql, message))
}
