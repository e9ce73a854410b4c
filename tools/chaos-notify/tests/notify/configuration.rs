//! The configuration: every key is shown, and what is wrong is named.

use crate::{Bench, stderr};

#[test]
fn the_example_configurations_are_good() {
    let example = include_str!("../../../../scripts/ecommerce.toml");
    let page = include_str!("../../../../docs/notifications.md");
    let blocks = page.split("```toml\n").skip(1);
    let blocks = blocks.map(|rest| rest.split("```").next().unwrap_or_default());
    let mut seen = 0;
    for text in blocks.chain([example]) {
        let bench = Bench::new("");
        bench.file("chaos.toml", text);
        let output = bench.start(&["flush"]);
        assert_eq!(output.status.code(), Some(0), "{}\n{text}", stderr(&output));
        seen += 1;
    }
    assert!(seen >= 2);
}

#[test]
fn what_is_wrong_is_a_usage_error_with_its_name() {
    for (config, part) in [
        (
            "[notify.slack]\nwebhok = 1\n",
            "chaos.toml:2:1: unknown field `webhok`",
        ),
        ("[notify.fax]\n", "unknown field `fax`"),
        (
            "[notify.slack]\nwebhook = \"https://hooks.example/hunter2\"\n",
            "a secret does not stand in this file",
        ),
        ("[notify]\ntimezone = \"Nowhere/Land\"\n", "notify.timezone"),
        ("[notify.templates]\nparty = \"x.j2\"\n", "\"party\""),
        ("[notify.templates]\ntest = \"gone.j2\"\n", "gone.j2"),
        (
            "[notify.templates]\ntest = \"own.j2\"\n",
            "own.j2:2: unknown variable \"nobody\"",
        ),
    ] {
        let bench = Bench::new(config);
        bench.file("own.j2", "{% block text %}\n{{ nobody }}{% endblock %}");
        let output = bench.start(&["test"]);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{config}: {}",
            stderr(&output)
        );
        let told = stderr(&output);
        assert!(told.contains(part), "{part} is not in {told}");
        assert!(!told.contains("hunter2"), "{told}");
    }
}

#[test]
fn a_channel_that_cannot_be_used_is_named_and_the_others_go_on() {
    let server = crate::http::Server::new(&[crate::http::Answer::Status("200 OK")]);
    let slack = "[[notify.slack]]\nwebhook = { file = \"hook\" }\n";
    let mail = "[notify.mail]\nhost = \"localhost\"\nfrom = \"a@b.c\"\nteam = [\"nobody\"]\n";
    for (config, hook, part) in [
        (slack, "SECRET", "the secret is not a URL"),
        (slack, "ftp://h/SECRET", "not a URL of http"),
        (
            "[[notify.slack]]\nwebhook = { file = \".\" }\n",
            "",
            "cannot read the secret file",
        ),
        (mail, "", "\"nobody\" is no mail address"),
    ] {
        let bench = Bench::new(&format!(
            "{config}[[notify.webhook]]\nurl = {{ file = \"url\" }}\nsecret = {{ file = \"key\" }}\n"
        ));
        bench.file("hook", hook);
        bench.file("url", &server.url());
        bench.file("key", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let before = server.requests().len();
        let output = bench.start(&["test"]);
        assert_eq!(
            output.status.code(),
            Some(1),
            "{config}: {}",
            stderr(&output)
        );
        let channels = crate::record(&output)["data"]["channels"].clone();
        let of = |outcome: &str| {
            let all = channels.as_array().expect("channels").iter();
            let found = all.filter(|channel| channel["outcome"] == outcome);
            found.cloned().collect::<Vec<_>>()
        };
        assert_eq!((of("sent").len(), of("failed").len()), (1, 1), "{channels}");
        let detail = crate::text(&of("failed")[0]["detail"]).to_owned();
        assert!(detail.contains(part), "{part} is not in {detail}");
        assert_eq!(server.requests().len(), before + 1);
    }
}

#[test]
fn an_alarm_goes_out_in_the_built_in_words_where_a_template_is_wrong() {
    let server = crate::http::Server::new(&[crate::http::Answer::Status("200 OK")]);
    let bench = Bench::new(
        "[notify.templates]\naborted = \"own.j2\"\n[notify.slack]\nwebhook = { file = \"hook\" }\n",
    );
    bench.file("own.j2", "{{ nobody }}");
    bench.file("hook", &server.url());
    let output = bench.start(&["aborted", "--reason", "shop is down"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(server.requests().len(), 1);
    let checks = crate::record(&output)["data"]["checks"].to_string();
    assert!(
        checks.contains("notify.template") && checks.contains("nobody"),
        "{checks}"
    );
}
