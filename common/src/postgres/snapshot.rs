//! One consistent view of a database: a read-only transaction that sees one moment.

use serde::Deserialize;

use super::session::{QueryError, Session};
use crate::record::{DatabaseMoment, TableFingerprint, Time};

/// What an earlier look at a table left to compare with.
#[derive(Clone, Copy, Debug)]
pub struct Before<'a> {
    /// The transactions that the earlier look saw.
    pub moment: Option<&'a DatabaseMoment>,
    /// What it found.
    pub fingerprint: &'a TableFingerprint,
}

/// An open transaction: REPEATABLE READ, READ ONLY. It ends with [`Snapshot::end`] or the session.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the server says of itself.
    pub server: Server,
    /// Which transactions it sees, where the server tells.
    pub moment: Option<DatabaseMoment>,
}

/// A server and a database on it.
#[derive(Clone, Debug, Deserialize)]
pub struct Server {
    /// Version in words, `15.18 (Debian …)`.
    pub version: String,
    /// Version as a number, 150018.
    pub version_num: u32,
    /// `pg_database_size`.
    pub bytes: u64,
    /// The database that we are in.
    pub name: String,
    /// Whether the server is a replica.
    pub recovery: bool,
    /// Its clock.
    pub time: Option<Time>,
    read_only: String,
    isolation: String,
}

#[derive(Deserialize)]
struct SnapshotRow {
    database: u64,
    next: String,
    open: Option<Vec<String>>,
}

impl Snapshot {
    /// Begins the transaction, so that text forms depend on no setting of the user, the database or
    /// the server, and no statement waits for ever.
    ///
    /// # Errors
    /// The session broke, or the transaction is not as it must be.
    pub async fn begin(session: &mut Session) -> Result<Snapshot, QueryError> {
        session
            .query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            .await?;
        for setting in [
            format!(
                "statement_timeout = '{}ms'",
                session.statement_timeout().as_millis()
            ),
            "lock_timeout = '5s'".to_owned(),
            "idle_in_transaction_session_timeout = '10min'".to_owned(),
            // A policy that hides rows from us must be an error and not a table with fewer rows.
            "row_security = off".to_owned(),
            "datestyle = 'ISO, YMD'".to_owned(),
            "intervalstyle = 'postgres'".to_owned(),
            "timezone = 'UTC'".to_owned(),
            "extra_float_digits = 3".to_owned(),
            "bytea_output = 'hex'".to_owned(),
            "xmlbinary = 'base64'".to_owned(),
            "lc_monetary = 'C'".to_owned(),
            "quote_all_identifiers = off".to_owned(),
        ] {
            session.query(&format!("SET LOCAL {setting}")).await?;
        }
        let server: Server = session
            .row(
                "SELECT json_build_object('version', current_setting('server_version'), \
                 'version_num', current_setting('server_version_num')::int, \
                 'bytes', pg_database_size(current_database()), 'name', current_database(), \
                 'recovery', pg_is_in_recovery(), \
                 'time', to_char(clock_timestamp(), 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"'), \
                 'read_only', current_setting('transaction_read_only'), \
                 'isolation', current_setting('transaction_isolation'))",
            )
            .await?;
        if (server.read_only.as_str(), server.isolation.as_str()) != ("on", "repeatable read") {
            let Server {
                read_only,
                isolation,
                ..
            } = server;
            let why = format!(
                "its transaction is not as asked for: read only {read_only}, isolation {isolation}"
            );
            return Err(QueryError {
                what: format!("trust {}", session.vantage()),
                state: None,
                why,
            });
        }
        let moment = moment(session).await?;
        Ok(Snapshot { server, moment })
    }

    /// Ends the transaction.
    ///
    /// # Errors
    /// The session broke.
    pub async fn end(self, session: &mut Session) -> Result<(), QueryError> {
        session.query("COMMIT").await.map(drop)
    }

    /// The major version of the server.
    pub fn major(&self) -> u32 {
        self.server.version_num / 10_000
    }
}

/// What the snapshot sees. Old servers can't tell, and not every user may ask.
async fn moment(session: &mut Session) -> Result<Option<DatabaseMoment>, QueryError> {
    let optional = |answer: Result<Vec<String>, QueryError>| match answer {
        Ok(lines) => Ok(lines.into_iter().next()),
        Err(error) if error.state.is_some() => Ok(None),
        Err(error) => Err(error),
    };
    let system = optional(
        session
            .attempt("SELECT system_identifier::text FROM pg_control_system()")
            .await,
    )?;
    let seen = optional(
        session
            .attempt(
                "SELECT json_build_object('database', (SELECT oid::bigint FROM pg_database \
                 WHERE datname = current_database()), 'next', pg_snapshot_xmax(pg_current_snapshot())::text, \
                 'open', (SELECT json_agg(x::text) FROM pg_snapshot_xip(pg_current_snapshot()) AS x))",
            )
            .await,
    )?;
    let (Some(system), Some(seen)) = (system, seen) else {
        return Ok(None);
    };
    let Ok(SnapshotRow {
        database,
        next,
        open,
    }) = serde_json::from_str(&seen)
    else {
        return Ok(None);
    };
    let open = open
        .unwrap_or_default()
        .iter()
        .map(|xid| xid.parse())
        .collect::<Result<Vec<u64>, _>>();
    Ok(match (next.parse(), open) {
        (Ok(next), Ok(open)) => Some(DatabaseMoment {
            system,
            database,
            next,
            open,
        }),
        _ => None,
    })
}
