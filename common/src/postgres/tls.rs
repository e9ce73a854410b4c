//! TLS for PostgreSQL's protocol, by rustls.

use std::path::Path;

use rustls::pki_types::ServerName;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::cluster::cause::CertificateProblem;
use crate::cluster::tls::{self, TlsSetupError, Trust};
use crate::config::{DatabaseTls, Identity};

/// Why no encrypted connection can be tried.
#[derive(Debug, thiserror::Error)]
pub enum ConnectorError {
    /// The server's name can't be in a certificate.
    #[error("{0:?} is no name that a server can have")]
    Name(String),
    /// What is trusted or shown can't be used.
    #[error(transparent)]
    Setup(#[from] TlsSetupError),
}

/// A connector for the server `name`. Its certificate must be signed by one of the authorities in
/// `ca`, or by one that the system trusts; `identity` is shown where the server wants to see one.
///
/// # Errors
/// The name is none, or a file can't be used.
pub fn connector(
    name: &str,
    mode: DatabaseTls,
    ca: Option<&Path>,
    identity: Option<&Identity>,
) -> Result<MakeRustlsConnect, ConnectorError> {
    ServerName::try_from(name).map_err(|_| ConnectorError::Name(name.to_owned()))?;
    let trust = if mode == DatabaseTls::Require {
        Trust::Anybody
    } else {
        Trust::Authorities(ca)
    };
    let config = tls::client_config(trust, identity)?;
    Ok(MakeRustlsConnect::new(config))
}

/// What to do about a certificate that was not accepted; `table` is that of the database in
/// `chaos.toml`.
pub fn certificate_hint(problem: CertificateProblem, table: &str) -> String {
    const LOOK: &str = "openssl s_client -starttls postgres";
    match problem {
        CertificateProblem::Expired => format!(
            "the server's certificate has expired: look at its dates with {LOOK}, and at this \
             machine's clock"
        ),
        CertificateProblem::NotYetValid => {
            "the server's certificate is not valid yet: look at this machine's clock".to_owned()
        }
        CertificateProblem::Name => format!(
            "the server's certificate is of another name: set {table}.host to the name that it \
             was made for"
        ),
        CertificateProblem::Issuer => format!(
            "nobody who is trusted signed the server's certificate: name the certificate of its \
             authority as {table}.ca, or set {table}.tls = \"require\" to encrypt without \
             knowing the server"
        ),
        CertificateProblem::Other => format!("look at the server's certificate with {LOOK}"),
    }
}
