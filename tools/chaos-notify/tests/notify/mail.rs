//! Mail: what arrives, and what is sent again.

use std::process::Output;

use crate::smtp::{Manner, Server};
use crate::{Bench, channel, stderr};

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
    for part in [
        "From: chaos@company.com\r\n",
        "To: team@company.com\r\n",
        "Subject: Chaos Engineering Experiment Notification\r\n",
        "Auto-Submitted: auto-generated\r\n",
        ".scheduled@company.com>\r\n",
        "\r\n\r\nChaos Engineering Experiment Scheduled\r\n\r\nExperiment: pod-failure\r\nTime: 20",
        "Please be available for support if needed.\r\n",
        "- Primary Contact: Engineering Team Lead - +1-555-0123\r\n- Emergency Contact: On-call Engineer - +1-555-0126\r\n",
    ] {
        assert!(
            messages[0].contains(part),
            "{part:?} is not in\n{}",
            messages[0]
        );
    }
    assert!(!messages[0].contains('['), "{}", messages[0]);
    let result = channel(&output);
    assert_eq!(
        (&result["outcome"], &result["to"]),
        (&"sent".into(), &"team@company.com".into())
    );
    assert!(
        result["detail"]
            .as_str()
            .expect("a detail")
            .contains("queued as 1"),
        "{result}"
    );
}

#[test]
fn a_recipient_that_is_put_off_is_tried_again() {
    let server = Server::new(Manner::PutsOffFirstRecipient);
    let result = channel(&send(&server));
    assert_eq!(
        (&result["outcome"], &result["attempts"]),
        (&"sent".into(), &2.into())
    );
    assert_eq!(server.messages().len(), 1);
}

#[test]
fn a_connection_that_breaks_after_the_message_is_unknown_and_not_repeated() {
    let server = Server::new(Manner::DropsAfterMessage);
    let output = send(&server);
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(channel(&output)["outcome"], "unknown");
    assert_eq!(server.messages().len(), 1);
    assert_eq!(
        server
            .seen
            .lock()
            .expect("no panic in the server")
            .connections,
        1
    );
}

#[test]
fn a_connection_that_breaks_before_the_message_is_tried_again() {
    let server = Server::new(Manner::DropsAtData);
    let result = channel(&send(&server));
    assert_eq!(
        (&result["outcome"], &result["attempts"]),
        (&"failed".into(), &4.into())
    );
}

#[test]
fn a_message_that_is_refused_is_failed_with_the_servers_words() {
    let server = Server::new(Manner::RefusesMessage);
    let output = send(&server);
    assert_eq!(output.status.code(), Some(1));
    let result = channel(&output);
    assert_eq!(
        (&result["outcome"], &result["attempts"]),
        (&"failed".into(), &1.into())
    );
    assert!(
        result["detail"]
            .as_str()
            .expect("a detail")
            .contains("looks like spam"),
        "{result}"
    );
}

#[test]
fn one_refused_recipient_does_not_keep_it_from_the_others() {
    let server = Server::new(Manner::RefusesNobody);
    let bench = Bench::new(&config(
        server.port,
        "\"nobody@company.com\", \"team@company.com\"",
    ));
    let result = channel(&bench.start(&["scheduled"]));
    assert_eq!(server.messages().len(), 1);
    assert_eq!(result["outcome"], "failed");
    let detail = result["detail"].as_str().expect("a detail");
    assert!(
        detail.contains("accepted for some") && detail.contains("nobody@company.com: "),
        "{detail}"
    );
}

#[test]
fn critical_goes_to_management() {
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
    assert!(
        message.contains("To: management@company.com\r\n"),
        "{message}"
    );
    assert!(
        message.contains("Subject: CRITICAL: System Failure\r\n"),
        "{message}"
    );
    assert!(
        message.contains(
            "Issue: checkout is down\r\nImpact: no orders\r\nActions Taken: not known\r\n"
        ),
        "{message}"
    );
}

#[test]
fn the_password_reaches_the_server_and_nothing_else() {
    let server = Server::new(Manner::Good);
    let login = "user = \"chaos\"\npassword = { env = \"PW\" }\n";
    let bench = Bench::new(&format!(
        "{}{login}",
        config(server.port, "\"team@company.com\"")
    ));
    let mut command = bench.command(&["scheduled"]);
    let output = command
        .env("PW", "hunter2")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the tool ends");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let commands = server
        .seen
        .lock()
        .expect("no panic in the server")
        .commands
        .join("\n");
    assert!(
        commands.contains("AUTH PLAIN AGNoYW9zAGh1bnRlcjI="),
        "{commands}"
    );
    let all = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        stderr(&output)
    );
    assert!(
        !all.contains("hunter2") && !all.contains("AGNoYW9z"),
        "{all}"
    );
}

#[test]
fn a_server_without_starttls_is_not_trusted_with_anything() {
    let server = Server::new(Manner::Good);
    let config = config(server.port, "\"team@company.com\"").replace("\"none\"", "\"starttls\"");
    let result = channel(&Bench::new(&config).start(&["scheduled"]));
    assert_eq!(result["outcome"], "failed");
    assert!(
        result["detail"]
            .as_str()
            .expect("a detail")
            .contains("does not offer STARTTLS"),
        "{result}"
    );
    assert!(server.messages().is_empty());
}
