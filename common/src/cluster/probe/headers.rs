//! The headers that a server wants, credentials among them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{Endpoint, HttpProbe, ProbeError};
use crate::cluster::ReadError;
use crate::config::{Credential, HeaderText, Login};

/// Credentials out of Secrets of the cluster by namespace, so that not every question reads them
/// again. Cloning shares them.
#[derive(Clone, Default)]
pub(super) struct Known(Arc<Mutex<BTreeMap<(String, Credential), String>>>);

// Secrets are not shown.
impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Known").finish_non_exhaustive()
    }
}

impl Known {
    fn get(&self, place: &(String, Credential)) -> Option<String> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(place).cloned()
    }

    fn keep(&self, place: (String, Credential), value: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(place, value.to_owned());
    }

    /// A server did not accept one of them: they may have been exchanged.
    pub(super) fn forget(&self) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.clear();
    }
}

impl HttpProbe {
    /// What an endpoint wants to be shown.
    pub(super) async fn headers(&self, endpoint: &Endpoint) -> Result<HeaderMap, ProbeError> {
        let mut headers = HeaderMap::new();
        let Some(access) = &endpoint.access else {
            return Ok(headers);
        };
        let read = |key: &'static str, secret| async move {
            let namespace = endpoint.namespace.as_str();
            let read = self.secret(namespace, (key, secret)).await;
            read.map_err(ProbeError::Vantage)
        };
        let login = match &access.login {
            None => None,
            Some(Login::Bearer(token)) => Some(format!("Bearer {}", read("token", token).await?)),
            Some(Login::Basic { user, password }) => {
                let pair = format!("{user}:{}", read("password", password).await?);
                Some(format!("Basic {}", BASE64_STANDARD.encode(pair)))
            }
        };
        if let Some(login) = login {
            headers.insert(AUTHORIZATION, value("Authorization", &login)?);
        }
        for (name, text) in &access.headers {
            let text = match text {
                HeaderText::Plain(text) => text.clone(),
                HeaderText::Secret(secret) => read("headers", secret).await?,
            };
            let header = HeaderName::try_from(name).map_err(|_| no_header(name))?;
            headers.insert(header, value(name, &text)?);
        }
        Ok(headers)
    }

    async fn secret(
        &self,
        namespace: &str,
        (key, secret): (&str, &Credential),
    ) -> Result<String, ReadError> {
        let place = (namespace.to_owned(), secret.clone());
        if let Some(known) = self.known.get(&place) {
            return Ok(known);
        }
        let value = self.cluster.credential(namespace, (key, secret)).await?;
        // A file may be exchanged at any time, and costs nothing to read.
        if matches!(secret, Credential::InCluster { .. }) {
            self.known.keep(place, &value);
        }
        Ok(value)
    }
}

fn value(name: &str, text: &str) -> Result<HeaderValue, ProbeError> {
    let mut value = HeaderValue::try_from(text).map_err(|_| no_header(name))?;
    value.set_sensitive(true);
    Ok(value)
}

/// The value is not told: it may be a secret.
fn no_header(name: &str) -> ProbeError {
    let why = "its name or its value can't be sent in HTTP";
    ProbeError::Vantage(ReadError::other(format!("send the header {name}"), why))
}
