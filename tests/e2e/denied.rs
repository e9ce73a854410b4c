//! Partition and DNS failure where hardened applications live: images without a shell, a namespace
//! that denies all traffic by default, restricted Pod Security, and a LimitRange.

use chaos_tests::cluster::{Cluster, OwnNamespace};
use chaos_tests::run::{Ran, check, in_time};
use chaos_tests::schedule::{Needs, Resource, Use};
use serde_json::Value;

use crate::shop::is;

const NAMESPACE: &str = "chaos-test-denied";

/// A front end that calls two others, of which one is cut off. Its image holds one static program.
const CONFIG: &str = r#"
[application]
name = "Acme"
namespace = "chaos-test-denied"

[[service]]
name = "api"
port = 3000
health = "/health"

[[service]]
name = "web"
port = 3000
health = "/health"

[limits]
namespaces = ["chaos-test-denied"]
node_cpu_percent = 110.0

[experiment]
probe_image = "chaos.test/shop:1"
probe_interval = "300ms"
min_availability_percent = 30.0
guard_percent = 20.0
guard_window = "60s"

[experiment.network_partition]
workload = "deployment/api"
peer = "deployment/caller"
duration = "4s"

[experiment.dns_failure]
workload = "deployment/caller"
service = "api"
duration = "4s"

[experiment.resource_exhaustion]
image = "chaos.test/shop:1"
command = ["stress"]
memory_limit = "1Gi"
"#;

/// Pod Security, a LimitRange, and policies that allow what the application needs.
const RULES: &str = r"
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: LimitRange, metadata: {name: small},
   spec: {limits: [{type: Container, max: {memory: 256Mi}}]}}
- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: deny},
   spec: {podSelector: {}, policyTypes: [Ingress, Egress]}}
- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: names},
   spec: {podSelector: {}, policyTypes: [Egress], egress: [
     {to: [{ipBlock: {cidr: 0.0.0.0/0}}], ports: [{port: 53, protocol: UDP}, {port: 53}]}]}}
- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: caller},
   spec: {podSelector: {matchLabels: {app: caller}}, policyTypes: [Egress], egress: [
     {to: [{podSelector: {}}], ports: [{port: 3000}]}]}}
- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: api},
   spec: {podSelector: {matchLabels: {app: api}}, ingress: [
     {from: [{podSelector: {matchLabels: {app: caller}}}], ports: [{port: 3000}]}]}}
- {apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web},
   spec: {podSelector: {matchLabels: {app: web}}, ingress: [
     {from: [{podSelector: {matchLabels: {app: caller}}}], ports: [{port: 3000}]}]}}
";

fn deployment(name: &str, replicas: u32, container: &str) -> String {
    format!(
        "{{apiVersion: apps/v1, kind: Deployment, metadata: {{name: {name}, namespace: {NAMESPACE}}},
           spec: {{replicas: {replicas}, selector: {{matchLabels: {{app: {name}}}}},
             template: {{metadata: {{labels: {{app: {name}}}}}, spec: {{
               automountServiceAccountToken: false, terminationGracePeriodSeconds: 2,
               securityContext: {{runAsNonRoot: true, runAsUser: 65534, seccompProfile: {{type: RuntimeDefault}}}},
               containers: [{{name: main, imagePullPolicy: IfNotPresent,
                 securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}},
                 resources: {{requests: {{cpu: 10m, memory: 32Mi}}, limits: {{memory: 96Mi}}}}, {container}}}]}}}}}}}}"
    )
}

fn service(name: &str) -> String {
    format!(
        "{{apiVersion: v1, kind: Service, metadata: {{name: {name}, namespace: {NAMESPACE}}},
           spec: {{selector: {{app: {name}}}, ports: [{{port: 3000}}]}}}}"
    )
}

/// The application, ready.
fn acme(cluster: &Cluster) -> OwnNamespace<'_> {
    let own = OwnNamespace::new(cluster, NAMESPACE);
    let restricted = "pod-security.kubernetes.io/enforce=restricted";
    cluster.kubectl(&["label", "namespace", NAMESPACE, restricted]);
    let rules = RULES.replace(
        "metadata: {",
        &format!("metadata: {{namespace: {NAMESPACE}, "),
    );
    cluster.apply(&rules);
    let answers = "image: 'chaos.test/shop:1', command: [shop, frontend],
        env: [{name: BACKEND_URL, value: 'http://api:3000'}],
        readinessProbe: {httpGet: {path: /health, port: 3000}, periodSeconds: 1, timeoutSeconds: 2}";
    for name in ["api", "web"] {
        cluster.apply(&deployment(name, 2, answers));
        cluster.apply(&service(name));
    }
    cluster.apply(&deployment("caller", 1, "image: 'chaos.test/pause:1'"));
    for name in ["api", "web", "caller"] {
        let rollout = format!("deployment/{name}");
        cluster.kubectl(&[
            "rollout",
            "status",
            &rollout,
            "-n",
            NAMESPACE,
            "--timeout=60s",
        ]);
    }
    cluster.place.file("chaos.toml", CONFIG);
    own
}

/// Everything here that an experiment may have made or changed.
fn state(cluster: &Cluster) -> String {
    let kinds = "networkpolicies,leases";
    let spec = "jsonpath={range .items[*]}{.metadata.name}{.metadata.labels}{.spec.podSelector}{'\\n'}{end}";
    let pods = cluster.kubectl(&[
        "get",
        "pods",
        "-n",
        NAMESPACE,
        "-l",
        "chaos-runbook/run",
        "-o",
        "name",
    ]);
    cluster.kubectl(&["get", kinds, "-n", NAMESPACE, "-o", spec]) + &pods
}

fn run(cluster: &Cluster, words: &[&str]) -> Ran {
    let health = in_time(|| cluster.place.tool("chaos-health", &[]))
        .exits(0)
        .stdout();
    let args: Vec<&str> = ["run"]
        .iter()
        .chain(words)
        .chain(&["--yes"])
        .copied()
        .collect();
    in_time(|| cluster.place.fed("chaos-inject", &args, &health))
}

fn policies_in_the_way(ran: &Ran) -> Vec<String> {
    let record = ran.record("chaos.plan/1");
    let checks = record["data"]["checks"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let is_one = |check: &&Value| check["id"] == "limit.policies" && check["status"] == "fail";
    let objects = checks
        .iter()
        .filter(is_one)
        .map(|check| check["object"].to_string());
    objects.collect()
}

#[test]
#[ignore = "needs the cluster: make test"]
fn faults_are_proven_among_distroless_images_in_a_namespace_that_denies_by_default() {
    let cluster = Cluster::needing(Needs::cluster().and(Resource::Policies, Use::Shared));
    let _own = acme(&cluster);
    let before = state(&cluster);
    for (experiment, policy, proof) in [
        (
            "network-partition",
            "networkpolicy/api",
            "network-partition",
        ),
        ("dns-failure", "networkpolicy/names", "dns-failure"),
    ] {
        let plan = cluster.place.tool("chaos-inject", &["plan", experiment]);
        let refused = plan.exits(4);
        assert_eq!(policies_in_the_way(&refused), [format!("{policy:?}")]);
        assert_eq!(state(&cluster), before, "a plan touches nothing");
        let ran = run(&cluster, &[experiment, "--set-aside", policy]).exits(0);
        let record = ran.record("chaos.experiment/1");
        for id in ["effect", "cut", "control", "reconnected"] {
            is(&record, &format!("{proof}.{id}"), "pass");
        }
        assert_eq!(state(&cluster), before, "{}", ran.show());
    }
    stress_is_refused(&cluster, &before);
}

/// A pod that the namespace's LimitRange rejects.
fn stress_is_refused(cluster: &Cluster, before: &str) {
    let ran = run(cluster, &["resource-exhaustion"]).exits(4);
    let record = ran.record("chaos.experiment/1");
    let refused = check(&record, "limit.admission", "pod/chaos-resource-exhaustion");
    let message = refused["message"].as_str().unwrap_or_default();
    assert!(message.contains("maximum memory usage"), "{refused}");
    assert_eq!(state(cluster), before, "{}", ran.show());
}
