//! TLS for PostgreSQL's protocol, by rustls.

use rustls::pki_types::ServerName;
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::cluster::cause::CertificateProblem;
use crate::cluster::tls::{self, TlsSetupError, Trust};
use crate::config::{Database, DatabaseTls};

/// Why no encrypted connection can be tried.
#[derive(Debug, thiserror::Error)]
pub(super) enum ConnectorError {
    /// The server's name can't be in a certificate.
    #[error("{0:?} is no name that a server can have")]
    Name(String),
    /// What is trusted or shown can't be used.
    #[error(transparent)]
    Setup(#[from] TlsSetupError),
}

/// A connector for the server `name`, trusting and showing what the configuration names.
pub(super) fn connector(
    name: &str,
    mode: DatabaseTls,
    database: &Database,
) -> Result<MakeRustlsConnect, ConnectorError> {
    ServerName::try_from(name).map_err(|_| ConnectorError::Name(name.to_owned()))?;
    let trust = if mode == DatabaseTls::Require {
        Trust::Anybody
    } else {
        Trust::Authorities(database.ca.as_deref())
    };
    let config = tls::client_config(trust, database.identity.as_ref())?;
    Ok(MakeRustlsConnect::new(config))
}

/// What to do about a certificate that was not accepted.
pub(super) fn hint(problem: CertificateProblem) -> &'static str {
    match problem {
        CertificateProblem::Expired => {
            "the server's certificate has expired: look at its dates with \
             openssl s_client -starttls postgres, and at this machine's clock"
        }
        CertificateProblem::NotYetValid => {
            "the server's certificate is not valid yet: look at this machine's clock"
        }
        CertificateProblem::Name => {
            "the server's certificate is of another name: \
             set database.host to the name that it was made for"
        }
        CertificateProblem::Issuer => {
            "nobody who is trusted signed the server's certificate: name the certificate of its \
             authority as database.ca, or set database.tls = \"require\" to encrypt without \
             knowing the server"
        }
        CertificateProblem::Other => {
            "look at the server's certificate with openssl s_client -starttls postgres"
        }
    }
}
