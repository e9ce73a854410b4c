//! A URL that is asked from where the tool runs, as often as somebody wants to know.

use std::path::Path;
use std::time::Duration;

use reqwest::{Certificate, Client};
use tokio::time::{Instant, timeout};

use super::error_chain;
use super::probe::{Answer, MAX_BODY, ProbeError};
use crate::config;

/// Asks one URL. Cloning shares the connections.
#[derive(Clone, Debug)]
pub struct UrlProbe {
    url: String,
    http: Client,
}

/// Why a URL can't be asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url} can't be asked: {why}")]
pub struct UrlError {
    url: String,
    why: String,
}

impl UrlProbe {
    /// For a configured URL. Nothing is sent yet.
    ///
    /// # Errors
    /// The certificates that it names can't be used.
    pub fn new(configured: &config::Url) -> Result<UrlProbe, UrlError> {
        let url = configured.url.clone();
        let failed = |why: String| UrlError {
            url: url.clone(),
            why,
        };
        let mut client = Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .redirect(reqwest::redirect::Policy::none());
        if let Some(path) = &configured.ca {
            client = client.tls_certs_only(roots(path).map_err(failed)?);
        }
        let http = client
            .build()
            .map_err(|error| failed(error_chain(&error)))?;
        Ok(UrlProbe { url, http })
    }

    /// Asks it and waits for the whole answer.
    ///
    /// # Errors
    /// There was no answer in time.
    pub async fn get(&self, limit: Duration) -> Result<Answer, ProbeError> {
        let failed = |error: reqwest::Error| ProbeError::Service(error_chain(&error.without_url()));
        let start = Instant::now();
        let ask = async {
            let mut answer = self.http.get(&self.url).send().await.map_err(failed)?;
            let mut body = Vec::new();
            while let Some(chunk) = answer.chunk().await.map_err(failed)? {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_BODY {
                    let why = format!("its answer is longer than {MAX_BODY} bytes");
                    return Err(ProbeError::Service(why));
                }
            }
            Ok(Answer {
                status: answer.status().as_u16(),
                body,
                elapsed: start.elapsed(),
            })
        };
        let late = |_| {
            let why = format!("no answer in {} ms", limit.as_millis());
            Err(ProbeError::Service(why))
        };
        timeout(limit, ask).await.unwrap_or_else(late)
    }
}

/// The certificates in a file.
fn roots(path: &Path) -> Result<Vec<Certificate>, String> {
    let pem =
        std::fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let roots = Certificate::from_pem_bundle(&pem).unwrap_or_default();
    if roots.is_empty() {
        return Err(format!("{} holds no certificate in PEM", path.display()));
    }
    Ok(roots)
}
