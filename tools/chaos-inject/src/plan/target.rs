//! Which pods an experiment hits.

use std::collections::BTreeMap;

use chaos_common::cluster::custom::Family;
use chaos_common::cluster::is_ready;
use chaos_common::exit::Failure;
use chaos_common::record::{PodSource, WorkloadNameError, WorkloadRef};
use k8s_openapi::api::core::v1::Pod;
use serde::{Deserialize, Serialize};

/// How pods are selected. Without any of it the configuration's workloads are taken.
#[derive(clap::Args, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[command(next_help_heading = "Selection")]
pub struct Selection {
    /// Take this pod (repeatable)
    #[arg(long = "pod", value_name = "NAME", conflicts_with_all = ["selector", "workloads", "count", "share"])]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<String>,
    /// Take from the pods that match this label selector, for example app=backend
    #[arg(short = 'l', long, value_name = "LABELS", conflicts_with = "workloads")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Take from this workload, for example deployment/shop (repeatable)
    #[arg(long = "workload", value_name = "KIND/NAME", value_parser = canonical)]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<String>,
    /// Take so many pods of each workload
    #[arg(long, value_name = "N", conflicts_with = "share", value_parser = clap::value_parser!(u32).range(1..))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
    /// Take this share of each workload's ready pods, rounded down, but one at least
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share: Option<u8>,
}

impl Selection {
    /// The workload that was named, for a fault that takes one as a whole.
    ///
    /// # Errors
    /// Something else or more was selected.
    pub fn one_workload(&self) -> Result<Option<String>, Failure> {
        if !self.pods.is_empty()
            || self.selector.is_some()
            || self.count.is_some()
            || self.workloads.len() > 1
        {
            return Err(
                Failure::usage("this experiment takes one workload as a whole")
                    .hint("give it one --workload"),
            );
        }
        Ok(self.workloads.first().cloned())
    }

    /// Whether a pod is, or belongs to, what was named. Who is found by labels is asked of the API
    /// server.
    pub fn names(&self, pod: &Pod, family: &Family) -> bool {
        let named = pod
            .metadata
            .name
            .as_ref()
            .is_some_and(|name| self.pods.contains(name));
        let owned = || {
            family
                .workload_of(pod)
                .is_some_and(|owner| self.workloads.iter().any(|name| same(&owner, name)))
        };
        named || (self.pods.is_empty() && owned())
    }
}

/// What was named and can't be hit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// A pod that is not there, or not ready.
    #[error("there is no ready pod {0}")]
    Pod(String),
    /// A workload without a ready pod.
    #[error("{0} has no ready pod")]
    Workload(String),
}

/// The pods that a selection takes out of `candidates`, which match its label selector, in the
/// order of names. A family says whose they are.
///
/// # Errors
/// A pod or a workload that was named is not there or not ready.
pub fn select<'a>(
    selection: &Selection,
    default_count: usize,
    (candidates, family): (&'a [Pod], &Family),
) -> Result<Vec<&'a Pod>, SelectError> {
    let mut ready: Vec<&Pod> = candidates.iter().filter(|pod| is_ready(pod)).collect();
    ready.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
    if !selection.pods.is_empty() {
        let find = |name: &String| {
            ready
                .iter()
                .copied()
                .find(|pod| pod.metadata.name.as_ref() == Some(name))
                .ok_or_else(|| SelectError::Pod(name.clone()))
        };
        let mut named: Vec<&Pod> = selection.pods.iter().map(find).collect::<Result<_, _>>()?;
        named.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        named.dedup_by(|a, b| a.metadata.uid == b.metadata.uid);
        return Ok(named);
    }
    let mut by_workload: BTreeMap<Option<WorkloadRef>, Vec<&Pod>> = BTreeMap::new();
    for pod in ready {
        let workload = family.workload_of(pod);
        by_workload.entry(workload).or_default().push(pod);
    }
    if !selection.workloads.is_empty() {
        for name in &selection.workloads {
            if !by_workload
                .keys()
                .flatten()
                .any(|workload| same(workload, name))
            {
                return Err(SelectError::Workload(name.clone()));
            }
        }
        by_workload.retain(|workload, _| {
            workload
                .as_ref()
                .is_some_and(|w| selection.workloads.iter().any(|name| same(w, name)))
        });
    }
    let take = |pods: &Vec<&'a Pod>| match selection.share {
        Some(share) => (pods.len() * usize::from(share) / 100).max(1),
        None => selection
            .count
            .map_or(default_count, |count| count as usize),
    };
    Ok(by_workload
        .into_values()
        .flat_map(|pods| {
            let n = take(&pods);
            pods.into_iter().take(n)
        })
        .collect())
}

/// A workload in the words that the tools use, however it was typed: `deploy/shop` is
/// `deployment/shop`. A ReplicaSet may stand for itself, as only pods are taken of it.
///
/// # Errors
/// It names none.
pub fn canonical(text: &str) -> Result<String, WorkloadNameError> {
    let named = text.parse::<PodSource>();
    if let Ok(PodSource::Labels(_)) = named {
        return Err(WorkloadNameError::Kind("selector=".to_owned()));
    }
    if let (Err(WorkloadNameError::Kind(kind)), Some((_, name))) = (&named, text.split_once('/')) {
        let kind = kind.to_lowercase();
        let kind = kind.strip_suffix(".apps").unwrap_or(&kind);
        if matches!(kind, "replicaset" | "replicasets" | "rs") && !name.is_empty() {
            return Ok(format!("replicaset/{name}"));
        }
    }
    named.map(|name| name.to_string())
}

fn same(workload: &WorkloadRef, name: &str) -> bool {
    canonical(name).is_ok_and(|name| name == workload.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(name: &str, workload: &str, ready: bool) -> Pod {
        serde_saphyr::from_str(&format!(
            "{{metadata: {{name: {name}, namespace: prod, uid: u-{name}, labels: {{pod-template-hash: h}},
               ownerReferences: [{{apiVersion: apps/v1, kind: ReplicaSet, name: {workload}-h, uid: r-{workload}, controller: true}}]}},
               status: {{phase: Running, conditions: [{{type: Ready, status: '{}'}}]}}}}",
            if ready { "True" } else { "False" }
        ))
        .expect("a pod")
    }

    fn names(selection: &Selection, pods: &[Pod]) -> Result<Vec<String>, SelectError> {
        select(selection, 1, (pods, &Family::default())).map(|pods| {
            pods.into_iter()
                .filter_map(|pod| pod.metadata.name.clone())
                .collect()
        })
    }

    fn pods() -> Vec<Pod> {
        vec![
            pod("b2", "b", true),
            pod("a1", "a", true),
            pod("b1", "b", false),
            pod("b3", "b", true),
            pod("b4", "b", true),
        ]
    }

    #[test]
    fn by_count_share_and_name_from_ready_pods_only() {
        let by = |count, share| Selection {
            count,
            share,
            ..Selection::default()
        };
        assert_eq!(
            names(&by(None, None), &pods()),
            Ok(vec!["a1".into(), "b2".into()])
        );
        assert_eq!(
            names(&by(Some(2), None), &pods()),
            Ok(vec!["a1".into(), "b2".into(), "b3".into()])
        );
        assert_eq!(
            names(&by(None, Some(67)), &pods()),
            Ok(vec!["a1".into(), "b2".into(), "b3".into()])
        );
        let named = Selection {
            pods: vec!["b3".into(), "b3".into()],
            ..Selection::default()
        };
        assert_eq!(names(&named, &pods()), Ok(vec!["b3".into()]));
    }

    #[test]
    fn a_pod_that_is_not_ready_and_a_workload_without_pods_are_errors() {
        let named = Selection {
            pods: vec!["b1".into()],
            ..Selection::default()
        };
        assert!(names(&named, &pods()).is_err());
        let workload = Selection {
            workloads: vec!["deployment/c".into()],
            ..Selection::default()
        };
        assert_eq!(
            names(&workload, &pods()),
            Err(SelectError::Workload("deployment/c".to_owned()))
        );
        for named in ["deployment/b", "deploy/b", "deployments.apps/b", "b"] {
            let workload = Selection {
                workloads: vec![named.into()],
                ..Selection::default()
            };
            let found = names(&workload, &pods());
            assert_eq!(found, Ok(vec!["b2".into()]), "{named}");
        }
    }

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        selection: Selection,
    }

    #[test]
    fn a_workload_is_typed_in_any_of_kubectls_ways_and_anything_else_is_refused() {
        let read = |text: &str| {
            let line = <Line as clap::Parser>::try_parse_from(["x", "--workload", text]);
            line.map(|line| line.selection.workloads)
        };
        let read_well = |text: &str| read(text).expect(text);
        assert_eq!(read_well("deploy/shop"), ["deployment/shop"]);
        assert_eq!(read_well("sts/db"), ["statefulset/db"]);
        assert_eq!(read_well("shop"), ["deployment/shop"]);
        assert_eq!(read_well("rs/bare"), ["replicaset/bare"]);
        let rollout = "rollout.argoproj.io/shop";
        assert_eq!(read_well(rollout), [rollout]);
        assert!(read("selector=app=a").is_err());
        let refused = read("pod/x").expect_err("no workload").to_string();
        assert!(
            refused.contains("name a deployment, statefulset or daemonset"),
            "{refused}"
        );
    }
}
