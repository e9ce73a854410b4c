//! The drill of a database: restored whole into a database of its own, its rows counted, its
//! questions asked, and thrown away.

use std::collections::BTreeMap;
use std::time::Instant;

use chaos_backup_check::formats::digest;
use chaos_backup_check::formats::pg_dump::directory::line;
use chaos_common::config::{Backup, DrillSettings};
use chaos_common::postgres::literal;
use chaos_common::record::{BackupItem, Check, Contents, TableRows};

use super::dump::Dump;
use super::error::{DrillError, DrillErrorKind};
use super::own_database::OwnDatabase;
use super::programs::numbers;
use super::server::Server;
use super::{Attempt, Restored, identity, roles};
use crate::context::Context;
use crate::item;

const ROWS: &str = "drill.rows";
const QUERY: &str = "drill.query";
/// Differences that are told one by one.
const TOLD: usize = 5;
/// Tables that are counted by one statement.
const TABLES: usize = 200;

/// Every table of a database.
const LIST: &str = r"SELECT n.nspname, c.relname
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  ORDER BY 1, 2";

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
    /// Questions, in SQL.
    queries: Vec<&'d str>,
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
        let ours = settings
            .queries
            .iter()
            .filter(|query| query.backup.as_ref().is_none_or(|name| *name == item.name));
        Ok(Trial {
            dump,
            object: &item.path,
            form,
            files: files.unwrap_or_default(),
            database,
            wanted: None,
            server_version,
            tables,
            queries: ours.map(|query| query.sql.as_str()).collect(),
        })
    }

    /// Restores it into a server, and throws away what that made.
    async fn attempt(
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
        let mut counted = BTreeMap::new();
        for database in &within {
            let named = |table| match self.form {
                Form::ClusterScript => format!("{database}.{table}"),
                _ => table,
            };
            let found = count_rows(server, database).await?;
            counted.extend(found.into_iter().map(|(table, rows)| (named(table), rows)));
        }
        let mut checks = vec![judge_rows(self.tables, &counted, self.object)];
        let asked = self.asked(&within);
        for sql in &self.queries {
            checks.push(ask(server, asked, sql).await);
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

    /// Restores it.
    async fn fill(&self, server: &Server, own: &OwnDatabase<'_>) -> Result<Read, DrillError> {
        match self.form {
            Form::Custom => server.restore(own.name(), self.dump.feed()).await,
            Form::Folder => self.fill_from_folder(server, own.name()).await,
            Form::Script => self.fill_by_script(server, own).await,
            Form::DatabaseScript => {
                make_roles(server, self.dump).await?;
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

    /// Runs a script; once more, in an empty database, with the roles that it names, if it lacks
    /// one.
    async fn fill_by_script(
        &self,
        server: &Server,
        own: &OwnDatabase<'_>,
    ) -> Result<Read, DrillError> {
        let first = server.run_script(Some(own.name()), self.dump.feed()).await;
        match first {
            Err(error) if error.kind == DrillErrorKind::LacksRole && server.is_own() => {
                make_roles(server, self.dump).await?;
                own.renew().await?;
                server.run_script(Some(own.name()), self.dump.feed()).await
            }
            done => done,
        }
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

/// Makes the roles that a script names.
async fn make_roles(server: &Server, dump: &Dump) -> Result<(), DrillError> {
    let roles = roles::named(dump.feed()).await?;
    let statement = |role: &String| format!("CREATE ROLE {};", identifier(role));
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
    match (&settings.url, &settings.image) {
        (Some(url), _) => {
            let url = url.read().map_err(|error| {
                DrillError::unknown(error.to_string()).hint("it is drill.url in chaos.toml")
            })?;
            let server = Server::of_url(&url).await?;
            identity::is_not_live(context, &server).await?;
            Ok(server)
        }
        (None, Some(image)) => Server::in_pod(image, context).await,
        (None, None) => Server::scratch().await,
    }
}

/// The rows of every table of a database, by schema and name.
async fn count_rows(server: &Server, database: &str) -> Result<BTreeMap<String, u64>, DrillError> {
    let uncounted = || DrillError::unknown("the rows of the restored tables cannot be counted");
    let tables = server.query(Some(database), LIST).await?;
    let mut counted = BTreeMap::new();
    for tables in tables.chunks(TABLES) {
        let count = |table: &Vec<String>| match &table[..] {
            [schema, name] => Some(count_of(schema, name)),
            _ => None,
        };
        let counts: Option<Vec<String>> = tables.iter().map(count).collect();
        let sql = counts.ok_or_else(uncounted)?.join(" UNION ALL ");
        for row in server.query(Some(database), &sql).await? {
            let [table, rows] = &row[..] else {
                return Err(uncounted());
            };
            counted.insert(table.clone(), rows.parse().map_err(|_| uncounted())?);
        }
    }
    Ok(counted)
}

fn count_of(schema: &str, name: &str) -> String {
    format!(
        "SELECT {}, count(*) FROM {}.{}",
        literal(&format!("{schema}.{name}")),
        identifier(schema),
        identifier(name)
    )
}

/// A name as SQL takes it, whatever is in it.
fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Whether every table has the rows that its data in the dump have.
fn judge_rows(expected: &[TableRows], counted: &BTreeMap<String, u64>, object: &str) -> Check {
    let differs = |table: &TableRows| {
        let name = &table.table;
        match counted.get(name) {
            Some(rows) if *rows == table.rows => None,
            Some(rows) => Some(format!(
                "{name} has {rows} rows and should have {}",
                table.rows
            )),
            None => Some(format!("{name} is missing")),
        }
    };
    let wrong: Vec<String> = expected.iter().filter_map(differs).collect();
    if wrong.is_empty() {
        let rows: u64 = expected.iter().map(|table| table.rows).sum();
        let tables = expected.len();
        let message = format!("{tables} tables have the {rows} rows that the dump holds");
        return Check::pass(ROWS, object, message);
    }
    let (first, rest) = wrong.split_at(wrong.len().min(TOLD));
    let more = match rest.len() {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    Check::fail(ROWS, object, format!("{}{more}", first.join(", ")))
        .hint("pg_restore lost or doubled rows: look at triggers and rules of these tables")
}

async fn ask(server: &Server, database: &str, sql: &str) -> Check {
    let answer = match server.query(Some(database), sql).await {
        Ok(answer) => answer,
        Err(error) => return Check::new(QUERY, sql, error.status(), error.message),
    };
    if answer == [["t"]] {
        return Check::pass(QUERY, sql, "is true");
    }
    let lines: Vec<String> = answer.iter().map(|row| row.join("\t")).collect();
    let said: String = lines.join("\n").chars().take(80).collect();
    let message = format!("gives {said:?}, and must give one true value (t)");
    Check::fail(QUERY, sql, message)
}

#[cfg(test)]
mod tests {
    use chaos_common::record::Status;

    use super::*;

    fn table(name: &str, rows: u64) -> TableRows {
        TableRows {
            table: name.into(),
            rows,
        }
    }

    #[test]
    fn every_table_must_have_its_rows() {
        let counted = BTreeMap::from([
            ("public.users".to_owned(), 3),
            ("public.od\td".to_owned(), 1),
        ]);
        let status = |expected: &[TableRows]| judge_rows(expected, &counted, "x").status;
        assert_eq!(status(&[table("public.users", 3)]), Status::Pass);
        assert_eq!(status(&[table("public.od\td", 1)]), Status::Pass);
        assert_eq!(status(&[]), Status::Pass, "a dump without data");
        assert_eq!(status(&[table("public.users", 2)]), Status::Fail);
        assert_eq!(status(&[table("public.users", 4)]), Status::Fail);
        assert_eq!(status(&[table("public.orders", 0)]), Status::Fail);
    }

    #[test]
    fn names_are_quoted_where_rows_are_counted() {
        assert_eq!(
            count_of("public", "o'd\"d"),
            "SELECT E'public.o''d\"d', count(*) FROM \"public\".\"o'd\"\"d\""
        );
    }
}
