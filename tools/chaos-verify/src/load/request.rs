//! One request to a target: over the connection at hand or a new one, within its patience.

use std::time::{Duration, Instant};

use tokio::time::timeout_at;

use super::connection::{Connection, Dial, Failed, Fault, exchange_http2};
use super::target::Target;

/// Makes a request that was due at a time. Afterwards `connection` is what may be used again.
pub(crate) async fn request(
    target: &Target,
    dial: &Dial,
    connection: &mut Option<Connection>,
    due: Instant,
    patience: Duration,
) -> Result<(), Fault> {
    match timeout_at((due + patience).into(), exchange(target, dial, connection)).await {
        Ok(Ok(status)) if (200..400).contains(&status) => Ok(()),
        Ok(Ok(status)) => Err(Fault::Target(format!("answers {status}"))),
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
pub(crate) fn too_slow(patience: Duration) -> Fault {
    Fault::Target(format!("no whole answer in {} ms", patience.as_millis()))
}

async fn exchange(
    target: &Target,
    dial: &Dial,
    connection: &mut Option<Connection>,
) -> Result<u16, Fault> {
    let mut rested = connection.is_some();
    loop {
        let open = match connection {
            Some(open) => open,
            None => connection.insert(dial.connect().await?.0),
        };
        match open {
            Connection::Http2(sender) => {
                return exchange_http2(sender, target)
                    .await
                    .map(|(reply, _)| reply.status);
            }
            Connection::Http1(http1) => match http1.exchange(&target.request).await {
                Ok((reply, _)) => {
                    if !reply.keep {
                        *connection = None;
                    }
                    return Ok(reply.status);
                }
                // The server may have closed it while it rested; that is its right, and no failure.
                Err(Failed::Silent(_)) if rested => {
                    rested = false;
                    *connection = None;
                }
                Err(Failed::Silent(fault) | Failed::Broken(fault)) => return Err(fault),
            },
        }
    }
}
