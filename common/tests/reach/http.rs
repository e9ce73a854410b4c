//! Servers that want to know who asks.

use std::io::{BufRead, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use chaos_common::cli::block_on;
use chaos_common::cluster::probe::{Endpoint, HttpProbe, ProbeError};
use chaos_common::config::Monitoring;
use chaos_common::prometheus::Prometheus;
use serde_json::json;

use super::api::Api;
use super::scratch::free_port::free_port;
use super::{NAMESPACE, secret};

const LIMIT: Duration = Duration::from_secs(30);

/// A server that gives each request the next of its answers, the last one again and again.
struct Server {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(statuses: &'static [u16]) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let kept = heads.clone();
        thread::spawn(move || {
            for (n, stream) in listener.incoming().flatten().enumerate() {
                let status = statuses.get(n).or(statuses.last()).expect("one at least");
                serve(stream, *status, &kept);
            }
        });
        Server { address, heads }
    }

    fn heads(&self) -> Vec<String> {
        self.heads.lock().expect("nobody panics with it").clone()
    }
}

fn serve(mut stream: TcpStream, status: u16, heads: &Mutex<Vec<String>>) {
    let mut lines = BufReader::new(stream.try_clone().expect("a stream")).lines();
    let head = lines.by_ref().map_while(Result::ok);
    let head: Vec<String> = head.take_while(|line| !line.is_empty()).collect();
    let mut kept = heads.lock().expect("nobody panics with it");
    kept.push(head.join("\n").to_lowercase());
    let body = r#"{"status":"success","data":{"alerts":[]}}"#;
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    let _ = stream.write_all(answer.as_bytes());
}

fn monitoring(keys: &str) -> Monitoring {
    toml::from_str(&format!("namespace = \"shop\"\n[prometheus]\n{keys}")).expect(keys)
}

fn ask(api: &Api, monitoring: &Monitoring) -> Result<u16, ProbeError> {
    let system = monitoring.prometheus.as_ref().expect("configured");
    let endpoint = Endpoint::of_monitoring(monitoring, system);
    block_on(async {
        let probe = HttpProbe::new(&api.cluster());
        probe
            .get(&endpoint, "/-/ready", LIMIT)
            .await
            .map(|answer| answer.status)
    })
}

#[test]
fn prefix_credentials_and_headers_are_sent_and_nothing_is_asked_of_the_cluster() {
    let server = Server::start(&[200]);
    let token = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(token.path(), "word\n").expect("room on the disk");
    let monitoring = monitoring(&format!(
        "url = \"http://{}/prom/\"\ntoken = {{ file = {:?} }}\nheaders = {{ X-Scope-OrgID = \"acme\" }}",
        server.address,
        token.path()
    ));
    let api = Api::default();
    block_on(async {
        let probe = HttpProbe::new(&api.cluster());
        let prometheus = Prometheus::of(&probe, &monitoring, LIMIT).expect("configured");
        assert!(prometheus.alerts().await.expect("an answer").is_empty());
        assert_eq!(prometheus.vantage().to_string(), "direct");
        let url = format!("http://{}/prom/api/v1/alerts", server.address);
        assert_eq!(prometheus.url("/api/v1/alerts"), url);
    });
    let heads = server.heads();
    assert!(
        heads[0].starts_with("get /prom/api/v1/alerts http/1.1"),
        "{heads:?}"
    );
    assert!(heads[0].contains("authorization: bearer word"), "{heads:?}");
    assert!(heads[0].contains("x-scope-orgid: acme"), "{heads:?}");
    assert!(!api.asked("/"), "nothing");
}

#[test]
fn a_password_out_of_a_secret_is_read_once_and_again_when_it_is_refused() {
    let server = Server::start(&[200, 200, 401, 200]);
    let monitoring = monitoring(&format!(
        "url = \"http://{}\"\nuser = \"u\"\npassword = {{ secret = \"db\", key = \"password\", \
         namespace = \"shop\" }}",
        server.address
    ));
    let system = monitoring.prometheus.as_ref().expect("configured");
    let endpoint = Endpoint::of_monitoring(&monitoring, system);
    let api = Api::default();
    let path = format!("{NAMESPACE}/secrets/db");
    api.answer(&path, 200, &secret("old"));
    block_on(async {
        let probe = HttpProbe::new(&api.cluster());
        for (password, status) in [("old", 200), ("new", 200), ("new", 401), ("new", 200)] {
            api.answer(&path, 200, &secret(password));
            let answer = probe.get(&endpoint, "/", LIMIT).await.expect("an answer");
            assert_eq!(answer.status, status);
        }
    });
    let sent = server.heads();
    // `printf u:old | base64`, in small letters as all of the head.
    let (old, new) = ("basic dtpvbgq=", "basic dtpuzxc=");
    let expected = [old, old, old, new];
    for (head, expected) in sent.iter().zip(expected) {
        assert!(head.contains(expected), "{sent:?}");
    }
}

#[test]
fn a_secret_that_can_not_be_read_is_unknown_and_not_a_server_that_fails() {
    let monitoring = monitoring(
        "url = \"http://127.0.0.1:1\"\nuser = \"u\"\npassword = { secret = \"db\", key = \"k\" }",
    );
    let error = ask(&Api::default(), &monitoring).expect_err("no namespace");
    let ProbeError::Vantage(error) = error else {
        panic!("it is not known: {error}")
    };
    assert!(
        error
            .to_string()
            .contains("which namespace secret/db is in"),
        "{error}"
    );
}

#[test]
fn what_wants_credentials_is_not_asked_through_the_api_server() {
    let service = "service = \"p\"\nport = 9090\n";
    let vantage = |keys: &str| {
        let monitoring = monitoring(&format!("{service}{keys}"));
        let system = monitoring.prometheus.as_ref().expect("configured");
        let endpoint = Endpoint::of_monitoring(&monitoring, system);
        let api = Api::default();
        block_on(async {
            HttpProbe::new(&api.cluster())
                .vantage(&endpoint)
                .to_string()
        })
    };
    assert_eq!(vantage(""), "api-proxy");
    assert_eq!(vantage("headers = { A = \"b\" }"), "api-proxy");
    assert_eq!(vantage("token = { env = \"T\" }"), "port-forward");
    let certificate = "certificate = \"c\"\nkey = \"k\"\nhttps = true";
    assert_eq!(vantage(certificate), "port-forward");
}

/// `openssl s_server` that wants a certificate of its authority.
struct Picky(Child, std::path::PathBuf, u16);

impl Drop for Picky {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn picky(folder: &std::path::Path) -> Picky {
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem \
        -days 2 -subj /CN=authority -addext basicConstraints=critical,CA:TRUE && \
        cert() { openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $1.key -out $1.csr -subj /CN=$1 && \
        printf 'subjectAltName=IP:127.0.0.1\n' >$1.ext && \
        openssl x509 -req -in $1.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out $1.pem -days 2 -extfile $1.ext; } && \
        cert server && cert client";
    let made = Command::new("sh")
        .args(["-c", script])
        .current_dir(folder)
        .output();
    let made = made.expect("sh is there");
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let child = Command::new("openssl")
        .args([
            "s_server",
            "-accept",
            &address,
            "-cert",
            "server.pem",
            "-key",
            "server.key",
        ])
        .args([
            "-CAfile",
            "ca.pem",
            "-Verify",
            "1",
            "-verify_return_error",
            "-www",
            "-quiet",
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is there");
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while TcpStream::connect(&address).is_err() {
        assert!(std::time::Instant::now() < end, "it does not listen");
        thread::sleep(Duration::from_millis(50));
    }
    Picky(child, folder.to_owned(), port)
}

#[test]
fn our_own_certificate_is_shown_where_one_is_configured() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = picky(folder.path());
    let (folder, port) = (&server.1, server.2);
    let file = |name: &str| json!(folder.join(name)).to_string();
    let url = format!(
        "url = \"https://127.0.0.1:{port}\"\nca = {}\n",
        file("ca.pem")
    );
    let shown = format!(
        "{url}certificate = {}\nkey = {}",
        file("client.pem"),
        file("client.key")
    );
    let api = Api::default();
    let answered = ask(&api, &monitoring(&shown));
    assert_eq!(answered.expect("it lets us in"), 200);
    let error = ask(&api, &monitoring(&url)).expect_err("it wants one");
    assert!(matches!(error, ProbeError::Service(_)), "{error:?}");
}
