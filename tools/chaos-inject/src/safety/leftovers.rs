//! What runs left behind that no Lease tells of: objects with a run's label, and local journals of
//! runs that did not come to an end. Somebody may have deleted the Lease.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use chaos_common::cluster::{Cluster, ReadError, ReadErrorKind};
use chaos_common::record::{Change, ObjectRef, Outcome, Time};
use kube::api::ListParams;
use serde_json::Value;

use crate::change::apply;
use crate::change::decide::{Step, next_to_undo};
use crate::labels::{EXPERIMENT_LABEL, RUN_LABEL, run_of};
use crate::safety::intent::Intent;
use crate::safety::journal;
use crate::safety::journal_entry::{Entry, GuardianState};

/// A journal without any label of its run in the cluster says something for so long, in
/// milliseconds. Later, that a value is the one of the fault is an accident.
const RECENT_MS: i64 = 24 * 60 * 60 * 1000;

/// Kinds that runs change or create.
const KINDS: [(&str, &str, &str); 4] = [
    ("apps/v1", "Deployment", "deployments"),
    ("apps/v1", "StatefulSet", "statefulsets"),
    ("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies"),
    ("v1", "Pod", "pods"),
];

/// What there is, by run.
#[derive(Debug, Default)]
pub struct Leftovers {
    /// Objects that carry the label of a run.
    pub labelled: BTreeMap<String, Vec<Labelled>>,
    /// Intents in local journals of runs of which something is still in place.
    pub journals: BTreeMap<String, (PathBuf, Intent)>,
    /// What could not be looked at.
    pub unseen: Vec<ReadError>,
}

/// An object with the label of a run.
#[derive(Clone, Debug)]
pub struct Labelled {
    object: ObjectRef,
    /// The run has created it, and did not change one of somebody else's.
    created: bool,
}

impl Leftovers {
    /// Looks for them, besides the runs that are `known` by their Leases.
    pub async fn find(
        cluster: &Cluster,
        namespaces: &[String],
        journals: Option<&Path>,
        known: &BTreeSet<String>,
    ) -> Leftovers {
        let mut found = Leftovers::default();
        for namespace in namespaces {
            for kind in KINDS {
                match labelled(cluster, namespace, kind).await {
                    Ok(objects) => objects
                        .into_iter()
                        .filter(|(run, _)| !known.contains(run))
                        .for_each(|(run, one)| found.labelled.entry(run).or_default().push(one)),
                    // A cluster without this kind has none of it.
                    Err(error) if error.kind == ReadErrorKind::NotFound => {}
                    Err(error) => found.unseen.push(error),
                }
            }
        }
        let Some(folder) = journals else {
            return found;
        };
        let Ok(identity) = cluster.identity().await else {
            return found;
        };
        for (path, intent) in unfinished(folder, &identity.id) {
            if known.contains(&intent.run) {
                continue;
            }
            let has_label = found.labelled.contains_key(&intent.run);
            let recent = Time::now().since_ms(intent.since) < RECENT_MS;
            if has_label || (recent && is_in_place(cluster, &intent).await) {
                found.journals.insert(intent.run.clone(), (path, intent));
            }
        }
        found
    }

    /// Only those of these runs.
    pub fn only(mut self, runs: &BTreeSet<String>) -> Leftovers {
        self.labelled.retain(|run, _| runs.contains(run));
        self.journals.retain(|run, _| runs.contains(run));
        self
    }

    /// The ids of the runs.
    pub fn runs(&self) -> BTreeSet<String> {
        self.labelled
            .keys()
            .chain(self.journals.keys())
            .cloned()
            .collect()
    }

    /// What would undo a run: the intent of its journal; without one, what it created, which its
    /// label shows, is deleted. `None` where it changed an object and nobody knows what that was
    /// before.
    pub fn intent(&self, run: &str) -> Option<Intent> {
        if let Some((_, intent)) = self.journals.get(run) {
            return Some(intent.clone());
        }
        let objects = self.labelled.get(run)?;
        if objects.iter().any(|one| !one.created) {
            return None;
        }
        let create = |one: &Labelled| Change::Create {
            object: one.object.clone(),
            manifest: Value::Null,
        };
        Some(Intent::of_objects(
            run,
            objects.iter().map(create).collect(),
        ))
    }

    /// The objects of a run, for people.
    pub fn describe(&self, run: &str) -> String {
        let labelled = self.labelled.get(run).into_iter().flatten();
        let labelled = labelled.map(|one| &one.object);
        let changed = self
            .journals
            .get(run)
            .into_iter()
            .flat_map(|(_, intent)| &intent.changes);
        let objects: BTreeSet<String> = labelled
            .chain(changed.map(Change::object))
            .map(ToString::to_string)
            .collect();
        objects.into_iter().collect::<Vec<_>>().join(", ")
    }
}

/// Objects of a kind with the label of any run, and the run of each.
async fn labelled(
    cluster: &Cluster,
    namespace: &str,
    (api_version, kind, resource): (&str, &str, &str),
) -> Result<Vec<(String, Labelled)>, ReadError> {
    let mut object = ObjectRef {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        resource: resource.to_owned(),
        namespace: Some(namespace.to_owned()),
        name: String::new(),
        uid: None,
    };
    let api = apply::api(cluster, &object);
    let what = format!("list {resource} with the label {RUN_LABEL} in namespace {namespace}");
    let params = ListParams::default().labels(RUN_LABEL);
    let listed = cluster.read(what, || api.list(&params)).await?;
    let one = |found| {
        let found = serde_json::to_value(found).unwrap_or_default();
        let run = run_of(&found)?.to_owned();
        let created = found["metadata"]["labels"][EXPERIMENT_LABEL].is_string();
        // A pod of a load Job carries a run's label, too, and is no fault.
        if !created && kind == "Pod" {
            return None;
        }
        found["metadata"]["name"]
            .as_str()?
            .clone_into(&mut object.name);
        let object = object.clone();
        Some((run, Labelled { object, created }))
    };
    Ok(listed.items.into_iter().filter_map(one).collect())
}

/// Journals of this cluster whose runs did not come to an end, with what would be undone.
fn unfinished(folder: &Path, cluster: &str) -> Vec<(PathBuf, Intent)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let journals = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "ndjson"));
    journals
        .filter_map(|path| {
            let text = std::fs::read_to_string(&path).ok()?;
            let intent = intent_of_unfinished(&text, cluster)?;
            Some((path, intent))
        })
        .collect()
}

/// The intent of a journal that does not show the end of its run.
fn intent_of_unfinished(text: &str, cluster: &str) -> Option<Intent> {
    let (lines, _) = journal::parse(text);
    let mut entries = lines
        .into_iter()
        .filter_map(|line| serde_json::from_value::<Entry>(line.what).ok());
    let Some(Entry::Began { intent, plan }) = entries.next() else {
        return None;
    };
    let is_end = |entry: Entry| match entry {
        Entry::Ended { end, .. } => end.outcome != Outcome::NotRestored,
        Entry::Guardian { guardian, .. } => guardian == GuardianState::Restored,
        Entry::Began { .. } | Entry::Event { .. } => false,
    };
    (plan.cluster.id == cluster && !entries.any(is_end)).then_some(*intent)
}

/// Whether something of a run is still in place, so that an undo would write.
async fn is_in_place(cluster: &Cluster, intent: &Intent) -> bool {
    for change in &intent.changes {
        let Ok(now) = apply::read_object(cluster, change.object()).await else {
            continue;
        };
        let step = next_to_undo(change, now.as_ref(), &intent.run, false);
        if matches!(step, Step::Patch(_) | Step::Delete(_) | Step::Wait) {
            return true;
        }
    }
    false
}
