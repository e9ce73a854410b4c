//! Signals that end the tool.

use futures::FutureExt as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Listens to them from when it is made.
pub(crate) struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    pub(crate) fn listen() -> Stop {
        let listen = |kind| signal(kind).expect("a process may listen to signals");
        Stop {
            interrupt: listen(SignalKind::interrupt()),
            terminate: listen(SignalKind::terminate()),
        }
    }

    /// Waits for one, and gives its name.
    pub(crate) async fn told(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }

    /// The one that has come, if one has.
    pub(crate) fn was_told(&mut self) -> Option<&'static str> {
        self.told().now_or_never()
    }
}
