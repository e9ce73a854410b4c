//! Reviews of quarters, years, days and game days.

use chaos_common::record::Check;

use crate::archive::archived;
use crate::{Bench, check, last, read, stderr, stdout};

fn review(bench: &Bench, args: &[&str]) -> (serde_json::Value, String) {
    let output = bench.run(&[&["review"], args].concat(), b"");
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let record = last(&output);
    let path = record["data"]["location"]
        .as_str()
        .expect("a path")
        .to_owned();
    (record, read(path.as_ref()))
}

fn year() -> Bench {
    let bench = Bench::new();
    for (day, id) in ["2026-07-01", "2026-08-01", "2026-10-01"]
        .iter()
        .zip(["a", "b", "c"])
    {
        archived(&bench, day, id, |run| {
            let check = Check::fail("data.rows", "users", "2 rows lost");
            run.verification().checks.push(check);
        });
    }
    archived(&bench, "2026-11-01", "d", |run| {
        let check = Check::pass("data.rows", "users", "as before");
        run.verification().checks.push(check);
    });
    bench
}

fn has(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(
            text.lines().any(|found| found == *line),
            "{line} is not in\n{text}"
        );
    }
}

#[test]
fn a_quarter_says_what_to_update() {
    let (record, text) = review(&year(), &["quarter", "2026-Q4"]);
    assert_eq!(record["data"]["form"], "quarterly");
    has(
        &text,
        &[
            "# Chaos Engineering Quarterly Review",
            "Quarter of UTC: 2026-Q4",
            "- **Total Experiments**: 2",
            "Against 2026-Q3.",
            "## To Update",
            "- The procedure of pod-failure: what had failed in it passes again",
            "- Training: nobody practised a rollback with --dry-run",
        ],
    );
    let closed = "- **Closed**: pod-failure: data.rows users (since 2026-07-01, closed 2026-11-01)";
    has(&text, &[closed]);
    let months = "- Review the months that have experiments and no report: \
                  2026-07, 2026-08, 2026-10, 2026-11 (chaos-report monthly --month 2026-07, and so on)";
    assert!(text.contains(months), "{text}");
}

#[test]
fn a_year_is_held_against_its_goals_and_proposes_what_was_never_tried() {
    let bench = year();
    let config = bench.home.path().join("chaos.toml");
    let goals = "[report.goals]\nsuccess_percent = 90.0\nrecovery = \"5s\"\nexperiments_a_month = 1\n\
                 [experiment.dns_failure]\n[experiment.pod_failure]\n";
    std::fs::write(config, goals).expect("writable");
    let (record, text) = review(&bench, &["year", "2026"]);
    assert_eq!(record["data"]["form"], "yearly");
    has(
        &text,
        &[
            "# Chaos Engineering Annual Strategy Review",
            "- success rate of 90 %: missed, 25 %",
            "- median recovery within 5s: met, 4.2 s",
            "- 1 experiments a month: missed, 0.3",
            "## Proposed Experiments",
        ],
    );
    assert!(
        text.contains("Run dns-failure: it is configured and never ran"),
        "{text}"
    );
    assert!(
        !text.contains("Run pod-failure: it is configured"),
        "{text}"
    );
}

#[test]
fn days_and_game_days_are_reviewed() {
    let bench = year();
    let (record, text) = review(&bench, &["--from", "2026-08-01", "--to", "2026-10-31"]);
    assert_eq!(record["data"]["subject"], "2026-08-01..2026-10-31");
    has(
        &text,
        &[
            "- **Total Experiments**: 2",
            "Against 2026-05-01..2026-07-31.",
        ],
    );
    let runs = ["--runs", "0000000a", "0000000d"];
    let (record, text) = review(&bench, &runs);
    assert_eq!(record["data"]["form"], "review");
    has(
        &text,
        &["# Chaos Engineering Review", "- **Total Experiments**: 2"],
    );
    assert!(!text.contains("## Trends"), "{text}");
    for (args, why) in [
        (&["review"][..], "not said what to review"),
        (&["review", "--runs", "nope"], "there is no run"),
        (
            &["review", "--from", "2026-02-02", "--to", "2026-01-01"],
            "is before the first",
        ),
        (
            &["review", "quarter", "2026-Q9"],
            "not a quarter such as 2026-Q4",
        ),
    ] {
        let output = bench.run(args, b"");
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(why), "{}", stderr(&output));
    }
}

#[test]
fn peoples_words_and_next_steps_are_in_the_review() {
    let bench = year();
    let note = [
        "note",
        "0000000d",
        "--lesson",
        "Retry | *now*",
        "--improvement",
        "Retries",
    ];
    bench.run(&note, b"");
    let who = [
        "note",
        "0000000d",
        "--executor",
        "Ana",
        "--next-step",
        "Do it",
    ];
    bench.run(
        &[&who[..], &["--owner", "Bo", "--due", "2026-11-02"]].concat(),
        b"",
    );
    let (_, text) = review(&bench, &["month", "2026-11"]);
    has(&text, &["| Ana | 1 | 0 | 0 |"]);
    assert!(text.contains("- Retry \\| \\*now\\* ("), "{text}");
    assert!(text.contains("  - Retries\n"), "{text}");
    let year = bench.run(
        &["review", "--from", "2026-01-01", "--to", "2999-01-01"],
        b"",
    );
    assert_eq!(check(&year, "report.archive"), "pass");
    let text = read(&bench.archive().join("review-2026-01-01..2999-01-01.md"));
    has(&text, &["| Bo | late | 2026-11-02 | Do it |"]);
}

#[test]
fn the_same_archive_gives_the_same_bytes() {
    let bench = year();
    let (_, first) = review(&bench, &["year", "2026"]);
    std::fs::remove_file(bench.archive().join(".chaos-report-index.ndjson")).expect("removable");
    let (_, second) = review(&bench, &["year", "2026"]);
    assert_eq!(first, second);
}

#[test]
fn reports_that_people_wrote_by_hand_count_and_what_they_do_not_say_is_named() {
    const FORM: &str = "# Chaos Engineering Experiment Report\n\n## Experiment Details\n\
        - **Name**: pod-failure\n- **Date**: 2026-11-20\n- **Duration**: 5 minutes\n\
        - **Target**: deployment/backend\n- **Executor**: Ana\n\nStatus: fail\n\n\
        ## Experiment Execution\n- **Issues Encountered**: the cart was empty\n\n\
        ## Next Steps\n- **Follow-up Actions**: Look at the cart\n";
    let bench = Bench::new();
    archived(&bench, "2026-11-02", "bbbb", |_| {});
    let write = |name: &str, text: &str| {
        std::fs::write(bench.archive().join(name), text).expect("writable");
    };
    write("by-ana.md", FORM);
    write("by-bo.md", &FORM.replace("Status: fail\n", ""));
    write("by-cy.md", &FORM.replace("2026-11-20", "a Friday"));
    write("README.md", "# Our reports\n");
    let list = bench.run(&["list", "-o", "text"], b"");
    assert_eq!(list.status.code(), Some(3));
    let why = "by-cy.md: the report was written by hand, and its date \"a Friday\" is none";
    assert!(stderr(&list).contains(why), "{}", stderr(&list));
    assert!(!stderr(&list).contains("README"), "{}", stderr(&list));
    let line = "2026-11-20 00:00  by-ana    pod-failure  deployment/backend  fail     300.0 s  -         1";
    assert!(stdout(&list).contains(line), "{}", stdout(&list));
    let again = bench.run(&["list", "-o", "text"], b"");
    assert_eq!(stdout(&again), stdout(&list), "from the index");
    bench.run(&["review", "month", "2026-11"], b"");
    let review = read(&bench.archive().join("monthly-2026-11.md"));
    for part in [
        "- **Total Experiments**: 3",
        "- **Successful Experiments**: 1",
        "- **Failed Experiments**: 1",
        "by-cy.md: the report was written by hand",
        "by-bo.md: it has no line Status",
        "| nobody | open |  | Look at the cart |",
    ] {
        assert!(review.contains(part), "{part}: {review}");
    }
    let shown = bench.run(&["show", "by-ana"], b"");
    assert!(stdout(&shown).starts_with(FORM), "{}", stderr(&shown));
    let all = bench.run(&["export", "--all"], b"");
    assert!(
        stderr(&all).contains("2 reports that were written by hand"),
        "{}",
        stderr(&all)
    );
    let old = bench.run(&["list", "--since", "2026-11-20"], b"");
    assert_eq!(stdout(&old).lines().count(), 2);
}
