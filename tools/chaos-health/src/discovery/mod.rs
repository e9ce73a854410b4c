//! What is in a cluster that nobody has described: Services and how they are asked, workloads,
//! monitoring in the usual places, a database. Everything that is found is a guess by names, labels
//! and probes, and says so.

mod custom;
pub mod database;
pub mod monitoring;

use std::collections::BTreeMap;
use std::fmt::Debug;

use chaos_common::cluster::readiness::{self, NotKnown, Readiness};
use chaos_common::cluster::{Cluster, ListRequest, ReadError};
use chaos_common::record::{PodSource, WorkloadKind, WorkloadName};
use futures::join;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{PodSpec, PodTemplateSpec, Service};
use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::de::DeserializeOwned;

/// A workload, as far as it tells what it is for.
#[derive(Clone, Debug, PartialEq)]
pub struct Runner {
    /// Which: one of Kubernetes' own kinds, or a custom resource.
    pub name: PodSource,
    /// Pods that it wants; 0 for a DaemonSet, which takes as many as there are nodes.
    pub replicas: i32,
    /// Labels of its pods.
    pub labels: BTreeMap<String, String>,
    /// Spec of its pods.
    pub pods: PodSpec,
    /// Names of the claims that a StatefulSet makes for its pods.
    pub claims: Vec<String>,
}

/// What a namespace holds, as far as it may be read.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// Its Services, by name.
    pub services: Vec<Service>,
    /// Its workloads, by kind and name.
    pub runners: Vec<Runner>,
    /// What could not be read.
    pub unread: Vec<ReadError>,
}

impl Inventory {
    /// Reads a namespace.
    pub async fn read(cluster: &Cluster, namespace: &str) -> Inventory {
        let (services, deployments, sets, daemons) = join!(
            all::<Service>(cluster, namespace),
            all::<Deployment>(cluster, namespace),
            all::<StatefulSet>(cluster, namespace),
            all::<DaemonSet>(cluster, namespace),
        );
        let mut inventory = Inventory::default();
        inventory.services = inventory.take(services);
        let mut runners = Vec::new();
        runners.extend(
            inventory
                .take(deployments)
                .into_iter()
                .filter_map(of_deployment),
        );
        runners.extend(inventory.take(sets).into_iter().filter_map(of_set));
        runners.extend(inventory.take(daemons).into_iter().filter_map(of_daemons));
        match custom::runners(cluster, namespace, &runners).await {
            Ok(custom) => runners.extend(custom),
            Err(error) => inventory.unread.push(error),
        }
        inventory.runners = runners;
        let name = |service: &Service| service.metadata.name.clone();
        inventory.services.sort_by_key(name);
        inventory
            .runners
            .sort_by(|one, other| one.name.cmp(&other.name));
        inventory
    }

    fn take<K>(&mut self, read: Result<Vec<K>, ReadError>) -> Vec<K> {
        read.unwrap_or_else(|error| {
            self.unread.push(error);
            Vec::new()
        })
    }

    /// The workload whose pods a Service selects.
    pub fn behind(&self, service: &Service) -> Option<&Runner> {
        let selector = service.spec.as_ref()?.selector.as_ref()?;
        let selects = |runner: &&Runner| {
            let labels = &runner.labels;
            selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
        };
        self.runners
            .iter()
            .find(selects)
            .filter(|_| !selector.is_empty())
    }

    /// How each Service with a workload behind it is asked, or why that is not known.
    pub fn asked(&self) -> Vec<(&str, &Runner, Result<Readiness, NotKnown>)> {
        let asked = |service| {
            let runner = self.behind(service)?;
            let name = service.metadata.name.as_deref()?;
            Some((name, runner, readiness::of(service, &runner.pods)))
        };
        self.services.iter().filter_map(asked).collect()
    }
}

async fn all<K>(cluster: &Cluster, namespace: &str) -> Result<Vec<K>, ReadError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Debug,
{
    let keep = |found: &mut Vec<K>, object: K| found.push(object);
    let request = ListRequest::namespaced(namespace);
    cluster.fold(request, Vec::new, keep).await
}

fn runner(
    kind: WorkloadKind,
    name: Option<String>,
    (replicas, template): (i32, PodTemplateSpec),
) -> Option<Runner> {
    Some(Runner {
        name: WorkloadName { kind, name: name? }.into(),
        replicas,
        labels: template.metadata?.labels.unwrap_or_default(),
        pods: template.spec?,
        claims: Vec::new(),
    })
}

fn of_deployment(object: Deployment) -> Option<Runner> {
    let spec = object.spec?;
    let pods = (spec.replicas.unwrap_or(1), spec.template);
    runner(WorkloadKind::Deployment, object.metadata.name, pods)
}

fn of_set(object: StatefulSet) -> Option<Runner> {
    let spec = object.spec?;
    let claims = spec.volume_claim_templates.unwrap_or_default();
    let pods = (spec.replicas.unwrap_or(1), spec.template);
    Some(Runner {
        claims: claims
            .into_iter()
            .filter_map(|claim| claim.metadata.name)
            .collect(),
        ..runner(WorkloadKind::StatefulSet, object.metadata.name, pods)?
    })
}

fn of_daemons(object: DaemonSet) -> Option<Runner> {
    let pods = (0, object.spec?.template);
    runner(WorkloadKind::DaemonSet, object.metadata.name, pods)
}

#[cfg(test)]
pub(crate) mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// A namespace with these Services and StatefulSets.
    pub(crate) fn inventory(services: &[Value], sets: &[Value]) -> Inventory {
        let read = |value: &Value| serde_json::from_value(value.clone()).expect("an object");
        let sets = sets
            .iter()
            .map(|set| of_set(serde_json::from_value(set.clone()).expect("a set")));
        Inventory {
            services: services.iter().map(read).collect(),
            runners: sets.flatten().collect(),
            unread: Vec::new(),
        }
    }

    pub(crate) fn service(name: &str, selector: &str, ports: &Value) -> Value {
        json!({ "metadata": { "name": name }, "spec": { "selector": { "app": selector }, "ports": ports } })
    }

    pub(crate) fn set(name: &str, label: &str, container: &Value) -> Value {
        json!({ "metadata": { "name": name }, "spec": { "replicas": 1, "serviceName": "x", "selector": {},
            "template": { "metadata": { "labels": { "app": label, "more": "x" } },
                "spec": { "containers": [container] } } } })
    }

    #[test]
    fn a_service_is_asked_as_the_workload_behind_it_tells() {
        let ports = json!([{ "port": 80, "targetPort": 8080 }]);
        let probe = json!({ "name": "a", "readinessProbe": { "httpGet": { "port": 8080, "path": "/ok" } } });
        let found = inventory(
            &[
                service("web", "web", &ports),
                service("nobody", "gone", &ports),
            ],
            &[set("web", "web", &probe)],
        );
        let asked = found.asked();
        let [(name, runner, Ok(readiness))] = asked.as_slice() else {
            panic!("one: {asked:?}")
        };
        assert_eq!(
            (*name, runner.name.to_string()),
            ("web", "statefulset/web".to_owned())
        );
        assert_eq!((readiness.port, readiness.path.as_str()), (80, "/ok"));
    }
}
