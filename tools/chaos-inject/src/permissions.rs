//! The permissions that fault, undo and observation need, derived from what the fault changes.

use std::collections::BTreeSet;

pub use chaos_common::cluster::permissions::{ask, need, need_one};
use chaos_common::record::{Change, Permission};

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

#[cfg(test)]
mod tests {
    use chaos_common::record::ObjectRef;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_patch_needs_its_object_and_no_other_and_each_right_stands_once() {
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
        let of = |resource: &str| -> Vec<(&str, Option<&str>)> {
            let found = needed.iter().filter(|one| one.resource == resource);
            found
                .map(|one| (one.verb.as_str(), one.name.as_deref()))
                .collect()
        };
        let shop = Some("shop");
        assert_eq!(of("deployments"), [("get", shop), ("patch", shop)]);
        assert_eq!(of("namespaces"), [("get", Some("kube-system"))]);
    }
}
