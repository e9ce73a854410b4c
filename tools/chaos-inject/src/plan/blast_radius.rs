//! What a fault that takes pods away leaves of their workloads and disruption budgets.

use std::collections::{BTreeMap, BTreeSet};

use chaos_common::cluster::custom::Family;
use chaos_common::cluster::is_ready;
use chaos_common::record::{BlastRadius, Target, WorkloadRef};
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use crate::plan::limits::Budget;

/// The ready pods of a namespace, counted.
#[derive(Clone, Debug, Default)]
pub struct PodCounts {
    /// All of them.
    pub ready: usize,
    by_workload: BTreeMap<WorkloadRef, usize>,
}

impl PodCounts {
    /// Counts a pod, if it is ready.
    pub fn count(&mut self, pod: &Pod, family: &Family) {
        if is_ready(pod) {
            self.ready += 1;
            if let Some(workload) = family.workload_of(pod) {
                *self.by_workload.entry(workload).or_default() += 1;
            }
        }
    }
}

/// What is left of each workload that is hit; `chosen` are the pods that are.
pub fn of(
    pod_counts: &PodCounts,
    chosen: &[&Pod],
    targets: &[Target],
    services: &[Service],
) -> Vec<BlastRadius> {
    let workloads: BTreeSet<&WorkloadRef> = targets.iter().map(|target| &target.owner).collect();
    let of = |workload: &WorkloadRef| {
        let ready = pod_counts.by_workload.get(workload).copied().unwrap_or(0);
        let hit: Vec<&Target> = targets
            .iter()
            .filter(|target| &target.owner == workload)
            .collect();
        let labels = chosen.iter().filter(|pod| {
            hit.iter()
                .any(|target| pod.metadata.uid.as_ref() == Some(&target.uid))
        });
        let labels: Vec<_> = labels
            .filter_map(|pod| pod.metadata.labels.as_ref())
            .collect();
        let selects = |service: &&Service| {
            let selector = service
                .spec
                .as_ref()
                .and_then(|spec| spec.selector.as_ref())
                .filter(|selector| !selector.is_empty());
            selector.is_some_and(|selector| {
                labels.iter().any(|have| {
                    selector
                        .iter()
                        .all(|(key, value)| have.get(key) == Some(value))
                })
            })
        };
        let services = services
            .iter()
            .filter(selects)
            .filter_map(|service| service.metadata.name.clone())
            .collect();
        BlastRadius {
            workload: workload.clone(),
            ready,
            hit: hit.len(),
            left: ready.saturating_sub(hit.len()),
            services,
        }
    };
    workloads.into_iter().map(of).collect()
}

/// The disruption budgets that cover pods to be hit.
pub fn budgets(budgets: &[PodDisruptionBudget], chosen: &[&Pod]) -> Vec<Budget> {
    let of = |budget: &PodDisruptionBudget| {
        let selector = budget
            .spec
            .as_ref()
            .and_then(|spec| spec.selector.clone())?;
        let hit = chosen.iter().filter(|pod| matches(&selector, pod)).count();
        (hit > 0).then(|| Budget {
            name: budget.metadata.name.clone().unwrap_or_default(),
            allowed: budget
                .status
                .as_ref()
                .map_or(0, |status| status.disruptions_allowed),
            hit: i32::try_from(hit).unwrap_or(i32::MAX),
        })
    };
    budgets.iter().filter_map(of).collect()
}

/// Whether a label selector selects a pod. An operator that is not known selects it: then a budget
/// counts rather than not.
fn matches(selector: &LabelSelector, pod: &Pod) -> bool {
    selects(
        selector,
        pod.metadata.labels.as_ref().unwrap_or(&BTreeMap::new()),
    )
}

/// The same for labels as they stand in a template.
pub fn selects_labels(selector: &LabelSelector, labels: &Value) -> bool {
    selects(
        selector,
        &serde_json::from_value(labels.clone()).unwrap_or_default(),
    )
}

fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let by_labels = selector
        .match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    by_labels
        && selector.match_expressions.iter().flatten().all(|term| {
            let value = labels.get(&term.key);
            let listed =
                value.is_some_and(|value| term.values.iter().flatten().any(|one| one == value));
            match term.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => true,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, workload: &str, ready: bool) -> Pod {
        serde_saphyr::from_str(&format!(
            "{{metadata: {{name: {name}, namespace: prod, uid: u-{name}, labels: {{app: {workload}, pod-template-hash: h}},
               ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: {workload}-h, uid: r-{workload}, controller: true}}]}},
               status: {{conditions: [{{type: Ready, status: '{}'}}]}}}}",
            if ready { "True" } else { "False" }
        ))
        .expect("a pod")
    }

    #[test]
    fn what_is_left_of_a_workload_are_its_ready_pods_less_those_hit() {
        let pods = [
            pod("a", "web", true),
            pod("b", "web", true),
            pod("c", "web", false),
            pod("d", "api", true),
        ];
        let mut pod_counts = PodCounts::default();
        for pod in &pods {
            pod_counts.count(pod, &Family::default());
        }
        assert_eq!(pod_counts.ready, 3);
        let owner = Family::default().workload_of(&pods[0]).expect("it has one");
        let target = Target {
            kind: "Pod".into(),
            namespace: "prod".into(),
            name: "a".into(),
            uid: "u-a".into(),
            owner,
            node: None,
        };
        let service = |name: &str, app: &str| {
            serde_saphyr::from_str(&format!(
                "{{metadata: {{name: {name}}}, spec: {{selector: {{app: {app}}}}}}}"
            ))
            .expect("one")
        };
        let radius = &of(
            &pod_counts,
            &[&pods[0]],
            &[target],
            &[service("s", "web"), service("t", "api")],
        )[0];
        assert_eq!((radius.ready, radius.hit, radius.left), (2, 1, 1));
        assert_eq!(radius.services, ["s"]);
    }

    #[test]
    fn selectors_of_budgets_are_understood() {
        let pod: Pod =
            serde_saphyr::from_str("{metadata: {labels: {app: a, tier: web}}}").expect("a pod");
        let selects =
            |yaml: &str| matches(&serde_saphyr::from_str(yaml).expect("a selector"), &pod);
        assert!(selects("{matchLabels: {app: a}}"));
        assert!(!selects("{matchLabels: {app: b}}"));
        assert!(selects(
            "{matchExpressions: [{key: tier, operator: In, values: [web, db]}]}"
        ));
        assert!(!selects(
            "{matchExpressions: [{key: tier, operator: NotIn, values: [web]}]}"
        ));
        assert!(!selects(
            "{matchExpressions: [{key: tier, operator: DoesNotExist}]}"
        ));
    }
}
