//! A small web server that takes acknowledgements. A GET shows a page, and only a POST
//! acknowledges: programs that look at links before people do acknowledge nothing.
//!
//! It keeps nothing itself. What it knows is in the spool, which it shares with the processes that
//! wait: it may be stopped and started at any time.

mod page;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use chaos_common::record::{Acknowledgement, Time};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::escalation::{Key, Link};
use crate::settings::Step;
use crate::spool::{Spool, SpoolError};
use crate::template::{Message, cut, line};

/// The most connections at a time. Who is beyond waits.
const MAX_CONNECTIONS: usize = 64;

/// The longest a connection lives.
const LIFE: Duration = Duration::from_secs(20);

/// The longest body of a form, in bytes.
const MAX_BODY: usize = 4096;

/// The name of the way in records.
const VIA: &str = "link";

/// Said wherever a link leads to nothing, so that nobody learns why.
const NOTHING: &str = "Nobody waits for this acknowledgement, or the link is not whole.";

/// What takes acknowledgements.
pub(crate) struct Receiver {
    pub(crate) spool: Spool,
    pub(crate) key: Key,
    /// The contacts, by the number of their steps.
    pub(crate) steps: Vec<Step>,
    /// Who is told of an acknowledgement.
    pub(crate) say: Box<dyn Fn(&str) + Send + Sync>,
}

/// An answer: its status and its page.
type Answer = (StatusCode, String);

/// Takes acknowledgements for ever.
pub(crate) async fn serve(listener: TcpListener, receiver: Arc<Receiver>) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = Arc::clone(&room).acquire_owned().await;
        let place = place.expect("it is never closed");
        let Ok((connection, _)) = listener.accept().await else {
            // Out of file descriptors: some will be free again.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let receiver = Arc::clone(&receiver);
        tokio::spawn(async move {
            let _place = place;
            // A client that goes away, or is too slow, is its own concern.
            let _ = timeout(LIFE, talk(connection, receiver)).await;
        });
    }
}

async fn talk(connection: TcpStream, receiver: Arc<Receiver>) {
    let service = service_fn(move |request| {
        let receiver = Arc::clone(&receiver);
        async move { Ok::<_, Infallible>(receiver.respond(request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    let builder = builder.timer(TokioTimer::new()).keep_alive(false);
    let served = builder.serve_connection(TokioIo::new(connection), service);
    let _ = served.await;
}

impl Receiver {
    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let method = request.method().clone();
        let path = request.uri().path().to_owned();
        let answer = match method {
            Method::GET | Method::HEAD => self.look(&path),
            Method::POST => {
                let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
                match body {
                    Ok(body) => self.acknowledge(&path, &body.to_bytes()),
                    Err(_) => Ok((StatusCode::BAD_REQUEST, page::sentence("No such form."))),
                }
            }
            _ => {
                let why = page::sentence("GET shows the page, POST acknowledges.");
                Ok((StatusCode::METHOD_NOT_ALLOWED, why))
            }
        };
        let (status, text) = answer.unwrap_or_else(|error| {
            (self.say)(&error.to_string());
            let why = "It could not be written down: NOBODY KNOWS that you have seen this. Call.";
            (StatusCode::INTERNAL_SERVER_ERROR, page::sentence(why))
        });
        response(status, text)
    }

    /// The message that a path leads to, if it asks for an acknowledgement still.
    fn message(&self, path: &str) -> Result<Option<(Link, Message)>, SpoolError> {
        let Some(link) = Link::of(path) else {
            return Ok(None);
        };
        let escalation = self.spool.escalation(&link.event)?;
        // Links of later messages lead to the first one.
        let message = escalation.map(|kept| kept.message);
        Ok(message
            .filter(|message| self.key.made(&link, &message.run))
            .map(|message| (link, message)))
    }

    /// The page of an answer that was given before.
    fn given(&self, path: &str) -> Result<Option<Answer>, SpoolError> {
        let Some(link) = Link::of(path) else {
            return Ok(None);
        };
        let answered = self.spool.answer(&link.event)?;
        let known = answered.filter(|answered| self.key.made(&link, &answered.run));
        Ok(known.map(|answered| {
            let text = page::answered(&answered.subject, &answered.acknowledgement);
            (StatusCode::OK, text)
        }))
    }

    fn look(&self, path: &str) -> Result<Answer, SpoolError> {
        if let Some(given) = self.given(path)? {
            return Ok(given);
        }
        Ok(match self.message(path)? {
            None => (StatusCode::NOT_FOUND, page::sentence(NOTHING)),
            Some((link, message)) => {
                let name = self.contact(link.whom).unwrap_or_default();
                let text = page::question(&message.wording.subject, &message.run, &name);
                (StatusCode::OK, text)
            }
        })
    }

    fn acknowledge(&self, path: &str, body: &[u8]) -> Result<Answer, SpoolError> {
        if let Some(given) = self.given(path)? {
            return Ok(given);
        }
        let Some((link, message)) = self.message(path)? else {
            return Ok((StatusCode::NOT_FOUND, page::sentence(NOTHING)));
        };
        let given = name(body).or_else(|| self.contact(link.whom));
        let by = given.unwrap_or_else(|| "somebody who gave no name".to_owned());
        let time = Time::now();
        let via = VIA.to_owned();
        let acknowledgement = Acknowledgement { by, via, time };
        let stands = self.spool.acknowledge(&message, acknowledgement)?;
        let by = &stands.acknowledgement.by;
        (self.say)(&format!("{}: acknowledged by {by}", line(&stands.subject)));
        let text = page::answered(&stands.subject, &stands.acknowledgement);
        Ok((StatusCode::OK, text))
    }

    /// The contact that a link was sent to; nobody for the first message.
    fn contact(&self, whom: usize) -> Option<String> {
        let step = self.steps.get(whom.checked_sub(1)?)?;
        Some(line(&step.contact))
    }
}

/// The name that was written into the form.
fn name(body: &[u8]) -> Option<String> {
    let mut url = reqwest::Url::parse("http://form/").expect("a URL");
    url.set_query(Some(std::str::from_utf8(body).ok()?));
    let mut fields = url.query_pairs();
    let name = fields.find(|(key, _)| key == "name")?.1;
    let name = cut(&line(&name), page::MAX_NAME);
    (!name.is_empty()).then_some(name)
}

fn response(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    for (name, value) in [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
        // The address of the page is what acknowledges.
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; \
             frame-ancestors 'none'; base-uri 'none'",
        ),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        let headers = response.headers_mut();
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_line_of_bounded_length() {
        assert_eq!(name(b"name=Jo+Smith%0A"), Some("Jo Smith".into()));
        assert_eq!(name(b"x=1&name=J%C3%B6"), Some("J\u{f6}".into()));
        assert_eq!(name(b"name="), None);
        assert_eq!(name(b""), None);
        assert_eq!(name(&[0xff]), None);
        let long = format!("name={}", "x".repeat(3000));
        let name = name(long.as_bytes()).expect("a name");
        assert_eq!(name.chars().count(), page::MAX_NAME);
    }
}
