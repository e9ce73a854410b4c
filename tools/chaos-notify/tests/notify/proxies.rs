//! Messages that go through a proxy, by HTTP's CONNECT and by SOCKS 5.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use crate::certificates::certificates;
use crate::http::{Answer as Reply, Server as Web};
use crate::real_smtp::{PASSWORD, Server, installed, mails};
use crate::{Bench, channel, stderr, stdout, text};

/// What a proxy does when it is asked for a tunnel.
#[derive(Clone, Copy)]
enum Answer {
    /// Makes it, and sends its own words and the server's first ones in one packet.
    Tunnel,
    /// These bytes, and no tunnel.
    No(&'static [u8]),
    /// Nothing, for as long as anybody waits.
    Silence,
}

/// A proxy on the loopback that counts the tunnels it was asked for.
struct Proxy {
    port: u16,
    asked: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(scheme: &'static str, answer: Answer) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                // A client that goes away is its own business.
                thread::spawn(move || serve(client, scheme, answer));
            }
        });
        Proxy { port, asked }
    }

    fn key(&self, scheme: &str) -> String {
        format!("proxy = \"{scheme}://127.0.0.1:{}\"\n", self.port)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn serve(mut client: TcpStream, scheme: &str, answer: Answer) -> io::Result<()> {
    let (wanted, yes): (String, &[u8]) = match scheme {
        "http" => (http(&mut client)?, b"HTTP/1.1 200 OK\r\n\r\n"),
        _ => (socks(&mut client)?, &[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
    };
    match answer {
        Answer::Silence => {
            thread::sleep(Duration::from_secs(60));
            return Ok(());
        }
        Answer::No(words) => return client.write_all(words),
        Answer::Tunnel => {}
    }
    let mut server = TcpStream::connect(wanted)?;
    // A mail server greets at once; one that waits for the client says nothing within this time.
    server.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut greeting = vec![0; 4096];
    let length = server.read(&mut greeting).unwrap_or_default();
    server.set_read_timeout(None)?;
    client.write_all(&[yes, &greeting[..length]].concat())?;
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut from, &mut to));
    io::copy(&mut server, &mut client)?;
    Ok(())
}

/// `CONNECT HOST:PORT`.
fn http(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(bytes::<1>(client)?[0]);
    }
    let head = String::from_utf8_lossy(&head);
    let wanted = head
        .strip_prefix("CONNECT ")
        .and_then(|rest| rest.split(' ').next());
    Ok(wanted.unwrap_or_default().to_owned())
}

/// RFC 1928, without a login; the name is looked up by the proxy.
fn socks(client: &mut TcpStream) -> io::Result<String> {
    let [_, methods] = bytes::<2>(client)?;
    for _ in 0..methods {
        bytes::<1>(client)?;
    }
    client.write_all(&[5, 0])?;
    let [.., kind, length] = bytes::<5>(client)?;
    assert_eq!(kind, 3, "a name");
    let mut name = vec![0; length.into()];
    client.read_exact(&mut name)?;
    let port = u16::from_be_bytes(bytes::<2>(client)?);
    Ok(format!("{}:{port}", String::from_utf8_lossy(&name)))
}

fn bytes<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[test]
fn mail_goes_through_a_proxy_whatever_its_encryption() {
    if !installed() {
        return;
    }
    for scheme in ["http", "socks5"] {
        for tls in ["starttls", "tls"] {
            let bench = Bench::new("");
            certificates(&bench);
            bench.file("password", PASSWORD);
            let server = Server::new(&bench, tls, "good");
            let proxy = Proxy::start(scheme, Answer::Tunnel);
            let more = format!("ca = \"good.pem\"\n{}", proxy.key(scheme));
            bench.file("chaos.toml", &server.config(tls, &more));
            let output = bench.start(&["scheduled", "--experiment", "pod-failure"]);
            let said = stdout(&output) + &stderr(&output);
            assert_eq!(output.status.code(), Some(0), "{scheme} {tls}: {said}");
            assert_eq!(proxy.asked(), 1, "{scheme} {tls}");
            let mails = mails(&bench);
            assert_eq!(mails.len(), 1, "{scheme} {tls}");
            let session = "X-Session: tls=True login=chaos";
            assert!(mails[0].contains(session), "{}", mails[0]);
            assert!(!said.contains("SECRET"));

            // Whom the server claims to be is checked through a tunnel too.
            bench.file("chaos.toml", &server.config(tls, &proxy.key(scheme)));
            let output = bench.start(&["started", "--experiment", "pod-failure"]);
            assert_eq!(output.status.code(), Some(1), "{scheme} {tls}");
            let result = channel(&output);
            let detail = text(&result["detail"]).to_lowercase();
            assert!(detail.contains("certificate"), "{scheme} {tls}: {result}");
        }
    }
}

#[test]
fn a_proxy_that_makes_no_tunnel_is_named_and_nothing_is_lost() {
    let refused = b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n";
    let forbidden = b"HTTP/1.1 403 Forbidden by policy\r\n\r\n";
    let unavailable = b"HTTP/1.1 503 Service Unavailable\r\n\r\n";
    let not_allowed = &[5, 2, 0, 1, 0, 0, 0, 0, 0, 0];
    // A proxy's final no; then what may be otherwise in a moment, which goes to the spool.
    for (scheme, answer, waits, part) in [
        (
            "http",
            Answer::No(refused),
            false,
            "407 Proxy Authentication",
        ),
        (
            "http",
            Answer::No(forbidden),
            false,
            "403 Forbidden by policy",
        ),
        (
            "http",
            Answer::No(unavailable),
            true,
            "503 Service Unavailable",
        ),
        (
            "http",
            Answer::No(b"220 a mail server\r\n\r\n"),
            false,
            "does not answer as a proxy",
        ),
        (
            "http",
            Answer::No(b""),
            true,
            "through the proxy 127.0.0.1:",
        ),
        ("http", Answer::Silence, true, "no answer in time"),
        (
            "socks5",
            Answer::No(not_allowed),
            false,
            "not allowed by ruleset",
        ),
        (
            "socks5",
            Answer::No(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]),
            true,
            "Connection refused",
        ),
    ] {
        let bench = Bench::new("");
        let proxy = Proxy::start(scheme, answer);
        let config = format!(
            "[notify]\ndeadline = \"2s\"\n[notify.mail]\nhost = \"mail.invalid\"\ntls = \"starttls\"\n\
             from = \"chaos@company.com\"\nteam = [\"team@company.com\"]\n{}",
            proxy.key(scheme)
        );
        bench.file("chaos.toml", &config);
        let output = bench.start(&["scheduled", "--experiment", "pod-failure"]);
        let result = channel(&output);
        let detail = text(&result["detail"]);
        assert!(detail.contains(part), "{part}: {result}");
        assert_eq!(output.status.code(), Some(1), "{part}: {result}");
        assert_eq!(bench.outbox().len(), usize::from(waits), "{part}: {result}");
        assert!(proxy.asked() > 0, "{part}");
        if !waits {
            assert_eq!(
                proxy.asked(),
                1,
                "{part}: a final answer is not asked for again"
            );
        }
    }
}

#[test]
fn a_proxy_that_is_none_is_refused_by_its_key() {
    for (url, part) in [
        ("https://proxy.company.com:3128", "http:// or socks5://"),
        (
            "http://user:hunter2-SECRET@proxy:3128",
            "without a password",
        ),
        ("nonsense", "proxy is no URL"),
    ] {
        let bench = Bench::new("");
        let config = format!(
            "[notify.mail]\nhost = \"localhost\"\ntls = \"none\"\nfrom = \"chaos@company.com\"\n\
             team = [\"team@company.com\"]\nproxy = \"{url}\"\n"
        );
        bench.file("chaos.toml", &config);
        let output = bench.start(&["test"]);
        assert_eq!(output.status.code(), Some(1), "{url}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{url}: {}", stderr(&output));
    }
}

#[test]
fn a_webhook_goes_through_socks_too() {
    let web = Web::new(&[Reply::Status("200 OK")]);
    let bench = Bench::new("");
    let url = format!("http://localhost:{}/hunter2-SECRET/", web.port);
    bench.file("url", &url);
    bench.file("secret", "whsec_aHVudGVyMi1TRUNSRVQ=");
    let proxy = Proxy::start("socks5h", Answer::Tunnel);
    let config = format!(
        "[notify.webhook]\nurl = {{ file = \"url\" }}\nsecret = {{ file = \"secret\" }}\n{}",
        proxy.key("socks5h")
    );
    bench.file("chaos.toml", &config);
    let output = bench.start(&["scheduled", "--experiment", "pod-failure"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!((proxy.asked(), web.requests().len()), (1, 1));
}
