//! The way back in plain kubectl: as single commands for a plan, and as a script that an operator
//! can run without our tools.

use std::collections::BTreeSet;

use chaos_common::config::Contact;
use chaos_common::record::{BlastRadius, Change, ObjectRef, Plan, WorkloadRef};
use serde_json::{Value, json};

use crate::change::fields::nest;
use crate::labels::{EXPERIMENT_LABEL, RUN_LABEL};
use crate::safety::leases::lease_name;

/// The script without what it is about: `@@NAME@@` stands for a value.
const TEMPLATE: &str = include_str!("rollback_script.sh");
/// How a step hands on `--dry-run`, and nothing where that is not asked for.
const DRY_RUN: &str = "${dry_run:+\"$dry_run\"}";

/// Commands that undo changes and wait for the workloads.
pub fn undo(changes: &[Change], radius: &[BlastRadius]) -> Vec<String> {
    let back = changes.iter().filter_map(|change| match change {
        Change::Patch {
            object,
            field,
            original,
            ..
        } => Some(format!(
            "kubectl patch {}{} --type={} -p {}",
            word(&object.to_string()),
            in_namespace(object),
            kind_of_patch(object),
            word(&patch_back(field, original))
        )),
        Change::Create { object, .. } => Some(format!(
            "kubectl delete {}{} --ignore-not-found",
            word(&object.to_string()),
            in_namespace(object)
        )),
        Change::Delete { .. } => None,
    });
    back.chain(radius.iter().filter_map(|one| wait(&one.workload)))
        .collect()
}

/// How kubectl patches an object: the API server knows no strategy for custom resources.
fn kind_of_patch(object: &ObjectRef) -> &'static str {
    match object.custom_group() {
        None => "strategic",
        Some(_) => "merge",
    }
}

fn in_namespace(object: &ObjectRef) -> String {
    let namespace = object.namespace.as_deref();
    namespace.map_or_else(String::new, |namespace| format!(" -n {}", word(namespace)))
}

fn patch_back(field: &[String], original: &Value) -> String {
    let mut patch = nest(field, original);
    patch["metadata"] = json!({ "labels": { RUN_LABEL: null } });
    patch.to_string()
}

/// Waiting for a workload; only these kinds know how.
fn wait(workload: &WorkloadRef) -> Option<String> {
    let known = matches!(
        workload.kind.as_str(),
        "Deployment" | "StatefulSet" | "DaemonSet"
    );
    known.then(|| {
        format!(
            "kubectl rollout status {} -n {} --timeout=180s",
            word(&workload.to_string()),
            word(&workload.namespace)
        )
    })
}

/// A word for the shell, whatever is in it. Inside single quotes nothing has a meaning but the
/// quote itself.
fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

/// Text for a comment: what could end its line is blank.
fn comment(text: &str) -> String {
    text.replace(|c: char| c.is_control(), " ")
}

/// The whole script.
pub fn rollback(plan: &Plan, contacts: &[Contact]) -> String {
    let values = [
        ("EXPERIMENT", comment(&plan.experiment)),
        ("NAMESPACE", comment(&plan.namespace)),
        ("SERVER", comment(&plan.cluster.server)),
        ("CONTACTS", people(contacts)),
        ("QUOTED_EXPERIMENT", word(&plan.experiment)),
        ("QUOTED_NAMESPACE", word(&plan.namespace)),
        ("RUN_LABEL", RUN_LABEL.to_owned()),
        ("STEPS", steps(plan).join("\n")),
        ("WAITS", waits(&plan.blast_radius).join("\n")),
    ];
    render(TEMPLATE, &values)
}

/// Puts values into a template, in one pass: what stands in a value is never taken for a name.
fn render(template: &str, values: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (n, part) in template.split("@@").enumerate() {
        let value = values.iter().find(|(name, _)| *name == part);
        match value {
            // Every second part is a name.
            Some((_, value)) if n % 2 == 1 => text.push_str(value),
            _ => text.push_str(part),
        }
    }
    text
}

fn people(contacts: &[Contact]) -> String {
    if contacts.is_empty() {
        return "#   none is configured".to_owned();
    }
    let line = |one: &Contact| {
        let text = format!("{}: {} - {}", one.role, one.name, one.phone);
        format!("#   {}", comment(&text))
    };
    contacts.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Undoes the changes, and deletes what the run holds its targets by.
fn steps(plan: &Plan) -> Vec<String> {
    let (mut steps, mut created) = (Vec::new(), BTreeSet::new());
    for change in plan.probe_pods.iter().chain(&plan.changes) {
        match change {
            Change::Patch {
                object,
                field,
                original,
                ..
            } => steps.push(format!(
                "set_back {} {} {} {}",
                word(&object.to_string()),
                word(object.namespace.as_deref().unwrap_or_default()),
                kind_of_patch(object),
                word(&patch_back(field, original))
            )),
            Change::Create { object, .. } => {
                let namespace = object.namespace.as_deref().unwrap_or_default();
                created.insert((object.resource.as_str(), namespace));
            }
            Change::Delete { .. } => {}
        }
    }
    // By label, not by name: also what a run of an earlier plan created.
    let label = word(&format!("{EXPERIMENT_LABEL}={}", plan.experiment));
    for (resource, namespace) in created {
        steps.push(format!(
            "step kubectl delete {} -n {} -l {label} --ignore-not-found {DRY_RUN}",
            word(resource),
            word(namespace)
        ));
    }
    for one in &plan.blast_radius {
        steps.push(format!(
            "step kubectl delete lease {} -n {} --ignore-not-found {DRY_RUN}",
            word(&lease_name(&one.workload)),
            word(&one.workload.namespace)
        ));
    }
    steps
}

/// Waits for the workloads, and shows their pods.
fn waits(radius: &[BlastRadius]) -> Vec<String> {
    let workloads = radius.iter().filter_map(|one| wait(&one.workload));
    let mut waits: Vec<String> = workloads.map(|wait| format!("  step {wait}")).collect();
    let namespaces: BTreeSet<&str> = radius
        .iter()
        .map(|one| one.workload.namespace.as_str())
        .collect();
    for namespace in namespaces {
        let namespace = word(namespace);
        waits.push(format!("  step kubectl get pods -n {namespace} -o wide"));
    }
    waits.push("  :".to_owned());
    waits
}

#[cfg(test)]
mod tests;
