//! What the tests look at in a shop: what runs have left, replicas, health, the cluster's processes.

use std::process::Command;

use chaos_tests::cluster::{Cluster, repository};
use chaos_tests::run::in_time;
use serde_json::Value;

/// Everything of runs that is left, as names; faults included.
pub(crate) fn left(cluster: &Cluster) -> String {
    let kinds = "leases,networkpolicies,pods,deployments,statefulsets";
    let names =
        "jsonpath={range .items[*]}{.metadata.namespace}{' '}{.kind}/{.metadata.name}{'\\n'}{end}";
    let all = cluster.kubectl(&["get", kinds, "-A", "-l", "chaos-runbook/run", "-o", names]);
    let ours = all.lines().filter(|line| {
        let (namespace, _) = line.split_once(' ').unwrap_or_default();
        !cluster.is_of_others(namespace)
    });
    ours.collect::<Vec<_>>().join("\n")
}

pub(crate) fn replicas(cluster: &Cluster, namespace: &str, name: &str) -> String {
    cluster.kubectl(&[
        "get",
        "deployment",
        name,
        "-n",
        namespace,
        "-o",
        "jsonpath={.spec.replicas}",
    ])
}

pub(crate) const DATABASE: &str = "ecommerce-database-deployment";

pub(crate) fn health(cluster: &Cluster) -> String {
    cluster.whole();
    in_time(|| cluster.place.tool("chaos-health", &[]))
        .exits(0)
        .stdout()
}

/// A kubeconfig of the ServiceAccount that this manifest makes in the shop, with the rights that it
/// grants.
pub(crate) fn grant(cluster: &Cluster, manifest: &str, account: &str) -> String {
    cluster.apply(manifest);
    cluster.as_account(cluster.shop(), account)
}

/// One check of this id at least has the status, and with a pass none is worse.
pub(crate) fn is(record: &Value, id: &str, status: &str) {
    let checks = record["data"]["checks"].as_array().expect("checks");
    let has = |status: &str| {
        checks
            .iter()
            .any(|check| check["id"] == id && check["status"] == status)
    };
    let worse = status == "pass" && (has("fail") || has("unknown"));
    assert!(has(status) && !worse, "{id} is not {status}\n{record:#}");
}

/// The process id of a part of the cluster.
pub(crate) fn process(name: &str) -> String {
    let status = repository().join("tests/cluster/status.sh");
    let said = Command::new(status)
        .args(["--pid", name])
        .output()
        .expect("bash is there")
        .stdout;
    let pid = String::from_utf8_lossy(&said).trim().to_owned();
    assert!(pid.parse::<u32>().is_ok(), "no process {name}: {pid:?}");
    pid
}

pub(crate) fn signal(pid: &str, signal: &str) {
    let sent = Command::new("kill").args([signal, pid]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

/// Leases that runs hold.
pub(crate) fn leases(cluster: &Cluster) -> String {
    cluster.kubectl(&[
        "get",
        "leases",
        "-n",
        cluster.shop(),
        "-l",
        "chaos-runbook/run",
        "-o",
        "name",
    ])
}

/// The arguments of a run of pod-failure.
pub(crate) const RUN: [&str; 3] = ["run", "pod-failure", "--yes"];
