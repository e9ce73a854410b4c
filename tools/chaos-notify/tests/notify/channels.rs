//! Each service, by recordings of its published API: what it is sent, and what its answers mean.

use std::collections::HashMap;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::http::{Answer, Server, body};
use crate::{Bench, channel, ended, plan, record, stderr, stdout, text, verification};

fn ok(body: &Value) -> Answer {
    Answer::Body("200 OK", body.to_string())
}

/// Announces and completes an experiment with this configuration; the records of both.
fn run(bench: &Bench) -> (Value, Value) {
    let announced = bench.feed(&["scheduled"], &plan("pod-failure", "search"));
    assert_eq!(announced.status.code(), Some(0), "{}", stderr(&announced));
    let stream = stdout(&announced) + &ended("completed", "pass") + &verification("pass");
    let completed = bench.feed(&["completed"], &stream);
    assert_eq!(completed.status.code(), Some(0), "{}", stderr(&completed));
    (record(&announced), record(&completed))
}

#[test]
fn slack_answers_in_the_thread_of_the_announcement() {
    let server = Server::with(|request, number| {
        let sent = body(request);
        ok(
            &json!({ "ok": true, "channel": "C024BE91L", "ts": format!("1503435956.{number:06}"),
            "message": { "text": sent["text"] } }),
        )
    });
    let bench = Bench::new(&format!(
        "[notify.slack]\ntoken = {{ file = \"token\" }}\nchannel = \"#ops\"\napi = \"{}api/\"\n",
        server.root()
    ));
    bench.file("token", "xoxb-SECRET-token");
    let (announced, _) = run(&bench);
    let posts = server.of("POST");
    let paths: Vec<&str> = posts.iter().map(|(path, _)| path.as_str()).collect();
    let post = "/api/chat.postMessage";
    assert_eq!(paths, [post, post, "/api/chat.update"]);
    let (first, second, update) = (&posts[0].1, &posts[1].1, &posts[2].1);
    // The announcement says how it ended.
    assert_eq!(text(&update["channel"]), "C024BE91L");
    assert_eq!(text(&update["ts"]), "1503435956.000000");
    assert_eq!(
        text(&update["text"]),
        "pod-failure on shop: scheduled for 2026-11-22 16:00:00 UTC\n\
         It is over. pod-failure on shop: pass, recovered in 1.1 s"
    );
    assert_eq!(text(&first["channel"]), "#ops");
    assert_eq!(first["client_msg_id"], announced["data"]["event"]);
    assert_eq!(first.get("thread_ts"), None);
    assert_eq!(text(&second["channel"]), "C024BE91L");
    assert_eq!(text(&second["thread_ts"]), "1503435956.000000");
    assert_eq!(second["reply_broadcast"], false);
    assert!(server.requests()[0].contains("xoxb-SECRET-token"));
    assert!(!announced.to_string().contains("SECRET"));
}

#[test]
fn an_announcement_that_is_not_brought_up_to_date_is_told_and_no_second_message() {
    let server = Server::with(|request, number| {
        let posted = json!({ "ok": true, "channel": "C1", "ts": format!("1.{number}") });
        if request.contains("chat.update") {
            ok(&json!({ "ok": false, "error": "cant_update_message" }))
        } else {
            ok(&posted)
        }
    });
    let bench = Bench::new(&format!(
        "[notify.slack]\ntoken = {{ file = \"token\" }}\nchannel = \"#ops\"\napi = \"{}\"\n",
        server.root()
    ));
    bench.file("token", "xoxb-SECRET-token");
    let (_, completed) = run(&bench);
    let result = &completed["data"]["channels"][0];
    assert_eq!(
        (&result["outcome"], &result["attempts"]),
        (&json!("sent"), &json!(1))
    );
    assert!(
        text(&result["detail"]).contains("cant_update_message"),
        "{result}"
    );
    assert_eq!(server.requests().len(), 3);
}

#[test]
fn slacks_no_comes_with_a_status_of_200() {
    for (answer, detail) in [
        (
            json!({ "ok": false, "error": "channel_is_archived" }).to_string(),
            "channel_is_archived",
        ),
        ("no_service".to_owned(), "no_service"),
    ] {
        let server = Server::new(&[Answer::Body("200 OK", answer)]);
        let bench = Bench::new("[notify.slack]\nwebhook = { file = \"hook\" }\n");
        bench.file("hook", &server.url());
        let output = bench.start(&["test"]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        let result = channel(&output);
        assert_eq!(
            (text(&result["outcome"]), text(&result["detail"])),
            ("failed", detail)
        );
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn pagerduty_pages_for_alarms_alone_and_tests_without_a_page() {
    let server = Server::with(|request, _| {
        let key = body(request)["dedup_key"].clone();
        let taken = json!({ "status": "success", "message": "Event processed", "dedup_key": key });
        Answer::Body("202 Accepted", taken.to_string())
    });
    let bench = Bench::new(&format!(
        "[notify.pagerduty]\nrouting_key = {{ file = \"key\" }}\nurl = \"{}v2/enqueue\"\n",
        server.root()
    ));
    bench.file("key", "SECRETroutingkey");
    let output = bench.feed(&["scheduled"], &plan("pod-failure", "search"));
    assert_eq!(output.status.code(), Some(3), "nobody was told");
    assert!(server.requests().is_empty());
    let output = bench.start(&["test"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let stream = plan("pod-failure", "search") + &ended("not_restored", "fail");
    let output = bench.feed(&["critical"], &stream);
    let events = server.of("POST");
    assert_eq!(text(&events[0].1["event_action"]), "resolve");
    let event = &events[1].1;
    assert_eq!(text(&event["event_action"]), "trigger");
    assert_eq!(event["dedup_key"], record(&output)["data"]["event"]);
    let payload = &event["payload"];
    assert_eq!(text(&payload["severity"]), "critical");
    assert_eq!(text(&payload["source"]), "test-cluster");
    assert_eq!(text(&payload["group"]), "shop");
    assert!(
        text(&payload["summary"]).starts_with("CRITICAL: System Failure"),
        "{payload}"
    );
    assert!(!(stdout(&output) + &stderr(&output)).contains("SECRET"));
}

#[test]
fn teams_takes_a_card_and_says_202() {
    let server = Server::new(&[Answer::Body("202 Accepted", String::new())]);
    let bench = Bench::new("[notify.teams]\nurl = { file = \"flow\" }\n");
    bench.file(
        "flow",
        &format!("{}workflows/x?sig=SECRETsig", server.url()),
    );
    let hostile = plan("[x](https://evil)", "search");
    let output = bench.feed(&["scheduled"], &hostile);
    assert_eq!(channel(&output)["outcome"], "sent", "{}", stderr(&output));
    let sent = server.body();
    let content = &sent["attachments"][0];
    assert_eq!(
        text(&content["contentType"]),
        "application/vnd.microsoft.card.adaptive"
    );
    assert_eq!(text(&content["content"]["type"]), "AdaptiveCard");
    assert!(!sent.to_string().contains("](https://evil)"), "{sent}");
    let login = Server::new(&[Answer::Body("200 OK", "<html>Sign in</html>".into())]);
    bench.file("flow", &login.url());
    let output = bench.start(&["test"]);
    assert_eq!(channel(&output)["outcome"], "unknown");
}

#[test]
fn a_webhook_is_signed_with_the_id_of_the_message() {
    let server = Server::new(&[Answer::Status("204 No Content")]);
    let bench =
        Bench::new("[notify.webhook]\nurl = { file = \"url\" }\nsecret = { file = \"key\" }\n");
    bench.file("url", &server.url());
    bench.file("key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let output = bench.feed(&["scheduled"], &plan("pod-failure", "search"));
    let request = server.requests().remove(0).to_ascii_lowercase();
    let event = record(&output)["data"]["event"].clone();
    assert!(
        request.contains(&format!("webhook-id: {}", text(&event))),
        "{request}"
    );
    assert!(request.contains("webhook-signature: v1,"), "{request}");
    let sent = server.body();
    assert_eq!(text(&sent["type"]), "chaos.notification.scheduled");
    assert_eq!(text(&sent["data"]["cluster"]), "test-cluster");
}

/// A status page that keeps its incidents: what was written, in order.
fn pages(api: &'static str) -> Server {
    let open: Mutex<HashMap<String, String>> = Mutex::new(HashMap::new());
    Server::with(move |request, number| {
        let mut open = open.lock().expect("no panic in the server");
        let sent = body(request);
        let name = sent["incident"]["name"].as_str().or(sent["name"].as_str());
        let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
        if request.starts_with("GET") {
            let list: Vec<Value> = open
                .iter()
                .map(|(id, name)| match api {
                    "cachet" => json!({ "id": id, "attributes": { "name": name } }),
                    _ => json!({ "id": id, "name": name, "status": "INVESTIGATING" }),
                })
                .collect();
            return match api {
                "cachet" => ok(&json!({ "data": list })),
                _ => ok(&json!(list)),
            };
        }
        let id = format!("i{number}");
        if let Some(name) = name {
            open.insert(id.clone(), name.to_owned());
        }
        let resolved = ["resolved", "RESOLVED"].map(Value::from);
        let states = [&sent["incident"]["status"], &sent["status"]];
        if states
            .iter()
            .any(|state| resolved.contains(state) || **state == 4)
        {
            open.retain(|id, _| !path.contains(id.as_str()));
        }
        match api {
            "cachet" => Answer::Body("201 Created", json!({ "data": { "id": id } }).to_string()),
            _ => Answer::Body("201 Created", json!({ "id": id }).to_string()),
        }
    })
}

#[test]
fn an_incident_is_opened_found_again_and_resolved() {
    for (api, create, update, authorization) in [
        (
            "statuspage",
            "POST /hunter2-SECRET/pages/p1/incidents ",
            "PATCH /hunter2-SECRET/pages/p1/incidents/i1 ",
            "OAuth",
        ),
        (
            "instatus",
            "POST /hunter2-SECRET/p1/incidents ",
            "POST /hunter2-SECRET/p1/incidents/i1/incident-updates ",
            "Bearer",
        ),
        (
            "cachet",
            "POST /hunter2-SECRET/incidents ",
            "POST /hunter2-SECRET/incidents/i1/updates ",
            "Bearer",
        ),
    ] {
        let server = pages(api);
        let bench = Bench::new(&format!(
            "[notify.status_page]\napi = \"{api}\"\nurl = {{ file = \"url\" }}\ntoken = {{ file = \"token\" }}\n\
             page = \"p1\"\ncomponents = [\"c1\"]\n"
        ));
        bench.file("url", &server.url());
        bench.file("token", "SECRETtoken");
        let (announced, completed) = run(&bench);
        let writes: Vec<String> = server
            .requests()
            .into_iter()
            .filter(|request| !request.starts_with("GET"))
            .collect();
        assert!(writes[0].starts_with(create), "{api}: {writes:#?}");
        let last = writes.last().expect("an update");
        assert!(last.starts_with(update), "{api}: {writes:#?}");
        let sign = format!("authorization: {authorization} SECRETtoken");
        assert!(last.contains(&sign), "{api}: {last}");
        let result = &completed["data"]["channels"][0];
        assert_eq!(text(&result["receipt"]), "i1", "{api}: {result}");
        // All is resolved: nothing is written for another end of the same run.
        let count = server.requests().len();
        let stream = ended("completed", "pass") + &verification("pass");
        bench.feed(&["completed", "--again"], &stream);
        assert_eq!(server.requests().len(), count + 1, "{api}: one look");
        assert!(!format!("{announced}{completed}").contains("SECRET"));
    }
}

#[test]
fn alertmanager_is_silenced_for_the_alerts_of_the_plan_and_no_longer_than_the_run() {
    let silences: Mutex<Vec<Value>> = Mutex::new(Vec::new());
    let server = Server::with(move |request, number| {
        let mut silences = silences.lock().expect("no panic in the server");
        let path = request.split(' ').nth(1).unwrap_or_default();
        if request.starts_with("GET") {
            return ok(&json!(*silences));
        }
        if request.starts_with("DELETE") {
            let id = path.rsplit('/').next().unwrap_or_default();
            let of_id = silences.iter_mut().find(|silence| silence["id"] == id);
            of_id.expect("it was made")["status"]["state"] = json!("expired");
            return Answer::Body("200 OK", String::new());
        }
        let (mut silence, id) = (body(request), format!("s{number}"));
        silence["id"] = json!(id);
        silence["status"] = json!({ "state": "active" });
        silences.push(silence);
        ok(&json!({ "silenceID": id }))
    });
    let bench = Bench::new(&format!(
        "[notify.alertmanager]\nurl = \"{}\"\n",
        server.root()
    ));
    run(&bench);
    let made = server.of("POST");
    assert_eq!(made.len(), 2, "{made:?}");
    let silence = &made[0].1;
    assert_eq!(
        silence["matchers"],
        json!([
            { "name": "alertname", "value": "ShopDown", "isRegex": false, "isEqual": true },
            { "name": "namespace", "value": "shop|", "isRegex": true, "isEqual": true },
        ])
    );
    assert_eq!(text(&silence["startsAt"]), "2026-11-22T16:00:00.000Z");
    assert_eq!(text(&silence["endsAt"]), "2026-11-22T16:01:30.000Z");
    assert_eq!(server.of("DELETE").len(), 2);
    // A repeat makes none a second time.
    let again = ["scheduled", "--again"];
    bench.feed(&again, &plan("pod-failure", "search"));
    bench.feed(&again, &plan("pod-failure", "search"));
    assert_eq!(server.of("POST").len(), 4);
}
