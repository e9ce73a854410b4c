//! Running the built tools. A test says what it runs and what it expects; when that fails, command,
//! input, both outputs and status are shown.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::schedule::{Hold, Needs};

/// How long is waited for what must come about: long enough for a machine that is busy with
/// something else as well.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// Asks again and again until there is an answer.
#[track_caller]
pub fn until<T>(what: &str, mut answer: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(Instant::now() < end, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// The folder of the built tools: two above this test's own program.
pub fn bin() -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its program");
    let folder = test
        .ancestors()
        .nth(2)
        .expect("a test is in target/PROFILE/deps")
        .to_owned();
    assert!(
        folder.join("chaos-inject").exists(),
        "no tools in {}; run cargo build --workspace --bins first",
        folder.display()
    );
    folder
}

/// A place of a test's own: home, state and configuration are in it, and nothing of the user's is
/// seen.
#[derive(Debug)]
pub struct Place {
    home: tempfile::TempDir,
    env: Vec<(OsString, OsString)>,
    /// What its test has taken, until its folder is gone.
    hold: Option<Hold>,
}

impl Default for Place {
    fn default() -> Place {
        Place::new()
    }
}

impl Place {
    /// An empty one.
    pub fn new() -> Place {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        let path = std::env::join_paths([
            bin(),
            "/usr/local/bin".into(),
            "/usr/bin".into(),
            "/bin".into(),
        ]);
        let env = vec![
            ("PATH".into(), path.expect("these paths can be joined")),
            ("HOME".into(), home.path().into()),
        ];
        let hold = None;
        Place { home, env, hold }
    }

    /// An empty one, of a test that waits until it can have what it needs.
    pub fn needing(needs: Needs) -> Place {
        let hold = Hold::take(needs);
        Place {
            hold: Some(hold),
            ..Place::new()
        }
    }

    /// What its test has taken.
    pub fn hold(&self) -> Option<&Hold> {
        self.hold.as_ref()
    }

    /// Its folder.
    pub fn path(&self) -> &Path {
        self.home.path()
    }

    /// The same place with an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Place {
        self.env.push((name.into(), value.as_ref().into()));
        self
    }

    /// Writes a file and gives its path.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it is in the place"))
            .expect("a folder can be made");
        std::fs::write(&path, text).expect("a file can be written");
        path
    }

    /// A command in this place.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path());
        command
    }

    /// Runs a tool with nothing on standard input.
    pub fn tool(&self, name: &str, args: &[&str]) -> Ran {
        self.run(name, args, None)
    }

    /// Runs a tool with `input` on a pipe to its standard input.
    pub fn fed(&self, name: &str, args: &[&str], input: &str) -> Ran {
        self.run(name, args, Some(input))
    }

    /// Runs a line of bash with `pipefail`.
    pub fn shell(&self, line: &str) -> Ran {
        self.run("bash", &["-o", "pipefail", "-c", line], None)
    }

    fn run(&self, name: &str, args: &[&str], input: Option<&str>) -> Ran {
        let mut command = self.command(name);
        command
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.stdin(if input.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name}: {error}"));
        if let (Some(text), Some(mut stdin)) = (input.map(str::to_owned), child.stdin.take()) {
            // A tool that ends early does not read it all; that is not this thread's business.
            std::thread::spawn(move || drop(stdin.write_all(text.as_bytes())));
        }
        let output = child
            .wait_with_output()
            .unwrap_or_else(|error| panic!("cannot wait for {name}: {error}"));
        Ran {
            command: format!("{name} {}", args.join(" ")),
            input: input.unwrap_or_default().to_owned(),
            output,
        }
    }
}

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    command: String,
    input: String,
    output: Output,
}

/// What a tool says where this machine was too busy for what it wanted to know: to ask the Services in time, for
/// them or the API server between to answer in time, to make a load, and for the metrics API to measure.
const BUSY: [&str; 7] = [
    "questions could not be asked: after",
    "no answer in 5000 ms",
    "did not answer in 5000 ms either",
    "requests left this machine too late",
    "the load generator stood still for",
    "this machine can't make such a load now",
    "unknown: the metrics API has no figures for it",
];

/// Looks, or runs an experiment, up to six times while this machine is too busy: what came of it can't be told then,
/// as the tool says, and it has to be made again.
pub fn in_time(mut run: impl FnMut() -> Ran) -> Ran {
    for _ in 0..5 {
        let ran = run();
        if !ran.is_late() {
            return ran;
        }
        // With the output of the test, if that fails.
        println!("made again, for the machine was busy:\n{}", ran.stderr());
    }
    run()
}

impl Ran {
    /// Its standard output.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.output.stdout).into_owned()
    }

    /// Its standard error.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.output.stderr).into_owned()
    }

    /// It says that this machine was too busy, on standard error or in a check that does not pass.
    fn is_late(&self) -> bool {
        let is_busy = |text: &str| BUSY.iter().any(|words| text.contains(words));
        let has_late_check = |line: &str| {
            let record: Value = serde_json::from_str(line).unwrap_or_default();
            let mut messages = bad_checks(&record).filter_map(|check| check["message"].as_str());
            messages.any(is_busy)
        };
        is_busy(&self.stderr()) || self.stdout().lines().any(has_late_check)
    }

    /// Expects this exit status, and no panic.
    #[track_caller]
    pub fn exits(self, status: i32) -> Ran {
        assert!(!self.stderr().contains("panicked"), "{}", self.show());
        assert_eq!(self.output.status.code(), Some(status), "{}", self.show());
        self
    }

    /// Its exit status, whatever it is; `None` if a signal ended it.
    pub fn exits_any(&self) -> Option<i32> {
        self.output.status.code()
    }

    /// Expects these words on standard error.
    #[track_caller]
    pub fn says(self, words: &str) -> Ran {
        assert!(
            self.stderr().contains(words),
            "expected {words:?} on stderr\n{}",
            self.show()
        );
        self
    }

    /// Expects these words on standard output.
    #[track_caller]
    pub fn prints(self, words: &str) -> Ran {
        assert!(
            self.stdout().contains(words),
            "expected {words:?} on stdout\n{}",
            self.show()
        );
        self
    }

    /// The records on standard output, each read strictly.
    #[track_caller]
    pub fn records(&self) -> Vec<Value> {
        let read = |line: &str| match super::strict::read(line) {
            Ok(value) => value,
            Err(why) => panic!("{why}\nline: {line}\n{}", self.show()),
        };
        self.stdout().lines().map(read).collect()
    }

    /// The last record of a kind.
    #[track_caller]
    pub fn record(&self, schema: &str) -> Value {
        let last = self
            .records()
            .into_iter()
            .rfind(|record| record["schema"] == schema);
        last.unwrap_or_else(|| panic!("no {schema}\n{}", self.show()))
    }

    /// All of it, for a failed test.
    pub fn show(&self) -> String {
        let mut text = format!(
            "command: {}\nstatus: {:?}\n",
            self.command,
            self.output.status.code()
        );
        for (name, part) in [
            ("stdin", &self.input),
            ("stdout", &self.stdout()),
            ("stderr", &self.stderr()),
        ] {
            let _ = writeln!(text, "--- {name}\n{part}");
        }
        // Last, as the middle of a long text is what is cut from a log.
        for line in self.stdout().lines() {
            let record: Value = serde_json::from_str(line).unwrap_or_default();
            for check in bad_checks(&record) {
                let _ = writeln!(text, "--- {}: {check}", record["schema"]);
            }
        }
        text
    }
}

/// The checks of a record that neither pass, nor warn, nor were skipped; none of what is no record.
pub fn bad_checks(record: &Value) -> impl Iterator<Item = &Value> {
    let bad = |check: &&Value| matches!(check["status"].as_str(), Some("fail" | "unknown"));
    let checks = record["data"]["checks"].as_array();
    checks.into_iter().flatten().filter(bad)
}

/// The check of this id (and object, if one is given) in a record.
#[track_caller]
pub fn check<'a>(record: &'a Value, id: &str, object: &str) -> &'a Value {
    let checks = record["data"]["checks"]
        .as_array()
        .unwrap_or_else(|| panic!("no checks in {record}"));
    let found = checks
        .iter()
        .find(|check| check["id"] == id && (object.is_empty() || check["object"] == object));
    found.unwrap_or_else(|| panic!("no check {id} {object} in {record:#}"))
}
