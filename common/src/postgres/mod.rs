//! The application's database: a session with PostgreSQL over the configured vantage, and the
//! fingerprints of tables.
//!
//! ```no_run
//! # async fn example(cluster: &chaos_common::cluster::Cluster, database: &chaos_common::config::Database)
//! # -> Result<(), Box<dyn std::error::Error>> {
//! use chaos_common::postgres::{Session, Snapshot};
//!
//! let mut session = Session::open(cluster, "shop", database).await?;
//! let snapshot = Snapshot::begin(&mut session).await?;
//! let users = snapshot.fingerprint(&mut session, &database.tables[0], None).await;
//! # Ok(())
//! # }
//! ```

mod comparison;
mod fingerprint;
mod name;
mod psql;
mod session;
mod snapshot;
mod tls;
mod wire;

pub use self::comparison::{Comparison, compare};
pub use self::fingerprint::{Taken, Untaken};
pub use self::name::{identifier, literal, quoted};
pub use self::session::{QueryError, Session};
pub use self::snapshot::{Before, Server, Snapshot};
pub use self::tls::{ConnectorError, certificate_hint, connector};
