//! HTTP clients, one for each set of certificates that is trusted.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Certificate, Client};

use super::resolver::SystemResolver;
use super::{ReadError, certificates};

/// The clients that were needed so far; cloning shares them.
#[derive(Clone, Debug)]
pub(super) struct HttpClients {
    /// Trusts what the system trusts.
    plain: Client,
    /// Each trusts the certificates of a file.
    trusting: Arc<Mutex<HashMap<PathBuf, Client>>>,
}

impl HttpClients {
    /// # Panics
    /// If an HTTP client can't be made, which needs nothing but memory.
    pub(super) fn new() -> HttpClients {
        HttpClients {
            plain: client(&[]),
            trusting: Arc::default(),
        }
    }

    /// The client that trusts the certificates in a file (PEM); without one, the system's.
    ///
    /// # Errors
    /// The file can't be read or holds none.
    pub(super) fn trusting(&self, ca: Option<&PathBuf>) -> Result<Client, ReadError> {
        let Some(path) = ca else {
            return Ok(self.plain.clone());
        };
        let mut known = self.trusting.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = known.get(path) {
            return Ok(client.clone());
        }
        let roots = certificates::in_file(path).map_err(|error| {
            let what = "read the certificates to be trusted";
            ReadError::other(what, error.to_string()).hint("ca names a file in PEM")
        })?;
        let client = client(&roots);
        known.insert(path.clone(), client.clone());
        Ok(client)
    }
}

/// A client that follows no redirect; with `ca`, one that trusts these certificates only.
fn client(ca: &[Certificate]) -> Client {
    let builder = Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .dns_resolver(SystemResolver);
    let builder = match ca {
        [] => builder,
        some => builder.tls_certs_only(some.iter().cloned()),
    };
    builder
        .build()
        .expect("a client with these settings can be made")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_certificates_is_refused_with_its_name() {
        // Which TLS provider there is, is chosen where tools begin.
        let clients = crate::cli::block_on(async { HttpClients::new() });
        assert!(clients.trusting(None).is_ok());
        let missing = PathBuf::from("/no/such/ca.pem");
        let refused = clients.trusting(Some(&missing));
        let error = refused.expect_err("there is none");
        assert!(error.to_string().contains("/no/such/ca.pem"), "{error}");
    }
}
