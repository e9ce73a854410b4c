//! What stands in the report of one experiment.

use std::process::Command;

use chaos_common::record::{Check, Outcome, Overridden};

use crate::fixture::{Run, availability, recovery, time};
use crate::{Bench, check, feed, last, read, stderr};

const DAY: &str = "2026-11-22";

/// Compares with a stored file; `UPDATE_GOLDEN=1` stores what came out instead.
pub(crate) fn golden(name: &str, text: &str) {
    let path = std::path::Path::new("tests/report/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("can be made");
        std::fs::write(&path, text).expect("writable");
    }
    assert_eq!(text, read(&path), "differs from {}", path.display());
}

/// A run in which something of everything happened.
fn eventful() -> Run {
    let mut run = Run::good(DAY);
    run.events.truncate(1);
    let e = run.experiment();
    e.restored = None;
    (e.ended, e.duration_ms) = (time("2026-11-22T16:02:15.000Z"), 125_000);
    e.recoveries = vec![
        recovery("backend", Some(71_000.0)),
        recovery("frontend", None),
    ];
    e.availability = vec![availability(91, 900.0)];
    e.availability[0].missed = 3;
    e.availability[0].errors = vec!["503 Service Unavailable".into()];
    e.overridden.push(Overridden {
        gate: "gate.backup".into(),
        reason: "backup drill is tomorrow".into(),
    });
    e.issues = vec!["frontend did not come back within 120 s".into()];
    e.checks = vec![
        Check::pass(
            "criterion.recovery",
            "deployment/backend",
            "recovered in 71.0 s of 120 s",
        ),
        Check::fail(
            "criterion.recovery",
            "deployment/frontend",
            "did not come back within 120 s",
        )
        .hint("kubectl describe deployment/frontend"),
        Check::unknown("alert.fired", "PodDown", "Alertmanager gave no answer")
            .hint("check its route"),
    ];
    run.verification()
        .checks
        .push(Check::fail("data.rows", "orders", "118 rows, 120 before"));
    run.verification().state.workloads[0].restarts = 2;
    run
}

#[test]
fn reports_of_a_good_and_an_eventful_run() {
    for (name, run) in [("good.md", Run::good(DAY)), ("eventful.md", eventful())] {
        let bench = Bench::new();
        bench.run(&[], &run.stream());
        golden(name, &bench.only(".md"));
    }
}

#[test]
fn a_recovery_is_judged_by_the_limit_in_the_plan_of_any_experiment() {
    let report = |change: &dyn Fn(&mut Run)| {
        let mut run = eventful();
        run.experiment().experiment = "one-that-nobody-has-made-yet".into();
        change(&mut run);
        let bench = Bench::new();
        // Today's configuration says something else, and is not asked.
        let today = "[experiment.pod_failure]\nrecovery_limit = \"1s\"\n";
        std::fs::write(bench.home.path().join("chaos.toml"), today).expect("writable");
        bench.run(&[], &run.stream());
        bench.only(".md")
    };
    let slow = "Make deployment/backend recover faster: 71.0 s of the";
    let text = report(&|_| {});
    assert!(text.contains(&format!("{slow} 120.0 s")), "{text}");
    let text = report(&|run| run.plan().limits.as_mut().expect("limits").recovery_ms = 600_000);
    assert!(!text.contains(slow), "{text}");
    assert!(
        text.contains("; the plan allows 600000 ms (10.0 min)."),
        "{text}"
    );
    for unrecorded in [
        report(&|run| run.plan().limits = None),
        report(&|run| run.plan = None),
    ] {
        assert!(!unrecorded.contains(slow), "{unrecorded}");
        let note = "; the limit is not recorded.";
        assert!(unrecorded.contains(note), "{unrecorded}");
    }
}

#[test]
fn a_good_run_passes_and_says_where_its_report_is() {
    let bench = Bench::new();
    let output = bench.run(&[], &Run::good(DAY).stream());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let record = last(&output);
    assert_eq!(record["schema"], "chaos.report/1");
    assert_eq!(record["verdict"], "pass");
    assert_eq!(record["data"]["status"], "pass");
    let report = bench.files(".md").remove(0);
    assert_eq!(record["data"]["location"], report.to_str().expect("UTF-8"));
    assert!(
        report.ends_with("20261122T160010Z-pod-failure-456789ab.md"),
        "{report:?}"
    );
}

#[test]
fn the_runbooks_greps_count_each_report_once() {
    let bench = Bench::new();
    let mut second = eventful();
    second.id = "01981f3e-0000-7000-8000-0000ffffffff".into();
    second
        .experiment()
        .issues
        .push("saw Status: 500 and Duration: long, Issues: many".into());
    let all = ["--format", "md,html,json,junit,summary"];
    bench.run(&all, &Run::good(DAY).stream());
    bench.run(&all, &second.stream());
    bench.run(&["monthly", "--month", "2026-11"], b"");
    for (word, expected) in [
        ("Status:", ["Status: pass", "Status: fail"]),
        ("Duration:", ["Duration: 12.3 s", "Duration: 125.0 s"]),
        ("Issues:", ["Issues: 0", "Issues: 3"]),
    ] {
        let mut grep = Command::new("sh");
        grep.arg("-c").arg(format!(
            "grep -h '{word}' {}/*.md",
            bench.archive().display()
        ));
        let output = feed(grep, b"");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        for (line, start) in lines.iter().zip(expected) {
            assert!(line.starts_with(start), "{line}");
        }
    }
}

#[test]
fn no_placeholder_is_left_and_every_field_of_the_form_is_there() {
    let form = [
        "# Chaos Engineering Experiment Report",
        "## Experiment Details",
        "- **Name**:",
        "- **Date**:",
        "- **Duration**:",
        "- **Target**:",
        "- **Executor**:",
        "## Experiment Execution",
        "- **Start Time**:",
        "- **End Time**:",
        "- **Issues Encountered**:",
        "- **Actions Taken**:",
        "|  | Pre-Experiment State | Post-Experiment State |",
        "| **System Health** |",
        "| **Resource Usage** |",
        "| **Monitoring Status** |",
        "## Lessons Learned",
        "- **Successes**:",
        "- **Failures**:",
        "- **Improvements**:",
        "- **Recommendations**:",
        "## Next Steps",
        "- **Follow-up Actions**:",
        "- **Process Improvements**:",
        "- **Documentation Updates**:",
    ];
    let mut empty = Run::good(DAY);
    (empty.health, empty.experiment, empty.verification) = (None, None, None);
    for stream in [Run::good(DAY).stream(), eventful().stream(), empty.stream()] {
        let bench = Bench::new();
        bench.run(&[], &stream);
        let text = bench.only(".md");
        let mut lines = text.lines();
        for field in form {
            assert!(
                lines.any(|line| line.starts_with(field)),
                "{field} is missing or out of order in\n{text}"
            );
        }
        assert!(!text.contains('['), "{text}");
    }
}

#[test]
fn what_is_missing_or_worse_decides_the_status() {
    let of = |change: &dyn Fn(&mut Run)| {
        let mut run = Run::good(DAY);
        change(&mut run);
        let output = Bench::new().run(&[], &run.stream());
        (
            last(&output)["data"]["status"]
                .as_str()
                .expect("a status")
                .to_owned(),
            output.status.code(),
        )
    };
    assert_eq!(of(&|s| s.experiment = None), ("unknown".into(), Some(3)));
    assert_eq!(of(&|s| s.verification = None), ("unknown".into(), Some(3)));
    assert_eq!(
        of(&|s| s.experiment().outcome = Outcome::Refused),
        ("refused".into(), Some(4))
    );
    assert_eq!(
        of(&|s| s.experiment().outcome = Outcome::Aborted),
        ("aborted".into(), Some(6))
    );
    assert_eq!(
        of(&|s| s.experiment().outcome = Outcome::NotRestored),
        ("NOT RESTORED".into(), Some(5))
    );
    let fail = |s: &mut Run| {
        s.verification()
            .checks
            .push(Check::fail("data.rows", "orders", "2 rows lost"));
    };
    assert_eq!(of(&fail), ("fail".into(), Some(1)));
}

#[test]
fn the_report_itself_passes_when_the_experiment_failed() {
    let bench = Bench::new();
    let output = bench.run(&[], &eventful().stream());
    assert_eq!(last(&output)["verdict"], "pass");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        last(&output)["data"]["findings"][0],
        "frontend did not come back within 120 s"
    );
}

#[test]
fn an_input_that_is_no_stream_is_a_usage_error_and_nothing_is_written() {
    for input in [b"".as_slice(), b"NAME READY\n", b"\xff\xfe\x00\n"] {
        let bench = Bench::new();
        let output = bench.run(&[], input);
        assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(!said.contains("chaos.report"), "{said}");
        assert!(bench.files("").is_empty());
    }
}

#[test]
fn cut_and_garbled_streams_are_reported_as_unknown() {
    let good = Run::good(DAY).stream();
    let and = |rest: &[u8]| [&good, rest].concat();
    for stream in [
        &good[..good.len() - 40],
        &and(b"NAME READY\n"),
        &and(b"\xff\xfe\x00\n"),
    ] {
        let bench = Bench::new();
        let output = bench.run(&[], stream);
        assert_eq!(output.status.code(), Some(3), "{}", stderr(&output));
        assert_eq!(check(&output, "report.stream"), "unknown");
        assert!(bench.only(".md").contains("\nStatus: unknown\n"));
        assert!(output.stdout.starts_with(stream));
    }
}

#[test]
fn text_from_the_cluster_does_not_break_the_layout() {
    let plain = Run::good(DAY);
    let mut nasty = Run::good(DAY);
    let text =
        "x | y\n## Forged\n- **Name**: z `code` <script>alert(1)</script> [a](javascript:b)\r\n|";
    nasty.experiment().experiment = text.into();
    nasty.experiment().actions[0] = text.into();
    nasty.experiment().checks[0].message = text.into();
    nasty.experiment().recoveries[0].deleted.name = text.into();
    nasty.experiment().executor = text.into();
    let report = |run: &Run| {
        let bench = Bench::new();
        bench.run(&[], &run.stream());
        bench.only(".md")
    };
    let (plain, nasty) = (report(&plain), report(&nasty));
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    let shape = |text: &str| {
        text.lines()
            .map(|line| (line.starts_with("## "), bars(line)))
            .collect::<Vec<_>>()
    };
    assert_eq!(shape(&plain), shape(&nasty), "{nasty}");
    assert!(!nasty.contains("<script"), "{nasty}");
}
