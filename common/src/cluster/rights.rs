//! What the ways to the parts of an application need: the permissions of asking a Service, running a
//! command in a pod, and opening a session with the database.

use super::permissions::{need, need_one};
use super::probe::{Endpoint, HttpProbe};
use super::{Cluster, ReadError};
use crate::config::{Config, Credential, Database, DatabaseVantage};
use crate::record::{CustomName, Permission, PodSource, Vantage, WorkloadKind, WorkloadName};

/// What asking a Service from its vantage needs.
pub fn to_ask(asker: &HttpProbe, endpoint: &Endpoint) -> Vec<Permission> {
    let secrets = endpoint.secrets().into_iter();
    let secrets = secrets.map(|(namespace, name)| need_one(namespace, "get", "", "secrets", name));
    secrets.chain(to_go(asker, endpoint)).collect()
}

/// What the way to a Service needs.
fn to_go(asker: &HttpProbe, endpoint: &Endpoint) -> Vec<Permission> {
    let namespace = endpoint.namespace.as_str();
    match asker.vantage(endpoint) {
        Vantage::Auto | Vantage::Direct => Vec::new(),
        Vantage::ApiProxy => {
            // The name that is asked for holds the port.
            vec![need_one(
                namespace,
                "get",
                "",
                "services/proxy",
                &endpoint.proxied(),
            )]
        }
        Vantage::PortForward => vec![
            need_one(namespace, "get", "", "services", &endpoint.service),
            need(namespace, "list", "discovery.k8s.io", "endpointslices"),
            need(namespace, "get", "", "pods/portforward"),
            need(namespace, "create", "", "pods/portforward"),
        ],
        Vantage::Exec(pods) => to_exec(namespace, &pods),
    }
}

/// What running a command in one of these pods needs.
pub fn to_exec(namespace: &str, pods: &PodSource) -> Vec<Permission> {
    let mut needed = to_find(namespace, pods);
    needed.extend([
        // A command's streams are opened by GET, which newer servers count as a creation.
        need(namespace, "get", "", "pods/exec"),
        need(namespace, "create", "", "pods/exec"),
    ]);
    needed
}

/// What finding the pods of somebody needs; of a custom resource besides what [`of_custom`] tells.
fn to_find(namespace: &str, pods: &PodSource) -> Vec<Permission> {
    let mut needed = vec![need(namespace, "list", "", "pods")];
    if let Some(WorkloadName { kind, name }) = pods.workload() {
        needed.push(need_one(namespace, "get", "apps", kind.resource(), name));
        if *kind == WorkloadKind::Deployment {
            needed.push(need(namespace, "list", "apps", "replicasets"));
        }
    }
    needed
}

/// What a session with the database needs.
pub fn to_query(namespace: &str, database: &Database) -> Vec<Permission> {
    let password = database.password.as_ref().and_then(Credential::in_cluster);
    let password = password.map(|(other, name)| {
        let namespace = other.unwrap_or(namespace);
        need_one(namespace, "get", "", "secrets", name)
    });
    let mut needed: Vec<Permission> = password.into_iter().collect();
    match (database.vantage, &database.workload) {
        (DatabaseVantage::Exec, Some(pods)) => needed.extend(to_exec(namespace, pods)),
        (DatabaseVantage::PortForward, Some(pods)) => {
            needed.extend(to_find(namespace, pods));
            let tunnel = |verb| need(namespace, verb, "", "pods/portforward");
            needed.extend([tunnel("get"), tunnel("create")]);
        }
        (DatabaseVantage::Direct, _) | (_, None) => {}
    }
    needed
}

/// What finding the pods of a custom resource needs, which the cluster knows.
///
/// # Errors
/// It is not there, or can't be read.
pub async fn of_custom(
    cluster: &Cluster,
    namespace: &str,
    custom: &CustomName,
) -> Result<Vec<Permission>, ReadError> {
    let what = format!("read {custom} in namespace {namespace}");
    let scaled = cluster.scaled(namespace, custom, &what).await?;
    let family = cluster.family_of(&scaled, &what).await?;
    let (group, plural) = (&scaled.resource.group, &scaled.resource.plural);
    let scale = need_one(
        namespace,
        "get",
        group,
        &format!("{plural}/scale"),
        &custom.name,
    );
    let owners = family.read.iter();
    let owners = owners.map(|(group, plural)| need(namespace, "get", group, plural));
    Ok(owners
        .chain([scale, need(namespace, "list", "", "pods")])
        .collect())
}

/// The same of all custom resources that a configuration names as places to ask in, or as workloads.
///
/// # Errors
/// One of them is not there, or can't be read.
pub async fn of_customs(
    cluster: &Cluster,
    config: &Config,
    namespace: &str,
) -> Result<Vec<Permission>, ReadError> {
    let mut named: Vec<(String, CustomName)> = Vec::new();
    let mut add = |namespace: &str, pods: &PodSource| {
        if let PodSource::Custom(custom) = pods {
            named.push((namespace.to_owned(), custom.clone()));
        }
    };
    for workload in &config.workloads {
        add(namespace, &workload.source());
    }
    for service in &config.services {
        let endpoint = Endpoint::of_service(service, namespace);
        if let Vantage::Exec(pods) = &endpoint.vantage {
            add(&endpoint.namespace, pods);
        }
    }
    if let Some(pods) = config
        .database
        .as_ref()
        .and_then(|one| one.workload.as_ref())
    {
        add(namespace, pods);
    }
    if let Some(monitoring) = &config.monitoring {
        let named = monitoring.systems();
        for pods in named.filter_map(|(_, system)| system.workload.as_ref()) {
            add(&monitoring.namespace, pods);
        }
    }
    let mut needed = Vec::new();
    for (namespace, custom) in named {
        needed.extend(of_custom(cluster, &namespace, &custom).await?);
    }
    Ok(needed)
}
