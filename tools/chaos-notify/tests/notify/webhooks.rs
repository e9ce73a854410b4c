//! Slack and the status page: what is sent again, what is not, and that no secret shows.

use std::net::TcpListener;
use std::process::Output;
use std::time::Instant;

use crate::http::{Answer, Server};
use crate::{Bench, channel, record, stderr};

const SLACK: &str = "[notify.slack]\nwebhook = { env = \"HOOK\" }\n";
const SECRET: &str = "T00000/hunter2-SECRET";

/// Runs `scheduled` with Slack at this port.
fn slack(port: u16) -> Output {
    let bench = Bench::new(SLACK);
    let mut command = bench.command(&["scheduled", "--experiment", "pod-failure"]);
    command.env(
        "HOOK",
        format!("http://user:pw-SECRET@127.0.0.1:{port}/services/{SECRET}"),
    );
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the tool ends");
    let all = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        stderr(&output)
    );
    assert!(
        !all.contains("SECRET") && !all.contains("/services"),
        "a secret shows in {all}"
    );
    output
}

#[test]
fn a_message_is_sent_once_and_the_host_alone_is_named() {
    let server = Server::new(&[Answer::Status("200 OK")]);
    let output = slack(server.port);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = server.body()["text"].as_str().expect("a text").to_owned();
    assert!(
        text.starts_with("Chaos Engineering Experiment Scheduled: pod-failure at 20"),
        "{text}"
    );
    let result = channel(&output);
    assert_eq!(
        (&result["outcome"], &result["to"]),
        (&"sent".into(), &"127.0.0.1".into())
    );
}

#[test]
fn plain_http_needs_no_certificates_and_https_says_that_it_does() {
    let server = Server::new(&[Answer::Status("200 OK")]);
    let bench = Bench::new(SLACK);
    for (scheme, outcome) in [("http", "sent"), ("https", "failed")] {
        let mut command = bench.command(&["scheduled"]);
        command.env("HOOK", format!("{scheme}://127.0.0.1:{}/", server.port));
        command
            .env("SSL_CERT_FILE", "/nonexistent")
            .env("SSL_CERT_DIR", "/nonexistent");
        let output = command
            .stdin(std::process::Stdio::null())
            .output()
            .expect("the tool ends");
        let result = channel(&output);
        assert_eq!(result["outcome"], outcome, "{result}");
    }
}

#[test]
fn too_many_requests_is_obeyed() {
    let server = Server::new(&[
        Answer::Status("429 Too Many Requests\r\nRetry-After: 2"),
        Answer::Status("200 OK"),
    ]);
    let start = Instant::now();
    let output = slack(server.port);
    assert!(
        start.elapsed().as_secs_f64() >= 2.0,
        "{:?}",
        start.elapsed()
    );
    let result = channel(&output);
    assert_eq!(
        (&result["outcome"], &result["attempts"]),
        (&"sent".into(), &2.into())
    );
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn too_long_a_wait_is_not_waited_for() {
    let server = Server::new(&[Answer::Status("429 Too Many Requests\r\nRetry-After: 3600")]);
    let output = slack(server.port);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        channel(&output)["detail"]
            .as_str()
            .expect("a detail")
            .contains("3600 s, which is too long")
    );
}

#[test]
fn errors_of_the_server_are_tried_four_times() {
    let server = Server::new(&[Answer::Status("500 Internal Server Error")]);
    let output = slack(server.port);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(channel(&output)["outcome"], "failed");
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn a_plain_no_and_a_redirect_are_not_tried_again() {
    for status in [
        "404 Not Found",
        "302 Found\r\nLocation: http://127.0.0.1:1/",
    ] {
        let server = Server::new(&[Answer::Status(status)]);
        let output = slack(server.port);
        assert_eq!(channel(&output)["outcome"], "failed");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn a_connection_that_breaks_after_the_request_is_unknown_and_not_repeated() {
    let server = Server::new(&[Answer::Drop]);
    let output = slack(server.port);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(channel(&output)["outcome"], "unknown");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn no_answer_is_unknown_after_ten_seconds_and_not_repeated() {
    let server = Server::new(&[Answer::Hang]);
    let start = Instant::now();
    let output = slack(server.port);
    assert!(
        (9.0..50.0).contains(&start.elapsed().as_secs_f64()),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(channel(&output)["outcome"], "unknown");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_closed_port_is_tried_again_and_failed() {
    let port = TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("bound")
        .port();
    let output = slack(port);
    let result = channel(&output);
    assert_eq!(
        (&result["outcome"], &result["attempts"]),
        (&"failed".into(), &4.into())
    );
    assert!(
        result["detail"]
            .as_str()
            .expect("a detail")
            .contains("refused"),
        "{result}"
    );
}

#[test]
fn one_bad_channel_does_not_stop_the_others() {
    let server = Server::new(&[Answer::Status("200 OK")]);
    let page = "[notify.status_page]\nurl = { file = \"page\" }\ntoken = { file = \"token\" }\n";
    let bench = Bench::new(&format!("{SLACK}{page}"));
    std::fs::write(
        bench.home.path().join("page"),
        format!("http://127.0.0.1:{}/v1\n", server.port),
    )
    .expect("writable");
    std::fs::write(bench.home.path().join("token"), "t0ken-SECRET\n").expect("writable");
    let output = bench.start(&["scheduled"]);
    assert_eq!(output.status.code(), Some(1));
    let record = record(&output);
    let results = record["data"]["channels"].as_array().expect("channels");
    assert_eq!(results[0]["outcome"], "failed");
    assert!(
        results[0]["detail"]
            .as_str()
            .expect("a detail")
            .contains("environment variable HOOK"),
        "{record}"
    );
    assert_eq!(results[1]["outcome"], "sent");
    assert!(
        server.requests()[0]
            .to_ascii_lowercase()
            .contains("authorization: bearer t0ken-secret")
    );
    assert_eq!(server.body()["status"], "maintenance");
    assert_eq!(
        server.body()["message"],
        "Chaos Engineering Experiment in Progress"
    );
    assert!(!format!("{record}{}", stderr(&output)).contains("SECRET"));
}

#[test]
fn channels_are_used_at_the_same_time() {
    let server = Server::new(&[
        Answer::Status("429 Slow\r\nRetry-After: 2"),
        Answer::Status("429 Slow\r\nRetry-After: 2"),
        Answer::Status("200 OK"),
    ]);
    let bench = Bench::new(&format!(
        "{SLACK}[notify.status_page]\nurl = {{ env = \"PAGE\" }}\n"
    ));
    let mut command = bench.command(&["scheduled"]);
    command
        .env("HOOK", format!("http://127.0.0.1:{}/slack", server.port))
        .env("PAGE", format!("http://127.0.0.1:{}/page", server.port))
        .stdin(std::process::Stdio::null());
    assert_eq!(
        command.output().expect("the tool ends").status.code(),
        Some(0)
    );
    // Each has asked for the first time before either has waited and asks again.
    let requests = server.requests();
    let first = requests[..2].concat();
    assert!(
        first.contains("/slack") && first.contains("/page"),
        "{requests:#?}"
    );
}

#[test]
fn without_a_channel_nobody_was_told() {
    let output = Bench::new("").start(&["scheduled"]);
    assert_eq!(output.status.code(), Some(3));
    let record = record(&output);
    assert_eq!(record["data"]["checks"][0]["id"], "notify.channels");
    assert!(
        record["data"]["checks"][0]["hint"]
            .as_str()
            .expect("a hint")
            .contains("chaos.toml")
    );
}

#[test]
fn a_dry_run_shows_everything_and_sends_nothing() {
    let server = Server::new(&[Answer::Status("200 OK")]);
    let bench = Bench::new(&format!(
        "{SLACK}[notify.mail]\nhost = \"127.0.0.1\"\nport = 1\ntls = \"none\"\nfrom = \"a@b.c\"\nteam = [\"team@company.com\"]\n"
    ));
    let mut command = bench.command(&["--dry-run", "scheduled"]);
    command
        .env("HOOK", format!("http://127.0.0.1:{}/{SECRET}", server.port))
        .stdin(std::process::Stdio::null());
    let output = command.output().expect("the tool ends");
    assert_eq!(output.status.code(), Some(3), "nobody knows");
    let told = stderr(&output);
    assert!(
        told.contains("would send: POST to 127.0.0.1: {\"text\":\"Chaos"),
        "{told}"
    );
    assert!(
        told.contains("To: team@company.com\nSubject: Chaos Engineering Experiment Notification"),
        "{told}"
    );
    assert!(!told.contains("SECRET"), "{told}");
    assert!(server.requests().is_empty());
    let record = record(&output);
    assert_eq!(record["data"]["checks"][0]["status"], "skipped");
    assert_eq!(record["summary"], "dry run: nothing was sent");
}
