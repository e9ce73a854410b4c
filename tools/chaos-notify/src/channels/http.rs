//! Requests to a service whose URL or token is a secret: of it, only the host is ever shown.

use std::error::Error as _;
use std::path::PathBuf;
use std::time::Duration;

use chaos_common::config::Secret;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, Method, Proxy, RequestBuilder, Response, Url};
use serde_json::Value;

use super::error::ChannelError;
use super::scrub::Scrub;
use crate::delivery::{Answer, Watch, retry_after};
use crate::template::line;

/// The longest time to a connection. Shorter than a whole try, so that a time-out of the connection
/// is known as one: nothing was sent by then.
const CONNECT: Duration = Duration::from_secs(5);

/// As much of an answer as is read.
const MAX_BODY: usize = 64 << 10;

/// How a service is reached.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Reach<'a> {
    /// Certificates that are trusted instead of the system's (PEM).
    pub(crate) ca: Option<&'a PathBuf>,
    /// The proxy, instead of what the environment names.
    pub(crate) proxy: Option<&'a str>,
}

/// A service, ready to be asked.
pub(crate) struct Http {
    client: Client,
    url: Url,
    scrub: Scrub,
}

/// One request.
pub(crate) struct Request {
    method: Method,
    url: Url,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Option<Vec<u8>>,
}

/// What the service answered.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<Duration>,
    /// The body, or its beginning.
    pub(crate) body: String,
    /// The body broke off.
    pub(crate) broken: bool,
}

impl Http {
    /// The service at a URL that is a secret, as are `others`.
    ///
    /// # Errors
    /// It is no URL, or TLS or the proxy can't be set up.
    pub(crate) fn new(
        url: &str,
        reach: Reach<'_>,
        others: impl IntoIterator<Item = String>,
    ) -> Result<Http, ChannelError> {
        let parsed = Url::parse(url).map_err(ChannelError::NotAUrl)?;
        if !matches!(parsed.scheme(), "http" | "https") {
            return Err(ChannelError::NotHttp);
        }
        let secrets = others.into_iter().chain([url.to_owned()]);
        Ok(Http {
            client: client(&parsed, reach)?,
            url: parsed,
            scrub: Scrub::of(secrets),
        })
    }

    /// The host of the URL, all of it that is no secret.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Refuses to send a token over a network in the clear.
    ///
    /// # Errors
    /// It would be.
    pub(crate) fn hides_token(&self) -> Result<(), ChannelError> {
        if self.url.scheme() == "https" || is_local(self.host()) {
            return Ok(());
        }
        Err(ChannelError::TokenInTheClear {
            host: self.host().to_owned(),
        })
    }

    /// The URL itself.
    pub(crate) fn url(&self) -> Url {
        self.url.clone()
    }

    /// The URL with these parts behind its path.
    pub(crate) fn below(&self, parts: &[&str]) -> Url {
        let mut url = self.url.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    /// A text without the secrets of this service.
    pub(crate) fn scrubbed(&self, text: &str) -> String {
        self.scrub.clean(text)
    }

    /// A text without the secrets of this service, as one line.
    pub(crate) fn clean(&self, text: &str) -> String {
        line(&self.scrub.clean(text))
    }

    /// Asks something that changes nothing. Whatever goes wrong, nothing has arrived.
    pub(crate) async fn read(&self, request: Request, watch: &Watch) -> Result<Reply, Answer> {
        let asked = self.ask(request, watch.step()).await;
        asked.map_err(|error| Answer::later(format!("cannot look: {}", self.why(&error))))
    }

    /// Sends what may arrive.
    pub(crate) async fn write(&self, request: Request, watch: &Watch) -> Result<Reply, Answer> {
        watch.may_arrive();
        let asked = self.ask(request, watch.step()).await;
        asked.map_err(|error| self.broken(&error))
    }

    async fn ask(&self, request: Request, limit: Duration) -> Result<Reply, reqwest::Error> {
        let built = request.build(&self.client).timeout(limit);
        let mut response = built.send().await?;
        let after = response.headers().get(RETRY_AFTER);
        let after = after.and_then(|value| value.to_str().ok());
        let after = after.and_then(|value| retry_after(value, Timestamp::now()));
        let (body, broken) = body(&mut response).await;
        Ok(Reply {
            status: response.status().as_u16(),
            retry_after: after,
            body,
            broken,
        })
    }

    /// What an error means: whether anything was sent decides.
    fn broken(&self, error: &reqwest::Error) -> Answer {
        let why = self.why(error);
        if error.is_connect() {
            Answer::later(format!("cannot connect: {why}"))
        } else if error.is_builder() {
            Answer::refused(format!("cannot make the request: {why}"))
        } else if error.is_timeout() {
            Answer::unknown(
                "the request was sent and no answer came in time; \
                 it may have arrived, so it is not sent again",
            )
        } else {
            Answer::unknown(format!(
                "the connection broke after the request was sent; \
                 it may have arrived, so it is not sent again: {why}"
            ))
        }
    }

    /// The innermost cause in words.
    fn why(&self, error: &reqwest::Error) -> String {
        if error.is_timeout() {
            return "no answer in time".to_owned();
        }
        let mut source = error.source();
        let mut text = "the request failed".to_owned();
        while let Some(cause) = source {
            text = cause.to_string();
            source = cause.source();
        }
        self.clean(&text)
    }
}

impl Request {
    /// A GET.
    pub(crate) fn get(url: Url) -> Request {
        Request::new(Method::GET, url)
    }

    /// A request with JSON in it.
    pub(crate) fn json(method: Method, url: Url, body: &Value) -> Request {
        let bytes = body.to_string().into_bytes();
        let json = HeaderValue::from_static("application/json; charset=utf-8");
        Request {
            body: Some(bytes),
            ..Request::new(method, url)
        }
        .header(reqwest::header::CONTENT_TYPE, json)
    }

    /// A request without a body.
    pub(crate) fn new(method: Method, url: Url) -> Request {
        Request {
            method,
            url,
            headers: Vec::new(),
            body: None,
        }
    }

    /// The same, with a header.
    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Request {
        self.headers.push((name, value));
        self
    }

    /// The same, with an `Authorization`, if there is one.
    #[must_use]
    pub(crate) fn authorized(self, value: Option<&HeaderValue>) -> Request {
        match value {
            Some(value) => self.header(AUTHORIZATION, value.clone()),
            None => self,
        }
    }

    /// The bytes of its body.
    pub(crate) fn body(&self) -> &[u8] {
        self.body.as_deref().unwrap_or_default()
    }

    /// What it is, for people, without a secret.
    pub(crate) fn preview(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let body = String::from_utf8_lossy(self.body());
        format!("{} to {host}: {body}", self.method)
    }

    fn build(self, client: &Client) -> RequestBuilder {
        let mut request = client.request(self.method, self.url);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        match self.body {
            Some(body) => request.body(body),
            None => request,
        }
    }
}

impl Reply {
    /// The body as JSON, if it is.
    pub(crate) fn json(&self) -> Option<Value> {
        serde_json::from_str(&self.body).ok()
    }
}

/// Reads the body, at most so much of it; and whether it broke off.
async fn body(response: &mut Response) -> (String, bool) {
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return (String::from_utf8_lossy(&body).into_owned(), false),
            Err(_) => return (String::from_utf8_lossy(&body).into_owned(), true),
        }
        if body.len() > MAX_BODY {
            body.truncate(MAX_BODY);
            return (String::from_utf8_lossy(&body).into_owned(), true);
        }
    }
}

/// A header that holds a secret: `Bearer TOKEN`.
///
/// # Errors
/// The token holds what no header can.
pub(crate) fn authorization(scheme: &str, token: &str) -> Result<HeaderValue, ChannelError> {
    let value = HeaderValue::from_str(&format!("{scheme} {token}"));
    let mut value = value.map_err(|_| ChannelError::BadToken)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A token that is configured, if one is.
///
/// # Errors
/// It can't be read.
pub(crate) fn token(secret: Option<&Secret>) -> Result<Option<String>, ChannelError> {
    let read = secret.map(Secret::read).transpose();
    read.map_err(ChannelError::Secret)
}

/// Whether a host is this machine.
pub(crate) fn is_local(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn client(url: &Url, reach: Reach<'_>) -> Result<Client, ChannelError> {
    // A redirect would take the message, or its token, to who knows where.
    let mut client = Client::builder()
        .connect_timeout(CONNECT)
        .redirect(Policy::none());
    if let Some(path) = reach.ca {
        client = client.tls_certs_only(certificates(path)?);
    } else if url.scheme() == "http" {
        // A slim image has no certificates, and without TLS needs none.
        client = client.tls_certs_only([]);
    }
    if let Some(proxy) = reach.proxy {
        let proxy = Proxy::all(proxy_url(proxy)?).map_err(|_| ChannelError::BadProxy)?;
        client = client.proxy(proxy);
    }
    let client = client.build();
    client.map_err(|error| ChannelError::Tls(error.without_url().to_string()))
}

/// The URL of a proxy. It stands in the configuration, so that no password may be in it.
pub(super) fn proxy_url(proxy: &str) -> Result<Url, ChannelError> {
    let url = Url::parse(proxy).map_err(|_| ChannelError::BadProxy)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ChannelError::BadProxy);
    }
    Ok(url)
}

fn certificates(path: &PathBuf) -> Result<Vec<Certificate>, ChannelError> {
    let error = |why: String| ChannelError::Certificates {
        path: path.clone(),
        why,
    };
    let pem = std::fs::read(path).map_err(|e| error(e.kind().to_string()))?;
    let found = Certificate::from_pem_bundle(&pem).map_err(|_| error("it is not PEM".into()))?;
    if found.is_empty() {
        return Err(error("it holds none".into()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn http(url: &str) -> Result<Http, ChannelError> {
        // As the command line does: HTTP clients need one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Http::new(url, Reach::default(), [])
    }

    #[test]
    fn a_bad_url_or_token_is_not_repeated() {
        for url in ["hunter2", "ftp://h/hunter2"] {
            let error = http(url).err().expect("refused");
            assert!(!format!("{error} {error:?}").contains("hunter2"));
        }
        let error = authorization("Bearer", "hunter2\n").expect_err("refused");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn a_token_does_not_travel_in_the_clear() {
        let hides = |url: &str| http(url).expect("a URL").hides_token();
        assert!(hides("https://status.example/x").is_ok());
        assert!(hides("http://127.0.0.1:1/x").is_ok());
        assert!(hides("http://[::1]:1/x").is_ok());
        let error = hides("http://status.example/x").expect_err("refused");
        assert!(error.to_string().contains("status.example"), "{error}");
    }

    #[test]
    fn a_proxy_with_a_password_is_refused() {
        let proxied = |proxy| {
            let _ = rustls::crypto::ring::default_provider().install_default();
            let reach = Reach {
                ca: None,
                proxy: Some(proxy),
            };
            Http::new("http://h/", reach, [])
        };
        assert!(proxied("http://proxy.example:3128").is_ok());
        let error = proxied("http://u:hunter2@proxy").err().expect("refused");
        assert!(!error.to_string().contains("hunter2"));
    }

    #[test]
    fn parts_are_put_behind_a_path_and_never_above_it() {
        let http = http("https://h/v1/").expect("a URL");
        assert_eq!(http.below(&["a", "b/.."]).as_str(), "https://h/v1/a/b%2F..");
    }
}
