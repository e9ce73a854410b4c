//! Mail: what arrives, and what is sent again.

use std::process::Output;

use crate::smtp::{Manner, Server};
use crate::{Bench, channel, ended, line, plan, record, stderr, stdout, text, verification};

fn config(port: u16, team: &str) -> String {
    format!(
        "[notify.mail]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\nfrom = \"chaos@company.com\"\nteam = [{team}]\n\
         management = [\"management@company.com\"]\n"
    )
}

fn send(server: &Server) -> Output {
    let bench = Bench::new(&config(server.port, "\"team@company.com\""));
    bench.start(&["scheduled", "--experiment", "pod-failure"])
}

#[test]
fn the_runbooks_mail_arrives_with_every_contact() {
    let server = Server::new(Manner::Good);
    let output = send(&server);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let messages = server.messages();
    assert_eq!(messages.len(), 1);
    let event = record(&output)["data"]["event"].clone();
    for part in [
        "From: chaos@company.com\r\n",
        "To: team@company.com\r\n",
        "Subject: pod-failure on not known: scheduled for 20",
        "Auto-Submitted: auto-generated\r\n",
        "MIME-Version: 1.0\r\n",
        &format!("Message-ID: <{}@company.com>\r\n", text(&event)),
        "\r\n\r\nChaos Engineering Experiment Scheduled\r\n\r\nExperiment: pod-failure\r\nTime: 20",
        "Please be available for support if needed.\r\n",
        "- Primary Contact: Engineering Team Lead - +1-555-0123\r\n- Emergency Contact: On-call Engineer - +1-555-0126\r\n",
        "<h2>Chaos Engineering Experiment Scheduled</h2>",
    ] {
        assert!(
            messages[0].contains(part),
            "{part:?} is not in\n{}",
            messages[0]
        );
    }
    let result = channel(&output);
    let (outcome, to) = (&result["outcome"], &result["to"]);
    assert_eq!((text(outcome), text(to)), ("sent", "team@company.com"));
    assert!(text(&result["detail"]).contains("queued as 1"), "{result}");
    let receipt = format!("<{}@company.com>", text(&event));
    assert_eq!(text(&result["receipt"]), receipt);
}

#[test]
fn results_answer_to_the_announcement_and_bring_the_report() {
    let server = Server::new(Manner::Good);
    let bench = Bench::new(&config(server.port, "\"team@company.com\""));
    let announced = bench.feed(&["scheduled"], &plan("pod-failure", "search"));
    let report = bench.home.path().join("report.md");
    bench.file(
        "report.md",
        "# Chaos Engineering Experiment Report\n\nall of it\n",
    );
    let data = serde_json::json!({
        "form": "experiment", "subject": "pod-failure", "status": "pass", "location": report,
        "findings": ["one"], "next_steps": ["first"], "checks": [],
    });
    let stream = stdout(&announced)
        + &ended("completed", "pass")
        + &verification("pass")
        + &line("report", "16:00:40.000", "pass", "saved", &data);
    let output = bench.feed(&["completed"], &stream);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mail = server.messages().remove(1);
    let event = record(&announced)["data"]["event"].clone();
    let answer = format!("In-Reply-To: <{}@company.com>\r\n", text(&event));
    assert!(mail.contains(&answer), "{mail}");
    assert!(
        mail.contains("Subject: pod-failure on shop: pass, recovered in 1.1 s\r\n"),
        "{mail}"
    );
    assert!(
        mail.contains("filename=\"report.md\"") && mail.contains("all of it"),
        "{mail}"
    );
}

#[test]
fn a_recipient_that_is_put_off_is_tried_again_alone() {
    let server = Server::new(Manner::PutsOffFirstRecipient);
    let bench = Bench::new(&config(server.port, "\"a@company.com\", \"b@company.com\""));
    let result = channel(&bench.start(&["scheduled", "--experiment", "x"]));
    assert_eq!(
        (&result["outcome"], &result["attempts"]),
        (&"sent".into(), &2.into())
    );
    assert_eq!(result["recipients"].as_array().map(Vec::len), Some(2));
    // On its first connection the server puts everybody off.
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn one_refused_recipient_of_three_is_partly_told_by_name_and_no_alarm() {
    let server = Server::new(Manner::RefusesNobody);
    let team = "\"nobody@company.com\", \"team@company.com\", \"ops@company.com\"";
    let bench = Bench::new(&config(server.port, team));
    let output = bench.start(&["scheduled", "--experiment", "x"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(server.messages().len(), 1);
    let result = channel(&output);
    assert_eq!(result["outcome"], "partly");
    let detail = text(&result["detail"]);
    assert!(
        detail.contains("nobody@company.com: permanent error (550): no such user"),
        "{detail}"
    );
    assert_eq!(record(&output)["data"]["checks"][0]["status"], "warn");
    let outcomes: Vec<&str> = result["recipients"]
        .as_array()
        .expect("recipients")
        .iter()
        .map(|one| text(&one["outcome"]))
        .collect();
    assert_eq!(outcomes, ["failed", "sent", "sent"]);
}

#[test]
fn who_is_greylisted_gets_it_later_and_the_others_now() {
    let server = Server::new(Manner::Greylists);
    let team = "\"slow@company.com\", \"team@company.com\"";
    let bench = Bench::new(&config(server.port, team));
    let output = bench.start(&["scheduled", "--experiment", "x"]);
    let result = channel(&output);
    assert_eq!(
        (&result["outcome"], &result["spooled"]),
        (&"partly".into(), &true.into())
    );
    assert_eq!(server.messages().len(), 1, "team got it once");
    assert_eq!(bench.outbox().len(), 1);
    // The server has changed its mind by then.
    let patient = Server::new(Manner::Good);
    bench.file("chaos.toml", &config(patient.port, team));
    let output = bench.start(&["flush"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(patient.messages().len(), 1);
    assert!(patient.commands().contains("RCPT TO:<slow@company.com>"));
    assert!(!patient.commands().contains("RCPT TO:<team@company.com>"));
    assert!(bench.outbox().is_empty());
    bench.start(&["flush"]);
    assert_eq!(patient.messages().len(), 1, "once");
}

#[test]
fn critical_goes_to_management_and_the_team() {
    let server = Server::new(Manner::Good);
    let bench = Bench::new(&config(server.port, "\"team@company.com\""));
    let output = bench.start(&[
        "critical",
        "--issue",
        "checkout is down",
        "--impact",
        "no orders",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let message = server.messages().remove(0);
    for part in [
        "To: management@company.com, team@company.com\r\n",
        "Subject: CRITICAL: System Failure on ",
        "Issue: checkout is down\r\nImpact: no orders\r\nActions Taken: not known\r\n",
        "To Recover: chaos-inject recover\r\n",
    ] {
        assert!(message.contains(part), "{part:?} is not in\n{message}");
    }
}

#[test]
fn the_password_reaches_the_server_and_nothing_else() {
    let server = Server::new(Manner::RefusesLogin);
    let bench = bench_with_login(server.port);
    let mut command = bench.command(&["scheduled", "--experiment", "x"]);
    command
        .env("PW", "hunter2")
        .stdin(std::process::Stdio::null());
    let output = command.output().expect("the tool ends");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(
        server
            .commands()
            .contains("AUTH PLAIN AGNoYW9zAGh1bnRlcjI=")
    );
    let all = stdout(&output) + &stderr(&output);
    assert!(
        !all.contains("hunter2") && !all.contains("AGNoYW9z"),
        "{all}"
    );
    assert_eq!(
        text(&channel(&output)["detail"]),
        "the login is refused (535)"
    );
}

fn bench_with_login(port: u16) -> Bench {
    let login = "user = \"chaos\"\npassword = { env = \"PW\" }\n";
    Bench::new(&(config(port, "\"team@company.com\"") + login))
}

#[test]
fn a_server_without_starttls_is_not_trusted_with_anything() {
    let server = Server::new(Manner::Good);
    let config = config(server.port, "\"team@company.com\"").replace("\"none\"", "\"starttls\"");
    let result = channel(&Bench::new(&config).start(&["scheduled", "--experiment", "x"]));
    assert_eq!(result["outcome"], "failed");
    assert!(
        text(&result["detail"]).contains("does not offer STARTTLS"),
        "{result}"
    );
    assert!(server.messages().is_empty());
}

#[test]
fn the_name_in_ehlo_is_a_full_one_or_the_address() {
    let server = Server::new(Manner::Good);
    send(&server);
    let commands = server.commands();
    let name = commands.lines().find_map(|line| line.strip_prefix("EHLO "));
    let name = name.expect("a greeting");
    assert!(name == "[127.0.0.1]" || name.contains('.'), "{name}");
    let named = config(server.port, "\"team@company.com\"") + "hello = \"ci.company.com\"\n";
    Bench::new(&named).start(&["scheduled", "--experiment", "x"]);
    assert!(server.commands().contains("EHLO ci.company.com"));
}
