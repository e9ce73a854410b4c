//! The live database is never restored into. What it is shows in its identity: the system
//! identifier that a cluster of PostgreSQL keeps all its life, and its standbys with it.

use std::time::Duration;

use chaos_common::cluster::Cluster;

use super::error::DrillError;
use super::server::Server;
use crate::context::Context;

const LIMIT: Duration = Duration::from_secs(15);
const MAX_ANSWER: u64 = 4096;
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
    let deployment = &database.deployment;
    let cluster = Cluster::connect(&context.access)
        .await
        .map_err(|error| refused(&error.to_string()))?;
    let pod = cluster
        .ready_pod(&context.namespace, deployment)
        .await
        .map_err(|error| refused(&error.to_string()))?;
    let mut command = vec![
        "psql",
        "-XAtq",
        "-d",
        database.name.as_str(),
        "-c",
        IDENTITY,
    ];
    if let Some(user) = &database.user {
        command.extend(["-U", user]);
    }
    let asked = cluster
        .exec(&pod, &command, LIMIT, MAX_ANSWER)
        .await
        .map_err(|error| refused(&error.to_string()))?;
    identifier(&String::from_utf8_lossy(&asked.stdout))
        .filter(|_| asked.code == 0)
        .ok_or_else(|| {
            refused(&format!(
                "deployment/{deployment} does not tell its system identifier: {}",
                asked.stderr
            ))
        })
}

fn identifier(answer: &str) -> Option<u64> {
    answer.trim().parse().ok()
}
