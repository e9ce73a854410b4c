//! The binary as its users meet it, with servers on the loopback interface that behave and
//! misbehave.

mod acknowledgement;
mod certificates;
mod channels;
mod clock;
mod configuration;
mod delivery;
mod environment;
mod escalation;
mod follow;
#[path = "../../../../common/tests/free_port/mod.rs"]
mod free_port;
mod http;
mod kill;
mod mail;
mod matrix;
mod messages;
#[path = "../../../../common/tests/needs/mod.rs"]
mod needs;
mod proxies;
mod real_alertmanager;
mod real_smtp;
mod secrets;
mod silence;
mod smtp;
mod spool;
mod webhooks;

use std::ffi::OsStr;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;

use serde_json::{Value, json};

/// Whether a name is that of a file of the spool. A process that is killed while it writes leaves a part, which is none.
fn is_whole(name: &OsStr) -> bool {
    Path::new(name).extension().is_none_or(|it| it != "part")
}

const CONTACTS: &str = r#"
[[contact]]
role = "Primary Contact"
name = "Engineering Team Lead"
phone = "+1-555-0123"
[[contact]]
role = "Emergency Contact"
name = "On-call Engineer"
phone = "+1-555-0126"
"#;

/// A folder for one test, and the tool run in it with an environment of its own.
struct Bench {
    home: tempfile::TempDir,
}

impl Bench {
    /// A bench with this configuration, and the contacts.
    fn new(config: &str) -> Bench {
        let home = tempfile::tempdir().expect("a temporary folder");
        secrets::watch_processes();
        let bench = Bench { home };
        bench.file("chaos.toml", &format!("{config}{CONTACTS}"));
        bench
    }

    /// Writes a file, for example a secret.
    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.home.path().join(name), text).expect("writable");
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chaos-notify"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
            .current_dir(self.home.path());
        command
    }

    /// Runs the tool with nothing on standard input.
    fn start(&self, args: &[&str]) -> Output {
        let output = self.command(args).stdin(Stdio::null()).output();
        let output = output.expect("the tool ends");
        secrets::clean(&output);
        output
    }

    /// Runs the tool with this stream.
    fn feed(&self, args: &[&str], stream: &str) -> Output {
        feed(self.command(args), stream)
    }

    /// The names of the messages that wait in the spool.
    fn outbox(&self) -> Vec<String> {
        let folder = self.home.path().join(".local/state/chaos/notify/outbox");
        let Ok(entries) = std::fs::read_dir(folder) else {
            return Vec::new();
        };
        let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("readable").file_name();
        let mut names: Vec<String> = entries
            .map(name)
            .filter(|name| is_whole(name))
            .map(|name| name.to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        // What the tool keeps holds no secret, and neither do its arguments.
        let kept = secrets::files(&self.home.path().join(".local"));
        assert!(kept.is_empty(), "a secret is kept in {kept:?}");
        secrets::watch_processes();
    }
}

/// Runs a command with this on standard input.
fn feed(mut command: Command, input: &str) -> Output {
    let child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.expect("the tool can be started");
    // A tool that ends before it has read everything is one of the cases.
    let _ = child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes());
    let output = child.wait_with_output().expect("the tool ends");
    secrets::clean(&output);
    output
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The data of the last record of what a tool wrote.
fn record(output: &Output) -> Value {
    let text = stdout(output);
    let line = text
        .lines()
        .last()
        .unwrap_or_else(|| panic!("no output; stderr: {}", stderr(output)));
    serde_json::from_str(line).expect("the last line is a record")
}

/// The result of the only channel.
fn channel(output: &Output) -> Value {
    let record = record(output);
    let channels = record["data"]["channels"].as_array().expect("channels");
    assert_eq!(channels.len(), 1, "{record}");
    channels[0].clone()
}

/// A text of a value.
fn text(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is no text"))
}

/// A record of a stream.
fn line(kind: &str, clock: &str, verdict: &str, summary: &str, data: &Value) -> String {
    let record = json!({
        "schema": format!("chaos.{kind}/1"), "id": clock, "run": "run-1", "time": format!("2026-11-22T{clock}Z"),
        "tool": "chaos-test 0.1.0", "verdict": verdict, "summary": summary, "data": data,
    });
    format!("{record}\n")
}

/// The plan of an experiment, as a stream.
fn plan(experiment: &str, workload: &str) -> String {
    let plan = json!({
        "experiment": experiment, "cluster": {"id": "c", "context": "test-cluster", "server": "s"},
        "namespace": "shop", "digest": "abc123",
        "targets": [{
            "kind": "Pod", "namespace": "shop", "name": "a", "uid": "u",
            "owner": {"kind": "Deployment", "namespace": "shop", "name": workload}
        }],
        "calls": [], "blast_radius": [], "alerts": ["ShopDown", "ShopSlow"], "undo": "",
        "undo_commands": ["kubectl rollout undo deployment/search"], "worst_case_ms": 90000,
        "permissions": [], "checks": [],
    });
    line("plan", "16:00:00.000", "pass", "s", &plan)
}

/// How an experiment ended.
fn experiment(outcome: &str) -> Value {
    json!({
        "experiment": "pod-failure", "outcome": outcome, "reason": "the probes failed", "namespace": "shop",
        "executor": "ops@laptop", "targets": [], "started": "2026-11-22T16:00:00.000Z",
        "ended": "2026-11-22T16:00:12.345Z", "duration_ms": 12345, "checks": [],
        "recoveries": [{
            "deleted": {"name": "a", "uid": "u"}, "owner": {"kind": "Deployment", "namespace": "shop", "name": "search"},
            "phases": {}, "recovery_ms": 1149.0, "error_bound_ms": 1.0
        }],
        "availability": [{
            "service": "backend", "path": "/health", "vantage": "direct", "interval_ms": 100, "requests": 100,
            "good": 90, "missed": 0, "percent": 90.0, "longest_gap_ms": 1000.0, "errors": []
        }],
        "actions": ["deleted pod/a", "watched pod/b"], "issues": ["backend did not answer"],
    })
}

/// The record of an experiment, as a stream.
fn ended(outcome: &str, verdict: &str) -> String {
    line(
        "experiment",
        "16:00:12.345",
        verdict,
        "s",
        &experiment(outcome),
    )
}

fn verification(verdict: &str) -> String {
    let data = json!({
        "cluster": {"id": "c", "server": "s"}, "namespace": "shop", "since": "2026-11-22T16:00:00.000Z", "checks": [],
        "state": {"workloads": [], "services": [], "nodes": []}, "configuration": [], "answers": [],
        "log_errors": [], "timings": [],
    });
    line(
        "verification",
        "16:00:30.000",
        verdict,
        "9 of 9 checks pass",
        &data,
    )
}
