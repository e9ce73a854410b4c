//! A custom resource that can be scaled, whose operator gives it its pods through a ReplicaSet: it is
//! seen, and experiments hit it and give it back, as any other workload.

use std::process::{Child, Stdio};

use chaos_tests::cluster::Cluster;
use chaos_tests::run::{Place, Ran, check, in_time, until};
use serde_json::Value;

use crate::acme::{QUIET, described, up};
use crate::shop::{is, signal};
use crate::undo::guardian;

const FLEET: &str = "fleet.acme.example.com/acme-workers";
/// Other tests load the node, and the answers of Services that nobody hits come late.
const TABLES: &str = "[experiment]
warm_up = \"1s\"
settle = \"1s\"
min_availability_percent = 30.0
guard_percent = 20.0
guard_window = \"60s\"
probe_interval = \"300ms\"
";

fn size(cluster: &Cluster) -> String {
    let size = "jsonpath={.spec.size} {.metadata.labels}";
    cluster.kubectl(&["get", FLEET, "-n", "acme", "-o", size])
}

fn health(cluster: &Cluster) -> Ran {
    in_time(|| cluster.place.tool("chaos-health", &QUIET)).exits(0)
}

fn run(cluster: &Cluster, words: &[&str]) -> Value {
    let ran = in_time(|| {
        let health = health(cluster).stdout();
        let args = [&["run"], words, &["--yes"]].concat();
        cluster.place.fed("chaos-inject", &args, &health)
    });
    ran.exits(0).record("chaos.experiment/1")
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_custom_resource_is_seen_hit_and_given_back() {
    let cluster = up();
    let init = ["init", "-n", "acme", "-"];
    let found = cluster.place.tool("chaos-health", &init).exits(0).stdout();
    let named = format!("[[workload]]\nname = \"{FLEET}\"\n");
    assert!(found.contains(&named), "{found}");
    described(&cluster, TABLES);
    let seen = health(&cluster).record("chaos.health/1");
    let fleet = check(&seen, "workload.ready", FLEET);
    assert_eq!(fleet["message"], "has 3 of 3 ready pods", "{fleet}");

    // Named in each of kubectl's ways.
    let fails = run(
        &cluster,
        &[
            "pod-failure",
            "--workload",
            "fl.acme.example.com/acme-workers",
        ],
    );
    let target = &fails["data"]["targets"][0];
    assert_eq!(
        target["owner"]["kind"], "Fleet.acme.example.com",
        "{target}"
    );
    is(&fails, "pod-failure.recreated", "pass");

    let down = run(
        &cluster,
        &[
            "scale-down",
            "--workload",
            "fleets.acme.example.com/acme-workers",
            "--duration",
            "3s",
        ],
    );
    is(&down, "scale-down.effect", "pass");
    is(&down, "scale-down.held", "pass");
    assert_eq!(size(&cluster), "3");
}

/// A run of `scale-down` whose fault is on.
fn broken(cluster: &Cluster) -> Child {
    let input = cluster
        .place
        .file("health.ndjson", &health(cluster).stdout());
    let mut command = cluster.place.command("chaos-inject");
    command.args([
        "run",
        "scale-down",
        "--workload",
        FLEET,
        "--duration",
        "5m",
        "--yes",
    ]);
    command
        .stdin(std::fs::File::open(input).expect("just written"))
        .stdout(Stdio::null());
    let mut child = command.spawn().expect("it was built");
    until("the fault", || {
        assert!(child.try_wait().expect("it is ours").is_none(), "it ended");
        size(cluster).starts_with('2').then_some(())
    });
    child
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_custom_resource_is_given_back_from_another_machine_when_tool_and_guardian_are_killed() {
    let cluster = up();
    described(&cluster, TABLES);
    let mut child = broken(&cluster);
    signal(&guardian(&child), "-KILL");
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
    let left = size(&cluster);
    assert!(
        left.starts_with('2') && left.contains("chaos-runbook/run"),
        "{left}"
    );
    // The shop's namespaces are others' here: it looks only at those of acme's configuration.
    let elsewhere = Place::new()
        .env("KUBECONFIG", cluster.state().join("admin.kubeconfig"))
        .env("CHAOS_CONFIG", cluster.place.path().join("chaos.toml"));
    let record = elsewhere.tool("chaos-inject", &["recover"]).exits(0);
    let record = record.record("chaos.rollback/1");
    assert_eq!(record["data"]["runs"][0]["undone"], true, "{record:#}");
    assert_eq!(size(&cluster), "3");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn what_is_not_there_is_told_with_what_there_is() {
    let cluster = up();
    described(&cluster, TABLES);
    for (named, words) in [
        (
            "deploy/acme-postgresql",
            "did you mean statefulset/acme-postgresql?",
        ),
        ("nothing", "namespace acme has deployment/acme-api, "),
        (
            "fleet.acme.example.com/nothing",
            "fleet.acme.example.com/acme-workers",
        ),
        (
            "fleeet.acme.example.com/acme-workers",
            "has no fleeet; it has fleet",
        ),
        (
            "rollout.argoproj.io/acme",
            "the cluster has no API group argoproj.io",
        ),
    ] {
        for experiment in ["scale-down", "pod-failure"] {
            let args = ["plan", experiment, "--workload", named];
            let ran = cluster.place.tool("chaos-inject", &args).exits(4);
            let record = ran.stdout();
            assert!(
                record.contains(words),
                "{named} of {experiment}: {}",
                ran.show()
            );
        }
    }
}
