//! Other addresses and contacts for messages about some namespaces or clusters.

use std::collections::BTreeMap;

use chaos_common::config::Contact;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::template::About;

/// `[[notify.environment]]`: staging has other readers than production.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Environment {
    /// Messages about these namespaces; about any if left out.
    #[serde(default)]
    pub(crate) namespaces: Vec<String>,
    /// Messages about these clusters, by their contexts' names; about any if left out.
    #[serde(default)]
    pub(crate) clusters: Vec<String>,
    /// Addresses instead of a channel's own, by the channel's name: of mail, addresses; of Slack
    /// with a token, a conversation. A channel that is left out keeps its own.
    #[serde(default)]
    pub(crate) to: BTreeMap<String, Vec<String>>,
    /// People to call instead of those of `[[contact]]`.
    #[serde(default)]
    pub(crate) contacts: Vec<Contact>,
}

impl Environment {
    /// Whether a message is about it. One that names neither namespace nor cluster is about none.
    pub(crate) fn fits(&self, about: &About) -> bool {
        let fits = |names: &[String], name: &String| names.is_empty() || names.contains(name);
        let says_which = !self.namespaces.is_empty() || !self.clusters.is_empty();
        says_which
            && fits(&self.namespaces, &about.namespace)
            && fits(&self.clusters, &about.cluster)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(text: &str, namespace: &str, cluster: &str) -> bool {
        let environment: Environment = toml::from_str(text).expect("good");
        environment.fits(&About {
            namespace: namespace.into(),
            cluster: cluster.into(),
            ..About::default()
        })
    }

    #[test]
    fn namespace_and_cluster_must_fit_where_they_are_named() {
        let namespace = "namespaces = [\"shop-staging\"]";
        assert!(fits(namespace, "shop-staging", "any"));
        assert!(!fits(namespace, "shop", "any"));
        let both = "namespaces = [\"shop\"]\nclusters = [\"staging\"]";
        assert!(fits(both, "shop", "staging"));
        assert!(!fits(both, "shop", "production"));
        assert!(!fits(both, "other", "staging"));
        assert!(!fits("", "shop", "staging"));
    }
}
