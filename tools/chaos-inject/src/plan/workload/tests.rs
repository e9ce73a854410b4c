use super::*;
use chaos_common::record::{Status, Verdict};
use serde_json::json;

fn verdict(now: &Value) -> Verdict {
    let workload = WorkloadRef {
        kind: "Deployment".into(),
        namespace: "prod".into(),
        name: "shop".into(),
    };
    Verdict::of(&others::of_apps(&workload, now))
}

#[test]
fn a_workload_that_somebody_changes_is_not_touched() {
    let good = json!({
        "metadata": { "generation": 3 }, "spec": { "replicas": 2 },
        "status": { "observedGeneration": 3, "updatedReplicas": 2, "readyReplicas": 2 },
    });
    assert_eq!(verdict(&good), Verdict::Pass);
    let with = |pointer: &str, value: Value| {
        let mut changed = good.clone();
        *changed.pointer_mut(pointer).expect("it is there") = value;
        changed
    };
    assert_eq!(
        verdict(&with("/metadata/generation", json!(4))),
        Verdict::Fail
    );
    assert_eq!(
        verdict(&with("/status/updatedReplicas", json!(1))),
        Verdict::Fail
    );
    assert_eq!(
        verdict(&with("/status/readyReplicas", json!(1))),
        Verdict::Fail
    );
    let mut held = good.clone();
    held["metadata"]["labels"] = json!({ crate::labels::RUN_LABEL: "r" });
    assert_eq!(verdict(&held), Verdict::Fail);
    let mut argo = good.clone();
    argo["metadata"]["labels"] = json!({ "argocd.argoproj.io/instance": "shop" });
    let workload = WorkloadRef {
        kind: "Deployment".into(),
        namespace: "prod".into(),
        name: "shop".into(),
    };
    assert_eq!(others::of_apps(&workload, &argo)[1].status, Status::Warn);
}

#[test]
fn a_set_that_updates_by_parts_is_settled_when_its_part_is_updated() {
    let set = |strategy: Value, updated: i64, latest: &str| {
        json!({
            "metadata": { "generation": 1 },
            "spec": { "replicas": 3, "updateStrategy": strategy },
            "status": {
                "observedGeneration": 1, "readyReplicas": 3, "updatedReplicas": updated,
                "currentRevision": "a", "updateRevision": latest,
            },
        })
    };
    let partition =
        |n: i64| json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": n } });
    assert_eq!(verdict(&set(partition(2), 1, "b")), Verdict::Pass);
    assert_eq!(
        verdict(&set(partition(1), 1, "b")),
        Verdict::Fail,
        "one is missing"
    );
    assert_eq!(verdict(&set(partition(9), 0, "b")), Verdict::Pass);
    let on_delete = json!({ "type": "OnDelete" });
    assert_eq!(verdict(&set(on_delete.clone(), 3, "a")), Verdict::Pass);
    let waits = set(on_delete, 1, "b");
    assert_eq!(
        verdict(&waits),
        Verdict::Fail,
        "a pod would come back updated"
    );
}

#[test]
fn only_what_can_be_scaled_is_named() {
    let named = |text| parse(text).map(|workload| workload.to_string());
    assert_eq!(named("shop"), Ok("deployment/shop".to_owned()));
    assert_eq!(named("StatefulSet/db"), Ok("statefulset/db".to_owned()));
    assert!(parse("daemonset/x").is_err());
    assert!(parse("deployment/").is_err());
}
