//! What requests go to, and what they look like.

use anyhow::{anyhow, bail};
use chaos_common::config::Expectation;
use http::Uri;
use http::uri::{PathAndQuery, Scheme};

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
    /// Statuses of good answers, besides those in the 200s.
    pub(crate) good_statuses: Vec<u16>,
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
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        Ok(HttpUrl {
            text: url.to_owned(),
            tls,
            host,
            port,
            request: request.into_bytes(),
            good_statuses: Vec::new(),
        })
    }

    /// The same, with more statuses that are good.
    pub(crate) fn accepting(self, good_statuses: Vec<u16>) -> HttpUrl {
        HttpUrl {
            good_statuses,
            ..self
        }
    }

    /// Whether a status is that of a good answer.
    pub(crate) fn is_good(&self, status: u16) -> bool {
        Expectation::default().accepts_status(status) || self.good_statuses.contains(&status)
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
    }

    #[test]
    fn what_is_no_url_is_refused_and_a_password_not_repeated() {
        for url in [
            "shop:8000",
            "/health",
            "ftp://shop/",
            "http://",
            "http://a b/",
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
