//! What runs the monitoring systems: workloads of any kind, or pods by their labels.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::join_all;
use futures::join;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};

use super::super::controllers;
use super::super::workloads::{self, Controller};
use chaos_common::cluster::{Cluster, ReadError};
use chaos_common::config::{Monitoring, MonitoringSystem};
use chaos_common::record::{Check, PodSource, WorkloadKind, WorkloadState};

/// What could be read of those that the configuration names.
pub(super) struct Runners {
    /// All workloads of each kind that is named.
    by_kind: BTreeMap<WorkloadKind, Result<Vec<Controller>, ReadError>>,
    /// How many pods are ready, of those that are named in another way.
    ready: BTreeMap<PodSource, Result<usize, ReadError>>,
}

/// Reads them.
pub(super) async fn read(cluster: &Cluster, monitoring: &Monitoring) -> Runners {
    let namespace = monitoring.namespace.as_str();
    let named = monitoring.systems();
    let named: BTreeSet<&PodSource> = named
        .filter_map(|(_, system)| system.workload.as_ref())
        .collect();
    let kinds = named.iter().filter_map(|pods| Some(pods.workload()?.kind));
    let kinds: BTreeSet<WorkloadKind> = kinds.collect();
    let others = named.iter().filter(|pods| pods.workload().is_none());
    let of_kind = |kind| async move { (kind, of_kind(cluster, namespace, kind).await) };
    let count = |pods: &PodSource| {
        let pods = pods.clone();
        async move {
            let ready = cluster.ready_pods(namespace, &pods).await;
            (pods, ready.map(|ready| ready.len()))
        }
    };
    let (by_kind, ready) = join!(
        join_all(kinds.into_iter().map(of_kind)),
        join_all(others.map(|pods| count(pods))),
    );
    Runners {
        by_kind: by_kind.into_iter().collect(),
        ready: ready.into_iter().collect(),
    }
}

async fn of_kind(
    cluster: &Cluster,
    namespace: &str,
    kind: WorkloadKind,
) -> Result<Vec<Controller>, ReadError> {
    match kind {
        WorkloadKind::Deployment => controllers::<Deployment>(cluster, namespace).await,
        WorkloadKind::StatefulSet => controllers::<StatefulSet>(cluster, namespace).await,
        WorkloadKind::DaemonSet => controllers::<DaemonSet>(cluster, namespace).await,
    }
}

impl Runners {
    /// Has what runs a system the pods that it wants? Nothing is said where nobody says what does.
    pub(super) fn judge(
        &self,
        id: &str,
        system: &MonitoringSystem,
    ) -> (Option<Check>, Option<WorkloadState>) {
        let Some(pods) = &system.workload else {
            return (None, None);
        };
        let object = pods.to_string();
        let Some(name) = pods.workload() else {
            let check = match &self.ready[pods] {
                Ok(0) => Check::fail(id, object, "none of its pods is ready"),
                Ok(ready) => Check::pass(id, object, format!("{ready} of its pods are ready")),
                Err(error) => error.check(id, object),
            };
            return (Some(check), None);
        };
        match &self.by_kind[&name.kind] {
            Ok(found) => {
                let (check, state) = workloads::judge_named(found, (id, name));
                (Some(check), state)
            }
            Err(error) => (Some(error.check(id, object)), None),
        }
    }
}
