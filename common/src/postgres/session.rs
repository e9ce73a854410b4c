//! A session with the configured database, the same over every vantage.

use std::time::Duration;

use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::psql::Psql;
use super::wire::{self, Wire};
use crate::cluster::{Cluster, ReadError};
use crate::config::{Database, DatabaseVantage};

/// Time that connecting may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How much longer than the server's own limit for a statement its answer is waited for.
const GRACE: Duration = Duration::from_secs(5);

/// An open session. Statements run one after the other; what an earlier one set holds for the next.
#[derive(Debug)]
pub struct Session {
    what: String,
    vantage: String,
    statement_timeout: Duration,
    link: Link,
}

#[derive(Debug)]
enum Link {
    Psql(Box<Psql>),
    Wire(Wire),
    /// What was on its way when it broke may still run on the server, so nothing more is asked.
    Broken,
}

/// Why a statement has no answer.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {what}: {why}")]
pub struct QueryError {
    /// The attempt: `read database shop …`.
    pub what: String,
    /// The server's SQLSTATE, if it was the server that said no: the session goes on, though a
    /// transaction does not. `None` means that the session is broken.
    pub state: Option<String>,
    /// What happened.
    pub why: String,
}

impl QueryError {
    /// The server refused for want of a permission.
    pub fn is_forbidden(&self) -> bool {
        self.state.as_deref() == Some("42501")
    }

    /// The server found stored data that can't be right: a page, a row or an index is damaged.
    pub fn is_damage(&self) -> bool {
        self.state
            .as_deref()
            .is_some_and(|state| matches!(state, "XX001" | "XX002" | "58P01"))
    }

    /// The server ended the statement because it took too long or waited for a lock.
    pub fn is_timeout(&self) -> bool {
        self.state
            .as_deref()
            .is_some_and(|state| matches!(state, "57014" | "55P03"))
    }

    /// A next step, where there is one.
    pub fn hint(&self) -> Option<&'static str> {
        match self.state.as_deref() {
            Some("57014") => Some("give each statement more time with database.statement_timeout"),
            Some("55P03") => Some("another session holds a lock on the table; see pg_locks"),
            Some("42501") => Some("grant the user of database.user what it needs to read"),
            Some("XX001" | "XX002" | "58P01") => Some(
                "stored data is damaged: keep a copy of the volume, then restore from a backup",
            ),
            _ => None,
        }
    }
}

impl From<QueryError> for ReadError {
    fn from(error: QueryError) -> ReadError {
        let hint = error.hint();
        let read = ReadError::other(&error.what, error.why);
        match hint {
            Some(hint) => read.hint(hint),
            None => read,
        }
    }
}

impl Session {
    /// Connects to the database over its vantage.
    ///
    /// # Errors
    /// It can't be reached, refuses, or does not answer in time.
    pub async fn open(
        cluster: &Cluster,
        namespace: &str,
        database: &Database,
    ) -> Result<Session, ReadError> {
        let what = what(database);
        let connect = async {
            Ok::<_, ReadError>(match database.vantage {
                DatabaseVantage::Exec => Link::Psql(Box::new(
                    Psql::start(cluster, namespace, database, &what).await?,
                )),
                DatabaseVantage::PortForward | DatabaseVantage::Direct => {
                    Link::Wire(wire::connect(cluster, namespace, database, &what).await?)
                }
            })
        };
        let link = match timeout(CONNECT, connect).await {
            Ok(link) => link?,
            Err(_) => {
                return Err(ReadError::timeout(
                    what,
                    format!("no answer in {} s", CONNECT.as_secs()),
                ));
            }
        };
        let statement_timeout = database.statement_timeout.0;
        Ok(Session {
            what,
            vantage: vantage(database),
            statement_timeout,
            link,
        })
    }

    /// The vantage as records name it: `exec:statefulset/NAME`, `port-forward`, `direct`.
    pub fn vantage(&self) -> &str {
        &self.vantage
    }

    /// Time that the server may take for one statement.
    pub fn statement_timeout(&self) -> Duration {
        self.statement_timeout
    }

    /// Runs one statement and gives the first column of its rows. A value must not hold a line
    /// break: let the statement give JSON.
    ///
    /// # Errors
    /// The server says no, or the session is broken (see [`QueryError::state`]).
    pub async fn query(&mut self, sql: &str) -> Result<Vec<String>, QueryError> {
        let limit = self.statement_timeout + GRACE;
        let answer = match &mut self.link {
            Link::Psql(psql) => timeout(limit, psql.query(sql)).await,
            Link::Wire(wire) => timeout(limit, wire.query(sql)).await,
            Link::Broken => Ok(Err((None, "the session is broken".to_owned()))),
        };
        let failed = match answer {
            Ok(Ok(lines)) => return Ok(lines),
            Ok(Err(failed)) => failed,
            Err(_) => (None, format!("no answer in {} s", limit.as_secs())),
        };
        if failed.0.is_none() {
            self.link = Link::Broken;
        }
        let (state, why) = failed;
        Err(QueryError {
            what: self.what.clone(),
            state,
            why,
        })
    }

    /// Runs one statement whose rows are each a JSON value.
    ///
    /// # Errors
    /// As [`Session::query`], or a row is not what was asked for.
    pub async fn rows<T: DeserializeOwned>(&mut self, sql: &str) -> Result<Vec<T>, QueryError> {
        let lines = self.query(sql).await?;
        let read = |line: &String| serde_json::from_str(line).map_err(|error| self.misread(&error));
        lines.iter().map(read).collect()
    }

    /// Runs one statement that gives exactly one row, a JSON value.
    ///
    /// # Errors
    /// As [`Session::rows`].
    pub async fn row<T: DeserializeOwned>(&mut self, sql: &str) -> Result<T, QueryError> {
        let mut rows = self.rows(sql).await?;
        match (rows.pop(), rows.len()) {
            (Some(row), 0) => Ok(row),
            (_, more) => Err(self.misread(&format!("{more} rows where there should be one"))),
        }
    }

    /// Runs `sql` in the present transaction so that its failure does not end the transaction.
    ///
    /// # Errors
    /// As [`Session::query`].
    pub async fn attempt(&mut self, sql: &str) -> Result<Vec<String>, QueryError> {
        self.query("SAVEPOINT chaos").await?;
        let answer = self.query(sql).await;
        match &answer {
            Ok(_) => self.query("RELEASE SAVEPOINT chaos").await?,
            Err(error) if error.state.is_some() => {
                self.query("ROLLBACK TO SAVEPOINT chaos").await?
            }
            Err(_) => return answer,
        };
        answer
    }

    /// As [`Session::attempt`], for rows that are each a JSON value.
    ///
    /// # Errors
    /// As [`Session::rows`].
    pub async fn attempt_rows<T: DeserializeOwned>(
        &mut self,
        sql: &str,
    ) -> Result<Vec<T>, QueryError> {
        let lines = self.attempt(sql).await?;
        lines
            .iter()
            .map(|line| serde_json::from_str(line).map_err(|error| self.misread(&error)))
            .collect()
    }

    /// An answer that is not what was asked for. No part of it is told: it may be data.
    fn misread(&self, why: &dyn std::fmt::Display) -> QueryError {
        let why = format!("its answer is not what was asked for: {why}");
        QueryError {
            what: self.what.clone(),
            state: Some("08P01".to_owned()),
            why,
        }
    }
}

fn what(database: &Database) -> String {
    let (name, place) = (&database.name, database.place());
    match database.vantage {
        DatabaseVantage::Direct => format!("read database {name} at {place}"),
        DatabaseVantage::PortForward => {
            format!("read database {name} through a tunnel to {place}")
        }
        DatabaseVantage::Exec => format!("read database {name} by psql in {place}"),
    }
}

fn vantage(database: &Database) -> String {
    match database.vantage {
        DatabaseVantage::Exec => format!("exec:{}", database.place()),
        DatabaseVantage::PortForward => "port-forward".to_owned(),
        DatabaseVantage::Direct => "direct".to_owned(),
    }
}
