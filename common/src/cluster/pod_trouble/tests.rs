use super::*;

fn trouble(yaml: &str) -> Option<PodTrouble> {
    let pod = serde_saphyr::from_str(yaml).expect("a pod");
    let now = serde_json::from_str("\"2026-11-22T16:00:00Z\"").expect("a time");
    pod_trouble(&pod, now, 600_000)
}

fn text(yaml: &str) -> String {
    trouble(yaml).map_or_else(String::new, |trouble| trouble.to_string())
}

/// A pod of one container `a` in this phase and state, which is not ready.
fn pod(phase: &str, container: &str) -> String {
    format!(
        "{{status: {{phase: {phase}, containerStatuses: [\
         {{name: a, image: i, imageID: i, ready: false, {container}}}]}}}}"
    )
}

#[test]
fn a_ready_pod_and_one_that_is_done_have_no_trouble() {
    let ready = "{status: {phase: Running, conditions: [{type: Ready, status: 'True'}]}}";
    assert_eq!(trouble(ready), None);
    assert_eq!(trouble("{status: {phase: Succeeded}}"), None);
}

#[test]
fn terminating_is_counted_from_the_end_of_the_grace_period() {
    let at = |time: &str| {
        trouble(&format!(
            "{{metadata: {{deletionTimestamp: '{time}'}}, status: {{phase: Running}}}}"
        ))
    };
    let overdue_ms = 60_000;
    let stuck = Some(PodTrouble::StuckTerminating { overdue_ms });
    assert_eq!(at("2026-11-22T15:59:00Z"), stuck);
    assert_eq!(at("2026-11-22T15:59:55Z"), Some(PodTrouble::Terminating));
    assert_eq!(at("2026-11-22T16:00:20Z"), Some(PodTrouble::Terminating));
}

#[test]
fn an_image_that_cannot_be_had_and_a_container_that_cannot_start_are_told_apart() {
    let waiting = |reason: &str| {
        let state = format!("restartCount: 0, state: {{waiting: {{reason: {reason}}}}}");
        match trouble(&pod("Pending", &state)) {
            Some(PodTrouble::Container { trouble, .. }) => Some(trouble),
            _ => None,
        }
    };
    let message = None;
    let reason = "ErrImagePull".to_owned();
    let image = ContainerTrouble::Image { reason, message };
    assert_eq!(waiting("ErrImagePull"), Some(image));
    let (reason, message) = ("CreateContainerConfigError".to_owned(), None);
    let start = ContainerTrouble::Start { reason, message };
    assert_eq!(waiting("CreateContainerConfigError"), Some(start));
    assert_eq!(waiting("ContainerCreating"), None);
}

#[test]
fn a_pod_that_no_node_takes_gives_the_schedulers_words() {
    let yaml = "{status: {phase: Pending, conditions: [\
                {type: PodScheduled, status: 'False', message: no room}]}}";
    let trouble = trouble(yaml);
    assert_eq!(trouble, Some(PodTrouble::Unschedulable("no room".into())));
    assert_eq!(text(yaml), "is Pending: no room");
}

#[test]
fn a_pod_that_starts_is_not_stuck_yet() {
    let creating = pod(
        "Pending",
        "restartCount: 0, state: {waiting: {reason: ContainerCreating}}",
    );
    let startup = Startup::Waiting("ContainerCreating".to_owned());
    assert_eq!(
        trouble(&creating),
        Some(PodTrouble::Starting(Some(startup)))
    );
    let running = pod("Pending", "restartCount: 0, state: {running: {}}");
    assert_eq!(text(&running), "is Pending: container a prepares it");
}

#[test]
fn a_crash_loop_counts_while_the_container_runs_and_only_if_it_is_recent() {
    let crashed = |finished: &str, restarts: u8| {
        let last = format!("{{terminated: {{exitCode: 1, finishedAt: '{finished}'}}}}");
        text(&pod(
            "Running",
            &format!("restartCount: {restarts}, state: {{running: {{}}}}, lastState: {last}"),
        ))
    };
    let not_ready = "is Running but not ready: container a is not ready";
    let looping = "container a: crash loop, 4 restarts, the last with exit status 1";
    assert_eq!(crashed("2026-11-22T15:58:00Z", 4), looping);
    assert_eq!(crashed("2026-11-20T15:58:00Z", 4), not_ready);
    assert_eq!(crashed("2026-11-22T15:58:00Z", 1), not_ready);
}

#[test]
fn a_container_that_is_done_is_no_trouble_where_containers_are_to_end() {
    let of = |spec: &str, other: &str| {
        let done = "name: a, image: i, imageID: i, ready: false, restartCount: 0, \
                    state: {terminated: {exitCode: 0, reason: Completed}}";
        text(&format!(
            "{{spec: {{{spec}containers: []}}, status: {{phase: Running, conditions: \
             [{{type: Ready, status: 'False'}}], containerStatuses: [{{{done}}}, \
             {{name: b, image: i, imageID: i, restartCount: 0, {other}}}]}}}}"
        ))
    };
    let runs = "ready: true, state: {running: {}}";
    assert_eq!(of("restartPolicy: Never, ", runs), "");
    assert_eq!(of("restartPolicy: OnFailure, ", runs), "");
    // Elsewhere it should have stayed.
    let stays = "is Running but not ready: container a is not ready";
    assert_eq!(of("restartPolicy: Always, ", runs), stays);
    // The other one is not excused.
    let unready = of(
        "restartPolicy: Never, ",
        "ready: false, state: {running: {}}",
    );
    assert_eq!(
        unready,
        "is Running but not ready: container b is not ready"
    );
    let ended = of(
        "restartPolicy: Never, ",
        "ready: false, state: {terminated: {exitCode: 3}}",
    );
    assert!(
        ended.contains("container b: ended, exit status 3"),
        "{ended}"
    );
}

#[test]
fn a_container_that_was_killed_for_its_memory_is_known_as_such() {
    let killed = "{terminated: {exitCode: 137, reason: OOMKilled}}";
    let failed = pod("Failed", &format!("restartCount: 0, state: {killed}"));
    assert!(trouble(&failed).is_some_and(|trouble| trouble.is_out_of_memory()));
    let words = "has failed: container a: OOMKilled, exit status 137";
    assert_eq!(text(&failed), words);
    let waiting = "{waiting: {reason: CrashLoopBackOff}}";
    let states = format!("restartCount: 2, state: {waiting}, lastState: {killed}");
    let looping = trouble(&pod("Running", &states));
    assert!(looping.is_some_and(|trouble| trouble.is_out_of_memory()));
}

#[test]
fn a_pod_of_a_silent_node_is_not_known() {
    let silent = trouble("{status: {phase: Unknown}}");
    assert!(matches!(silent, Some(PodTrouble::NodeSilent { .. })));
}

#[test]
fn a_closed_readiness_gate_is_named() {
    let yaml = "{status: {phase: Running, conditions: [\
                {type: Ready, status: 'False'}, {type: acme/gate, status: 'False'}]}}";
    let words = "is Running but not ready: its condition acme/gate is False";
    assert_eq!(text(yaml), words);
}
