//! What becomes of a fault when the tool, its guardian or both are gone, or somebody interferes.

use std::process::{Child, Stdio};

use chaos_tests::cluster::Cluster;
use chaos_tests::run::until;

use crate::shop::{DATABASE, health, is, left, replicas, signal};

/// A run of `storage-failure` whose fault is on.
pub(crate) fn broken(cluster: &Cluster, health: &str) -> Child {
    let input = cluster.place.file("health.ndjson", health);
    let told = cluster.place.path().join("run.stderr");
    let mut command = cluster.place.command("chaos-inject");
    command.args([
        "run",
        "storage-failure",
        "--yes",
        "--override=gate.health=a test",
        "--override=gate.backup=a test",
    ]);
    command
        .stdin(std::fs::File::open(input).expect("just written"))
        .stdout(Stdio::piped());
    command.stderr(std::fs::File::create(&told).expect("a file can be made"));
    let mut child = command.spawn().expect("it was built");
    let said = || std::fs::read_to_string(&told).expect("just written");
    // What it tells of is in its journal; the cluster shows it a moment before.
    until("an injection", || {
        let ended = child.try_wait().expect("it is ours");
        assert!(ended.is_none(), "nothing was injected: {}", said());
        said().contains("from 1 to 0").then_some(())
    });
    child
}

/// The guardian of a run.
pub(crate) fn guardian(child: &Child) -> String {
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let said = std::fs::read_to_string(children).expect("the run lives");
    said.split_whitespace()
        .next()
        .expect("it has a guardian")
        .to_owned()
}

/// A configuration in which the fault stays until somebody ends it.
pub(crate) fn long(cluster: &Cluster) {
    cluster.config(&|text| text.replace("\nduration = \"3s\"", "\nduration = \"5m\""));
}

#[test]
#[ignore = "needs the cluster: make test"]
fn when_tool_and_guardian_are_killed_the_next_run_refuses_and_recover_undoes() {
    let cluster = Cluster::with_shop();
    long(&cluster);
    let good = health(&cluster);
    let mut child = broken(&cluster, &good);
    signal(&guardian(&child), "-KILL");
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
    assert_eq!(
        replicas(&cluster, cluster.shop(), DATABASE),
        "0",
        "nobody is there to undo it"
    );

    let journal = cluster
        .place
        .tool("chaos-inject", &["journal"])
        .exits(5)
        .record("chaos.experiment/1");
    assert_eq!(
        journal["data"]["reason"], "the journal ends with the fault on",
        "{journal:#}"
    );
    is(&journal, "journal.chain", "pass");

    let mark = cluster.mark();
    let args = [
        "run",
        "storage-failure",
        "--yes",
        "--override=gate.health=a test",
        "--override=gate.backup=a test",
    ];
    let record = cluster
        .place
        .fed("chaos-inject", &args, &good)
        .exits(4)
        .record("chaos.experiment/1");
    is(&record, "limit.lock", "fail");
    is(&record, "limit.others", "fail");
    assert_eq!(cluster.writes_since(mark), Vec::<String>::new());

    let status = cluster.place.tool("chaos-inject", &["status"]).exits(1);
    let status = status.record("chaos.rollback/1");
    assert_eq!(status["data"]["runs"][0]["alive"], false, "{status:#}");
    // Another machine: no journal, no state, only the cluster's own record.
    let elsewhere = cluster.elsewhere();
    let record = elsewhere
        .place
        .tool("chaos-inject", &["recover"])
        .exits(0)
        .record("chaos.rollback/1");
    assert_eq!(record["data"]["runs"][0]["undone"], true, "{record:#}");
    assert_eq!(replicas(&cluster, cluster.shop(), DATABASE), "1");
    assert_eq!(left(&cluster), "");
    elsewhere.place.tool("chaos-inject", &["recover"]).exits(0);
}

#[test]
#[ignore = "needs the cluster: make test"]
fn when_the_guardian_dies_the_tool_undoes_at_once() {
    let cluster = Cluster::with_shop();
    long(&cluster);
    let good = health(&cluster);
    let child = broken(&cluster, &good);
    signal(&guardian(&child), "-KILL");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("the guardian died"), "{text}");
    assert_eq!(
        (
            replicas(&cluster, cluster.shop(), DATABASE).as_str(),
            left(&cluster).as_str()
        ),
        ("1", "")
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn when_the_guardian_stands_still_the_tool_undoes_and_ends_it() {
    let cluster = Cluster::with_shop();
    long(&cluster);
    let good = health(&cluster);
    let child = broken(&cluster, &good);
    signal(&guardian(&child), "-STOP");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(text.contains("the guardian has stood still"), "{text}");
    assert_eq!(
        (
            replicas(&cluster, cluster.shop(), DATABASE).as_str(),
            left(&cluster).as_str()
        ),
        ("1", "")
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_tool_that_stands_still_is_not_waited_for() {
    let cluster = Cluster::with_shop();
    long(&cluster);
    let good = health(&cluster);
    let child = broken(&cluster, &good);
    let pid = child.id().to_string();
    signal(&pid, "-STOP");
    cluster.until("the database's replicas are back", || {
        (replicas(&cluster, cluster.shop(), DATABASE) == "1" && left(&cluster).is_empty())
            .then_some(())
    });
    signal(&pid, "-CONT");
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(6), "{text}");
    assert!(
        text.contains("this process had stood still for 10 s, so its guardian undid the fault"),
        "{text}"
    );
    assert_eq!(
        (
            replicas(&cluster, cluster.shop(), DATABASE).as_str(),
            left(&cluster).as_str()
        ),
        ("1", "")
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_run_is_aborted_from_elsewhere_and_a_lock_refuses_the_next() {
    let cluster = Cluster::with_shop();
    long(&cluster);
    let good = health(&cluster);
    let child = broken(&cluster, &good);
    let abort = cluster
        .place
        .tool("chaos-inject", &["abort", "--reason", "the boss calls"])
        .exits(0);
    let record = abort.record("chaos.rollback/1");
    assert_eq!(record["data"]["runs"][0]["undone"], true, "{record:#}");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(6));
    let text = String::from_utf8_lossy(&output.stdout);
    let last = chaos_tests::strict::read(text.lines().last().expect("a record")).expect("ours");
    assert!(
        last["data"]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("the boss calls")),
        "{last:#}"
    );
    assert_eq!(left(&cluster), "");

    cluster
        .place
        .tool("chaos-inject", &["lock", "--reason", "peak season"])
        .exits(0);
    let args = [
        "run",
        "pod-failure",
        "--yes",
        "--override=gate.health=a test",
        "--override=gate.backup=a test",
    ];
    let refused = cluster.place.fed("chaos-inject", &args, &good).exits(4);
    cluster.place.tool("chaos-inject", &["unlock"]).exits(0);
    assert!(
        refused.stdout().contains("peak season"),
        "{}",
        refused.show()
    );
    let locks = cluster.kubectl(&["get", "leases", "-A", "-o", "name"]);
    assert!(!locks.contains("chaos-lock"), "{locks}");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn what_somebody_else_sets_meanwhile_stays() {
    let cluster = Cluster::with_shop();
    // The pods of what somebody else wants back do not go, and that long is waited for them.
    cluster.config(&|text| text.replace("\nstop_limit = \"60s\"", "\nstop_limit = \"20s\""));
    let good = health(&cluster);
    let input = cluster.place.file("health.ndjson", &good);
    let mut command = cluster.place.command("chaos-inject");
    let lost = chaos_tests::sweep::MONITORING_DATA;
    command.args(["run", "monitoring-failure", "--yes", "--accept-loss", lost]);
    command
        .stdin(std::fs::File::open(input).expect("just written"))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let child = command.spawn().expect("it was built");
    until("an injection", || {
        (replicas(&cluster, cluster.monitoring(), "grafana-deployment") == "0").then_some(())
    });
    cluster.kubectl(&[
        "scale",
        "deployment",
        "grafana-deployment",
        "-n",
        cluster.monitoring(),
        "--replicas=2",
    ]);
    let output = child.wait_with_output().expect("it ends");
    let now = replicas(&cluster, cluster.monitoring(), "grafana-deployment");
    cluster.kubectl(&[
        "scale",
        "deployment",
        "grafana-deployment",
        "-n",
        cluster.monitoring(),
        "--replicas=1",
    ]);
    assert_eq!(now, "2", "it was overwritten");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("which somebody else set (kubectl), and is left so"),
        "{text}"
    );
    assert_eq!(
        replicas(&cluster, cluster.monitoring(), "prometheus-deployment"),
        "1"
    );
    assert_eq!(left(&cluster), "");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn the_steady_state_guard_aborts_and_undoes() {
    let cluster = Cluster::with_shop();
    // Nobody expects the backend to suffer: then the fault goes too far.
    cluster.config(&|text| {
        text.replace(
            "affected = [\"ecommerce-backend-service\", \"ecommerce-frontend-service/api/products\"]",
            "affected = []",
        )
        .replace("guard_window = \"60s\"", "guard_window = \"5s\"")
        .replace("\nduration = \"3s\"", "\nduration = \"5m\"")
    });
    let good = health(&cluster);
    let args = [
        "run",
        "storage-failure",
        "--yes",
        "--override=gate.health=a test",
        "--override=gate.backup=a test",
    ];
    let ran = cluster.place.fed("chaos-inject", &args, &good).exits(6);
    let record = ran.record("chaos.experiment/1");
    assert_eq!(record["data"]["outcome"], "aborted");
    assert!(
        record["data"]["reason"]
            .as_str()
            .is_some_and(|why| why.contains("steady state guard")),
        "{}",
        ran.show()
    );
    assert_eq!(
        (
            replicas(&cluster, cluster.shop(), DATABASE).as_str(),
            left(&cluster).as_str()
        ),
        ("1", "")
    );
}
