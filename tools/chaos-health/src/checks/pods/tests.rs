use super::troubled::NAMED;
use super::*;

const NOW: &str = "2026-11-22T16:00:00Z";

fn now() -> Time {
    serde_json::from_value(serde_json::json!(NOW)).expect("a time")
}

fn pod(yaml: &str) -> Pod {
    serde_saphyr::from_str(yaml).expect("a pod")
}

fn status_of(yaml: &str) -> Option<Status> {
    let pod = pod(yaml);
    pod_trouble(&pod, now(), 600_000).map(|trouble| severity(&trouble, &pod, now()))
}

fn survey(pods: &[Pod], usage: &Result<Usage, ReadError>) -> Survey {
    let limits = Limits::default();
    let rules = Rules {
        namespace: "shop",
        now: now(),
        window_ms: 600_000,
        limits: &limits,
        usage,
    };
    let mut survey = Survey::default();
    for pod in pods {
        survey.add(pod, &rules);
    }
    survey
}

#[test]
fn a_ready_pod_and_a_finished_one_are_no_trouble() {
    assert_eq!(
        status_of("{status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}"),
        None
    );
    assert_eq!(status_of("{status: {phase: Succeeded}}"), None);
}

#[test]
fn a_pod_stuck_in_terminating_fails_and_one_within_its_grace_does_not() {
    let terminating = |at: &str| {
        status_of(&format!(
            "{{metadata: {{deletionTimestamp: '{at}'}}, status: {{phase: Running, conditions: [{{type: Ready, status: 'True'}}]}}}}"
        ))
    };
    assert_eq!(terminating("2026-11-22T15:59:00Z"), Some(Status::Fail));
    assert_eq!(terminating("2026-11-22T16:00:20Z"), Some(Status::Warn));
}

#[test]
fn a_crash_loop_fails_even_while_the_container_runs() {
    let yaml = |finished: &str, count: u8| {
        status_of(&format!(
            "{{status: {{phase: Running, conditions: [{{type: Ready, status: 'True'}}], containerStatuses: [{{name: a, image: i, imageID: i, ready: true,
             restartCount: {count}, state: {{running: {{}}}}, lastState: {{terminated: {{exitCode: 1, finishedAt: '{finished}'}}}}}}]}}}}"
        ))
    };
    assert_eq!(yaml("2026-11-22T15:58:00Z", 4), Some(Status::Fail));
    assert_eq!(yaml("2026-11-20T15:58:00Z", 4), None);
    assert_eq!(yaml("2026-11-22T15:58:00Z", 1), None);
}

#[test]
fn what_an_experiment_made_and_left_behind_fails_nothing() {
    let left = |labels: &str| {
        pod(&format!(
            "{{metadata: {{name: chaos-stress, labels: {{{labels}}}}},
             status: {{phase: Failed, reason: DeadlineExceeded}}}}"
        ))
    };
    let judged = |labels: &str| {
        let pods = [of_web("web-1", false), left(labels)];
        let checks = survey(&pods, &Ok(Usage::new())).judge("shop", &[]);
        checks.into_iter().next_back().expect("the pod in trouble")
    };
    let ours = judged("chaos-runbook/run: run-1");
    assert_eq!(ours.status, Status::Warn, "{ours:?}");
    assert!(ours.message.contains("chaos run run-1"), "{ours:?}");
    assert_eq!(judged("app: chaos-stress").status, Status::Fail);
}

#[test]
fn no_pods_is_unknown() {
    assert_eq!(
        Survey::default().judge("shop", &[])[0].status,
        Status::Unknown
    );
}

#[test]
fn pods_that_are_too_new_have_no_figures_and_those_that_are_done_want_none() {
    let none = Ok(Usage::new());
    let ready = "status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}";
    let of = |seconds: u8, status: &str| {
        let created = format!("creationTimestamp: '2026-11-22T15:59:{seconds:02}Z'");
        let pod = pod(&format!("{{metadata: {{name: p, {created}}}, {status}}}"));
        let survey = survey(&[pod], &none);
        let checks = survey.usage.judge("shop", &none);
        assert_eq!(checks.len(), 1, "{checks:?}");
        checks[0].clone()
    };
    let new = of(30, ready);
    assert_eq!(new.status, Status::Unknown, "{new:?}");
    assert!(new.message.contains("yet"), "{new:?}");
    let done = of(30, "status: {phase: Succeeded}");
    assert_eq!(done.status, Status::Skipped, "{done:?}");
}

#[test]
fn thousands_in_trouble_are_counted_and_only_some_are_named() {
    let broken = pod("{metadata: {name: p}, status: {phase: Running}}");
    let good = pod("{status: {phase: Succeeded}}");
    let mut pods = vec![broken; 5000];
    pods.push(good);
    let checks = survey(&pods, &Ok(Usage::new())).judge("shop", &[]);
    assert_eq!(checks.len(), NAMED + 2);
    assert_eq!(
        checks[0].message,
        "1 of 5001 pods are running and ready, or done"
    );
    let last = &checks[NAMED + 1];
    assert_eq!(
        (last.status, last.message.starts_with("4900 more pods")),
        (Status::Fail, true)
    );
}

#[test]
fn restarts_within_the_window_are_a_warning_for_their_workload() {
    let yaml = |finished: &str| {
        pod(&format!(
            "{{metadata: {{name: p, namespace: shop, ownerReferences: [{{apiVersion: apps/v1, kind: StatefulSet, name: db, uid: u, controller: true}}]}},
            status: {{phase: Running, conditions: [{{type: Ready, status: 'True'}}], containerStatuses: [{{name: a, image: i, imageID: i, ready: true,
            restartCount: 2, lastState: {{terminated: {{exitCode: 137, reason: OOMKilled, finishedAt: '{finished}'}}}}}}]}}}}"
        ))
    };
    let of = |finished| {
        survey(&[yaml(finished)], &Ok(Usage::new()))
            .judge_restarts("shop", chaos_common::config::Span::seconds(600))
    };
    let recent = of("2026-11-22T15:55:00Z");
    assert_eq!(
        (recent[0].status, recent[0].object.as_deref()),
        (Status::Warn, Some("statefulset/db"))
    );
    assert!(recent[0].message.contains("OOMKilled"), "{recent:?}");
    assert_eq!(of("2026-11-22T15:45:00Z")[0].status, Status::Pass);
}

/// A pod of Deployment `web`: running and ready, or failed.
fn of_web(name: &str, failed: bool) -> Pod {
    let status = if failed {
        "{phase: Failed, reason: Evicted, message: low on memory}"
    } else {
        "{phase: Running, conditions: [{type: Ready, status: 'True'}]}"
    };
    pod(&format!(
        "{{metadata: {{name: {name}, namespace: shop, labels: {{pod-template-hash: 6d4b}},
        ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: web-6d4b, uid: u, controller: true}}]}},
        spec: {{nodeName: n1, containers: []}}, status: {status}}}"
    ))
}

fn wants(pods: i32) -> WorkloadState {
    let value = serde_json::json!({"kind": "Deployment", "namespace": "shop", "name": "web",
        "wants": pods, "ready": pods, "images": [], "restarts": 0});
    serde_json::from_value(value).expect("a state")
}

#[test]
fn a_failed_pod_is_worth_a_line_once_its_workload_has_all_its_pods() {
    let pods = [
        of_web("old", true),
        of_web("a", false),
        of_web("b", false),
        of_web("older", true),
    ];
    let survey = survey(&pods, &Ok(Usage::new()));
    let of = |wanted: &[WorkloadState]| {
        let checks = survey.judge("shop", wanted);
        checks[1..]
            .iter()
            .map(|c| (c.status, c.object.clone()))
            .collect::<Vec<_>>()
    };
    let line = (Status::Warn, Some("deployment/web".to_owned()));
    assert_eq!(of(&[wants(2)]), [line]);
    let failing = ["old", "older"].map(|name| (Status::Fail, Some(format!("pod/{name}"))));
    assert_eq!(of(&[wants(3)]), failing);
    assert_eq!(of(&[]), failing, "its workload is not known");
    let message = &survey.judge("shop", &[wants(2)])[1].message;
    assert!(message.contains("one of 2 such pods"), "{message}");
}

#[test]
fn the_nodes_of_pods_that_have_not_ended_are_known() {
    let pods = [of_web("old", true), of_web("a", false)];
    assert_eq!(
        survey(&pods, &Ok(Usage::new())).hosts(),
        BTreeSet::from(["n1"])
    );
    assert!(survey(&pods[..1], &Ok(Usage::new())).hosts().is_empty());
}

#[test]
fn the_limits_of_a_sidecar_count_with_its_pods() {
    let used = |mebibytes: f64| {
        let sample = Sample {
            cpu_cores: 0.1,
            memory_bytes: mebibytes * 1_048_576.0,
        };
        Ok([("a".to_owned(), sample)].into())
    };
    let judged = |yaml: &str, usage: &Result<Usage, ReadError>| {
        survey(&[pod(yaml)], usage).usage.judge("shop", usage)[0].status
    };
    let init = |policy: &str| {
        let sidecar = format!(
            "initContainers: [{{name: proxy, {policy}resources: {{limits: {{cpu: '1', memory: 100Mi}}}}}}], containers"
        );
        MEASURED.replacen("containers", &sidecar, 1)
    };
    assert_eq!(judged(MEASURED, &used(150.0)), Status::Fail);
    assert_eq!(
        judged(&init("restartPolicy: Always, "), &used(150.0)),
        Status::Pass
    );
    assert_eq!(
        judged(&init("restartPolicy: Always, "), &used(190.0)),
        Status::Fail
    );
    // One that ends is not among what is measured.
    assert_eq!(judged(&init(""), &used(150.0)), Status::Fail);
    let whole = MEASURED.replacen(
        "containers",
        "resources: {limits: {cpu: '1', memory: 300Mi}}, containers",
        1,
    );
    assert_eq!(judged(&whole, &used(150.0)), Status::Pass);
    assert_eq!(judged(&whole, &used(290.0)), Status::Fail);
}

const MEASURED: &str = "{metadata: {name: a, creationTimestamp: '2026-11-22T10:00:00Z'},
    spec: {containers: [{name: c, resources: {limits: {cpu: '1', memory: 100Mi}}}]},
    status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}";

#[test]
fn a_pod_near_its_memory_limit_fails() {
    let usage = Ok([(
        "a".to_owned(),
        Sample {
            cpu_cores: 0.1,
            memory_bytes: 95.0 * 1_048_576.0,
        },
    )]
    .into());
    let checks = survey(&[pod(MEASURED)], &usage).usage.judge("shop", &usage);
    assert_eq!(checks[0].status, Status::Fail, "{checks:?}");
}

#[test]
fn an_old_pod_without_figures_is_unknown() {
    let usage = Ok(Usage::new());
    let checks = survey(&[pod(MEASURED)], &usage).usage.judge("shop", &usage);
    assert_eq!(checks[0].status, Status::Unknown, "{checks:?}");
}
