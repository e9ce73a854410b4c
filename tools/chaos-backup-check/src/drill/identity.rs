//! The live database is never restored into. What it is shows in its identity: the system
//! identifier that a cluster of PostgreSQL keeps all its life, and its standbys with it.

use std::time::Duration;

use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::postgres::Session;
use tokio::time::timeout;

use super::error::DrillError;
use super::server::Server;
use crate::context::Context;

const LIMIT: Duration = Duration::from_secs(15);
const IDENTITY: &str = "SELECT system_identifier FROM pg_control_system()";

/// Refuses a server that is the live database, and one that can't be told from it.
pub(crate) async fn is_not_live(context: &Context, server: &Server) -> Result<(), DrillError> {
    let asked = server.query(None, IDENTITY).await;
    let asked = asked.map_err(DrillError::not_its_fault)?;
    let theirs = match &asked[..] {
        [row] => row.first().and_then(|answer| identifier(answer)),
        _ => None,
    };
    let theirs = theirs
        .ok_or_else(|| refused("the scratch PostgreSQL does not tell its system identifier"))?;
    let ours = live(context).await?;
    if ours == theirs {
        return Err(DrillError::refused(format!(
            "refused: {} is the live database or a copy of its files (system identifier {ours}); \
             nothing was done to it",
            server.name
        ))
        .hint(
            "name a PostgreSQL of its own as drill.url, or none: then one is started for the \
            drill",
        ));
    }
    Ok(())
}

fn refused(why: &str) -> DrillError {
    DrillError::refused(format!(
        "refused: {why}, so that it cannot be told from the live database; nothing was done to it"
    ))
    .hint("leave drill.url out: then one is started for the drill, which is nobody's live database")
}

/// The live database's system identifier.
async fn live(context: &Context) -> Result<u64, DrillError> {
    let Some(database) = &context.config.database else {
        return Err(refused("there is no [database] in the configuration"));
    };
    let asked = async {
        let cluster = Cluster::connect(&context.access).await?;
        let mut session = Session::open(&cluster, &context.namespace, database).await?;
        Ok::<_, ReadError>(session.query(IDENTITY).await?)
    };
    let late = |_| {
        let seconds = LIMIT.as_secs();
        refused(&format!("the live database gave no answer in {seconds} s"))
    };
    let asked = timeout(LIMIT, asked).await.map_err(late)?;
    let asked = asked.map_err(|error| refused(&error.to_string()))?;
    let told = asked.first().and_then(|answer| identifier(answer));
    told.ok_or_else(|| {
        let place = database.place();
        refused(&format!("{place} does not tell its system identifier"))
    })
}

fn identifier(answer: &str) -> Option<u64> {
    answer.trim().parse().ok()
}
