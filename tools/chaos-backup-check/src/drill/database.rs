//! The drill of a database: restored whole into a database of its own, its rows counted, its questions
//! asked, and thrown away.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chaos_common::config::DrillSettings;
use chaos_common::record::{BackupItem, Check, Contents, TableRows};

use super::Restored;
use super::feed::Feed;
use super::identity;
use super::programs::numbers;
use super::server::Server;
use super::trouble::Trouble;
use crate::check::Context;

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

/// Restores a dump.
pub(crate) async fn drill(
    context: &Context,
    settings: &DrillSettings,
    item: &BackupItem,
    dump: Feed,
    checks: &mut Vec<Check>,
) -> Result<Restored, Trouble> {
    let Some(Contents::Postgres { server_version, tables, .. }) = &item.contents else {
        return Err(Trouble::unknown("what it holds could not be read"));
    };
    let server = server(context, settings).await?;
    let version = server.version().await?;
    for (what, version) in [("the scratch PostgreSQL is", version.as_str()), ("pg_restore is", server.client_version())]
    {
        if numbers(version).0 < numbers(server_version).0 {
            return Err(Trouble::unknown(format!(
                "{what} version {version}, and the dump was made of {server_version}: an older one cannot restore it"
            ))
            .hint(format!(
                "install PostgreSQL {} or newer, or name a scratch one as drill.url",
                numbers(server_version).0
            )));
        }
    }
    let database = format!("{PREFIX}{}_{}", std::process::id(), chaos_common::record::new_id().replace('-', ""));
    server
        .ask(None, &format!("CREATE DATABASE {database} TEMPLATE template0 ENCODING 'UTF8'"))
        .await
        .map_err(Trouble::not_its_fault)?;
    let mut own = OwnDatabase { server: &server, name: &database, gone: false };
    let done = async {
        let start = Instant::now();
        let (size_bytes, sha256) = server.restore(&database, dump).await?;
        let took = start.elapsed();
        let counted = rows(&server.ask(Some(&database), COUNT).await?)?;
        checks.push(count(tables, &counted, &item.path));
        for query in &settings.queries {
            if query.backup.as_ref().is_none_or(|name| *name == item.name) {
                checks.push(ask(&server, &database, &query.sql).await);
            }
        }
        Ok((took, size_bytes, sha256, counted))
    }
    .await;
    let dropped = own.remove().await;
    let (took, size_bytes, sha256, counted) = done?;
    dropped?;
    let rows: u64 = counted.values().sum();
    let into = server.name.clone();
    Ok(Restored {
        message: format!("restored in {} ms into {into}: {} rows in {} tables", took.as_millis(), rows, counted.len()),
        took,
        size_bytes,
        sha256,
        into,
        rows: Some(rows),
    })
}

async fn server(context: &Context, settings: &DrillSettings) -> Result<Server, Trouble> {
    match &settings.url {
        Some(url) => {
            let url = url.read().map_err(|why| Trouble::unknown(why).hint("it is drill.url in chaos.toml"))?;
            let server = Server::of_url(&url).await?;
            identity::is_not_live(context, &server).await?;
            Ok(server)
        }
        None => Server::scratch().await,
    }
}

/// A database of the drill's own in a server that may have others.
struct OwnDatabase<'s> {
    server: &'s Server,
    name: &'s str,
    gone: bool,
}

impl OwnDatabase<'_> {
    async fn remove(&mut self) -> Result<(), Trouble> {
        self.gone = true;
        let removed = self.server.ask(None, &format!("DROP DATABASE {} WITH (FORCE)", self.name)).await;
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
        let drop_it = self.server.drop_now(self.name);
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
    let counted = lines
        .map(|text| line(text).ok_or_else(|| Trouble::unknown("the rows of the restored tables cannot be counted")));
    counted.collect()
}

/// Whether every table has the rows that its data in the dump have.
fn count(expected: &[TableRows], counted: &BTreeMap<String, u64>, object: &str) -> Check {
    let differs = |table: &TableRows| match counted.get(&table.table) {
        Some(rows) if *rows == table.rows => None,
        Some(rows) => Some(format!("{} has {rows} rows and should have {}", table.table, table.rows)),
        None => Some(format!("{} is missing", table.table)),
    };
    let wrong: Vec<String> = expected.iter().filter_map(differs).collect();
    if wrong.is_empty() {
        let rows: u64 = expected.iter().map(|table| table.rows).sum();
        return Check::pass(
            ROWS,
            object,
            format!("{} tables have the {rows} rows that the dump holds", expected.len()),
        );
    }
    let more = if wrong.len() > TOLD { format!(", and {} more", wrong.len() - TOLD) } else { String::new() };
    Check::fail(ROWS, object, format!("{}{more}", wrong[..wrong.len().min(TOLD)].join(", ")))
        .hint("pg_restore lost or doubled rows: look at triggers and rules of these tables")
}

async fn ask(server: &Server, database: &str, sql: &str) -> Check {
    match server
        .ask(Some(database), &format!("{};\n", sql.trim_end().trim_end_matches(';')))
        .await
        .as_deref()
        .map(str::trim)
    {
        Ok("t") => Check::pass(QUERY, sql, "is true"),
        Ok(other) => {
            let said: String = other.chars().take(80).collect();
            Check::fail(QUERY, sql, format!("gives {said:?}, and must give one true value (t)"))
        }
        Err(trouble) => Check::new(QUERY, sql, trouble.status, trouble.message.clone()),
    }
}

#[cfg(test)]
mod tests {
    use chaos_common::record::Status;

    use super::*;

    fn table(name: &str, rows: u64) -> TableRows {
        TableRows { table: name.into(), rows }
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
