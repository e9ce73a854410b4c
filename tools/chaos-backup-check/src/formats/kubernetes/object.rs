//! What is looked at of a Kubernetes object. Values are judged as they are read, and only their
//! digests are kept: they may be secrets. There may be very many objects, so words that they have in
//! common are kept once.

use std::collections::HashSet;
use std::sync::Arc;

/// What it is in digits: BLAKE3.
pub type Sum = [u8; 32];

/// An object, and the digests of its values; no value itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Group and version: `v1`, `apps/v1`.
    pub api_version: Arc<str>,
    /// `ConfigMap` and the like.
    pub kind: Arc<str>,
    /// Nothing where the object says none.
    pub namespace: Option<Arc<str>>,
    /// Its name.
    pub name: Box<str>,
    /// Of a ConfigMap and a Secret: the digest of each value, decoded where it is base64.
    pub values: Values,
    /// Fields that only a server makes.
    pub server_made: Vec<&'static str>,
}

impl Object {
    /// The group, which is empty for the first one.
    pub fn group(&self) -> &str {
        self.api_version
            .rsplit_once('/')
            .map_or("", |(group, _)| group)
    }

    /// Whether it is of a kind that people name so: `configmaps`, `deployments.apps`.
    pub fn is_of(&self, resource: &str) -> bool {
        let (plural, group) = resource.split_once('.').unwrap_or((resource, ""));
        self.group() == group && plural_of(&self.kind) == plural.to_lowercase()
    }
}

/// The plural that the API gives a kind: in lower case, and by the rules of English.
fn plural_of(kind: &str) -> String {
    let word = kind.to_lowercase();
    // The one kind of Kubernetes itself that is a plural already.
    if word == "endpoints" {
        return word;
    }
    let stem = word.strip_suffix('y');
    match stem.filter(|stem| !stem.ends_with(['a', 'e', 'o', 'u'])) {
        Some(stem) => format!("{stem}ies"),
        None if ["s", "x", "ch", "sh"].iter().any(|end| word.ends_with(end)) => format!("{word}es"),
        None => format!("{word}s"),
    }
}

/// The digests of an object's values by their keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Values(Box<[(Box<str>, Sum)]>);

impl Values {
    /// The keys, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(key, _)| &**key)
    }

    /// The digest of the value with this key.
    pub fn get(&self, key: &str) -> Option<&Sum> {
        let found = self.0.binary_search_by(|(other, _)| (**other).cmp(key));
        found.ok().map(|at| &self.0[at].1)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(Box<str>, Sum)> for Values {
    fn from_iter<I: IntoIterator<Item = (Box<str>, Sum)>>(values: I) -> Values {
        let mut all: Vec<_> = values.into_iter().collect();
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        Values(all.into_boxed_slice())
    }
}

/// Words that many objects have in common, each once.
#[derive(Debug, Default)]
pub(super) struct Words(HashSet<Arc<str>>);

impl Words {
    /// The word as it is kept.
    pub(super) fn get(&mut self, word: &str) -> Arc<str> {
        if let Some(kept) = self.0.get(word) {
            return Arc::clone(kept);
        }
        let kept: Arc<str> = word.into();
        self.0.insert(Arc::clone(&kept));
        kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_known_by_their_plural() {
        let object = |api_version: &str, kind: &str| Object {
            api_version: api_version.into(),
            kind: kind.into(),
            namespace: None,
            name: "a".into(),
            values: Values::default(),
            server_made: Vec::new(),
        };
        for (version, kind, resource) in [
            ("v1", "ConfigMap", "configmaps"),
            ("v1", "Secret", "secrets"),
            ("v1", "Endpoints", "endpoints"),
            ("apps/v1", "Deployment", "deployments.apps"),
            (
                "networking.k8s.io/v1",
                "Ingress",
                "ingresses.networking.k8s.io",
            ),
            (
                "networking.k8s.io/v1",
                "NetworkPolicy",
                "networkpolicies.networking.k8s.io",
            ),
            (
                "storage.k8s.io/v1",
                "StorageClass",
                "storageclasses.storage.k8s.io",
            ),
            (
                "gateway.networking.k8s.io/v1",
                "Gateway",
                "gateways.gateway.networking.k8s.io",
            ),
        ] {
            assert!(object(version, kind).is_of(resource), "{kind}");
        }
        assert!(!object("v1", "Secret").is_of("configmaps"));
        assert!(!object("apps/v1", "Deployment").is_of("deployments"));
    }
}
