//! Who was reached, exactly; and never twice.

use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{Answer, Server};
use crate::{Bench, channel, ended, plan, record, stderr, stdout, text, verification};

/// Channels `a`, `b`, …: webhooks at these servers.
fn bench(head: &str, servers: &[&Server]) -> Bench {
    let tables = ('a'..).zip(servers).map(|(name, _)| {
        format!(
            "[[notify.webhook]]\nname = \"{name}\"\nurl = {{ file = \"{name}\" }}\nsecret = {{ file = \"key\" }}\n"
        )
    });
    let config = head.to_owned() + &tables.collect::<String>();
    let bench = Bench::new(&config);
    for (name, server) in ('a'..).zip(servers) {
        bench.file(&name.to_string(), &server.url());
    }
    bench.file("key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    bench
}

fn good() -> Server {
    Server::new(&[Answer::Status("200 OK")])
}

#[test]
fn a_repeat_of_the_same_message_is_known_and_another_text_is_another_message() {
    let server = good();
    let bench = bench("", &[&server]);
    let stream = plan("pod-failure", "search");
    let first = bench.feed(&["scheduled"], &stream);
    let second = bench.feed(&["scheduled"], &stream);
    assert_eq!(server.requests().len(), 1, "{}", stderr(&second));
    assert_eq!(second.status.code(), Some(0));
    let result = channel(&second);
    assert_eq!(
        (&result["outcome"], &result["attempts"]),
        (&"sent".into(), &0.into())
    );
    assert!(text(&result["detail"]).contains("--again"), "{result}");
    let event = |output| record(output)["data"]["event"].clone();
    assert_eq!(event(&first), event(&second));

    let third = bench.feed(&["scheduled", "--again"], &stream);
    assert_eq!(server.requests().len(), 2, "{}", stderr(&third));
    assert_eq!(event(&first), event(&third), "the receiver can tell");

    // Two emergencies of one run are two messages.
    for reason in ["shop is down", "shop is gone"] {
        bench.feed(&["aborted", "--reason", reason], &stream);
    }
    assert_eq!(server.requests().len(), 4);
}

#[test]
fn of_many_who_send_the_same_at_once_one_does() {
    let server = good();
    let bench = bench("", &[&server]);
    let stream = plan("pod-failure", "search");
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| bench.feed(&["scheduled"], &stream));
        }
    });
    assert_eq!(server.requests().len(), 1);
    assert!(bench.outbox().is_empty(), "{:?}", bench.outbox());
}

#[test]
fn what_waits_is_sent_no_faster_than_the_service_takes_it() {
    let server = Server::new(&[Answer::Status("429 Slow\r\nRetry-After: 3600")]);
    let bench = Bench::new("[notify.slack]\nwebhook = { file = \"hook\" }\n");
    bench.file("hook", &server.url());
    for number in 0..4 {
        bench.start(&["critical", "--issue", &number.to_string()]);
    }
    assert_eq!(bench.outbox().len(), 4);
    let server = good();
    bench.file("hook", &server.url());
    let refused = bench.start(&["flush", "--dry-run"]);
    assert_eq!(refused.status.code(), Some(2), "{}", stderr(&refused));
    assert!(stderr(&refused).contains("nothing was sent"));
    assert_eq!((server.requests().len(), bench.outbox().len()), (0, 4));
    let start = Instant::now();
    let flushed = bench.start(&["flush"]);
    assert_eq!(flushed.status.code(), Some(0), "{}", stderr(&flushed));
    assert_eq!(server.requests().len(), 4);
    assert!(start.elapsed() >= Duration::from_secs(3), "one a second");
}

#[test]
fn a_repeat_in_the_same_stream_is_known_without_a_spool() {
    let server = good();
    let bench = bench("", &[&server]);
    let first = bench.feed(&["scheduled"], &plan("pod-failure", "search"));
    std::fs::remove_dir_all(bench.home.path().join(".local")).expect("it was made");
    bench.feed(&["scheduled"], &stdout(&first));
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn what_may_have_arrived_is_not_repeated_by_another_call() {
    let server = Server::new(&[Answer::Drop]);
    let bench = bench("", &[&server]);
    let stream = plan("pod-failure", "search");
    for _ in 0..2 {
        let output = bench.feed(&["scheduled"], &stream);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert_eq!(channel(&output)["outcome"], "unknown");
    }
    bench.start(&["flush"]);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn ten_channels_with_one_that_hangs_and_the_others_do_not_wait() {
    let servers: Vec<Server> = (0..9).map(|_| good()).collect();
    let hanging = Server::new(&[Answer::Hang]);
    let mut all: Vec<&Server> = servers.iter().collect();
    all.push(&hanging);
    let bench = bench("[notify]\ndeadline = \"9s\"\n", &all);
    let mut command = bench.command(&["scheduled", "--experiment", "x"]);
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let (child, start) = (child.expect("it starts"), Instant::now());
    while servers.iter().any(|server| server.requests().is_empty()) {
        assert!(start.elapsed() < Duration::from_secs(30), "others wait");
        thread::sleep(Duration::from_millis(5));
    }
    let all_delivered = start.elapsed();
    let output = child.wait_with_output().expect("the tool ends");
    let whole = start.elapsed();
    println!("nine of ten delivered after {all_delivered:?}, the whole after {whole:?}");
    assert!(
        whole >= Duration::from_secs(9) && whole < Duration::from_secs(90),
        "{whole:?}"
    );
    let record = record(&output);
    let channels = record["data"]["channels"].as_array().expect("channels");
    let of = |outcome: &str| channels.iter().filter(|c| c["outcome"] == outcome).count();
    assert_eq!((of("sent"), of("unknown")), (9, 1), "{record}");
}

#[test]
fn a_signal_leaves_a_record_of_what_may_have_arrived() {
    for signal in ["TERM", "INT"] {
        let (quick, hanging) = (good(), Server::new(&[Answer::Hang]));
        let bench = bench("", &[&quick, &hanging]);
        let mut command = bench.command(&["scheduled", "--experiment", "x"]);
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let (child, start) = (child.expect("it starts"), Instant::now());
        while quick.requests().is_empty() || hanging.requests().is_empty() {
            assert!(start.elapsed() < Duration::from_secs(30), "nothing comes");
            thread::sleep(Duration::from_millis(5));
        }
        // The answer of the quick one is read by then.
        thread::sleep(Duration::from_secs(4));
        let kill = format!("kill -{signal} {}", child.id());
        let killed = std::process::Command::new("sh")
            .args(["-c", &kill])
            .status();
        assert!(killed.expect("sh is there").success());
        let output = child.wait_with_output().expect("the tool ends");
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let record = record(&output);
        let channels = &record["data"]["channels"];
        assert_eq!(channels[0]["outcome"], "sent", "{record}");
        assert_eq!(channels[1]["outcome"], "unknown", "{record}");
        let detail = text(&channels[1]["detail"]);
        assert!(
            detail.contains(signal) && detail.contains("may have arrived"),
            "{detail}"
        );
        bench.start(&["flush"]);
        assert_eq!(hanging.requests().len(), 1, "it is known to be unknown");
    }
}

#[test]
fn require_says_which_channels_decide() {
    let (quick, broken) = (good(), Server::new(&[Answer::Status("404 Not Found")]));
    let run = |args: &[&str], head: &str| {
        let bench = bench(head, &[&quick, &broken]);
        let args = [&["scheduled", "--experiment", "x"], args].concat();
        bench.start(&args).status.code()
    };
    assert_eq!(run(&[], ""), Some(1));
    assert_eq!(run(&["--require", "any"], ""), Some(0));
    assert_eq!(run(&["--require", "a"], ""), Some(0));
    assert_eq!(run(&["--require", "b"], ""), Some(1));
    assert_eq!(run(&["--require", "c"], ""), Some(3));
    assert_eq!(run(&[], "[notify]\nrequire = \"any\"\n"), Some(0));
    assert_eq!(run(&[], "[notify]\nrequire = \"nobody\"\n"), Some(2));
}

#[test]
fn routes_lead_occasions_to_channels() {
    let (team, pager) = (good(), good());
    let head = "[notify.routes]\nscheduled = [\"a\"]\nmonthly = []\n";
    let bench = bench(head, &[&team, &pager]);
    bench.feed(&["scheduled"], &plan("pod-failure", "search"));
    assert_eq!((team.requests().len(), pager.requests().len()), (1, 0));
    bench.feed(
        &["completed"],
        &(ended("completed", "pass") + &verification("pass")),
    );
    assert_eq!((team.requests().len(), pager.requests().len()), (2, 1));
    let output = self::bench("[notify.routes]\ncritical = [\"nowhere\"]\n", &[&team]);
    let output = output.start(&["test"]);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    assert!(
        told.contains("notify.routes.critical leads to \"nowhere\""),
        "{told}"
    );
}
