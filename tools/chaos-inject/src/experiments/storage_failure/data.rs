//! The data of the configured database: writes that it acknowledges around the fault, and its
//! tables before and afterwards.

use chaos_common::config::{self, Table};
use chaos_common::postgres::{Before, Comparison, Session, Snapshot, Untaken, compare};
use chaos_common::record::{Check, DatabaseMoment, TableFingerprint};
use tokio::time::{Duration, Instant, sleep};

use super::NAME;
use crate::context::Context;
use crate::experiments::support::database_writer::{Ack, Database, INTERVAL, Writer, longest_gap};

/// Time for the writer to be acknowledged again once the pods are ready.
pub(super) const WRITES_AGAIN: Duration = Duration::from_secs(10);

/// The database's data, while it can be lost.
#[derive(Debug)]
pub(super) struct Data {
    database: Database,
    settings: config::Database,
    /// The tables before.
    tables: anyhow::Result<Tables>,
    state: Writing,
}

/// Whether the writer still writes.
#[derive(Debug)]
pub(super) enum Writing {
    /// It does.
    Running(Writer),
    /// It was stopped: what it was told, and what became of the tables.
    Stopped(Written, Vec<Check>),
    /// It is being stopped.
    Stopping,
}

/// What the writer was told.
#[derive(Debug)]
pub(super) struct Written {
    acknowledged: Vec<Ack>,
    /// The last refusal.
    refusal: Option<String>,
    /// How many acknowledged writes the database does not know.
    lost: anyhow::Result<usize>,
}

/// Fingerprints of the configured tables, in one snapshot.
#[derive(Debug)]
struct Tables {
    moment: Option<DatabaseMoment>,
    fingerprints: Vec<(Table, Result<TableFingerprint, String>)>,
}

impl Data {
    /// Takes the tables' fingerprints and starts the writer.
    pub(super) async fn start(
        context: &Context,
        database: Database,
        settings: &config::Database,
    ) -> anyhow::Result<Data> {
        let tables = fingerprints(context, settings, None).await;
        Ok(Data {
            tables: tables.map(|(tables, _)| tables),
            state: Writing::Running(Writer::start(database.clone(), &context.run).await?),
            database,
            settings: settings.clone(),
        })
    }

    /// The writer's state.
    pub(super) fn writing(&self) -> &Writing {
        &self.state
    }

    /// Stops the writer once it is acknowledged again, and asks what became of its writes and of
    /// the tables.
    pub(super) async fn stop_writer(&mut self, context: &Context) {
        let Writing::Running(writer) = std::mem::replace(&mut self.state, Writing::Stopping) else {
            return;
        };
        // The writer itself needs a moment to be acknowledged again.
        sleep(INTERVAL * 4).await;
        let (acknowledged, refusal) = writer.stop().await;
        let deadline = Instant::now() + WRITES_AGAIN;
        let lost = loop {
            match self.database.lost(&acknowledged).await {
                Err(_) if Instant::now() < deadline => sleep(INTERVAL).await,
                lost => break lost.map_err(anyhow::Error::from),
            }
        };
        let written = Written {
            acknowledged,
            refusal,
            lost,
        };
        self.state = Writing::Stopped(written, self.compare(context).await);
    }

    /// Holds the tables against what they were: growth is fine, loss and change are not.
    async fn compare(&self, context: &Context) -> Vec<Check> {
        let unknown = |why: &anyhow::Error| {
            let id = format!("{NAME}.data");
            vec![Check::unknown(&id, "database", why.to_string())]
        };
        match &self.tables {
            Ok(before) => match fingerprints(context, &self.settings, Some(before)).await {
                Ok((_, checks)) => checks,
                Err(why) => unknown(&why),
            },
            Err(why) => unknown(why),
        }
    }
}

/// Fingerprints of the configured tables, and, where there are earlier ones, what they say beside
/// them.
async fn fingerprints(
    context: &Context,
    settings: &config::Database,
    before: Option<&Tables>,
) -> anyhow::Result<(Tables, Vec<Check>)> {
    let id = format!("{NAME}.data");
    let mut session = Session::open(&context.cluster, &context.namespace, settings).await?;
    let snapshot = Snapshot::begin(&mut session).await?;
    let mut tables = Tables {
        moment: snapshot.moment.clone(),
        fingerprints: Vec::new(),
    };
    let mut checks = Vec::new();
    for table in &settings.tables {
        let object = format!("table/{}", table.name);
        let then = before.and_then(|before| {
            before
                .fingerprints
                .iter()
                .find(|(was, _)| was.name == table.name)
        });
        let was = match (before, then) {
            (Some(before), Some((_, Ok(fingerprint)))) => Some(Before {
                moment: before.moment.as_ref(),
                fingerprint,
            }),
            (Some(_), Some((_, Err(why)))) => {
                checks.push(Check::unknown(
                    &id,
                    object,
                    format!("before the fault: {why}"),
                ));
                continue;
            }
            _ => None,
        };
        let taken = snapshot.fingerprint(&mut session, table, was).await;
        if let Some(was) = was {
            checks.push(match &taken {
                Ok(now) => {
                    let Comparison { status, message } = compare(was.fingerprint, now);
                    Check {
                        status,
                        ..Check::pass(&id, object, message)
                    }
                }
                Err(Untaken::Missing) => Check::fail(&id, object, "it is gone"),
                Err(why) => Check::unknown(&id, object, why.to_string()),
            });
        }
        let fingerprint = taken
            .map(|taken| taken.fingerprint)
            .map_err(|why| why.to_string());
        tables.fingerprints.push((table.clone(), fingerprint));
    }
    snapshot.end(&mut session).await?;
    Ok((tables, checks))
}

impl Written {
    /// `writes` and `outage`; `gone` is when the pods were seen to be gone.
    pub(super) fn judge(&self, gone: Option<Instant>) -> [Check; 2] {
        let (writes, outage) = (format!("{NAME}.writes"), format!("{NAME}.outage"));
        let count = self.acknowledged.len();
        let writes = match &self.lost {
            Ok(lost) => Check::judge(
                *lost == 0,
                &writes,
                "database",
                format!("{lost} of {count} acknowledged writes are lost"),
            ),
            Err(why) => Check::unknown(&writes, "database", why.to_string()),
        };
        let gap = longest_gap(&self.acknowledged).unwrap_or_default();
        let again = gone.is_some_and(|gone| self.acknowledged.iter().any(|ack| ack.at > gone));
        let refused = self.refusal.as_ref();
        let refused = refused.map_or_else(String::new, |why| format!("; refused with: {why}"));
        let message = if again {
            format!(
                "no write was acknowledged for {} ms (true to {} ms){refused}",
                gap.as_millis(),
                2 * INTERVAL.as_millis()
            )
        } else {
            format!("no write was acknowledged afterwards{refused}")
        };
        [writes, Check::judge(again, &outage, "database", message)]
    }
}
