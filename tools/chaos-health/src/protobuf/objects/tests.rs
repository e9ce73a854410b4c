use chaos_common::cluster::protobuf::Items;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::*;

fn items<K: Message>(list: &[u8]) -> Vec<K> {
    let mut items = Items::default();
    items.push(list);
    let mut found = Vec::new();
    while let Some(item) = items.next_item().expect("a list") {
        found.push(crate::protobuf::decode(item).expect("an object"));
    }
    assert!(items.whole());
    found
}

fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(truth) => !truth,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
    }
}

/// Whether all that was read is so in the whole object too.
fn holds(whole: &Value, read: &Value) -> bool {
    match (whole, read) {
        (_, read) if is_nothing(read) => true,
        (Value::Object(whole), Value::Object(read)) => read.iter().all(|(key, read)| {
            is_nothing(read) || whole.get(key).is_some_and(|whole| holds(whole, read))
        }),
        (Value::Array(whole), Value::Array(read)) => read
            .iter()
            .all(|read| whole.iter().any(|whole| holds(whole, read))),
        (whole, read) => whole == read,
    }
}

/// The API server's own JSON is the judge of what is read from its protobuf. `decisive` are the
/// fields of the first object that must have been read.
#[track_caller]
fn same<K: Message + Serialize + DeserializeOwned>(protobuf: &[u8], json: &str, decisive: &[&str]) {
    let read = items::<K>(protobuf);
    let json: Value = serde_json::from_str(json).expect("JSON");
    let whole = json["items"].as_array().expect("a list");
    assert_eq!(read.len(), whole.len());
    for (at, (read, whole)) in read.iter().zip(whole).enumerate() {
        // Through the type, so that times and numbers are written alike.
        let typed: K = serde_json::from_value(whole.clone()).expect("an object");
        let (read, whole) = (
            serde_json::to_value(read).expect("JSON"),
            serde_json::to_value(typed).expect("JSON"),
        );
        assert!(holds(&whole, &read), "{read:#}\nis not in\n{whole:#}");
        for field in decisive.iter().filter(|_| at == 0) {
            let found = read.pointer(field);
            assert!(
                found.is_some_and(|found| !is_nothing(found)),
                "{field} was not read: {read:#}"
            );
            assert_eq!(found, whole.pointer(field), "{field}");
        }
    }
}

#[test]
fn pods_are_what_the_api_server_says_in_json() {
    let mut list: Value =
        serde_json::from_str(include_str!("../fixtures/pods.json")).expect("JSON");
    // The one with everything first, as the pointers want it.
    let objects = list["items"].as_array_mut().expect("a list");
    let rich = objects
        .iter()
        .position(|pod| pod["metadata"]["name"] == "rich")
        .expect("it is there");
    assert_eq!(rich, 1);
    let pods = items::<Pod>(include_bytes!("../fixtures/pods.pb"));
    let pod = &pods[rich];
    same::<Pod>(
        include_bytes!("../fixtures/pods.pb"),
        include_str!("../fixtures/pods.json"),
        &["/metadata/name"],
    );
    let whole: Pod = serde_json::from_value(objects[rich].clone()).expect("a pod");
    assert_eq!(pod.metadata.uid, whole.metadata.uid);
    assert!(pod.metadata.deletion_timestamp.is_some());
    assert_eq!(
        pod.metadata.deletion_timestamp,
        whole.metadata.deletion_timestamp
    );
    assert_eq!(
        pod.metadata.creation_timestamp,
        whole.metadata.creation_timestamp
    );
    assert_eq!(pod.metadata.labels, whole.metadata.labels);
    let (status, whole_status) = (
        pod.status.as_ref().expect("read"),
        whole.status.as_ref().expect("there"),
    );
    assert_eq!(status.phase, whole_status.phase);
    assert_eq!(
        (&status.reason, &status.message),
        (&whole_status.reason, &whole_status.message)
    );
    assert_eq!(status.conditions.as_ref().map(Vec::len), Some(2));
    let containers = status.container_statuses.as_ref().expect("read");
    let whole_containers = whole_status.container_statuses.as_ref().expect("there");
    for (read, whole) in containers.iter().zip(whole_containers) {
        assert_eq!(
            (&read.name, read.ready, read.restart_count),
            (&whole.name, whole.ready, whole.restart_count)
        );
        assert_eq!(read.state, whole.state);
    }
    let ended = containers[0]
        .last_state
        .as_ref()
        .and_then(|state| state.terminated.as_ref())
        .expect("read");
    assert_eq!(
        (ended.exit_code, ended.reason.as_deref()),
        (137, Some("OOMKilled"))
    );
    assert!(ended.finished_at.is_some());
    assert!(
        status.init_container_statuses.as_ref().expect("read")[0]
            .state
            .as_ref()
            .expect("read")
            .running
            .is_some()
    );
    let spec = pod.spec.as_ref().expect("read");
    assert_eq!(spec.restart_policy.as_deref(), Some("Always"));
    let sidecar = &spec.init_containers.as_ref().expect("read")[0];
    assert_eq!(sidecar.name, "first");
    assert_eq!(sidecar.restart_policy.as_deref(), Some("Always"));
    assert_eq!(
        spec.containers[0].resources,
        whole.spec.as_ref().expect("there").containers[0].resources
    );
    let claim = spec.volumes.as_ref().expect("read")[0]
        .persistent_volume_claim
        .as_ref()
        .expect("read");
    assert_eq!(claim.claim_name, "data-rich");
    assert_eq!(
        chaos_common::cluster::workload_of(pod)
            .map(|w| w.to_string())
            .as_deref(),
        Some("deployment/rich")
    );
}

#[test]
fn nodes_slices_and_events_are_what_the_api_server_says_in_json() {
    same::<Node>(
        include_bytes!("../fixtures/nodes.pb"),
        include_str!("../fixtures/nodes.json"),
        &[
            "/metadata/name",
            "/spec/unschedulable",
            "/spec/podCIDR",
            "/spec/podCIDRs/0",
            "/status/allocatable/cpu",
            "/status/allocatable/memory",
            "/status/conditions/0/type",
            "/status/conditions/0/status",
            "/status/conditions/0/message",
            "/status/conditions/1/status",
        ],
    );
    same::<EndpointSlice>(
        include_bytes!("../fixtures/endpointslices.pb"),
        include_str!("../fixtures/endpointslices.json"),
        &[
            "/metadata/labels/kubernetes.io~1service-name",
            "/endpoints/0/addresses/0",
            "/endpoints/0/conditions/ready",
            "/endpoints/0/targetRef/uid",
            "/endpoints/0/targetRef/kind",
            "/endpoints/1/conditions/terminating",
            "/endpoints/2/addresses/0",
            "/ports/0/name",
            "/ports/0/port",
        ],
    );
    let slices = items::<EndpointSlice>(include_bytes!("../fixtures/endpointslices.pb"));
    assert_eq!(
        slices[0].endpoints[1]
            .conditions
            .as_ref()
            .and_then(|c| c.ready),
        Some(false)
    );
    assert_eq!(
        slices[0].endpoints[2]
            .conditions
            .as_ref()
            .and_then(|c| c.ready),
        None
    );
    same::<Event>(
        include_bytes!("../fixtures/events.pb"),
        include_str!("../fixtures/events.json"),
        &[
            "/involvedObject/kind",
            "/involvedObject/name",
            "/reason",
            "/message",
            "/type",
        ],
    );
    let events = items::<Event>(include_bytes!("../fixtures/events.pb"));
    assert!(
        events
            .iter()
            .any(|event| event.count == Some(17) && event.last_timestamp.is_some())
    );
    assert!(events.iter().any(|event| {
        let series = event.series.as_ref();
        event.event_time.is_some()
            && series.is_some_and(|s| s.count == Some(3) && s.last_observed_time.is_some())
    }));
}
