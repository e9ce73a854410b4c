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
fn no_pods_is_unknown() {
    assert_eq!(Survey::default().judge("shop")[0].status, Status::Unknown);
}

#[test]
fn thousands_in_trouble_are_counted_and_only_some_are_named() {
    let broken = pod("{metadata: {name: p}, status: {phase: Running}}");
    let good = pod("{status: {phase: Succeeded}}");
    let mut pods = vec![broken; 5000];
    pods.push(good);
    let checks = survey(&pods, &Ok(Usage::new())).judge("shop");
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
