//! What is counted, held against the server's own count, and kept when a measurement is interrupted.

use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::{OK, answering, load, serve};

/// What a server does to its requests, by their number after the five single ones: of twenty, one
/// is reset, one stalls, and one gets a 503.
fn plagued(counts: Arc<[AtomicUsize; 2]>) -> String {
    serve(move |mut stream| {
        let mut buffer = [0; 4096];
        // A reset is what becomes of a request that is not read to its end.
        while stream.read(&mut buffer[..1]).is_ok_and(|read| read > 0) {
            let number = counts[0].fetch_add(1, Ordering::SeqCst);
            let plague = if number < 5 { 0 } else { number % 20 };
            counts[1].fetch_add(usize::from([7, 11, 13].contains(&plague)), Ordering::SeqCst);
            if plague == 7 || !stream.read(&mut buffer).is_ok_and(|read| read > 0) {
                return;
            }
            let answer = match plague {
                11 => {
                    // Until the client has given up.
                    drop(stream.read(&mut buffer));
                    return;
                }
                13 => &b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"[..],
                _ => OK,
            };
            if stream.write_all(answer).is_err() {
                return;
            }
        }
    })
}

#[test]
fn failures_are_counted_as_the_server_counts_them() {
    let counts = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
    let url = plagued(counts.clone());
    let args = ["--duration", "1s", "--rate", "400", "--timeout", "8s"];
    let (_, record) = load(&url, &args);
    let timing = &record["data"]["timings"][0];
    if timing["load"]["saturated"].is_string() {
        // This machine was too busy to ask in time, and says so.
        return;
    }
    let (requests, bad) = (timing["requests"].as_u64(), timing["errors"].as_u64());
    let seen = counts[0].load(Ordering::SeqCst) as u64 - 5;
    let truly = counts[1].load(Ordering::SeqCst) as u64;
    assert_eq!(requests, Some(seen), "{record}");
    let bad = bad.expect("a number");
    assert!(
        bad.abs_diff(truly) * 100 <= truly,
        "{bad} of {truly}: {record}"
    );
}

#[test]
fn what_was_measured_is_kept_when_it_is_interrupted() {
    let seen = Arc::new(AtomicUsize::new(0));
    let count = seen.clone();
    let url = answering(move |stream| {
        count.fetch_add(1, Ordering::SeqCst);
        stream.write_all(OK).is_ok()
    });
    let tool = Command::new(env!("CARGO_BIN_EXE_chaos-verify"))
        .args(["load", &url, "--warm-up", "0s", "-o", "json"])
        .args(["--duration", "1h", "--rate", "100", "--timeout", "60s"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary was built for this test");
    while seen.load(Ordering::SeqCst) < 50 {
        thread::sleep(Duration::from_millis(10));
    }
    let pid = i32::try_from(tool.id())
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let pid = pid.expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    let output = tool.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(6));
    let out = String::from_utf8_lossy(&output.stdout);
    let last = out.lines().last().expect("a record");
    let record: Value = serde_json::from_str(last).expect("JSON");
    let timing = &record["data"]["timings"][0];
    assert!(timing["requests"].as_u64() >= Some(20), "{record}");
    assert!(timing["p50_ms"].is_number(), "{record}");
    assert!(timing["load"]["interrupted_ms"].is_u64(), "{record}");
    assert_eq!(record["verdict"], "unknown", "{record}");
    let message = record["data"]["checks"][0]["message"].to_string();
    assert!(message.contains("interrupted after"), "{message}");
}
