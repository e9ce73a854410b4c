//! What requests go to, what they look like, and what a good answer is.

use std::time::Duration;

use anyhow::{anyhow, bail};
use chaos_common::config::{DataPath, Deviation, Expectation};
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

use super::connection::RequestError;
use crate::data::api::data_fault;

/// A URL under load, taken apart once.
#[derive(Clone, Debug)]
pub(crate) struct HttpUrl {
    /// As it was given.
    pub(crate) text: String,
    pub(crate) tls: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The request as it goes over an HTTP/1.1 connection.
    pub(crate) request: Vec<u8>,
    /// What a good answer is.
    pub(crate) wanted: Wanted,
    /// Certificates that are trusted instead of the system's, in PEM.
    pub(crate) ca: Option<Vec<u8>>,
}

/// What a good answer is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    /// Statuses that are good, besides those in the 200s; not asked where `answer` or `data` is.
    pub(crate) statuses: Vec<u16>,
    /// What a Service's answer must be.
    pub(crate) answer: Option<Expectation>,
    /// The data that it must hold.
    pub(crate) data: Option<DataPath>,
}

impl Wanted {
    /// Why an answer is not good, if it is not.
    pub(crate) fn fault(&self, status: u16, body: &[u8], elapsed: Duration) -> Option<String> {
        if let Some(data) = &self.data
            && let Some(why) = data_fault(status, body, data)
        {
            return Some(why);
        }
        match &self.answer {
            Some(answer) => {
                let deviation = answer.deviation(status, body, elapsed)?;
                Some(match deviation {
                    // Without the time, which is another each time.
                    Deviation::Late { status, within, .. } => {
                        format!("answers {status}, but later than {within}")
                    }
                    other => other.to_string(),
                })
            }
            None if self.data.is_some() || self.statuses.contains(&status) => None,
            None => {
                let deviation = Expectation::default().deviation(status, body, elapsed)?;
                let redirect = (300..400).contains(&status);
                let note = if redirect {
                    ", a redirect, which is not followed"
                } else {
                    ""
                };
                Some(format!("{deviation}{note}"))
            }
        }
    }

    /// Whether a body says whether an answer is good.
    fn needs_body(&self) -> bool {
        self.data.is_some() || self.answer.as_ref().is_some_and(|one| one.body.is_some())
    }
}

impl HttpUrl {
    /// Takes a URL apart.
    pub(crate) fn parse(url: &str) -> anyhow::Result<HttpUrl> {
        let bad = |why: &str| anyhow!("{url:?} is no URL to put load on: {why}");
        let uri: Uri = url
            .parse()
            .map_err(|error: http::uri::InvalidUri| bad(&error.to_string()))?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            _ => return Err(bad("it does not begin with http:// or https://")),
        };
        let authority = uri.authority().ok_or_else(|| bad("it names no host"))?;
        if authority.as_str().contains('@') {
            bail!("a URL to put load on must not hold a user or a password");
        }
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let path = uri
            .path_and_query()
            .map_or("/", PathAndQuery::as_str)
            .to_owned();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {}/{}\r\nAccept: */*\r\n\r\n",
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
        );
        let port = port(authority, tls).ok_or_else(|| bad("its port is not from 1 to 65535"))?;
        Ok(HttpUrl {
            text: url.to_owned(),
            tls,
            host,
            port,
            request: request.into_bytes(),
            wanted: Wanted::default(),
            ca: None,
        })
    }

    /// Whether the body of an answer is looked at.
    pub(crate) fn wants_body(&self) -> bool {
        self.wanted.needs_body()
    }

    /// Whether an answer is good.
    pub(crate) fn judge(
        &self,
        status: u16,
        body: &[u8],
        elapsed: Duration,
    ) -> Result<(), RequestError> {
        let fault = self.wanted.fault(status, body, elapsed);
        fault.map_or(Ok(()), |why| Err(RequestError::Target(why)))
    }
}

/// The port; none if there is no such port.
fn port(authority: &Authority, tls: bool) -> Option<u16> {
    let given = authority.as_str().rsplit_once(':').map(|(_, port)| port);
    match given.filter(|port| !port.is_empty() && !port.ends_with(']')) {
        Some(port) => port.parse().ok().filter(|port| *port > 0),
        None => Some(if tls { 443 } else { 80 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_taken_apart() {
        let url = HttpUrl::parse("http://shop.prod:8000/a?b=c").expect("a URL");
        assert_eq!(
            (url.tls, url.host.as_str(), url.port),
            (false, "shop.prod", 8000)
        );
        assert!(
            url.request
                .starts_with(b"GET /a?b=c HTTP/1.1\r\nHost: shop.prod:8000\r\n")
        );
        let url = HttpUrl::parse("https://[::1]").expect("a URL");
        assert_eq!((url.tls, url.host.as_str(), url.port), (true, "::1", 443));
        let url = HttpUrl::parse("http://[::1]:65535/").expect("a URL");
        assert_eq!((url.host.as_str(), url.port), ("::1", 65535));
    }

    #[test]
    fn an_answer_that_says_no_is_not_good_whatever_its_status() {
        let fault = |wanted: &Wanted, status, body: &str| {
            wanted.fault(status, body.as_bytes(), Duration::from_millis(100))
        };
        let anything = Wanted::default();
        assert_eq!(fault(&anything, 204, ""), None);
        let redirect = fault(&anything, 308, "").expect("not good");
        assert!(redirect.contains("308, a redirect"), "{redirect}");
        let more = Wanted {
            statuses: vec![308],
            ..Wanted::default()
        };
        assert_eq!(fault(&more, 308, ""), None);
        let answer = |toml: serde_json::Value| Wanted {
            answer: Some(serde_json::from_value(toml).expect("an expectation")),
            ..Wanted::default()
        };
        let says = answer(serde_json::json!({ "body": "\"ok\":true" }));
        assert!(says.needs_body() && !anything.needs_body());
        assert_eq!(fault(&says, 200, r#"{"ok":true}"#), None);
        assert!(fault(&says, 200, r#"{"ok":false}"#).is_some());
        let quick = answer(serde_json::json!({ "within": "50ms" }));
        let late = fault(&quick, 200, "").expect("not good");
        assert_eq!(late, "answers 200, but later than 50ms");
        let data = Wanted {
            data: Some(
                serde_json::from_value(serde_json::json!({ "path": "/", "min_items": 2 }))
                    .expect("a path"),
            ),
            ..Wanted::default()
        };
        assert_eq!(fault(&data, 200, "[1,2]"), None);
        assert!(fault(&data, 200, "[1]").is_some() && fault(&data, 503, "[1,2]").is_some());
    }

    #[test]
    fn what_is_no_url_is_refused_and_a_password_not_repeated() {
        for url in [
            "shop:8000",
            "/health",
            "ftp://shop/",
            "http://",
            "http://a b/",
            "http://a:99999/",
            "http://a:0/",
            "http://[::1]:70000/",
            "http://a:x/",
        ] {
            assert!(HttpUrl::parse(url).is_err(), "{url}");
        }
        assert!(
            !HttpUrl::parse("http://me:hunter2@shop/")
                .expect_err("a password")
                .to_string()
                .contains("hunter2")
        );
    }
}
