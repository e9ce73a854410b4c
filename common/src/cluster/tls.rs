//! TLS by rustls, for the ways that no HTTP client goes: tunnels, and PostgreSQL's protocol.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{VerifierBuilderError, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use crate::config::Identity;

/// Which server certificates are accepted.
#[derive(Clone, Copy, Debug)]
pub enum Trust<'a> {
    /// Those that the authorities in a file have signed; without one, those that the system trusts.
    Authorities(Option<&'a Path>),
    /// Any: the way is encrypted, whoever is at its end.
    Anybody,
}

/// Why no encrypted connection can be tried.
#[derive(Debug, thiserror::Error)]
pub enum TlsSetupError {
    /// A file can't be used.
    #[error("the {of} in {}: {why}", .path.display())]
    File {
        /// What should be in it.
        of: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// There is no authority to trust.
    #[error("no certificate is trusted: {0}")]
    Roots(#[from] VerifierBuilderError),
    /// Certificate and key are not of each other.
    #[error("our own certificate can't be used: {0}")]
    Identity(rustls::Error),
}

/// What is in a file of certificates, for messages.
const AUTHORITIES: &str = "authorities' certificates";
const CERTIFICATE: &str = "certificate";
const KEY: &str = "key";

fn unreadable(of: &'static str, path: &Path, why: &dyn Display) -> TlsSetupError {
    TlsSetupError::File {
        of,
        path: path.to_owned(),
        why: why.to_string(),
    }
}

/// How to encrypt, and what to show.
///
/// # Errors
/// A file can't be read or holds nothing of its kind, or no certificate is trusted.
///
/// # Panics
/// The library of the ciphers lacks what every version of the protocol needs: a bug.
pub fn client_config(
    trust: Trust<'_>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, TlsSetupError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match trust {
        Trust::Anybody => Arc::new(Unverified(Arc::clone(&provider))),
        Trust::Authorities(ca) => {
            let roots = Arc::new(roots(ca)?);
            WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider)).build()?
        }
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has what the protocol versions need")
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some(Identity { certificate, key }) = identity else {
        return Ok(config.with_no_client_auth());
    };
    let chain = certificates(CERTIFICATE, certificate)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable(KEY, key, &error))?;
    config
        .with_client_auth_cert(chain, key)
        .map_err(TlsSetupError::Identity)
}

fn roots(ca: Option<&Path>) -> Result<RootCertStore, TlsSetupError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return Ok(roots);
    };
    for certificate in certificates(AUTHORITIES, path)? {
        let added = roots.add(certificate);
        added.map_err(|error| unreadable(AUTHORITIES, path, &error))?;
    }
    Ok(roots)
}

fn certificates(
    of: &'static str,
    path: &Path,
) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let wrong = |error: pem::Error| unreadable(of, path, &error);
    let found = CertificateDer::pem_file_iter(path).map_err(wrong)?;
    let found: Vec<_> = found.collect::<Result<_, _>>().map_err(wrong)?;
    if found.is_empty() {
        return Err(unreadable(of, path, &"it holds no certificate"));
    }
    Ok(found)
}

/// Takes any certificate.
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
