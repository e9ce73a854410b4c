//! The experiments of the runbook on the real cluster, each with exactly the role that its plan
//! prints, and what becomes of their faults when everything goes wrong.

use std::process::{Child, Command, Stdio};

use chaos_tests::cluster::{Cluster, repository};
use chaos_tests::run::{Ran, check, in_time, until};
use chaos_tests::schedule::{Needs, Resource, Use};
use chaos_tests::sweep::experiments;
use serde_json::Value;

/// Everything of runs that is left, as names; faults included.
fn left(cluster: &Cluster) -> String {
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

/// A cluster with a shop, whose NetworkPolicies are enforced.
fn with_policies() -> Cluster {
    Cluster::needing(Needs::shop().and(Resource::Policies, Use::Shared))
}

fn replicas(cluster: &Cluster, namespace: &str, name: &str) -> String {
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

const DATABASE: &str = "ecommerce-database-deployment";

/// A kubeconfig whose user has the role that the plan of an experiment prints, and nothing more.
fn with_role(cluster: &Cluster, experiment: &str) -> String {
    let roles = cluster
        .place
        .tool("chaos-inject", &["plan", experiment, "--rbac"])
        .exits(0)
        .stdout();
    cluster.apply(&roles);
    let user = format!("chaos-{experiment}");
    for document in roles.split("---\n") {
        let field = |name: &str| {
            document
                .lines()
                .find_map(|line| line.trim().strip_prefix(name))
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let (kind, namespace) = (field("kind:"), field("namespace:"));
        let place = if namespace.is_empty() {
            String::new()
        } else {
            format!(", namespace: {namespace}")
        };
        cluster.apply(&format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: {kind}Binding, metadata: {{name: {user}{place}}},
               roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: {kind}, name: {user}}},
               subjects: [{{kind: User, apiGroup: rbac.authorization.k8s.io, name: {user}}}]}}"
        ));
    }
    cluster.as_user(&user)
}

fn health(cluster: &Cluster) -> String {
    cluster.whole();
    cluster.place.tool("chaos-health", &[]).exits(0).stdout()
}

/// Runs an experiment as the user of its role.
fn run(cluster: &Cluster, experiment: &str, health: &str) -> Ran {
    let kubeconfig = with_role(cluster, experiment);
    // No backup is checked here, and where data is at stake the gate is closed for that.
    let args = [
        "run",
        experiment,
        "--yes",
        "--override",
        "a test",
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

/// One check of this id at least has the status, and with a pass none is worse.
fn is(record: &Value, id: &str, status: &str) {
    let checks = record["data"]["checks"].as_array().expect("checks");
    let has = |status: &str| {
        checks
            .iter()
            .any(|check| check["id"] == id && check["status"] == status)
    };
    let worse = status == "pass" && (has("fail") || has("unknown"));
    assert!(has(status) && !worse, "{id} is not {status}\n{record:#}");
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
    for id in ["effect", "usage", "metrics", "performance"] {
        is(&record, &format!("resource-exhaustion.{id}"), "pass");
    }
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
    // The shop's Prometheus has no volume: what it collected goes with its pod, which is said.
    is(&record, "monitoring-failure.collecting", "warn");
    let collecting = check(&record, "monitoring-failure.collecting", "");
    assert!(
        collecting["message"]
            .as_str()
            .is_some_and(|m| m.contains("no target was scraped for at most"))
    );
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

/// The process id of a part of the cluster.
fn process(name: &str) -> String {
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

fn signal(pid: &str, signal: &str) {
    let sent = Command::new("kill").args([signal, pid]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

/// A run of `storage-failure` whose fault is on.
fn broken(cluster: &Cluster, health: &str) -> Child {
    let input = cluster.place.file("health.ndjson", health);
    let told = cluster.place.path().join("run.stderr");
    let mut command = cluster.place.command("chaos-inject");
    command.args(["run", "storage-failure", "--yes", "--override", "a test"]);
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
fn guardian(child: &Child) -> String {
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let said = std::fs::read_to_string(children).expect("the run lives");
    said.split_whitespace()
        .next()
        .expect("it has a guardian")
        .to_owned()
}

/// A configuration in which the fault stays until somebody ends it.
fn long(cluster: &Cluster) {
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
        journal["data"]["reason"], "tool and guardian died with the fault on",
        "{journal:#}"
    );
    is(&journal, "journal.chain", "pass");

    let mark = cluster.mark();
    let args = ["run", "storage-failure", "--yes", "--override", "a test"];
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
    let args = ["run", "pod-failure", "--yes", "--override", "a test"];
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
    command.args(["run", "monitoring-failure", "--yes"]);
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
        text.contains("which somebody else set, and is left so"),
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
            "affected = [\"ecommerce-backend-service\"]",
            "affected = []",
        )
        .replace("guard_window = \"10s\"", "guard_window = \"2s\"")
        .replace("\nduration = \"3s\"", "\nduration = \"5m\"")
    });
    let good = health(&cluster);
    let args = ["run", "storage-failure", "--yes", "--override", "a test"];
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

#[test]
#[ignore = "needs the cluster: make test"]
fn the_rollback_script_takes_a_fault_back_with_kubectl_alone() {
    let cluster = Cluster::with_shop();
    long(&cluster);
    let good = health(&cluster);
    let script = cluster
        .place
        .tool("chaos-inject", &["plan", "storage-failure", "--script"])
        .exits(0)
        .stdout();
    assert!(
        script.contains("Engineering Team Lead - +1-555-0123"),
        "{script}"
    );
    let path = cluster
        .place
        .file("rollback.sh", &script)
        .display()
        .to_string();
    let mut child = broken(&cluster, &good);
    signal(&guardian(&child), "-KILL");
    child.kill().expect("it runs");
    child.wait().expect("it has ended");
    let kubectl = cluster.kubectl_folder();
    let sh = |args: &str| {
        cluster
            .place
            .shell(&format!("PATH={kubectl}:$PATH sh {path} {args}"))
    };
    let dry = sh("--dry-run").exits(0);
    assert!(dry.stdout().contains("server dry run"), "{}", dry.show());
    assert_eq!(
        replicas(&cluster, cluster.shop(), DATABASE),
        "0",
        "a dry run changes nothing"
    );
    sh("--emergency").exits(0).says("");
    assert_eq!(
        (
            replicas(&cluster, cluster.shop(), DATABASE).as_str(),
            left(&cluster).as_str()
        ),
        ("1", "")
    );
    // What no run holds is left alone.
    let again = sh("--emergency").exits(0);
    assert!(again.stdout().contains("left as it is"), "{}", again.show());
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_rollback_gives_a_deployment_its_previous_revision() {
    let cluster = Cluster::with_shop();
    cluster.whole();
    let (shop, name) = (cluster.shop(), "ecommerce-frontend-deployment");
    cluster.config(&|_| {
        format!("[application]\nnamespace = \"{shop}\"\n[[workload]]\nname = \"{name}\"\n")
    });
    let wait = || {
        cluster.kubectl(&[
            "rollout",
            "status",
            &format!("deployment/{name}"),
            "-n",
            cluster.shop(),
            "--timeout=240s",
        ])
    };
    let template = || {
        cluster.kubectl(&[
            "get",
            "deployment",
            name,
            "-n",
            cluster.shop(),
            "-o",
            "jsonpath={.spec.template}",
        ])
    };
    let before = template();
    cluster.kubectl(&[
        "set",
        "env",
        &format!("deployment/{name}"),
        "-n",
        cluster.shop(),
        "CHAOS_TEST=1",
    ]);
    wait();
    let changed = template();
    assert_ne!(before, changed);
    cluster
        .place
        .tool("chaos-inject", &["rollback", "--dry-run"])
        .exits(0);
    assert_eq!(template(), changed, "a dry run changes nothing");
    cluster
        .place
        .fed("chaos-inject", &["rollback"], "")
        .exits(4);
    assert_eq!(template(), changed, "nobody agreed");
    let ran = cluster
        .place
        .tool("chaos-inject", &["rollback", "--yes"])
        .exits(0);
    assert_eq!(template(), before, "{}", ran.show());
    is(&ran.record("chaos.rollback/1"), "rollback.revision", "pass");
    // An emergency goes on past what can't be rolled back, and lists it.
    cluster.config(&|_| {
        format!(
            "[application]\nnamespace = \"{shop}\"\n[[workload]]\nname = \"gone\"\n[[workload]]\nname = \"{name}\"\n"
        )
    });
    let ran = cluster
        .place
        .tool("chaos-inject", &["rollback", "--emergency"])
        .exits(5);
    let record = ran.record("chaos.rollback/1");
    assert_eq!(
        template(),
        changed,
        "the other one went back all the same: {}",
        ran.show()
    );
    assert!(
        record["data"]["issues"]
            .as_array()
            .is_some_and(|issues| issues.len() == 1),
        "{record:#}"
    );
    cluster
        .place
        .tool("chaos-inject", &["rollback", "--emergency"])
        .exits(5);
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
