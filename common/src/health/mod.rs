//! The health checks of the runbook: what `chaos-health` asks before an experiment and
//! `chaos-verify` asks again after it.
//!
//! [`examine`] fetches, in parallel; what it fetched is judged by pure functions, one file for each
//! part of the runbook's chapter.

pub mod metrics;
pub mod monitoring;
pub mod nodes;
pub mod pods;
pub mod services;
pub mod workloads;

use futures::join;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};

use crate::cluster::{Cluster, ReadError, ReadErrorKind};
use crate::config::Config;
use crate::record::{Check, ClusterRef, Health, SystemState, Time};
use crate::vantage::Asker;

/// Everything that the judgements need, each part as it could be read.
struct Seen {
    deployments: Result<Vec<Deployment>, ReadError>,
    stateful_sets: Result<Vec<StatefulSet>, ReadError>,
    daemon_sets: Result<Vec<DaemonSet>, ReadError>,
    pods: Result<Vec<Pod>, ReadError>,
    nodes: Result<Vec<Node>, ReadError>,
    node_usage: Result<metrics::Usage, ReadError>,
    pod_usage: Result<metrics::Usage, ReadError>,
}

/// Looks at the application in `namespace`, its nodes and its monitoring. Never fails: what could
/// not be seen is a check that is unknown.
pub async fn examine(cluster: &Cluster, asker: &Asker, config: &Config, namespace: &str) -> Health {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let what = format!("read namespace {namespace}");
    let (identity, found) = join!(cluster.identity(), cluster.read(&what, || namespaces.get_metadata(namespace)));
    let identity = match identity {
        Ok(identity) => identity,
        Err(error) => {
            let cluster_ref = ClusterRef {
                id: format!("server:{}", cluster.server),
                context: cluster.context.clone(),
                server: cluster.server.clone(),
            };
            let checks = vec![error.check("cluster.reachable", cluster.server.clone())];
            return health(cluster_ref, namespace, checks, SystemState::default());
        }
    };
    let mut checks = vec![Check::pass("cluster.reachable", &cluster.server, "the API server answers")];
    match &found {
        Ok(_) => checks.push(Check::pass("namespace.exists", format!("namespace/{namespace}"), "exists")),
        Err(error) if error.kind == ReadErrorKind::NotFound => {
            let check =
                Check::unknown("namespace.exists", format!("namespace/{namespace}"), "there is no such namespace")
                    .hint("kubectl get namespaces lists them; name one with --namespace");
            checks.push(check);
            return health(identity, namespace, checks, SystemState::default());
        }
        Err(_) => {} // Decided below, by what can be seen in it.
    }

    let (seen, (service_checks, services), monitoring_checks) = join!(
        fetch(cluster, namespace),
        examine_services(cluster, asker, config, namespace),
        monitoring::examine(cluster, asker, config),
    );
    if let Err(error) = &found {
        let object = format!("namespace/{namespace}");
        let inhabited = seen.pods.as_ref().is_ok_and(|pods| !pods.is_empty());
        checks.push(if error.kind == ReadErrorKind::Forbidden && inhabited {
            Check::pass("namespace.exists", object, "exists: it holds pods")
        } else {
            error.check("namespace.exists", object)
        });
    }
    let mut state = SystemState { services, ..SystemState::default() };
    let expected: Vec<_> = config.workloads.iter().collect();
    checks.extend(workloads::judge(
        &seen.deployments,
        &seen.stateful_sets,
        &seen.daemon_sets,
        &expected,
        namespace,
        &mut state,
    ));
    checks.extend(pods::judge(&seen.pods, namespace, Time::now()));
    checks.extend(service_checks);
    checks.extend(nodes::judge(&seen.nodes, &seen.node_usage, &config.limits, &mut state));
    checks.extend(pods::judge_usage(&seen.pods, &seen.pod_usage, &config.limits, namespace, Time::now()));
    workloads::add_pods(&mut state, &seen.pods, &seen.pod_usage);
    let (monitoring_checks, monitoring_state) = monitoring_checks;
    checks.extend(monitoring_checks);
    state.workloads.extend(monitoring_state);
    health(identity, namespace, checks, state)
}

fn health(cluster: ClusterRef, namespace: &str, checks: Vec<Check>, state: SystemState) -> Health {
    Health { cluster, namespace: namespace.to_owned(), checks, state }
}

async fn fetch(cluster: &Cluster, namespace: &str) -> Seen {
    let client = || cluster.client.clone();
    let all = ListParams::default();
    let (deployments, stateful_sets, daemon_sets): (Api<Deployment>, Api<StatefulSet>, Api<DaemonSet>) = (
        Api::namespaced(client(), namespace),
        Api::namespaced(client(), namespace),
        Api::namespaced(client(), namespace),
    );
    let (pods, nodes): (Api<Pod>, Api<Node>) = (Api::namespaced(client(), namespace), Api::all(client()));
    let list = |kind: &str| format!("list {kind} in namespace {namespace}");
    let (deployments, stateful_sets, daemon_sets, pods, nodes, node_usage, pod_usage) = join!(
        cluster.list(&deployments, &all, list("deployments")),
        cluster.list(&stateful_sets, &all, list("statefulsets")),
        cluster.list(&daemon_sets, &all, list("daemonsets")),
        cluster.list(&pods, &all, list("pods")),
        cluster.list(&nodes, &all, "list nodes"),
        metrics::nodes(cluster),
        metrics::pods(cluster, namespace),
    );
    Seen { deployments, stateful_sets, daemon_sets, pods, nodes, node_usage, pod_usage }
}

async fn examine_services(
    cluster: &Cluster,
    asker: &Asker,
    config: &Config,
    namespace: &str,
) -> (Vec<Check>, Vec<crate::record::ServiceState>) {
    let services: Api<Service> = Api::namespaced(cluster.client.clone(), namespace);
    let slices: Api<EndpointSlice> = Api::namespaced(cluster.client.clone(), namespace);
    let all = ListParams::default();
    let (services, slices, answers) = join!(
        cluster.list(&services, &all, format!("list services in namespace {namespace}")),
        cluster.list(&slices, &all, format!("list endpointslices in namespace {namespace}")),
        services::ask_all(asker, config, namespace),
    );
    let mut state = Vec::new();
    let mut checks = services::judge(&services, &slices, config, namespace, &mut state);
    checks.extend(answers);
    (checks, state)
}
