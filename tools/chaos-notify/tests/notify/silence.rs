//! Nothing is sent where there is nothing to tell.

use serde_json::{Value, json};

use crate::http::{Answer, Server};
use crate::{Bench, ended, line, plan, record, stderr, stdout, text, verification};

/// A bench with Slack and a status page at one server.
fn bench() -> (Bench, Server) {
    let server = Server::new(&[Answer::Status("200 OK")]);
    let bench = Bench::new(
        "[notify.slack]\nwebhook = { file = \"hook\" }\n[notify.status_page]\nurl = { file = \"hook\" }\n",
    );
    bench.file("hook", &server.url());
    (bench, server)
}

#[test]
fn without_anything_to_tell_nothing_is_sent_and_it_is_a_usage_error() {
    for (occasion, hint) in [
        ("scheduled", "--experiment"),
        ("started", "--experiment"),
        ("aborted", "--reason"),
        ("critical", "--issue"),
        ("completed", "chaos-inject run"),
        ("monthly", "chaos-report monthly"),
    ] {
        for stream in ["", &verification("pass")] {
            let (bench, server) = bench();
            let output = bench.feed(&[occasion], stream);
            assert_eq!(
                output.status.code(),
                Some(2),
                "{occasion}: {}",
                stderr(&output)
            );
            assert!(server.requests().is_empty(), "{occasion}");
            let told = stderr(&output);
            assert!(
                told.contains("nothing is sent") && told.contains(hint),
                "{told}"
            );
            let record = record(&output);
            assert_eq!(record["data"]["channels"], json!([]));
            assert_eq!(record["verdict"], "unknown");
        }
    }
}

#[test]
fn what_is_no_stream_tells_nobody() {
    let (bench, server) = bench();
    let output = bench.feed(&["scheduled", "--experiment", "x"], "garbage\n");
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(server.requests().is_empty());
}

#[test]
fn an_experiment_that_will_be_refused_is_not_announced() {
    let health = |verdict| {
        let data = json!({
            "cluster": {"id": "c", "server": "s"}, "namespace": "shop", "checks": [],
            "state": {"workloads": [], "services": [], "nodes": []},
        });
        line("health", "15:59:00.000", verdict, "s", &data)
    };
    let refused_plan = plan("pod-failure", "search").replace("\"pass\"", "\"fail\"");
    for (stream, status) in [
        (health("fail") + &plan("pod-failure", "search"), 1),
        (health("unknown") + &plan("pod-failure", "search"), 3),
        (health("pass") + &refused_plan, 1),
        (plan("pod-failure", "search") + "{\"schema\":\"cha", 3),
    ] {
        let (bench, server) = bench();
        let output = bench.feed(&["scheduled"], &stream);
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
        assert!(server.requests().is_empty());
        assert!(text(&record(&output)["summary"]).starts_with("nobody was told"));
        // What came in goes on, so that the run can refuse.
        assert!(stdout(&output).starts_with(&stream));
    }
    let (bench, server) = bench();
    let overridden = json!([{ "gate": "gate.health", "reason": "game day" }]);
    let opened = |plan: &str| {
        let mut record: Value = serde_json::from_str(plan).expect("a record");
        record["data"]["overridden"] = overridden.clone();
        format!("{record}\n")
    };
    let stream = health("fail") + &opened(&plan("pod-failure", "search"));
    let output = bench.feed(&["scheduled"], &stream);
    assert_eq!(server.requests().len(), 2, "{}", stderr(&output));
    assert!(text(&record(&output)["data"]["text"]).contains("game day"));
    // A plan can't be overridden.
    let (bench, server) = self::bench();
    bench.feed(&["scheduled"], &opened(&refused_plan));
    assert!(server.requests().is_empty());
}

#[test]
fn a_run_that_was_refused_is_told_only_to_those_who_were_told_of_it() {
    let refused = ended("refused", "fail");
    let (bench, server) = bench();
    let output = bench.feed(&["completed"], &(plan("pod-failure", "search") + &refused));
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(server.requests().is_empty(), "the page is left alone");

    let (bench, server) = self::bench();
    let announced = bench.feed(&["scheduled"], &plan("pod-failure", "search"));
    assert_eq!(server.requests().len(), 2);
    let output = bench.feed(&["completed"], &(stdout(&announced) + &refused));
    assert_eq!(server.requests().len(), 4, "{}", stderr(&output));
    let told = record(&output);
    let said = text(&told["data"]["text"]);
    assert!(
        said.contains("Status: refused (nothing was touched"),
        "{said}"
    );
}
