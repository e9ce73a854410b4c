//! `chaos-verify load` against servers of every manner. Times are only held against lower bounds,
//! which a busy machine keeps.

mod counts;

#[path = "../../../../common/tests/free_port/mod.rs"]
mod free_port;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use free_port::free_port;
use serde_json::Value;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/// A server on the loopback that treats every connection in one way.
fn serve(treat: impl Fn(TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/", listener.local_addr().expect("it is bound"));
    let treat = Arc::new(treat);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let treat = treat.clone();
            thread::spawn(move || treat(stream));
        }
    });
    url
}

/// Answers each request of a connection with what `answer` writes, until that says to stop.
fn answering(answer: impl Fn(&mut TcpStream) -> bool + Send + Sync + 'static) -> String {
    serve(move |mut stream| {
        let mut buffer = [0; 4096];
        while stream.read(&mut buffer).is_ok_and(|read| read > 0) && answer(&mut stream) {}
    })
}

/// Runs the tool and gives its status and its record.
#[track_caller]
fn load(url: &str, more: &[&str]) -> (i32, Value) {
    load_with(url, more, &[])
}

#[track_caller]
fn load_with(url: &str, more: &[&str], environment: &[(&str, &str)]) -> (i32, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let started = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_chaos-verify"))
        .args(["load", url, "--warm-up", "0s", "-o", "json"])
        .args(more)
        .env_clear()
        .env("HOME", folder.path())
        .envs(environment.iter().copied())
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .output()
        .expect("the binary was built for this test");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(!err.contains("panicked"), "{err}");
    assert!(started.elapsed() < Duration::from_secs(120), "it hung");
    let last = out
        .lines()
        .last()
        .unwrap_or_else(|| panic!("no record: {err}"));
    (
        output.status.code().expect("it ended by itself"),
        serde_json::from_str(last).expect("JSON"),
    )
}

fn short(url: &str) -> (i32, Value) {
    short_with(url, "1s")
}

/// The same, with a server that may be late because this machine is busy.
fn patient(url: &str) -> (i32, Value) {
    short_with(url, "20s")
}

fn short_with(url: &str, timeout: &str) -> (i32, Value) {
    let few = ["--duration", "500ms", "--rate", "20", "--connections", "2"];
    in_time(|| load(url, &[&few[..], &["--timeout", timeout]].concat()))
}

/// Measures, up to six times while this machine is too busy to ask when it should, as the record says.
fn in_time(mut measure: impl FnMut() -> (i32, Value)) -> (i32, Value) {
    for _ in 0..5 {
        let (status, record) = measure();
        if !record["data"]["timings"][0]["load"]["saturated"].is_string() {
            return (status, record);
        }
    }
    measure()
}

#[track_caller]
fn fails(url: &str, why: &str) {
    let (status, record) = short(url);
    let check = &record["data"]["checks"][0];
    assert_eq!(
        (status, &check["status"]),
        (1, &"fail".into()),
        "{why}: {record}"
    );
    assert!(check.to_string().contains(why), "{why}: {check}");
    assert_eq!(
        record["data"]["timings"][0]["errors"], 10,
        "{why}: {record}"
    );
}

#[test]
fn a_good_server_is_measured_request_by_request() {
    let (status, record) = patient(&answering(|stream| stream.write_all(OK).is_ok()));
    let timing = &record["data"]["timings"][0];
    // A machine too busy for twenty requests a second is unknown, and says so.
    assert!(
        status == 0 || (status == 3 && timing["load"]["saturated"].is_string()),
        "{record}"
    );
    assert_eq!(
        (&timing["requests"], &timing["errors"]),
        (&10.into(), &0.into()),
        "{record}"
    );
    let counted = |list: &str, field: &str| -> u64 {
        timing[list]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|one| one[field].as_u64())
            .sum()
    };
    assert_eq!(
        (
            counted("windows", "requests"),
            counted("distribution", "count")
        ),
        (10, 10),
        "{timing}"
    );
    assert!(
        timing["steps"]["total_ms"].as_f64() >= timing["steps"]["first_byte_ms"].as_f64(),
        "{timing}"
    );
}

#[test]
fn a_stall_shows_in_every_request_that_was_due_meanwhile() {
    // The server stands still for 600 ms from the first request that is not one of the five single
    // ones. Due are 200 a second: what was due in the first 500 ms takes at least 100 ms. A closed
    // loop would have sent two requests meanwhile.
    let (_, record) = in_time(|| {
        let (start, seen) = (std::sync::OnceLock::new(), AtomicUsize::new(0));
        let url = answering(move |stream| {
            if seen.fetch_add(1, Ordering::SeqCst) >= 5 {
                let end = *start.get_or_init(Instant::now) + Duration::from_millis(600);
                thread::sleep(end.saturating_duration_since(Instant::now()));
            }
            stream.write_all(OK).is_ok()
        });
        let args = "--duration 1s --rate 200 --connections 2 --timeout 10s";
        load(&url, &args.split(' ').collect::<Vec<_>>())
    });
    let timing = &record["data"]["timings"][0];
    assert_eq!(
        (&timing["requests"], &timing["errors"]),
        (&200.into(), &0.into()),
        "{record}"
    );
    let p50 = timing["p50_ms"].as_f64().expect("a median");
    assert!(
        p50 >= 99.0,
        "half of the requests were due at least 100 ms before the stall's end: {record}"
    );
}

#[test]
fn connections_take_turns_and_are_kept() {
    let mut opened = 0;
    let (_, record) = in_time(|| {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = count.clone();
        let url = serve(move |mut stream| {
            counted.fetch_add(1, Ordering::SeqCst);
            let mut buffer = [0; 4096];
            while stream.read(&mut buffer).is_ok_and(|read| read > 0)
                && stream.write_all(OK).is_ok()
            {}
        });
        let args = "--duration 500ms --rate 100 --connections 8";
        let measured = load(&url, &args.split(' ').collect::<Vec<_>>());
        opened = count.load(Ordering::SeqCst);
        measured
    });
    assert_eq!(record["data"]["timings"][0]["requests"], 50, "{record}");
    // Five single requests, and the eight. A machine that stands still for a moment needs some
    // more.
    assert!((13..50).contains(&opened), "{opened}");
}

#[test]
fn a_server_that_hangs_fails_and_is_named() {
    fails(
        &serve(|_stream| thread::sleep(Duration::from_secs(60))),
        "no whole answer in 1000 ms",
    );
}

#[test]
fn a_server_that_breaks_off_fails_and_is_named() {
    fails(&answering(|_| false), "without an answer");
    fails(
        &answering(|stream| stream.write_all(&OK[..OK.len() - 1]).is_err()),
        "in the middle of the answer",
    );
}

#[test]
fn nobody_there_fails_and_is_named() {
    fails(&format!("http://127.0.0.1:{}/", free_port()), "refused");
}

#[test]
fn headers_without_end_fail_and_are_named() {
    let endless = |stream: &mut TcpStream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\n"));
        while stream
            .write_all(b"X-Filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n")
            .is_ok()
        {}
        false
    };
    fails(&answering(endless), "headers do not end");
}

#[test]
fn a_body_of_gigabytes_fails_and_is_named() {
    let endless = |stream: &mut TcpStream| {
        drop(stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 9000000000\r\n\r\n"));
        let block = vec![0; 1 << 20];
        while stream.write_all(&block).is_ok() {}
        false
    };
    let (status, record) = short(&answering(endless));
    assert_eq!(status, 1, "{record}");
    let failures = record["data"]["timings"][0]["failures"].to_string();
    assert!(
        failures.contains("64 MiB") || failures.contains("no whole answer"),
        "{failures}"
    );
}

#[test]
fn what_is_not_http_fails_and_is_named() {
    fails(
        &serve(|mut stream| {
            drop(stream.write_all(b"220 mail.example.com ESMTP\r\n"));
            thread::sleep(Duration::from_secs(5));
        }),
        "not HTTP/1.1",
    );
}

#[test]
fn bad_statuses_fail_and_are_named() {
    fails(
        &answering(|stream| {
            stream
                .write_all(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")
                .is_ok()
        }),
        "answers 503",
    );
}

#[test]
fn a_redirect_is_a_good_answer_only_where_it_is_expected() {
    let redirecting = || {
        answering(|stream| {
            stream
                .write_all(b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n")
                .is_ok()
        })
    };
    fails(&redirecting(), "answers 302, a redirect");
    // One that leads to itself, and is not followed for ever either.
    let own = answering(|stream| {
        let own = stream.local_addr().expect("it is connected");
        let answer = format!(
            "HTTP/1.1 308 Permanent Redirect\r\nLocation: http://{own}/\r\nContent-Length: 0\r\n\r\n"
        );
        stream.write_all(answer.as_bytes()).is_ok()
    });
    fails(&own, "answers 308, a redirect");
    let args = ["--duration", "500ms", "--expect-status", "302"];
    let (_, record) = load(&redirecting(), &args);
    assert_eq!(record["data"]["timings"][0]["errors"], 0, "{record}");
}

#[test]
fn a_name_that_leads_nowhere_is_unknown() {
    let (status, record) = short("http://no-such-host.invalid:80/");
    assert_eq!(status, 3, "{record}");
    assert!(
        record["data"]["checks"][0]["message"]
            .to_string()
            .contains("no-such-host.invalid"),
        "{record}"
    );
}

/// `openssl s_server`, ended with the test.
struct Tls(std::process::Child);

impl Drop for Tls {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn https_is_measured_with_its_handshake_and_a_certificate_that_is_not_trusted_fails() {
    let folder = tempfile::tempdir().expect("a folder");
    let script = "new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes' && \
        for ca in ca other; do openssl req -x509 $new -keyout $ca.key -out $ca.pem -days 2 -subj /CN=$ca || exit; done && \
        openssl req $new -keyout cert.key -out cert.csr -subj /CN=server && \
        printf 'subjectAltName=IP:127.0.0.1\\n' >ext && \
        openssl x509 -req -in cert.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile ext";
    let made = Command::new("sh")
        .args(["-c", script])
        .current_dir(folder.path())
        .stderr(Stdio::null())
        .status()
        .expect("sh is there");
    assert!(
        made.success(),
        "openssl is needed: scripts/setup.sh gets it"
    );
    let port = free_port();
    let server = Command::new("openssl")
        .args([
            "s_server",
            "-www",
            "-quiet",
            "-accept",
            &port.to_string(),
            "-cert",
            "cert.pem",
            "-key",
            "cert.key",
        ])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is there");
    let _server = Tls(server);
    let end = Instant::now() + Duration::from_secs(120);
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(Instant::now() < end, "openssl s_server does not listen");
        thread::sleep(Duration::from_millis(20));
    }
    let url = format!("https://127.0.0.1:{port}/");
    let few = [
        "--duration",
        "500ms",
        "--rate",
        "10",
        "--connections",
        "1",
        "--timeout",
        "3s",
    ];
    let certificate = folder.path().join("ca.pem").display().to_string();
    let (_, record) = in_time(|| load_with(&url, &few, &[("SSL_CERT_FILE", &certificate)]));
    let timing = &record["data"]["timings"][0];
    assert_eq!(
        (&timing["requests"], &timing["errors"]),
        (&5.into(), &0.into()),
        "{record}"
    );
    assert!(
        timing["steps"]["tls_ms"]
            .as_f64()
            .is_some_and(|tls| tls > 0.0),
        "{timing}"
    );
    let other = folder.path().join("other.pem").display().to_string();
    let (status, record) = load_with(&url, &few, &[("SSL_CERT_FILE", &other)]);
    assert_eq!(status, 1, "{record}");
    assert!(
        record["data"]["timings"][0]["failures"]
            .to_string()
            .contains("certificate is not trusted here"),
        "{record}"
    );
    let named = [&few[..], &["--ca", &certificate]].concat();
    let (_, record) = load_with(&url, &named, &[("SSL_CERT_FILE", &other)]);
    assert_eq!(record["data"]["timings"][0]["errors"], 0, "{record}");
    // It offers no HTTP/2.
    let http2 = [&few[..], &["--http2"]].concat();
    let (status, record) = load_with(&url, &http2, &[("SSL_CERT_FILE", &certificate)]);
    assert_eq!(status, 1, "{record}");
    assert!(
        record.to_string().contains("does not speak HTTP/2"),
        "{record}"
    );
}

#[test]
fn what_is_no_url_or_no_rate_is_bad_usage() {
    for args in [
        &["shop:8000"][..],
        &["http://me:hunter2@shop/"],
        &["http://a/", "--rate", "0"],
        &["http://a/", "--duration", "0s"],
        &["http://a:65536/"],
        &["http://a/", "--ca", "no-such-file.pem"],
        &["--target", "{}"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_chaos-verify"))
            .arg("load")
            .args(args)
            .stdin(Stdio::null())
            .output();
        let output = output.expect("the binary was built for this test");
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            output.stdout.is_empty()
                && !String::from_utf8_lossy(&output.stderr).contains("hunter2"),
            "{args:?}"
        );
    }
}
