//! The vantages `port-forward` and `direct`: PostgreSQL's own protocol.

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, NoTls, SimpleQueryMessage};

use super::psql::{Failed, no_workload};
use super::tls;
use crate::cluster::cause::certificate_problem;
use crate::cluster::{Cluster, ReadError, error_chain};
use crate::config::{Database, DatabaseTls, DatabaseVantage};
use crate::record::PodSource;

/// A connection and the task that drives it.
#[derive(Debug)]
pub(super) struct Wire {
    client: Client,
    task: JoinHandle<Option<String>>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) async fn connect(
    cluster: &Cluster,
    namespace: &str,
    database: &Database,
    what: &str,
) -> Result<Wire, ReadError> {
    let mut config = settings(database, what)?;
    if let Some(secret) = &database.password {
        let named = ("database.password", secret);
        config.password(cluster.credential(namespace, named).await?);
    }
    if database.vantage == DatabaseVantage::Direct {
        let host = database.host.as_deref().ok_or_else(|| {
            ReadError::other(what, "no host is configured")
                .hint("name one as database.host in chaos.toml")
        })?;
        let refused = |error: std::io::Error| {
            ReadError::other(what, error.to_string()).hint(
                "is the database up, and are database.host and database.port in chaos.toml right?",
            )
        };
        if host.starts_with('/') {
            let socket = format!("{host}/.s.PGSQL.{}", database.port);
            return greet(
                UnixStream::connect(socket).await.map_err(refused)?,
                &config,
                database,
                what,
            )
            .await;
        }
        let stream = TcpStream::connect((host, database.port))
            .await
            .map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        return greet(stream, &config, database, what).await;
    }
    let workload = database
        .workload
        .as_ref()
        .ok_or_else(|| no_workload(what))?;
    let pod = cluster.ready_pod(namespace, workload).await?;
    let name = pod.metadata.name.unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
    let open = format!(
        "open a tunnel to port {} of pod {name} in namespace {namespace}",
        database.port
    );
    let mut tunnel = pods
        .portforward(&name, &[database.port])
        .await
        .map_err(|error| ReadError::from_kube(&open, &error))?;
    let stream = tunnel
        .take_stream(database.port)
        .ok_or_else(|| ReadError::other(&open, "the tunnel has no stream"))?;
    let refused = tunnel.take_error(database.port);
    let greeted = greet(stream, &config, database, what);
    let Some(refused) = refused else {
        return greeted.await;
    };
    tokio::select! {
        biased;
        Some(why) = refused => Err(ReadError::other(what, why)
            .hint("is the database up, and is database.port in chaos.toml the container's own port?")),
        wire = greeted => wire,
    }
}

fn settings(database: &Database, what: &str) -> Result<Config, ReadError> {
    let user = database.user.as_deref().ok_or_else(|| {
        ReadError::other(what, "no user is configured")
            .hint("name one as database.user in chaos.toml")
    })?;
    let mut config = Config::new();
    config
        .user(user)
        .dbname(&database.name)
        .application_name("chaos-runbook");
    config.ssl_mode(if encrypted(database) {
        SslMode::Require
    } else {
        SslMode::Disable
    });
    Ok(config)
}

fn encrypted(database: &Database) -> bool {
    tls_of(database) != DatabaseTls::None
}

/// What is asked of the encryption. A tunnel is the API server's, and encrypted; a socket in the
/// file system leaves the machine not at all.
fn tls_of(database: &Database) -> DatabaseTls {
    let local = database
        .host
        .as_deref()
        .is_some_and(|host| host.starts_with('/'));
    let default = if database.vantage == DatabaseVantage::Direct && !local {
        DatabaseTls::Verify
    } else {
        DatabaseTls::None
    };
    database.tls.unwrap_or(default)
}

/// Greets the server over an open stream, encrypted or not.
async fn greet<S>(
    stream: S,
    config: &Config,
    database: &Database,
    what: &str,
) -> Result<Wire, ReadError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: tokio_postgres::Error| failed(what, &error, database);
    if !encrypted(database) {
        let (client, connection) = config.connect_raw(stream, NoTls).await.map_err(failed)?;
        let task =
            tokio::spawn(async move { connection.await.err().map(|error| error_chain(&error)) });
        return Ok(Wire { client, task });
    }
    let of_workload = database.workload.as_ref().map_or("", PodSource::name);
    let name = database.host.as_deref().unwrap_or(of_workload);
    let (ca, identity) = (database.ca.as_deref(), database.identity.as_ref());
    let mut connector = tls::connector(name, tls_of(database), ca, identity)
        .map_err(|error| ReadError::other(what, error.to_string()))?;
    let Ok(tls) = MakeTlsConnect::<S>::make_tls_connect(&mut connector, name);
    let (client, connection) = config.connect_raw(stream, tls).await.map_err(failed)?;
    let task = tokio::spawn(async move { connection.await.err().map(|error| error_chain(&error)) });
    Ok(Wire { client, task })
}

impl Wire {
    pub(super) async fn query(&mut self, sql: &str) -> Result<Vec<String>, Failed> {
        let messages = match self.client.simple_query(sql).await {
            Ok(messages) => messages,
            Err(error) => {
                if let Some(said) = error.as_db_error() {
                    // Class 57P: the server ends the session.
                    let state = said.code().code().to_owned();
                    let ended = state.starts_with("57P");
                    return Err(((!ended).then_some(state), said.message().to_owned()));
                }
                let end = if self.client.is_closed() {
                    (&mut self.task).await.ok().flatten()
                } else {
                    None
                };
                return Err((None, end.unwrap_or_else(|| error_chain(&error))));
            }
        };
        let mut lines = Vec::new();
        for message in messages {
            if let SimpleQueryMessage::Row(row) = message {
                let value = row
                    .try_get(0)
                    .map_err(|error| (None, error_chain(&error)))?;
                lines.push(value.unwrap_or_default().to_owned());
            }
        }
        Ok(lines)
    }
}

fn failed(what: &str, error: &tokio_postgres::Error, database: &Database) -> ReadError {
    let why = error_chain(error);
    // SQLSTATE class 28: the server does not accept who we are.
    let refused = error
        .code()
        .is_some_and(|code| code.code().starts_with("28"));
    if let Some(problem) = certificate_problem(error) {
        return ReadError::other(what, why).hint(tls::certificate_hint(problem, "database"));
    }
    let hint = if why.contains("no encryption") || why.contains("SSL off") {
        "this server wants TLS: set database.tls to \"verify\""
    } else if why.contains("server does not support TLS") {
        "the server does not encrypt: database.tls = \"none\" if the way there may be read by others"
    } else if refused || why.contains("password") {
        "check database.user and what database.password names in chaos.toml"
    } else if error.code().is_some_and(|code| code.code() == "3D000") {
        "check database.name in chaos.toml"
    } else if encrypted(database) {
        "is the database up, does it speak TLS, and are database.host and database.port in chaos.toml right?"
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
        let none = database(serde_json::json!({ "name": "n", "vantage": "direct", "host": "h" }));
        assert!(
            settings(&none, "x")
                .expect_err("no user")
                .to_string()
                .contains("no user")
        );
    }

    #[test]
    fn a_way_that_others_could_read_is_encrypted_unless_told_otherwise() {
        let of = |json| tls_of(&database(json));
        let direct = serde_json::json!({ "name": "n", "vantage": "direct", "host": "db" });
        assert_eq!(of(direct), DatabaseTls::Verify);
        let tunnel = serde_json::json!({ "workload": "d", "name": "n", "vantage": "port-forward" });
        assert_eq!(of(tunnel), DatabaseTls::None);
        let socket = serde_json::json!({ "name": "n", "vantage": "direct", "host": "/run" });
        assert_eq!(of(socket), DatabaseTls::None);
        let told = serde_json::json!({
            "name": "n", "vantage": "direct", "host": "db", "tls": "none",
        });
        assert_eq!(of(told), DatabaseTls::None);
    }
}
