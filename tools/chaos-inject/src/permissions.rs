//! The permissions that fault, undo and observation need: derived from what the fault changes, and
//! printed as the Role that grants them.

use std::collections::{BTreeMap, BTreeSet};

pub use chaos_common::cluster::permissions::{ask, need, need_one};
use chaos_common::record::{Change, Permission};
use serde_json::{Value, json};

/// What making and taking back these changes needs.
pub fn of_changes(changes: &[Change]) -> Vec<Permission> {
    let mut needed = Vec::new();
    for change in changes {
        let object = change.object();
        let group = object
            .api_version
            .split_once('/')
            .map_or("", |(group, _)| group);
        let namespace = object.namespace.as_deref().unwrap_or_default();
        let one = |verb: &str| need_one(namespace, verb, group, &object.resource, &object.name);
        match change {
            Change::Patch { .. } => needed.extend([one("get"), one("patch")]),
            // The right to make something can't be tied to a name.
            Change::Create { .. } => {
                needed.extend([
                    need(namespace, "create", group, &object.resource),
                    one("get"),
                    one("delete"),
                ]);
            }
            Change::Delete { .. } => {
                needed.push(need(namespace, "delete", group, &object.resource));
            }
        }
    }
    needed
}

/// What the engine needs for any experiment: its Leases, in the namespaces that hold targets.
pub fn of_engine(leases: &[(String, String)]) -> Vec<Permission> {
    const GROUP: &str = "coordination.k8s.io";
    let namespaces: BTreeSet<&String> = leases.iter().map(|(namespace, _)| namespace).collect();
    let any = namespaces.into_iter().flat_map(|namespace| {
        ["list", "watch", "create"]
            .into_iter()
            .map(move |verb| need(namespace, verb, GROUP, "leases"))
    });
    let ours = leases.iter().flat_map(|(namespace, name)| {
        ["get", "patch", "delete"]
            .into_iter()
            .map(move |verb| need_one(namespace, verb, GROUP, "leases", name))
    });
    any.chain(ours)
        .chain([need_one("", "get", "", "namespaces", "kube-system")])
        .collect()
}

/// Each once, in order.
pub fn tidy(mut permissions: Vec<Permission>) -> Vec<Permission> {
    let key = |p: &Permission| {
        (
            p.namespace.clone(),
            p.group.clone(),
            p.resource.clone(),
            p.name.clone(),
            p.verb.clone(),
        )
    };
    permissions.sort_by_key(key);
    permissions.dedup_by_key(|p| key(p));
    permissions
}

/// What a rule covers: API group, resource, and the only object, if there is one; and its verbs.
type Rules<'a> = BTreeMap<(&'a str, &'a str, Option<&'a str>), BTreeSet<&'a str>>;

/// The Roles, and the ClusterRole for what is in no namespace, that grant these permissions and
/// nothing more, as one YAML document each.
pub fn roles(experiment: &str, permissions: &[Permission]) -> String {
    let mut by_namespace: BTreeMap<&str, Rules<'_>> = BTreeMap::new();
    for p in permissions {
        let rule = (p.group.as_str(), p.resource.as_str(), p.name.as_deref());
        by_namespace
            .entry(&p.namespace)
            .or_default()
            .entry(rule)
            .or_default()
            .insert(&p.verb);
    }
    let name = format!("chaos-{experiment}");
    let role = |(namespace, rules): (&str, Rules<'_>)| {
        let rules: Vec<Value> = rules
            .into_iter()
            .map(|((group, resource, name), verbs)| {
                let mut rule =
                    json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs });
                if let Some(name) = name {
                    rule["resourceNames"] = json!([name]);
                }
                rule
            })
            .collect();
        let mut role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": { "name": name }, "rules": rules,
        });
        if !namespace.is_empty() {
            role["kind"] = "Role".into();
            role["metadata"]["namespace"] = namespace.into();
        }
        serde_saphyr::to_string(&role).expect("a role is YAML")
    };
    by_namespace
        .into_iter()
        .map(role)
        .collect::<Vec<_>>()
        .join("---\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::ObjectRef;

    #[test]
    fn a_role_grants_what_the_changes_need_and_no_more() {
        let object = ObjectRef {
            api_version: "apps/v1".into(),
            kind: "Deployment".into(),
            resource: "deployments".into(),
            namespace: Some("prod".into()),
            name: "shop".into(),
            uid: Some("u".into()),
        };
        let set = Change::Patch {
            object,
            field: vec![],
            original: json!(1),
            faulted: json!(0),
        };
        let leases = [("prod".to_owned(), "chaos-deployment-shop".to_owned())];
        let needed = tidy([of_changes(&[set.clone(), set]), of_engine(&leases)].concat());
        let text = roles("storage-failure", &needed);
        let documents: Vec<Value> = text
            .split("---\n")
            .map(|yaml| serde_saphyr::from_str(yaml).expect("YAML"))
            .collect();
        assert_eq!(documents[0]["kind"], "ClusterRole");
        assert_eq!(
            documents[0]["rules"][0]["resourceNames"],
            json!(["kube-system"])
        );
        let rules = documents[1]["rules"].as_array().expect("rules");
        let of = |resource: &str| {
            rules
                .iter()
                .find(|r| r["resources"][0] == resource)
                .expect("a rule")
        };
        assert_eq!(of("deployments")["verbs"], json!(["get", "patch"]));
        assert_eq!(of("deployments")["resourceNames"], json!(["shop"]));
        assert_eq!(documents[1]["metadata"]["namespace"], "prod");
    }
}
