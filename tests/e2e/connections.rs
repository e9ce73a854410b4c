//! The way to the API server, as kubectl goes it: through proxies, and as somebody else.

use std::io::{self, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use chaos_tests::cluster::Cluster;
use chaos_tests::run::{Place, check};
use serde_json::Value;

/// Reads a client's wish, and says that it is granted; gives the address to connect to.
type Greeting = fn(&mut TcpStream) -> io::Result<String>;

/// A proxy on the loopback that counts those who come.
struct Proxy {
    port: u16,
    served: Arc<AtomicUsize>,
}

impl Proxy {
    fn start(greeting: Greeting) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let served = Arc::new(AtomicUsize::new(0));
        let count = served.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let count = count.clone();
                // A client that goes away is its own business.
                thread::spawn(move || serve(client, greeting, &count));
            }
        });
        Proxy { port, served }
    }

    fn url(&self, scheme: &str) -> String {
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::SeqCst)
    }
}

fn serve(mut client: TcpStream, greeting: Greeting, count: &AtomicUsize) -> io::Result<()> {
    let server = TcpStream::connect(greeting(&mut client)?)?;
    count.fetch_add(1, Ordering::SeqCst);
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    thread::spawn(move || io::copy(&mut from, &mut to));
    io::copy(&mut &server, &mut client)?;
    Ok(())
}

/// `CONNECT HOST:PORT`.
fn http(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(byte(client)?);
    }
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let head = String::from_utf8_lossy(&head).into_owned();
    Ok(head
        .split_whitespace()
        .nth(1)
        .unwrap_or_default()
        .to_owned())
}

/// RFC 1928, without authentication.
fn socks(client: &mut TcpStream) -> io::Result<String> {
    byte(client)?;
    for _ in 0..byte(client)? {
        byte(client)?;
    }
    client.write_all(&[5, 0])?;
    let [.., kind] = bytes::<4>(client)?;
    let host = if kind == 1 {
        bytes::<4>(client)?.map(|part| part.to_string()).join(".")
    } else {
        let name: io::Result<Vec<u8>> = (0..byte(client)?).map(|_| byte(client)).collect();
        String::from_utf8_lossy(&name?).into_owned()
    };
    let port = u16::from_be_bytes(bytes::<2>(client)?);
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])?;
    Ok(format!("{host}:{port}"))
}

fn byte(client: &mut TcpStream) -> io::Result<u8> {
    bytes::<1>(client).map(|[byte]| byte)
}

fn bytes<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// A kubeconfig that is changed, by its path.
fn kubeconfig(cluster: &Cluster, name: &str, change: impl FnOnce(&mut Value)) -> String {
    let flat = cluster.kubectl(&["config", "view", "--raw", "--flatten", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&flat).expect("a kubeconfig");
    change(&mut config);
    let path = cluster.place.file(name, &config.to_string());
    path.display().to_string()
}

/// The API server is reached.
fn is_reached(place: &Place, kubeconfig: &str) {
    let args = ["-n", "kube-system", "--kubeconfig", kubeconfig];
    let record = place.tool("chaos-health", &args).record("chaos.health/1");
    assert_eq!(check(&record, "cluster.reachable", "")["status"], "pass");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_api_server_is_reached_through_the_proxy_that_is_named() {
    let cluster = Cluster::new();
    for (scheme, greeting) in [("http", http as Greeting), ("socks5", socks)] {
        let proxy = Proxy::start(greeting);
        let url = proxy.url(scheme);
        let name = format!("{scheme}.json");
        let named = kubeconfig(&cluster, &name, |config| {
            config["clusters"][0]["cluster"]["proxy-url"] = url.clone().into();
        });
        is_reached(&cluster.place, &named);
        assert!(proxy.served() > 0, "{scheme}: nobody came");
    }
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_proxy_of_the_environment_is_taken_but_for_what_it_excepts() {
    let cluster = Cluster::new();
    let proxy = Proxy::start(http);
    let plain = kubeconfig(&cluster, "plain.json", |_| {});
    let through = || Place::new().env("HTTPS_PROXY", proxy.url("http"));
    is_reached(&through(), &plain);
    let before = proxy.served();
    assert!(before > 0, "nobody came");
    let server: Value = serde_json::from_str(&cluster.kubectl(&["config", "view", "-o", "json"]))
        .expect("a kubeconfig");
    let server = server["clusters"][0]["cluster"]["server"].as_str();
    let host = server
        .and_then(|url| url.strip_prefix("https://")?.split(':').next())
        .expect("an address");
    is_reached(&through().env("NO_PROXY", host), &plain);
    assert_eq!(proxy.served(), before);
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_tools_act_as_whom_they_are_told_to() {
    let cluster = Cluster::new();
    // The kubeconfig says somebody, the flag says somebody else.
    let named = cluster.as_user("somebody");
    let args = ["-n", "kube-system", "--kubeconfig", &named];
    let flags = ["--as", "nobody", "--as-group", "system:masters"];
    let may_read = |args: &[&str]| {
        let ran = cluster.place.tool("chaos-health", args);
        check(&ran.record("chaos.health/1"), "namespace.exists", "")["status"].clone()
    };
    assert_eq!(may_read(&args), "unknown");
    assert_eq!(may_read(&[&args[..], &flags[..]].concat()), "pass");
}
