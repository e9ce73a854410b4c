//! The receiver of acknowledgements, as a process.

use std::net::SocketAddr;
use std::sync::Arc;

use chaos_common::config::Loaded;
use chaos_common::exit::{Exit, Failure};
use chaos_common::stream::{Format, Stream};
use chaos_common::tool;
use tokio::net::TcpListener;

use super::setup::Setup;
use crate::delivery::Stop;
use crate::receiver::{Receiver, serve};

/// Takes acknowledgements until a signal ends it.
///
/// # Errors
/// The configuration is wrong, the spool can't be used, or the address is taken.
pub(crate) async fn ack_server(loaded: Loaded, listen: SocketAddr) -> Result<Exit, Failure> {
    let mut stop = Stop::listen();
    let setup = Setup::of(loaded)?;
    let stream = Stream::alone(tool!(), Some(Format::Json))?;
    let Some(spool) = setup.spool else {
        let hint = "set notify.spool, as the processes that wait do";
        return Err(Failure::usage("there is no folder for acknowledgements").hint(hint));
    };
    let key = spool.key();
    let key = key.map_err(|error| Failure::unknown(error.to_string()))?;
    let cannot = |error| Failure::unknown(format!("cannot listen at {listen}: {error}"));
    let listener = TcpListener::bind(listen).await.map_err(cannot)?;
    let address = listener.local_addr().map_err(cannot)?;
    stream.progress(&format!("listening at http://{address}"));
    if setup.settings.escalation.link.is_none() {
        stream.progress("notify.escalation.link is not set, so no message holds a link to it");
    }
    let receiver = Receiver {
        spool,
        key,
        steps: setup.settings.escalation.steps,
        say: Box::new(move |text| stream.progress(text)),
    };
    tokio::select! {
        () = serve(listener, Arc::new(receiver)) => {}
        _ = stop.told() => {}
    }
    Ok(Exit::Pass)
}
