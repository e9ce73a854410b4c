use super::*;
use serde::de::DeserializeOwned;

fn rollout<K: DeserializeOwned>(yaml: &str) -> Rollout
where
    for<'k> Rollout: From<&'k K>,
{
    let object: K = serde_saphyr::from_str(yaml).expect("an object");
    Rollout::from(&object)
}

fn deployment(replicas: i32, status: &str) -> Option<Shortfall> {
    let spec = format!("{{replicas: {replicas}, selector: {{}}, template: {{}}}}");
    let yaml = format!("{{metadata: {{generation: 2}}, spec: {spec}, status: {{{status}}}}}");
    rollout::<Deployment>(&yaml).shortfall()
}

#[test]
fn a_deployment_needs_ready_pods_of_the_latest_revision_and_no_others() {
    let all = "observedGeneration: 2, replicas: 3, updatedReplicas: 3";
    let ready = |ready: i32| deployment(3, &format!("{all}, readyReplicas: {ready}"));
    assert_eq!(ready(3), None);
    let not_ready = Shortfall::NotReady {
        ready: 2,
        desired: 3,
    };
    assert_eq!(ready(2), Some(not_ready));
    assert_eq!(not_ready.to_string(), "has 2 of 3 ready pods");
    let old = "observedGeneration: 2, replicas: 3, readyReplicas: 3, updatedReplicas: 1";
    let not_updated = Shortfall::NotUpdated {
        updated: 1,
        to_update: 3,
    };
    assert_eq!(deployment(3, old), Some(not_updated));
    let surge = "observedGeneration: 2, replicas: 4, readyReplicas: 3, updatedReplicas: 3";
    let surplus = Shortfall::Surplus {
        total: 4,
        desired: 3,
    };
    assert_eq!(deployment(3, surge), Some(surplus));
}

#[test]
fn ready_pods_count_once_they_are_available() {
    let spec = "{replicas: 2, minReadySeconds: 30, selector: {}, template: {}, serviceName: s}";
    let numbers = "replicas: 2, readyReplicas: 2, updatedReplicas: 2";
    let yaml = |more: &str| format!("{{spec: {spec}, status: {{{numbers}{more}}}}}");
    let missing = |available: i32| {
        Some(Shortfall::NotAvailable {
            available,
            desired: 2,
            min_ready_seconds: 30,
        })
    };
    // The API server leaves a nought out.
    assert_eq!(rollout::<Deployment>(&yaml("")).shortfall(), missing(0));
    let one = yaml(", availableReplicas: 1");
    assert_eq!(rollout::<Deployment>(&one).shortfall(), missing(1));
    assert_eq!(rollout::<StatefulSet>(&one).shortfall(), missing(1));
    let all = yaml(", availableReplicas: 2");
    assert_eq!(rollout::<Deployment>(&all).shortfall(), None);
    let words = missing(1).map(|shortfall| shortfall.to_string());
    let said = "has 1 of 2 available pods: a pod counts once it has been ready for 30 s";
    assert_eq!(words.as_deref(), Some(said));
    let set = "{spec: {minReadySeconds: 30, selector: {}, template: {}}, status: \
        {desiredNumberScheduled: 2, currentNumberScheduled: 2, numberMisscheduled: 0, \
        numberReady: 2, updatedNumberScheduled: 2, numberAvailable: 1}}";
    assert_eq!(rollout::<DaemonSet>(set).shortfall(), missing(1));
}

#[test]
fn a_deployment_whose_condition_says_unavailable_is_not_at_its_desired_state() {
    let status = "observedGeneration: 2, replicas: 2, readyReplicas: 2, updatedReplicas: 2, \
        availableReplicas: 2, conditions: [{type: Available, status: 'False', reason: \
        MinimumReplicasUnavailable, message: m}]";
    let shortfall = deployment(2, status);
    assert!(matches!(shortfall, Some(Shortfall::NotAvailable { .. })));
    let none = deployment(
        0,
        &status
            .replace("2, ", "0, ")
            .replace("observedGeneration: 0", "observedGeneration: 2"),
    );
    assert_eq!(none, None);
}

#[test]
fn a_paused_roll_out_is_named_as_such() {
    let yaml = "{spec: {replicas: 2, paused: true, selector: {}, template: {}}, \
        status: {replicas: 2, readyReplicas: 2, updatedReplicas: 1}}";
    let paused = Shortfall::Paused {
        updated: 1,
        to_update: 2,
    };
    assert_eq!(rollout::<Deployment>(yaml).shortfall(), Some(paused));
    let words = "its roll-out is paused: 1 of 2 pods are of the latest version";
    assert_eq!(paused.to_string(), words);
}

#[test]
fn numbers_from_before_the_latest_change_say_nothing() {
    let old = "observedGeneration: 1, replicas: 3, readyReplicas: 3, updatedReplicas: 3";
    assert_eq!(deployment(3, old), Some(Shortfall::NotObserved));
    let deleting = "{metadata: {deletionTimestamp: '2026-11-22T16:00:00Z'}}";
    let shortfall = rollout::<Deployment>(deleting).shortfall();
    assert_eq!(shortfall, Some(Shortfall::Deleting));
}

#[test]
fn zero_pods_are_a_desired_state() {
    assert_eq!(deployment(0, "observedGeneration: 2"), None);
}

#[test]
fn a_failed_replica_is_told_before_a_rollout_that_does_not_go_on() {
    let yaml = "{status: {conditions: [
        {type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: p},
        {type: ReplicaFailure, status: 'True', reason: FailedCreate, message: quota}]}}";
    let failure = rollout::<Deployment>(yaml).failure;
    assert_eq!(failure.as_deref(), Some("FailedCreate: quota"));
}

#[test]
fn a_partition_and_on_delete_keep_old_pods_on_purpose() {
    let set = |strategy: &str| {
        let spec = format!(
            "{{replicas: 3, serviceName: s, selector: {{}}, template: {{}}, updateStrategy: {strategy}}}"
        );
        let status = "{replicas: 3, readyReplicas: 3, updatedReplicas: 1}";
        rollout::<StatefulSet>(&format!("{{spec: {spec}, status: {status}}}")).shortfall()
    };
    assert_eq!(set("{type: OnDelete}"), None);
    assert_eq!(set("{rollingUpdate: {partition: 2}}"), None);
    let not_updated = Shortfall::NotUpdated {
        updated: 1,
        to_update: 3,
    };
    assert_eq!(set("{}"), Some(not_updated));
}

#[test]
fn a_daemon_set_wants_a_pod_on_each_of_its_nodes() {
    let set = |ready: i32| {
        rollout::<DaemonSet>(&format!(
            "{{status: {{desiredNumberScheduled: 2, currentNumberScheduled: 2, \
             numberMisscheduled: 1, numberReady: {ready}, updatedNumberScheduled: 2}}}}"
        ))
    };
    assert_eq!(set(2).shortfall(), None);
    assert_eq!(set(2).notice, Some(Notice::Misscheduled(1)));
    let not_ready = Shortfall::NotReady {
        ready: 1,
        desired: 2,
    };
    assert_eq!(set(1).shortfall(), Some(not_ready));
}
