//! URLs that misbehave: each is named, none hangs, none passes. And certificates.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use chaos_common::config::Url;
use chaos_common::record::{Check, Status};

use crate::free_port::free_port;
use crate::world::World;
use crate::{Bed, run};

/// A server that does to every connection what `misbehave` does, once a request has come.
fn server(misbehave: fn(TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("it has one");
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            thread::spawn(move || {
                // What was not read when it closes would make a reset of every case.
                let _ = connection.read(&mut [0; 4096]);
                misbehave(connection);
            });
        }
    });
    format!("http://{address}/health")
}

fn endless(mut connection: TcpStream, head: &str, part: &[u8]) {
    if connection.write_all(head.as_bytes()).is_ok() {
        while connection.write_all(part).is_ok() {}
    }
}

fn url(url: String) -> Url {
    Url {
        url,
        expect: chaos_common::config::Expectation::default(),
        ca: None,
    }
}

fn find<'a>(checks: &'a [Check], id: &str, url: &Url) -> &'a Check {
    let found = checks
        .iter()
        .find(|check| check.id == id && check.object.as_deref() == Some(&url.url));
    found.unwrap_or_else(|| panic!("no {id} of {} in {checks:?}", url.url))
}

#[test]
fn urls_that_misbehave_are_named_and_none_hangs() {
    let refused = {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        format!("http://{}/", listener.local_addr().expect("it has one"))
    };
    let cases: [(String, &str); 12] = [
        (
            server(|_connection| thread::sleep(Duration::from_secs(30))),
            "no whole answer in 5000 ms",
        ),
        (server(drop), "does not answer"),
        (
            server(|connection| {
                endless(
                    connection,
                    "HTTP/1.1 200 OK\r\n",
                    b"x-more: and more of it\r\n",
                );
            }),
            "head",
        ),
        (
            server(|connection| endless(connection, "HTTP/1.1 200 OK\r\nx: ", &[b'x'; 4096])),
            "head",
        ),
        (
            server(|connection| {
                endless(
                    connection,
                    "HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n",
                    &[b'x'; 8192],
                );
            }),
            "longer than 4194304 bytes",
        ),
        (
            server(|connection| endless(connection, "HTTP/1.1 200 OK\r\n\r\n", &[b'x'; 8192])),
            "longer than 4194304 bytes",
        ),
        (
            server(|mut connection| {
                let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive");
            }),
            "end of file",
        ),
        (
            server(|mut connection| {
                let _ = connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nfive");
                thread::sleep(Duration::from_secs(30));
            }),
            "no whole answer in 5000 ms",
        ),
        (
            server(|mut connection| {
                let _ = connection.write_all(b"SSH-2.0-OpenSSH_9.2\r\n");
            }),
            "does not answer",
        ),
        (
            server(|mut connection| {
                let _ = connection
                    .write_all(b"HTTP/1.1 301 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n");
            }),
            "answers 301",
        ),
        (refused, "refused"),
        ("http://nowhere.invalid/".to_owned(), "does not answer"),
    ];
    run(async move {
        let mut bed = Bed::new().await;
        bed.config.urls = cases
            .iter()
            .map(|(address, _)| url(address.clone()))
            .collect();
        let good = server(|mut connection| {
            let _ = connection.write_all(b"HTTP/1.1 204 No Content\r\n\r\n");
        });
        bed.config.urls.push(url(good));
        let start = Instant::now();
        let checks = bed.examine(World::healthy()).await.checks;
        assert!(
            start.elapsed() < Duration::from_secs(28),
            "{:?}",
            start.elapsed()
        );
        for (address, words) in &cases {
            let check = find(&checks, "url.http", &url(address.clone()));
            assert_eq!(check.status, Status::Fail, "{check:?}");
            assert!(check.message.contains(words), "{words}: {check:?}");
        }
        let good = bed.config.urls.last().expect("the good one");
        assert_eq!(find(&checks, "url.http", good).status, Status::Pass);
    });
}

/// `openssl s_server`, ended with the test.
struct Tls(Child);

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A TLS server whose certificate is valid from so many days ago until in so many days.
fn tls(folder: &Path, name: &str, since: i64, left: i64) -> (Tls, String) {
    let port = free_port();
    let day = |days: i64| {
        let time = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24 * days);
        time.strftime("%Y%m%d%H%M%SZ").to_string()
    };
    let script = format!(
        "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name} 2>/dev/null &&
         printf 'subjectAltName=IP:127.0.0.1\\n' > {name}.ext &&
         openssl ca -batch -config ca.cnf -startdate {} -enddate {} -in {name}.csr -extfile {name}.ext -out {name}.crt 2>/dev/null",
        day(-since),
        day(left),
    );
    let made = Command::new("sh")
        .arg("-c")
        .arg(script)
        .current_dir(folder)
        .status()
        .expect("a shell");
    assert!(
        made.success(),
        "openssl is needed: scripts/setup.sh gets it"
    );
    let server = Command::new("openssl")
        .args(["s_server", "-www", "-quiet", "-accept", &port.to_string()])
        .args([
            "-cert",
            &format!("{name}.crt"),
            "-key",
            &format!("{name}.key"),
        ])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is there");
    for _ in 0..500 {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        thread::sleep(Duration::from_millis(20));
    }
    (Tls(server), format!("https://127.0.0.1:{port}/"))
}

#[test]
fn certificates_that_end_have_ended_or_are_not_trusted_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.crt -days 3650 -subj /CN=ca 2>/dev/null";
    let made = Command::new("sh")
        .arg("-c")
        .arg(script)
        .current_dir(folder.path())
        .status()
        .expect("a shell");
    assert!(
        made.success(),
        "openssl is needed: scripts/setup.sh gets it"
    );
    let config = "[ca]\ndefault_ca = d\n[d]\ndatabase = index.txt\nnew_certs_dir = .\nrand_serial = yes\ndefault_md = sha256\n\
                  policy = p\ncertificate = ca.crt\nprivate_key = ca.key\n[p]\ncommonName = supplied\n";
    std::fs::write(folder.path().join("ca.cnf"), config).expect("room on the disk");
    std::fs::write(folder.path().join("index.txt"), "").expect("room on the disk");
    let (_good, good) = tls(folder.path(), "good", 1, 300);
    let (_soon, soon) = tls(folder.path(), "soon", 360, 5);
    let (_expired, expired) = tls(folder.path(), "expired", 30, -2);
    let (_strange, strange) = tls(folder.path(), "strange", 1, 300);
    let ca = Some(folder.path().join("ca.crt"));
    run(async move {
        let mut bed = Bed::new().await;
        bed.config.urls = [&good, &expired, &soon]
            .map(|address| Url {
                ca: ca.clone(),
                ..url(address.clone())
            })
            .to_vec();
        bed.config.urls.push(url(strange));
        let checks = bed.examine(World::healthy()).await.checks;
        assert_eq!(
            find(&checks, "url.http", &bed.config.urls[0]).status,
            Status::Pass,
            "{checks:?}"
        );
        let certificate = find(&checks, "url.certificate", &bed.config.urls[0]);
        assert_eq!(certificate.status, Status::Pass);
        assert!(
            certificate.message.contains("(299 days)"),
            "{certificate:?}"
        );
        let ended = find(&checks, "url.http", &bed.config.urls[1]);
        assert!(
            ended.status == Status::Fail && ended.message.contains("xpired"),
            "{ended:?}"
        );
        assert_eq!(
            find(&checks, "url.http", &bed.config.urls[2]).status,
            Status::Pass,
            "{checks:?}"
        );
        let soon = find(&checks, "url.certificate", &bed.config.urls[2]);
        assert!(
            soon.status == Status::Fail && soon.message.contains("(4 days)"),
            "{soon:?}"
        );
        let strange = find(&checks, "url.http", &bed.config.urls[3]);
        assert!(
            strange.status == Status::Fail && strange.message.contains("certificate"),
            "{strange:?}"
        );
    });
}
