//! The way back in plain kubectl: as single commands for a plan, and as a script that an operator
//! can run without our tools.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use chaos_common::config::Contact;
use chaos_common::record::{BlastRadius, Change, ObjectRef, Plan, WorkloadRef};
use serde_json::{Value, json};

use crate::change::fields::nest;
use crate::labels::RUN_LABEL;
use crate::safety::leases::lease_name;

/// Label of the objects that an experiment makes: its name.
pub const EXPERIMENT_LABEL: &str = "chaos-runbook/experiment";

/// Commands that take changes back and wait for the workloads.
pub fn undo(changes: &[Change], radius: &[BlastRadius]) -> Vec<String> {
    let back = changes.iter().filter_map(|change| match change {
        Change::Patch {
            object,
            field,
            original,
            ..
        } => Some(format!(
            "kubectl patch {object}{} --type=strategic -p {}",
            in_namespace(object),
            quoted(&patch_back(field, original))
        )),
        Change::Create { object, .. } => Some(format!(
            "kubectl delete {object}{} --ignore-not-found",
            in_namespace(object)
        )),
        Change::Delete { .. } => None,
    });
    back.chain(radius.iter().filter_map(|one| wait(&one.workload)))
        .collect()
}

fn in_namespace(object: &ObjectRef) -> String {
    object
        .namespace
        .as_ref()
        .map(|namespace| format!(" -n {namespace}"))
        .unwrap_or_default()
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
            "kubectl rollout status {workload} -n {} --timeout=180s",
            workload.namespace
        )
    })
}

/// A word for the shell, whatever is in it.
fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// The whole script.
pub fn rollback(plan: &Plan, contacts: &[Contact]) -> String {
    let mut steps = String::new();
    let mut made = BTreeSet::new();
    for change in &plan.changes {
        match change {
            Change::Patch {
                object,
                field,
                original,
                ..
            } => {
                let _ = writeln!(
                    steps,
                    "set_back {} {} {}",
                    object,
                    quoted(object.namespace.as_deref().unwrap_or_default()),
                    quoted(&patch_back(field, original))
                );
            }
            Change::Create { object, .. } => {
                made.insert((
                    object.resource.clone(),
                    object.namespace.clone().unwrap_or_default(),
                ));
            }
            Change::Delete { .. } => {}
        }
    }
    for (resource, namespace) in made {
        let _ = writeln!(
            steps,
            "step kubectl delete {resource} -n {namespace} -l {EXPERIMENT_LABEL}={} --ignore-not-found $dry_run",
            plan.experiment
        );
    }
    let mut waits = String::new();
    let namespaces: BTreeSet<&String> = plan
        .blast_radius
        .iter()
        .map(|one| &one.workload.namespace)
        .collect();
    for one in &plan.blast_radius {
        if let Some(command) = wait(&one.workload) {
            let _ = writeln!(waits, "  step {command}");
        }
        let (name, namespace) = (lease_name(&one.workload), &one.workload.namespace);
        let _ = writeln!(
            steps,
            "step kubectl delete lease {name} -n {namespace} --ignore-not-found $dry_run"
        );
    }
    for namespace in namespaces {
        let _ = writeln!(waits, "  step kubectl get pods -n {namespace} -o wide");
    }
    let people: String = contacts.iter().fold(String::new(), |text, one| {
        text + &format!("#   {}: {} - {}\n", one.role, one.name, one.phone)
    });
    let people = if people.is_empty() {
        "#   none is configured\n".to_owned()
    } else {
        people
    };
    format!(
        r#"#!/bin/sh
# Rollback of the experiment {experiment} in namespace {namespace} of {server}.
# It needs kubectl and nothing else. What no experiment has touched is left as it is.
#
# usage: $0 [--dry-run] [--emergency]
#   --dry-run    let the API server check every step, and change nothing
#   --emergency  ask nothing, go on past errors, and list them at the end
#
# Contacts:
{people}set -u
dry_run= emergency= failed=
for argument in "$@"; do
  case $argument in
    --dry-run) dry_run=--dry-run=server ;;
    --emergency) emergency=yes ;;
    *) sed -n '2,/^set -u/s/^# \{{0,1\}}//p' "$0" >&2; exit 2 ;;
  esac
done
if [ -z "$dry_run$emergency" ] && [ -t 0 ]; then
  printf 'Take back {experiment} in namespace {namespace}? Type yes to go on: '
  read -r answer
  [ "$answer" = yes ] || {{ echo "nothing was changed"; exit 4; }}
fi
step() {{
  echo "+ $*"
  "$@" && return
  echo "FAILED: $*" >&2
  [ -n "$emergency" ] || exit 5
  failed="$failed
  $*"
}}
# set_back OBJECT NAMESPACE PATCH: only what carries the label of a run is an experiment's doing.
set_back() {{
  run=$(kubectl get "$1" ${{2:+-n "$2"}} -o 'jsonpath={{.metadata.labels.{label}}}') || {{
    step kubectl get "$1" ${{2:+-n "$2"}}
    return
  }}
  if [ -z "$run" ]; then
    echo "$1 carries no run's label: left as it is"
    return
  fi
  step kubectl patch "$1" ${{2:+-n "$2"}} --type=strategic -p "$3" $dry_run
}}
echo "Starting rollback procedure..."
{steps}if [ -z "$dry_run" ]; then
{waits}  :
fi
if [ -n "$failed" ]; then
  echo "NOT RESTORED, these steps failed:$failed" >&2
  exit 5
fi
echo "Rollback procedure completed"
"#,
        experiment = plan.experiment,
        namespace = plan.namespace,
        server = plan.cluster.server,
        label = RUN_LABEL,
    )
}
