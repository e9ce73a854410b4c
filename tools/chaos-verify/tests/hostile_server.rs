//! Services that misbehave, asked as the tool asks: each is named, none hangs, none passes.

#[path = "../../../common/tests/free_port/mod.rs"]
mod free_port;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use chaos_common::cli::block_on;
use chaos_common::cluster::probe::HttpProbe;
use chaos_common::cluster::{Access, Cluster};
use chaos_common::config::Config;
use chaos_common::record::{Check, Status};
use free_port::free_port;
use serde_json::{Value, json};

use chaos_verify::data::api;
use chaos_verify::performance::sequential;
use chaos_verify::target::Target;

/// A server that does to every connection what `misbehave` does, once a request has come; gives its
/// port.
fn server(misbehave: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it has one").port();
    thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            thread::spawn(move || {
                // What was not read when it closes would make a reset of every case.
                let _ = connection.read(&mut [0; 4096]);
                misbehave(connection);
            });
        }
    });
    port
}

fn write(mut connection: &TcpStream, text: &[u8]) {
    // Whether anybody still listens is the other side's business.
    let _ = connection.write_all(text);
}

fn endless(mut connection: &TcpStream, part: &[u8]) {
    while connection.write_all(part).is_ok() {}
}

/// A cluster that is nowhere, for what is asked directly.
async fn unreachable_cluster() -> Cluster {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "contexts": [{ "name": "c", "context": { "cluster": "k", "user": "u" } }],
        "clusters": [{ "name": "k", "cluster": { "server": "https://127.0.0.1:1" } }],
        "users": [{ "name": "u", "user": { "token": "t" } }],
    });
    std::fs::write(&path, text.to_string()).expect("room on the disk");
    Cluster::connect(&Access {
        context: None,
        kubeconfig: Some(path),
        ..Access::default()
    })
    .await
    .expect("a client")
}

fn hang() {
    thread::sleep(Duration::from_secs(60));
}

/// What a server does, and words that must tell of it when it is asked for data, and when it is
/// timed.
type Case = (fn(TcpStream), &'static str, &'static str);

const CASES: [Case; 8] = [
    (
        |_connection| hang(),
        "no answer in 5000 ms",
        "no answer in 5000 ms",
    ),
    (drop, "does not answer", "no answer to measure"),
    (
        |connection| {
            write(&connection, b"HTTP/1.1 200 OK\r\n");
            endless(&connection, b"x-more: and more of it\r\n");
        },
        "head",
        "head",
    ),
    (
        |connection| {
            write(
                &connection,
                b"HTTP/1.1 200 OK\r\ncontent-length: 9999999999\r\n\r\n",
            );
            endless(&connection, &[b'['; 8192]);
        },
        "longer than 4194304 bytes",
        "longer than 4194304 bytes",
    ),
    (
        |connection| {
            write(
                &connection,
                b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n[1]",
            );
            hang();
        },
        "no answer in 5000 ms",
        "no answer in 5000 ms",
    ),
    (
        |connection| {
            write(
                &connection,
                b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n[1]",
            );
        },
        "end of file",
        "end of file",
    ),
    (
        |connection| write(&connection, b"SSH-2.0-OpenSSH_9.2\r\n"),
        "does not answer",
        "no answer to measure",
    ),
    (
        |connection| {
            write(
                &connection,
                b"HTTP/1.1 503 No\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]",
            );
        },
        "answers 503",
        "answers 503",
    ),
];

/// One Service on this machine: `http://127.0.0.1` is what a Service 127.0 in a namespace 0.1 is
/// called.
fn config(port: u16) -> Config {
    let service = |more: Value| {
        let mut service =
            json!({ "name": "127.0", "namespace": "0.1", "port": port, "vantage": "direct" });
        service
            .as_object_mut()
            .expect("an object")
            .extend(more.as_object().expect("an object").clone());
        service
    };
    serde_json::from_value(json!({
        "service": [service(json!({ "data": ["/data"], "timed": ["/timed"] }))],
        "performance": { "requests": 1 },
    }))
    .expect("a configuration")
}

/// The answer's check and the time's.
fn asked(port: u16) -> (Check, Check) {
    block_on(async {
        let (cluster, config) = (unreachable_cluster().await, config(port));
        let probe = HttpProbe::new(&cluster);
        let target = Target {
            cluster: &cluster,
            probe: &probe,
            config: &config,
            namespace: "none",
        };
        let mut answers = api::request_all(&target, "data.answer").await;
        let answer = api::compare(None, &answers.remove(0));
        let measured = sequential::measure_all(&target).await;
        (answer, sequential::baseline(&measured[0]))
    })
}

#[test]
fn services_that_misbehave_are_named_and_none_hangs() {
    let start = Instant::now();
    let of = |(misbehave, answer, time): Case| {
        thread::spawn(move || {
            let (asked, timed) = asked(server(misbehave));
            assert!(
                asked.status == Status::Fail && asked.message.contains(answer),
                "{answer}: {asked:?}"
            );
            assert!(
                timed.status == Status::Fail && timed.message.contains(time),
                "{time}: {timed:?}"
            );
        })
    };
    for case in CASES.map(of) {
        case.join().expect("named rightly");
    }
    assert!(
        start.elapsed() < Duration::from_secs(60),
        "{:?}",
        start.elapsed()
    );
}

#[test]
fn a_good_answer_passes_the_same_way() {
    let port = server(|connection| {
        // It says that it closes: otherwise the next question may meet a connection that is closing.
        write(
            &connection,
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\n[1]",
        );
    });
    let (answer, time) = asked(port);
    assert!(
        answer.status == Status::Unknown && answer.message.contains("1 items"),
        "{answer:?}"
    );
    assert_eq!(time.status, Status::Pass, "{time:?}");
}

#[test]
fn nobody_there_is_refused() {
    let (answer, time) = asked(free_port());
    assert!(
        answer.message.contains("refused") && time.message.contains("refused"),
        "{answer:?} {time:?}"
    );
}
