//! HTTP/2, by hyper.

use std::time::Instant;

use bytes::Bytes;
use chaos_common::cluster::cause;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::connection::{ExchangeError, RequestError, Response, Wire, target_fault};
use super::response::{MAX_BODY, Malformed, Reply};
use super::url::HttpUrl;

/// A connection that carries many requests at a time; cloning shares it.
#[derive(Clone)]
pub(crate) struct Http2(SendRequest<Empty<Bytes>>);

impl Http2 {
    /// Greets the server.
    pub(super) async fn new(wire: Wire) -> Result<Http2, RequestError> {
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(wire))
            .await
            .map_err(|error| target_fault(&error))?;
        // How it ends shows in the requests.
        tokio::spawn(async move { drop(driver.await) });
        Ok(Http2(sender))
    }

    /// Whether it takes no more requests.
    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Sends a request and reads the response.
    pub(crate) async fn exchange(&mut self, url: &HttpUrl) -> Result<Response, ExchangeError> {
        let failed = |error: &hyper::Error| ExchangeError::Failed(target_fault(error));
        let request = hyper::Request::get(&url.text).body(Empty::new());
        let request = request.map_err(|error| {
            let why = format!("{} makes no request: {error}", url.text);
            ExchangeError::Failed(RequestError::Generator(why))
        })?;
        if let Err(error) = self.0.ready().await {
            return Err(ExchangeError::NotTakenUp(target_fault(&error)));
        }
        let mut response = self.0.try_send_request(request).await.map_err(|refused| {
            let unsent = refused.message().is_some();
            let error = refused.into_error();
            if unsent || is_not_taken_up(&error) {
                ExchangeError::NotTakenUp(target_fault(&error))
            } else {
                failed(&error)
            }
        })?;
        let first = Instant::now();
        let (mut read, mut body) = (0, Vec::new());
        while let Some(frame) = response.body_mut().frame().await {
            let frame = frame.map_err(|error| failed(&error))?;
            let data = frame.data_ref().map_or(&[][..], Bytes::as_ref);
            read += data.len() as u64;
            if read > MAX_BODY {
                return Err(ExchangeError::Failed(Malformed::BodyTooLong.into()));
            }
            if url.wants_body() {
                body.extend_from_slice(data);
            }
        }
        let reply = Reply {
            status: response.status().as_u16(),
            keep: true,
        };
        Ok(Response { reply, body, first })
    }
}

/// Whether the server says that it did not take a request up: its stream was refused, or is above
/// the last one that the server takes before it goes (RFC 9113, 6.8 and 8.7). Streams up to that
/// one which get no answer end with the connection, and not with its word of going.
fn is_not_taken_up(error: &hyper::Error) -> bool {
    cause::<h2::Error>(error).is_some_and(|error| {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        error.is_remote() && (error.is_go_away() || refused)
    })
}
