//! Partition and DNS failure where no pod of the application can ask, and among policies that allow
//! what the fault is to take away: probe pods of ours, and policies that are set aside.

use chaos_common::exit::Exit;
use chaos_common::record::{Change, Plan, Status};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};

use super::{experiment, needs, of, planned, refusals};
use crate::testing::application::{application, service, with};
use crate::testing::controllers;
use crate::testing::objects::network_policy;
use crate::testing::test_bed::TestBed;
use crate::testing::{ApiServer, Behaviour};

const CONFIG: &str = r#"
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

[experiment]
probe_image = "curl:8"

[experiment.network_partition]
peer = "deployment/front"
duration = "20s"

[experiment.dns_failure]
duration = "20s"
"#;

const BOTH: [&str; 2] = ["network-partition", "dns-failure"];

/// A shop whose callers are distroless: nothing can be run in any pod here.
fn distroless() -> TestBed {
    let mut bed = TestBed::with(application("Deployment", "shop", 2));
    bed.server.add_all(application("StatefulSet", "db", 3));
    bed.server.add_all(application("Deployment", "front", 1));
    bed.server
        .add_all([service("shop", "shop"), service("db", "db")]);
    for name in ["shop", "db"] {
        bed.server.answer(name, 200, "ok");
    }
    bed.config = CONFIG.to_owned();
    bed
}

/// A policy of the shop's pods with these rules.
fn policy(name: &str, rules: &Value) -> Value {
    let selector = json!({ "podSelector": { "matchLabels": { "app": "shop" } } });
    let policy = with(network_policy(name), &json!({ "spec": selector }));
    with(policy, &json!({ "spec": rules }))
}

fn probe_of(plan: &Plan) -> &Value {
    match &plan.probe_pods[..] {
        [Change::Create { manifest, .. }] => manifest,
        other => panic!("{other:?} is not one probe pod"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_pod_asks_where_no_pod_of_the_application_can() {
    for name in BOTH {
        let bed = distroless();
        let plan = planned(&bed, name, &of("shop")).await.expect(name);
        assert_eq!(refusals(&plan, ""), [""; 0], "{name}");
        let pod = format!("chaos-{name}-probe");
        assert_eq!(probe_of(&plan)["metadata"]["name"], *pod);
        assert!(needs(&plan, "get pods/log", Some(&pod)), "{name}");
        assert!(needs(&plan, "create pods", None), "{name}");
        assert!(needs(&plan, "delete pods", Some(&pod)), "{name}");
        assert!(!needs(&plan, "create pods/exec", None), "{name}");
        assert!(plan.calls[0].path.ends_with("/pods"), "{:?}", plan.calls);
        let undo = plan.undo_commands.join("\n");
        assert!(undo.contains(&pod), "{undo}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_an_image_the_plan_names_the_key_to_set() {
    // A StatefulSet's pods are known not to be asked in; of others here that can't be told.
    let mut bed = distroless();
    bed.config = CONFIG.replace("probe_image = \"curl:8\"", "");
    let selection = super::workload_named("statefulset/db");
    let plan = planned(&bed, "dns-failure", &selection).await;
    let plan = plan.expect("planned");
    let refused = plan.checks.iter().find(|one| one.id == "limit.observable");
    let refused = refused.expect("it is judged");
    assert_eq!(refused.status, Status::Fail);
    let hint = refused.hint.as_deref().unwrap_or_default();
    assert!(hint.contains("experiment.probe_image"), "{hint}");
    bed.config = CONFIG.to_owned();
    let plan = planned(&bed, "dns-failure", &selection).await;
    let plan = plan.expect("planned");
    assert_eq!(refusals(&plan, "limit.observable"), [""; 0]);
    assert_eq!(probe_of(&plan)["metadata"]["labels"]["app"], "db");
}

#[tokio::test(start_paused = true)]
async fn a_probe_pod_bears_the_labels_that_policies_look_at_and_no_others() {
    let label_of = |plan: &Plan| probe_of(plan)["metadata"]["labels"]["app"].clone();
    let bed = distroless();
    let plan = planned(&bed, "network-partition", &of("shop")).await;
    assert_eq!(label_of(&plan.expect("planned")), Value::Null);
    let from = json!([{ "podSelector": { "matchLabels": { "app": "front" } } }]);
    let elsewhere = json!({ "podSelector": { "matchLabels": { "app": "db" } },
        "ingress": [{ "from": from }] });
    bed.server
        .add(with(network_policy("db"), &json!({ "spec": elsewhere })));
    let plan = planned(&bed, "network-partition", &of("shop")).await;
    assert_eq!(label_of(&plan.expect("planned")), "front");
    // A policy of ours has to hit it, as it does the workload's own pods.
    let plan = planned(&distroless(), "dns-failure", &of("shop")).await;
    assert_eq!(label_of(&plan.expect("planned")), "shop");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_leads_to_pods_that_are_not_ready_is_named() {
    let bed = distroless();
    let publishes = json!({ "spec": { "publishNotReadyAddresses": true } });
    bed.server.edit("service/shop", &publishes);
    let plan = planned(&bed, "dns-failure", &of("shop")).await;
    let plan = plan.expect("planned");
    assert_eq!(refusals(&plan, ""), [""; 0]);
    let told = |one: &&chaos_common::record::Check| one.object.as_deref() == Some("service/shop");
    let told = plan.checks.iter().find(told).expect("it is named");
    assert_eq!(told.status, Status::Warn);
}

#[tokio::test(start_paused = true)]
async fn a_policy_in_the_way_is_set_aside_only_by_its_name() {
    let allow = json!({ "ingress": [{}], "egress": [{}], "policyTypes": ["Ingress", "Egress"] });
    for name in BOTH {
        let mut bed = distroless();
        bed.server.add(policy("allow", &allow));
        let plan = planned(&bed, name, &of("shop")).await.expect(name);
        let refused = plan.checks.iter().find(|one| one.id == "limit.policies");
        let refused = refused.expect("it is judged");
        assert_eq!(refused.status, Status::Fail, "{name}");
        let hint = refused.hint.as_deref().unwrap_or_default();
        let flag = "--set-aside networkpolicy/allow";
        assert!(hint.starts_with(flag), "{name}: {hint}");
        bed.set_aside = vec!["networkpolicy/allow".into(), "networkpolicy/x".into()];
        let plan = planned(&bed, name, &of("shop")).await.expect(name);
        assert_eq!(refusals(&plan, ""), [""; 0], "{name}");
        let [
            Change::Create { .. },
            Change::Patch {
                object, faulted, ..
            },
        ] = &plan.changes[..]
        else {
            panic!("{name}: {:?}", plan.changes);
        };
        assert_eq!(object.to_string(), "networkpolicy/allow");
        assert_eq!(faulted[0]["values"], json!(["shop"]), "{name}");
        assert!(
            needs(&plan, "patch networkpolicies", Some("allow")),
            "{name}"
        );
        let told = |object: &str| {
            let mut checks = plan.checks.iter().filter(|one| one.id == "limit.policies");
            checks
                .find(|one| one.object.as_deref() == Some(object))
                .cloned()
        };
        let aside = told("networkpolicy/allow").expect("it is told");
        assert!(aside.message.contains("--set-aside"), "{}", aside.message);
        let needless = told("networkpolicy/x").expect("it is told");
        assert_eq!(needless.status, Status::Warn, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_policy_allowed_besides_names_is_allowed_while_it_is_set_aside() {
    let deny = json!({ "policyTypes": ["Egress"], "egress": [] });
    let to_names = json!({ "policyTypes": ["Egress"], "egress": [
        { "ports": [{ "port": 53, "protocol": "UDP" }] }, { "ports": [{ "port": 8001 }] },
    ] });
    let mut bed = distroless();
    bed.server.add(policy("deny", &deny));
    let plan = planned(&bed, "dns-failure", &of("shop")).await;
    let refused = refusals(&plan.expect("planned"), "limit.policies");
    assert!(refused[0].contains("find no names already"), "{refused:?}");
    bed.server.add(policy("names", &to_names));
    bed.set_aside = vec!["networkpolicy/names".into()];
    let plan = planned(&bed, "dns-failure", &of("shop")).await;
    let plan = plan.expect("planned");
    assert_eq!(refusals(&plan, ""), [""; 0]);
    let Change::Create { manifest, .. } = &plan.changes[0] else {
        panic!("{:?}", plan.changes);
    };
    let kept = json!([{ "ports": [{ "port": 8001 }] }]);
    assert_eq!(manifest["spec"]["egress"], kept);
}

/// The kubelet runs the probe pod, and its containers say what traffic meets: the route is cut while
/// a policy of ours denies and none is left that allows.
fn network(server: &ApiServer, pod: &'static str, allows: Option<&'static str>) {
    let server = server.clone();
    tokio::spawn(async move {
        let running = |name: &str| {
            json!({ "name": name, "ready": true, "restartCount": 0, "image": "i", "imageID": "i",
                "state": { "running": {} } })
        };
        let status = json!({ "status": {
            "phase": "Running", "containerStatuses": [running("route"), running("control")],
        } });
        loop {
            sleep(Duration::from_millis(100)).await;
            let object = format!("pod/{pod}");
            let Some(now) = server.get(&object) else {
                continue;
            };
            if now["status"].is_null() {
                server.edit(&object, &status);
            }
            let policies = server.names("networkpolicy");
            let denied = policies.iter().any(|name| name.starts_with("chaos-"));
            let allowed = allows.is_some_and(|name| {
                let policy = server.get(&format!("networkpolicy/{name}"));
                policy.unwrap_or_default()["spec"]["podSelector"]["matchExpressions"].is_null()
            });
            let answer = if denied && !allowed {
                "answer 000 1\n"
            } else {
                "answer 200 1\n"
            };
            server.log(pod, "route", answer);
            server.log(pod, "control", "answer 200 1\n");
        }
    });
}

const PROBE: &str = "chaos-network-partition-probe";

#[tokio::test(start_paused = true)]
async fn a_partition_is_proven_by_a_probe_pod_which_is_gone_afterwards() {
    let mut bed = distroless();
    bed.server.add(policy("allow", &json!({ "ingress": [{}] })));
    let before = bed.server.get("networkpolicy/allow").expect("it is there");
    bed.set_aside = vec!["networkpolicy/allow".into()];
    network(&bed.server, PROBE, Some("allow"));
    let run = experiment("network-partition", &of("shop"), &bed.context());
    let _controllers = controllers::start(&bed.server);
    let ended = bed.run_experiment(run.expect("it is named")).await;
    assert_eq!(ended.record["outcome"], "completed", "{:#}", ended.record);
    for id in ["effect", "cut", "control", "reconnected"] {
        let id = format!("network-partition.{id}");
        assert_eq!(ended.check(&id), Some("pass"), "{id}: {:#}", ended.record);
    }
    assert_eq!(bed.server.names("networkpolicy"), ["allow"]);
    let after = bed.server.get("networkpolicy/allow").expect("it is there");
    assert_eq!(after["spec"], before["spec"], "it is as it was");
    let pods = bed.server.names("pod");
    assert!(!pods.contains(&PROBE.to_owned()), "{pods:?}");
    assert_eq!(bed.server.names("lease"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_goes_on_allowing_shows_no_effect() {
    let bed = distroless();
    // As if somebody made it after the plan: it is not set aside.
    network(&bed.server, PROBE, Some("late"));
    let server = bed.server.clone();
    tokio::spawn(async move {
        while server.get(&format!("pod/{PROBE}")).is_none() {
            sleep(Duration::from_millis(50)).await;
        }
        server.add(policy("late", &json!({ "ingress": [{}] })));
    });
    let run = experiment("network-partition", &of("shop"), &bed.context());
    let _controllers = controllers::start(&bed.server);
    let ended = bed.run_experiment(run.expect("it is named")).await;
    assert_eq!(ended.verdict, "unknown", "{:#}", ended.record);
    let effect = ended.message("network-partition.effect");
    let effect = effect.unwrap_or_default();
    assert!(effect.contains("still answers"), "{:#}", ended.record);
    assert_eq!(bed.server.names("networkpolicy"), ["late"]);
    assert!(!bed.server.names("pod").contains(&PROBE.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_probe_pod_that_does_not_run_refuses_the_run_and_is_gone() {
    let bed = distroless();
    let run = experiment("network-partition", &of("shop"), &bed.context());
    let ended = bed.run_experiment(run.expect("it is named")).await;
    assert_eq!(ended.record["outcome"], "refused", "{:#}", ended.record);
    assert!(
        ended.reason().contains("does not run"),
        "{}",
        ended.reason()
    );
    assert_eq!(bed.server.names("networkpolicy"), [""; 0]);
    assert!(!bed.server.names("pod").contains(&PROBE.to_owned()));
    assert_eq!(bed.server.names("lease"), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_probe_pod_that_can_not_be_deleted_is_not_restored() {
    let bed = distroless();
    bed.server
        .always(&format!("DELETE pods/{PROBE}"), Behaviour::Status(403));
    let run = experiment("network-partition", &of("shop"), &bed.context());
    let ended = bed.run_experiment(run.expect("it is named")).await;
    assert_eq!(ended.exit, Exit::NotRestored, "{:#}", ended.record);
    assert!(ended.reason().contains(PROBE), "{}", ended.reason());
}
