//! What the experiments that take a workload as a whole would do to applications that are built in
//! different ways, and what they refuse.

use chaos_common::cluster::ReadErrorKind;
use chaos_common::record::{Change, Status};
use serde_json::{Value, json};

use super::{needs, of, planned, refusals, workload_named};
use crate::testing::Behaviour;
use crate::testing::application::{application, budget, service, with, workload};
use crate::testing::objects::{NAMESPACE, network_policy, uid};
use crate::testing::test_bed::TestBed;

/// Services that lead to the shop and to its database.
const SERVICES: &str = r#"
[[service]]
name = "shop"
port = 8000
health = "/health"
vantage = "api-proxy"

[[service]]
name = "db"
port = 8001
health = "/ready"
vantage = "api-proxy"

[experiment.network_partition]
peer = "deployment/front"
"#;

/// A shop of two pods and a database of three, each with a Service, and a peer of the shop.
fn shop() -> TestBed {
    let mut bed = TestBed::with(application("Deployment", "shop", 2));
    bed.server.add_all(application("StatefulSet", "db", 3));
    bed.server.add_all(application("Deployment", "front", 1));
    bed.server
        .add_all([service("shop", "shop"), service("db", "db")]);
    bed.config = SERVICES.to_owned();
    bed
}

/// Every experiment that takes one workload as a whole.
const OF_ONE: [&str; 4] = [
    "network-partition",
    "dns-failure",
    "scale-down",
    "storage-failure",
];

fn patch_of(change: &Change) -> (String, &Value, &Value) {
    match change {
        Change::Patch {
            object,
            original,
            faulted,
            ..
        } => (object.to_string(), original, faulted),
        other => panic!("{other:?} is no patch"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_is_not_there_can_not_be_planned_and_the_error_says_which() {
    for name in OF_ONE {
        let wanted = workload_named("deployment/nothing");
        let error = planned(&shop(), name, &wanted).await.expect_err(name);
        let text = error.to_string();
        assert!(text.contains("deployment/nothing"), "{name}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_daemonset_can_not_be_taken_as_a_whole() {
    for name in OF_ONE {
        let wanted = workload_named("daemonset/agent");
        let error = planned(&shop(), name, &wanted).await.expect_err(name);
        let text = error.to_string();
        assert!(text.contains("only a deployment"), "{name}: {text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_may_not_be_read_can_not_be_planned() {
    for name in OF_ONE {
        let bed = shop();
        let forbidden = Behaviour::Status(403);
        bed.server.always("GET deployments/shop", forbidden);
        let error = planned(&bed, name, &of("shop")).await.expect_err(name);
        assert_eq!(error.kind, ReadErrorKind::Forbidden, "{name}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_workload_whose_pods_are_not_all_ready_is_refused() {
    for name in OF_ONE {
        let bed = shop();
        let one_is_missing = json!({ "status": { "readyReplicas": 1 } });
        bed.server.edit("deployment/shop", &one_is_missing);
        let plan = planned(&bed, name, &of("shop")).await.expect(name);
        let refused = refusals(&plan, "limit.others");
        assert_eq!(refused.len(), 1, "{name}: {refused:?}");
        assert!(
            refused[0].contains("2 are updated and 1 are ready"),
            "{refused:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_a_killed_run_left_changed_is_refused() {
    for name in OF_ONE {
        let bed = shop();
        let label = json!({ "metadata": { "labels": { crate::labels::RUN_LABEL: "run-9" } } });
        bed.server.edit("deployment/shop", &label);
        let plan = planned(&bed, name, &of("shop")).await.expect(name);
        let refused = refusals(&plan, "limit.others");
        assert!(refused[0].contains("run run-9"), "{name}: {refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_autoscaler_of_the_workload_is_a_warning_and_one_of_another_is_none() {
    let scaler = |name: &str, target: &str| {
        json!({
            "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": name, "namespace": NAMESPACE },
            "spec": {
                "maxReplicas": 9, "scaleTargetRef": { "kind": "Deployment", "name": target },
            },
        })
    };
    for (target, expected) in [("shop", true), ("other", false)] {
        let bed = shop();
        bed.server.add(scaler("auto", target));
        let plan = planned(&bed, "scale-down", &of("shop")).await;
        let checks = plan.expect("planned").checks;
        let warned = checks.iter().any(|check| {
            check.status == Status::Warn && check.message.contains("the autoscaler auto")
        });
        assert_eq!(warned, expected, "{target}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_the_allowed_share_of_the_namespace_is_refused() {
    for name in ["network-partition", "dns-failure", "storage-failure"] {
        let bed = shop();
        let half = planned(&bed, name, &of("shop")).await.expect(name);
        assert_eq!(refusals(&half, "limit.share"), [""; 0], "{name}");
        bed.server.remove("statefulset/db");
        let all = planned(&bed, name, &of("shop")).await.expect(name);
        assert_eq!(refusals(&all, "limit.share").len(), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_creates_a_policy_for_the_pods_of_the_workload_that_allows_nothing() {
    let plan = planned(&shop(), "network-partition", &of("shop")).await;
    let plan = plan.expect("planned");
    assert_eq!(refusals(&plan, ""), [""; 0]);
    let [Change::Create { object, manifest }] = &plan.changes[..] else {
        panic!("{:?}", plan.changes);
    };
    assert_eq!(object.name, "chaos-network-partition-shop");
    assert_eq!(
        manifest["spec"],
        json!({
            "podSelector": { "matchLabels": { "app": "shop" } },
            "policyTypes": ["Ingress", "Egress"], "ingress": [], "egress": [],
        })
    );
    assert_eq!(plan.affected, ["shop"], "its own Service suffers");
    let radius = &plan.blast_radius[0];
    assert_eq!((radius.ready, radius.hit, radius.left), (2, 2, 0));
    let delete = "kubectl delete networkpolicy/chaos-network-partition-shop -n prod";
    assert!(
        plan.undo_commands[0].starts_with(delete),
        "{:?}",
        plan.undo_commands
    );
}

#[tokio::test(start_paused = true)]
async fn a_policy_is_made_and_taken_back_with_no_right_to_others() {
    let plan = planned(&shop(), "network-partition", &of("shop")).await;
    let plan = plan.expect("planned");
    let own = Some("chaos-network-partition-shop");
    assert!(needs(&plan, "create networkpolicies", None));
    assert!(needs(&plan, "delete networkpolicies", own));
    assert!(!needs(&plan, "delete networkpolicies", None));
    assert!(needs(&plan, "create pods/exec", None), "to ask in the peer");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_no_traffic_could_prove_is_refused() {
    let without = |name: &str| SERVICES.replace(&format!("name = \"{name}\""), "name = \"x\"");
    let same = format!("{SERVICES}control = \"shop\"\n");
    let set = SERVICES.replace("deployment/front", "statefulset/db");
    for (config, why) in [
        (without("shop"), "leads to deployment/shop"),
        (same, "so it is no control"),
        (set, "is no Deployment"),
    ] {
        let mut bed = shop();
        bed.config = config;
        let plan = planned(&bed, "network-partition", &of("shop")).await;
        let refused = refusals(&plan.expect("planned"), "limit.observable");
        assert!(refused[0].contains(why), "{refused:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn policies_that_defeat_the_fault_refuse_it_and_those_of_other_pods_do_not() {
    let policy = |app: &str| {
        let patch = json!({ "spec": {
            "podSelector": { "matchLabels": { "app": app } },
            "egress": [{}], "policyTypes": ["Egress"],
        } });
        with(network_policy("other"), &patch)
    };
    for name in ["network-partition", "dns-failure"] {
        for (app, refused) in [("shop", 1), ("db", 0)] {
            let bed = shop();
            bed.server.add(policy(app));
            let plan = planned(&bed, name, &of("shop")).await.expect(name);
            assert_eq!(
                refusals(&plan, "limit.policies").len(),
                refused,
                "{name}, {app}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_allows_no_traffic_along_the_route_is_named_and_refuses_nothing() {
    let policy = |rules: Value| {
        let patch = json!({ "spec": { "podSelector": { "matchLabels": { "app": "shop" } } } });
        with(
            with(network_policy("other"), &patch),
            &json!({ "spec": rules }),
        )
    };
    let web = json!({ "name": "web", "containerPort": 8000 });
    let pods = json!({ "spec": { "template": { "spec": {
        "containers": [{ "name": "main", "ports": [web] }],
    } } } });
    let ports = json!({ "spec": { "ports": [{ "port": 8000, "targetPort": "web" }] } });
    for (rules, status) in [
        (
            json!({ "ingress": [{ "ports": [{ "port": 9090 }] }] }),
            Status::Warn,
        ),
        (
            json!({ "egress": [{ "ports": [{ "port": 53 }] }] }),
            Status::Warn,
        ),
        (
            json!({ "ingress": [{ "ports": [{ "port": 8000 }] }] }),
            Status::Fail,
        ),
        (json!({ "egress": [{}] }), Status::Fail),
        (json!({ "policyTypes": ["Ingress"] }), Status::Pass),
    ] {
        let bed = shop();
        bed.server.edit("deployment/shop", &pods);
        bed.server.edit("service/shop", &ports);
        bed.server.add(policy(rules.clone()));
        let plan = planned(&bed, "network-partition", &of("shop")).await;
        let checks = plan.expect("planned").checks;
        let check = checks.iter().find(|check| check.id == "limit.policies");
        assert_eq!(check.map(|check| check.status), Some(status), "{rules}");
    }
}

#[tokio::test(start_paused = true)]
async fn policies_that_may_not_be_listed_refuse_the_fault() {
    for name in ["network-partition", "dns-failure"] {
        let bed = shop();
        bed.server
            .always("GET networkpolicies", Behaviour::Status(403));
        let plan = planned(&bed, name, &of("shop")).await.expect(name);
        assert_eq!(refusals(&plan, "limit.policies").len(), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_names_nothing_but_names_is_cut_and_no_service_is_given_up() {
    let plan = planned(&shop(), "dns-failure", &of("shop")).await;
    let plan = plan.expect("planned");
    assert_eq!(refusals(&plan, ""), [""; 0]);
    let Change::Create { manifest, .. } = &plan.changes[0] else {
        panic!("{:?}", plan.changes);
    };
    assert_eq!(manifest["spec"]["policyTypes"], json!(["Egress"]));
    let ports = manifest["spec"]["egress"][0]["ports"].as_array();
    let holds = |port: u64| {
        let inside =
            |one: &Value| (one["port"].as_u64()..=one["endPort"].as_u64()).contains(&Some(port));
        ports.expect("ports").iter().any(inside)
    };
    assert_eq!([53, 5353, 443, 8000].map(holds), [false, false, true, true]);
    assert_eq!(plan.affected, [""; 0]);
    assert!(
        needs(&plan, "get services", Some("shop")),
        "for its address"
    );
}

#[tokio::test(start_paused = true)]
async fn names_are_proven_to_fail_in_pods_of_a_deployment_only() {
    let plan = planned(&shop(), "dns-failure", &workload_named("statefulset/db")).await;
    let refused = refusals(&plan.expect("planned"), "limit.observable");
    assert!(refused[0].contains("is no Deployment"), "{refused:?}");
    let mut bed = shop();
    bed.config = String::new();
    let plan = planned(&bed, "dns-failure", &of("shop")).await;
    let refused = refusals(&plan.expect("planned"), "limit.observable");
    assert!(
        refused[0].contains("can be asked by its name"),
        "{refused:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn one_pod_fewer_is_planned_with_the_count_to_go_back_to() {
    let plan = planned(&shop(), "scale-down", &workload_named("statefulset/db")).await;
    let plan = plan.expect("planned");
    assert_eq!(refusals(&plan, ""), [""; 0]);
    let (object, original, faulted) = patch_of(&plan.changes[0]);
    assert_eq!(object, "statefulset/db");
    assert_eq!((original, faulted), (&json!(3), &json!(2)));
    assert_eq!(
        plan.changes[0].object().uid,
        Some(uid("statefulset", "db")),
        "no other object of that name is ever patched"
    );
    assert!(
        plan.undo_commands[0].contains(r#""replicas":3"#),
        "{:?}",
        plan.undo_commands
    );
    assert!(needs(&plan, "patch statefulsets", Some("db")));
    assert!(!needs(&plan, "patch statefulsets", None));
}

#[tokio::test(start_paused = true)]
async fn a_count_and_a_share_say_how_many_pods_go() {
    for (count, share, left) in [(Some(2), None, 1), (None, Some(67), 1), (None, Some(1), 2)] {
        let mut selection = workload_named("statefulset/db");
        (selection.count, selection.share) = (count, share);
        let plan = planned(&shop(), "scale-down", &selection).await;
        let plan = plan.expect("planned");
        assert_eq!(
            patch_of(&plan.changes[0]).2,
            &json!(left),
            "{count:?} {share:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_only_pod_of_a_workload_is_not_taken_by_scaling() {
    let bed = shop();
    bed.server.add_all(application("Deployment", "one", 1));
    let plan = planned(&bed, "scale-down", &of("one")).await;
    assert_eq!(
        refusals(&plan.expect("planned"), "limit.survivors").len(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn more_pods_than_there_are_is_no_negative_count_and_refused() {
    let mut selection = of("shop");
    selection.count = Some(5);
    let plan = planned(&shop(), "scale-down", &selection).await;
    let plan = plan.expect("planned");
    assert_eq!(patch_of(&plan.changes[0]).2, &json!(0));
    assert_eq!(plan.blast_radius[0].hit, 2);
    assert_eq!(refusals(&plan, "limit.survivors").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_disruption_budget_that_scaling_would_break_refuses_it() {
    for (allowed, refused) in [(0, 1), (1, 0)] {
        let bed = shop();
        bed.server.add(budget("keep", "db", allowed));
        let plan = planned(&bed, "scale-down", &workload_named("statefulset/db")).await;
        let found = refusals(&plan.expect("planned"), "limit.disruption-budget");
        assert_eq!(found.len(), refused, "{allowed}: {found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_workload_of_no_pods_has_none_to_lose() {
    let bed = shop();
    bed.server.add(workload("Deployment", "idle", 0));
    let plan = planned(&bed, "scale-down", &of("idle")).await;
    assert_eq!(refusals(&plan.expect("planned"), "limit.targets").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn pods_that_only_bear_the_labels_are_in_the_blast_radius_of_a_policy() {
    for name in ["network-partition", "dns-failure"] {
        let bed = shop();
        let canary = json!({ "metadata": { "labels": { "app": "shop" } } });
        for object in application("Deployment", "canary", 1) {
            let is_pod = object["kind"] == "Pod";
            bed.server.add(if is_pod {
                with(object, &canary)
            } else {
                object
            });
        }
        let plan = planned(&bed, name, &of("shop")).await.expect(name);
        let hit: Vec<(String, usize)> = plan
            .blast_radius
            .iter()
            .map(|one| (one.workload.to_string(), one.hit))
            .collect();
        let expected = [
            ("deployment/shop".to_owned(), 2),
            ("deployment/canary".to_owned(), 1),
        ];
        assert_eq!(hit, expected, "{name}");
        let told = plan.checks.iter().any(|check| {
            check.status == Status::Warn && check.object.as_deref() == Some("deployment/canary")
        });
        assert!(told, "{name}: {:?}", plan.checks);
    }
}

#[tokio::test(start_paused = true)]
async fn a_budget_is_not_charged_for_pods_of_others_with_the_same_labels() {
    let bed = shop();
    let mut canary = application("Deployment", "canary", 1);
    let labels = json!({ "metadata": { "labels": { "app": "shop", "track": "canary" } } });
    let last = canary.pop().expect("a pod");
    canary.push(with(last, &labels));
    bed.server.add_all(canary);
    let mut keep = budget("keep", "shop", 0);
    keep["spec"]["selector"] = json!({ "matchLabels": { "track": "canary" } });
    bed.server.add(keep);
    let plan = planned(&bed, "scale-down", &of("shop"))
        .await
        .expect("planned");
    assert_eq!(refusals(&plan, "limit.disruption-budget"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn pods_that_take_longer_to_end_than_they_are_waited_for_are_told_in_the_plan() {
    for name in ["scale-down", "pod-failure"] {
        let bed = shop();
        let slow = json!({ "terminationGracePeriodSeconds": 600 });
        let template = json!({ "spec": { "template": { "spec": slow } } });
        bed.server.edit("deployment/shop", &template);
        bed.server.edit("pod/shop-0", &json!({ "spec": slow }));
        let plan = planned(&bed, name, &of("shop")).await.expect(name);
        let told = plan.checks.iter().find(|check| check.id == "limit.grace");
        let told = told.unwrap_or_else(|| panic!("{name}: {:?}", plan.checks));
        assert_eq!(told.status, Status::Warn);
        assert!(told.message.contains("up to 600 s"), "{}", told.message);
    }
}
