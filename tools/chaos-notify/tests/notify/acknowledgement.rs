//! Services that know who has acknowledged a message; and what can't be carried out.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::escalation::{ROLES, Running, Scene, escalation};
use crate::http::{Answer, Server};
use crate::{Bench, record, stderr, stdout, text};

/// A service that takes messages, and tells of an acknowledgement from the third question on.
fn service(taken: Value, question: &'static str, silent: Value, answered: Value) -> Server {
    let asked = AtomicUsize::new(0);
    Server::with(move |request, _| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        let status = match (path.contains(question), taken["status"].is_string()) {
            (false, true) => "202 Accepted",
            _ => "200 OK",
        };
        if !path.contains(question) {
            return Answer::Body(status, taken.to_string());
        }
        let number = asked.fetch_add(1, Ordering::SeqCst);
        match number {
            // One that does not answer for once.
            0 => Answer::Status("500 Error"),
            1 => Answer::Body(status, silent.to_string()),
            _ => Answer::Body(status, answered.to_string()),
        }
    })
}

fn acknowledged(server: &Server, config: &str) -> Value {
    let steps = "[notify.escalation]\nend = \"1h\"\n";
    let config = config.replace("URL", &server.root());
    let bench = Bench::new(&format!("{steps}{config}"));
    bench.file("key", "SECRET-key");
    bench.file("token", "SECRET-token");
    let alarm = Running::start(bench.command(&["critical", "--issue", "x", "--escalate"]));
    let output = alarm.end();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(!(stdout(&output) + &stderr(&output)).contains("SECRET"));
    escalation(&output)["acknowledged"].clone()
}

#[test]
fn a_reaction_in_slack_acknowledges() {
    let server = service(
        json!({ "ok": true, "channel": "C1", "ts": "15.6" }),
        "reactions.get",
        json!({ "ok": true, "type": "message", "channel": "C1", "message": { "ts": "15.6" } }),
        json!({ "ok": true, "type": "message", "channel": "C1", "message": {
            "ts": "15.6", "reactions": [{ "name": "eyes", "users": ["U024BE7LH"], "count": 1 }] } }),
    );
    let config = "[notify.slack]\ntoken = { file = \"token\" }\nchannel = \"#ops\"\napi = \"URL\"\n\
        [[notify.escalation.step]]\ncontact = \"Primary Contact\"\nafter = \"1s\"\nto = { slack = [\"U1\"] }\n";
    let answer = acknowledged(&server, config);
    assert_eq!(
        (text(&answer["by"]), text(&answer["via"])),
        ("U024BE7LH", "slack")
    );
    let posts = server.of("POST");
    let to: Vec<&str> = posts
        .iter()
        .map(|(_, sent)| text(&sent["channel"]))
        .collect();
    assert_eq!(to, ["#ops", "U1"]);
    let questions = server.of("GET");
    assert_eq!(questions[0].0, "/reactions.get?channel=C1&timestamp=15.6");
}

#[test]
fn an_incident_that_is_acknowledged_acknowledges() {
    let incident = |status: &str, by: Value| json!({ "incidents": [{ "id": "P1", "status": status, "acknowledgements": by }] });
    let who = json!([{ "at": "2026-11-29T16:00:05Z", "acknowledger": {
        "id": "PXPGF42", "type": "user_reference", "summary": "Earline Greenholt" } }]);
    let server = service(
        json!({ "status": "success", "message": "Event processed", "dedup_key": "key-1" }),
        "/incidents",
        incident("triggered", json!([])),
        incident("acknowledged", who),
    );
    let config = "[notify.pagerduty]\nrouting_key = { file = \"key\" }\nurl = \"URLv2/enqueue\"\n\
        token = { file = \"token\" }\napi = \"URL\"\n\
        [[notify.escalation.step]]\ncontact = \"Primary Contact\"\nafter = \"30m\"\nto = { pagerduty = [] }\n";
    let answer = acknowledged(&server, config);
    assert_eq!(answer["by"], "Earline Greenholt");
    assert_eq!(answer["time"], "2026-11-29T16:00:05.000Z");
    let questions = server.of("GET");
    assert_eq!(questions[0].0, "/incidents?incident_key=key-1");
    let asked = server
        .requests()
        .into_iter()
        .find(|request| request.starts_with("GET"));
    let asked = asked.expect("a question");
    assert!(
        asked.contains("authorization: Token token=SECRET-token"),
        "{asked}"
    );
}

#[test]
fn what_cannot_be_carried_out_is_a_usage_error() {
    let steps = |step: &str| {
        format!(
            "[notify.slack]\nwebhook = {{ file = \"hook\" }}\n[notify.mail]\nhost = \"localhost\"\nfrom = \"a@b.c\"\n\
             team = [\"a@b.c\"]\n[notify.escalation]\n[[notify.escalation.step]]\n{step}"
        )
    };
    let step =
        |contact: &str, to: &str| format!("contact = \"{contact}\"\nafter = \"1m\"\nto = {to}\n");
    for (step, part) in [
        (
            step("Boss", "{ mail = [] }"),
            "no [[contact]] has the role \"Boss\"",
        ),
        (
            step(ROLES[0], "{ fax = [] }"),
            "notify.escalation.step.to leads to \"fax\"",
        ),
        (
            step(ROLES[0], "{ mail = [\"nobody\"] }"),
            "\"nobody\" is no mail address",
        ),
        (step(ROLES[0], "{ slack = [\"#ops\"] }"), "by a token"),
        (step(ROLES[0], "{ mail = [] }"), "nobody could acknowledge"),
    ] {
        let bench = Bench::new(&steps(&step));
        bench.file("hook", "http://127.0.0.1:1/");
        let output = bench.start(&["critical", "--issue", "x", "--escalate"]);
        assert_eq!(output.status.code(), Some(2), "{step}: {}", stderr(&output));
        let told = stderr(&output);
        assert!(told.contains(part), "{part} is not in {told}");
    }
    // Without the table, the alarm goes out, and the record says that nobody is waited for.
    let server = Server::new(&[Answer::Status("200 OK")]);
    let bench = Bench::new("[notify.slack]\nwebhook = { file = \"hook\" }\n");
    bench.file("hook", &server.url());
    let output = bench.start(&["critical", "--issue", "x", "--escalate"]);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(server.requests().len(), 1);
    let told = record(&output)["data"]["checks"].to_string();
    assert!(told.contains("no table notify.escalation"), "{told}");
}

#[test]
fn what_would_be_done_is_shown_without_a_link_that_works() {
    let scene = Scene::new(["0s", "5m", "1h", "2h"]);
    let args = ["critical", "--issue", "x", "--escalate"];
    let shown = stdout(&scene.bench.start(&[&["render"], &args[..]].concat()));
    let tried = scene.bench.start(&[&["--dry-run"], &args[..]].concat());
    for said in [shown, stderr(&tried)] {
        assert!(said.contains("/ack/***"), "{said}");
        let turn = "after 5m, unless somebody acknowledges: Emergency Contact by c1";
        assert!(said.contains(turn), "{said}");
    }
    assert_eq!((scene.told(), scene.team.requests().len()), ([0, 0, 0], 0));
    assert!(!scene.bench.home.path().join(".local").exists());
}
