//! One request to a target: over the connection at hand or a new one, within its patience.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::connection::{Connection, Connector, ExchangeError, RequestError, exchange_http2};
use super::url::HttpUrl;

/// Makes a request that was due at a time. Afterwards `connection` is what may be used again.
pub(crate) async fn request(
    url: &HttpUrl,
    connector: &Connector,
    connection: &mut Option<Connection>,
    due: Instant,
    patience: Duration,
) -> Result<(), RequestError> {
    match timeout_at(
        (due + patience).into(),
        exchange(url, connector, connection),
    )
    .await
    {
        Ok(Ok(status)) if url.is_good(status) => Ok(()),
        Ok(Ok(status)) => Err(RequestError::Target(format!("answers {status}"))),
        Ok(Err(fault)) => {
            *connection = None;
            Err(fault)
        }
        Err(_) => {
            *connection = None;
            Err(too_slow(patience))
        }
    }
}

/// No answer in time.
pub(crate) fn too_slow(patience: Duration) -> RequestError {
    RequestError::Target(format!("no whole answer in {} ms", patience.as_millis()))
}

async fn exchange(
    url: &HttpUrl,
    connector: &Connector,
    connection: &mut Option<Connection>,
) -> Result<u16, RequestError> {
    let mut rested = connection.is_some();
    loop {
        let open = match connection {
            Some(open) => open,
            None => connection.insert(connector.connect().await?.0),
        };
        match open {
            Connection::Http2(sender) => {
                return exchange_http2(sender, url)
                    .await
                    .map(|(reply, _)| reply.status);
            }
            Connection::Http1(http1) => match http1.exchange(&url.request).await {
                Ok((reply, _)) => {
                    if !reply.keep {
                        *connection = None;
                    }
                    return Ok(reply.status);
                }
                // The server may have closed it while it rested; that is its right, and no failure.
                Err(ExchangeError::NoAnswer(_)) if rested => {
                    rested = false;
                    *connection = None;
                }
                Err(ExchangeError::NoAnswer(fault) | ExchangeError::Broken(fault)) => {
                    return Err(fault);
                }
            },
        }
    }
}
