//! The binary as its users meet it, with servers on the loopback interface that behave and
//! misbehave.

mod http;
mod mail;
mod messages;
mod smtp;
mod webhooks;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

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
        std::fs::write(
            home.path().join("chaos.toml"),
            format!("{config}{CONTACTS}"),
        )
        .expect("writable");
        Bench { home }
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
        self.command(args)
            .stdin(Stdio::null())
            .output()
            .expect("the tool ends")
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
    child
        .stdin
        .take()
        .expect("a pipe")
        .write_all(input.as_bytes())
        .expect("the tool reads");
    child.wait_with_output().expect("the tool ends")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The data of the last record of what a tool wrote.
fn record(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
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

/// A record of a stream.
fn line(kind: &str, clock: &str, verdict: &str, summary: &str, data: &Value) -> String {
    let record = json!({
        "schema": format!("chaos.{kind}/1"), "id": clock, "run": "run-1", "time": format!("2026-11-22T{clock}Z"),
        "tool": "chaos-test 0.1.0", "verdict": verdict, "summary": summary, "data": data,
    });
    format!("{record}\n")
}
