//! The experiments of the runbook on the real cluster, each with exactly the rights that its plan
//! prints.

use chaos_tests::cluster::Cluster;
use chaos_tests::run::{Ran, check, in_time};
use chaos_tests::schedule::{Needs, Resource, Use};
use chaos_tests::sweep::{MONITORING_DATA, experiments};
use serde_json::Value;

use crate::shop::{DATABASE, grant, health, is, left, process, replicas, signal};

/// A cluster with a shop, whose NetworkPolicies are enforced.
fn with_policies() -> Cluster {
    Cluster::needing(Needs::shop().and(Resource::Policies, Use::Shared))
}

/// A kubeconfig of a ServiceAccount that has the rights that the plan of an experiment prints, and
/// nothing more.
fn with_role(cluster: &Cluster, experiment: &str) -> String {
    // Each has an account of its own, and so no right of another experiment's.
    let account = format!("chaos-{experiment}");
    let rbac = format!("--rbac={account}");
    let roles = cluster
        .place
        .tool("chaos-inject", &["plan", experiment, &rbac])
        .exits(0)
        .stdout();
    grant(cluster, &roles, &account)
}

/// Runs an experiment as the user of its role.
fn run(cluster: &Cluster, experiment: &str, health: &str) -> Ran {
    let kubeconfig = with_role(cluster, experiment);
    // No backup is checked here, and where data is at stake the gate is closed for that.
    let args = [
        "run",
        experiment,
        "--yes",
        "--override=gate.health=a test",
        "--override=gate.backup=a test",
        "--accept-loss",
        MONITORING_DATA,
        "--kubeconfig",
        &kubeconfig,
    ];
    cluster.place.fed("chaos-inject", &args, health)
}

/// The record of a run that passed and left nothing.
fn passed(cluster: &Cluster, experiment: &str) -> Value {
    passes(cluster, experiment).record("chaos.experiment/1")
}

/// The same with its whole stream.
fn passes(cluster: &Cluster, experiment: &str) -> Ran {
    let ran = in_time(|| run(cluster, experiment, &health(cluster))).exits(0);
    let record = ran.record("chaos.experiment/1");
    assert_eq!(record["data"]["outcome"], "completed", "{}", ran.show());
    assert_eq!(left(cluster), "");
    assert!(
        record["data"]["timings"]["undo_ms"].is_number(),
        "{record:#}"
    );
    ran
}

#[test]
#[ignore = "needs the cluster: make test"]
fn pod_failure_needs_no_more_than_its_role_and_fires_its_alerts() {
    let cluster = Cluster::with_shop();
    let record = passed(&cluster, "pod-failure");
    is(&record, "pod-failure.effect", "pass");
    is(&record, "pod-failure.alerts", "pass");
    assert!(
        record["data"]["alerts"]
            .as_array()
            .is_some_and(|alerts| alerts.len() >= 2),
        "{record:#}"
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_partition_is_proven_from_a_peer_for_old_and_new_connections() {
    let cluster = with_policies();
    let ran = passes(&cluster, "network-partition");
    let record = ran.record("chaos.experiment/1");
    for id in [
        "effect",
        "cut",
        "established",
        "control",
        "reconnected",
        "alerts",
    ] {
        is(&record, &format!("network-partition.{id}"), "pass");
    }
    // The backend complained of its database that it could not reach, which was to be expected, and
    // then no more.
    let [injected, restored, ended] =
        ["injected", "restored", "ended"].map(|key| record["data"][key].as_str());
    assert!(injected < restored && restored < ended, "{record:#}");
    let after = cluster
        .place
        .fed("chaos-verify", &["--wait", "0s"], &ran.stdout())
        .record("chaos.verification/1");
    is(&after, "data.logs", "pass");
    let logs = check(
        &after,
        "data.logs",
        "deployment/ecommerce-backend-deployment",
    );
    assert!(
        logs["message"]
            .as_str()
            .is_some_and(|m| m.contains("while services were expected to suffer")),
        "{logs}"
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn stress_is_felt_by_its_own_cgroup_and_by_the_metrics_api() {
    let cluster = Cluster::with_shop();
    let record = passed(&cluster, "resource-exhaustion");
    for id in ["effect", "usage", "performance"] {
        is(&record, &format!("resource-exhaustion.{id}"), "pass");
    }
    // On a busy node the metrics API may look too late; it must say so then.
    let metrics = check(&record, "resource-exhaustion.metrics", "");
    let (status, message) = (&metrics["status"], metrics["message"].as_str());
    assert!(
        status == "pass"
            || status == "warn"
                && message.is_some_and(|message| message.contains("while it lasted")),
        "{metrics}"
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn storage_goes_and_comes_back_and_no_acknowledged_write_is_lost() {
    let cluster = Cluster::with_shop();
    let record = passed(&cluster, "storage-failure");
    for id in [
        "effect",
        "unmounted",
        "volumes",
        "writes",
        "outage",
        "data",
        "alerts",
    ] {
        is(&record, &format!("storage-failure.{id}"), "pass");
    }
    let writes = check(&record, "storage-failure.writes", "");
    assert!(
        writes["message"]
            .as_str()
            .is_some_and(|m| m.starts_with("0 of ")),
        "{writes}"
    );
    assert_eq!(replicas(&cluster, cluster.shop(), DATABASE), "1");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn monitoring_goes_and_collects_again_while_the_application_is_measured_directly() {
    let cluster = Cluster::with_shop();
    let record = passed(&cluster, "monitoring-failure");
    for id in ["effect", "rules", "logs", "available"] {
        is(&record, &format!("monitoring-failure.{id}"), "pass");
    }
    // The shop's Prometheus has an emptyDir: what it collected goes with its pod, which is said.
    is(&record, "monitoring-failure.collecting", "warn");
    is(&record, "monitoring-failure.lost", "warn");
    let lost = record["data"]["losses"].as_array().map_or(0, Vec::len);
    assert_eq!(lost, 3, "{record:#}");
    let collecting = check(&record, "monitoring-failure.collecting", "");
    assert!(
        collecting["message"]
            .as_str()
            .is_some_and(|m| m.contains("no target was scraped for at most"))
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn what_monitoring_collected_is_not_lost_without_consent_to_that() {
    let cluster = Cluster::with_shop();
    let args = [
        "run",
        "monitoring-failure",
        "--yes",
        "--override=gate.health=a test",
        "--override=gate.backup=a test",
    ];
    let ran = cluster.place.fed("chaos-inject", &args, &health(&cluster));
    let record = ran.exits(4).record("chaos.experiment/1");
    is(&record, "gate.loss", "fail");
    let monitoring = cluster.monitoring();
    assert_eq!(replicas(&cluster, monitoring, "prometheus-deployment"), "1");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_workload_does_with_fewer_pods_and_gets_them_back() {
    let cluster = Cluster::with_shop();
    let record = passed(&cluster, "scale-down");
    for id in ["effect", "held", "available", "alerts"] {
        is(&record, &format!("scale-down.{id}"), "pass");
    }
    assert_eq!(
        replicas(&cluster, cluster.shop(), "ecommerce-backend-deployment"),
        "3"
    );
    // Neither all of them, nor more than the disruption budget lets go.
    let args = ["plan", "scale-down", "--count", "3"];
    let refused = cluster
        .place
        .tool("chaos-inject", &args)
        .exits(4)
        .record("chaos.plan/1");
    is(&refused, "limit.disruption-budget", "fail");
    is(&refused, "limit.survivors", "fail");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn names_fail_in_a_pod_while_addresses_go_on_answering() {
    let cluster = with_policies();
    let record = passed(&cluster, "dns-failure");
    for id in ["effect", "cut", "control", "reconnected"] {
        is(&record, &format!("dns-failure.{id}"), "pass");
    }
    let effect = check(&record, "dns-failure.effect", "");
    assert!(
        effect["message"]
            .as_str()
            .is_some_and(|m| m.contains("/health at 10.")),
        "{effect}"
    );
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_policy_that_nobody_enforces_is_no_effect_and_never_a_pass() {
    let cluster = Cluster::needing(Needs::shop().and(Resource::Policies, Use::Exclusive));
    let good = health(&cluster);
    let enforcer = process("netpol");
    signal(&enforcer, "-STOP");
    let ran = cluster.place.fed(
        "chaos-inject",
        &["run", "network-partition", "--yes"],
        &good,
    );
    signal(&enforcer, "-CONT");
    let ran = ran.exits(3);
    let record = ran.record("chaos.experiment/1");
    assert_eq!(record["verdict"], "unknown");
    let effect = check(&record, "network-partition.effect", "");
    assert!(
        effect["message"]
            .as_str()
            .is_some_and(|m| m.contains("enforce NetworkPolicies")),
        "{}",
        ran.show()
    );
    assert_eq!(left(&cluster), "");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn another_policy_that_allows_traffic_closes_the_gate() {
    let cluster = Cluster::with_shop();
    let good = health(&cluster);
    let shop = cluster.shop();
    cluster.apply(&format!(
        "{{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {{name: chaos-test-allow, namespace: {shop}}},
           spec: {{podSelector: {{matchLabels: {{app: ecommerce-backend}}}}, ingress: [{{}}]}}}}"
    ));
    let ran = cluster.place.fed(
        "chaos-inject",
        &["run", "network-partition", "--yes"],
        &good,
    );
    cluster.kubectl(&[
        "delete",
        "networkpolicy",
        "chaos-test-allow",
        "-n",
        cluster.shop(),
    ]);
    let record = ran.exits(4).record("chaos.experiment/1");
    is(&record, "limit.policies", "fail");
}

#[test]
#[ignore = "needs the cluster: make test"]
fn every_experiment_has_a_plan_that_touches_nothing_and_says_all() {
    let cluster = Cluster::with_shop();
    cluster.whole();
    let mark = cluster.mark();
    for experiment in &experiments() {
        let record = cluster
            .place
            .tool("chaos-inject", &["plan", experiment])
            .exits(0)
            .record("chaos.plan/1");
        let some = |field: &str| {
            record["data"][field]
                .as_array()
                .is_some_and(|list| !list.is_empty())
        };
        for field in ["targets", "changes", "calls", "permissions", "checks"] {
            assert!(some(field), "{experiment}: {field}\n{record:#}");
        }
        assert!(
            record["data"]["worst_case_ms"]
                .as_u64()
                .is_some_and(|ms| ms > 0)
        );
    }
    assert_eq!(cluster.writes_since(mark), Vec::<String>::new());
}
