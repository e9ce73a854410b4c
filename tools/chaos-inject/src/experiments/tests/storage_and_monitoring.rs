//! What the experiments that take the pods of a database, of monitoring, or the node's resources
//! away would do, and what they refuse.

use chaos_common::record::Change;
use serde_json::{Value, json};

use super::{experiment, needs, of, planned, refusals, workload_named};
use crate::plan::target::Selection;
use crate::testing::application::{application, service, with};
use crate::testing::objects::NAMESPACE;
use crate::testing::test_bed::TestBed;

fn claim(name: &str, phase: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "volumeName": "pv-1" }, "status": { "phase": phase },
    })
}

/// A shop of three pods, and a database whose pod mounts these volumes.
fn with_database(kind: &str, spec: &Value) -> TestBed {
    let bed = TestBed::with(application("Deployment", "shop", 3));
    let mut database = application(kind, "db", 1);
    database[0] = with(database[0].clone(), &json!({ "spec": spec }));
    database.push(service("db", "db"));
    bed.server.add_all(database);
    bed
}

fn mounting(claim: &str) -> Value {
    let volume = json!({ "name": "v", "persistentVolumeClaim": { "claimName": claim } });
    json!({ "template": { "spec": { "volumes": [volume] } } })
}

#[tokio::test(start_paused = true)]
async fn a_database_with_a_bound_volume_goes_to_no_pods_and_back() {
    let bed = with_database("Deployment", &mounting("data"));
    bed.server.add(claim("data", "Bound"));
    let plan = planned(&bed, "storage-failure", &of("db")).await;
    let plan = plan.expect("planned");
    assert_eq!(refusals(&plan, ""), [""; 0]);
    let Change::Patch {
        original, faulted, ..
    } = &plan.changes[0]
    else {
        panic!("{:?}", plan.changes);
    };
    assert_eq!((original, faulted), (&json!(1), &json!(0)));
    assert_eq!(plan.affected, ["db"]);
    assert!(needs(&plan, "get persistentvolumeclaims", Some("data")));
    assert!(!needs(&plan, "get persistentvolumeclaims", None));
    assert!(
        !needs(&plan, "create pods/exec", None),
        "no database to write to is configured"
    );
}

#[tokio::test(start_paused = true)]
async fn the_claims_of_a_statefulset_are_those_of_its_templates() {
    let templates = json!([{ "metadata": { "name": "data" } }]);
    let bed = with_database("StatefulSet", &json!({ "volumeClaimTemplates": templates }));
    bed.server.add(claim("data-db-0", "Bound"));
    let plan = planned(&bed, "storage-failure", &workload_named("statefulset/db")).await;
    let plan = plan.expect("planned");
    assert_eq!(refusals(&plan, ""), [""; 0]);
    assert!(needs(
        &plan,
        "get persistentvolumeclaims",
        Some("data-db-0")
    ));
}

#[tokio::test(start_paused = true)]
async fn storage_that_is_missing_or_not_whole_can_not_be_lost() {
    let none = with_database("Deployment", &json!({}));
    let absent = with_database("Deployment", &mounting("data"));
    let pending = with_database("Deployment", &mounting("data"));
    pending.server.add(claim("data", "Pending"));
    for (bed, why) in [
        (none, "there is no storage to lose"),
        (absent, "persistentvolumeclaim data"),
        (pending, "claim data is Pending"),
    ] {
        let plan = planned(&bed, "storage-failure", &of("db")).await;
        let refused = refusals(&plan.expect("planned"), "limit.volumes");
        assert!(refused[0].contains(why), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_configured_database_is_taken_and_needs_a_good_backup() {
    let mut bed = with_database("Deployment", &mounting("data"));
    bed.server.add(claim("data", "Bound"));
    bed.config = "[database]\ndeployment = \"db\"\nname = \"shop\"\n".to_owned();
    let nothing = Selection::default();
    let plan = planned(&bed, "storage-failure", &nothing).await;
    let plan = plan.expect("planned");
    assert_eq!(plan.targets[0].name, "db");
    assert!(needs(&plan, "create pods/exec", None), "to write to it");
    let context = bed.context();
    let experiment = experiment("storage-failure", &nothing, &context).expect("it is named");
    let at_stake = experiment.data_at_stake(&context, &plan).await;
    assert!(at_stake.expect("known"));
}

#[tokio::test(start_paused = true)]
async fn without_any_name_of_a_workload_there_is_no_experiment() {
    let context = TestBed::with([]).context();
    for name in [
        "pod-failure",
        "network-partition",
        "storage-failure",
        "monitoring-failure",
        "scale-down",
        "dns-failure",
    ] {
        let nothing = Selection::default();
        let message = experiment(name, &nothing, &context).map(drop);
        assert!(message.is_err(), "{name}");
    }
}

const MONITORING: &str = r#"
[monitoring]
namespace = "prod"
prometheus = { deployment = "prom", service = "prom", port = 9090, vantage = "api-proxy" }
grafana = { deployment = "graf", service = "graf", port = 3000, vantage = "api-proxy" }
"#;

fn monitored() -> TestBed {
    let mut bed = TestBed::with(application("Deployment", "shop", 3));
    for name in ["prom", "graf"] {
        bed.server.add_all(application("Deployment", name, 1));
    }
    bed.config = MONITORING.to_owned();
    bed
}

#[tokio::test(start_paused = true)]
async fn all_configured_systems_of_monitoring_go_and_no_other() {
    let plan = planned(&monitored(), "monitoring-failure", &Selection::default()).await;
    let plan = plan.expect("planned");
    assert_eq!(refusals(&plan, ""), [""; 0]);
    let hit: Vec<String> = plan
        .changes
        .iter()
        .map(|one| one.object().to_string())
        .collect();
    assert_eq!(hit, ["deployment/prom", "deployment/graf"]);
    assert_eq!(plan.blast_radius.len(), 2);
    assert!(needs(&plan, "get services/proxy", Some("prom:9090")));
    let back = |one: &&String| one.starts_with("kubectl patch");
    assert_eq!(plan.undo_commands.iter().filter(back).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn monitoring_that_has_no_pods_already_is_not_taken_away() {
    let bed = monitored();
    let none = json!({ "replicas": 0, "updatedReplicas": 0, "readyReplicas": 0 });
    let patch = json!({ "spec": { "replicas": 0 }, "status": none });
    bed.server.edit("deployment/graf", &patch);
    let plan = planned(&bed, "monitoring-failure", &Selection::default()).await;
    let refused = refusals(&plan.expect("planned"), "limit.targets");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert!(refused[0].contains("no replicas already"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_namespace_of_monitoring_that_may_not_be_touched_refuses_the_fault() {
    let mut bed = monitored();
    bed.config = format!("[limits]\nnamespaces = [\"staging\"]\n{MONITORING}");
    let plan = planned(&bed, "monitoring-failure", &Selection::default()).await;
    assert_eq!(
        refusals(&plan.expect("planned"), "limit.namespace").len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn the_stress_pod_is_the_only_object_that_is_made_and_deleted() {
    let bed = monitored();
    let plan = planned(&bed, "resource-exhaustion", &Selection::default()).await;
    let plan = plan.expect("planned");
    assert_eq!(refusals(&plan, ""), [""; 0]);
    let [Change::Create { object, .. }] = &plan.changes[..] else {
        panic!("{:?}", plan.changes);
    };
    assert_eq!(object.name, "chaos-resource-exhaustion");
    assert!(needs(
        &plan,
        "delete pods",
        Some("chaos-resource-exhaustion")
    ));
    assert!(
        !needs(&plan, "delete pods", None),
        "the application's pods are safe from it"
    );
    assert_eq!(plan.blast_radius.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn stress_that_is_none_or_that_kubernetes_would_not_understand_is_refused() {
    for (settings, why) in [
        (
            "cpu_workers = 0\nmemory_workers = 0",
            "nothing would be exhausted",
        ),
        ("cpu_limit = \"four\"", "\"four\" is not a quantity"),
        ("memory_request = \"2 GB\"", "\"2 GB\" is not a quantity"),
    ] {
        let mut bed = monitored();
        bed.config = format!("[experiment.resource_exhaustion]\n{settings}\n");
        let plan = planned(&bed, "resource-exhaustion", &Selection::default()).await;
        let refused = refusals(&plan.expect("planned"), "limit.targets");
        assert!(refused[0].contains(why), "{refused:?}");
    }
}
