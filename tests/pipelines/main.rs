//! The tools without a cluster: command lines, broken streams, bad configuration, dead API servers.

mod dist;
mod docs;
mod examples;
mod experiment_script;
mod install;
#[path = "../../common/tests/needs/mod.rs"]
mod needs;
mod runbook;
mod scripts;
mod standard_input;
mod started_by;
mod workflows;

use chaos_tests::run::{Place, check};

const TOOLS: [&str; 6] = [
    "chaos-health",
    "chaos-backup-check",
    "chaos-notify",
    "chaos-inject",
    "chaos-verify",
    "chaos-report",
];

/// Each tool with arguments that let it do its work.
const CALLS: [&[&str]; 6] = [
    &["chaos-health", "-n", "shop", "-"],
    &["chaos-backup-check", "-n", "shop"],
    &["chaos-notify", "completed"],
    &[
        "chaos-inject",
        "plan",
        "pod-failure",
        "-n",
        "shop",
        "-l",
        "app=shop",
    ],
    &["chaos-verify", "-n", "shop", "--wait", "0s"],
    &["chaos-report"],
];

/// A kubeconfig of an API server that nobody runs.
fn dead_cluster(place: &Place) -> String {
    let text = "{apiVersion: v1, kind: Config, current-context: dead, contexts: [{name: dead, context: {cluster: dead, user: dead}}],
        clusters: [{name: dead, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: dead, user: {token: hunter2}}]}";
    place.file("kubeconfig", text).display().to_string()
}

fn place_with_dead_cluster() -> Place {
    let place = Place::new();
    let kubeconfig = dead_cluster(&place);
    place.env("KUBECONFIG", kubeconfig)
}

#[test]
fn every_tool_tells_its_version_and_its_usage() {
    let place = Place::new();
    for tool in TOOLS {
        place.tool(tool, &["--version"]).exits(0).prints(tool);
        place.tool(tool, &["--help"]).exits(0).prints("Usage:");
        place
            .tool(tool, &["--no-such-flag"])
            .exits(2)
            .says("--no-such-flag");
    }
}

#[test]
fn a_wrong_configuration_is_named_by_file_line_and_key_and_nothing_is_passed_on() {
    let place = place_with_dead_cluster();
    place.file(
        "chaos.toml",
        "[application]\nnamespace = \"shop\"\n\n[limits]\nnode_cpu_percent = \"lots\"\n",
    );
    for call in CALLS {
        let ran = place
            .fed(call[0], &call[1..], "{}\n")
            .exits(2)
            .says("chaos.toml:5:")
            .says("invalid type");
        assert_eq!(ran.stdout(), "", "{}", ran.show());
    }
    place.file("chaos.toml", "[application]\nnamspace = \"shop\"\n");
    for call in CALLS {
        place
            .tool(call[0], &call[1..])
            .exits(2)
            .says("chaos.toml:2:")
            .says("namspace");
    }
    place
        .tool("chaos-health", &["--config", "gone.toml"])
        .exits(2)
        .says("gone.toml");
}

#[test]
fn garbage_behind_a_record_passes_through_byte_for_byte_and_is_unknown() {
    let place = place_with_dead_cluster();
    let event = r#"{"schema":"chaos.event/1","id":"1","run":"r","time":"2026-11-22T16:00:00.123Z","tool":"t 1","summary":"s","data":{"event":"started"}}"#;
    for garbage in [
        "NAME   READY\nshop   1/1\n",
        "{\"schema\":\"chaos.health/1\",\"ver",
        "[]\n",
        "",
    ] {
        let input = format!("{event}\n{garbage}");
        for call in CALLS {
            let ran = place.fed(call[0], &call[1..], &input).exits(3);
            assert!(ran.stdout().starts_with(&input), "{}", ran.show());
            let last = ran.stdout().lines().last().unwrap_or_default().to_owned();
            let last = chaos_tests::strict::read(&last)
                .unwrap_or_else(|why| panic!("{why}\n{}", ran.show()));
            assert_eq!(last["verdict"], "unknown", "{}", ran.show());
        }
    }
}

#[test]
fn a_tool_that_was_killed_in_the_middle_is_noticed() {
    let place = place_with_dead_cluster();
    let whole = place
        .tool("chaos-health", &["-n", "shop"])
        .exits(3)
        .stdout();
    // What chaos-health leaves behind if it dies before its result: its first line, an event.
    let (first, _) = whole.split_once('\n').expect("an event and a result");
    let ran = place
        .fed("chaos-report", &[], &format!("{first}\n"))
        .exits(3);
    let record = ran.record("chaos.report/1");
    assert_eq!(record["verdict"], "unknown");
    assert!(ran.stdout().contains("died"), "{}", ran.show());
}

#[test]
fn a_dead_api_server_is_unknown_and_named() {
    let place = place_with_dead_cluster();
    let ran = place.tool("chaos-health", &["-n", "shop"]).exits(3);
    let record = ran.record("chaos.health/1");
    let message = check(&record, "cluster.reachable", "")["message"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    assert_eq!(record["verdict"], "unknown");
    assert!(
        record["summary"]
            .as_str()
            .is_some_and(|summary| summary.contains("cluster.reachable")),
        "{}",
        ran.show()
    );
    assert!(
        message.contains("refused") || message.contains("connect"),
        "{message}"
    );
    for call in [CALLS[3], CALLS[4]] {
        place.tool(call[0], &call[1..]).exits(3);
    }
    assert!(!ran.stdout().contains("hunter2") && !ran.stderr().contains("hunter2"));
}

#[test]
fn a_missing_kubeconfig_or_context_or_namespace_is_usage() {
    let place = Place::new();
    place
        .tool("chaos-health", &["-n", "shop"])
        .exits(2)
        .says("kubeconfig");
    place
        .tool("chaos-health", &["-n", "shop", "--kubeconfig", "gone"])
        .exits(2)
        .says("gone");
    let place = place_with_dead_cluster();
    place
        .tool("chaos-health", &["-n", "shop", "--context", "nowhere"])
        .exits(2)
        .says("nowhere");
    place.tool("chaos-health", &[]).exits(2).says("--namespace");
    place
        .tool("chaos-health", &["-n", "Shop!"])
        .exits(2)
        .says("Shop!");
}

#[test]
fn kubeconfigs_are_found_and_merged_as_kubectl_does() {
    let place = Place::new();
    let dead = dead_cluster(&place);
    let context = "{apiVersion: v1, kind: Config, current-context: dead, contexts: [{name: dead, context: {cluster: dead, user: dead, namespace: shop}}]}";
    let context = place.file("context", context).display().to_string();
    // A missing file is left out, and what the first one says goes before what the others say.
    let place = place.env("KUBECONFIG", format!("gone:{context}:{dead}"));
    let ran = place.tool("chaos-health", &[]).exits(3);
    let record = ran.record("chaos.health/1");
    assert_eq!(record["data"]["namespace"], "shop", "{}", ran.show());
    let place = Place::new().env("KUBECONFIG", "gone:lost");
    place
        .tool("chaos-health", &["-n", "shop"])
        .exits(2)
        .says("none of the files that KUBECONFIG names exists: gone, lost");
}

#[test]
fn a_credential_plugin_that_is_not_there_is_named() {
    let place = Place::new();
    let text = "{apiVersion: v1, kind: Config, current-context: a, contexts: [{name: a, context: {cluster: a, user: a}}],
        clusters: [{name: a, cluster: {server: 'https://127.0.0.1:1'}}], users: [{name: a, user: {exec: {
        apiVersion: client.authentication.k8s.io/v1, command: no-such-plugin, interactiveMode: Never}}}]}";
    let path = place.file("kubeconfig", text).display().to_string();
    place
        .tool("chaos-health", &["-n", "shop", "--kubeconfig", &path])
        .exits(2)
        .says("no-such-plugin");
}

#[test]
fn records_are_passed_on_byte_for_byte_and_the_run_is_kept() {
    let place = place_with_dead_cluster();
    // Odd spacing, unknown fields and an unknown kind have to survive.
    let first = r#"{ "schema":"chaos.health/1","id":"1","run":"run-7","time":"2026-11-22T16:00:00.123Z","tool":"t 1","verdict":"pass","summary":"s","future":[1, 2],"data":{"cluster":{"id":"c","server":"s"},"namespace":"shop","checks":[],"state":{"workloads":[],"services":[],"nodes":[]}}}"#;
    let second = r#"{"schema":"acme.thing/3","id":"2","run":"run-7","time":"2026-11-22T16:00:00.123Z","tool":"t 1","verdict":"pass","summary":"s","data":null}"#;
    let input = format!("{first}\n{second}\n");
    for call in CALLS {
        let ran = place.fed(call[0], &call[1..], &input);
        assert!(ran.stdout().starts_with(&input), "{}", ran.show());
        let own = ran.stdout()[input.len()..]
            .lines()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        assert!(own.len() >= 2, "{}", ran.show());
        for line in own {
            let record =
                chaos_tests::strict::read(&line).unwrap_or_else(|why| panic!("{why}: {line}"));
            assert_eq!(record["run"], "run-7", "{}", ran.show());
        }
    }
}

#[test]
fn the_exit_status_is_never_better_than_the_stream() {
    let place = place_with_dead_cluster();
    let record = |verdict: &str| {
        format!(
            "{{\"schema\":\"chaos.backup/1\",\"id\":\"1\",\"run\":\"r\",\"time\":\"2026-11-22T16:00:00.123Z\",\"tool\":\"t 1\",\"verdict\":\"{verdict}\",\"summary\":\"s\",\"data\":{{\"namespace\":\"shop\",\"checks\":[],\"items\":[]}}}}\n"
        )
    };
    // chaos-report alone finds the experiment missing, which is unknown; a failure upstream is
    // worse.
    place.fed("chaos-report", &[], &record("pass")).exits(3);
    place.fed("chaos-report", &[], &record("fail")).exits(1);
}

#[test]
fn a_reader_that_goes_away_is_no_accident() {
    let place = place_with_dead_cluster();
    let ran = place
        .shell("chaos-health -n shop | true; echo ${PIPESTATUS[0]}")
        .exits(0);
    assert_eq!(ran.stdout().trim(), "3", "{}", ran.show());
    assert!(!ran.stderr().contains("panicked"), "{}", ran.show());
    place.shell("chaos-health --help | true").exits(0);
}

#[test]
fn a_full_disk_behind_standard_output_is_said_and_is_not_a_pass() {
    let place = place_with_dead_cluster();
    place
        .shell("chaos-health -n shop > /dev/full")
        .exits(3)
        .says("cannot write the result");
}

#[test]
fn text_is_for_people_and_can_be_asked_for() {
    let place = place_with_dead_cluster();
    let ran = place
        .tool("chaos-health", &["-n", "shop", "-o", "text"])
        .exits(3);
    assert!(
        ran.stdout().starts_with("unknown  cluster.reachable"),
        "{}",
        ran.show()
    );
    assert!(
        !ran.stdout().contains('\u{1b}'),
        "no colours in a file\n{}",
        ran.show()
    );
}
