//! Which pods `pod-failure` would delete, of which workloads, and which it leaves alone.

use chaos_common::cluster::ReadErrorKind;
use chaos_common::record::{Change, Plan};
use serde_json::json;

use super::{experiment, needs, of, planned, refusals, workload_named};
use crate::plan::target::Selection;
use crate::testing::Behaviour;
use crate::testing::application::{application, budget, owned_pod, service, with};
use crate::testing::objects::{self, uid};
use crate::testing::test_bed::TestBed;

const NAME: &str = "pod-failure";

/// A workload of some pods, with its Service, beside another of three.
fn beside_others(kind: &str, replicas: u32) -> TestBed {
    let bed = TestBed::with(application("StatefulSet", "other", 3));
    bed.server.add_all(application(kind, "shop", replicas));
    bed.server.add(service("front", "shop"));
    bed
}

/// Pods by name.
fn pods(names: &[&str]) -> Selection {
    Selection {
        pods: names.iter().map(ToString::to_string).collect(),
        ..Selection::default()
    }
}

fn deleted(plan: &Plan) -> Vec<&str> {
    let is_delete = |change: &&Change| matches!(change, Change::Delete { .. });
    let deletes = plan.changes.iter().filter(is_delete);
    deletes
        .map(|change| change.object().name.as_str())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn one_pod_of_any_kind_of_workload_is_deleted_by_its_uid() {
    for (kind, named) in [
        ("Deployment", "deployment/shop"),
        ("StatefulSet", "statefulset/shop"),
        ("DaemonSet", "daemonset/shop"),
    ] {
        let plan = planned(&beside_others(kind, 2), NAME, &workload_named(named)).await;
        let plan = plan.expect(kind);
        assert_eq!(refusals(&plan, ""), [""; 0], "{kind}");
        assert_eq!(deleted(&plan), ["shop-0"], "{kind}");
        assert_eq!(plan.changes[0].object().uid, Some(uid("pod", "shop-0")));
        assert_eq!(plan.targets[0].owner.to_string(), named);
        let radius = &plan.blast_radius[0];
        assert_eq!((radius.ready, radius.hit, radius.left), (2, 1, 1), "{kind}");
        assert_eq!(radius.services, ["front"], "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn pods_of_a_bare_replica_set_come_back_and_may_go() {
    let bed = beside_others("Deployment", 1);
    bed.server.add(objects::replica_set("bare"));
    for name in ["bare-0", "bare-1"] {
        bed.server
            .add(owned_pod(name, "bare", ("ReplicaSet", "bare")));
    }
    let plan = planned(&bed, NAME, &workload_named("replicaset/bare")).await;
    let plan = plan.expect("planned");
    assert_eq!(refusals(&plan, ""), [""; 0]);
    assert_eq!(deleted(&plan), ["bare-0"]);
    assert_eq!(plan.targets[0].owner.kind, "ReplicaSet");
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_nobody_would_bring_back_is_not_deleted() {
    let bed = beside_others("Deployment", 2);
    let bare = json!({ "metadata": { "ownerReferences": null } });
    let lonely = with(objects::pod("lonely", "lonely", true), &bare);
    bed.server.add(lonely);
    let plan = planned(&bed, NAME, &pods(&["lonely"])).await;
    let plan = plan.expect("planned");
    let refused = refusals(&plan, "limit.owner");
    assert!(
        refused[0].contains("nothing would bring it back"),
        "{refused:?}"
    );
    assert_eq!(deleted(&plan), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn the_only_pod_of_a_workload_is_not_deleted() {
    let plan = planned(&beside_others("Deployment", 1), NAME, &of("shop")).await;
    let refused = refusals(&plan.expect("planned"), "limit.survivors");
    assert!(refused[0].contains("1 of 1 ready pods"), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn the_only_ready_pod_of_a_workload_is_not_deleted_though_others_start() {
    let bed = beside_others("Deployment", 2);
    let starting = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    bed.server.edit("pod/shop-0", &starting);
    let plan = planned(&bed, NAME, &of("shop")).await.expect("planned");
    assert_eq!(deleted(&plan), ["shop-1"], "only a ready pod is a target");
    assert_eq!(refusals(&plan, "limit.survivors").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_workload_without_a_ready_pod_and_one_that_is_missing_are_refused() {
    let bed = beside_others("Deployment", 1);
    let starting = json!({ "status": { "conditions": [{ "type": "Ready", "status": "False" }] } });
    bed.server.edit("pod/shop-0", &starting);
    let missing = "there is no deployment/nothing in namespace prod";
    for (name, why) in [("shop", "has no ready pod"), ("nothing", missing)] {
        let plan = planned(&bed, NAME, &of(name)).await.expect("planned");
        let refused = refusals(&plan, "limit.targets");
        assert!(refused[0].contains(why), "{refused:?}");
        assert_eq!(deleted(&plan), [""; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_wrong_name_among_the_named_pods_spares_the_others_too() {
    let bed = beside_others("Deployment", 3);
    let plan = planned(&bed, NAME, &pods(&["shop-0", "shop-9"])).await;
    let plan = plan.expect("planned");
    let refused = refusals(&plan, "limit.targets");
    assert!(
        refused[0].contains("there is no ready pod shop-9"),
        "{refused:?}"
    );
    assert_eq!(deleted(&plan), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn labels_select_pods_of_several_workloads_each_of_which_keeps_one() {
    let bed = beside_others("Deployment", 2);
    let selection = Selection {
        selector: Some("pod-template-hash=5d8f".to_owned()),
        ..Selection::default()
    };
    let plan = planned(&bed, NAME, &selection).await.expect("planned");
    assert_eq!(deleted(&plan), ["shop-0", "other-0"]);
    let left: Vec<usize> = plan.blast_radius.iter().map(|one| one.left).collect();
    assert_eq!(left, [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_disruption_budget_that_would_be_broken_refuses_the_fault() {
    for (app, allowed, refused) in [("shop", 0, 1), ("shop", 1, 0), ("other", 0, 0)] {
        let bed = beside_others("Deployment", 2);
        bed.server.add(budget("keep", app, allowed));
        let plan = planned(&bed, NAME, &of("shop")).await.expect("planned");
        let found = refusals(&plan, "limit.disruption-budget");
        assert_eq!(found.len(), refused, "{app} {allowed}: {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn pods_services_or_budgets_that_may_not_be_listed_leave_no_plan() {
    for list in ["GET pods", "GET services", "GET poddisruptionbudgets"] {
        let bed = beside_others("Deployment", 2);
        bed.server.always(list, Behaviour::Status(403));
        let error = planned(&bed, NAME, &of("shop")).await.expect_err(list);
        assert_eq!(error.kind, ReadErrorKind::Forbidden, "{list}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_is_missing_is_named() {
    let bed = beside_others("Deployment", 2);
    bed.server.deny("delete pods");
    let plan = planned(&bed, NAME, &of("shop")).await.expect("planned");
    let refused = refusals(&plan, "limit.permissions");
    assert!(
        refused[0].contains("delete pods in namespace prod"),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn replacements_are_asked_themselves_only_where_a_service_leads_to_them() {
    let bed = beside_others("Deployment", 2);
    let with_service = planned(&bed, NAME, &of("shop")).await.expect("planned");
    assert!(needs(&with_service, "get pods/proxy", None));
    bed.server.remove("service/front");
    let without = planned(&bed, NAME, &of("shop")).await.expect("planned");
    assert!(!needs(&without, "get pods/proxy", None));
}

#[tokio::test(start_paused = true)]
async fn data_is_at_stake_where_a_pod_mounts_a_claim_or_is_the_databases() {
    let volume = json!({ "name": "v", "persistentVolumeClaim": { "claimName": "data" } });
    let mounts = json!({ "spec": { "volumes": [volume] } });
    let role = "[[workload]]\nname = \"shop\"\nrole = \"database\"\n";
    let database = "[database]\ndeployment = \"shop\"\nname = \"shop\"\n";
    for (config, mounted, expected) in [
        ("", false, false),
        ("", true, true),
        (role, false, true),
        (database, false, true),
    ] {
        let mut bed = beside_others("Deployment", 2);
        bed.config = config.to_owned();
        if mounted {
            bed.server.edit("pod/shop-0", &mounts);
        }
        let plan = planned(&bed, NAME, &of("shop")).await.expect("planned");
        let context = bed.context();
        let experiment = experiment(NAME, &of("shop"), &context).expect("it is named");
        let at_stake = experiment.data_at_stake(&context, &plan).await;
        assert_eq!(at_stake.expect("known"), expected, "{config:?} {mounted}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_would_come_back_updated_is_not_deleted() {
    let bed = TestBed::with(application("Deployment", "other", 3));
    bed.server.add_all(application("StatefulSet", "db", 3));
    let waits = json!({
        "spec": { "updateStrategy": { "type": "OnDelete" } },
        "status": { "currentRevision": "a", "updateRevision": "b" },
    });
    bed.server.edit("statefulset/db", &waits);
    let plan = planned(&bed, NAME, &workload_named("statefulset/db")).await;
    let plan = plan.expect("planned");
    let refused = refusals(&plan, "limit.others");
    assert!(
        refused.len() == 1 && refused[0].contains("OnDelete"),
        "{refused:?}"
    );
    assert!(needs(&plan, "get statefulsets", Some("db")));
}
