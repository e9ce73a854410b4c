//! The way to the database.

use std::time::Duration;

use chaos_common::config::{DatabaseTls, ReportDatabase};
use chaos_common::postgres::{connector, identifier};
use postgres::config::SslMode;
use postgres::{Client, Config, NoTls};

use super::{DatabaseError, LIMIT, schema};

/// The longest that connecting to one address may take.
const CONNECT: Duration = Duration::from_secs(10);

/// Connects to the database, and sees to it that its tables are there.
///
/// # Errors
/// It can't be reached, does not let us in, or has no tables that this version knows.
pub(super) fn connect(settings: &ReportDatabase) -> Result<Client, DatabaseError> {
    let mut config = Config::new();
    config
        .host(&settings.host)
        .port(settings.port)
        .dbname(&settings.name)
        .user(&settings.user)
        .application_name("chaos-report")
        .connect_timeout(CONNECT)
        .tcp_user_timeout(LIMIT);
    if let Some(password) = &settings.password {
        config.password(password.read()?);
    }
    let mut client = if settings.tls == DatabaseTls::None {
        config.ssl_mode(SslMode::Disable).connect(NoTls)?
    } else {
        let (ca, identity) = (settings.ca.as_deref(), settings.identity.as_ref());
        let connector = connector(&settings.host, settings.tls, ca, identity)?;
        config.ssl_mode(SslMode::Require).connect(connector)?
    };
    client.batch_execute(&format!(
        "SET search_path = {}; SET statement_timeout = '{}s'",
        identifier(&settings.schema),
        LIMIT.as_secs()
    ))?;
    schema::ensure(&mut client, &settings.schema)?;
    Ok(client)
}
