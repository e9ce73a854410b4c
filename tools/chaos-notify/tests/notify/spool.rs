//! What could not be sent is sent later, once.

use std::process::Stdio;

use crate::free_port::free_port;
use crate::http::{Answer, Server};
use crate::{Bench, channel, ended, plan, record, stderr, stdout, text, verification};

const SLACK: &str = "[notify.slack]\nwebhook = { file = \"hook\" }\n";
const PAGE: &str = "[notify.status_page]\nurl = { file = \"page\" }\n";

/// A URL where nobody listens.
fn nowhere() -> String {
    format!("http://127.0.0.1:{}/hunter2-SECRET", free_port())
}

#[test]
fn what_was_kept_is_sent_by_flush_once_and_holds_no_secret() {
    let bench = Bench::new(SLACK);
    bench.file("hook", &nowhere());
    let output = bench.feed(&["scheduled"], &plan("pod-failure", "search"));
    assert_eq!(channel(&output)["spooled"], true);
    let [kept] = &bench.outbox()[..] else {
        panic!("{:?}", bench.outbox());
    };
    let spool = bench.home.path().join(".local/state/chaos/notify/outbox");
    let kept = std::fs::read_to_string(spool.join(kept)).expect("readable");
    assert!(
        kept.contains("pod-failure") && !kept.contains("SECRET"),
        "{kept}"
    );

    let server = Server::new(&[Answer::Status("200 OK")]);
    bench.file("hook", &server.url());
    let flushed = bench.start(&["flush"]);
    assert_eq!(flushed.status.code(), Some(0), "{}", stderr(&flushed));
    assert_eq!(channel(&flushed)["outcome"], "sent");
    assert_eq!(
        record(&flushed)["data"]["event"],
        record(&output)["data"]["event"]
    );
    let again = bench.start(&["flush"]);
    assert_eq!(again.status.code(), Some(0));
    assert!(
        stderr(&again).contains("nothing in the spool"),
        "{}",
        stderr(&again)
    );
    assert_eq!(server.requests().len(), 1);
    // A repeat of the command that failed at first is known, too.
    bench.feed(&["scheduled"], &plan("pod-failure", "search"));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn the_next_call_sends_what_waits() {
    let bench = Bench::new(SLACK);
    bench.file("hook", &nowhere());
    bench.feed(&["scheduled"], &plan("pod-failure", "search"));
    let server = Server::new(&[Answer::Status("200 OK")]);
    bench.file("hook", &server.url());
    let stream = ended("completed", "pass") + &verification("pass");
    let output = bench.feed(&["completed"], &stream);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let all = server.requests().concat();
    assert!(
        all.contains("Scheduled") && all.contains("Completed"),
        "{all}"
    );
    assert!(bench.outbox().is_empty());
}

#[test]
fn a_state_that_is_overtaken_is_not_shown_later() {
    let bench = Bench::new(PAGE);
    bench.file("page", &nowhere());
    bench.feed(&["scheduled"], &plan("pod-failure", "search"));
    assert_eq!(bench.outbox().len(), 1);
    let server = Server::new(&[Answer::Status("200 OK")]);
    bench.file("page", &server.url());
    // The spool is out of the way while the results go out, as if on another day.
    let spool = bench.home.path().join(".local/state/chaos/notify/outbox");
    let aside = bench.home.path().join("aside");
    std::fs::rename(&spool, &aside).expect("it is there");
    let stream = ended("completed", "pass") + &verification("pass");
    bench.feed(&["completed"], &stream);
    std::fs::remove_dir_all(&spool).expect("it was made anew");
    std::fs::rename(&aside, &spool).expect("it is there");
    bench.start(&["flush"]);
    let pages = server.of("POST");
    assert_eq!(pages.len(), 1, "{pages:?}");
    assert_eq!(text(&pages[0].1["status"]), "operational");
    assert!(bench.outbox().is_empty());
}

#[test]
fn a_spool_that_cannot_be_written_is_told_and_holds_nothing_up() {
    let server = Server::new(&[Answer::Status("200 OK")]);
    // A file where the folder should be is as good as a full disk, also for root.
    let bench = Bench::new(&format!("[notify]\nspool = \"chaos.toml\"\n{SLACK}"));
    bench.file("hook", &server.url());
    let output = bench.start(&["scheduled", "--experiment", "x"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(server.requests().len(), 1);
    let record = record(&output);
    let checks = record["data"]["checks"].as_array().expect("checks");
    let spool = checks.iter().find(|check| check["id"] == "notify.spool");
    let spool = spool.unwrap_or_else(|| panic!("{record}"));
    assert!(text(&spool["message"]).contains("chaos.toml"), "{spool}");
}

#[test]
fn what_another_process_is_sending_is_left_to_it() {
    let bench = Bench::new(SLACK);
    let server = Server::new(&[Answer::Hang]);
    bench.file("hook", &server.url());
    let mut command = bench.command(&["scheduled", "--experiment", "x"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let child = child.expect("it starts");
    while server.requests().is_empty() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let flushed = bench.start(&["flush"]);
    assert_eq!(stdout(&flushed), "", "{}", stderr(&flushed));
    child.wait_with_output().expect("the tool ends");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn a_channel_that_is_gone_keeps_its_messages() {
    let bench = Bench::new(SLACK);
    bench.file("hook", &nowhere());
    bench.start(&["scheduled", "--experiment", "x"]);
    bench.file("chaos.toml", "");
    let flushed = bench.start(&["flush"]);
    assert_eq!(flushed.status.code(), Some(3));
    assert!(
        stderr(&flushed).contains("no channel has this name"),
        "{}",
        stderr(&flushed)
    );
    assert_eq!(bench.outbox().len(), 1);
}
