//! A database of the drill's own, in a server that may have others.

use std::time::{Duration, Instant};

use super::error::DrillError;
use super::server::Server;

/// The names of all drills' databases begin so.
const PREFIX: &str = "chaos_drill_";
/// The longest that is waited for the end of a drill that was stopped.
const CLEAN_UP: Duration = Duration::from_secs(10);

/// The database; dropped when this is.
pub(super) struct OwnDatabase<'s> {
    server: &'s Server,
    name: String,
    gone: bool,
}

impl OwnDatabase<'_> {
    /// Makes one.
    pub(super) async fn new(server: &Server) -> Result<OwnDatabase<'_>, DrillError> {
        let id = chaos_common::record::new_id().replace('-', "");
        let own = OwnDatabase {
            server,
            name: format!("{PREFIX}{}_{id}", std::process::id()),
            // A server that is thrown away takes it along.
            gone: server.is_own(),
        };
        own.make().await?;
        Ok(own)
    }

    /// Its name, which needs no quotes.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    async fn make(&self) -> Result<(), DrillError> {
        let name = &self.name;
        let sql = format!("CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'");
        let made = self.server.query(None, &sql).await;
        made.map(drop).map_err(DrillError::not_its_fault)
    }

    fn drop_statement(&self) -> String {
        format!("DROP DATABASE {} WITH (FORCE)", self.name)
    }

    /// Puts an empty one in its place.
    pub(super) async fn renew(&self) -> Result<(), DrillError> {
        let dropped = self.server.query(None, &self.drop_statement()).await;
        dropped.map_err(DrillError::not_its_fault)?;
        self.make().await
    }

    /// Drops it, and says when that cannot be done.
    pub(super) async fn remove(&mut self) -> Result<(), DrillError> {
        if self.gone {
            return Ok(());
        }
        self.gone = true;
        let removed = self.server.query(None, &self.drop_statement()).await;
        removed.map(drop).map_err(|error| {
            let (name, why) = (&self.name, error.message);
            DrillError::unknown(format!(
                "the drill's database {name} is left in the scratch PostgreSQL: {why}"
            ))
            .hint(format!("{};", self.drop_statement()))
        })
    }
}

impl Drop for OwnDatabase<'_> {
    /// When the drill is stopped half-way.
    fn drop(&mut self) {
        if self.gone {
            return;
        }
        let dropping = self.server.start_psql(&self.drop_statement());
        let start = Instant::now();
        if let Ok(mut child) = dropping {
            while start.elapsed() < CLEAN_UP {
                if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
                    return;
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
