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
    3 => spec.restart_policy = given(v.text()?),
    20 => {
        // Those that end say nothing here; a sidecar stays.
        let container: Container = message(v)?;
        if container.restart_policy.is_some() {
            spec.init_containers.get_or_insert_default().push(container);
        }
    },
    40 => spec.resources = Some(message(v)?),
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
    24 => container.restart_policy = given(v.text()?),
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

fields!(NodeSpec, spec, v {
    1 => spec.pod_cidr = given(v.text()?),
    4 => spec.unschedulable = Some(v.truth()?).filter(|cordoned| *cordoned),
    7 => spec.pod_cidrs.get_or_insert_default().push(v.text()?),
});

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
mod tests;
