//! A real Alertmanager: exactly the alerts that the plan expects are silenced, no longer than the run
//! takes.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use chaos_common::record::Time;
use serde_json::{Value, json};

use crate::escalation::wait_for;
use crate::free_port::free_port;
use crate::{Bench, channel, ended, plan, stderr, stdout, verification};

const ALERTMANAGER: &str = "/usr/bin/prometheus-alertmanager";

const CONFIG: &str = "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n";

struct Alertmanager {
    process: Child,
    port: u16,
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Alertmanager {
    fn new(bench: &Bench) -> Alertmanager {
        bench.file("alertmanager.yml", CONFIG);
        let port = free_port();
        let process = Command::new(ALERTMANAGER)
            .args(["--config.file=alertmanager.yml", "--storage.path=data"])
            .args([
                format!("--web.listen-address=127.0.0.1:{port}"),
                "--cluster.listen-address=".to_owned(),
            ])
            .current_dir(bench.home.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let process = process.expect("it starts");
        let alertmanager = Alertmanager { process, port };
        wait_for("Alertmanager is ready", || {
            alertmanager
                .ask("GET", "/-/ready", None)
                .is_some_and(|(status, _)| status == 200)
        });
        alertmanager
    }

    /// Status and body of an answer; nothing where nobody listens.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut request = format!(
            "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        );
        let _ = write!(request, "Content-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(request.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let (_, body) = answer.split_once("\r\n\r\n")?;
        Some((status, body.to_owned()))
    }

    fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, None).expect("it answers");
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).expect("JSON")
    }

    /// Each alert that is silenced, as `NAME@NAMESPACE`.
    fn silenced(&self) -> Vec<String> {
        let alerts = self.get("/api/v2/alerts");
        let silenced = alerts.as_array().expect("alerts").iter();
        let silenced = silenced.filter(|alert| alert["status"]["state"] == "suppressed");
        let name = |alert: &Value| {
            let label = |name: &str| alert["labels"][name].as_str().unwrap_or("-").to_owned();
            format!("{}@{}", label("alertname"), label("namespace"))
        };
        let mut names: Vec<String> = silenced.map(name).collect();
        names.sort();
        names
    }

    fn active_silences(&self) -> usize {
        let silences = self.get("/api/v2/silences");
        let all = silences.as_array().expect("silences").iter();
        all.filter(|silence| silence["status"]["state"] == "active")
            .count()
    }
}

#[test]
fn the_plans_alerts_are_silent_while_the_run_takes_and_no_others() {
    if !Path::new(ALERTMANAGER).exists() {
        crate::needs::skipped("Alertmanager is not installed (scripts/setup.sh installs it)");
        return;
    }
    let bench = Bench::new("");
    let alertmanager = Alertmanager::new(&bench);
    let url = format!("http://127.0.0.1:{}", alertmanager.port);
    bench.file(
        "chaos.toml",
        &format!("[notify.alertmanager]\nurl = \"{url}\"\n"),
    );
    let alert = |name: &str, namespace: Option<&str>| {
        let mut labels = json!({ "alertname": name });
        if let Some(namespace) = namespace {
            labels["namespace"] = json!(namespace);
        }
        json!({ "labels": labels })
    };
    let firing = json!([
        alert("ShopDown", Some("shop")),
        alert("ShopDown", Some("shop-2")),
        alert("ShopSlow", None),
        alert("NodeDown", Some("shop")),
        alert("ShopDownForLong", Some("shop")),
    ]);
    let posted = alertmanager.ask("POST", "/api/v2/alerts", Some(&firing));
    assert_eq!(posted.expect("it answers").0, 200);
    assert!(alertmanager.silenced().is_empty());

    let now = Time::now().to_string();
    let announce = ["scheduled", "--at", &now];
    let announced = bench.feed(&announce, &plan("pod-failure", "search"));
    assert_eq!(announced.status.code(), Some(0), "{}", stderr(&announced));
    let expected = ["ShopDown@shop", "ShopSlow@-"];
    wait_for("they are silent", || alertmanager.silenced() == expected);
    // A repetition makes none a second time.
    let again = [&announce[..], &["--again"]].concat();
    bench.feed(&again, &plan("pod-failure", "search"));
    assert_eq!(alertmanager.active_silences(), 2);

    let stream = stdout(&announced) + &ended("aborted", "fail") + &verification("pass");
    let aborted = bench.feed(&["aborted"], &stream);
    assert_eq!(channel(&aborted)["outcome"], "sent", "{}", stderr(&aborted));
    wait_for("they are heard", || alertmanager.silenced().is_empty());
    assert_eq!(alertmanager.active_silences(), 0);
}
