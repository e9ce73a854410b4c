//! The vantage `exec`: `psql` inside a ready pod of the database's Deployment.

use chaos_common::cluster::ReadError;
use chaos_common::config::Database;

use super::LIMIT;
use super::question::BEGIN;
use crate::site::Site;

/// The most that an answer may have, in bytes; it is a line of some dozen bytes a table.
const MAX: u64 = 1 << 20;
/// PostgreSQL's usual port.
const USUAL_PORT: u16 = 5432;

/// Runs the statements in one read-only transaction of one `psql`; gives what it wrote.
pub(super) async fn ask(site: &Site<'_>, database: &Database, statements: &[String]) -> Result<String, ReadError> {
    let pod = site.cluster.ready_pod(site.namespace, &database.deployment).await?;
    let connection = connection(database);
    // One -c a statement: the answers of several statements in one are not all shown by old clients.
    let mut command = vec!["psql", "-X", "-w", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &connection];
    command.extend(["-c", BEGIN]);
    for statement in statements {
        command.extend(["-c", statement]);
    }
    command.extend(["-c", "COMMIT"]);
    let done = site.cluster.exec(&pod, &command, LIMIT, MAX).await?;
    if done.code != 0 {
        let what = format!("read database {} by psql in deployment/{}", database.name, database.deployment);
        let said: String = done.stderr.chars().take(300).collect();
        let why = if said.is_empty() { format!("psql ends with {}", done.code) } else { said };
        return Err(ReadError::other(what, why).hint(format!(
            "kubectl exec -n {} deployment/{} -- psql -d {} -c 'SELECT 1'",
            site.namespace, database.deployment, database.name
        )));
    }
    String::from_utf8(done.stdout)
        .map_err(|_| ReadError::other(format!("understand database {}", database.name), "its answer is not UTF-8"))
}

/// What `-d` gets. A bare name would be read as connection settings if it holds a `=`. User and port
/// that the configuration leaves as they are stay the pod's own (`PGUSER`, `PGPORT`).
fn connection(database: &Database) -> String {
    let value = |text: &str| format!("'{}'", text.replace('\\', "\\\\").replace('\'', "\\'"));
    let user = database.user.as_ref().map(|user| format!(" user={}", value(user))).unwrap_or_default();
    let port = if database.port == USUAL_PORT { String::new() } else { format!(" port={}", database.port) };
    format!("dbname={} application_name=chaos-verify connect_timeout=5{user}{port}", value(&database.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(json: serde_json::Value) -> Database {
        serde_json::from_value(json).expect("a database")
    }

    #[test]
    fn names_stay_values_and_defaults_stay_the_pods() {
        let plain = database(serde_json::json!({ "deployment": "d", "name": "shop" }));
        assert_eq!(connection(&plain), "dbname='shop' application_name=chaos-verify connect_timeout=5");
        let odd =
            database(serde_json::json!({ "deployment": "d", "name": "a' host='evil", "user": "u", "port": 5433 }));
        assert_eq!(
            connection(&odd),
            r"dbname='a\' host=\'evil' application_name=chaos-verify connect_timeout=5 user='u' port=5433"
        );
    }
}
