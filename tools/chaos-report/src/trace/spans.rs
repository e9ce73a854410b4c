//! The spans of a run, out of its records.

use std::time::{Duration, SystemTime};

use chaos_common::conclusion::Conclusion;
use chaos_common::record::{EventKind, Experiment, Kind, Record, Time, Verdict};
use chaos_common::stream::Upstream;
use opentelemetry::trace::{
    Event, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::phases::phases;

/// A stretch of time with a name, below another one.
struct Stretch {
    /// What its id is made of, together with the run.
    key: String,
    /// The key of what it is a part of; `None` of the run itself.
    parent: Option<String>,
    name: String,
    start: Time,
    end: Time,
    status: Status,
    attributes: Vec<KeyValue>,
    events: Vec<Event>,
}

/// The spans of a stream: none if it holds no record of ours.
pub(crate) fn spans(upstream: &Upstream, run: &str) -> Vec<SpanData> {
    let records = upstream.in_order();
    let (Some(first), Some(last)) = (records.first(), records.last()) else {
        return Vec::new();
    };
    let mut stretches = vec![whole(upstream, run, first.time, last.time)];
    for (at, record) in records.iter().enumerate() {
        if record.verdict.is_some() {
            stretches.push(work(record, &records[..at]));
        }
    }
    let experiments = upstream.all::<Experiment>();
    stretches.extend(experiments.iter().flat_map(|experiment| {
        let parts = phases(&experiment.data, &upstream.all()).into_iter();
        parts.map(|phase| Stretch {
            key: format!("{}/{}", experiment.id, phase.name),
            parent: Some(experiment.id.clone()),
            name: phase.name.to_owned(),
            start: phase.start,
            end: phase.end,
            status: Status::Unset,
            attributes: Vec::new(),
            events: Vec::new(),
        })
    }));
    let trace = trace_id(run);
    stretches
        .into_iter()
        .map(|stretch| span(trace, run, stretch))
        .collect()
}

/// The run itself.
fn whole(upstream: &Upstream, run: &str, start: Time, end: Time) -> Stretch {
    let conclusion = Conclusion::of(upstream);
    let mut attributes = vec![
        KeyValue::new("chaos.run", run.to_owned()),
        KeyValue::new("chaos.status", conclusion.word()),
    ];
    let mut name = "chaos run".to_owned();
    if let Some(record) = upstream.latest::<Experiment>().ok().flatten() {
        let data = record.data;
        name = format!("{} on {}", data.experiment, data.namespace);
        attributes.extend([
            KeyValue::new("chaos.experiment", data.experiment),
            KeyValue::new("k8s.namespace.name", data.namespace),
        ]);
        attributes.extend(
            data.cluster
                .map(|it| KeyValue::new("k8s.cluster.uid", it.id)),
        );
    }
    let status = match conclusion {
        Conclusion::Pass => Status::Ok,
        Conclusion::Refused | Conclusion::Aborted => Status::Unset,
        Conclusion::Unknown | Conclusion::Fail | Conclusion::NotRestored => {
            Status::error(conclusion.word())
        }
    };
    Stretch {
        key: "run".to_owned(),
        parent: None,
        name,
        start,
        end,
        status,
        attributes,
        events: Vec::new(),
    }
}

/// The work of a tool up to its result.
fn work(record: &Record<Value>, before: &[&Record<Value>]) -> Stretch {
    let own = |other: &&&Record<Value>| other.tool == record.tool;
    let start = begin(record, before);
    let events = before
        .iter()
        .filter(own)
        .filter(|other| other.time >= start && other.verdict.is_none())
        .filter(|other| event_kind(other) != Some(EventKind::Started))
        .filter_map(|other| event(other))
        .collect();
    let verdict = record.verdict;
    let mut attributes = vec![
        KeyValue::new("chaos.tool", record.tool.clone()),
        KeyValue::new("chaos.summary", record.summary.clone()),
    ];
    attributes.extend(verdict.map(|it| KeyValue::new("chaos.verdict", it.word())));
    Stretch {
        key: record.id.clone(),
        parent: Some("run".to_owned()),
        name: name_of(record).to_owned(),
        start,
        end: record.time,
        status: match verdict {
            Some(Verdict::Pass) => Status::Ok,
            Some(Verdict::Fail | Verdict::Unknown) => Status::error(record.summary.clone()),
            None => Status::Unset,
        },
        attributes,
        events,
    }
}

/// When the work for a result began: an experiment says it itself; else when its tool started, or
/// had its result before.
fn begin(record: &Record<Value>, before: &[&Record<Value>]) -> Time {
    let told = record.data.get("started").cloned();
    let told = told.and_then(|time| serde_json::from_value(time).ok());
    let earlier = before.iter().rev().find(|other| {
        other.tool == record.tool
            && (other.verdict.is_some() || event_kind(other) == Some(EventKind::Started))
    });
    told.or(earlier.map(|other| other.time))
        .unwrap_or(record.time)
}

/// The kind of a record, without the version.
fn name_of(record: &Record<Value>) -> &str {
    let schema = record.schema.as_str();
    schema.split_once('/').map_or(schema, |(name, _)| name)
}

/// What sort of event a record is, if it is one.
fn event_kind(record: &Record<Value>) -> Option<EventKind> {
    if name_of(record) != Kind::Event.name() {
        return None;
    }
    serde_json::from_value(record.data.get("event")?.clone()).ok()
}

fn event(record: &Record<Value>) -> Option<Event> {
    let kind = record.data.get("event")?.as_str()?;
    let mut attributes = vec![KeyValue::new("chaos.event", kind.to_owned())];
    let object = record.data.get("object").and_then(Value::as_str);
    attributes.extend(object.map(|it| KeyValue::new("chaos.object", it.to_owned())));
    let event = Event::new(record.summary.clone(), moment(record.time), attributes, 0);
    Some(event)
}

fn span(trace: TraceId, run: &str, stretch: Stretch) -> SpanData {
    let id = |key: &str| span_id(run, key);
    let mut events = SpanEvents::default();
    events.events = stretch.events;
    SpanData {
        span_context: SpanContext::new(
            trace,
            id(&stretch.key),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        ),
        parent_span_id: stretch.parent.as_deref().map_or(SpanId::INVALID, id),
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: stretch.name.into(),
        start_time: moment(stretch.start),
        end_time: moment(stretch.end.max(stretch.start)),
        attributes: stretch.attributes,
        dropped_attributes_count: 0,
        events,
        links: SpanLinks::default(),
        status: stretch.status,
        instrumentation_scope: InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
            .with_version(env!("CARGO_PKG_VERSION"))
            .build(),
    }
}

/// The run's own id where it is a UUID, which is as long as a trace's; else a digest of it.
fn trace_id(run: &str) -> TraceId {
    let digits: String = run.chars().filter(|c| *c != '-').collect();
    let own = TraceId::from_hex(&digits).ok();
    own.filter(|id| digits.len() == 32 && *id != TraceId::INVALID)
        .unwrap_or_else(|| {
            let digest = Sha256::digest(run);
            TraceId::from_bytes(std::array::from_fn(|at| digest[at]))
        })
}

fn span_id(run: &str, key: &str) -> SpanId {
    let digest = Sha256::digest(format!("{run}/{key}"));
    SpanId::from_bytes(std::array::from_fn(|at| digest[at]))
}

fn moment(time: Time) -> SystemTime {
    let since = u64::try_from(time.0.as_microsecond()).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_micros(since)
}
