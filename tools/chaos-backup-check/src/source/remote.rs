//! Bytes that come over the network, for readers that wait.
//!
//! All of this tool's talk with storage runs on one thread with a runtime of its own, so that
//! connections outlive the call that made them.

use std::io::{self, Read};
use std::sync::OnceLock;
use std::thread::ThreadId;
use std::time::Duration;

use chaos_common::cli;
use futures::future::{Either, select};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Pieces that are on their way at most.
const PIECES: usize = 8;

/// The thread that talks.
struct Talker {
    runtime: Handle,
    thread: ThreadId,
}

fn talker() -> &'static Talker {
    static TALKER: OnceLock<Talker> = OnceLock::new();
    TALKER.get_or_init(|| {
        let (send, receive) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            cli::block_on(async {
                let talker = Talker {
                    runtime: Handle::current(),
                    thread: std::thread::current().id(),
                };
                send.send(talker).expect("the one who asked waits");
                std::future::pending::<()>().await;
            });
        });
        receive
            .recv()
            .expect("the thread has a runtime, or has panicked")
    })
}

/// Lets a future run there.
pub(crate) fn spawn(future: impl Future<Output = ()> + Send + 'static) {
    talker().runtime.spawn(future);
}

/// Lets a future run there that cleans up, and waits for it some time.
pub(crate) fn clean_up(limit: Duration, future: impl Future<Output = ()> + Send + 'static) {
    let (send, receive) = std::sync::mpsc::channel();
    spawn(async move {
        future.await;
        // Who waited may have gone.
        let _ = send.send(());
    });
    // The talker itself must not wait for the talker.
    if std::thread::current().id() != talker().thread {
        let _ = receive.recv_timeout(limit);
    }
}

/// Waits for a future.
///
/// # Panics
/// If the future does.
pub(crate) fn wait<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let (send, receive) = std::sync::mpsc::channel();
    spawn(async move {
        // The one who asked waits, unless it is gone with the whole process.
        let _ = send.send(future.await);
    });
    receive.recv().expect("the future ends, or has panicked")
}

/// The end that takes the bytes.
pub(crate) struct Taker(Sender<io::Result<Vec<u8>>>);

impl Taker {
    /// Hands on some bytes. False if nobody wants them any more.
    pub(crate) async fn give(&self, bytes: Vec<u8>) -> bool {
        // An empty piece is the end.
        bytes.is_empty() || self.0.send(Ok(bytes)).await.is_ok()
    }
}

/// Bytes from elsewhere. Only where their sender says that it is at its end do they end well.
pub(crate) struct Stream {
    pieces: Receiver<io::Result<Vec<u8>>>,
    current: Vec<u8>,
    start: usize,
    ended: bool,
}

/// Reads what `send` gives. It is dropped when nobody reads any more.
pub(crate) fn stream<F>(send: impl FnOnce(Taker) -> F) -> Stream
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    let (sender, pieces) = channel(PIECES);
    let future = send(Taker(sender.clone()));
    spawn(async move {
        let ended = match select(Box::pin(future), Box::pin(sender.closed())).await {
            Either::Left((ended, _)) => ended,
            Either::Right(_) => return,
        };
        // Who does not listen any more needs no end.
        let _ = sender.send(ended.map(|()| Vec::new())).await;
    });
    Stream {
        pieces,
        current: Vec::new(),
        start: 0,
        ended: false,
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.start == self.current.len() {
            if self.ended {
                return Ok(0);
            }
            let piece = self.pieces.blocking_recv();
            let lost = || {
                Err(io::Error::new(
                    io::ErrorKind::UnexpectedEof,
                    "what read it ended without a word",
                ))
            };
            self.current = piece.unwrap_or_else(lost)?;
            self.ended = self.current.is_empty();
            self.start = 0;
        }
        let rest = &self.current[self.start..];
        let read = rest.len().min(buffer.len());
        buffer[..read].copy_from_slice(&rest[..read]);
        self.start += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(mut stream: Stream) -> (Vec<u8>, Option<String>) {
        let mut bytes = Vec::new();
        let error = stream
            .read_to_end(&mut bytes)
            .err()
            .map(|error| error.to_string());
        (bytes, error)
    }

    #[test]
    fn only_an_end_that_was_said_is_one() {
        let whole = stream(|taker| async move {
            for piece in [&b"ab"[..], b"", b"c"] {
                assert!(taker.give(piece.to_vec()).await);
            }
            Ok(())
        });
        assert_eq!(read(whole), (b"abc".to_vec(), None));
        let broken = stream(|taker| async move {
            taker.give(b"ab".to_vec()).await;
            Err(io::Error::other("the connection is gone"))
        });
        assert_eq!(
            read(broken),
            (b"ab".to_vec(), Some("the connection is gone".to_owned()))
        );
        let panicked = stream(|_| async { panic!("on purpose") });
        assert!(
            read(panicked)
                .1
                .is_some_and(|error| error.contains("without a word"))
        );
    }

    #[test]
    fn a_sender_that_nobody_reads_is_dropped() {
        let (send, dropped) = std::sync::mpsc::channel::<()>();
        let stalled = stream(|taker| async move {
            let _held = send;
            taker.give(vec![1]).await;
            std::future::pending().await
        });
        drop(stalled);
        assert!(
            dropped
                .recv_timeout(std::time::Duration::from_secs(10))
                .is_err()
        );
        assert_eq!(
            dropped.try_recv(),
            Err(std::sync::mpsc::TryRecvError::Disconnected),
            "the sender is gone"
        );
    }
}
