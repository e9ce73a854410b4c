//! A whole pipeline as a ServiceAccount that has what `--rbac` prints and nothing more.

use std::path::Path;

use chaos_tests::cluster::{Cluster, repository};
use chaos_tests::run::{Place, Ran, check, in_time};
use serde_json::Value;

use crate::acme::{described, passed, told, up};
use crate::acme_experiments::back_up;
use crate::shop::is;

const ACCOUNT: &str = "chaos-pipeline";
const EXPERIMENT: &str = "scale-down --workload deployment/acme-web --duration 3s";
const TABLES: &str = "[health]
skip = [\"node.usage\"]

[[backup]]
name = \"acme\"
kind = \"postgres\"
path = \"backup/acme.sql\"

[experiment]
warm_up = \"1s\"
settle = \"1s\"
min_availability_percent = 30.0
guard_percent = 20.0
guard_window = \"60s\"
probe_interval = \"300ms\"
";

/// Prints what is needed, as somebody who may see everything, and grants it.
fn grant(cluster: &Cluster) -> String {
    let rbac = format!("--rbac={ACCOUNT}");
    let plan: Vec<&str> = ["plan"]
        .into_iter()
        .chain(EXPERIMENT.split(' '))
        .chain([&*rbac])
        .collect();
    for (tool, args) in [
        ("chaos-health", vec!["access", &rbac]),
        ("chaos-inject", plan),
    ] {
        cluster.apply(&cluster.place.tool(tool, &args).exits(0).stdout());
    }
    cluster.as_account("acme", ACCOUNT)
}

fn pipeline(place: &Place) -> Ran {
    let script = repository().join("scripts/experiment.sh");
    in_time(|| place.shell(&format!("{} {EXPERIMENT}", script.display())))
}

#[test]
#[ignore = "needs the cluster: make test"]
fn a_pipeline_runs_with_what_was_printed_and_tells_what_is_missing() {
    let cluster = up();
    described(&cluster, TABLES);
    back_up(&cluster);
    let kubeconfig = grant(&cluster);
    let (_receivers, place) = told(&cluster, Path::new(&kubeconfig));
    let ran = pipeline(&place);
    passed(&ran);
    is(&ran.record("chaos.plan/1"), "limit.permissions", "pass");
    // Nothing that the pipeline looks at was out of its reach.
    assert!(!ran.stdout().contains("forbidden"), "{}", ran.show());
    let record = ran.record("chaos.experiment/1");
    assert_eq!(record["data"]["outcome"], "completed", "{}", ran.show());

    without(&cluster, "patch");
    let refused = pipeline(&place);
    let plan = refused.record("chaos.plan/1");
    let check = check(&plan, "limit.permissions", "");
    assert_eq!(check["status"], "fail", "{check}");
    let message = check["message"].to_string();
    assert!(message.contains("patch deployments"), "{check}");
    refused.exits(1);
}

/// Takes a verb away from the rule about the Deployment that is hit.
fn without(cluster: &Cluster, verb: &str) {
    let role = [
        "get",
        "role",
        "chaos-scale-down",
        "-n",
        "acme",
        "-o",
        "json",
    ];
    let role = cluster.kubectl(&role);
    let mut role: Value = serde_json::from_str(&role).expect("a Role");
    let rules = role["rules"].as_array_mut().expect("rules");
    let mut rules = rules.iter_mut();
    let of_deployments = rules.find(|one| one["resources"][0] == "deployments");
    let of_deployments = of_deployments.expect("there is one");
    let verbs = of_deployments["verbs"].as_array_mut().expect("verbs");
    let before = verbs.len();
    verbs.retain(|one| one != verb);
    assert_eq!(verbs.len(), before - 1, "{verbs:?}");
    cluster.apply(&role.to_string());
}
