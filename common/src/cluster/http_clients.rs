//! HTTP clients, one for each set of certificates that is trusted and shown.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Certificate, Client};

use super::resolver::SystemResolver;
use super::{ReadError, certificates, error_chain};
use crate::config::Identity;

/// The clients that were needed so far; cloning shares them.
#[derive(Clone, Debug, Default)]
pub(super) struct HttpClients(Arc<Mutex<HashMap<Shown, Client>>>);

/// What tells one client from another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Shown {
    /// File with the certificates that are trusted (PEM); without one, the system's are.
    pub(super) ca: Option<PathBuf>,
    /// Our own certificate.
    pub(super) identity: Option<Identity>,
    /// Whether the proxy of the environment is used, as for hosts outside of the cluster.
    pub(super) by_proxy: bool,
}

impl HttpClients {
    /// The client that trusts and shows this.
    ///
    /// # Errors
    /// A file can't be read or holds not what it should.
    pub(super) fn client(&self, shown: &Shown) -> Result<Client, ReadError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = known.get(shown) {
            return Ok(client.clone());
        }
        let client = make(shown)?;
        known.insert(shown.clone(), client.clone());
        Ok(client)
    }
}

/// A client that follows no redirect.
fn make(shown: &Shown) -> Result<Client, ReadError> {
    let mut builder = Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .dns_resolver(SystemResolver);
    if !shown.by_proxy {
        builder = builder.no_proxy();
    }
    if let Some(path) = &shown.ca {
        let roots: Vec<Certificate> = certificates::in_file(path).map_err(|error| {
            let what = "read the certificates to be trusted";
            ReadError::other(what, error.to_string()).hint("ca names a file in PEM")
        })?;
        builder = builder.tls_certs_only(roots);
    }
    if let Some(identity) = &shown.identity {
        builder = builder.identity(identity_of(identity)?);
    }
    builder.build().map_err(|error| {
        let what = "make an HTTP client with the certificates that are configured";
        ReadError::other(what, error_chain(&error))
    })
}

fn identity_of(Identity { certificate, key }: &Identity) -> Result<reqwest::Identity, ReadError> {
    let what = "read the certificate to be shown";
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|error| {
            let why = format!("cannot read {}: {error}", path.display());
            ReadError::other(what, why).hint("certificate and key name files in PEM")
        })
    };
    let pem = [read(certificate)?, b"\n".to_vec(), read(key)?].concat();
    reqwest::Identity::from_pem(&pem).map_err(|_| {
        let (certificate, key) = (certificate.display(), key.display());
        let why = format!("{certificate} and {key} are no certificate with its key in PEM");
        ReadError::other(what, why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_with_its_name() {
        // Which TLS provider there is, is chosen where tools begin.
        let clients = crate::cli::block_on(async { HttpClients::default() });
        assert!(clients.client(&Shown::default()).is_ok());
        let missing = PathBuf::from("/no/such/ca.pem");
        let shown = Shown {
            ca: Some(missing.clone()),
            ..Shown::default()
        };
        let error = clients.client(&shown).expect_err("there is none");
        assert!(error.to_string().contains("/no/such/ca.pem"), "{error}");
        let shown = Shown {
            identity: Some(Identity {
                certificate: missing.clone(),
                key: missing,
            }),
            ..Shown::default()
        };
        let error = clients.client(&shown).expect_err("there is none");
        assert!(error.to_string().contains("/no/such/ca.pem"), "{error}");
    }
}
