//! The drill of a database: restored whole into a database of its own, its rows counted, its
//! questions asked, and thrown away.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chaos_backup_check::formats::digest;
use chaos_backup_check::formats::pg_dump::directory::line;
use chaos_common::config::{Backup, DrillSettings};
use chaos_common::record::{BackupItem, Check, Contents, TableRows};

use super::error::Trouble;
use super::programs::numbers;
use super::server::Server;
use super::{Dump, Restored, identity, roles};
use crate::context::Context;

const ROWS: &str = "drill.rows";
const QUERY: &str = "drill.query";
/// Differences that are told one by one.
const TOLD: usize = 5;
/// The names of all drills' databases begin so.
const PREFIX: &str = "chaos_drill_";

/// Every table with its rows, a line each.
const COUNT: &str = r"SELECT format('SELECT %L, count(*) FROM %I.%I', n.nspname || '.' || c.relname, n.nspname, c.relname)
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
  ORDER BY 1 \gexec
";

/// How a dump is restored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// By `pg_restore`, from its standard input.
    Custom,
    /// By `pg_restore`, from a folder.
    Folder,
    /// By `psql`, into one database.
    Script,
    /// By `psql`, into the databases that it makes and connects to.
    Cluster,
}

/// Restores a dump.
pub(crate) async fn drill(
    context: &Context,
    settings: &DrillSettings,
    backup: &Backup,
    item: &BackupItem,
    dump: &Dump,
    checks: &mut Vec<Check>,
) -> Result<Restored, Trouble> {
    let Some(Contents::Postgres {
        version,
        database,
        server_version,
        tables,
        ..
    }) = &item.contents
    else {
        return Err(Trouble::unknown("what it holds could not be read"));
    };
    let files = dump.files().await?;
    let form = match version.as_str() {
        "script" if database.is_empty() => Form::Script,
        "script" | "cluster script" => Form::Cluster,
        _ if files.is_some() => Form::Folder,
        _ => Form::Custom,
    };
    let server = server(context, settings).await?;
    fits(&server, server_version).await?;
    if form == Form::Cluster && !server.is_own() {
        return Err(Trouble::unknown(format!(
            "was not restored: it makes databases and roles of its own, and {} is not thrown away afterwards",
            server.name
        ))
        .hint(
            "leave drill.url out, or name an image instead as drill.image: then a PostgreSQL is made for the drill",
        ));
    }
    let mut own = OwnDatabase::new(&server).await?;
    let name = own.name.clone();
    let done =
        async {
            let start = Instant::now();
            let (size_bytes, blake3) = match form {
                Form::Custom => server.restore(&name, dump.feed()).await?,
                Form::Folder => folder(&server, &name, dump, &files.unwrap_or_default()).await?,
                Form::Script => script(&server, &mut own, dump).await?,
                Form::Cluster => {
                    // pg_dumpall makes the roles itself.
                    if version == "script" {
                        make_roles(&server, dump).await?;
                    }
                    server.run_script(None, dump.feed()).await?
                }
            };
            let took = start.elapsed();
            let within = if form == Form::Cluster {
                databases(&server, &own.name).await?
            } else {
                vec![own.name.clone()]
            };
            let mut counted = BTreeMap::new();
            for of in &within {
                let found = rows(&server.ask(Some(of), COUNT).await?)?;
                // A script of pg_dumpall names tables with their databases.
                let all = version == "cluster script";
                counted.extend(found.into_iter().map(|(table, rows)| {
                    (if all { format!("{of}.{table}") } else { table }, rows)
                }));
            }
            checks.push(count(tables, &counted, &item.path));
            let asked = if let [one] = &within[..] {
                one
            } else {
                let wanted = crate::item::want(backup, &context.config)
                    .database
                    .unwrap_or_default();
                within.iter().find(|of| **of == wanted).unwrap_or(database)
            };
            for query in &settings.queries {
                if query.backup.as_ref().is_none_or(|name| *name == item.name) {
                    checks.push(ask(&server, asked, &query.sql).await);
                }
            }
            Ok((took, size_bytes, blake3, counted))
        }
        .await;
    let dropped = own.remove().await;
    let (took, size_bytes, blake3, counted) = done?;
    dropped?;
    let rows: u64 = counted.values().sum();
    let into = server.name.clone();
    Ok(Restored {
        message: format!(
            "restored in {} ms into {into}: {} rows in {} tables",
            took.as_millis(),
            rows,
            counted.len()
        ),
        took,
        size_bytes,
        blake3,
        into,
        rows: Some(rows),
    })
}

/// Whether a server and its programs are new enough for a dump.
async fn fits(server: &Server, dumped: &str) -> Result<(), Trouble> {
    let version = server.version().await?;
    let programs = [
        ("the scratch PostgreSQL is", version.as_str()),
        ("pg_restore is", server.client_version()),
    ];
    match programs.into_iter().find(|(_, version)| numbers(version).0 < numbers(dumped).0) {
        None => Ok(()),
        Some((what, version)) => Err(Trouble::unknown(format!(
            "{what} version {version}, and the dump was made of {dumped}: an older one cannot restore it"
        ))
        .hint(format!(
            "install PostgreSQL {0} or newer, or name an image of it as drill.image, such as postgres:{0}, or a scratch one as drill.url",
            numbers(dumped).0
        ))),
    }
}

/// Puts a dump in directory format where `pg_restore` can read it, and restores it.
async fn folder(
    server: &Server,
    database: &str,
    dump: &Dump,
    files: &[String],
) -> Result<(u64, String), Trouble> {
    let (folder, _room) = server.room()?;
    let (mut size_bytes, mut lines) = (0, String::new());
    for name in files {
        let (size, blake3) = server.put(&folder, name, dump.file(name)).await?;
        size_bytes += size;
        lines += &line(name, Some(&blake3));
    }
    server.restore_folder(database, &folder).await?;
    Ok((size_bytes, digest::of(lines.as_bytes())))
}

/// Runs a script; once more, in an empty database, with the roles that it names, if it lacks one.
async fn script(
    server: &Server,
    own: &mut OwnDatabase<'_>,
    dump: &Dump,
) -> Result<(u64, String), Trouble> {
    let first = server.run_script(Some(&own.name), dump.feed()).await;
    match first {
        Err(trouble) if trouble.lacks_role && server.is_own() => {
            make_roles(server, dump).await?;
            own.renew().await?;
            server.run_script(Some(&own.name), dump.feed()).await
        }
        done => done,
    }
}

/// Makes the roles that a script names.
async fn make_roles(server: &Server, dump: &Dump) -> Result<(), Trouble> {
    let roles = roles::named(dump.feed()).await?;
    let make = |role: &String| format!("CREATE ROLE \"{}\";", role.replace('"', "\"\""));
    let make: Vec<String> = roles.iter().map(make).collect();
    server
        .ask(None, &make.join("\n"))
        .await
        .map(drop)
        .map_err(Trouble::not_its_fault)
}

/// The databases that a script has filled: all but the drill's own and those that every server has
/// empty.
async fn databases(server: &Server, own: &str) -> Result<Vec<String>, Trouble> {
    let sql = "SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1";
    let all = server.ask(None, sql).await?;
    Ok(all
        .lines()
        .filter(|name| *name != own)
        .map(str::to_owned)
        .collect())
}

async fn server(context: &Context, settings: &DrillSettings) -> Result<Server, Trouble> {
    match (&settings.url, &settings.image) {
        (Some(url), _) => {
            let url = url
                .read()
                .map_err(|why| Trouble::unknown(why).hint("it is drill.url in chaos.toml"))?;
            let server = Server::of_url(&url).await?;
            identity::is_not_live(context, &server).await?;
            Ok(server)
        }
        (None, Some(image)) => Server::in_pod(image, context).await,
        (None, None) => Server::scratch().await,
    }
}

/// A database of the drill's own in a server that may have others.
struct OwnDatabase<'s> {
    server: &'s Server,
    name: String,
    gone: bool,
}

impl OwnDatabase<'_> {
    async fn new(server: &Server) -> Result<OwnDatabase<'_>, Trouble> {
        let name = format!(
            "{PREFIX}{}_{}",
            std::process::id(),
            chaos_common::record::new_id().replace('-', "")
        );
        // A server that is thrown away takes it along.
        let own = OwnDatabase {
            server,
            name,
            gone: server.is_own(),
        };
        own.make().await?;
        Ok(own)
    }

    async fn make(&self) -> Result<(), Trouble> {
        let make = format!(
            "CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'",
            self.name
        );
        self.server
            .ask(None, &make)
            .await
            .map(drop)
            .map_err(Trouble::not_its_fault)
    }

    /// An empty one in its place.
    async fn renew(&self) -> Result<(), Trouble> {
        let drop_it = format!("DROP DATABASE {} WITH (FORCE)", self.name);
        self.server
            .ask(None, &drop_it)
            .await
            .map_err(Trouble::not_its_fault)?;
        self.make().await
    }

    async fn remove(&mut self) -> Result<(), Trouble> {
        if self.gone {
            return Ok(());
        }
        self.gone = true;
        let removed = self
            .server
            .ask(None, &format!("DROP DATABASE {} WITH (FORCE)", self.name))
            .await;
        removed.map(drop).map_err(|trouble| {
            Trouble::unknown(format!(
                "the drill's database {} is left in the scratch PostgreSQL: {}",
                self.name, trouble.message
            ))
            .hint(format!("DROP DATABASE {} WITH (FORCE);", self.name))
        })
    }
}

impl Drop for OwnDatabase<'_> {
    /// When the drill is stopped half-way.
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        let drop_it = self.server.drop_now(&self.name);
        let start = Instant::now();
        if let Ok(mut child) = drop_it {
            while start.elapsed() < Duration::from_secs(10) {
                if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// The lines of [`COUNT`].
fn rows(answer: &str) -> Result<BTreeMap<String, u64>, Trouble> {
    let line = |line: &str| {
        let (table, rows) = line.rsplit_once('\t')?;
        Some((table.to_owned(), rows.parse().ok()?))
    };
    let lines = answer.lines().filter(|line| !line.is_empty());
    let counted = lines.map(|text| {
        line(text)
            .ok_or_else(|| Trouble::unknown("the rows of the restored tables cannot be counted"))
    });
    counted.collect()
}

/// Whether every table has the rows that its data in the dump have.
fn count(expected: &[TableRows], counted: &BTreeMap<String, u64>, object: &str) -> Check {
    let differs = |table: &TableRows| match counted.get(&table.table) {
        Some(rows) if *rows == table.rows => None,
        Some(rows) => Some(format!(
            "{} has {rows} rows and should have {}",
            table.table, table.rows
        )),
        None => Some(format!("{} is missing", table.table)),
    };
    let wrong: Vec<String> = expected.iter().filter_map(differs).collect();
    if wrong.is_empty() {
        let rows: u64 = expected.iter().map(|table| table.rows).sum();
        return Check::pass(
            ROWS,
            object,
            format!(
                "{} tables have the {rows} rows that the dump holds",
                expected.len()
            ),
        );
    }
    let more = if wrong.len() > TOLD {
        format!(", and {} more", wrong.len() - TOLD)
    } else {
        String::new()
    };
    Check::fail(
        ROWS,
        object,
        format!("{}{more}", wrong[..wrong.len().min(TOLD)].join(", ")),
    )
    .hint("pg_restore lost or doubled rows: look at triggers and rules of these tables")
}

async fn ask(server: &Server, database: &str, sql: &str) -> Check {
    match server
        .ask(
            Some(database),
            &format!("{};\n", sql.trim_end().trim_end_matches(';')),
        )
        .await
        .as_deref()
        .map(str::trim)
    {
        Ok("t") => Check::pass(QUERY, sql, "is true"),
        Ok(other) => {
            let said: String = other.chars().take(80).collect();
            Check::fail(
                QUERY,
                sql,
                format!("gives {said:?}, and must give one true value (t)"),
            )
        }
        Err(trouble) => Check::new(QUERY, sql, trouble.status, trouble.message.clone()),
    }
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
        let counted = rows("public.users\t3\npublic.od\td\t1\n").expect("lines");
        assert_eq!(counted["public.od\td"], 1);
        let status = |expected: &[TableRows]| count(expected, &counted, "x").status;
        assert_eq!(status(&[table("public.users", 3)]), Status::Pass);
        assert_eq!(status(&[]), Status::Pass, "a dump without data");
        assert_eq!(status(&[table("public.users", 2)]), Status::Fail);
        assert_eq!(status(&[table("public.users", 4)]), Status::Fail);
        assert_eq!(status(&[table("public.orders", 0)]), Status::Fail);
        assert!(rows("nonsense\n").is_err());
    }
}
