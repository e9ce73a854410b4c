//! Connections to a target: TCP, TLS, HTTP/1.1 by hand, HTTP/2 by hyper.
//!
//! HTTP/1.1 is by hand because the generator's own work is part of every time that it measures.
//! hyper's client takes 9.7 us of processor for a request where this takes 6.7 (median of five
//! rounds of 4 s, 16 connections in a closed loop, one thread), and gives 0.65 times as many
//! requests a second; with it the generator is no faster than oha, which is built on it.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::http2::Http2;
use super::response::{Malformed, Reader, Reply};
use super::trust;
use super::url::HttpUrl;

/// Why a request got no good answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestError {
    /// The target's: refused, reset, a bad status, not HTTP.
    Target(String),
    /// The target's: no whole answer in this time, from when the request was due.
    TooSlow(Duration),
    /// This machine's: no more files, ports or memory. Says nothing of the target.
    Generator(String),
}

impl From<io::Error> for RequestError {
    fn from(error: io::Error) -> RequestError {
        match error.kind() {
            ErrorKind::ConnectionRefused => {
                RequestError::Target("the connection was refused".to_owned())
            }
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                RequestError::Target("the connection was reset".to_owned())
            }
            ErrorKind::UnexpectedEof => {
                RequestError::Target("the connection ended before the answer did".to_owned())
            }
            ErrorKind::AddrNotAvailable => {
                RequestError::Generator("no local port is free for another connection".to_owned())
            }
            // Too many open files, in the process or on the machine.
            _ if matches!(error.raw_os_error(), Some(23 | 24)) => RequestError::Generator(
                "no file is free for another connection; raise ulimit -n".to_owned(),
            ),
            _ => RequestError::Target(error.to_string()),
        }
    }
}

impl From<Malformed> for RequestError {
    fn from(malformed: Malformed) -> RequestError {
        RequestError::Target(malformed.text().to_owned())
    }
}

pub(super) fn target_fault(error: &dyn std::error::Error) -> RequestError {
    RequestError::Target(chaos_common::cluster::error_chain(error))
}

/// How an exchange on a connection failed.
#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// The server can't have taken the request up, so that it may be sent again.
    NotTakenUp(RequestError),
    /// It may have.
    Failed(RequestError),
}

impl ExchangeError {
    pub(crate) fn into_inner(self) -> RequestError {
        let (ExchangeError::NotTakenUp(error) | ExchangeError::Failed(error)) = self;
        error
    }
}

/// A response that was read to its end.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) reply: Reply,
    /// Empty unless it is wanted.
    pub(crate) body: Vec<u8>,
    /// When its first byte came.
    pub(crate) first: Instant,
}

/// How connections are made.
#[derive(Debug)]
pub(crate) struct Connector {
    /// Where the target's name led to, once for the whole measurement.
    addresses: Vec<SocketAddr>,
    /// Connections that were made: each begins with another address, so that all take their turn.
    made: AtomicUsize,
    tls: Option<Tls>,
    http2: bool,
}

/// The way to a target that speaks TLS.
struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.name.fmt(f)
    }
}

/// What took how long when a connection was made, in the words of curl.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Steps {
    pub(crate) connect_ms: f64,
    pub(crate) tls_ms: Option<f64>,
}

impl Connector {
    /// Looks the target's name up and prepares TLS.
    pub(crate) async fn new(url: &HttpUrl, http2: bool) -> Result<Connector, RequestError> {
        let found = tokio::net::lookup_host((url.host.as_str(), url.port)).await;
        let addresses: Vec<_> = found
            .map_err(|error| {
                RequestError::Generator(format!("cannot resolve {}: {error}", url.host))
            })?
            .collect();
        if addresses.is_empty() {
            return Err(RequestError::Generator(format!(
                "{} resolves to no address",
                url.host
            )));
        }
        let tls = if url.tls {
            let name = ServerName::try_from(url.host.clone()).map_err(|error| {
                RequestError::Generator(format!("{} is no name for TLS: {error}", url.host))
            })?;
            let config = trust::client(url.ca.as_deref(), http2)?;
            let connector = TlsConnector::from(Arc::new(config));
            Some(Tls { connector, name })
        } else {
            None
        };
        Ok(Connector {
            addresses,
            made: AtomicUsize::new(0),
            tls,
            http2,
        })
    }

    /// The addresses in the order in which the next connection tries them.
    fn turn(&self) -> Vec<SocketAddr> {
        let first = self.made.fetch_add(1, Ordering::Relaxed) % self.addresses.len();
        let mut addresses = self.addresses.clone();
        addresses.rotate_left(first);
        addresses
    }

    /// Makes a connection.
    pub(crate) async fn connect(&self) -> Result<(Connection, Steps), RequestError> {
        let start = Instant::now();
        let tcp = TcpStream::connect(&self.turn()[..]).await?;
        tcp.set_nodelay(true)?;
        let mut steps = Steps {
            connect_ms: milliseconds(start),
            tls_ms: None,
        };
        let wire = match &self.tls {
            None => Wire::Plain(tcp),
            Some(Tls { connector, name }) => {
                let start = Instant::now();
                let tls = connector.connect(name.clone(), tcp).await;
                let tls = tls.map_err(|error| trust::refusal(&error))?;
                steps.tls_ms = Some(milliseconds(start));
                if self.http2 && tls.get_ref().1.alpn_protocol() != Some(b"h2") {
                    return Err(RequestError::Target(
                        "the server does not speak HTTP/2".to_owned(),
                    ));
                }
                Wire::Tls(Box::new(tls))
            }
        };
        if self.http2 {
            return Ok((Connection::Http2(Http2::new(wire).await?), steps));
        }
        let buffer = vec![0; 16 << 10].into_boxed_slice();
        Ok((Connection::Http1(Box::new(Http1 { wire, buffer })), steps))
    }
}

pub(crate) fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// A connection that requests can go over.
pub(crate) enum Connection {
    Http1(Box<Http1>),
    /// Cloning shares the connection, which carries many requests at a time.
    Http2(Http2),
}

/// A connection that carries one request at a time.
pub(crate) struct Http1 {
    wire: Wire,
    buffer: Box<[u8]>,
}

pub(super) enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Http1 {
    /// Whether a connection that has rested may still be used: the server has neither closed it
    /// nor said anything on it. Asked of the operating system: the runtime may not have heard yet.
    pub(crate) async fn is_open(&mut self) -> bool {
        let (tcp, tls) = match &self.wire {
            Wire::Plain(tcp) => (tcp, false),
            Wire::Tls(tls) => (tls.get_ref().0, true),
        };
        let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        match recv(tcp, &mut [0; 1], look) {
            Err(Errno::AGAIN) => true,
            // TLS has words of its own: a ticket for another session, or that it closes.
            Ok((_, 1)) if tls => {
                tokio::task::yield_now().await;
                self.wire.read(&mut self.buffer).now_or_never().is_none()
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Sends the request and reads the response.
    pub(crate) async fn exchange(&mut self, url: &HttpUrl) -> Result<Response, ExchangeError> {
        // A request that was not written to its end is none, and nobody can have answered it.
        let unsent = |error: io::Error| ExchangeError::NotTakenUp(error.into());
        self.wire.write_all(&url.request).await.map_err(unsent)?;
        self.wire.flush().await.map_err(unsent)?;
        let failed = |error: RequestError| ExchangeError::Failed(error);
        let mut reader = Reader::keeping_body(url.wants_body());
        let mut first = None;
        loop {
            let read = self.wire.read(&mut self.buffer).await;
            let read = read.map_err(|error| failed(error.into()))?;
            if read == 0 && first.is_none() {
                let why = "the server closed the connection without an answer";
                return Err(failed(RequestError::Target(why.to_owned())));
            }
            let first = *first.get_or_insert_with(Instant::now);
            let reply = if read == 0 {
                reader.end().map(Some)
            } else {
                reader.feed(&self.buffer[..read])
            };
            match reply {
                Ok(Some(reply)) => {
                    let body = reader.into_body();
                    return Ok(Response { reply, body, first });
                }
                Ok(None) => {}
                Err(malformed) => return Err(failed(malformed.into())),
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(tcp) => Pin::new(tcp).poll_read(cx, buffer),
            Wire::Tls(tls) => Pin::new(tls.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Wire::Plain(tcp) => Pin::new(tcp).poll_write(cx, bytes),
            Wire::Tls(tls) => Pin::new(tls.as_mut()).poll_write(cx, bytes),
        }
    }
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Wire::Tls(tls) => Pin::new(tls.as_mut()).poll_flush(cx),
        }
    }
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Wire::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Wire::Tls(tls) => Pin::new(tls.as_mut()).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_name_take_their_turn() {
        let connector = Connector {
            addresses: (1..=3)
                .map(|last| SocketAddr::from(([127, 0, 0, last], 80)))
                .collect(),
            made: AtomicUsize::new(0),
            tls: None,
            http2: false,
        };
        let firsts = (0..4).map(|_| connector.turn()[0].ip().to_string());
        let firsts: Vec<_> = firsts.collect();
        assert_eq!(firsts, ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.0.0.1"]);
        assert_eq!(connector.turn().len(), 3, "the others are still tried");
    }
}
