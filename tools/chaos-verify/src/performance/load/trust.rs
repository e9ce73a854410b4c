//! Which certificates of servers are trusted.

use std::io;

use chaos_common::cluster::{cause, certificate_problem};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

use super::connection::RequestError;

/// A client that trusts the certificates in `ca` (PEM), else this machine's own, or those that
/// `SSL_CERT_FILE` names.
pub(super) fn client(ca: Option<&[u8]>, http2: bool) -> Result<ClientConfig, RequestError> {
    let roots = match ca {
        Some(pem) => named(pem)?,
        None => system()?,
    };
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![if http2 {
        b"h2".to_vec()
    } else {
        b"http/1.1".to_vec()
    }];
    Ok(config)
}

fn named(pem: &[u8]) -> Result<RootCertStore, RequestError> {
    let mut roots = RootCertStore::empty();
    let certificates = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok);
    roots.add_parsable_certificates(certificates);
    if roots.is_empty() {
        let why = "the file that ca names holds no certificate in PEM";
        return Err(RequestError::Generator(why.to_owned()));
    }
    Ok(roots)
}

fn system() -> Result<RootCertStore, RequestError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map(|error| format!(": {error}"))
            .unwrap_or_default();
        return Err(RequestError::Generator(format!(
            "this machine trusts no certificates{why}; SSL_CERT_FILE or ca can name some"
        )));
    }
    Ok(roots)
}

/// Why there is no TLS with the server.
pub(super) fn refusal(error: &io::Error) -> RequestError {
    if let Some(problem) = certificate_problem(error) {
        return RequestError::Target(problem.to_string());
    }
    match cause::<rustls::Error>(error) {
        Some(error) => RequestError::Target(format!("TLS: {error}")),
        None => RequestError::Target(format!("the TLS handshake broke off: {error}")),
    }
}
