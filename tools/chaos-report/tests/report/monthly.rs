//! The report of a month.

use chaos_common::record::Check;

use crate::fixture::{Run, recovery};
use crate::{Bench, check, last, read, stderr};

fn archived(bench: &Bench, day: &str, id: &str, change: impl Fn(&mut Run)) {
    let mut run = Run::good(day);
    run.id = format!("01981f3e-0000-7000-8000-{id:0>12}");
    change(&mut run);
    bench.run(&[], &run.stream());
}

/// Makes the report as cron would, with nothing on standard input.
fn make(bench: &Bench) -> std::process::Output {
    let mut command = bench.command(&["monthly", "--month", "2026-11"]);
    command
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the tool ends")
}

fn monthly(bench: &Bench) -> String {
    read(&bench.archive().join("monthly-2026-11.md"))
}

#[test]
fn a_month_is_counted_from_the_stored_streams() {
    let bench = Bench::new();
    let lost = |s: &mut Run| {
        s.verification()
            .checks
            .push(Check::fail("data.rows", "users", "2 rows lost"));
    };
    let kept = |s: &mut Run| {
        s.verification()
            .checks
            .push(Check::pass("data.rows", "users", "as before"));
    };
    archived(&bench, "2026-10-31", "1", lost);
    archived(&bench, "2026-11-01", "2", kept);
    archived(&bench, "2026-11-02", "3", |s| {
        s.experiment().recoveries = vec![recovery("backend", Some(6200.0))];
    });
    archived(&bench, "2026-11-03", "4", |s| s.verification = None);
    archived(&bench, "2026-11-04", "5", |s| {
        (s.plan, s.experiment) = (None, None);
    });
    archived(&bench, "2026-12-01", "6", |_| {});
    for file in bench.files(".md") {
        std::fs::remove_file(file).expect("removable");
    }
    let output = make(&bench);
    let text = monthly(&bench);
    for line in [
        "- **Total Experiments**: 3",
        "- **Successful Experiments**: 2",
        "- **Failed Experiments**: 0",
        "- **Neither**: 1 unknown",
        "- **Success Rate**: 100 % (2 of 2 with an answer; 95 % interval 34 to 100 %)",
        "- **Average Recovery Time**: 4.9 s (median 4.2 s, slowest 6.2 s, of 3 runs; too few runs for an interval)",
        "- **Issues Discovered**: 0 checks began to fail, 1 that had failed passes again, 0 fail still; the runs tell of 0 issues",
        "- **Improvements Implemented**: pod-failure: data.rows users failed before and passes since 2026-11-01",
        "- **Success Rate Trend**: too few to compare: 2 experiments with an answer after 1, of 8 needed on each side",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is not in\n{text}"
        );
    }
    assert!(
        text.contains(
            "- **Streams without an experiment**: 20261104T160001Z-unknown-00000005.ndjson"
        ),
        "{text}"
    );
    let record = last(&output);
    assert_eq!(
        (&record["data"]["form"], &record["data"]["subject"]),
        (&"monthly".into(), &"2026-11".into())
    );
    assert!(
        record["data"]["location"]
            .as_str()
            .expect("a path")
            .ends_with("monthly-2026-11.md")
    );
}

#[test]
fn a_month_without_experiments_says_so() {
    let bench = Bench::new();
    let output = make(&bench);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(monthly(&bench).contains("- **Success Rate**: not known: no experiments\n"));
    assert_eq!(
        last(&output)["data"]["findings"][0],
        "No experiments in 2026-11"
    );
}

#[test]
fn damaged_streams_are_counted_and_named() {
    let bench = Bench::new();
    archived(&bench, "2026-11-01", "1", |_| {});
    std::fs::write(
        bench.archive().join("20261102T000000Z-x-1.ndjson"),
        "{\"cut",
    )
    .expect("writable");
    std::fs::create_dir(bench.archive().join("20261103T000000Z-x-1.ndjson")).expect("can be made");
    let output = make(&bench);
    assert_eq!(output.status.code(), Some(3));
    assert_eq!(check(&output, "report.archive"), "unknown");
    let text = monthly(&bench);
    assert!(
        text.contains("20261102T000000Z-x-1.ndjson: the stream is cut in the middle of line 1"),
        "{text}"
    );
    assert!(
        text.contains("20261103T000000Z-x-1.ndjson: it is not a regular file"),
        "{text}"
    );
    assert!(text.contains("- **Total Experiments**: 1\n"), "{text}");
    std::fs::remove_dir(bench.archive().join("20261103T000000Z-x-1.ndjson")).expect("removable");
    let output = make(&bench);
    assert_eq!(check(&output, "report.archive"), "warn");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_run_that_was_archived_twice_counts_once() {
    let bench = Bench::new();
    archived(&bench, "2026-11-01", "1", |_| {});
    archived(&bench, "2026-11-01", "1", |_| {});
    bench.run(&["monthly", "--month", "2026-11"], b"");
    assert!(monthly(&bench).contains("- **Total Experiments**: 1\n"));
}

#[test]
fn a_stream_on_standard_input_is_passed_on_and_its_worst_kept() {
    let bench = Bench::new();
    let mut run = Run::good("2026-11-01");
    run.verification()
        .checks
        .push(Check::fail("data.rows", "users", "2 rows lost"));
    let output = bench.run(&["monthly", "--month", "2026-11"], &run.stream());
    assert!(output.stdout.starts_with(&run.stream()));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        bench
            .run(&["monthly", "--month", "2026-11"], b"")
            .status
            .code(),
        Some(0),
        "a pipe that holds nothing is no stream"
    );
}

#[test]
fn a_month_that_is_none_is_a_usage_error() {
    let output = Bench::new().run(&["monthly", "--month", "2026-13"], b"");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("not a month such as 2026-11"),
        "{}",
        stderr(&output)
    );
}
