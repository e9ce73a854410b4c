//! No secret shows: every secret of these tests is a marker, and every bench looks for it in what the
//! tool says, in what it keeps, and in the list of processes.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};
use std::thread;
use std::time::Duration;

use crate::Bench;
use crate::escalation::wait_for;
use crate::http::{Answer, Server};

/// What every secret of the tests holds; and the key of webhooks, which must be base64.
const MARKERS: [&str; 2] = ["SECRET", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"];

/// A variable's name is no secret.
const NAMES: [&str; 1] = ["WEBHOOK_SECRET"];

/// How often a process of the tool was looked at, and the first argument that held a secret.
static LOOKS: AtomicUsize = AtomicUsize::new(0);
static FOUND: Mutex<Option<String>> = Mutex::new(None);

fn holds(text: &str) -> bool {
    let mut text = text.to_owned();
    for name in NAMES {
        text = text.replace(name, "");
    }
    MARKERS.iter().any(|marker| text.contains(marker))
}

/// Fails where the tool says a secret.
pub(crate) fn clean(output: &Output) {
    for said in [&output.stdout, &output.stderr] {
        let said = String::from_utf8_lossy(said);
        assert!(!holds(&said), "a secret shows: {said}");
    }
}

/// The files below a folder that hold a secret.
pub(crate) fn files(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else if fs::read(&path).is_ok_and(|bytes| holds(&String::from_utf8_lossy(&bytes))) {
            found.push(path.display().to_string());
        }
    }
    found
}

/// Looks at the arguments of the tool's processes, as long as the tests run.
pub(crate) fn watch_processes() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        thread::spawn(|| {
            loop {
                look_at_processes();
                thread::sleep(Duration::from_millis(20));
            }
        });
    });
    let found = FOUND.lock().expect("no panic in the watcher");
    assert!(found.is_none(), "an argument holds a secret: {found:?}");
}

fn look_at_processes() {
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        let arguments = String::from_utf8_lossy(&arguments);
        if !arguments.starts_with(env!("CARGO_BIN_EXE_chaos-notify")) {
            continue;
        }
        LOOKS.fetch_add(1, Ordering::Relaxed);
        if holds(&arguments) {
            let mut found = FOUND.lock().expect("no panic in the watcher");
            *found = Some(arguments.into_owned());
        }
    }
}

#[test]
fn the_search_finds_what_is_there() {
    assert!(holds("x hunter2-SECRET y"));
    assert!(!holds("the environment variable WEBHOOK_SECRET is not set"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::create_dir(folder.path().join("inner")).expect("writable");
    fs::write(folder.path().join("inner/a"), b"\xffSECRET").expect("writable");
    assert_eq!(files(folder.path()).len(), 1);
    // The processes of the tool are seen while they run.
    let server = Server::new(&[Answer::Hang]);
    let bench = Bench::new("[notify.slack]\nwebhook = { file = \"hook\" }\n");
    bench.file("hook", &server.url());
    let mut child = bench.command(&["test"]);
    let child = child.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let mut child = child.expect("it starts");
    let before = LOOKS.load(Ordering::Relaxed);
    wait_for("it is seen", || LOOKS.load(Ordering::Relaxed) > before);
    child.kill().expect("it runs");
    child.wait().expect("it ends");
}

#[test]
fn a_crash_leaves_no_core_that_could_hold_one() {
    let dumps = |shell: &str| {
        let shell = format!("ulimit -c unlimited; {shell}");
        let mut command = Command::new("sh");
        command.args(["-c", &shell]).stdout(Stdio::null());
        command
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    let control = dumps("kill -ABRT $$").current_dir(folder.path()).status();
    if !control.expect("sh is there").core_dumped() {
        crate::needs::skipped("this machine writes no cores");
        return;
    }
    let server = Server::new(&[Answer::Hang]);
    let bench = Bench::new("[notify.slack]\nwebhook = { file = \"hook\" }\n");
    bench.file("hook", &server.url());
    let tool = env!("CARGO_BIN_EXE_chaos-notify");
    let mut command = dumps(&format!("exec {tool} scheduled --experiment x </dev/null"));
    let command = command
        .env_clear()
        .env("HOME", bench.home.path())
        .current_dir(bench.home.path());
    let mut child = command.spawn().expect("it starts");
    wait_for("it sends", || !server.requests().is_empty());
    let kill = format!("kill -ABRT {}", child.id());
    let killed = Command::new("sh").args(["-c", &kill]).status();
    assert!(killed.expect("sh is there").success());
    let status = child.wait().expect("it ends");
    assert_eq!(status.signal(), Some(6));
    assert!(!status.core_dumped());
}
