//! The binary as its users meet it: streams in, files and streams out.

mod archive;
mod browser;
mod crashes;
mod database;
mod experiment;
mod fixture;
mod formats;
#[path = "../../../../common/tests/free_port/mod.rs"]
mod free_port;
mod monthly;
#[path = "../../../../common/tests/needs/mod.rs"]
mod needs;
mod notes;
mod real;
mod review;
mod saving;
mod server;
mod trace;
mod upkeep;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder for one test, and the tool run in it with an environment of its own.
struct Bench {
    home: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            home: tempfile::tempdir().expect("a temporary folder"),
        }
    }

    fn archive(&self) -> PathBuf {
        self.home.path().join("archive")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_chaos-report"));
        command.args(args).arg("--archive").arg(self.archive());
        command
            .env_clear()
            .env("HOME", self.home.path())
            .current_dir(self.home.path());
        command
    }

    fn run(&self, args: &[&str], input: &[u8]) -> Output {
        feed(self.command(args), input)
    }

    /// The archive's files with this ending, in order.
    fn files(&self, ending: &str) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.archive())
            .map(|entries| {
                entries
                    .map(|entry| entry.expect("readable").path())
                    .collect()
            })
            .unwrap_or_default();
        files.retain(|path| path.to_string_lossy().ends_with(ending));
        files.sort();
        files
    }

    fn only(&self, ending: &str) -> String {
        let files = self.files(ending);
        assert_eq!(files.len(), 1, "{files:?}");
        read(&files[0])
    }
}

/// Runs a command with this on standard input.
fn feed(mut command: Command, input: &[u8]) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the tool can be started");
    let mut stdin = child.stdin.take().expect("a pipe");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().expect("the tool ends");
    writer.join().expect("the writer ends");
    output
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).expect("readable UTF-8")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The last record of what a tool wrote.
fn last(output: &Output) -> serde_json::Value {
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text
        .lines()
        .last()
        .unwrap_or_else(|| panic!("no output; stderr: {}", stderr(output)));
    serde_json::from_str(line).expect("the last line is a record")
}

/// The status of one check of the last record.
fn check(output: &Output, id: &str) -> String {
    let record = last(output);
    let checks = record["data"]["checks"].as_array().expect("checks");
    let found = checks
        .iter()
        .find(|check| check["id"] == id)
        .unwrap_or_else(|| panic!("no {id} in {record}"));
    found["status"].as_str().expect("a status").to_owned()
}
