//! Work that may hang, on a thread of its own: the undo waits for no disk and for no reader of
//! stderr.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

/// Time for what is left to do at the end.
const END: Duration = Duration::from_secs(2);

/// A thread that works off what it is sent, in order.
pub struct Background<T> {
    sender: std::sync::mpsc::Sender<T>,
    finished: oneshot::Receiver<()>,
}

impl<T: Send + 'static> Background<T> {
    /// Starts the thread.
    pub fn start(mut work: impl FnMut(T) + Send + 'static) -> Background<T> {
        let (sender, receiver) = std::sync::mpsc::channel();
        let (ended, finished) = oneshot::channel();
        std::thread::spawn(move || {
            receiver.into_iter().for_each(&mut work);
            // Whoever waited may have given up.
            let _ = ended.send(());
        });
        Background { sender, finished }
    }

    /// Hands over one thing to do; does not wait for it.
    pub fn send(&self, item: T) {
        // The thread lives as long as this does.
        let _ = self.sender.send(item);
    }

    /// Waits until all is done, but not for ever.
    pub async fn finish(self) {
        drop(self.sender);
        let _ = timeout(END, self.finished).await;
    }
}
