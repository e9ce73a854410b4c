//! Permissions as the objects that grant them: a ServiceAccount, Roles, and what binds them to it.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde_json::{Value, json};

use crate::record::Permission;

const GROUP: &str = "rbac.authorization.k8s.io";
/// The ServiceAccount that runs the tools, in the application's namespace.
const ACCOUNT: &str = "chaos-runbook";

/// `--rbac`
#[derive(clap::Args, Clone, Debug, Default)]
pub struct RbacArgs {
    /// Print ServiceAccount, Roles and bindings of what this needs, for kubectl apply, and do nothing
    /// else; the ServiceAccount is chaos-runbook, if no other is named, and is not printed where
    /// NAMESPACE/NAME names one that is there
    #[arg(
        long,
        value_name = "ACCOUNT",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = ACCOUNT
    )]
    pub rbac: Option<Account>,
}

/// Who is granted permissions: `NAME`, an account of the application's namespace that is made, or
/// `NAMESPACE/NAME`, one that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its namespace; the application's if `None`.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// A text that names no account.
#[derive(Clone, Debug, thiserror::Error)]
#[error("write NAME or NAMESPACE/NAME")]
pub struct NoAccount;

impl FromStr for Account {
    type Err = NoAccount;

    fn from_str(text: &str) -> Result<Account, NoAccount> {
        let (namespace, name) = match text.split_once('/') {
            Some((namespace, name)) => (Some(namespace), name),
            None => (None, text),
        };
        if name.is_empty() || name.contains('/') || namespace == Some("") {
            return Err(NoAccount);
        }
        Ok(Account {
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        })
    }
}

/// What a rule covers: API group, resource, and the only object, if there is one; and its verbs.
type Rules<'a> = BTreeMap<(&'a str, &'a str, Option<&'a str>), BTreeSet<&'a str>>;

/// The account, where it is not there yet, and Roles of this name that grant it these permissions and
/// nothing more; for what is in no namespace a ClusterRole. `application` is the application's
/// namespace. As YAML that `kubectl apply -f -` takes.
///
/// # Panics
/// Never: these objects are plain values.
pub fn manifest(
    role: &str,
    (account, application): (&Account, &str),
    permissions: &[Permission],
) -> String {
    let mut objects = Vec::new();
    if account.namespace.is_none() {
        objects.push(json!({
            "apiVersion": "v1", "kind": "ServiceAccount",
            "metadata": { "name": account.name, "namespace": application },
        }));
    }
    let home = account.namespace.as_deref().unwrap_or(application);
    for (namespace, rules) in by_namespace(permissions) {
        objects.extend(granted((role, namespace), &rules, (home, &account.name)));
    }
    let yaml = |object: &Value| serde_saphyr::to_string(object).expect("an object is YAML");
    objects.iter().map(yaml).collect::<Vec<_>>().join("---\n")
}

fn by_namespace(permissions: &[Permission]) -> BTreeMap<&str, Rules<'_>> {
    let mut all: BTreeMap<&str, Rules<'_>> = BTreeMap::new();
    for one in permissions {
        let object = (
            one.group.as_str(),
            one.resource.as_str(),
            one.name.as_deref(),
        );
        let rules = all.entry(&one.namespace).or_default();
        rules.entry(object).or_default().insert(&one.verb);
    }
    all
}

/// A Role, or a ClusterRole without a namespace, and what binds it to the account.
fn granted(
    (role, namespace): (&str, &str),
    rules: &Rules<'_>,
    (home, account): (&str, &str),
) -> [Value; 2] {
    let kind = if namespace.is_empty() {
        "ClusterRole"
    } else {
        "Role"
    };
    // What is in no namespace is everybody's: the name says whose it is.
    let (name, metadata) = if namespace.is_empty() {
        let name = format!("{role}-{home}");
        (name.clone(), json!({ "name": name }))
    } else {
        let metadata = json!({ "name": role, "namespace": namespace });
        (role.to_owned(), metadata)
    };
    let api = format!("{GROUP}/v1");
    let subject = json!({
        "kind": "ServiceAccount", "name": account, "namespace": home,
    });
    [
        json!({
            "apiVersion": api, "kind": kind, "metadata": metadata,
            "rules": rules.iter().map(rule).collect::<Vec<_>>(),
        }),
        json!({
            "apiVersion": api, "kind": format!("{kind}Binding"), "metadata": metadata,
            "roleRef": { "apiGroup": GROUP, "kind": kind, "name": name },
            "subjects": [subject],
        }),
    ]
}

fn rule(((group, resource, name), verbs): (&(&str, &str, Option<&str>), &BTreeSet<&str>)) -> Value {
    let mut rule = json!({ "apiGroups": [group], "resources": [resource], "verbs": verbs });
    if let Some(name) = name {
        rule["resourceNames"] = json!([name]);
    }
    rule
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::permissions::{need, need_one};

    #[test]
    fn what_is_needed_is_granted_and_no_more_to_the_account_that_is_made() {
        let needed = [
            need_one("prod", "get", "apps", "deployments", "shop"),
            need_one("prod", "patch", "apps", "deployments", "shop"),
            need("prod", "list", "", "pods"),
            need("other", "list", "", "pods"),
            need_one("", "get", "", "namespaces", "kube-system"),
        ];
        let printed = |account: &str| -> Vec<Value> {
            let account = account.parse().expect("an account");
            let text = manifest("chaos-scale-down", (&account, "prod"), &needed);
            text.split("---\n")
                .map(|yaml| serde_saphyr::from_str(yaml).expect("YAML"))
                .collect()
        };
        let documents = printed(ACCOUNT);
        let words = |one: &Value| {
            let metadata = &one["metadata"];
            let name = metadata["name"].as_str().unwrap_or_default().to_owned();
            let namespace = metadata["namespace"].as_str().unwrap_or_default();
            format!(
                "{} {namespace}/{name}",
                one["kind"].as_str().unwrap_or_default()
            )
        };
        let names: Vec<String> = documents.iter().map(words).collect();
        let expected = [
            "ServiceAccount prod/chaos-runbook",
            "ClusterRole /chaos-scale-down-prod",
            "ClusterRoleBinding /chaos-scale-down-prod",
            "Role other/chaos-scale-down",
            "RoleBinding other/chaos-scale-down",
            "Role prod/chaos-scale-down",
            "RoleBinding prod/chaos-scale-down",
        ];
        assert_eq!(names, expected);
        let rules = json!([
            { "apiGroups": [""], "resources": ["pods"], "verbs": ["list"] },
            { "apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"],
              "resourceNames": ["shop"] },
        ]);
        assert_eq!(documents[5]["rules"], rules);
        let bound = &documents[4];
        assert_eq!(bound["roleRef"]["kind"], "Role");
        assert_eq!(
            bound["subjects"][0]["namespace"], "prod",
            "the account's own"
        );
        let elsewhere = printed("tools/chaos");
        assert_eq!(words(&elsewhere[0]), "ClusterRole /chaos-scale-down-tools");
        assert_eq!(elsewhere[3]["subjects"][0]["namespace"], "tools");
        for wrong in ["", "/", "a/", "/b", "a/b/c"] {
            assert!(wrong.parse::<Account>().is_err(), "{wrong}");
        }
    }
}
