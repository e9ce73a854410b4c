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
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::response::{MAX_BODY, Malformed, Reader, Reply};
use super::url::HttpUrl;

/// Why a request got no good answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RequestError {
    /// The target's: refused, reset, too slow, a bad status, not HTTP.
    Target(String),
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

fn target_fault(error: &dyn std::error::Error) -> RequestError {
    RequestError::Target(chaos_common::cluster::error_chain(error))
}

/// How connections are made.
#[derive(Clone)]
pub(crate) struct Connector {
    /// Where the target's name led to, once for the whole measurement.
    addresses: Vec<SocketAddr>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    http2: bool,
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
            Some((TlsConnector::from(Arc::new(trust(http2)?)), name))
        } else {
            None
        };
        Ok(Connector {
            addresses,
            tls,
            http2,
        })
    }

    /// Makes a connection.
    pub(crate) async fn connect(&self) -> Result<(Connection, Steps), RequestError> {
        let start = Instant::now();
        let tcp = TcpStream::connect(&self.addresses[..]).await?;
        tcp.set_nodelay(true)?;
        let mut steps = Steps {
            connect_ms: milliseconds(start),
            tls_ms: None,
        };
        let wire = match &self.tls {
            None => Wire::Plain(tcp),
            Some((connector, name)) => {
                let start = Instant::now();
                let tls = connector.connect(name.clone(), tcp).await;
                let tls = tls.map_err(|error| RequestError::Target(format!("TLS: {error}")))?;
                steps.tls_ms = Some(milliseconds(start));
                if self.http2 && tls.get_ref().1.alpn_protocol() != Some(b"h2") {
                    return Err(RequestError::Target(
                        "the server does not speak HTTP/2".to_owned(),
                    ));
                }
                Wire::Tls(Box::new(tls))
            }
        };
        if !self.http2 {
            let buffer = vec![0; 16 << 10].into_boxed_slice();
            return Ok((Connection::Http1(Box::new(Http1 { wire, buffer })), steps));
        }
        let (sender, driver) = http2::handshake(TokioExecutor::new(), TokioIo::new(wire))
            .await
            .map_err(|error| target_fault(&error))?;
        // How it ends shows in the requests.
        tokio::spawn(async move { drop(driver.await) });
        Ok((Connection::Http2(sender), steps))
    }
}

/// What this machine trusts: its own certificates, or those that `SSL_CERT_FILE` names.
fn trust(http2: bool) -> Result<ClientConfig, RequestError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let why = found
            .errors
            .first()
            .map(|error| format!(": {error}"))
            .unwrap_or_default();
        return Err(RequestError::Generator(format!(
            "this machine trusts no certificates{why}; SSL_CERT_FILE can name some"
        )));
    }
    let mut config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![if http2 {
        b"h2".to_vec()
    } else {
        b"http/1.1".to_vec()
    }];
    Ok(config)
}

pub(crate) fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1000.0
}

/// A connection that requests can go over.
pub(crate) enum Connection {
    Http1(Box<Http1>),
    /// Cloning shares the connection, which carries many requests at a time.
    Http2(SendRequest<Empty<Bytes>>),
}

/// A connection that carries one request at a time.
pub(crate) struct Http1 {
    wire: Wire,
    buffer: Box<[u8]>,
}

enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// How an exchange on a connection failed.
pub(crate) enum ExchangeError {
    /// Before the first byte of an answer: on a connection that had rested, the server may have
    /// closed it before the request came.
    NoAnswer(RequestError),
    Broken(RequestError),
}

impl Http1 {
    /// Sends the request and reads the response; says when its first byte came.
    pub(crate) async fn exchange(
        &mut self,
        request: &[u8],
    ) -> Result<(Reply, Instant), ExchangeError> {
        let silent = |error: io::Error| ExchangeError::NoAnswer(error.into());
        self.wire.write_all(request).await.map_err(silent)?;
        self.wire.flush().await.map_err(silent)?;
        let mut reader = Reader::default();
        let mut first = None;
        loop {
            let read = match self.wire.read(&mut self.buffer).await {
                Ok(read) => read,
                Err(error) if first.is_none() => return Err(silent(error)),
                Err(error) => return Err(ExchangeError::Broken(error.into())),
            };
            if read == 0 && first.is_none() {
                let why = "the server closed the connection without an answer";
                return Err(ExchangeError::NoAnswer(RequestError::Target(
                    why.to_owned(),
                )));
            }
            let first = *first.get_or_insert_with(Instant::now);
            let reply = if read == 0 {
                reader.end().map(Some)
            } else {
                reader.feed(&self.buffer[..read])
            };
            match reply {
                Ok(Some(reply)) => return Ok((reply, first)),
                Ok(None) => {}
                Err(malformed) => return Err(ExchangeError::Broken(malformed.into())),
            }
        }
    }
}

/// Sends a request over HTTP/2 and reads the response.
pub(crate) async fn exchange_http2(
    sender: &mut SendRequest<Empty<Bytes>>,
    url: &HttpUrl,
) -> Result<(Reply, Instant), RequestError> {
    let fault = |error: hyper::Error| target_fault(&error);
    let request = hyper::Request::get(&url.text)
        .body(Empty::new())
        .map_err(|error| {
            RequestError::Generator(format!("{} makes no request: {error}", url.text))
        })?;
    sender.ready().await.map_err(fault)?;
    let mut response = sender.send_request(request).await.map_err(fault)?;
    let first = Instant::now();
    let mut read = 0;
    while let Some(frame) = response.body_mut().frame().await {
        read += frame.map_err(fault)?.data_ref().map_or(0, Bytes::len) as u64;
        if read > MAX_BODY {
            return Err(Malformed::BodyTooLong.into());
        }
    }
    Ok((
        Reply {
            status: response.status().as_u16(),
            keep: true,
        },
        first,
    ))
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
