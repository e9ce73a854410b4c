//! The runbook's scripts: which tools they call, in which order, with what, and how they end. The
//! tools are stand-ins that pass on what they are given and add their command line.

use std::path::PathBuf;

use chaos_tests::cluster::repository;
use chaos_tests::run::{Place, Ran};

/// Every script of the runbook, with arguments that let it do its work, and whether something
/// would be changed or told.
const SCRIPTS: [(&str, &str); 9] = [
    ("experiment.sh", "pod-failure --share 20"),
    ("gameday.sh", "pod-failure 'scale-down --count 1'"),
    ("abort.sh", "the shop is down"),
    ("critical.sh", "--impact 'no orders' checkout is down"),
    ("nightly-backup-check.sh", "--export"),
    ("performance-test.sh", "--duration=5m --load=normal"),
    ("monthly.sh", "--month 2026-11"),
    ("quarterly.sh", "--quarter 2026-Q4 runbook.md"),
    ("yearly.sh", "--year=2026"),
];

/// Passes its input on and adds its command line, to its output and to the list of all calls; ends
/// with what is written for it in `exit/`.
const STAND_IN: &str = r#"#!/bin/sh
cat
echo "${0##*/} $*"
echo "${0##*/} $*" >>"$HOME/calls"
exit "$(cat "$HOME/exit/${0##*/}-$1" 2>/dev/null || echo 0)"
"#;

/// As the others, but for what a game day looks at: each health check begins a run, and an
/// experiment ends as is written for it in `outcome/`.
const HEALTH: &str = r#"#!/bin/sh
runs=$(($(cat "$HOME/runs" 2>/dev/null || echo 0) + 1))
echo "$runs" >"$HOME/runs"
echo "{\"schema\":\"chaos.event/1\",\"run\":\"run-$runs\",\"data\":{\"run\":\"not this\"}}"
"#;
const INJECT: &str = r#"#!/bin/sh
input=$(cat)
[ -z "$input" ] || echo "$input"
echo "${0##*/} $*"
echo "${0##*/} $*" >>"$HOME/calls"
if [ "$1" = run ]; then
  name=$(echo "$input" | sed -n 's/^chaos-inject plan \([^ ]*\).*/\1/p')
  echo "{\"outcome\":\"$(cat "$HOME/outcome/$name" 2>/dev/null || echo completed)\"}"
fi
exit "$(cat "$HOME/exit/${0##*/}-$1" 2>/dev/null || echo 0)"
"#;

fn folder() -> PathBuf {
    repository().join("scripts")
}

/// A place with the scripts in one folder, and stand-ins for the tools in another; nothing of the
/// checkout is in reach.
fn installed() -> Place {
    let place = Place::new();
    for (script, _) in SCRIPTS {
        let text = std::fs::read_to_string(folder().join(script)).expect("it is there");
        place.file(&format!("opt/runbook/{script}"), &text);
    }
    for tool in super::TOOLS {
        place.file(&format!("bin/{tool}"), STAND_IN);
    }
    let path = format!("{}/bin:/usr/bin:/bin", place.path().display());
    let place = place.env("PATH", path);
    place.shell("chmod +x bin/* opt/runbook/*").exits(0);
    place
}

fn run(place: &Place, script: &str, arguments: &str) -> Ran {
    place.shell(&format!("opt/runbook/{script} {arguments}"))
}

/// The calls so far, sorted: tools of one pipeline start at the same time.
fn calls(place: &Place) -> Vec<String> {
    let calls = std::fs::read_to_string(place.path().join("calls")).unwrap_or_default();
    let mut calls: Vec<String> = calls.lines().map(str::to_owned).collect();
    calls.sort();
    calls
}

fn lines(ran: &Ran) -> Vec<String> {
    ran.stdout().lines().map(str::to_owned).collect()
}

/// What changes something, or tells somebody.
fn acts(call: &str) -> bool {
    let harmless = [
        "chaos-health",
        "chaos-inject plan",
        "chaos-inject status",
        "chaos-inject rollback --dry-run",
        "chaos-notify render",
        "chaos-report runbook --dry-run",
    ];
    let only_checks = call.starts_with("chaos-backup-check") && !call.contains("export");
    !only_checks && !harmless.iter().any(|start| call.starts_with(start))
}

#[test]
fn each_explains_itself_and_a_dry_run_touches_and_tells_nothing() {
    for (script, arguments) in SCRIPTS {
        let place = installed();
        let usage = format!("usage: {script} ");
        run(&place, script, "--help").exits(0).prints(&usage);
        assert_eq!(calls(&place), [""; 0], "{script}");
        run(&place, script, &format!("--dry-run {arguments}")).exits(0);
        let acting: Vec<String> = calls(&place)
            .into_iter()
            .filter(|call| acts(call))
            .collect();
        assert_eq!(acting, [""; 0], "{script}");
        run(&place, script, arguments).exits(0);
        assert!(!calls(&place).is_empty(), "{script} does nothing");
    }
}

#[test]
fn what_a_dry_run_prints_does_what_the_script_does() {
    let pipelines = [
        "experiment",
        "abort",
        "critical",
        "monthly",
        "performance-test",
    ];
    for (script, arguments) in SCRIPTS {
        if !pipelines.iter().any(|name| script.starts_with(name)) {
            continue;
        }
        let place = installed();
        run(&place, script, arguments).exits(0);
        // The assessment is made in a dry run as well.
        let done = |call: &String| call != "chaos-health --deadline 10s -o text";
        let done: Vec<String> = calls(&place).into_iter().filter(done).collect();
        let shown = run(&place, script, &format!("--dry-run {arguments}")).stdout();
        let commands = |line: &&str| line.starts_with("set -- ") || line.starts_with("    ");
        let commands: Vec<&str> = shown.lines().filter(commands).collect();
        let place = installed();
        place.file("shown.sh", &commands.join("\n"));
        place.shell("bash -euo pipefail shown.sh").exits(0);
        assert_eq!(calls(&place), done, "{script}\n{shown}");
    }
}

#[test]
fn an_abort_stops_then_looks_then_tells_and_its_status_is_the_worst() {
    let place = installed();
    let ran = run(&place, "abort.sh", "the shop  is 'down; $(x)'").exits(0);
    assert_eq!(
        lines(&ran),
        [
            "chaos-inject abort --reason the shop is down; $(x)",
            "chaos-health --wait 1m -",
            "chaos-notify aborted --reason the shop is down; $(x)",
        ]
    );
    let ran = run(&place, "abort.sh", "").exits(0);
    assert!(lines(&ran)[0].ends_with("--reason no reason was given"));
    place.file("exit/chaos-inject-abort", "5");
    // The team is told all the same.
    let ran = run(&place, "abort.sh", "").exits(5);
    assert_eq!(lines(&ran).len(), 3, "{}", ran.show());
    run(&place, "abort.sh", "--raeson x").exits(2);
}

#[test]
fn a_critical_failure_is_assessed_rolled_back_and_escalated_whatever_fails() {
    let place = installed();
    for tool in ["chaos-health---deadline", "chaos-inject-rollback"] {
        place.file(&format!("exit/{tool}"), "1");
    }
    let ran = run(
        &place,
        "critical.sh",
        "--impact='no orders' checkout is down",
    )
    .exits(1);
    assert_eq!(
        lines(&ran),
        [
            "chaos-inject rollback --emergency",
            "chaos-health --wait 2m -",
            "chaos-notify critical --issue checkout is down --impact=no orders",
        ]
    );
    ran.says("chaos-health --deadline 10s -o text");
    // It rolls all workloads back, so it is not started by accident.
    for arguments in ["", "--impact x", "--impact", "--isue x"] {
        run(&place, "critical.sh", arguments).exits(2);
    }
}

#[test]
fn nightly_checks_go_on_past_a_failure_and_end_with_the_worst() {
    for (export, check, drill, worst) in [
        ("0", "0", "0", 0),
        ("0", "1", "0", 1),
        ("3", "0", "4", 3),
        ("4", "3", "1", 1),
        ("0", "6", "4", 6),
        ("0", "0", "2", 2),
    ] {
        let place = installed();
        place.file("exit/chaos-backup-check-export", export);
        place.file("exit/chaos-backup-check---quiet", check);
        place.file("exit/chaos-backup-check-drill", drill);
        let ran = run(
            &place,
            "nightly-backup-check.sh",
            "--export --drills=1h --textfile m.prom",
        );
        let ran = ran.exits(worst);
        assert_eq!(
            lines(&ran),
            [
                "chaos-backup-check export --quiet",
                "chaos-backup-check --quiet --deadline 2h --textfile=m.prom",
                "chaos-backup-check drill --all --max-time 1h --quiet",
            ]
        );
    }
    let place = installed();
    let shown = run(&place, "nightly-backup-check.sh", "--export --dry-run").exits(0);
    run(&place, "nightly-backup-check.sh", "--export").exits(0);
    let mut shown = lines(&shown);
    shown.sort();
    assert_eq!(shown, calls(&place));
    let ran = run(&place, "nightly-backup-check.sh", "--drills 0").exits(0);
    assert_eq!(lines(&ran), ["chaos-backup-check --quiet --deadline 2h"]);
}

#[test]
fn a_performance_test_takes_a_baseline_or_is_held_against_one() {
    let place = installed();
    let ran = run(&place, "performance-test.sh", "--load peak --duration=1m").exits(0);
    let baseline = "chaos-verify baseline --load=peak --duration=1m";
    assert_eq!(lines(&ran), ["chaos-health ", baseline]);
    place.file("before.ndjson", "before\n");
    let ran = run(&place, "performance-test.sh", "--baseline before.ndjson").exits(0);
    assert_eq!(lines(&ran), ["before", "chaos-verify --load=normal"]);
    run(&place, "performance-test.sh", "--baseline=gone.ndjson").exits(2);
    run(&place, "performance-test.sh", "--load").exits(2);
}

#[test]
fn reviews_are_written_and_documents_updated() {
    let place = installed();
    let ran = run(&place, "quarterly.sh", "--quarter=2026-Q4 a.md b.md").exits(0);
    assert_eq!(lines(&ran), ["chaos-report review quarter 2026-Q4"]);
    ran.says("chaos-report action list -o text\nchaos-report runbook a.md b.md\n");
    let ran = run(&place, "yearly.sh", "").exits(0);
    assert_eq!(lines(&ran), ["chaos-report review year"]);
    let ran = run(&place, "monthly.sh", "").exits(0);
    assert_eq!(
        lines(&ran),
        ["chaos-report monthly", "chaos-notify monthly"]
    );
}

/// A game day of three experiments, of which the second ends like this; gives the experiments that
/// were run and the status.
fn game_day(prepare: impl Fn(&Place)) -> (Vec<String>, Ran) {
    let place = installed();
    place.file("bin/chaos-health", HEALTH);
    place.file("bin/chaos-inject", INJECT);
    prepare(&place);
    let ran = run(
        &place,
        "gameday.sh",
        "pod-failure 'scale-down --count 1' dns-failure",
    );
    let of_run = |line: &String| line.strip_prefix("chaos-inject plan ").map(str::to_owned);
    let announced = lines(&ran);
    (announced.iter().filter_map(of_run).collect(), ran)
}

#[test]
fn a_game_day_runs_all_and_ends_in_one_review_of_them() {
    let (experiments, ran) = game_day(|_| ());
    assert_eq!(
        experiments,
        ["pod-failure", "scale-down --count 1", "dns-failure"]
    );
    let ran = ran.exits(0);
    let last = "chaos-report review --runs run-1 run-2 run-3";
    assert_eq!(lines(&ran).last().map(String::as_str), Some(last));
}

#[test]
fn a_game_day_stops_where_something_is_left_or_was_aborted() {
    for outcome in ["not_restored", "aborted"] {
        let (experiments, ran) = game_day(|place| {
            place.file("outcome/scale-down", outcome);
        });
        assert_eq!(experiments.len(), 2, "{outcome}\n{}", ran.show());
        let last = "chaos-report review --runs run-1 run-2";
        assert_eq!(lines(&ran).last().map(String::as_str), Some(last));
        ran.says("gameday.sh: stopped after scale-down --count 1");
    }
    // Whatever its record says: the cluster is asked.
    let (experiments, ran) = game_day(|place| {
        place.file("exit/chaos-inject-status", "1");
    });
    assert_eq!(experiments, ["pod-failure"], "{}", ran.show());
}

#[test]
fn a_game_day_that_can_not_be_planned_touches_nothing() {
    let (experiments, ran) = game_day(|place| {
        place.file("exit/chaos-inject-plan", "4");
    });
    assert_eq!(experiments, [""; 0]);
    assert_eq!(lines(&ran.exits(4)), [""; 0]);
    let place = installed();
    run(&place, "gameday.sh", "").exits(2);
    run(&place, "gameday.sh", "--no-such-option").exits(2);
}
