//! The stream of a running experiment, followed.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::http::{Answer, Server};
use crate::{Bench, ended, plan, record, stderr};

fn event(kind: &str, clock: &str, summary: &str) -> String {
    let record = json!({
        "schema": "chaos.event/1", "id": clock, "run": "run-1", "time": format!("2026-11-22T{clock}Z"),
        "tool": "chaos-inject 0.1.0", "summary": summary, "data": { "event": kind },
    });
    format!("{record}\n")
}

fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn people_are_told_while_the_experiment_runs_and_the_stream_waits_for_nobody() {
    // Slow as it is, the stream goes on.
    let server = Server::new(&[
        Answer::Status("429 Slow\r\nRetry-After: 6"),
        Answer::Status("200 OK"),
    ]);
    let bench = Bench::new("[notify.slack]\nwebhook = { file = \"hook\" }\n");
    bench.file("hook", &server.url());
    let child = bench
        .command(&["follow"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("it starts");
    let mut stdin = child.stdin.take().expect("a pipe");
    let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
    let mut pass = |line: &str| {
        stdin.write_all(line.as_bytes()).expect("it reads");
    };
    pass(&plan("pod-failure", "search"));
    let injected = event("injected", "16:00:01.000", "deleted pod/a");
    pass(&injected);
    pass(&event("observed", "16:00:02.000", "a pod is gone"));
    // The last line is out although the message has to wait.
    let seen: Vec<String> = (0..3)
        .map(|_| lines.next().expect("a line").expect("UTF-8"))
        .collect();
    assert_eq!(format!("{}\n", seen[1]), injected);
    assert!(server.requests().len() < 2, "the message still waits");
    wait_for("started is told", || server.requests().len() == 2);
    pass(&event("abort", "16:00:05.000", "the probes failed"));
    // At once, and not at the end of the stream.
    wait_for("aborted is told", || server.requests().len() == 3);
    pass(&event("injected", "16:00:06.000", "deleted pod/b"));
    pass(&ended("aborted", "unknown"));
    drop(stdin);
    let rest: Vec<String> = lines.map(|line| line.expect("UTF-8")).collect();
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(
        server.requests().len(),
        3,
        "each but once: {}",
        stderr(&output)
    );
    let said = server.requests();
    assert!(
        said[1].contains("Experiment Started: pod-failure"),
        "{}",
        said[1]
    );
    assert!(said[2].contains("Reason: the probes failed"), "{}", said[2]);
    let told = |occasion: &str| {
        let part = format!("\"occasion\":\"{occasion}\"");
        rest.iter().filter(|line| line.contains(&part)).count()
    };
    assert_eq!((told("started"), told("aborted")), (1, 1), "{rest:#?}");
}

#[test]
fn a_stream_of_which_nothing_is_told_passes_through() {
    let bench = Bench::new("");
    let stream = plan("pod-failure", "search");
    let output = bench.feed(&["follow"], &stream);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(crate::stdout(&output).starts_with(&stream));
    assert_eq!(record(&output)["verdict"], "pass");
}
