//! The fault matrix: every channel against every misbehaviour. What the tool says has to be true at
//! the receiver: no wrong outcome, no second copy, nothing lost without a word.

use std::process::Output;
use std::sync::Mutex;
use std::thread;

use crate::http::{self, Answer};
use crate::smtp::{self, Manner};
use crate::{Bench, channel, stderr, stdout, text};

const SECRET: &str = "hunter2-SECRET";

/// What has to come of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Expected {
    outcome: &'static str,
    /// So often is the receiver asked.
    asked: usize,
    /// It is kept for a later call.
    kept: bool,
}

fn is(outcome: &'static str, asked: usize, kept: bool) -> Expected {
    Expected {
        outcome,
        asked,
        kept,
    }
}

/// How an HTTP service misbehaves, and what has to come of it. `good` is its good answer.
fn misbehaviours(good: &Answer) -> Vec<(&'static str, Vec<Answer>, Expected)> {
    use Answer::{Body, Drip, Drop, EndlessHeaders, Hang, Raw, Status};
    let then_good = |first: Answer| vec![first, good.clone()];
    let once = |answer: Answer| vec![answer];
    let login = || "<html><form>log in</form></html>".to_owned();
    vec![
        ("good", once(good.clone()), is("sent", 1, false)),
        (
            "429, then good",
            then_good(Status("429 Slow\r\nRetry-After: 1")),
            is("sent", 2, false),
        ),
        (
            "429 for long",
            once(Status("429 Slow\r\nRetry-After: 900")),
            is("failed", 1, true),
        ),
        (
            "503 with time",
            then_good(Status("503 Busy\r\nRetry-After: 1")),
            is("sent", 2, false),
        ),
        (
            "503 without",
            once(Status("503 Busy")),
            is("unknown", 1, false),
        ),
        (
            "408, then good",
            then_good(Status("408 Timeout")),
            is("sent", 2, false),
        ),
        ("500", once(Status("500 Error")), is("unknown", 1, false)),
        (
            "502",
            once(Status("502 Bad Gateway")),
            is("unknown", 1, false),
        ),
        (
            "504",
            once(Status("504 Gateway Timeout")),
            is("unknown", 1, false),
        ),
        (
            "401",
            once(Status("401 Unauthorized")),
            is("failed", 1, false),
        ),
        ("404", once(Status("404 Not Found")), is("failed", 1, false)),
        (
            "302",
            once(Status("302 Found\r\nLocation: /login")),
            is("failed", 1, false),
        ),
        (
            "login page",
            once(Body("200 OK", login())),
            is("unknown", 1, false),
        ),
        ("drops", once(Drop), is("unknown", 1, false)),
        ("hangs", once(Hang), is("unknown", 1, false)),
        (
            "endless headers",
            once(EndlessHeaders),
            is("unknown", 1, false),
        ),
        ("drips", once(Drip), is("unknown", 1, false)),
        (
            "no HTTP",
            once(Raw("220 mail.example.com ESMTP\r\n")),
            is("unknown", 1, false),
        ),
        (
            "cut answer",
            once(Raw("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nok")),
            is("unknown", 1, false),
        ),
    ]
}

/// The HTTP channels: name, configuration, and the answer when they have taken a message.
fn services() -> Vec<(&'static str, &'static str, Answer)> {
    let taken = r#"{"status":"success","message":"Event processed","dedup_key":"k"}"#;
    let posted = r#"{"ok":true,"channel":"C1","ts":"1.0"}"#;
    let ok = || Answer::Status("200 OK");
    vec![
        (
            "slack",
            "[notify.slack]\nwebhook = { file = \"url\" }\n",
            ok(),
        ),
        (
            "slack with a token",
            "[notify.slack]\ntoken = { file = \"key\" }\nchannel = \"#a\"\napi = \"URL\"\n",
            Answer::Body("200 OK", posted.to_owned()),
        ),
        (
            "status page",
            "[notify.status_page]\nurl = { file = \"url\" }\n",
            ok(),
        ),
        (
            "webhook",
            "[notify.webhook]\nurl = { file = \"url\" }\nsecret = { file = \"whsec\" }\n",
            ok(),
        ),
        (
            "pagerduty",
            "[notify.pagerduty]\nrouting_key = { file = \"key\" }\nurl = \"URL\"\n",
            Answer::Body("202 Accepted", taken.to_owned()),
        ),
        (
            "teams",
            "[notify.teams]\nurl = { file = \"url\" }\n",
            Answer::Body("202 Accepted", String::new()),
        ),
    ]
}

/// The manners of a mail server, and what has to come of each: messages taken, not connections.
fn manners() -> Vec<(Manner, Expected)> {
    use Manner as M;
    vec![
        (M::Good, is("sent", 1, false)),
        (M::PutsOffFirstRecipient, is("sent", 1, false)),
        (M::PutsOffMessageOnce, is("sent", 1, false)),
        (M::DropsAtQuit, is("sent", 1, false)),
        (M::PutsOffEverybody, is("failed", 0, true)),
        (M::PutsOffData, is("failed", 0, true)),
        (M::BusyAtGreeting, is("failed", 0, true)),
        (M::DropsAtGreeting, is("failed", 0, true)),
        (M::Silent, is("failed", 0, true)),
        (M::DropsAtRecipient, is("failed", 0, true)),
        (M::DropsAtData, is("failed", 0, true)),
        (M::Garbage, is("failed", 0, true)),
        (M::RefusesEverybody, is("failed", 0, false)),
        (M::RefusesSender, is("failed", 0, false)),
        (M::RefusesMessage, is("failed", 0, false)),
        (M::RefusesLogin, is("failed", 0, false)),
        (M::DropsWithinMessage, is("unknown", 0, false)),
        (M::DropsAfterMessage, is("unknown", 1, false)),
        (M::SilentAfterMessage, is("unknown", 1, false)),
    ]
}

/// One case: its name, and what went wrong with it.
type Case = Box<dyn FnOnce() -> (String, Option<String>) + Send>;

fn alarm(bench: &Bench) -> Output {
    bench.start(&["aborted", "--reason", "shop is down"])
}

/// What is wrong with a result.
fn wrong(output: &Output, asked: usize, expected: Expected) -> Option<String> {
    let result = channel(output);
    let found = (
        text(&result["outcome"]),
        asked,
        result["spooled"] == serde_json::Value::Bool(true),
    );
    let all = stdout(output) + &stderr(output);
    if all.contains(SECRET) {
        return Some(format!("a secret shows: {all}"));
    }
    let wanted = (expected.outcome, expected.asked, expected.kept);
    (found != wanted).then(|| format!("{found:?} instead of {wanted:?}: {result}"))
}

fn http_case(
    service: &str,
    config: &str,
    what: &str,
    answers: &[Answer],
    expected: Expected,
) -> Case {
    let (name, config) = (format!("{service}: {what}"), config.to_owned());
    let answers = answers.to_vec();
    Box::new(move || {
        let server = http::Server::new(&answers);
        let config = config.replace("URL", &server.root());
        let bench = Bench::new(&format!("[notify]\ndeadline = \"20s\"\n{config}"));
        bench.file("url", &server.url());
        bench.file("key", SECRET);
        bench.file("whsec", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let output = alarm(&bench);
        let asked = server.requests().len();
        (name, wrong(&output, asked, expected))
    })
}

fn smtp_case(manner: Manner, expected: Expected) -> Case {
    Box::new(move || {
        let server = smtp::Server::new(manner);
        let bench = Bench::new(&format!(
            "[notify]\ndeadline = \"20s\"\n[notify.mail]\nhost = \"127.0.0.1\"\nport = {}\ntls = \"none\"\n\
             user = \"u\"\npassword = {{ file = \"key\" }}\nfrom = \"a@b.c\"\nteam = [\"team@company.com\"]\n",
            server.port
        ));
        bench.file("key", SECRET);
        let output = alarm(&bench);
        let taken = server.messages().len();
        (format!("mail: {manner:?}"), wrong(&output, taken, expected))
    })
}

#[test]
fn what_the_tool_says_is_true_at_the_receiver() {
    let mut cases: Vec<Case> = Vec::new();
    for (service, config, good) in services() {
        for (what, answers, expected) in misbehaviours(&good) {
            cases.push(http_case(service, config, what, &answers, expected));
        }
    }
    for (manner, expected) in manners() {
        cases.push(smtp_case(manner, expected));
    }
    let all = cases.len();
    let (queue, failures) = (Mutex::new(cases), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                loop {
                    let case = queue.lock().expect("no panic").pop();
                    let Some(case) = case else {
                        return;
                    };
                    if let (name, Some(why)) = case() {
                        failures
                            .lock()
                            .expect("no panic")
                            .push(format!("{name}: {why}"));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    println!("{all} misbehaviours, {} wrong", failures.len());
    assert!(all >= 60, "{all}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
