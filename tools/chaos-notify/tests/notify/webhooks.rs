//! Slack and the status page: what is sent again, what is not, and that no secret shows.

use std::process::{Output, Stdio};
use std::time::Instant;

use crate::free_port::free_port;
use crate::http::{Answer, Server};
use crate::{Bench, channel, record, stderr, stdout, text};

const SLACK: &str = "[notify.slack]\nwebhook = { env = \"HOOK\" }\n";
const SECRET: &str = "T00000/hunter2-SECRET";
const SCHEDULED: [&str; 3] = ["scheduled", "--experiment", "pod-failure"];

/// Runs `scheduled` with Slack at this port.
fn slack(port: u16) -> Output {
    let bench = Bench::new(SLACK);
    let mut command = bench.command(&SCHEDULED);
    let hook = format!("http://user:pw-SECRET@127.0.0.1:{port}/services/{SECRET}");
    command.env("HOOK", hook).stdin(Stdio::null());
    let output = command.output().expect("the tool ends");
    let all = stdout(&output) + &stderr(&output);
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
    let said = server.body();
    let start = "Chaos Engineering Experiment Scheduled: pod-failure at 20";
    assert!(text(&said["text"]).starts_with(start), "{said}");
    let result = channel(&output);
    assert_eq!(
        (text(&result["outcome"]), text(&result["to"])),
        ("sent", "127.0.0.1")
    );
}

#[test]
fn plain_http_needs_no_certificates_and_https_says_that_it_does() {
    let server = Server::new(&[Answer::Status("200 OK")]);
    for (scheme, outcome) in [("http", "sent"), ("https", "failed")] {
        let bench = Bench::new(SLACK);
        let mut command = bench.command(&SCHEDULED);
        command
            .env("HOOK", format!("{scheme}://127.0.0.1:{}/", server.port))
            .env("SSL_CERT_FILE", "/nonexistent")
            .env("SSL_CERT_DIR", "/nonexistent")
            .stdin(Stdio::null());
        let result = channel(&command.output().expect("the tool ends"));
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
fn too_long_a_wait_is_not_waited_for_and_the_message_is_kept() {
    let server = Server::new(&[Answer::Status("429 Too Many Requests\r\nRetry-After: 3600")]);
    let output = slack(server.port);
    assert_eq!(output.status.code(), Some(1));
    let result = channel(&output);
    assert!(
        text(&result["detail"]).contains("3600 s, which is too long"),
        "{result}"
    );
    assert_eq!(result["spooled"], true);
}

#[test]
fn no_answer_is_unknown_and_not_repeated() {
    let server = Server::new(&[Answer::Hang]);
    let start = Instant::now();
    let output = slack(server.port);
    assert!(
        (9.0..120.0).contains(&start.elapsed().as_secs_f64()),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(channel(&output)["outcome"], "unknown");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_closed_port_is_tried_again_and_the_message_is_kept() {
    let result = channel(&slack(free_port()));
    assert_eq!(
        (&result["outcome"], &result["attempts"]),
        (&"failed".into(), &4.into())
    );
    assert!(text(&result["detail"]).contains("refused"), "{result}");
    assert_eq!(result["spooled"], true);
}

#[test]
fn one_bad_channel_does_not_stop_the_others() {
    let server = Server::new(&[Answer::Status("200 OK")]);
    let page = "[notify.status_page]\nurl = { file = \"page\" }\ntoken = { file = \"token\" }\n";
    let bench = Bench::new(&format!("{SLACK}{page}"));
    bench.file("page", &format!("{}v1\n", server.url()));
    bench.file("token", "t0ken-SECRET\n");
    let output = bench.start(&SCHEDULED);
    assert_eq!(output.status.code(), Some(1));
    let record = record(&output);
    let results = record["data"]["channels"].as_array().expect("channels");
    assert_eq!(results[0]["outcome"], "failed");
    assert!(
        text(&results[0]["detail"]).contains("environment variable HOOK"),
        "{record}"
    );
    assert_eq!(results[1]["outcome"], "sent");
    let request = server.requests()[0].to_ascii_lowercase();
    assert!(
        request.contains("authorization: bearer t0ken-secret"),
        "{request}"
    );
    let said = server.body();
    assert_eq!(text(&said["status"]), "maintenance");
    assert_eq!(
        text(&said["message"]),
        "Chaos Engineering Experiment in Progress"
    );
    assert!(!format!("{record}{}", stderr(&output)).contains("SECRET"));
}

#[test]
fn without_a_channel_nobody_was_told() {
    let output = Bench::new("").start(&SCHEDULED);
    assert_eq!(output.status.code(), Some(3));
    let record = record(&output);
    let checks = record["data"]["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["id"] == "notify.channels");
    let check = check.unwrap_or_else(|| panic!("{record}"));
    assert!(text(&check["hint"]).contains("chaos.toml"));
}

#[test]
fn a_dry_run_shows_everything_and_sends_nothing() {
    let server = Server::new(&[Answer::Status("200 OK")]);
    let bench = Bench::new(&format!(
        "{SLACK}[notify.mail]\nhost = \"127.0.0.1\"\nport = 1\ntls = \"none\"\nfrom = \"a@b.c\"\nteam = [\"team@company.com\"]\n"
    ));
    let mut command = bench.command(&["--dry-run", "scheduled", "--experiment", "x"]);
    command
        .env("HOOK", format!("{}{SECRET}", server.url()))
        .stdin(Stdio::null());
    let output = command.output().expect("the tool ends");
    assert_eq!(output.status.code(), Some(3), "nobody knows");
    let told = stderr(&output);
    assert!(
        told.contains("would send: POST to 127.0.0.1: {\"text\":\"Chaos"),
        "{told}"
    );
    assert!(
        told.contains("To: team@company.com\nSubject: x on not known: scheduled"),
        "{told}"
    );
    assert!(!told.contains("SECRET"), "{told}");
    assert!(server.requests().is_empty() && bench.outbox().is_empty());
    let record = record(&output);
    assert_eq!(record["data"]["checks"][0]["status"], "skipped");
    assert_eq!(record["summary"], "dry run: nothing was sent");
}
