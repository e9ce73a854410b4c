//! The health checks of the runbook: what `chaos-health` asks before an experiment and
//! `chaos-verify` asks again after it.
//!
//! [`examine`] reads, in parallel; what it reads is judged by pure functions, one file for each
//! subject. Of objects that there can be very many of, such as pods, only sums and those in trouble
//! are kept. [`CATALOGUE`] explains every check.

mod api_server;
mod catalogue;
mod certificate;
mod clock;
mod events;
mod headroom;
mod jobs;
mod monitoring;
mod nodes;
mod pods;
mod services;
mod urls;
mod volumes;
mod workloads;

use futures::join;
use k8s_openapi::api::apps::v1::{DaemonSet, Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{Namespace, PersistentVolumeClaim, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::Resource;
use kube::api::Api;
use serde::de::DeserializeOwned;

pub use self::catalogue::{CATALOGUE, Explanation};
use self::workloads::Controller;
use chaos_common::cluster::metrics;
use chaos_common::cluster::probe::HttpProbe;
use chaos_common::cluster::{Cluster, ListRequest, ReadError, ReadErrorKind};
use chaos_common::config::Config;
use chaos_common::record::{Check, ClusterRef, Health, SystemState, Time};

/// Looks at the application in `namespace`, its nodes and its monitoring. Never fails: what could
/// not be seen is a check that is unknown.
pub async fn examine(
    cluster: &Cluster,
    probe: &HttpProbe,
    config: &Config,
    namespace: &str,
) -> Health {
    let mut health = look(cluster, probe, config, namespace, true).await;
    leave_out(&mut health.checks, config);
    health
}

/// Looks at one more namespace of a cluster whose nodes, monitoring and URLs have been looked at.
pub async fn examine_more(
    cluster: &Cluster,
    probe: &HttpProbe,
    config: &Config,
    namespace: &str,
) -> Health {
    // What the configuration names is the application's, and this is another.
    let config = Config {
        limits: config.limits.clone(),
        health: config.health.clone(),
        ..Config::default()
    };
    let mut health = look(cluster, probe, &config, namespace, false).await;
    leave_out(&mut health.checks, &config);
    health
}

/// Leaves out what the configuration wants left out, and says so.
fn leave_out(checks: &mut Vec<Check>, config: &Config) {
    let skipped = |id: &str| config.health.skip.iter().any(|skip| skip == id);
    checks.retain(|check| !skipped(&check.id));
    let left_out = CATALOGUE.iter().filter(|check| skipped(check.id));
    checks.extend(
        left_out.map(|check| Check::skipped(check.id, "", "left out, as the configuration wants")),
    );
}

/// The checks of an id, unless it is left out: then nothing is asked either.
async fn unless_skipped(
    config: &Config,
    id: &str,
    checks: impl Future<Output = Vec<Check>>,
) -> Vec<Check> {
    if config.health.skip.iter().any(|skip| skip == id) {
        Vec::new()
    } else {
        checks.await
    }
}

async fn look(
    cluster: &Cluster,
    probe: &HttpProbe,
    config: &Config,
    namespace: &str,
    whole: bool,
) -> Health {
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let what = format!("read namespace {namespace}");
    let (identity, found, clock) = join!(
        cluster.identity(),
        cluster.read(&what, || namespaces.get_metadata(namespace)),
        cluster.clock()
    );
    let now = clock
        .as_ref()
        .map_or_else(|_| Time::now(), |clock| clock.now());
    let identity = match identity {
        Ok(identity) => identity,
        Err(error) => {
            let cluster_ref = ClusterRef {
                id: format!("server:{}", cluster.server),
                context: cluster.context.clone(),
                server: cluster.server.clone(),
            };
            let checks = vec![error.check(api_server::REACHABLE.id, cluster.server.clone())];
            return health(cluster_ref, namespace, checks, SystemState::default());
        }
    };
    let mut checks = vec![Check::pass(
        api_server::REACHABLE.id,
        &cluster.server,
        "the API server answers",
    )];
    let object = format!("namespace/{namespace}");
    match &found {
        Ok(found) if found.metadata.deletion_timestamp.is_some() => {
            let check = Check::fail(api_server::NAMESPACE.id, object.clone(), "is being deleted");
            checks.push(check.hint("kubectl get namespaces"));
        }
        Ok(_) => checks.push(Check::pass(
            api_server::NAMESPACE.id,
            object.clone(),
            "exists",
        )),
        Err(error) if error.kind == ReadErrorKind::NotFound => {
            let check = Check::unknown(
                api_server::NAMESPACE.id,
                object,
                "there is no such namespace",
            )
            .hint("kubectl get namespaces lists them; name one with --namespace");
            checks.push(check);
            return health(identity, namespace, checks, SystemState::default());
        }
        Err(_) => {} // Decided below, by what can be seen in it.
    }

    if whole {
        checks.push(clock::judge(&clock, &cluster.server));
    }
    let mut state = SystemState::default();
    let around = async {
        if whole {
            Some(Box::pin(around(cluster, probe, config, namespace)).await)
        } else {
            None
        }
    };
    let (inside, around) = join!(
        Box::pin(inside(cluster, probe, config, namespace, now, &mut state)),
        around
    );
    let (mut inside, inhabited) = inside;
    if let Err(error) = &found {
        checks.push(if error.kind == ReadErrorKind::Forbidden && inhabited {
            Check::pass(api_server::NAMESPACE.id, object, "exists: it holds pods")
        } else {
            error.check(api_server::NAMESPACE.id, object)
        });
    }
    if let Some(around) = around {
        // In the runbook's order: how full the pods are comes after how full the nodes are.
        let usage = inside
            .iter()
            .position(|check| check.id == pods::USAGE.id)
            .unwrap_or(inside.len());
        let usage = inside.split_off(usage);
        checks.extend(around.certificates);
        checks.extend(inside);
        checks.extend(around.urls);
        checks.extend(around.nodes);
        checks.extend(usage);
        checks.extend(around.monitoring);
        state.nodes = around.state.nodes;
        state.workloads.extend(around.state.workloads);
    } else {
        checks.extend(inside);
    }
    health(identity, namespace, checks, state)
}

fn health(cluster: ClusterRef, namespace: &str, checks: Vec<Check>, state: SystemState) -> Health {
    Health {
        cluster,
        namespace: namespace.to_owned(),
        checks,
        state,
        also: Vec::new(),
    }
}

/// What is not in the namespace.
struct Around {
    certificates: Vec<Check>,
    urls: Vec<Check>,
    nodes: Vec<Check>,
    monitoring: Vec<Check>,
    state: SystemState,
}

async fn around(cluster: &Cluster, probe: &HttpProbe, config: &Config, namespace: &str) -> Around {
    let left = config.health.certificate_left;
    let (certificates, urls, (nodes, states), (monitoring, workloads)) = join!(
        unless_skipped(
            config,
            urls::CLUSTER_CERTIFICATE.id,
            urls::cluster(cluster, left)
        ),
        urls::examine(config),
        nodes::examine(cluster, config),
        monitoring::examine(cluster, probe, config, namespace),
    );
    let state = SystemState {
        nodes: states,
        workloads,
        services: Vec::new(),
    };
    Around {
        certificates,
        urls,
        nodes,
        monitoring,
        state,
    }
}

/// Everything in the namespace, and whether there are pods in it.
async fn inside(
    cluster: &Cluster,
    probe: &HttpProbe,
    config: &Config,
    namespace: &str,
    now: Time,
    state: &mut SystemState,
) -> (Vec<Check>, bool) {
    let of_pods = async {
        let usage = metrics::pods(cluster, namespace).await;
        let rules = pods::Rules::new(config, namespace, now, &usage);
        let add = |survey: &mut pods::Survey, pod: Pod| survey.add(&pod, &rules);
        let request = ListRequest::namespaced(namespace).protobuf();
        let pods = cluster.fold(request, pods::Survey::default, add).await;
        (pods, usage)
    };
    let add_service =
        |found: &mut Vec<services::ServiceSummary>, object: Service| found.push((&object).into());
    let add_slice =
        |found: &mut services::Endpoints, object: EndpointSlice| services::add(found, &object);
    let add_claim = |found: &mut Vec<volumes::Claim>, object: PersistentVolumeClaim| {
        found.push((&object).into());
    };
    let (
        deployments,
        stateful_sets,
        daemon_sets,
        (pods, usage),
        services,
        endpoints,
        claims,
        answers,
        jobs,
        budgets,
        autoscalers,
        quotas,
        events,
    ) = join!(
        controllers::<Deployment>(cluster, namespace),
        controllers::<StatefulSet>(cluster, namespace),
        controllers::<DaemonSet>(cluster, namespace),
        of_pods,
        cluster.fold(ListRequest::namespaced(namespace), Vec::new, add_service),
        cluster.fold(
            ListRequest::namespaced(namespace).protobuf(),
            services::Endpoints::new,
            add_slice
        ),
        cluster.fold(ListRequest::namespaced(namespace), Vec::new, add_claim),
        unless_skipped(
            config,
            services::HTTP.id,
            services::ask_all(probe, config, namespace)
        ),
        unless_skipped(config, jobs::COMPLETE.id, jobs::examine(cluster, namespace)),
        unless_skipped(
            config,
            headroom::BUDGET.id,
            headroom::budgets(cluster, namespace)
        ),
        unless_skipped(
            config,
            headroom::AUTOSCALER.id,
            headroom::autoscalers(cluster, namespace)
        ),
        unless_skipped(
            config,
            headroom::QUOTA.id,
            headroom::quotas(cluster, namespace, config.health.quota_percent)
        ),
        unless_skipped(
            config,
            events::WARNING.id,
            events::examine(cluster, config, namespace, now)
        ),
    );
    let mut dead = std::collections::BTreeMap::new();
    if let (Ok(endpoints), Ok(pods)) = (&endpoints, &pods) {
        dead = services::confirm(
            cluster,
            namespace,
            &services::suspects(endpoints, &pods.alive),
        )
        .await;
    }
    let by_kind = [
        ("Deployment", deployments),
        ("StatefulSet", stateful_sets),
        ("DaemonSet", daemon_sets),
    ];
    let mut checks = workloads::judge(by_kind, &config.workloads, namespace, state);
    match &pods {
        Ok(pods) => {
            checks.extend(pods.judge(namespace));
            checks.extend(pods.judge_restarts(namespace, config.health.window));
            pods.add_to(state);
        }
        Err(error) => checks.push(error.check(pods::READY.id, format!("namespace/{namespace}"))),
    }
    checks.extend(jobs);
    let unseen = std::collections::BTreeSet::new();
    let used = pods.as_ref().map_or(&unseen, |pods| &pods.claims);
    checks.extend(volumes::judge(&claims, used, namespace));
    checks.extend([budgets, autoscalers, quotas, events].concat());
    checks.extend(services::judge(
        &services,
        &endpoints,
        &dead,
        config,
        namespace,
        &mut state.services,
    ));
    checks.extend(answers);
    if let Ok(pods) = &pods {
        checks.extend(pods.usage.judge(namespace, &usage));
    }
    (checks, pods.is_ok_and(|pods| pods.total > 0))
}

async fn controllers<K>(cluster: &Cluster, namespace: &str) -> Result<Vec<Controller>, ReadError>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + std::fmt::Debug,
    for<'a> Controller: From<&'a K>,
{
    let add = |found: &mut Vec<Controller>, object: K| found.push(Controller::from(&object));
    let request = ListRequest::namespaced(namespace);
    cluster.fold(request, Vec::new, add).await
}
