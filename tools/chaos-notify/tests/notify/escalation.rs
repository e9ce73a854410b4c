//! An alarm goes up the list of contacts until somebody answers, with real processes: the one that
//! waits, the one that takes answers, and the servers that they talk to.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::free_port::free_port;
use crate::http::{Answer, Server, body};
use crate::{Bench, ended, plan, record, secrets, stderr, stdout, text, verification};

/// The contacts of these tests, by the channels on which they are reached.
pub(crate) const ROLES: [&str; 3] = ["Primary Contact", "Emergency Contact", "Tertiary Contact"];

/// Everybody of an alarm: the team's channel, and one for each contact.
pub(crate) struct Scene {
    pub(crate) bench: Bench,
    pub(crate) team: Server,
    contacts: [Server; 3],
    /// Where acknowledgements are taken.
    port: u16,
}

pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(90), "{what}");
        thread::sleep(Duration::from_millis(10));
    }
}

impl Scene {
    /// The contacts are told at these times, and the end comes at the last of them.
    pub(crate) fn new(times: [&str; 4]) -> Scene {
        Scene::with(times, &[Answer::Status("200 OK")])
    }

    /// The same, where the first contact's service answers so.
    fn with(times: [&str; 4], first: &[Answer]) -> Scene {
        let good = || Server::new(&[Answer::Status("200 OK")]);
        let (team, contacts) = (good(), [Server::new(first), good(), good()]);
        let port = free_port();
        let mut config = format!(
            "[notify]\n[notify.routes]\ncritical = [\"team\"]\ncompleted = [\"team\"]\n\
             [notify.escalation]\nlink = \"http://127.0.0.1:{port}/ack\"\nend = \"{}\"\n",
            times[3]
        );
        for (number, role) in ROLES.iter().enumerate() {
            let _ = write!(
                config,
                "[[notify.escalation.step]]\ncontact = \"{role}\"\nafter = \"{}\"\nto = {{ c{number} = [] }}\n",
                times[number]
            );
        }
        for name in ["team", "c0", "c1", "c2"] {
            let _ = write!(
                config,
                "[[notify.slack]]\nname = \"{name}\"\nwebhook = {{ file = \"{name}\" }}\n"
            );
        }
        config += "[[contact]]\nrole = \"Tertiary Contact\"\nname = \"T\"\nphone = \"1\"\n";
        let bench = Bench::new(&config);
        bench.file("team", &team.url());
        for (number, server) in contacts.iter().enumerate() {
            bench.file(&format!("c{number}"), &server.url());
        }
        Scene {
            bench,
            team,
            contacts,
            port,
        }
    }

    fn start(&self, args: &[&str]) -> Running {
        Running::start(self.bench.command(args))
    }

    fn alarm(&self) -> Running {
        self.start(&["critical", "--issue", "checkout is down", "--escalate"])
    }

    /// The alarm that is in the stream in this file.
    fn alarm_of(&self, stream: &str, occasion: &str) -> Running {
        let file = std::fs::File::open(self.bench.home.path().join(stream));
        let mut command = self.bench.command(&[occasion, "--escalate"]);
        command
            .stdin(file.expect("it was written"))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Running(Some(command.spawn().expect("it starts")))
    }

    pub(crate) fn receiver(&self) -> Running {
        let listen = format!("127.0.0.1:{}", self.port);
        let running = self.start(&["ack-server", "--listen", &listen]);
        wait_for("the receiver listens", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
        running
    }

    /// How often each contact was told. What says that it may be a copy is none: it is what becomes
    /// of a message whose sender was killed before it had the answer.
    pub(crate) fn told(&self) -> [usize; 3] {
        let is_copy = |request: &&String| request.contains("may have reached you before");
        [0, 1, 2].map(|number| {
            let requests = self.contacts[number].requests();
            requests.iter().filter(|request| !is_copy(request)).count()
        })
    }

    /// The link in the only message to a contact.
    pub(crate) fn link(&self, contact: usize) -> String {
        link(&self.contacts[contact].requests()[0])
    }

    /// The names of the files in a folder of the spool.
    fn spool(&self, folder: &str) -> Vec<String> {
        let spool = self.bench.home.path().join(".local/state/chaos/notify");
        let entries = std::fs::read_dir(spool.join(folder)).into_iter().flatten();
        let names = entries.map(|entry| entry.expect("readable").file_name());
        names
            .filter(|name| crate::is_whole(name))
            .map(|name| name.to_string_lossy().into_owned())
            .collect()
    }
}

/// A process that was started, which does not outlive its test.
pub(crate) struct Running(Option<Child>);

impl Running {
    pub(crate) fn start(mut command: Command) -> Running {
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Running(Some(child.expect("it starts")))
    }

    pub(crate) fn signal(&self, signal: &str) {
        let child = self.0.as_ref().expect("it runs");
        let kill = format!("kill -{signal} {}", child.id());
        let killed = Command::new("sh").args(["-c", &kill]).status();
        assert!(killed.expect("sh is there").success());
    }

    pub(crate) fn end(mut self) -> Output {
        let child = self.0.take().expect("it runs");
        let output = child.wait_with_output().expect("it ends");
        secrets::clean(&output);
        output
    }

    pub(crate) fn kill(self) -> Output {
        self.signal("KILL");
        self.end()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// The link in a message.
fn link(request: &str) -> String {
    let sent = body(request);
    let said = text(&sent["text"]);
    let (_, link) = said.rsplit_once("Acknowledge: ").expect("a link");
    link.trim().to_owned()
}

/// Asks an HTTP server; its status and page.
pub(crate) fn ask(method: &str, url: &str, form: &str) -> (u16, String) {
    let rest = url.strip_prefix("http://").expect("a URL");
    let (host, path) = rest.split_once('/').expect("a path");
    let mut stream = TcpStream::connect(host).expect("it listens");
    let request = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let status = answer
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (status.unwrap_or_else(|| panic!("{answer}")), answer)
}

pub(crate) fn escalation(output: &Output) -> Value {
    record(output)["data"]["escalation"].clone()
}

fn contacts(escalation: &Value) -> Vec<String> {
    let told = escalation["told"].as_array().expect("steps");
    told.iter()
        .map(|step| text(&step["contact"]).to_owned())
        .collect()
}

#[test]
fn whoever_answers_by_the_link_ends_it_and_looking_at_it_does_not() {
    let scene = Scene::new(["0s", "1s", "1h", "2h"]);
    let receiver = scene.receiver();
    let alarm = scene.alarm();
    wait_for("the second is told", || scene.told() == [1, 1, 0]);
    let (first, second) = (scene.link(0), scene.link(1));
    assert_ne!(first, second, "each has their own");
    for method in ["GET", "HEAD", "GET"] {
        let (status, page) = ask(method, &second, "");
        assert_eq!(status, 200, "{page}");
        assert!(
            page.contains("no-store") && page.contains("no-referrer"),
            "{page}"
        );
    }
    assert_eq!(ask("PUT", &second, "").0, 405);
    let (_, page) = ask("GET", &second, "");
    assert!(
        page.contains("Emergency Contact") && page.contains("method=\"post\""),
        "{page}"
    );
    for wrong in [
        &second[..second.len() - 1],
        &second.replace("/2/", "/1/"),
        &second.replace("/2/", "/3/"),
        &format!("{second}/more"),
        &format!("http://127.0.0.1:{}/", scene.port),
    ] {
        assert_eq!(ask("POST", wrong, "name=Mallory").0, 404, "{wrong}");
    }
    assert_eq!(ask("POST", &second, &"x".repeat(9000)).0, 400);
    assert!(scene.spool("acknowledged").is_empty());

    let (status, page) = ask("POST", &second, "name=Jo+%3Cb%3ESmith");
    assert_eq!(status, 200, "{page}");
    assert!(
        page.contains("Acknowledged by <b>Jo &lt;b&gt;Smith</b>"),
        "{page}"
    );
    let output = alarm.end();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let escalation = escalation(&output);
    assert_eq!(contacts(&escalation), ROLES[..2]);
    assert_eq!(escalation["end"], "acknowledged");
    assert_eq!(escalation["acknowledged"]["by"], "Jo <b>Smith");
    assert_eq!(escalation["acknowledged"]["via"], "link");
    assert_eq!(scene.told(), [1, 1, 0], "nobody else is told");
    assert_eq!(scene.team.requests().len(), 1);
    // The first answer stands, and nobody waits any more.
    let (status, page) = ask("POST", &first, "name=Late");
    assert_eq!(status, 200);
    assert!(
        page.contains("Jo &lt;b&gt;Smith") && !page.contains("Late"),
        "{page}"
    );
    assert!(scene.spool("escalations").is_empty());

    let receiver = {
        receiver.signal("TERM");
        receiver.end()
    };
    assert_eq!(receiver.status.code(), Some(0));
    let said = stderr(&receiver) + &stdout(&receiver) + &stderr(&output) + &stdout(&output);
    assert!(said.contains("acknowledged by Jo"), "{said}");
    for link in [first, second, link(&scene.team.requests()[0])] {
        let token = link.rsplit('/').next().expect("a token");
        assert!(!said.contains(token), "{said}");
    }
}

#[test]
fn everybody_is_told_in_their_turn_where_nobody_answers() {
    let scene = Scene::new(["0s", "1s", "3s", "4s"]);
    let stream = plan("pod-failure", "search") + &ended("not_restored", "fail");
    scene.bench.file("stream", &stream);
    let alarm = || scene.alarm_of("stream", "critical").end();
    let output = alarm();
    assert_eq!(output.status.code(), Some(5), "the stream's own");
    assert_eq!(record(&output)["verdict"], "fail", "{}", stderr(&output));
    let escalation = escalation(&output);
    assert_eq!(contacts(&escalation), ROLES);
    assert_eq!(escalation["end"], "unanswered");
    assert_eq!(escalation.get("acknowledged"), None);
    assert_eq!(scene.told(), [1, 1, 1]);
    let time = |number: usize| -> jiff::Timestamp {
        let time = text(&escalation["told"][number]["time"]);
        time.parse().expect("a time")
    };
    let apart = |from: usize, to: usize| time(to).duration_since(time(from)).as_millis();
    // The clock on the wall may be set meanwhile, but hardly so.
    assert!(apart(0, 1) >= 990 && apart(1, 2) >= 1990, "{escalation}");
    let said = body(&scene.contacts[2].requests()[0])["text"].to_string();
    assert!(said.contains("You are told as: Tertiary Contact"), "{said}");
    let check = record(&output)["data"]["checks"].to_string();
    assert!(check.contains("nobody has acknowledged it"), "{check}");
    // A repeat is the same alarm: nobody is told a second time.
    let output = alarm();
    assert_eq!(record(&output)["verdict"], "fail", "{}", stderr(&output));
    assert_eq!(scene.told(), [1, 1, 1]);
    assert_eq!(scene.team.requests().len(), 1);
}

#[test]
fn whoever_cannot_be_reached_is_not_waited_for() {
    let refuses = [Answer::Status("404 Not Found")];
    let scene = Scene::with(["0s", "1h", "2h", "3h"], &refuses);
    let alarm = scene.alarm();
    wait_for("the second is told", || scene.told()[1] == 1);
    alarm.signal("TERM");
    let output = alarm.end();
    assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
    assert_eq!(
        escalation(&output)["told"][0]["channels"][0]["outcome"],
        "failed"
    );
    assert_eq!(scene.told(), [1, 1, 0]);
}

#[test]
fn a_signal_ends_it_and_nobody_else_is_told() {
    for signal in ["INT", "TERM"] {
        let scene = Scene::new(["0s", "2s", "3s", "1h"]);
        let alarm = scene.alarm();
        wait_for("the first is told", || scene.told()[0] == 1);
        alarm.signal(signal);
        let output = alarm.end();
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        let escalation = escalation(&output);
        assert_eq!(escalation["end"], "stopped", "{escalation}");
        let told = scene.told();
        let flushed = scene.bench.start(&["flush"]);
        assert_eq!(stdout(&flushed), "", "nothing is carried on");
        assert_eq!(scene.told(), told);
    }
}

#[test]
fn what_a_killed_process_left_is_known_and_carried_on() {
    let scene = Scene::new(["0s", "1s", "1h", "2h"]);
    let receiver = scene.receiver();
    let alarm = scene.alarm();
    wait_for("the first is told", || scene.told()[0] == 1);
    // It may have told the second by now, or be about to.
    alarm.kill();
    receiver.kill();
    assert_eq!(scene.spool("escalations").len(), 1);
    let mut flushed = scene.bench.start(&["flush"]);
    wait_for("the second is told", || {
        if scene.told()[1] == 0 {
            flushed = scene.bench.start(&["flush"]);
        }
        scene.told()[1] > 0
    });
    assert_eq!(flushed.status.code(), Some(3), "{}", stderr(&flushed));
    let known = escalation(&flushed);
    assert_eq!(known["end"], "goes-on", "{known}");
    assert_eq!(text(&known["told"][0]["contact"]), ROLES[0]);
    // Another call tells nobody twice, and nobody before their turn.
    scene.bench.start(&["flush"]);
    assert_eq!(scene.told(), [1, 1, 0]);

    // Nobody waits at this moment, and the receiver is a new one.
    let receiver = scene.receiver();
    let (status, page) = ask("POST", &scene.link(0), "");
    assert_eq!(status, 200, "{page}");
    receiver.kill();
    let flushed = scene.bench.start(&["flush"]);
    assert_eq!(flushed.status.code(), Some(0), "{}", stderr(&flushed));
    let known = escalation(&flushed);
    assert_eq!(known["end"], "acknowledged");
    assert_eq!(known["acknowledged"]["by"], "Primary Contact");
    assert_eq!(contacts(&known), ROLES[..2]);
    assert!(scene.spool("escalations").is_empty());
    assert_eq!(scene.told(), [1, 1, 0]);
}

#[test]
fn the_same_command_goes_on_where_a_killed_one_was() {
    let scene = Scene::new(["0s", "1h", "2h", "3h"]);
    let stream = plan("pod-failure", "search") + &ended("not_restored", "fail");
    scene.bench.file("stream", &stream);
    let start = || scene.alarm_of("stream", "completed");
    let alarm = start();
    wait_for("the first is told", || scene.told()[0] == 1);
    wait_for("it is written down", || {
        let spool = scene
            .bench
            .home
            .path()
            .join(".local/state/chaos/notify/escalations");
        let text = scene
            .spool("escalations")
            .first()
            .map(|name| std::fs::read_to_string(spool.join(name)).unwrap_or_default());
        text.is_some_and(|text| text.contains(ROLES[0]))
    });
    let twin = start().end();
    let checks = record(&twin)["data"]["checks"].to_string();
    assert!(checks.contains("another process waits"), "{checks}");
    alarm.kill();
    let again = start();
    wait_for("it waits", || scene.spool("sent").len() >= 2);
    // The run ends well after all: nobody is waited for any more.
    let well = ended("completed", "pass") + &verification("pass");
    scene.bench.feed(&["completed"], &well);
    let output = again.end();
    let known = escalation(&output);
    assert_eq!(known["end"], "run-over", "{known}");
    assert_eq!(contacts(&known), ROLES[..1]);
    assert_eq!(output.status.code(), Some(5), "the stream's own");
    assert_eq!(scene.told(), [1, 0, 0]);
    assert_eq!(scene.team.requests().len(), 2, "the alarm, and the end");
}
