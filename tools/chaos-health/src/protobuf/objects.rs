//! The objects that there can be very many of, and which of their fields are read.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    Container, ContainerState, ContainerStateRunning, ContainerStateTerminated,
    ContainerStateWaiting, ContainerStatus, Event, EventSeries, Node, NodeCondition, NodeSpec,
    NodeStatus, ObjectReference, PersistentVolumeClaimVolumeSource, Pod, PodCondition, PodSpec,
    PodStatus, ResourceRequirements, Volume,
};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, OwnerReference, Time};
use k8s_openapi::jiff::Timestamp;

use chaos_common::cluster::protobuf::{Malformed, Value};

use super::{Message, message};

/// `fields!(Type as message { 1 => …, 2 => … })`: what to do with the value `v` of each field.
macro_rules! fields {
    ($type:ty, $message:ident, $value:ident { $($number:literal => $take:expr),+ $(,)? }) => {
        impl Message for $type {
            fn field(&mut self, number: u64, $value: Value<'_>) -> Result<(), Malformed> {
                let $message = self;
                match number {
                    $($number => $take,)+
                    _ => {}
                }
                Ok(())
            }
        }
    };
}

fields!(ObjectMeta, meta, v {
    1 => meta.name = Some(v.text()?),
    3 => meta.namespace = Some(v.text()?),
    5 => meta.uid = Some(v.text()?),
    8 => meta.creation_timestamp = message::<Instant>(v)?.time(),
    9 => meta.deletion_timestamp = message::<Instant>(v)?.time(),
    11 => insert(&mut meta.labels, message::<Entry<Text>>(v)?, |text| text.0),
    13 => meta.owner_references.get_or_insert_default().push(message(v)?),
});

fields!(OwnerReference, owner, v {
    1 => owner.kind = v.text()?,
    3 => owner.name = v.text()?,
    4 => owner.uid = v.text()?,
    5 => owner.api_version = v.text()?,
    6 => owner.controller = Some(v.truth()?),
});

fields!(Pod, pod, v {
    1 => pod.metadata = message(v)?,
    2 => pod.spec = Some(message(v)?),
    3 => pod.status = Some(message(v)?),
});

fields!(PodSpec, spec, v {
    1 => {
        // Most volumes are no claims and say nothing here.
        let volume: Volume = message(v)?;
        if volume.persistent_volume_claim.is_some() {
            spec.volumes.get_or_insert_default().push(volume);
        }
    },
    2 => spec.containers.push(message(v)?),
    10 => spec.node_name = Some(v.text()?),
});

fields!(Volume, volume, v {
    1 => volume.name = v.text()?,
    2 => volume.persistent_volume_claim = message::<VolumeSource>(v)?.0,
});

#[derive(Default)]
struct VolumeSource(Option<PersistentVolumeClaimVolumeSource>);

fields!(VolumeSource, source, v { 10 => source.0 = Some(message(v)?) });
fields!(PersistentVolumeClaimVolumeSource, claim, v { 1 => claim.claim_name = v.text()? });

fields!(Container, container, v {
    1 => container.name = v.text()?,
    8 => container.resources = Some(message(v)?),
});

fields!(ResourceRequirements, bounds, v {
    1 => insert(&mut bounds.limits, message::<Entry<Amount>>(v)?, |amount| Quantity(amount.0)),
    2 => insert(&mut bounds.requests, message::<Entry<Amount>>(v)?, |amount| Quantity(amount.0)),
});

fields!(PodStatus, status, v {
    1 => status.phase = Some(v.text()?),
    2 => status.conditions.get_or_insert_default().push(message(v)?),
    3 => status.message = given(v.text()?),
    4 => status.reason = given(v.text()?),
    8 => status.container_statuses.get_or_insert_default().push(message(v)?),
    10 => status.init_container_statuses.get_or_insert_default().push(message(v)?),
});

fields!(PodCondition, condition, v {
    1 => condition.type_ = v.text()?,
    2 => condition.status = v.text()?,
    5 => condition.reason = given(v.text()?),
    6 => condition.message = given(v.text()?),
});

fields!(ContainerStatus, status, v {
    1 => status.name = v.text()?,
    2 => status.state = Some(message(v)?),
    3 => status.last_state = Some(message(v)?),
    4 => status.ready = v.truth()?,
    5 => status.restart_count = v.int()?,
});

fields!(ContainerState, state, v {
    1 => state.waiting = Some(message(v)?),
    2 => state.running = Some(message(v)?),
    3 => state.terminated = Some(message(v)?),
});

fields!(ContainerStateWaiting, waiting, v {
    1 => waiting.reason = given(v.text()?),
    2 => waiting.message = given(v.text()?),
});

fields!(ContainerStateRunning, running, v { 1 => running.started_at = message::<Instant>(v)?.time() });

fields!(ContainerStateTerminated, terminated, v {
    1 => terminated.exit_code = v.int()?,
    3 => terminated.reason = given(v.text()?),
    4 => terminated.message = given(v.text()?),
    6 => terminated.finished_at = message::<Instant>(v)?.time(),
});

fields!(Node, node, v {
    1 => node.metadata = message(v)?,
    2 => node.spec = Some(message(v)?),
    3 => node.status = Some(message(v)?),
});

fields!(NodeSpec, spec, v { 4 => spec.unschedulable = Some(v.truth()?).filter(|cordoned| *cordoned) });

fields!(NodeStatus, status, v {
    2 => insert(&mut status.allocatable, message::<Entry<Amount>>(v)?, |amount| Quantity(amount.0)),
    4 => status.conditions.get_or_insert_default().push(message(v)?),
});

fields!(NodeCondition, condition, v {
    1 => condition.type_ = v.text()?,
    2 => condition.status = v.text()?,
    5 => condition.reason = given(v.text()?),
    6 => condition.message = given(v.text()?),
});

fields!(EndpointSlice, slice, v {
    1 => slice.metadata = message(v)?,
    2 => slice.endpoints.push(message(v)?),
    3 => slice.ports.get_or_insert_default().push(message(v)?),
    4 => slice.address_type = v.text()?,
});

fields!(Endpoint, endpoint, v {
    1 => endpoint.addresses.push(v.text()?),
    2 => endpoint.conditions = Some(message(v)?),
    4 => endpoint.target_ref = Some(message(v)?),
});

fields!(EndpointConditions, conditions, v {
    1 => conditions.ready = Some(v.truth()?),
    2 => conditions.serving = Some(v.truth()?),
    3 => conditions.terminating = Some(v.truth()?),
});

fields!(EndpointPort, port, v {
    1 => port.name = Some(v.text()?),
    3 => port.port = Some(v.int()?),
});

fields!(ObjectReference, object, v {
    1 => object.kind = given(v.text()?),
    2 => object.namespace = given(v.text()?),
    3 => object.name = given(v.text()?),
    4 => object.uid = given(v.text()?),
});

fields!(Event, event, v {
    2 => event.involved_object = message(v)?,
    3 => event.reason = given(v.text()?),
    4 => event.message = given(v.text()?),
    6 => event.first_timestamp = message::<Instant>(v)?.time(),
    7 => event.last_timestamp = message::<Instant>(v)?.time(),
    8 => event.count = Some(v.int()?).filter(|count| *count != 0),
    9 => event.type_ = given(v.text()?),
    10 => event.event_time = message::<Instant>(v)?.time().map(|time| MicroTime(time.0)),
    11 => event.series = Some(message(v)?),
});

fields!(EventSeries, series, v {
    1 => series.count = Some(v.int()?),
    2 => series.last_observed_time = message::<Instant>(v)?.time().map(|time| MicroTime(time.0)),
});

/// `Time` and `MicroTime`. A time that is not set is a message without fields.
#[derive(Default)]
struct Instant {
    seconds: Option<i64>,
    nanoseconds: i32,
}

fields!(Instant, instant, v {
    1 => instant.seconds = Some(v.long()?),
    2 => instant.nanoseconds = v.int()?,
});

impl Instant {
    fn time(self) -> Option<Time> {
        Timestamp::new(self.seconds?, self.nanoseconds)
            .ok()
            .map(Time)
    }
}

/// A map's entry.
#[derive(Default)]
struct Entry<V> {
    key: String,
    value: V,
}

impl Message for Entry<Text> {
    fn field(&mut self, number: u64, value: Value<'_>) -> Result<(), Malformed> {
        match number {
            1 => self.key = value.text()?,
            2 => self.value = Text(value.text()?),
            _ => {}
        }
        Ok(())
    }
}

impl Message for Entry<Amount> {
    fn field(&mut self, number: u64, value: Value<'_>) -> Result<(), Malformed> {
        match number {
            1 => self.key = value.text()?,
            2 => self.value = message(value)?,
            _ => {}
        }
        Ok(())
    }
}

#[derive(Default)]
struct Text(String);

/// A `Quantity`.
#[derive(Default)]
struct Amount(String);

fields!(Amount, amount, v { 1 => amount.0 = v.text()? });

fn insert<V, T>(map: &mut Option<BTreeMap<String, T>>, entry: Entry<V>, of: impl FnOnce(V) -> T) {
    map.get_or_insert_default()
        .insert(entry.key, of(entry.value));
}

/// Empty texts are written too; in JSON such a field is left out.
fn given(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
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
            found.push(super::super::decode(item).expect("an object"));
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
    fn same<K: Message + Serialize + DeserializeOwned>(
        protobuf: &[u8],
        json: &str,
        decisive: &[&str],
    ) {
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
            serde_json::from_str(include_str!("fixtures/pods.json")).expect("JSON");
        // The one with everything first, as the pointers want it.
        let objects = list["items"].as_array_mut().expect("a list");
        let rich = objects
            .iter()
            .position(|pod| pod["metadata"]["name"] == "rich")
            .expect("it is there");
        assert_eq!(rich, 1);
        let pods = items::<Pod>(include_bytes!("fixtures/pods.pb"));
        let pod = &pods[rich];
        same::<Pod>(
            include_bytes!("fixtures/pods.pb"),
            include_str!("fixtures/pods.json"),
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
            include_bytes!("fixtures/nodes.pb"),
            include_str!("fixtures/nodes.json"),
            &[
                "/metadata/name",
                "/spec/unschedulable",
                "/status/allocatable/cpu",
                "/status/allocatable/memory",
                "/status/conditions/0/type",
                "/status/conditions/0/status",
                "/status/conditions/0/message",
                "/status/conditions/1/status",
            ],
        );
        same::<EndpointSlice>(
            include_bytes!("fixtures/endpointslices.pb"),
            include_str!("fixtures/endpointslices.json"),
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
        let slices = items::<EndpointSlice>(include_bytes!("fixtures/endpointslices.pb"));
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
            include_bytes!("fixtures/events.pb"),
            include_str!("fixtures/events.json"),
            &[
                "/involvedObject/kind",
                "/involvedObject/name",
                "/reason",
                "/message",
                "/type",
            ],
        );
        let events = items::<Event>(include_bytes!("fixtures/events.pb"));
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
}
