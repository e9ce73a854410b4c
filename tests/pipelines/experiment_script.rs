//! `scripts/experiment.sh`: the plan that is announced is the plan of what is run.

use chaos_tests::cluster::repository;
use chaos_tests::run::{Place, bin};

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
    let script = script();
    place
        .shell(&format!(
            "chmod +x bin/*; set -- {args}; . {script} </dev/null"
        ))
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

fn script() -> String {
    let script = repository().join("scripts/experiment.sh");
    script.display().to_string()
}

#[test]
fn without_an_experiment_it_is_a_usage_error() {
    let ran = Place::new().tool("bash", &[&script()]);
    ran.exits(2).says("usage:");
}

/// Runs the script with stand-ins that write these records, but for the real chaos-notify, which has a
/// status page at a port where nobody listens; gives what chaos-notify said.
fn told(health: &str, experiment: Option<&str>) -> String {
    let place = Place::new();
    let record = |kind: &str, second: u8, verdict: &str, data: &str| {
        format!(
            r#"{{"schema":"chaos.{kind}/1","id":"{second}","run":"r","time":"2026-11-22T16:00:{second:02}.000Z","tool":"t 1","verdict":"{verdict}","summary":"s","data":{data}}}"#
        )
    };
    let state = r#"{"cluster":{"id":"c","server":"s"},"namespace":"n","checks":[],"state":{"workloads":[],"services":[],"nodes":[]}}"#;
    let plan = r#"{"experiment":"dns-failure","cluster":{"id":"c","server":"s"},"namespace":"n","targets":[],"calls":[],"blast_radius":[],"undo":"","undo_commands":[],"worst_case_ms":1000,"permissions":[],"checks":[]}"#;
    let ended = experiment.map(|outcome| {
        let data = format!(
            r#"{{"experiment":"dns-failure","outcome":"{outcome}","reason":"why","namespace":"n","executor":"e","targets":[],"started":"2026-11-22T16:00:03.000Z","ended":"2026-11-22T16:00:04.000Z","duration_ms":1000,"checks":[],"recoveries":[],"availability":[],"actions":[],"issues":[]}}"#
        );
        record("experiment", 5, "fail", &data)
    });
    let says =
        |lines: &[String]| format!("#!/bin/sh\ncat\ncat <<'END'\n{}\nEND\n", lines.join("\n"));
    let passes_on = "#!/bin/sh\nexec cat\n".to_owned();
    let inject = format!(
        "#!/bin/sh\ncat\ncase $1 in plan) cat <<'END'\n{}\nEND\n;; run) cat <<'END'\n{}\nEND\nesac\n",
        record("plan", 2, "pass", plan),
        ended.unwrap_or_default()
    );
    place.file(
        "bin/chaos-health",
        &says(&[record("health", 1, health, state)]),
    );
    place.file("bin/chaos-inject", &inject);
    for tool in ["chaos-backup-check", "chaos-verify", "chaos-report"] {
        place.file(&format!("bin/{tool}"), &passes_on);
    }
    let url = "[notify]\ndeadline = \"1s\"\n[notify.status_page]\nurl = { file = \"url\" }\n";
    place.file("chaos.toml", url);
    place.file("url", "http://127.0.0.1:9/");
    let path = format!(
        "{}/bin:{}:/usr/bin:/bin",
        place.path().display(),
        bin().display()
    );
    let place = place.env("PATH", path);
    let script = script();
    let ran = place.shell(&format!(
        "chmod +x bin/*; set -- dns-failure; . {script} </dev/null"
    ));
    ran.stdout()
}

/// The occasions of the notices that somebody was told, in order.
fn occasions(stream: &str) -> Vec<String> {
    let records = stream
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let notices = records.filter(|record| record["schema"] == "chaos.notification/1");
    let told =
        notices.filter(|record| record["data"]["channels"][0]["attempts"].as_u64() > Some(0));
    told.map(|record| {
        record["data"]["occasion"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    })
    .collect()
}

#[test]
fn a_refused_run_tells_nobody_and_the_end_is_told_as_what_it_is() {
    assert!(occasions(&told("fail", Some("refused"))).is_empty());
    assert_eq!(
        occasions(&told("pass", Some("completed"))),
        ["scheduled", "completed"]
    );
    assert_eq!(
        occasions(&told("pass", Some("aborted"))),
        ["scheduled", "aborted"]
    );
    assert_eq!(
        occasions(&told("pass", Some("not_restored"))),
        ["scheduled", "critical"]
    );
}
