//! One POST of JSON to a URL that is a secret: of it, only the host is ever shown.

use std::error::Error as _;
use std::time::Duration;

use chaos_common::record::ChannelOutcome;
use jiff::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode, Url};
use serde_json::Value;

use super::error::ChannelError;
use crate::delivery::{Attempt, Delivery, deliver, retry_after};

/// The longest time to a connection. Shorter than a whole try, so that a time-out of the connection
/// is known as one: nothing was sent by then.
const CONNECT: Duration = Duration::from_secs(5);

/// A request that is ready to be sent.
pub(crate) struct Post {
    client: Client,
    url: Url,
    host: String,
    authorization: Option<HeaderValue>,
    body: Value,
}

impl Post {
    /// A POST of `body`, with `token` as bearer.
    ///
    /// # Errors
    /// What is named is no URL or no token, or TLS can't be set up.
    pub(crate) fn new(url: &str, token: Option<&str>, body: Value) -> Result<Post, ChannelError> {
        let url = Url::parse(url).map_err(ChannelError::NotAUrl)?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(ChannelError::NotHttp);
        }
        let host = url.host_str().unwrap_or_default().to_owned();
        let authorization = token.map(bearer).transpose()?;
        let client = client(&url)?;
        Ok(Post {
            client,
            url,
            host,
            authorization,
            body,
        })
    }

    /// The host of the URL, all of it that is no secret.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// What would be sent, for people, without a secret.
    pub(crate) fn preview(&self) -> String {
        format!("POST to {}: {}", self.host, self.body)
    }

    /// Sends the request.
    pub(crate) async fn send(&self) -> Delivery {
        deliver(async |timeout, _| self.attempt(timeout).await).await
    }

    async fn attempt(&self, timeout: Duration) -> Attempt {
        let mut request = self
            .client
            .post(self.url.clone())
            .timeout(timeout)
            .json(&self.body);
        if let Some(value) = &self.authorization {
            request = request.header(AUTHORIZATION, value.clone());
        }
        match request.send().await {
            Ok(response) => {
                let after = response
                    .headers()
                    .get(RETRY_AFTER)
                    .and_then(|value| value.to_str().ok());
                by_status(
                    response.status(),
                    after.and_then(|value| retry_after(value, Timestamp::now())),
                )
            }
            Err(error) => self.broken(error),
        }
    }

    /// What an error means: whether anything was sent decides.
    fn broken(&self, error: reqwest::Error) -> Attempt {
        let error = error.without_url();
        let why = root_cause(&error).replace(self.url.as_str(), "the URL");
        if error.is_connect() {
            Attempt::Retry(format!("cannot connect: {why}"), None)
        } else if error.is_builder() {
            Attempt::Done(
                ChannelOutcome::Failed,
                format!("cannot make the request: {why}"),
            )
        } else if error.is_timeout() {
            let text = "the request was sent and no answer came in time; \
                        it may have arrived, so it is not sent again";
            Attempt::Done(ChannelOutcome::Unknown, text.to_owned())
        } else {
            let text = "the connection broke after the request was sent; \
                        it may have arrived, so it is not sent again";
            Attempt::Done(ChannelOutcome::Unknown, format!("{text}: {why}"))
        }
    }
}

fn bearer(token: &str) -> Result<HeaderValue, ChannelError> {
    let value = HeaderValue::from_str(&format!("Bearer {token}"));
    let mut value = value.map_err(|_| ChannelError::BadToken)?;
    value.set_sensitive(true);
    Ok(value)
}

fn client(url: &Url) -> Result<Client, ChannelError> {
    // A redirect would take the message, or its token, to who knows where.
    let client = Client::builder()
        .connect_timeout(CONNECT)
        .redirect(Policy::none());
    // A slim image has no certificates, and without TLS needs none.
    let client = if url.scheme() == "http" {
        client.tls_certs_only([])
    } else {
        client
    };
    let client = client.build();
    client.map_err(|error| ChannelError::Tls(root_cause(&error.without_url())))
}

/// What a status means.
fn by_status(status: StatusCode, after: Option<Duration>) -> Attempt {
    let text = format!("HTTP status {}", status.as_u16());
    match status.as_u16() {
        200..=299 => Attempt::Done(ChannelOutcome::Sent, text),
        300..=399 => Attempt::Done(
            ChannelOutcome::Failed,
            format!("{text}: it redirects, which is not followed"),
        ),
        408 | 429 | 500..=599 => Attempt::Retry(text, after),
        _ => Attempt::Done(ChannelOutcome::Failed, text),
    }
}

/// The innermost cause in words.
fn root_cause(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_may_pass_is_tried_again() {
        let of = |status: u16| by_status(StatusCode::from_u16(status).expect("a status"), None);
        for status in [408, 429, 500, 502, 503] {
            assert!(matches!(of(status), Attempt::Retry(..)), "{status}");
        }
        for status in [301, 400, 401, 403, 404, 410] {
            assert!(
                matches!(of(status), Attempt::Done(ChannelOutcome::Failed, _)),
                "{status}"
            );
        }
        assert!(matches!(of(204), Attempt::Done(ChannelOutcome::Sent, _)));
    }

    #[test]
    fn a_bad_url_or_token_is_not_repeated() {
        for (url, token) in [
            ("hunter2", None),
            ("ftp://h/hunter2", None),
            ("http://h/", Some("hunter2\n")),
        ] {
            let Err(error) = Post::new(url, token, Value::Null) else {
                panic!("{url} must be refused")
            };
            assert!(
                !format!("{error} {error:?}").contains("hunter2"),
                "{error:?}"
            );
        }
    }
}
