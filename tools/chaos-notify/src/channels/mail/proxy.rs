//! The way to the mail server through a proxy: a tunnel by HTTP's CONNECT (RFC 9110, section 9.3.6)
//! or by SOCKS 5 (RFC 1928), and TLS inside of it where the server wants that from the first byte.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use chaos_common::cluster::tls::{Trust, client_config};
use lettre::transport::smtp::client::AsyncTokioStream;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_socks::tcp::Socks5Stream;

use super::Encryption;
use crate::channels::error::ChannelError;
use crate::channels::http::proxy_url;
use crate::delivery::Answer;
use crate::template::line;

/// The most that is read of a proxy's answer.
const MAX_HEAD: usize = 8192;

/// A proxy on the way to the mail server.
pub(super) struct Proxy {
    pub(super) host: String,
    pub(super) port: u16,
    protocol: Protocol,
    /// How the server is spoken to inside of the tunnel, where it wants TLS at once.
    encrypted: Option<TlsConnector>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Connect,
    Socks5,
}

/// Why there is no tunnel to the mail server. Nothing was sent to it.
#[derive(Debug, thiserror::Error)]
enum TunnelError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("it does not answer as a proxy does")]
    NoProxy,
    #[error("it answers {status} {reason}")]
    Status { status: u16, reason: String },
    #[error(transparent)]
    Socks(#[from] tokio_socks::Error),
}

impl TunnelError {
    /// What it means for the message: only the proxy's plain no is final.
    fn answer(&self, proxy: &Proxy) -> Answer {
        let words = format!(
            "connect through the proxy {}:{}: {self}",
            proxy.host, proxy.port
        );
        let is_final = match self {
            TunnelError::Io(_) => false,
            TunnelError::NoProxy => true,
            TunnelError::Status { status, .. } => (400..500).contains(status),
            TunnelError::Socks(error) => matches!(
                error,
                tokio_socks::Error::NoAcceptableAuthMethods
                    | tokio_socks::Error::ConnectionNotAllowedByRuleset
                    | tokio_socks::Error::InvalidResponseVersion
            ),
        };
        if is_final {
            Answer::refused(words)
        } else {
            Answer::later(words)
        }
    }
}

impl Proxy {
    /// # Errors
    /// It is no URL of a proxy that mail can go through, it holds a password, or TLS can't be set up.
    pub(super) fn new(
        url: &str,
        tls: Encryption,
        ca: Option<&Path>,
    ) -> Result<Proxy, ChannelError> {
        let url = proxy_url(url)?;
        let (protocol, usual) = match url.scheme() {
            "http" => (Protocol::Connect, 80),
            "socks5" | "socks5h" => (Protocol::Socks5, 1080),
            _ => return Err(ChannelError::NoMailProxy),
        };
        let host = url.host_str().ok_or(ChannelError::BadProxy)?;
        let encrypted = match tls {
            Encryption::Tls => {
                let config = client_config(Trust::Authorities(ca), None);
                let config = config.map_err(|error| ChannelError::Tls(error.to_string()))?;
                Some(TlsConnector::from(Arc::new(config)))
            }
            Encryption::Starttls | Encryption::None => None,
        };
        Ok(Proxy {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(usual),
            protocol,
            encrypted,
        })
    }

    /// A connection to the mail server. Nothing of the message was sent when this fails.
    pub(super) async fn connect(
        &self,
        host: &str,
        port: u16,
    ) -> Result<Box<dyn AsyncTokioStream>, Answer> {
        let tunnel = self.tunnel(host, port).await;
        let tunnel = tunnel.map_err(|error| error.answer(self))?;
        let Some(tls) = &self.encrypted else {
            return Ok(Box::new(tunnel));
        };
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| Answer::refused(format!("{host} is no name of a TLS server")))?;
        let stream = tls.connect(name, tunnel).await;
        let stream = stream.map_err(|error| Answer::later(format!("connect: {error}")))?;
        Ok(Box::new(Encrypted(stream)))
    }

    async fn tunnel(&self, host: &str, port: u16) -> Result<TcpStream, TunnelError> {
        let mut stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        match self.protocol {
            Protocol::Connect => {
                ask(&mut stream, host, port).await?;
                Ok(stream)
            }
            Protocol::Socks5 => {
                let tunnel = Socks5Stream::connect_with_socket(stream, (host, port)).await?;
                Ok(tunnel.into_inner())
            }
        }
    }
}

/// Asks an HTTP proxy for a tunnel. Its answer is read byte by byte: a mail server speaks first, and
/// its greeting may already be behind the proxy's own words.
async fn ask(stream: &mut TcpStream, host: &str, port: u16) -> Result<(), TunnelError> {
    let bracketed = if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    };
    let request = format!("CONNECT {bracketed} HTTP/1.1\r\nHost: {bracketed}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() == MAX_HEAD {
            return Err(TunnelError::NoProxy);
        }
        head.push(stream.read_u8().await?);
    }
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(&head);
    match response.code {
        Some(200..=299) if parsed.is_ok() => Ok(()),
        Some(status) => Err(TunnelError::Status {
            status,
            reason: line(response.reason.unwrap_or_default()),
        }),
        None => Err(TunnelError::NoProxy),
    }
}

/// TLS in a tunnel, as lettre takes a connection that is there.
#[derive(Debug)]
struct Encrypted(TlsStream<TcpStream>);

impl AsyncTokioStream for Encrypted {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.0.get_ref().0.peer_addr()
    }
}

impl AsyncRead for Encrypted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Encrypted {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(url: &str) -> String {
        let proxy = Proxy::new(url, Encryption::Starttls, None);
        proxy.err().expect("refused").to_string()
    }

    #[test]
    fn mail_goes_through_http_and_socks_proxies_only_and_no_password_is_in_a_url() {
        for (url, protocol, port) in [
            ("http://proxy.example", Protocol::Connect, 80),
            ("http://proxy.example:3128", Protocol::Connect, 3128),
            ("socks5://proxy.example", Protocol::Socks5, 1080),
            ("socks5h://[::1]:1081", Protocol::Socks5, 1081),
        ] {
            let proxy = Proxy::new(url, Encryption::Starttls, None).expect(url);
            assert_eq!((proxy.protocol, proxy.port), (protocol, port), "{url}");
        }
        let other = "mail goes through a proxy of http:// or socks5://, and no other";
        assert_eq!(refused("https://proxy.example"), other);
        assert_eq!(refused("socks4://proxy.example"), other);
        assert!(refused("http://u:hunter2@proxy.example").contains("password"));
        assert!(!refused("http://u:hunter2@proxy.example").contains("hunter2"));
        assert!(refused("proxy.example:3128").contains("proxy"));
    }
}
