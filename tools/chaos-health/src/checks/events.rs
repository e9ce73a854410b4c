//! What does the cluster warn of?

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Event;

use super::catalogue::Explanation;
use crate::protobuf;
use chaos_common::cluster::{Cluster, ListRequest};
use chaos_common::config::Config;
use chaos_common::record::{Check, Status, Time};

/// `events.warning`
pub(super) const WARNING: Explanation = Explanation {
    id: "events.warning",
    asks: "What has the cluster warned of lately?",
    judges: "Warns once for each reason within health.window, with number, objects and the \
             latest message.",
    reads: "list events",
    remedy: "kubectl get events",
};

const ID: &str = WARNING.id;
/// So many reasons are told apart; an event more than these is counted with the last.
const REASONS: usize = 30;
/// So many objects of a reason are told apart.
const OBJECTS: usize = 1000;
/// Characters of a message that are shown.
const MESSAGE: usize = 200;

/// The warnings of one reason.
#[derive(Clone, Debug, Default)]
struct Group {
    times: i64,
    objects: BTreeSet<String>,
    latest: Option<(Time, String, String)>,
}

/// `events.warning`: the namespace's warnings within the window, grouped by their reason.
pub(super) async fn examine(
    cluster: &Cluster,
    config: &Config,
    namespace: &str,
    now: Time,
) -> Vec<Check> {
    let window = config.health.window;
    let window_ms = super::pods::window_ms(config);
    let add = |groups: &mut BTreeMap<String, Group>, event: Event| {
        if time(&event).is_some_and(|time| now.since_ms(time) < window_ms) {
            count(groups, &event);
        }
    };
    let request = ListRequest::namespaced(namespace).fields("type=Warning");
    let groups = match cluster
        .fold(request.protobuf(protobuf::decode), BTreeMap::new, add)
        .await
    {
        Ok(groups) => groups,
        Err(error) => return vec![error.check(ID, format!("namespace/{namespace}"))],
    };
    if groups.is_empty() {
        return vec![Check::pass(
            ID,
            format!("namespace/{namespace}"),
            format!("no warnings in the last {window}"),
        )];
    }
    let each = groups.into_iter().map(
        |(
            reason,
            Group {
                times,
                objects,
                latest,
            },
        )| {
            let (_, object, message) = latest.unwrap_or((now, String::new(), String::new()));
            let objects = match objects.len() {
                1 => String::new(),
                OBJECTS => format!(" on {OBJECTS} objects or more"),
                number => format!(" on {number} objects"),
            };
            let message: String = message.trim().chars().take(MESSAGE).collect();
            let message = format!(
                "{times} times{objects} in the last {window}; the latest on {object}: {message}"
            );
            Check::new(ID, format!("event/{reason}"), Status::Warn, message).hint(format!(
                "kubectl get events -n {namespace} --field-selector reason={reason}"
            ))
        },
    );
    each.collect()
}

/// When an event was last seen. Which of the fields is set depends on who wrote it.
fn time(event: &Event) -> Option<Time> {
    let series = event
        .series
        .as_ref()
        .and_then(|series| series.last_observed_time.as_ref())
        .map(|time| Time(time.0));
    let of = |time: &Option<k8s_openapi::apimachinery::pkg::apis::meta::v1::Time>| {
        time.as_ref().map(|time| Time(time.0))
    };
    let single = event.event_time.as_ref().map(|time| Time(time.0));
    series
        .or_else(|| of(&event.last_timestamp))
        .or(single)
        .or_else(|| of(&event.first_timestamp))
}

fn count(groups: &mut BTreeMap<String, Group>, event: &Event) {
    let reason = event.reason.clone().unwrap_or_default();
    let reason = if groups.len() < REASONS || groups.contains_key(&reason) {
        reason
    } else {
        "others".to_owned()
    };
    let group = groups.entry(reason).or_default();
    let times = event
        .series
        .as_ref()
        .and_then(|series| series.count)
        .or(event.count)
        .unwrap_or(1);
    group.times += i64::from(times);
    let object = &event.involved_object;
    let object = format!(
        "{}/{}",
        object.kind.as_deref().unwrap_or_default().to_lowercase(),
        object.name.as_deref().unwrap_or_default()
    );
    if group.objects.len() < OBJECTS {
        group.objects.insert(object.clone());
    }
    let time = time(event);
    if time >= group.latest.as_ref().map(|(time, ..)| *time) {
        group.latest = time.map(|time| (time, object, event.message.clone().unwrap_or_default()));
    }
}
