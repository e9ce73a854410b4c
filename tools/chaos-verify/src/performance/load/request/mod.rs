//! One request to a target: over the connection at hand or a new one, within its patience.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::connection::{Connection, Connector, ExchangeError, RequestError, Response};
use super::url::HttpUrl;

/// How often a request is sent again at most.
const AGAIN: u32 = 3;

/// How a request ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) outcome: Result<(), RequestError>,
    /// How often it was sent again, because what was sent can't have been taken up.
    pub(crate) again: u32,
}

/// Makes a request that was due at a time. Afterwards `connection` is what may be used again.
pub(crate) async fn request(
    url: &HttpUrl,
    connector: &Connector,
    connection: &mut Option<Connection>,
    due: Instant,
    patience: Duration,
) -> Ended {
    let mut again = 0;
    let exchange = exchange(url, connector, connection, &mut again);
    let outcome = match timeout_at((due + patience).into(), exchange).await {
        Ok(Ok(response)) => url.judge(response.reply.status, &response.body, due.elapsed()),
        Ok(Err(fault)) => {
            *connection = None;
            Err(fault)
        }
        Err(_) => {
            *connection = None;
            Err(RequestError::TooSlow(patience))
        }
    };
    Ended { outcome, again }
}

/// Sends the request, and again on another connection as long as it certainly was not taken up:
/// one that was sent and got no answer has failed, since the server may have begun to work on it.
async fn exchange(
    url: &HttpUrl,
    connector: &Connector,
    connection: &mut Option<Connection>,
    again: &mut u32,
) -> Result<Response, RequestError> {
    loop {
        if let Some(Connection::Http1(http1)) = connection
            && !http1.is_open().await
        {
            // The server closed it while it rested, which is its right: nothing was sent on it.
            *connection = None;
        }
        let rested = connection.is_some();
        let open = match connection {
            Some(open) => open,
            None => connection.insert(connector.connect().await?.0),
        };
        let (response, shared) = match open {
            Connection::Http2(http2) => (http2.exchange(url).await, true),
            Connection::Http1(http1) => (http1.exchange(url).await, false),
        };
        match response {
            Ok(response) => {
                if !response.reply.keep {
                    *connection = None;
                }
                return Ok(response);
            }
            Err(ExchangeError::NotTakenUp(_)) if *again < AGAIN && (rested || shared) => {
                *again += 1;
                *connection = None;
            }
            Err(error) => return Err(error.into_inner()),
        }
    }
}

#[cfg(test)]
mod tests;
