//! Messages about other namespaces and clusters go to others.

use serde_json::json;

use crate::http::{Answer, Server};
use crate::smtp::{self, Manner};
use crate::{Bench, plan, record, stderr, text};

#[test]
fn staging_has_other_readers_and_contacts_than_production() {
    let posted = json!({ "ok": true, "channel": "C1", "ts": "1.0" }).to_string();
    let slack = Server::new(&[Answer::Body("200 OK", posted)]);
    let mail = smtp::Server::new(Manner::Good);
    let bench = Bench::new(&format!(
        "[notify.mail]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\nfrom = \"a@b.c\"\n\
         team = [\"team@company.com\"]\nmanagement = [\"boss@company.com\"]\n\
         [notify.slack]\ntoken = {{ file = \"token\" }}\nchannel = \"#ops\"\napi = \"{}\"\n\
         [[notify.environment]]\nnamespaces = [\"shop-staging\"]\n\
         to = {{ mail = [\"staging@company.com\", \"Staging <staging@company.com>\"], slack = [\"#staging\"] }}\n\
         contacts = [{{ role = \"Primary Contact\", name = \"Staging Team\", phone = \"+1-555-0199\" }}]\n",
        mail.port,
        slack.root(),
    ));
    bench.file("token", "xoxb-SECRET-token");
    let staging = plan("pod-failure", "search").replace("\"shop\"", "\"shop-staging\"");
    for (stream, address, conversation, contact) in [
        (
            plan("pod-failure", "search"),
            "team@company.com",
            "#ops",
            "Engineering Team Lead",
        ),
        (
            staging.clone(),
            "staging@company.com",
            "#staging",
            "Staging Team",
        ),
    ] {
        let output = bench.feed(&["scheduled"], &stream);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let record = record(&output);
        let mailed = mail.messages().pop().expect("a mail");
        assert!(mailed.contains(contact), "{mailed}");
        let recipients = &record["data"]["channels"][0]["recipients"];
        assert_eq!(
            recipients.as_array().map(Vec::len),
            Some(1),
            "each once: {record}"
        );
        assert_eq!(text(&recipients[0]["to"]), address);
        let posts = slack.of("POST");
        let (_, sent) = posts.last().expect("a message");
        assert_eq!(text(&sent["channel"]), conversation);
    }
    // Management of production is not woken for staging.
    let output = bench.feed(&["critical", "--issue", "x"], &staging);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(
        !mail.commands().contains("boss@company.com"),
        "{}",
        mail.commands()
    );
}

#[test]
fn what_waits_in_the_spool_goes_where_it_was_meant_to() {
    let mail = smtp::Server::new(Manner::PutsOffEverybody);
    let config = |port: u16| {
        format!(
            "[notify]\ndeadline = \"2s\"\n[notify.mail]\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n\
             from = \"a@b.c\"\nteam = [\"team@company.com\"]\n\
             [[notify.environment]]\nnamespaces = [\"shop\"]\nto = {{ mail = [\"shop@company.com\"] }}\n"
        )
    };
    let bench = Bench::new(&config(mail.port));
    bench.feed(&["scheduled"], &plan("pod-failure", "search"));
    assert_eq!(bench.outbox().len(), 1);
    let later = smtp::Server::new(Manner::Good);
    bench.file("chaos.toml", &config(later.port));
    let flushed = bench.start(&["flush"]);
    assert_eq!(flushed.status.code(), Some(0), "{}", stderr(&flushed));
    let commands = later.commands();
    assert!(
        commands.contains("RCPT TO:<shop@company.com>"),
        "{commands}"
    );
    assert!(!commands.contains("team@company.com"), "{commands}");
}

#[test]
fn an_environment_that_fits_nothing_or_leads_nowhere_is_a_usage_error() {
    for (environment, part) in [
        (
            "to = { mail = [] }\n",
            "names neither namespaces nor clusters",
        ),
        (
            "clusters = [\"c\"]\nto = { fax = [] }\n",
            "notify.environment.to leads to \"fax\"",
        ),
        (
            "clusters = [\"c\"]\nto = { mail = [\"nobody\"] }\n",
            "\"nobody\" is no mail address",
        ),
    ] {
        let bench = Bench::new(&format!(
            "[notify.mail]\nhost = \"localhost\"\nfrom = \"a@b.c\"\nteam = [\"a@b.c\"]\n\
             [[notify.environment]]\n{environment}"
        ));
        let output = bench.start(&["test"]);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{environment}: {}",
            stderr(&output)
        );
        let told = stderr(&output);
        assert!(told.contains(part), "{part} is not in {told}");
    }
}
