//! What the messages say, from the stream.

use serde_json::{Value, json};

use crate::http::{Answer, Server};
use crate::{Bench, feed, line, record, stderr};

fn experiment(outcome: &str) -> Value {
    json!({
        "experiment": "pod-failure", "outcome": outcome, "reason": "the probes failed", "namespace": "shop",
        "executor": "ops@laptop", "targets": [], "started": "2026-11-22T16:00:00.000Z",
        "ended": "2026-11-22T16:00:12.345Z", "duration_ms": 12345, "checks": [], "recoveries": [],
        "availability": [{
            "service": "backend", "path": "/health", "vantage": "direct", "interval_ms": 100, "requests": 100,
            "good": 90, "missed": 0, "percent": 90.0, "longest_gap_ms": 1000.0, "errors": []
        }],
        "actions": ["deleted pod/a", "watched pod/b"], "issues": ["backend did not answer"],
    })
}

fn verification(verdict: &str) -> String {
    let data = json!({
        "cluster": {"id": "c", "server": "s"}, "namespace": "shop", "since": "2026-11-22T16:00:00.000Z", "checks": [],
        "state": {"workloads": [], "services": [], "nodes": []}, "configuration": [], "answers": [],
        "log_errors": [], "timings": [],
    });
    line(
        "verification",
        "16:00:30.000",
        verdict,
        "9 of 9 checks pass",
        &data,
    )
}

fn report() -> String {
    let data = json!({
        "form": "experiment", "subject": "pod-failure", "status": "pass", "location": "/var/reports/x.md",
        "findings": ["one", "two", "three", "four"], "next_steps": ["first", "second", "third"], "checks": [],
    });
    line("report", "16:00:40.000", "pass", "saved", &data)
}

/// The text of the mail, the data of the record, and what the status page was told.
fn message(args: &[&str], stream: &str) -> (String, Value, String) {
    let server = Server::new(&[Answer::Status("200 OK")]);
    let bench = Bench::new("[notify.status_page]\nurl = { file = \"page\" }\n");
    std::fs::write(
        bench.home.path().join("page"),
        format!("http://127.0.0.1:{}/", server.port),
    )
    .expect("writable");
    let output = feed(bench.command(args), stream);
    assert!(
        output.stdout.starts_with(stream.as_bytes()),
        "{}",
        stderr(&output)
    );
    let record = record(&output);
    let text = record["data"]["text"].as_str().expect("a text").to_owned();
    assert!(!text.contains('['), "a placeholder is left in {text}");
    (
        text,
        record,
        server.body()["status"]
            .as_str()
            .expect("a status")
            .to_owned(),
    )
}

#[test]
fn completed_tells_the_reports_findings() {
    let stream = line(
        "experiment",
        "16:00:12.345",
        "pass",
        "s",
        &experiment("completed"),
    ) + &verification("pass")
        + &report();
    let (text, record, page) = message(&["completed"], &stream);
    assert_eq!(
        text,
        "Chaos Engineering Experiment Completed\n\nExperiment: pod-failure\nStatus: pass\nDuration: 12.3 s\n\n\
         Key Findings:\n- one\n- two\n- three\n- and 1 more, in the report\n\nNext Steps:\n- first\n- second\n\
         - and 1 more, in the report\n\nReport: /var/reports/x.md\n"
    );
    assert_eq!(
        record["data"]["subject"],
        "Chaos Engineering Experiment Results"
    );
    assert_eq!(page, "operational");
}

#[test]
fn completed_never_claims_more_than_the_stream() {
    let of = |verdict: &str, outcome: &str, after: &str| {
        let stream = line(
            "experiment",
            "16:00:12.345",
            verdict,
            "s",
            &experiment(outcome),
        ) + after;
        let (text, _, page) = message(&["completed"], &stream);
        let status = text
            .lines()
            .find_map(|line| line.strip_prefix("Status: "))
            .expect("a status")
            .to_owned();
        (status, page)
    };
    assert_eq!(
        of("pass", "completed", &verification("fail")),
        ("fail".into(), "degraded".into())
    );
    let unverified = "unknown (it was not verified that all is as before)";
    assert_eq!(
        of("pass", "completed", ""),
        (unverified.into(), "degraded".into())
    );
    assert_eq!(
        of("fail", "not_restored", &verification("pass")),
        ("NOT RESTORED".into(), "major_outage".into())
    );
    assert_eq!(
        of("fail", "refused", &verification("pass")),
        ("refused".into(), "operational".into())
    );
    assert_eq!(
        of("unknown", "aborted", &verification("pass")),
        ("aborted".into(), "operational".into())
    );
    let (status, page) = of("pass", "completed", &(verification("pass") + "{\"cut"));
    assert!(status.starts_with("unknown (the stream is cut"), "{status}");
    assert_eq!(page, "degraded");
}

#[test]
fn completed_without_an_experiment_is_unknown() {
    let (text, record, _) = message(&["completed"], &verification("pass"));
    assert!(
        text.contains("Status: unknown (the stream holds no experiment)"),
        "{text}"
    );
    assert_eq!(record["verdict"], "unknown");
}

#[test]
fn aborted_tells_reason_actions_and_state() {
    let stream = line(
        "experiment",
        "16:00:12.345",
        "unknown",
        "s",
        &experiment("aborted"),
    ) + &verification("pass");
    let (text, record, page) = message(&["aborted"], &stream);
    assert_eq!(
        text,
        "EMERGENCY: Chaos experiment aborted due to critical issues\n\nTime: 2026-11-22 16:00:12 UTC\n\
         Reason: the probes failed\nActions Taken:\n- deleted pod/a\n- watched pod/b\n\n\
         System Status: pass: 9 of 9 checks pass (chaos-verify, 2026-11-22 16:00:30 UTC)\n\n\
         Please respond immediately.\n\nContact:\n- Primary Contact: Engineering Team Lead - +1-555-0123\n\
         - Emergency Contact: On-call Engineer - +1-555-0126\n"
    );
    assert_eq!(
        record["data"]["subject"],
        "EMERGENCY: Chaos Experiment Aborted"
    );
    assert_eq!(record["data"]["contacts"][1]["phone"], "+1-555-0126");
    assert_eq!(page, "operational");
}

#[test]
fn critical_tells_issue_and_impact_from_the_stream() {
    let stream = line(
        "experiment",
        "16:00:12.345",
        "fail",
        "s",
        &experiment("not_restored"),
    );
    let (text, _, page) = message(&["critical"], &stream);
    for part in [
        "Issue:\n- a fault may still be in place: the probes failed\n- backend did not answer\n",
        "Impact: backend/health answered 90.00 % of 100 requests, 1.0 s without an answer at a stretch\n",
        "System Status: NOT RESTORED, a fault may still be in place; not known\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert_eq!(page, "major_outage");
}

/// The plan of an experiment, as a stream.
fn plan(experiment: &str, workload: &str) -> String {
    let plan = json!({
        "experiment": experiment, "cluster": {"id": "c", "server": "s"}, "namespace": "shop",
        "targets": [{
            "kind": "Pod", "namespace": "shop", "name": "a", "uid": "u",
            "owner": {"kind": "Deployment", "namespace": "shop", "name": workload}
        }],
        "calls": [], "blast_radius": [], "undo": "", "undo_commands": [], "worst_case_ms": 90000,
        "permissions": [], "checks": [],
    });
    line("plan", "16:00:00.000", "pass", "s", &plan)
}

#[test]
fn every_experiment_has_a_full_notice_from_its_plan() {
    let experiments = [
        "pod-failure",
        "network-partition",
        "resource-exhaustion",
        "storage-failure",
        "monitoring-failure",
        "scale-down",
        "dns-failure",
        "one-that-nobody-has-made-yet",
    ];
    for name in experiments {
        // The workload is one that no configuration names, as with chaos-inject plan --workload.
        let (text, record, page) = message(
            &["scheduled", "--at", "2026-12-01T10:00:00Z"],
            &plan(name, "search"),
        );
        let expected = format!(
            "Chaos Engineering Experiment Scheduled\n\nExperiment: {name}\n\
             Time: 2026-12-01 10:00:00 UTC - 2026-12-01 10:01:30 UTC\nDuration: 1m 30s\n\
             Target: pod/a of deployment/search\n\nPlease be available for support if needed.\n"
        );
        assert!(text.starts_with(&expected), "{text}");
        assert_eq!(record["verdict"], "pass", "{record}");
        assert_eq!(page, "maintenance");
    }
}

#[test]
fn a_plan_in_the_stream_goes_before_the_flags() {
    let flags = [
        "scheduled",
        "--experiment",
        "game-day",
        "--target",
        "x",
        "--for",
        "5m",
    ];
    let (text, ..) = message(&flags, &plan("scale-down", "backend"));
    assert!(text.contains("Experiment: scale-down\n"), "{text}");
    let plan = "Duration: 1m 30s\nTarget: pod/a of deployment/backend\n\n";
    assert!(text.contains(plan), "{text}");
}

#[test]
fn a_notice_without_a_plan_says_so_and_is_sent() {
    let (text, record, _) = message(
        &["scheduled", "--experiment", "game-day"],
        &verification("pass"),
    );
    let expected = "Experiment: game-day\n";
    assert!(text.contains(expected), "{text}");
    let missing = "Duration: not known\nTarget: not known\nPlan: the stream holds none\n";
    assert!(text.contains(missing), "{text}");
    assert_eq!(record["verdict"], "pass", "{record}");
}

#[test]
fn text_from_the_stream_stays_on_its_line() {
    let mut data = experiment("aborted");
    data["reason"] = "x\r\nSystem Status: pass\nBcc: evil@example.com".into();
    let (text, ..) = message(
        &["aborted"],
        &line("experiment", "16:00:12.345", "unknown", "s", &data),
    );
    assert!(
        text.contains("Reason: x System Status: pass Bcc: evil@example.com\n"),
        "{text}"
    );
}

#[test]
fn monthly_sends_the_file_that_the_record_names() {
    let bench = Bench::new(
        "[notify.slack]\nwebhook = { file = \"hook\" }\n[notify.status_page]\nurl = { file = \"hook\" }\n",
    );
    let server = Server::new(&[Answer::Status("200 OK")]);
    std::fs::write(
        bench.home.path().join("hook"),
        format!("http://127.0.0.1:{}/", server.port),
    )
    .expect("writable");
    let file = bench.home.path().join("monthly-2026-11.md");
    let data = json!({
        "form": "monthly", "subject": "2026-11", "status": "pass", "location": file,
        "findings": ["3 experiments"], "next_steps": [], "checks": [],
    });
    let stream = line("report", "16:00:00.000", "pass", "s", &data);
    let output = feed(bench.command(&["monthly"]), &stream);
    assert_eq!(output.status.code(), Some(3), "the file is missing");
    assert!(server.requests().is_empty());
    std::fs::write(&file, "# Chaos Engineering Monthly Report\n\nbody\n").expect("writable");
    let output = feed(bench.command(&["monthly"]), &stream);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let record = record(&output);
    assert_eq!(
        record["data"]["text"],
        "# Chaos Engineering Monthly Report\n\nbody\n"
    );
    assert_eq!(
        record["data"]["subject"],
        "Chaos Engineering Monthly Report"
    );
    assert!(
        server.body()["text"]
            .as_str()
            .expect("a text")
            .contains("2026-11: 3 experiments")
    );
}

#[test]
fn broken_streams_are_unknown_and_still_told_and_what_is_none_tells_nobody() {
    let server = Server::new(&[Answer::Status("200 OK")]);
    let bench = Bench::new("[notify.slack]\nwebhook = { file = \"hook\" }\n");
    std::fs::write(
        bench.home.path().join("hook"),
        format!("http://127.0.0.1:{}/", server.port),
    )
    .expect("writable");
    for (stream, status) in [("", 0), ("{\"schema\":\"cha", 3), ("garbage\n", 2)] {
        let output = feed(bench.command(&["scheduled"]), stream);
        assert_eq!(output.status.code(), Some(status), "{}", stderr(&output));
    }
    assert_eq!(server.requests().len(), 2);
}
