//! What follows for a plan from what a fault says of itself.

use chaos_common::record::{Status, WorkloadRef};

use super::*;
use crate::testing::Behaviour;
use crate::testing::objects::{create_policy, delete_pod, deployment, scale_to_zero};
use crate::testing::test_bed::TestBed;

fn bed() -> TestBed {
    TestBed::with([deployment("shop", 3)])
}

async fn planned(bed: &TestBed, draft: Draft) -> Plan {
    draft.finish(&bed.context()).await.expect("planned")
}

fn draft(changes: Vec<Change>) -> Draft {
    Draft {
        experiment: "stub",
        changes,
        ..Draft::default()
    }
}

fn radius_in(namespace: &str) -> BlastRadius {
    BlastRadius {
        workload: WorkloadRef {
            kind: "Deployment".into(),
            namespace: namespace.into(),
            name: "shop".into(),
        },
        ready: 2,
        hit: 1,
        left: 1,
        services: Vec::new(),
    }
}

fn of<'a>(plan: &'a Plan, id: &str) -> Vec<&'a Check> {
    plan.checks.iter().filter(|check| check.id == id).collect()
}

#[tokio::test(start_paused = true)]
async fn the_calls_are_the_writes_with_what_they_insist_on() {
    let changes = vec![
        scale_to_zero("shop", 3),
        create_policy("cut"),
        delete_pod("shop-0"),
    ];
    let plan = planned(&bed(), draft(changes)).await;
    let calls: Vec<(&str, &str)> = plan
        .calls
        .iter()
        .map(|call| (call.method.as_str(), call.path.as_str()))
        .collect();
    assert_eq!(
        calls,
        [
            ("PATCH", "/apis/apps/v1/namespaces/prod/deployments/shop"),
            (
                "POST",
                "/apis/networking.k8s.io/v1/namespaces/prod/networkpolicies"
            ),
            ("DELETE", "/api/v1/namespaces/prod/pods/shop-0"),
        ]
    );
    let insist = |n: usize| plan.calls[n].precondition.clone().unwrap_or_default();
    assert_eq!(
        insist(0),
        "uid deployment-shop-uid, spec.replicas is still 3"
    );
    assert!(
        insist(1).contains("owned by the run's Lease"),
        "{}",
        insist(1)
    );
    assert_eq!(insist(2), "uid pod-shop-0-uid");
}

#[tokio::test(start_paused = true)]
async fn the_calls_that_were_planned_are_those_that_a_run_makes() {
    let bed = bed();
    let changes = vec![scale_to_zero("shop", 3), create_policy("cut")];
    let plan = planned(&bed, draft(changes.clone())).await;
    bed.run(crate::testing::experiment::Stub::of(changes)).await;
    let made = bed.server.calls();
    let at = |call: &ApiCall| {
        let line = format!("{} {}", call.method, call.path);
        made.iter().position(|one| *one == line)
    };
    let found: Vec<Option<usize>> = plan.calls.iter().map(at).collect();
    assert!(found.iter().all(Option::is_some), "{made:?}");
    assert!(found.is_sorted(), "in this order: {made:?}");
}

#[tokio::test(start_paused = true)]
async fn the_worst_case_is_all_that_may_be_waited_for() {
    let timed = |alerts: &[&str]| Draft {
        hold: Duration::from_secs(60),
        recovery_limit: Duration::from_secs(120),
        slack: Duration::from_secs(5),
        alerts: alerts
            .iter()
            .map(|name| name.parse().expect("a name"))
            .collect(),
        ..draft(Vec::new())
    };
    let mut bed = bed();
    bed.config = "[experiment]\nsettle = \"3s\"\nalert_wait = \"40s\"\n".to_owned();
    let quiet = planned(&bed, timed(&[])).await;
    assert_eq!((quiet.hold_ms, quiet.worst_case_ms), (60_000, 188_000));
    let limits = quiet.limits.expect("limits");
    assert_eq!((limits.recovery_ms, limits.alert_wait_ms), (120_000, None));
    let alerting = planned(&bed, timed(&["Down"])).await;
    assert_eq!(alerting.worst_case_ms, 228_000);
    assert_eq!(alerting.limits.expect("limits").alert_wait_ms, Some(40_000));
}

#[tokio::test(start_paused = true)]
async fn a_time_that_no_number_of_milliseconds_holds_is_as_good_as_for_ever() {
    let endless = Draft {
        hold: Duration::from_secs(u64::MAX / 2),
        ..draft(Vec::new())
    };
    let plan = planned(&bed(), endless).await;
    assert_eq!((plan.hold_ms, plan.worst_case_ms), (u64::MAX, u64::MAX));
}

#[tokio::test(start_paused = true)]
async fn each_permission_is_asked_for_once_and_the_undo_has_its_own() {
    let twice = vec![scale_to_zero("shop", 3), scale_to_zero("shop", 3)];
    let plan = planned(&bed(), draft(twice)).await;
    let words: Vec<String> = plan
        .permissions
        .iter()
        .map(|one| format!("{} {} {:?}", one.verb, one.resource, one.name))
        .collect();
    let patches = words.iter().filter(|one| one.contains("patch deployments"));
    assert_eq!(patches.count(), 1, "{words:?}");
    let lease = "Some(\"chaos-namespace-prod\")";
    for verb in ["get", "patch", "delete"] {
        let needed = format!("{verb} leases {lease}");
        assert!(words.contains(&needed), "{needed} is not in {words:?}");
    }
    assert!(plan.permissions.iter().all(|one| one.allowed));
}

#[tokio::test(start_paused = true)]
async fn every_namespace_that_holds_a_target_must_be_allowed() {
    let mut bed = bed();
    bed.config = "[limits]\nnamespaces = [\"prod\"]\n".to_owned();
    let two = Draft {
        blast_radius: vec![radius_in("prod"), radius_in("monitoring")],
        ..draft(Vec::new())
    };
    let plan = planned(&bed, two).await;
    let judged: Vec<(Option<&str>, Status)> = of(&plan, "limit.namespace")
        .iter()
        .map(|check| (check.object.as_deref(), check.status))
        .collect();
    assert_eq!(
        judged,
        [
            (Some("namespace/monitoring"), Status::Fail),
            (Some("namespace/prod"), Status::Pass)
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn locks_that_may_not_be_looked_for_are_no_permission() {
    let bed = bed();
    bed.server.always("GET leases", Behaviour::Status(403));
    let plan = planned(&bed, draft(Vec::new())).await;
    assert_eq!(of(&plan, "limit.lock")[0].status, Status::Unknown);
}

#[tokio::test(start_paused = true)]
async fn without_an_answer_about_permissions_or_the_cluster_there_is_no_plan() {
    for (request, status) in [
        ("POST selfsubjectaccessreviews", 403),
        ("POST selfsubjectaccessreviews", 500),
        ("GET namespaces/kube-system", 500),
    ] {
        let bed = bed();
        bed.server.always(request, Behaviour::Status(status));
        let draft = draft(vec![scale_to_zero("shop", 3)]);
        let planned = draft.finish(&bed.context()).await;
        assert!(planned.is_err(), "{request} {status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_whose_identity_may_not_be_read_is_known_by_its_address() {
    let bed = bed();
    let refused = Behaviour::Status(403);
    bed.server.always("GET namespaces/kube-system", refused);
    let plan = planned(&bed, draft(Vec::new())).await;
    assert_eq!(plan.cluster.id, "server:https://test");
}

#[tokio::test(start_paused = true)]
async fn the_way_back_is_told_as_commands_in_the_order_of_the_changes() {
    let changes = vec![scale_to_zero("shop", 3), create_policy("cut")];
    let both = Draft {
        blast_radius: vec![radius_in("prod")],
        ..draft(changes)
    };
    let plan = planned(&bed(), both).await;
    let begins = [
        "kubectl patch deployment/shop -n prod",
        "kubectl delete networkpolicy/cut -n prod",
        "kubectl rollout status deployment/shop -n prod",
    ];
    assert_eq!(
        plan.undo_commands.len(),
        begins.len(),
        "{:?}",
        plan.undo_commands
    );
    for (command, begin) in plan.undo_commands.iter().zip(begins) {
        assert!(command.starts_with(begin), "{command}");
    }
}
