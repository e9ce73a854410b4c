//! A backup of a cluster's configuration, held against the cluster: what is missing, what is left
//! over, which values have changed. Values are compared by their digests, and named by their keys
//! alone.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use chaos_backup_check::formats::error::count;
use chaos_backup_check::formats::kubernetes::Object;
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::Backup;
use chaos_common::record::{Check, Status, Time};
use jiff::{SignedDuration, Timestamp};
use kube::api::DynamicObject;

use super::resource_kinds::{KindOf, makes_itself};
use crate::context::Context;

const ID: &str = "backup.live";
/// The clocks of the cluster and of the machine that made the backup may differ by so much.
const SKEW: SignedDuration = SignedDuration::from_mins(1);
/// So many differences are told one by one.
const TOLD: usize = 5;

/// An object of the cluster.
pub(super) struct LiveObject {
    object: Object,
    created: Option<Timestamp>,
    /// When it was last written, as far as it says.
    changed: Option<Timestamp>,
    /// Whether a backup must have it: not what the cluster or a controller makes again.
    needed: bool,
}

/// What the cluster has of the kinds that a backup holds.
pub(super) enum ClusterView {
    /// The configuration says `live = false`.
    NotWanted,
    /// Nobody named a cluster, and there is no way to one.
    NoCluster(ReadError),
    /// It could not be read.
    Unreadable(ReadError),
    /// Its objects, and the namespace of those that name none.
    Read {
        live: Vec<LiveObject>,
        namespace: String,
    },
}

/// Looks at what the cluster has.
pub(super) async fn look(context: &Context, backup: &Backup, objects: &[Object]) -> ClusterView {
    if backup.live == Some(false) {
        return ClusterView::NotWanted;
    }
    let access = &context.access;
    let must = backup.live == Some(true) || access.is_named();
    let cluster = match Cluster::connect(access).await {
        Ok(cluster) => cluster,
        Err(error) if must => return ClusterView::Unreadable(error),
        Err(error) => return ClusterView::NoCluster(error),
    };
    match read(&cluster, &context.namespace, backup, objects).await {
        Ok(live) => ClusterView::Read {
            live,
            namespace: context.namespace.clone(),
        },
        Err(error) => ClusterView::Unreadable(error),
    }
}

/// Whether the objects of a backup that was `made` then are those of the cluster.
pub(super) fn check(
    view: &ClusterView,
    objects: &[Object],
    made: Option<Timestamp>,
    object: &str,
) -> Check {
    let skipped = |why: String| Check::skipped(ID, object, why);
    let (live, namespace) = match view {
        ClusterView::NotWanted => {
            return skipped("is not to be held against the cluster".to_owned());
        }
        ClusterView::NoCluster(error) => {
            return skipped(format!("is not held against the cluster: {error}"));
        }
        ClusterView::Unreadable(error) => return error.check(ID, object),
        ClusterView::Read { live, namespace } => (live, namespace),
    };
    let (status, message) = judge(objects, live, namespace, made);
    Check::new(ID, object, status, message).hint(match status {
        Status::Fail => "see what the backup was made of; make one now: chaos-backup-check export",
        _ => {
            "make a backup now, so that it holds the configuration that runs: \
             chaos-backup-check export"
        }
    })
}

/// The objects of the cluster of the kinds that the backup holds or should hold.
async fn read(
    cluster: &Cluster,
    namespace: &str,
    backup: &Backup,
    objects: &[Object],
) -> Result<Vec<LiveObject>, ReadError> {
    let mut wanted: BTreeMap<(String, String), KindOf> = BTreeMap::new();
    for name in &backup.resources {
        let kind = KindOf::named(cluster, name).await?;
        wanted.insert(
            (
                kind.resource.api_version.clone(),
                kind.resource.kind.clone(),
            ),
            kind,
        );
    }
    for object in objects {
        if let Entry::Vacant(entry) =
            wanted.entry((object.api_version.to_string(), object.kind.to_string()))
        {
            entry.insert(KindOf::of(cluster, &object.api_version, &object.kind).await?);
        }
    }
    let mut live = Vec::new();
    for ((_, name), kind) in &wanted {
        let own = objects.iter().filter(|object| *object.kind == **name);
        let mut namespaces: BTreeSet<&str> = own
            .filter_map(|object| object.namespace.as_deref())
            .collect();
        if namespaces.is_empty() || !kind.namespaced {
            namespaces = BTreeSet::from([namespace]);
        }
        for from in namespaces {
            for object in kind.list(cluster, from).await? {
                live.push(LiveObject::of(
                    object,
                    kind.namespaced && from == namespace,
                )?);
            }
        }
    }
    Ok(live)
}

impl LiveObject {
    /// `ours` says that the whole of its namespace belongs into the backup.
    fn of(object: DynamicObject, ours: bool) -> Result<LiveObject, ReadError> {
        let created = object
            .metadata
            .creation_timestamp
            .as_ref()
            .map(|time| time.0);
        let fields = object
            .metadata
            .managed_fields
            .as_deref()
            .unwrap_or_default();
        let written = fields
            .iter()
            .filter_map(|field| field.time.as_ref().map(|time| time.0));
        let changed = written.chain(created).max();
        let owned = object
            .metadata
            .owner_references
            .iter()
            .flatten()
            .any(|owner| owner.controller == Some(true));
        let needed = ours
            && !owned
            && !makes_itself(&object)
            && object.metadata.deletion_timestamp.is_none();
        let what = "read an object of the cluster";
        let json = serde_json::to_value(object)
            .map_err(|error| ReadError::other(what, error.to_string()))?;
        let object =
            Object::of_json(json).map_err(|trouble| ReadError::other(what, trouble.to_string()))?;
        Ok(LiveObject {
            object,
            created,
            changed,
            needed,
        })
    }
}

/// How a backup differs from the cluster.
#[derive(Default)]
struct Differences {
    /// What the cluster had before the backup was made, and the backup has not.
    faults: Vec<String>,
    /// What came later, or of which that can't be told.
    changes: Vec<String>,
    /// Objects that are the same.
    same: u64,
}

/// What the differences mean: a fault of the backup, or a change since.
fn judge(
    objects: &[Object],
    live: &[LiveObject],
    namespace: &str,
    made: Option<Timestamp>,
) -> (Status, String) {
    let Differences {
        faults,
        changes,
        same,
    } = differences(objects, live, namespace, made);
    let status = match (faults.is_empty(), changes.is_empty()) {
        (false, _) => Status::Fail,
        (true, false) => Status::Warn,
        (true, true) => Status::Pass,
    };
    let same = format!("{} as in the cluster", count(same, "object"));
    if status == Status::Pass {
        return (status, same);
    }
    let when = made.map_or(String::new(), |made| {
        format!(" (made at {})", Time(made).human())
    });
    let all: Vec<String> = faults.into_iter().chain(changes).collect();
    let told = told(&all, ", and ");
    (
        status,
        format!("{same}; held against the backup{when}: {told}"),
    )
}

fn differences(
    objects: &[Object],
    live: &[LiveObject],
    namespace: &str,
    made: Option<Timestamp>,
) -> Differences {
    let key = |object: &Object| {
        let of = object.namespace.as_deref().unwrap_or(namespace);
        let (group, name) = (object.group().to_owned(), object.name.clone());
        (group, object.kind.clone(), of.to_owned(), name)
    };
    let before = |time: Option<Timestamp>| {
        let made = made.and_then(|made| made.checked_sub(SKEW).ok());
        matches!((time, made), (Some(time), Some(made)) if time < made)
    };
    let kept: BTreeMap<_, _> = objects.iter().map(|object| (key(object), object)).collect();
    let there: BTreeSet<_> = live.iter().map(|live| key(&live.object)).collect();
    let mut found = Differences::default();
    for one in live {
        let named = named(&one.object);
        match kept.get(&key(&one.object)) {
            None if !one.needed => {}
            None if before(one.created) => {
                let fault = format!("{named} is not in it, and was there before");
                found.faults.push(fault);
            }
            None => found.changes.push(format!("{named} is new since")),
            Some(kept) => match keys(kept, &one.object) {
                None => found.same += 1,
                Some(keys) if before(one.changed) => {
                    let fault = format!("{named} differs ({keys}), and has not changed since");
                    found.faults.push(fault);
                }
                Some(keys) => found.changes.push(format!("{named} has changed ({keys})")),
            },
        }
    }
    let gone = objects
        .iter()
        .filter(|object| !there.contains(&key(object)) && !recreated(object));
    let gone = gone.map(|object| format!("{} is no more in the cluster", named(object)));
    found.changes.extend(gone);
    found
}

fn named(object: &Object) -> String {
    format!("{} {}", object.kind, object.name)
}

/// The first few in words, and how many more there are.
fn told(all: &[String], and: &str) -> String {
    let (first, rest) = all.split_at(all.len().min(TOLD));
    let more = match rest.len() {
        0 => String::new(),
        more => format!("{and}{more} more"),
    };
    format!("{}{more}", first.join(", "))
}

/// Objects that every namespace has, so that losing one says nothing.
fn recreated(object: &Object) -> bool {
    &*object.kind == "ConfigMap" && &*object.name == "kube-root-ca.crt"
}

/// The keys in which two objects differ; `None` if they don't.
fn keys(kept: &Object, live: &Object) -> Option<String> {
    let all: BTreeSet<&str> = kept.values.keys().chain(live.values.keys()).collect();
    let word = |key: &&str| match (kept.values.get(key), live.values.get(key)) {
        (Some(kept), Some(live)) if kept == live => None,
        (Some(_), Some(_)) => Some(format!("key {key:?} changed")),
        (None, _) => Some(format!("key {key:?} is only in the cluster")),
        (_, None) => Some(format!("key {key:?} is only in the backup")),
    };
    let words: Vec<String> = all.iter().filter_map(word).collect();
    (!words.is_empty()).then(|| told(&words, ", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, values: &[(&str, u8)]) -> Object {
        Object {
            api_version: "v1".into(),
            kind: "Secret".into(),
            namespace: Some("shop".into()),
            name: name.into(),
            values: values
                .iter()
                .map(|(key, value)| ((*key).into(), [*value; 32]))
                .collect(),
            server_made: Vec::new(),
        }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn live(object: Object, created: &str, changed: &str) -> LiveObject {
        LiveObject {
            object,
            created: Some(at(created)),
            changed: Some(at(changed)),
            needed: true,
        }
    }

    const OLD: &str = "2026-11-20T00:00:00Z";
    const MADE: &str = "2026-11-21T00:00:00Z";
    const NEW: &str = "2026-11-22T00:00:00Z";

    fn judged(objects: &[Object], live: &[LiveObject]) -> (Status, String) {
        judge(objects, live, "shop", Some(at(MADE)))
    }

    #[test]
    fn the_same_passes_whatever_its_age() {
        let kept = Object {
            namespace: None,
            ..object("a", &[("k", 1)])
        };
        let (status, message) = judged(&[kept], &[live(object("a", &[("k", 1)]), OLD, NEW)]);
        assert_eq!(
            (status, message.as_str()),
            (Status::Pass, "1 object as in the cluster")
        );
    }

    #[test]
    fn what_the_backup_should_have_had_fails_and_what_came_later_warns() {
        let (status, message) = judged(&[], &[live(object("a", &[]), OLD, OLD)]);
        assert_eq!(status, Status::Fail, "{message}");
        assert!(
            message.contains("Secret a is not in it, and was there before"),
            "{message}"
        );
        let (status, message) = judged(&[], &[live(object("a", &[]), NEW, NEW)]);
        assert_eq!(status, Status::Warn, "{message}");
        let skew = "2026-11-20T23:59:30Z";
        assert_eq!(
            judged(&[], &[live(object("a", &[]), skew, skew)]).0,
            Status::Warn,
            "clocks differ a little"
        );
        let not_needed = LiveObject {
            needed: false,
            ..live(object("a", &[]), OLD, OLD)
        };
        assert_eq!(judged(&[], &[not_needed]).0, Status::Pass);
    }

    #[test]
    fn changed_keys_are_named_and_no_value() {
        let kept = object("a", &[("same", 1), ("other", 2), ("gone", 3)]);
        let now = object("a", &[("same", 1), ("other", 9), ("new", 4)]);
        let (status, message) = judged(std::slice::from_ref(&kept), &[live(now.clone(), OLD, NEW)]);
        assert_eq!(status, Status::Warn);
        assert!(
            message.contains(
                "key \"gone\" is only in the backup, key \"new\" is only in the cluster, key \
                 \"other\" changed"
            ),
            "{message}"
        );
        let (status, message) = judged(&[kept], &[live(now, OLD, OLD)]);
        assert_eq!(status, Status::Fail);
        assert!(message.contains("has not changed since"), "{message}");
    }

    #[test]
    fn what_is_gone_from_the_cluster_warns() {
        let (status, message) = judged(&[object("a", &[])], &[]);
        assert_eq!(status, Status::Warn);
        assert!(
            message.contains("Secret a is no more in the cluster"),
            "{message}"
        );
        let root = Object {
            kind: "ConfigMap".into(),
            ..object("kube-root-ca.crt", &[])
        };
        assert_eq!(judged(&[root], &[]).0, Status::Pass);
    }

    #[test]
    fn many_differences_are_counted() {
        let objects: Vec<Object> = (0..9).map(|n| object(&format!("a{n}"), &[])).collect();
        assert!(
            judged(&objects, &[]).1.ends_with("and 4 more"),
            "{}",
            judged(&objects, &[]).1
        );
    }
}
