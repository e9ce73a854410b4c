//! The vantages `port-forward` and `direct`: PostgreSQL's own protocol.
//!
//! There is no TLS here: through `port-forward` the way to the pod is the API server's, which is
//! encrypted; `direct` is for networks where plain connections are acceptable.

use std::time::Duration;

use chaos_common::cluster::{ReadError, error_chain};
use chaos_common::config::{Database, DatabaseVantage};
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{Client, Config, Connection, IsolationLevel, NoTls, SimpleQueryMessage};

use super::LIMIT;
use crate::site::Site;

/// Time that connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// Runs the statements in one read-only transaction; gives a line an answer.
pub(super) async fn ask(site: &Site<'_>, database: &Database, statements: &[String]) -> Result<String, ReadError> {
    let what = what(database);
    let config = settings(database, &what)?;
    let work = async {
        if database.vantage == DatabaseVantage::Direct {
            let (client, connection) = config.connect(NoTls).await.map_err(|error| failed(&what, &error))?;
            return run(client, connection, statements, &what).await;
        }
        let pod = site.cluster.ready_pod(site.namespace, &database.deployment).await?;
        let name = pod.metadata.name.unwrap_or_default();
        let pods: Api<Pod> = Api::namespaced(site.cluster.client.clone(), site.namespace);
        let open = format!("open a tunnel to port {} of pod {name} in namespace {}", database.port, site.namespace);
        let mut tunnel =
            pods.portforward(&name, &[database.port]).await.map_err(|error| ReadError::from_kube(&open, &error))?;
        let stream =
            tunnel.take_stream(database.port).ok_or_else(|| ReadError::other(&open, "the tunnel has no stream"))?;
        let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(|error| failed(&what, &error))?;
        run(client, connection, statements, &what).await
    };
    match timeout(LIMIT, work).await {
        Ok(answer) => answer,
        Err(_) => Err(ReadError::timeout(&what, format!("no answer in {} s", LIMIT.as_secs()))),
    }
}

fn what(database: &Database) -> String {
    match (database.vantage, &database.host) {
        (DatabaseVantage::Direct, Some(host)) => {
            format!("read database {} at {host}:{}", database.name, database.port)
        }
        (DatabaseVantage::Direct, None) => format!("read database {} directly", database.name),
        _ => format!("read database {} through a tunnel to deployment/{}", database.name, database.deployment),
    }
}

fn settings(database: &Database, what: &str) -> Result<Config, ReadError> {
    let user = database.user.as_deref().ok_or_else(|| {
        ReadError::other(what, "no user is configured").hint("name one as database.user in chaos.toml")
    })?;
    let mut config = Config::new();
    config.user(user).dbname(&database.name).application_name("chaos-verify").connect_timeout(CONNECT);
    if let Some(secret) = &database.password {
        let password = secret
            .read()
            .map_err(|why| ReadError::other(what, why).hint("database.password in chaos.toml names the secret"))?;
        config.password(password);
    }
    if database.vantage == DatabaseVantage::Direct {
        let host = database.host.as_deref().ok_or_else(|| {
            ReadError::other(what, "no host is configured").hint("name one as database.host in chaos.toml")
        })?;
        config.host(host).port(database.port);
    }
    Ok(config)
}

/// Drives the connection until the statements are done.
async fn run<S>(
    client: Client,
    connection: Connection<S, NoTlsStream>,
    statements: &[String],
    what: &str,
) -> Result<String, ReadError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let work = transact(client, statements);
    tokio::select! {
        answer = work => answer.map_err(|error| failed(what, &error)),
        end = connection => Err(match end {
            Ok(()) => ReadError::other(what, "the server closed the connection"),
            Err(error) => failed(what, &error),
        }),
    }
}

async fn transact(mut client: Client, statements: &[String]) -> Result<String, tokio_postgres::Error> {
    let transaction =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start().await?;
    let mut text = String::new();
    for statement in statements {
        for message in transaction.simple_query(statement).await? {
            if let SimpleQueryMessage::Row(row) = message {
                text.push_str(row.try_get(0)?.unwrap_or_default());
                text.push('\n');
            }
        }
    }
    transaction.commit().await?;
    Ok(text)
}

fn failed(what: &str, error: &tokio_postgres::Error) -> ReadError {
    let why = error_chain(error);
    // SQLSTATE class 28: the server does not accept who we are.
    let refused = error.code().is_some_and(|code| code.code().starts_with("28"));
    let hint = if why.contains("no encryption") || why.contains("SSL") {
        "this server wants TLS, which the vantages direct and port-forward do not speak; use exec"
    } else if refused || why.contains("password") {
        "check database.user and what database.password names in chaos.toml"
    } else {
        "is the database up, and are database.name and database.port in chaos.toml right?"
    };
    ReadError::other(what, why).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(json: serde_json::Value) -> Database {
        serde_json::from_value(json).expect("a database")
    }

    #[test]
    fn what_is_missing_in_the_configuration_is_named() {
        let none = database(serde_json::json!({ "deployment": "d", "name": "n", "vantage": "direct" }));
        assert!(settings(&none, "x").expect_err("no user").to_string().contains("no user"));
        let user = database(serde_json::json!({ "deployment": "d", "name": "n", "vantage": "direct", "user": "u" }));
        assert!(settings(&user, "x").expect_err("no host").to_string().contains("no host"));
        let secret = database(serde_json::json!({
            "deployment": "d", "name": "n", "vantage": "port-forward", "user": "u",
            "password": { "env": "CHAOS_TEST_NO_SUCH_VARIABLE" },
        }));
        let error = settings(&secret, "x").expect_err("no password").to_string();
        assert!(error.contains("CHAOS_TEST_NO_SUCH_VARIABLE"), "{error}");
    }
}
