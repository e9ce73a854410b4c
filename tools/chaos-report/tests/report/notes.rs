//! People's own words: notes on runs, and next steps.

use serde_json::Value;

use crate::archive::archived;
use crate::fixture::Run;
use crate::{Bench, check, last, stderr, stdout};

fn open(bench: &Bench, args: &[&str]) -> Vec<Value> {
    let output = bench.run(&[&["action", "list"], args].concat(), b"");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = stdout(&output);
    let lines = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"));
    lines.collect()
}

#[test]
fn a_note_is_a_record_beside_the_run_and_changes_nothing() {
    let bench = Bench::new();
    archived(&bench, "2026-11-01", "aaaa", |_| {});
    let before: Vec<_> = bench
        .files("")
        .iter()
        .map(std::fs::read)
        .map(Result::unwrap)
        .collect();
    let output = bench.run(
        &[
            "note",
            "last",
            "--lesson",
            "Retry",
            "--improvement",
            "Retries",
        ],
        b"",
    );
    let record = last(&output);
    assert_eq!(record["schema"], "chaos.note/1", "{}", stderr(&output));
    assert_eq!(
        record["data"]["about"],
        "01981f3e-0000-7000-8000-00000000aaaa"
    );
    assert_eq!(record["data"]["lessons"][0], "Retry");
    let after = bench.files("");
    for (path, bytes) in after
        .iter()
        .filter(|path| path.to_string_lossy().contains("pod-failure"))
        .zip(before)
    {
        assert_eq!(std::fs::read(path).expect("readable"), bytes);
    }
    assert_eq!(
        bench
            .run(&["list"], b"")
            .stdout
            .split(|byte| *byte == b'\n')
            .count(),
        2
    );
    let nothing = bench.run(&["note", "last"], b"");
    assert_eq!(nothing.status.code(), Some(2));
}

#[test]
fn words_given_with_the_report_go_into_the_stream_and_the_archive() {
    let bench = Bench::new();
    let run = Run::good("2026-11-22");
    let args = [
        "--lesson",
        "Retry",
        "--next-step",
        "Do it",
        "--owner",
        "Ana",
    ];
    let output = bench.run(&args, &run.stream());
    assert_eq!(check(&output, "report.note"), "pass");
    let text = stdout(&output);
    assert!(text.as_bytes().starts_with(&run.stream()));
    let note = text.lines().rev().nth(1).expect("a line before the last");
    let note: Value = serde_json::from_str(note).expect("a record");
    assert_eq!(note["schema"], "chaos.note/1");
    assert_eq!(open(&bench, &["--owner", "Ana"]).len(), 1);
    let shown = stdout(&bench.run(&["show", "last"], b""));
    assert!(shown.contains("- next step: Do it, Ana ("), "{shown}");
}

#[test]
fn next_steps_are_written_down_listed_and_done_once() {
    let bench = Bench::new();
    let add = [
        "action",
        "add",
        "Raise the limit",
        "--owner",
        "Bo",
        "--due",
        "2020-01-01",
    ];
    assert_eq!(bench.run(&add, b"").status.code(), Some(0));
    bench.run(&["action", "add", "Later", "--due", "2999-01-01"], b"");
    let found = open(&bench, &[]);
    assert_eq!(found.len(), 2);
    assert_eq!(
        (&found[0]["text"], &found[0]["late"]),
        (&"Raise the limit".into(), &true.into())
    );
    let id = found[0]["id"].as_str().expect("an id");
    let done = |id: &str| {
        let args = ["action", "done", id, "--improvement", "The limit is 2 s"];
        bench.run(&args, b"")
    };
    assert_eq!(done(&id[id.len() - 8..]).status.code(), Some(0));
    assert_eq!(open(&bench, &[]).len(), 1);
    assert_eq!(open(&bench, &["--all"]).len(), 2);
    let again = done(id);
    assert_eq!(again.status.code(), Some(2));
    assert!(stderr(&again).contains("was done by"), "{}", stderr(&again));
    assert_eq!(done("00000000").status.code(), Some(2));
}
