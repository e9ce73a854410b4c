//! PostgreSQL as the place of an archive: what is in its tables, as bytes and text.

mod connection;
mod error;
mod schema;

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use chaos_common::config::ReportDatabase;
use postgres::Client;
use postgres::fallible_iterator::FallibleIterator as _;

pub(crate) use self::error::DatabaseError;

/// The longest that one call may take: a server that is stopped, or a pool without connections,
/// must not hold up the pipeline.
const LIMIT: Duration = Duration::from_secs(60);
/// The largest stream or report that is kept, in bytes: the server takes a gigabyte at a time.
const MAX_BYTES: usize = 256 << 20;

/// A database that is asked when it is needed, on a thread of its own.
pub(crate) struct Database {
    settings: ReportDatabase,
    worker: Option<mpsc::Sender<Job>>,
    /// Why it could not be reached. It is not tried again by the same program.
    away: Option<(String, String)>,
}

/// Something to do, given the place of the connection, which is made where there is none.
type Job = Box<dyn FnOnce(&mut Option<Client>) + Send>;

/// What lists and reviews need of a stream, as it is kept beside it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    /// Which form it has.
    pub(crate) form: i32,
    /// Nothing where the stream can't be read.
    pub(crate) facts: Option<String>,
    /// The details of its run, among them the answers of its checks.
    pub(crate) answers: Option<String>,
    /// Why it can't be read.
    pub(crate) unreadable: Option<String>,
}

/// A stream that is to be kept, and its reports by their endings.
#[derive(Clone, Debug)]
pub(crate) struct NewRow {
    pub(crate) stem: String,
    pub(crate) ending: String,
    pub(crate) sha256: String,
    pub(crate) bytes: Arc<Vec<u8>>,
    pub(crate) kept: Kept,
    pub(crate) reports: Vec<(String, Vec<u8>)>,
}

/// A stream without its bytes.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) stem: String,
    pub(crate) ending: String,
    pub(crate) size: u64,
    pub(crate) kept: Kept,
}

/// What became of a stream that was to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    New,
    /// A stream of other bytes has the name.
    Taken,
    /// The same stream has the name already.
    Same,
}

impl Database {
    pub(crate) fn new(settings: ReportDatabase) -> Database {
        Database {
            settings,
            worker: None,
            away: None,
        }
    }

    /// Where it is, for people.
    pub(crate) fn place(&self) -> String {
        let ReportDatabase {
            host,
            port,
            name,
            schema,
            ..
        } = &self.settings;
        format!("database {name} at {host}:{port}, schema {schema}")
    }

    /// Does something in the database. It comes to an end, whatever the server does.
    fn with<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Client) -> Result<T, DatabaseError> + Send + 'static,
    ) -> Result<T, DatabaseError> {
        if let Some((why, hint)) = self.away.clone() {
            return Err(DatabaseError::Before { why, hint });
        }
        let settings = self.settings.clone();
        let (send, done) = mpsc::channel();
        let job = move |client: &mut Option<Client>| {
            let value = in_client(client, &settings, work);
            // Nobody waits for it any more if it took too long.
            let _ = send.send((value, client.is_some()));
        };
        let worker = self.worker.get_or_insert_with(worker);
        let begun = worker.send(Box::new(job));
        let done = begun.ok().and_then(|()| done.recv_timeout(LIMIT).ok());
        let (value, connected) = done.unwrap_or((Err(DatabaseError::NoAnswer(LIMIT)), false));
        if let (Err(error), false) = (&value, connected) {
            self.away = Some((error.to_string(), error.hint()));
        }
        value
    }

    /// Keeps a stream with its reports, all or nothing.
    ///
    /// # Errors
    /// The database can't be used, or what is to be kept is too large for it.
    pub(crate) fn insert(&mut self, new: NewRow) -> Result<Inserted, DatabaseError> {
        let sizes = new.reports.iter().map(|(_, bytes)| bytes.len());
        if let Some(large) = sizes.chain([new.bytes.len()]).find(|it| *it > MAX_BYTES) {
            return Err(DatabaseError::TooLarge(large));
        }
        self.with(move |client| insert(client, &new))
    }

    /// Gives each stream to `add`, which gathers them in `state`.
    ///
    /// # Errors
    /// The database can't be used.
    pub(crate) fn fold<S: Send + 'static>(
        &mut self,
        with_details: bool,
        mut state: S,
        add: fn(&mut S, Row),
    ) -> Result<S, DatabaseError> {
        let answers = if with_details { "answers" } else { "NULL" };
        let sql = format!(
            "SELECT stem, ending, length(bytes), form, facts, {answers}, unreadable FROM stream"
        );
        self.with(move |client| {
            let mut rows = client.query_raw::<_, &str, _>(&sql, [])?;
            while let Some(row) = rows.next()? {
                let size: i32 = row.get(2);
                let kept = Kept {
                    form: row.get(3),
                    facts: row.get(4),
                    answers: row.get(5),
                    unreadable: row.get(6),
                };
                let row = Row {
                    stem: row.get(0),
                    ending: row.get(1),
                    size: u64::try_from(size).unwrap_or(0),
                    kept,
                };
                add(&mut state, row);
            }
            Ok(state)
        })
    }

    /// Replaces what is kept of a stream. Users who may only read go on without.
    ///
    /// # Errors
    /// The database can't be used.
    pub(crate) fn update(&mut self, stem: &str, kept: Kept) -> Result<(), DatabaseError> {
        let stem = stem.to_owned();
        let sql = "UPDATE stream SET form = $2, facts = $3, answers = $4, unreadable = $5 \
                   WHERE stem = $1 AND form <= $2";
        self.with(move |client| {
            let may = "SELECT has_table_privilege('stream', 'UPDATE')";
            if client.query_one(may, &[])?.get(0) {
                let Kept {
                    form,
                    facts,
                    answers,
                    unreadable,
                } = &kept;
                client.execute(sql, &[&stem, form, facts, answers, unreadable])?;
            }
            Ok(())
        })
    }

    /// The bytes of a stream.
    ///
    /// # Errors
    /// The database can't be used.
    pub(crate) fn stream(&mut self, stem: &str) -> Result<Option<Vec<u8>>, DatabaseError> {
        let stem = stem.to_owned();
        let sql = "SELECT bytes FROM stream WHERE stem = $1";
        self.with(move |client| Ok(client.query_opt(sql, &[&stem])?.map(|row| row.get(0))))
    }

    /// The reports on a run, each with its ending, in order of these.
    ///
    /// # Errors
    /// The database can't be used.
    pub(crate) fn reports(&mut self, stem: &str) -> Result<Vec<(String, Vec<u8>)>, DatabaseError> {
        let stem = stem.to_owned();
        let sql = "SELECT ending, bytes FROM report WHERE stem = $1 ORDER BY ending COLLATE \"C\"";
        self.with(move |client| {
            let rows = client.query(sql, &[&stem])?;
            Ok(rows.iter().map(|row| (row.get(0), row.get(1))).collect())
        })
    }

    /// Removes streams and their reports: all or none.
    ///
    /// # Errors
    /// The database can't be used.
    pub(crate) fn remove(&mut self, stems: Vec<String>) -> Result<(), DatabaseError> {
        let sql = "DELETE FROM stream WHERE stem = ANY($1)";
        self.with(move |client| Ok(client.execute(sql, &[&stems]).map(drop)?))
    }

    /// Keeps a review, in place of one that has the name.
    ///
    /// # Errors
    /// The database can't be used.
    pub(crate) fn save_review(&mut self, name: &str, bytes: &[u8]) -> Result<(), DatabaseError> {
        let (name, bytes) = (name.to_owned(), bytes.to_owned());
        let sql = "INSERT INTO review (name, bytes) VALUES ($1, $2) ON CONFLICT (name) \
                   DO UPDATE SET bytes = excluded.bytes, written = now()";
        self.with(move |client| Ok(client.execute(sql, &[&name, &bytes]).map(drop)?))
    }

    /// The names of all reviews.
    ///
    /// # Errors
    /// The database can't be used.
    pub(crate) fn reviews(&mut self) -> Result<Vec<String>, DatabaseError> {
        self.with(|client| {
            let rows = client.query("SELECT name FROM review", &[])?;
            Ok(rows.iter().map(|row| row.get(0)).collect())
        })
    }
}

/// A thread that does one thing after the other.
fn worker() -> mpsc::Sender<Job> {
    let (send, jobs) = mpsc::channel::<Job>();
    thread::spawn(move || {
        let mut client = None;
        for job in jobs {
            job(&mut client);
        }
    });
    send
}

/// Does something in a connection. What the server refuses leaves that as it is.
fn in_client<T>(
    place: &mut Option<Client>,
    settings: &ReportDatabase,
    work: impl FnOnce(&mut Client) -> Result<T, DatabaseError>,
) -> Result<T, DatabaseError> {
    let client = match place {
        Some(client) => client,
        None => place.insert(connection::connect(settings)?),
    };
    let value = work(client);
    if client.is_closed() {
        *place = None;
    }
    value
}

fn insert(client: &mut Client, new: &NewRow) -> Result<Inserted, DatabaseError> {
    let mut transaction = client.transaction()?;
    let sql = "INSERT INTO stream (stem, ending, sha256, bytes, form, facts, answers, unreadable) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (stem) DO NOTHING";
    let Kept {
        form,
        facts,
        answers,
        unreadable,
    } = &new.kept;
    let bytes = &*new.bytes;
    let (stem, ending, sha256) = (&new.stem, &new.ending, &new.sha256);
    let values: &[&(dyn postgres::types::ToSql + Sync)] = &[
        stem, ending, sha256, bytes, form, facts, answers, unreadable,
    ];
    if transaction.execute(sql, values)? == 0 {
        let sql = "SELECT sha256 = $2 FROM stream WHERE stem = $1";
        let row = transaction.query_opt(sql, &[stem, sha256])?;
        let same = row.is_some_and(|row| row.get(0));
        return Ok(if same {
            Inserted::Same
        } else {
            Inserted::Taken
        });
    }
    for (ending, bytes) in &new.reports {
        let sql = "INSERT INTO report (stem, ending, bytes) VALUES ($1, $2, $3)";
        transaction.execute(sql, &[stem, ending, bytes])?;
    }
    transaction.commit()?;
    Ok(Inserted::New)
}
