//! A continuous writer in the database, and what became of what it wrote.
//!
//! Each write is a transaction of its own that leaves no table and no row behind: it takes a
//! transaction id and puts a message into the write-ahead log (`pg_logical_emit_message`), so that
//! its commit has to reach the disk before it is acknowledged. Afterwards `pg_xact_status` says of
//! each acknowledged id whether the database still knows it as committed. Source: PostgreSQL's
//! documentation, "Transaction ID and Snapshot Information Functions" and "Replication Management
//! Functions".

use std::time::Duration;

use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config;
use chaos_common::postgres::Session;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

/// Between two writes.
pub const INTERVAL: Duration = Duration::from_millis(250);
/// Time that one statement may take.
const LIMIT: Duration = Duration::from_secs(5);
/// Transaction ids that are asked for in one question.
const BATCH: usize = 500;

/// The database, reached as the configuration says.
#[derive(Clone, Debug)]
pub struct Database {
    cluster: Cluster,
    namespace: String,
    settings: config::Database,
}

impl Database {
    /// The configured one.
    pub fn new(cluster: &Cluster, namespace: &str, settings: &config::Database) -> Database {
        Database {
            cluster: cluster.clone(),
            namespace: namespace.to_owned(),
            settings: settings.clone(),
        }
    }

    /// Runs a statement in a session of its own, as a caller that comes anew, and gives its rows.
    ///
    /// # Errors
    /// The database can't be reached, or refuses.
    pub async fn ask(&self, statement: &str) -> Result<Vec<String>, ReadError> {
        let what = format!("ask the database in {}", self.settings.place());
        let asked = async {
            let opened = Session::open(&self.cluster, &self.namespace, &self.settings).await;
            Ok(opened?.query(statement).await?)
        };
        let late = |_| {
            Err(ReadError::timeout(
                what,
                format!("no answer in {} s", LIMIT.as_secs()),
            ))
        };
        timeout(LIMIT, asked).await.unwrap_or_else(late)
    }

    /// Writes once; gives the id of the committed transaction.
    async fn write(&self, run: &str) -> Result<String, ReadError> {
        // The run's id is made of hexadecimal digits and hyphens.
        let statement = format!(
            "SELECT pg_current_xact_id() FROM pg_logical_emit_message(true, 'chaos-runbook', '{run}')"
        );
        let rows = self.ask(&statement).await?;
        let id = rows
            .into_iter()
            .next()
            .filter(|id| id.parse::<u64>().is_ok());
        id.ok_or_else(|| ReadError::other("write into the database", "it gave no transaction id"))
    }

    /// How many of these transactions the database does not know as committed.
    ///
    /// # Errors
    /// It can't be asked.
    pub async fn lost(&self, acknowledged: &[Ack]) -> Result<usize, ReadError> {
        let mut lost = 0;
        for batch in acknowledged.chunks(BATCH) {
            let ids: Vec<String> = batch
                .iter()
                .map(|ack| format!("('{}'::xid8)", ack.id))
                .collect();
            let statement = format!(
                // Of an id that it has not given out yet it only says that it is in the future, as
                // an error.
                "SELECT count(*) FROM (VALUES {}) AS written(id) WHERE CASE WHEN id >= pg_snapshot_xmax(pg_current_snapshot()) \
                 THEN true ELSE pg_xact_status(id) IS DISTINCT FROM 'committed' END",
                ids.join(",")
            );
            let rows = self.ask(&statement).await?;
            let count = rows.first().and_then(|row| row.parse::<usize>().ok());
            lost += count.ok_or_else(|| {
                ReadError::other("count lost writes", format!("it answered {rows:?}"))
            })?;
        }
        Ok(lost)
    }
}

/// A write that the database acknowledged.
#[derive(Clone, Debug, PartialEq)]
pub struct Ack {
    /// When.
    pub at: Instant,
    /// Its transaction id.
    pub id: String,
}

/// The longest time between two acknowledged writes.
pub fn longest_gap(acknowledged: &[Ack]) -> Option<Duration> {
    acknowledged
        .windows(2)
        .map(|pair| pair[1].at.duration_since(pair[0].at))
        .max()
}

/// A running writer.
#[derive(Debug)]
pub struct Writer {
    stop: oneshot::Sender<()>,
    task: JoinHandle<(Vec<Ack>, Option<String>)>,
}

impl Writer {
    /// Starts to write, once that works.
    ///
    /// # Errors
    /// The first write fails.
    pub async fn start(database: Database, run: &str) -> Result<Writer, ReadError> {
        let first = database.write(run).await?;
        let first = Ack {
            at: Instant::now(),
            id: first,
        };
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(write_until(database, run.to_owned(), first, stopped));
        Ok(Writer { stop, task })
    }

    /// Writes no more; gives what was acknowledged, and the last refusal.
    ///
    /// # Panics
    /// If writing itself panicked.
    pub async fn stop(self) -> (Vec<Ack>, Option<String>) {
        // The writer ends only here.
        let _ = self.stop.send(());
        self.task.await.expect("writing does not panic")
    }
}

async fn write_until(
    database: Database,
    run: String,
    first: Ack,
    mut stopped: oneshot::Receiver<()>,
) -> (Vec<Ack>, Option<String>) {
    let (mut acknowledged, mut refusal) = (vec![first], None);
    let mut ticks = interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = &mut stopped => return (acknowledged, refusal),
            _ = ticks.tick() => {}
        }
        match database.write(&run).await {
            Ok(id) => acknowledged.push(Ack {
                at: Instant::now(),
                id,
            }),
            Err(error) => refusal = Some(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_without_service_is_the_longest_between_two_writes() {
        let start = Instant::now();
        let acks: Vec<Ack> = [0, 250, 500, 7500, 7750]
            .map(|ms| Ack {
                at: start + Duration::from_millis(ms),
                id: "1".into(),
            })
            .to_vec();
        assert_eq!(longest_gap(&acks), Some(Duration::from_secs(7)));
        assert_eq!(longest_gap(&acks[..1]), None);
    }
}
