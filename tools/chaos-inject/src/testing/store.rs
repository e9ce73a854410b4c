//! The objects of the API server in memory: UIDs, resource versions, preconditions, finalizers,
//! owners, and the events that watches tell.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::testing::managed;

/// What a request may fail with: the HTTP status, and Kubernetes' reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal(pub u16, pub &'static str);

/// No such object.
pub const NOT_FOUND: Refusal = Refusal(404, "NotFound");
/// A precondition does not hold.
pub const CONFLICT: Refusal = Refusal(409, "Conflict");
/// An object of that name exists.
pub const ALREADY_EXISTS: Refusal = Refusal(409, "AlreadyExists");

/// One event of a watch, with the resource version it happened at.
#[derive(Clone, Debug)]
struct Event {
    version: u64,
    path: String,
    line: Value,
}

struct Watcher {
    filter: Filter,
    lines: mpsc::UnboundedSender<String>,
}

/// What a list or a watch is about.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Path of the collection.
    pub collection: String,
    /// Only the object of this name.
    pub name: Option<String>,
    /// Only objects with these labels, and these values of them where there is one.
    pub labels: Vec<(String, Option<String>)>,
}

impl Filter {
    fn takes(&self, path: &str, object: &Value) -> bool {
        let of_collection = path
            .strip_prefix(&self.collection)
            .is_some_and(|name| name.starts_with('/') && !name[1..].contains('/'));
        of_collection
            && self
                .name
                .as_ref()
                .is_none_or(|name| object["metadata"]["name"] == **name)
            && self.labels.iter().all(|(key, value)| {
                let have = &object["metadata"]["labels"][key];
                value
                    .as_ref()
                    .map_or(!have.is_null(), |value| *have == **value)
            })
    }
}

/// Objects by path.
#[derive(Default)]
pub struct Store {
    objects: BTreeMap<String, Value>,
    version: u64,
    uids: u64,
    events: Vec<Event>,
    watchers: Vec<Watcher>,
    /// Watches from before this version are told that it is gone.
    oldest: u64,
}

impl Store {
    /// The resource version now.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// An object.
    pub fn get(&self, path: &str) -> Result<Value, Refusal> {
        self.objects.get(path).cloned().ok_or(NOT_FOUND)
    }

    /// The objects of a collection, in the order of their names.
    pub fn list(&self, filter: &Filter) -> Vec<Value> {
        let taken = self
            .objects
            .iter()
            .filter(|(path, object)| filter.takes(path, object));
        taken.map(|(_, object)| object.clone()).collect()
    }

    /// Every path that there is.
    pub fn paths(&self) -> Vec<String> {
        self.objects.keys().cloned().collect()
    }

    /// Creates an object. One whose owner does not exist is collected at once.
    pub fn create(&mut self, path: &str, mut object: Value) -> Result<Value, Refusal> {
        if self.objects.contains_key(path) {
            return Err(ALREADY_EXISTS);
        }
        self.uids += 1;
        let metadata = &mut object["metadata"];
        if metadata["uid"].is_null() {
            metadata["uid"] = format!("uid-{}", self.uids).into();
        }
        metadata["creationTimestamp"] = "2026-11-22T16:00:00Z".into();
        let created = self.store(path, object, "ADDED");
        let owner = created["metadata"]["ownerReferences"][0]["uid"].clone();
        let orphan =
            !owner.is_null() && !self.objects.values().any(|o| o["metadata"]["uid"] == owner);
        if orphan {
            self.remove(path);
        }
        Ok(created)
    }

    /// Somebody changes an object: see [`Store::update_by`].
    pub fn update(
        &mut self,
        path: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, Refusal> {
        self.update_by("somebody", path, change)
    }

    /// Replaces an object by what `change` makes of it. `uid` and `resourceVersion` in its metadata
    /// are preconditions, as in a patch. `manager` is who writes.
    pub fn update_by(
        &mut self,
        manager: &str,
        path: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<Value, Refusal> {
        let old = self.get(path)?;
        let mut new = old.clone();
        change(&mut new);
        let same = |field: &str| new["metadata"][field] == old["metadata"][field];
        if !same("uid") || !same("resourceVersion") {
            return Err(CONFLICT);
        }
        if new == old {
            return Ok(old);
        }
        managed::note(&old, &mut new, manager);
        Ok(self.store(path, new, "MODIFIED"))
    }

    /// Deletes an object. One with finalizers only gets its deletion timestamp.
    pub fn delete(&mut self, path: &str, preconditions: &Value) -> Result<Value, Refusal> {
        let object = self.get(path)?;
        let holds = |field: &str| {
            preconditions[field].is_null() || preconditions[field] == object["metadata"][field]
        };
        if !holds("uid") || !holds("resourceVersion") {
            return Err(CONFLICT);
        }
        let finalizers = object["metadata"]["finalizers"]
            .as_array()
            .map_or(0, Vec::len);
        if finalizers > 0 {
            let going = |object: &mut Value| {
                object["metadata"]["deletionTimestamp"] = "2026-11-22T16:00:00Z".into();
            };
            return self.update(path, going);
        }
        self.remove(path);
        Ok(object)
    }

    fn remove(&mut self, path: &str) {
        let Some(mut object) = self.objects.remove(path) else {
            return;
        };
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.tell("DELETED", path, &object);
        let owned: Vec<String> = self
            .objects
            .iter()
            .filter(|(_, one)| {
                one["metadata"]["ownerReferences"][0]["uid"] == object["metadata"]["uid"]
            })
            .map(|(path, _)| path.clone())
            .collect();
        for path in owned {
            self.remove(&path);
        }
    }

    fn store(&mut self, path: &str, mut object: Value, event: &str) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.objects.insert(path.to_owned(), object.clone());
        self.tell(event, path, &object);
        object
    }

    fn tell(&mut self, event: &str, path: &str, object: &Value) {
        let line = json!({ "type": event, "object": object });
        self.watchers.retain(|watcher| {
            !watcher.filter.takes(path, object) || watcher.lines.send(format!("{line}\n")).is_ok()
        });
        self.events.push(Event {
            version: self.version,
            path: path.to_owned(),
            line,
        });
    }

    /// A watch from a version on.
    pub fn watch(&mut self, filter: Filter, from: u64) -> mpsc::UnboundedReceiver<String> {
        let (lines, receiver) = mpsc::unbounded_channel();
        if from < self.oldest {
            let gone = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": "too old resource version", "reason": "Expired", "code": 410 });
            let line = json!({ "type": "ERROR", "object": gone });
            lines
                .send(format!("{line}\n"))
                .expect("the receiver is here");
            return receiver;
        }
        for event in self.events.iter().filter(|event| event.version > from) {
            if filter.takes(&event.path, &event.line["object"]) {
                lines
                    .send(format!("{}\n", event.line))
                    .expect("the receiver is here");
            }
        }
        self.watchers.push(Watcher { filter, lines });
        receiver
    }

    /// Ends every watch; with `forget`, none can be taken up again from where it was.
    pub fn break_watches(&mut self, forget: bool) {
        self.watchers.clear();
        if forget {
            // A list from now on is of a version that is known again.
            self.version += 1;
            self.oldest = self.version;
        }
    }
}
