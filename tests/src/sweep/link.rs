//! The way to the API server, which can break.

use std::io;
use std::sync::Arc;

use futures::{StreamExt, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Full, StreamBody};
use hyper::body::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use tokio::sync::watch;

/// The body of an answer, which may end before its time.
pub(super) type Answer = UnsyncBoxBody<Bytes, io::Error>;

/// A body that is there.
pub(super) fn whole(body: impl Into<Bytes>) -> Answer {
    let body = Full::new(body.into());
    body.map_err(|never| match never {}).boxed_unsync()
}

/// Holds whether the API server is away. Cloning shares it.
#[derive(Clone)]
pub(super) struct Link(Arc<watch::Sender<bool>>);

impl Link {
    /// One that works.
    pub(super) fn new() -> Link {
        Link(Arc::new(watch::Sender::new(false)))
    }

    /// Ends all answers that are still coming, and all connections that were taken over.
    pub(super) fn cut(&self) {
        self.0.send_modify(|_| ());
    }

    /// From now on nothing is answered, and what is under way ends.
    pub(super) fn goes_away(&self) {
        self.0.send_replace(true);
    }

    /// All is answered again.
    pub(super) fn is_back(&self) {
        self.0.send_if_modified(|away| {
            *away = false;
            false
        });
    }

    /// Nothing is answered now.
    pub(super) fn is_away(&self) -> bool {
        *self.0.borrow()
    }

    /// The body, which ends in an error when the way breaks.
    pub(super) fn body(&self, body: Body) -> Answer {
        let way = (BodyStream::new(body), self.0.subscribe());
        let frames = stream::unfold(way, |(mut frames, mut broken)| async move {
            let frame = tokio::select! {
                frame = frames.next() => frame?.map_err(io::Error::other),
                _ = broken.changed() => Err(io::Error::other("the way is broken")),
            };
            Some((frame, (frames, broken)))
        });
        StreamBody::new(frames).boxed_unsync()
    }

    /// Copies both ways until one side ends, or the way breaks.
    pub(super) async fn copy(&self, ours: Upgraded, theirs: Upgraded) {
        let mut broken = self.0.subscribe();
        let (mut ours, mut theirs) = (TokioIo::new(ours), TokioIo::new(theirs));
        tokio::select! {
            // Either side may end it at any time.
            _ = tokio::io::copy_bidirectional(&mut ours, &mut theirs) => {}
            _ = broken.changed() => {}
        }
    }
}
