//! The Roles of scripts/kubernetes are what the tools need, and no more: with them a tool passes, and
//! with one right less it does not.

use std::thread::sleep;
use std::time::Duration;

use chaos_tests::cluster::{Cluster, repository};
use chaos_tests::manifests::{Right, TOOLS, rights, roles, with_rights};
use chaos_tests::run::Ran;
use serde_json::Value;

/// What the names of these tests' own Roles begin with, and what all of them bear.
const OWN: &str = "chaos-test-";
const LABEL: &str = "chaos-test=least-rights";

/// What a tool is asked to do, with which Roles; the last one is what is looked at.
struct Task {
    roles: &'static [&'static str],
    line: String,
}

impl Task {
    fn role(&self) -> &'static str {
        self.roles.last().expect("there is one")
    }
}

/// In the cluster, Services are asked directly, which needs no right. From here they are asked through
/// the API server, so that the configuration of these tests names none.
fn config(cluster: &Cluster) {
    let (shop, backups) = (cluster.shop(), cluster.place.path().join("backup"));
    let backups = backups.display();
    let text = format!(
        r#"
[application]
namespace = "{shop}"
[[workload]]
name = "ecommerce-backend-deployment"
logs = true
[health]
skip = ["monitoring"]
[database]
workload = "deployment/ecommerce-database-deployment"
vantage = "exec"
name = "ecommerce"
tables = ["orders"]
[[backup]]
name = "database"
kind = "postgres"
path = "{backups}/database/latest.dump"
[[backup]]
name = "configmaps"
kind = "kubernetes"
path = "{backups}/configuration/latest-configmaps.yaml"
resources = ["configmaps"]
[[backup]]
name = "secrets"
kind = "kubernetes"
path = "{backups}/configuration/latest-secrets.yaml"
resources = ["secrets"]
[drill]
image = "chaos.test/shop:1"
[limits]
namespaces = ["{shop}"]
node_cpu_percent = 110.0
[experiment.pod_failure]
workloads = ["deployment/ecommerce-backend-deployment"]
"#
    );
    cluster.place.file("chaos.toml", &text);
    let mut backup = cluster.script("backup.sh");
    let made = backup.arg(cluster.place.path().join("backup")).output();
    assert!(made.expect("bash is there").status.success());
}

/// The account of a task has its Roles, in the shop or in the whole cluster, and no other.
fn bind(cluster: &Cluster, task: &Task) {
    for role in task.roles {
        let (kind, place) = if role.ends_with("-cluster") {
            ("ClusterRoleBinding", String::new())
        } else {
            ("RoleBinding", format!(", namespace: {}", cluster.shop()))
        };
        let account = task.role();
        cluster.apply(&format!(
            "{{apiVersion: rbac.authorization.k8s.io/v1, kind: {kind}, metadata: {{name: {OWN}{account}-{role}, labels: {{chaos-test: least-rights}}{place}}},
               roleRef: {{apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {OWN}{role}}},
               subjects: [{{kind: ServiceAccount, name: {account}, namespace: {TOOLS}}}]}}"
        ));
    }
}

fn run(cluster: &Cluster, task: &Task) -> Ran {
    let who = format!("system:serviceaccount:{TOOLS}:{}", task.role());
    cluster
        .place
        .shell(&task.line.replace("AS", &format!("--as {who}")))
}

/// Gives the role these rights; in the API server they hold a moment later.
fn give<'r>(cluster: &Cluster, role: &Value, rights: impl Iterator<Item = &'r Right>) {
    cluster.apply(&with_rights(role, rights));
    sleep(Duration::from_millis(300));
}

/// Each right of the role is taken away once. Gives those without which the tool passes all the same.
fn needless(cluster: &Cluster, role: &Value, task: &Task) -> Vec<String> {
    let all = rights(role);
    assert!(!all.is_empty(), "{role}");
    give(cluster, role, all.iter());
    let passes = |ran: &Ran| ran.exits_any() == Some(0);
    let mut tries = (0..10).map(|_| run(cluster, task));
    assert!(
        tries.any(|ran| passes(&ran)),
        "{}",
        run(cluster, task).show()
    );
    let mut needless = Vec::new();
    for one in all.iter().filter(|one| !one.is_not_missed_here()) {
        give(cluster, role, all.iter().filter(|other| *other != one));
        let mut tries = (0..3).map(|_| run(cluster, task));
        match tries.find(|ran| !passes(ran)) {
            Some(ran) => println!("{}: without {one}: {:?}", task.role(), ran.exits_any()),
            None => needless.push(format!("{}: {one}", task.role())),
        }
    }
    give(cluster, role, all.iter());
    needless
}

#[test]
#[ignore = "needs the cluster: make test"]
fn with_one_right_less_no_tool_passes() {
    let cluster = Cluster::with_shop();
    cluster.whole();
    config(&cluster);
    let roles_file = repository().join("scripts/kubernetes/base/roles.yaml");
    // Under names of their own, as other tests have the Roles as they are.
    let own_name = |mut role: Value| {
        let name = role["metadata"]["name"]
            .as_str()
            .expect("a name")
            .to_owned();
        role["metadata"]["name"] = format!("{OWN}{name}").into();
        role["metadata"]["labels"] = serde_json::json!({"chaos-test": "least-rights"});
        role
    };
    let all: Vec<Value> = roles(&roles_file).into_iter().map(own_name).collect();
    for role in &all {
        cluster.apply(&role.to_string());
    }
    let health = "chaos-health AS --deadline 10s";
    let verify = format!("{health} | chaos-verify AS baseline | chaos-verify AS --wait 1s");
    // The drill goes before the check, which wants its evidence.
    let tasks: [(&[&str], &str); 5] = [
        (&["chaos-health-cluster", "chaos-health"], health),
        (&["chaos-health", "chaos-health-cluster"], health),
        (
            &["chaos-health", "chaos-health-cluster", "chaos-verify"],
            &verify,
        ),
        (&["chaos-backup-drill"], "chaos-backup-check AS drill"),
        (&["chaos-backup-check"], "chaos-backup-check AS"),
    ];
    assert_eq!(tasks.len(), all.len(), "each Role is looked at");
    let mut unneeded = Vec::new();
    for (roles, line) in tasks {
        let line = line.to_owned();
        let task = Task { roles, line };
        bind(&cluster, &task);
        let this = all
            .iter()
            .find(|one| one["metadata"]["name"] == format!("{OWN}{}", task.role()));
        unneeded.extend(needless(&cluster, this.expect("it is there"), &task));
    }
    assert!(unneeded.is_empty(), "{unneeded:#?}");
    cluster.kubectl(&["delete", "clusterrolebindings,clusterroles", "-l", LABEL]);
}
