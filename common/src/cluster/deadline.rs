//! The time that one look at a cluster may take, whatever its API server does.

use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::cluster::{Cluster, READ_TIMEOUT, ReadError};
use crate::config::Span;

/// When a look ends, whatever is still waiting.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    at: Instant,
    /// So long the look may take.
    limit: Duration,
}

impl Cluster {
    /// The same connection for one look: no read through it goes on for longer than `limit` from
    /// now. What was waiting then is an error which says so.
    #[must_use]
    pub fn for_a_look(&self, limit: Duration) -> Cluster {
        let at = Instant::now() + limit;
        Cluster {
            deadline: Some(Deadline { at, limit }),
            ..self.clone()
        }
    }

    /// A time, or what is left until the end of the look if that is less.
    pub fn until_deadline(&self, time: Duration) -> Duration {
        let left = |deadline: Deadline| deadline.at.saturating_duration_since(Instant::now());
        self.deadline
            .map_or(time, |deadline| time.min(left(deadline)))
    }

    /// The error of what was still waiting at the end of the look.
    pub fn over(&self, what: impl Display) -> ReadError {
        let limit = self
            .deadline
            .map_or(READ_TIMEOUT, |deadline| deadline.limit);
        let why = format!("no answer before the deadline of {}", Span(limit));
        ReadError::timeout(what, why).hint("give it more time with --deadline")
    }

    /// Awaits something until the end of the look; `None` if it was still waiting then.
    pub async fn before_deadline<T>(&self, future: impl Future<Output = T>) -> Option<T> {
        match self.deadline {
            None => Some(future.await),
            Some(deadline) => timeout_at(deadline.at, future).await.ok(),
        }
    }

    /// Awaits a read until the end of the look.
    pub(super) async fn in_time<T>(
        &self,
        what: &str,
        read: impl Future<Output = Result<T, ReadError>>,
    ) -> Result<T, ReadError> {
        let read = self.before_deadline(read).await;
        read.unwrap_or_else(|| Err(self.over(what)))
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures::stream;
    use http::{Request, Response};
    use http_body_util::StreamBody;
    use hyper::body::{Bytes, Frame};
    use k8s_openapi::api::core::v1::Pod;
    use kube::Client;
    use kube::api::Api;
    use kube::client::Body;
    use tokio::time::sleep;

    use super::*;
    use crate::cluster::{ListRequest, ReadErrorKind};

    const LIMIT: Duration = Duration::from_secs(30);

    /// A cluster whose API server answers after so long, and then with a body that does not end:
    /// a byte of it comes every second.
    fn endless(after: Duration) -> Cluster {
        let service = tower::service_fn(move |_: Request<Body>| async move {
            sleep(after).await;
            let drip = stream::unfold((), |()| async {
                sleep(Duration::from_secs(1)).await;
                let byte = Frame::data(Bytes::from_static(b" "));
                Some((Ok::<_, Infallible>(byte), ()))
            });
            Ok::<_, Infallible>(Response::new(StreamBody::new(Box::pin(drip))))
        });
        Cluster::with_client(Client::new(service, "shop"), "test", "https://test")
    }

    #[tokio::test(start_paused = true)]
    async fn no_read_goes_on_after_the_deadline_whatever_the_api_server_does() {
        for after in [
            Duration::ZERO,
            Duration::from_secs(9),
            Duration::from_secs(3600),
        ] {
            let start = Instant::now();
            let cluster = endless(after).for_a_look(LIMIT);
            let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "shop");
            // More than there are places, so that some wait for a place.
            let reads = (0..20).map(|_| cluster.read("read pod a", || pods.get("a")));
            let list = cluster.fold(
                ListRequest::namespaced("shop"),
                || 0,
                |number, _: Pod| *number += 1,
            );
            let (reads, list) = futures::join!(futures::future::join_all(reads), list);
            assert!(
                start.elapsed() <= LIMIT + Duration::from_millis(10),
                "{after:?}"
            );
            let errors = reads.into_iter().map(Result::err).chain([list.err()]);
            for error in errors {
                let error = error.expect("there was no answer");
                assert_eq!(error.kind, ReadErrorKind::Timeout, "{error}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_waiting_is_named_and_a_look_without_a_deadline_has_its_own_limits() {
        let cluster = endless(Duration::from_secs(3600));
        let list = |cluster: Cluster| async move {
            let pods = ListRequest::<Pod>::namespaced("shop");
            let list = cluster.fold(pods, || (), |(), _| ()).await;
            list.err()
                .map(|error| error.to_string())
                .unwrap_or_default()
        };
        let said = list(cluster.for_a_look(Duration::from_secs(3))).await;
        let words = "cannot list pods in namespace shop: no answer before the deadline of 3s";
        assert_eq!(said, words);
        let said = list(cluster).await;
        assert!(
            said.contains("no answer from https://test in 10 s"),
            "{said}"
        );
    }

    /// A cluster whose API server asks for patience for ever.
    fn throttling() -> Cluster {
        let service = tower::service_fn(|_: Request<Body>| async {
            let answer = Response::builder().status(429).header("retry-after", "1");
            let body = Body::from(b"Too many requests, please try again later.".to_vec());
            Ok::<_, Infallible>(answer.body(body).expect("a response"))
        });
        Cluster::with_client(Client::new(service, "shop"), "test", "https://test")
    }

    #[tokio::test(start_paused = true)]
    async fn a_throttled_read_is_bounded_with_a_deadline_and_without() {
        let seconds = |cluster: Cluster| async move {
            let start = Instant::now();
            let pods = ListRequest::<Pod>::namespaced("shop");
            let list = cluster.fold(pods, || (), |(), _| ()).await;
            assert!(list.is_err());
            start.elapsed().as_secs()
        };
        assert_eq!(seconds(throttling().for_a_look(LIMIT)).await, 30);
        let unhurried = seconds(throttling()).await;
        assert!((55..=61).contains(&unhurried), "{unhurried}");
    }
}
