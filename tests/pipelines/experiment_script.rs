//! `scripts/experiment.sh`: the plan that is announced is the plan of what is run.

use chaos_tests::run::Place;

const STAND_IN: &str = "#!/bin/sh\ncat >/dev/null\necho \"${0##*/} $*\" >>\"$HOME/calls\"\n";

/// Runs the script with stand-ins for the tools, and gives their command lines in order of their
/// names.
fn calls(args: &str) -> Vec<String> {
    let place = Place::new();
    for tool in super::TOOLS {
        place.file(&format!("bin/{tool}"), STAND_IN);
    }
    let path = format!("{}/bin:/usr/bin:/bin", place.path().display());
    let place = place.env("PATH", path);
    let script = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../scripts/experiment.sh </dev/null"
    );
    place
        .shell(&format!("chmod +x bin/*; set -- {args}; . {script}"))
        .exits(0);
    let calls = std::fs::read_to_string(place.path().join("calls")).expect("the tools were called");
    let mut calls: Vec<String> = calls.lines().map(str::to_owned).collect();
    calls.sort();
    calls
}

#[test]
fn the_plan_has_the_flags_and_the_run_carries_it_out() {
    assert_eq!(
        calls("scale-down --workload deployment/search"),
        [
            "chaos-backup-check ",
            "chaos-health ",
            "chaos-inject plan scale-down --workload deployment/search",
            "chaos-inject run --yes",
            "chaos-notify completed",
            "chaos-notify scheduled",
            "chaos-report ",
            "chaos-verify ",
            "chaos-verify baseline",
        ]
    );
}

#[test]
fn without_an_experiment_it_is_a_usage_error() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/experiment.sh");
    Place::new().tool("bash", &[script]).exits(2).says("usage:");
}
