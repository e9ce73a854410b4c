//! TLS for PostgreSQL's protocol, by rustls.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio_postgres_rustls::MakeRustlsConnect;

use crate::cluster::cause::CertificateProblem;
use crate::config::DatabaseTls;

/// Why no encrypted connection can be tried.
#[derive(Debug, thiserror::Error)]
pub(super) enum TlsSetupError {
    /// The server's name can't be in a certificate.
    #[error("{0:?} is no name that a server can have")]
    Name(String),
    /// The file of the authorities can't be used.
    #[error("database.ca {}: {why}", .path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no authority to trust.
    #[error("no certificate is trusted: {0}")]
    Roots(#[from] VerifierBuilderError),
}

/// A connector for the server `name`, trusting the certificates in the file `ca`, or those that the
/// system trusts.
pub(super) fn connector(
    name: &str,
    mode: DatabaseTls,
    ca: Option<&Path>,
) -> Result<MakeRustlsConnect, TlsSetupError> {
    ServerName::try_from(name).map_err(|_| TlsSetupError::Name(name.to_owned()))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = if mode == DatabaseTls::Require {
        Arc::new(Unverified(Arc::clone(&provider)))
    } else {
        let roots = Arc::new(roots(ca)?);
        WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has what the protocol versions need")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    let unreadable = |why: &dyn Display| TlsSetupError::Ca {
        path: path.to_owned(),
        why: why.to_string(),
    };
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&error))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| unreadable(&error))?;
        roots.add(certificate).map_err(|error| unreadable(&error))?;
    }
    if roots.is_empty() {
        Err(unreadable(&"it holds no certificate"))
    } else {
        Ok(roots)
    }
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

/// Takes any certificate, for `tls = "require"`: the way is encrypted, whoever is at its end.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }
    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }
    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
