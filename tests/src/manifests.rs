//! The manifests of scripts/kubernetes, for the copy of the shop that a test has.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::cluster::{Cluster, kubectl_command, repository};

/// The namespace of the tools in tests.
pub const TOOLS: &str = "chaos-test-tools";

/// A copy of the manifests in which the example is for this test's shop.
#[derive(Debug)]
pub struct Manifests<'c> {
    cluster: &'c Cluster,
    folder: PathBuf,
}

impl<'c> Manifests<'c> {
    /// The copy, with `change` applied to the files of the example, which are given by name.
    pub fn copy(cluster: &'c Cluster, change: &dyn Fn(&str, String) -> String) -> Manifests<'c> {
        let folder = cluster.place.path().join("kubernetes");
        for part in ["base", "example"] {
            let from = repository().join("scripts/kubernetes").join(part);
            for entry in std::fs::read_dir(from).expect("it is there") {
                let path = entry.expect("readable").path();
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                let text = std::fs::read_to_string(&path).expect("readable");
                let text = text.replace("namespace: chaos-runbook", &format!("namespace: {TOOLS}"));
                // Of what is in no namespace, the name ends in that of the tools.
                let text = text.replace("-chaos-runbook\n", &format!("-{TOOLS}\n"));
                let text = match (part, name.as_str()) {
                    ("base", "namespace.yaml") => {
                        text.replace("name: chaos-runbook", &format!("name: {TOOLS}"))
                    }
                    ("example", _) => change(&name, of_shop(cluster, &text)),
                    _ => text,
                };
                cluster
                    .place
                    .file(&format!("kubernetes/{part}/{name}"), &text);
            }
        }
        Manifests { cluster, folder }
    }

    /// The folder of the base or of the example.
    pub fn folder(&self, part: &str) -> String {
        self.folder.join(part).display().to_string()
    }

    /// What kubectl says of the example on both of its outputs, and whether it is content.
    pub fn kubectl(&self, words: &[&str]) -> (bool, String) {
        let mut command = kubectl_command();
        command.env("KUBECONFIG", self.cluster.state().join("admin.kubeconfig"));
        let output = command.args(words).output().expect("kubectl was built");
        let said = [output.stdout, output.stderr].concat();
        (
            output.status.success(),
            String::from_utf8_lossy(&said).into_owned(),
        )
    }
}

/// With the namespaces of a test's own copy of the shop.
fn of_shop(cluster: &Cluster, text: &str) -> String {
    let (shop, monitoring) = (cluster.shop(), cluster.monitoring());
    let text = text.replace("ecommerce-production", shop);
    [
        "namespace: monitoring",
        "metadata.name: monitoring",
        "= \"monitoring\"",
    ]
    .iter()
    .fold(text, |text, words| {
        text.replace(words, &words.replace("monitoring", monitoring))
    })
}

/// One right that a Role grants.
#[derive(Clone, Debug, PartialEq)]
pub struct Right {
    group: Value,
    resource: Value,
    names: Value,
    verb: Value,
}

impl Right {
    /// Whether a tool passes without it, though it needs it: by its version, an API server asks for
    /// `get` or for `create` where commands are run in a pod; and what can't be deleted stays until its
    /// time is over.
    pub fn is_not_missed_here(&self) -> bool {
        self.verb == "delete" || (self.resource == "pods/exec" && self.verb == "create")
    }
}

impl std::fmt::Display for Right {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} {}.{} {}",
            self.verb, self.resource, self.group, self.names
        )
    }
}

/// The roles of a file, as JSON.
pub fn roles(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).expect("it is there");
    let documents = text.split("---\n").filter(|one| one.contains("kind:"));
    let read = |document: &str| serde_saphyr::from_str(document).expect("YAML");
    documents.map(read).collect()
}

/// The rights of a role, one by one.
pub fn rights(role: &Value) -> Vec<Right> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut rights = Vec::new();
    for rule in list(&role["rules"]) {
        for group in list(&rule["apiGroups"]) {
            for resource in list(&rule["resources"]) {
                for verb in list(&rule["verbs"]) {
                    rights.push(Right {
                        group: group.clone(),
                        resource: resource.clone(),
                        names: rule["resourceNames"].clone(),
                        verb,
                    });
                }
            }
        }
    }
    rights
}

/// The role with these rights and no other.
pub fn with_rights<'r>(role: &Value, rights: impl Iterator<Item = &'r Right>) -> String {
    let as_rule = |right: &Right| {
        let mut one = json!({
            "apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb],
        });
        if !right.names.is_null() {
            one["resourceNames"] = right.names.clone();
        }
        one
    };
    let mut role = role.clone();
    role["rules"] = rights.map(as_rule).collect();
    role.to_string()
}
