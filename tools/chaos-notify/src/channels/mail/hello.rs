//! The name that this machine gives in EHLO. Strict servers refuse one that is not a full name:
//! where the machine has none, it gives its address (RFC 5321, section 4.1.4).

use std::net::IpAddr;

use lettre::transport::smtp::extension::ClientId;
use tokio::net::UdpSocket;

/// The name that is configured, else the machine's own if it is a full one, else the address by
/// which it reaches the server, or the proxy on the way there.
pub(super) async fn hello(configured: Option<&str>, next: (&str, u16)) -> ClientId {
    if let Some(name) = configured {
        return named(name);
    }
    let own = rustix::system::uname();
    match own.nodename().to_str() {
        Ok(name) if is_full(name) => ClientId::Domain(name.to_owned()),
        _ => address(next).await.map_or_else(ClientId::default, literal),
    }
}

/// A name as it is configured: an address is given as one.
fn named(name: &str) -> ClientId {
    let address = name.trim_matches(['[', ']']).parse();
    address.map_or_else(|_| ClientId::Domain(name.to_owned()), literal)
}

fn literal(address: IpAddr) -> ClientId {
    match address {
        IpAddr::V4(address) => ClientId::Ipv4(address),
        IpAddr::V6(address) => ClientId::Ipv6(address),
    }
}

/// Whether a name is a full one, which a server could look up.
fn is_full(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let is_label = |label: &str| !label.is_empty() && label.chars().all(plain);
    // What is known on a link alone is no name on the Internet.
    let is_local = name.rsplit('.').next() == Some("local");
    name.contains('.') && !is_local && name.split('.').all(is_label)
}

/// The address by which this machine would reach another. Nothing is sent.
async fn address(next: (&str, u16)) -> Option<IpAddr> {
    let next = tokio::net::lookup_host(next).await.ok()?.next()?;
    let any: IpAddr = match next.ip() {
        IpAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).await.ok()?;
    socket.connect(next).await.ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_names_are_given() {
        for full in ["a.b", "ci-7.example.com"] {
            assert!(is_full(full), "{full}");
        }
        for bare in ["vm", "vm.", "a_b.example.com", "mac.local", ""] {
            assert!(!is_full(bare), "{bare}");
        }
        assert_eq!(named("a.b").to_string(), "a.b");
        assert_eq!(named("[10.0.0.7]").to_string(), "[10.0.0.7]");
    }

    #[tokio::test]
    async fn a_machine_without_a_full_name_gives_its_address() {
        let address = address(("127.0.0.1", 25)).await.expect("a route");
        assert_eq!(literal(address).to_string(), "[127.0.0.1]");
    }
}
