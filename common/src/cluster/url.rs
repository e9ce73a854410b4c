//! A URL that is asked from where the tool runs, as often as somebody wants to know.

use std::time::Duration;

use reqwest::{Certificate, Client};
use tokio::time::{Instant, timeout};

use super::probe::{Answer, MAX_BODY, ProbeError};
use super::{certificates, error_chain};
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
        let trusted = configured.ca.as_deref().map(certificates::in_file);
        let trusted = trusted
            .transpose()
            .map_err(|error| failed(error.to_string()))?;
        let http = client(trusted).map_err(|error| failed(error_chain(&error)))?;
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
            let body = whole_body(&mut answer).await;
            Ok(Answer {
                status: answer.status().as_u16(),
                body: body.map_err(|error| ProbeError::Service(error_chain(&error)))?,
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

/// A client that asks from where the tool runs and follows no redirect: one that trusts these
/// certificates only, or what the system trusts. Its answers hold the server's certificate.
///
/// # Errors
/// It can't be made.
pub fn client(trusted: Option<Vec<Certificate>>) -> reqwest::Result<Client> {
    let builder = Client::builder()
        .connect_timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .tls_info(true);
    match trusted {
        Some(certificates) => builder.tls_certs_only(certificates),
        None => builder,
    }
    .build()
}

/// Why there is no whole body.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// It broke off.
    #[error(transparent)]
    Broken(reqwest::Error),
    /// It is longer than is read.
    #[error("its answer is longer than {MAX_BODY} bytes")]
    TooLong,
}

/// Reads an answer to its end.
///
/// # Errors
/// It breaks off, or is longer than [`MAX_BODY`].
pub async fn whole_body(answer: &mut reqwest::Response) -> Result<Vec<u8>, BodyError> {
    let broken = |error: reqwest::Error| BodyError::Broken(error.without_url());
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(broken)? {
        body.extend_from_slice(&chunk);
        if body.len() > MAX_BODY {
            return Err(BodyError::TooLong);
        }
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    fn probe(toml: &str) -> Result<UrlProbe, UrlError> {
        // As the command line does: HTTP clients need one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        UrlProbe::new(&toml::from_str(toml).expect("a URL"))
    }

    /// A server that gives one answer; its address.
    async fn server(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        tokio::spawn(async move {
            let (mut caller, _) = listener.accept().await.expect("a caller");
            let _ = caller.read(&mut [0; 4096]).await;
            let _ = caller.write_all(answer.as_bytes()).await;
        });
        format!("url = \"http://{address}/health\"")
    }

    #[tokio::test]
    async fn an_answer_is_given_as_it_is_and_a_redirect_is_not_followed() {
        let answer = "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 2\r\n\r\nno";
        let probe = probe(&server(answer).await).expect("it can be asked");
        let answer = probe.get(LIMIT).await.expect("an answer");
        assert_eq!((answer.status, answer.body.as_slice()), (302, &b"no"[..]));
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_is_none() {
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhalf";
        let probe = probe(&server(answer).await).expect("it can be asked");
        let error = probe.get(LIMIT).await.expect_err("no answer");
        assert!(matches!(error, ProbeError::Service(_)), "{error:?}");
    }

    #[test]
    fn certificates_that_can_not_be_used_are_an_error_that_names_the_url() {
        let url = "url = \"https://shop.example.com/\"\nca = \"/no/such/file\"";
        let error = probe(url).expect_err("no certificates").to_string();
        let words = "https://shop.example.com/ can't be asked: cannot read /no/such/file";
        assert!(error.starts_with(words), "{error}");
    }
}
