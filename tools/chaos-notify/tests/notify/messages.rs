//! What the messages say, from the stream.

use serde_json::{Value, json};

use crate::http::{Answer, Server};
use crate::{
    Bench, ended, experiment, feed, line, plan, record, stderr, stdout, text, verification,
};

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
    let bench = Bench::new(
        "[notify]\ntimezone = \"UTC\"\n[notify.status_page]\nurl = { file = \"page\" }\n",
    );
    bench.file("page", &server.url());
    let output = bench.feed(args, stream);
    let record = record(&output);
    let said = text(&record["data"]["text"]).to_owned();
    assert!(!said.contains('['), "a placeholder is left in {said}");
    let page = text(&server.body()["status"]).to_owned();
    (said, record, page)
}

#[test]
fn completed_tells_the_reports_findings() {
    let stream = ended("completed", "pass") + &verification("pass") + &report();
    let (text, record, page) = message(&["completed"], &stream);
    assert_eq!(
        text,
        "Chaos Engineering Experiment Completed\n\nExperiment: pod-failure\nStatus: pass\nDuration: 12.3 s\n\n\
         Key Findings:\n- one\n- two\n- three\n- and 1 more\n\nNext Steps:\n- first\n- second\n\
         - and 1 more\n\nReport: /var/reports/x.md\n\nApplication: the application\nNamespace: shop\n\
         Cluster: s\nRun: run-1\nTime: 2026-11-22 16:00:40 UTC\n"
    );
    let subject = "pod-failure on shop: pass, recovered in 1.1 s";
    assert_eq!(record["data"]["subject"], subject);
    assert_eq!(page, "operational");
}

#[test]
fn completed_never_claims_more_than_the_stream() {
    let of = |verdict: &str, after: &str| {
        let stream = ended("completed", verdict) + after;
        let (text, _, page) = message(&["completed"], &stream);
        let mut lines = text.lines();
        let status = lines.find_map(|line| line.strip_prefix("Status: "));
        (status.expect("a status").to_owned(), page)
    };
    assert_eq!(
        of("pass", &verification("fail")),
        ("fail".into(), "degraded".into())
    );
    let unverified = "unknown (it was not verified that all is as before)";
    assert_eq!(of("pass", ""), (unverified.into(), "degraded".into()));
    let (status, page) = of("pass", &(verification("pass") + "{\"cut"));
    assert!(status.starts_with("unknown (the stream is cut"), "{status}");
    assert_eq!(page, "degraded");
}

#[test]
fn completed_tells_an_abort_and_a_fault_that_is_left_as_what_they_are() {
    let stream = ended("aborted", "unknown") + &verification("pass");
    let (text, record, page) = message(&["completed"], &stream);
    assert!(
        text.starts_with("EMERGENCY: Chaos experiment aborted"),
        "{text}"
    );
    assert_eq!(record["data"]["occasion"], "aborted");
    assert_eq!(page, "operational");

    let stream = ended("not_restored", "fail") + &verification("pass");
    let (text, record, page) = message(&["completed"], &stream);
    assert!(text.starts_with("CRITICAL: System failure"), "{text}");
    assert_eq!(record["data"]["occasion"], "critical");
    assert_eq!(page, "major_outage");
}

#[test]
fn aborted_tells_reason_actions_and_state() {
    let stream = ended("aborted", "unknown") + &verification("pass");
    let (text, record, page) = message(&["aborted"], &stream);
    assert_eq!(
        text,
        "EMERGENCY: Chaos experiment aborted due to critical issues\n\nTime: 2026-11-22 16:00:12 UTC\n\
         Reason: the probes failed\nActions Taken:\n- deleted pod/a\n- watched pod/b\n\n\
         System Status: pass: 9 of 9 checks pass (chaos-verify, 2026-11-22 16:00:30 UTC)\n\n\
         Experiment: pod-failure\nApplication: the application\nNamespace: shop\nCluster: s\nRun: run-1\n\n\
         Please respond immediately.\n\nContact:\n- Primary Contact: Engineering Team Lead - +1-555-0123\n\
         - Emergency Contact: On-call Engineer - +1-555-0126\n"
    );
    let subject = "EMERGENCY: pod-failure on shop aborted: the probes failed";
    assert_eq!(record["data"]["subject"], subject);
    assert_eq!(record["data"]["contacts"][1]["phone"], "+1-555-0126");
    assert_eq!(page, "operational");
}

/// What `chaos-inject abort` leaves in the stream.
fn abort(verdict: &str) -> String {
    let data = json!({
        "cause": "abort", "cluster": {"id": "c", "context": "test-cluster", "server": "s"},
        "namespaces": ["shop"], "executor": "ops@laptop", "reason": "shop is down", "dry_run": false,
        "runs": [{"run": "run-1", "experiment": "dns-failure", "executor": "ci", "changes": [], "undone": true}],
        "locks": [], "checks": [], "actions": ["restored deployment/search"], "issues": ["a pod is stuck"],
    });
    line(
        "rollback",
        "16:00:20.000",
        verdict,
        "1 run was stopped",
        &data,
    )
}

#[test]
fn aborted_reads_what_the_abort_left_in_the_stream() {
    let (text, _, page) = message(&["aborted"], &abort("pass"));
    for part in [
        "Time: 2026-11-22 16:00:20 UTC\nReason: shop is down\n",
        "Actions Taken: restored deployment/search\n",
        "System Status: rollback pass: 1 run was stopped; not known\n",
        "Experiment: dns-failure\n",
        "Cluster: test-cluster\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert_eq!(page, "degraded", "nobody has looked since");
    let (text, _, page) = message(&["aborted"], &abort("fail"));
    assert!(
        text.contains("To Recover: chaos-inject recover --namespace shop\n"),
        "{text}"
    );
    assert_eq!(page, "major_outage");
    let (text, ..) = message(&["critical"], &abort("fail"));
    let issue = "Issue:\n- the rollback: 1 run was stopped\n- a pod is stuck\n";
    assert!(text.contains(issue), "{text}");
}

#[test]
fn critical_tells_issue_impact_and_how_to_recover() {
    let stream = plan("pod-failure", "search") + &ended("not_restored", "fail");
    let (text, record, page) = message(&["critical"], &stream);
    for part in [
        "Issue:\n- a fault may still be in place: the probes failed\n- backend did not answer\n",
        "Impact: backend/health answered 90.00 % of 100 requests, 1.0 s without an answer at a stretch\n",
        "System Status: NOT RESTORED, a fault may still be in place; not known\n",
        "To Recover:\n- chaos-inject recover --namespace shop\n- kubectl rollout undo deployment/search\n",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    let subject = "CRITICAL: System Failure on shop, pod-failure";
    assert_eq!(record["data"]["subject"], subject);
    assert_eq!(page, "major_outage");
}

#[test]
fn every_experiment_has_a_full_notice_from_its_plan() {
    for name in ["pod-failure", "one-that-nobody-has-made-yet"] {
        // The workload is one that no configuration names, as with chaos-inject plan --workload.
        let at = ["scheduled", "--at", "2026-12-01T10:00:00Z"];
        let (text, record, page) = message(&at, &plan(name, "search"));
        let expected = format!(
            "Chaos Engineering Experiment Scheduled\n\nExperiment: {name}\n\
             Time: 2026-12-01 10:00:00 UTC - 2026-12-01 10:01:30 UTC\nDuration: 1m 30s\n\
             Target: pod/a of deployment/search\n\n\
             Application: the application\nNamespace: shop\nCluster: test-cluster\nRun: run-1\n\
             Plan: sha256:abc123\n\nStop it: chaos-inject abort --reason \"WHY\" --namespace shop\n\
             Please be available for support if needed.\n"
        );
        assert!(text.starts_with(&expected), "{text}");
        assert_eq!(record["verdict"], "pass", "{record}");
        assert_eq!(page, "maintenance");
    }
}

#[test]
fn times_are_local_and_utc() {
    let server = Server::new(&[Answer::Status("200 OK")]);
    let bench = Bench::new(
        "[notify]\ntimezone = \"Europe/Berlin\"\n[notify.slack]\nwebhook = { file = \"hook\" }\n",
    );
    bench.file("hook", &server.url());
    bench.feed(&["scheduled"], &plan("pod-failure", "search"));
    let said = server.body();
    let time = "at 2026-11-22 17:00:00 CET (16:00:00 UTC)";
    assert!(text(&said["text"]).contains(time), "{said}");
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
    assert!(text.contains("Experiment: game-day\n"), "{text}");
    assert!(
        text.contains("Duration: not known\nTarget: not known\n"),
        "{text}"
    );
    let missing = "Note: it is made without a plan: the stream holds none\n";
    assert!(text.contains(missing), "{text}");
    assert_eq!(record["verdict"], "pass", "{record}");
}

#[test]
fn text_from_the_stream_stays_on_its_line() {
    let mut data = experiment("aborted");
    data["reason"] = "x\r\nSystem Status: pass\nBcc: evil@example.com".into();
    let stream = line("experiment", "16:00:12.345", "unknown", "s", &data);
    let (text, ..) = message(&["aborted"], &stream);
    let expected = "Reason: x System Status: pass Bcc: evil@example.com\n";
    assert!(text.contains(expected), "{text}");
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
        "Chaos Engineering Monthly Report 2026-11"
    );
    assert!(
        server.body()["text"]
            .as_str()
            .expect("a text")
            .contains("2026-11: 3 experiments")
    );
}

#[test]
fn render_shows_everything_and_sends_nothing() {
    let server = Server::new(&[Answer::Status("200 OK")]);
    let bench = Bench::new("[notify.slack]\nwebhook = { file = \"hook\" }\n");
    bench.file("hook", &format!("{}services/hunter2-SECRET", server.url()));
    let output = bench.feed(&["render", "scheduled"], &plan("pod-failure", "search"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shown = stdout(&output);
    let subject = "Subject: pod-failure on shop: scheduled for 2026-11-22 16:00:00 UTC\n";
    assert!(shown.starts_with(subject), "{shown}");
    assert!(
        shown.contains("--- slack ---\nPOST to 127.0.0.1: {\"text\":"),
        "{shown}"
    );
    assert!(!shown.contains("SECRET") && !stderr(&output).contains("SECRET"));
    assert!(server.requests().is_empty());
    let nothing = bench.feed(&["render", "critical"], "");
    assert_eq!(nothing.status.code(), Some(2));
}
