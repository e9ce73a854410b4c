//! What requests go to, what they look like, and what a good answer is.

use std::time::Duration;

use anyhow::{anyhow, bail};
use chaos_common::config::{Deviation, NotWanted, Wanted};
use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};

use super::connection::RequestError;
use crate::data::api;

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

/// Why an answer is not good, if it is not.
pub(crate) fn fault(
    wanted: &Wanted,
    status: u16,
    body: &[u8],
    elapsed: Duration,
) -> Option<String> {
    Some(match wanted.deviation(status, body, elapsed)? {
        NotWanted::Data(why) => api::in_words(&why),
        // Without the time, which is another each time.
        NotWanted::Answer(Deviation::Late { status, within, .. }) => {
            format!("answers {status}, but later than {within}")
        }
        NotWanted::Answer(why) if wanted.answer.is_none() && (300..400).contains(&status) => {
            format!("{why}, a redirect, which is not followed")
        }
        NotWanted::Answer(why) => why.to_string(),
    })
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
        let fault = fault(&self.wanted, status, body, elapsed);
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
    fn a_fault_is_told_in_the_same_words_each_time() {
        let told = |wanted: &Wanted, status, body: &str| {
            fault(wanted, status, body.as_bytes(), Duration::from_millis(100))
        };
        let redirect = told(&Wanted::default(), 308, "").expect("not good");
        assert!(redirect.contains("308, a redirect"), "{redirect}");
        let quick = Wanted {
            answer: Some(
                serde_json::from_value(serde_json::json!({ "within": "50ms" }))
                    .expect("an expectation"),
            ),
            ..Wanted::default()
        };
        let late = told(&quick, 200, "").expect("not good");
        assert_eq!(late, "answers 200, but later than 50ms");
        let two = Wanted {
            data: Some(
                serde_json::from_value(serde_json::json!({ "path": "/", "json": { "/a": 1 } }))
                    .expect("a path"),
            ),
            ..Wanted::default()
        };
        let other = told(&two, 200, r#"{"a":2}"#).expect("not good");
        assert_eq!(other, "answers 200, but with 2 at /a; 1 is wanted");
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
