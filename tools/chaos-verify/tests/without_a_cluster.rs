//! The binary where there is no cluster: it says so, passes the stream on, and never calls it good.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

const HEALTH: &str = r#"{"schema":"chaos.health/1","id":"1","run":"the-run","time":"2026-11-22T16:00:00.123Z","tool":"chaos-health 0.1.0","verdict":"pass","summary":"s","data":{"cluster":{"id":"a","server":"https://a"},"namespace":"shop","checks":[],"state":{"workloads":[],"services":[],"nodes":[]}}}"#;
const FOREIGN: &str = r#"{"hello":  "wörld", "schema":"acme.thing/7"}"#;
const NOBODY: &str = "127.0.0.1:1";

/// A folder with a kubeconfig to a port where nobody listens.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let kubeconfig = format!(
        "{{apiVersion: v1, kind: Config, current-context: c, contexts: [{{name: c, context: {{cluster: k, user: u}}}}],
          clusters: [{{name: k, cluster: {{server: 'https://{NOBODY}'}}}}], users: [{{name: u, user: {{token: hunter2}}}}]}}"
    );
    std::fs::write(folder.path().join("kubeconfig"), kubeconfig).expect("room on the disk");
    folder
}

fn run(home: &Path, args: &[&str], input: Option<&str>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_chaos-verify"));
    command
        .args(args)
        .env_clear()
        .env("HOME", home)
        .env("KUBECONFIG", home.join("kubeconfig"))
        .current_dir(home);
    let stdin = if input.is_some() {
        Stdio::piped()
    } else {
        Stdio::null()
    };
    let mut child = command
        .stdin(stdin)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built for this test");
    if let (Some(input), Some(mut stdin)) = (input, child.stdin.take()) {
        // A tool that ends on bad usage need not read.
        let _ = stdin.write_all(input.as_bytes());
    }
    child.wait_with_output().expect("it ends")
}

/// The records on standard output; and that nothing panicked and no secret shows.
#[track_caller]
fn records(output: &Output) -> Vec<Value> {
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(!err.contains("panicked"), "{err}");
    assert!(
        !out.contains("hunter2") && !err.contains("hunter2"),
        "{out}{err}"
    );
    out.lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect()
}

fn check<'a>(record: &'a Value, id: &str) -> &'a Value {
    let checks = record["data"]["checks"].as_array().expect("checks");
    checks
        .iter()
        .find(|check| check["id"] == id)
        .unwrap_or_else(|| panic!("no {id} in {checks:?}"))
}

#[test]
fn a_baseline_of_an_unreachable_cluster_is_unknown_and_names_the_server() {
    let home = folder();
    let output = run(home.path(), &["baseline", "-n", "shop"], None);
    let records = records(&output);
    let last = records.last().expect("a result");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        (&last["schema"], &last["verdict"]),
        (&"chaos.baseline/1".into(), &"unknown".into())
    );
    assert!(
        check(last, "cluster.reachable")
            .to_string()
            .contains(NOBODY),
        "{last}"
    );
}

#[test]
fn a_verification_of_an_unreachable_cluster_is_unknown_in_every_part() {
    let home = folder();
    let output = run(
        home.path(),
        &["-n", "shop", "--wait", "0s"],
        Some(&format!("{HEALTH}\n")),
    );
    let records = records(&output);
    let last = records.last().expect("a result");
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(
        (&last["schema"], &last["verdict"]),
        (&"chaos.verification/1".into(), &"unknown".into())
    );
    for id in [
        "stream.baseline",
        "recovery.time",
        "recovery.cluster.reachable",
        "data",
        "performance",
    ] {
        assert_eq!(check(last, id)["status"], "unknown", "{id}");
    }
    assert!(
        check(last, "recovery.cluster.reachable")
            .to_string()
            .contains(NOBODY),
        "{last}"
    );
}

#[test]
fn without_a_stream_it_asks_for_one() {
    let home = folder();
    let output = run(home.path(), &["-n", "shop", "--wait", "0s"], None);
    let records = records(&output);
    let last = records.last().expect("a result");
    for id in ["stream.health", "stream.baseline"] {
        assert!(
            check(last, id)["hint"]
                .as_str()
                .is_some_and(|hint| hint.contains("stream of a run")),
            "{last}"
        );
    }
}

#[test]
fn the_stream_passes_byte_for_byte_and_keeps_its_run() {
    let home = folder();
    let input = format!("{HEALTH}\n{FOREIGN}\n{HEALTH}\n");
    for args in [
        &["baseline", "-n", "shop"][..],
        &["-n", "shop", "--wait", "0s"],
    ] {
        let output = run(home.path(), args, Some(&input));
        assert!(
            output.stdout.starts_with(input.as_bytes()),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
        let records = records(&output);
        assert_eq!(records.last().expect("a result")["run"], "the-run");
    }
}

#[test]
fn a_broken_stream_is_a_check_of_its_own() {
    let home = folder();
    let output = run(
        home.path(),
        &["-n", "shop", "--wait", "0s"],
        Some(&format!("{HEALTH}\nNAME READY\n")),
    );
    let out = String::from_utf8_lossy(&output.stdout);
    let last: Value = serde_json::from_str(out.lines().last().expect("a result")).expect("JSON");
    assert_eq!(check(&last, "stream.upstream")["status"], "unknown");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn bad_usage_ends_with_2_and_writes_no_record() {
    let home = folder();
    std::fs::write(
        home.path().join("bad.toml"),
        "[database]\npassword = \"hunter2\"\n",
    )
    .expect("room on the disk");
    for args in [
        &["--no-such-flag"][..],
        &["-n", "Not A Name"],
        &[],
        &["-n", "shop", "--wait", "soon"],
        &["--wait", "1s", "baseline", "-n", "shop"],
        &["-n", "shop", "--context", "no-such-context"],
        &["-n", "shop", "--config", "bad.toml"],
        &["-n", "shop", "--config", "missing.toml"],
    ] {
        let output = run(home.path(), args, None);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{args:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert_eq!(records(&output).len(), 0, "{args:?}");
        assert!(!output.stderr.is_empty(), "{args:?}");
    }
}
