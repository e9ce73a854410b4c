//! The health checks of the runbook: what `chaos-health` asks before an experiment and
//! `chaos-verify` asks again after it.
//!
//! [`examine`] reads, in parallel; what it reads is judged by pure functions, one file for each
//! subject. Of objects that there can be very many of, such as pods, only sums and those in trouble
//! are kept. [`CATALOGUE`] explains every check.

mod answers;
mod api_server;
mod catalogue;
mod certificate;
mod clock;
mod custom;
mod events;
mod found;
mod headroom;
mod jobs;
mod monitoring;
mod nodes;
mod pod_ranges;
mod pods;
mod probes;
mod services;
mod urls;
mod volumes;
mod workloads;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::join;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::Resource;
use kube::api::Api;
use serde::de::DeserializeOwned;

pub use self::api_server::{NAMESPACE as NAMESPACE_EXISTS, REACHABLE as CLUSTER_REACHABLE};
pub use self::catalogue::{CATALOGUE, Explanation};
pub use self::monitoring::{CONFIGURED as MONITORING, TARGETS as MONITORING_TARGETS};
pub use self::services::ENDPOINTS as SERVICE_ENDPOINTS;
use self::workloads::Controller;
pub use self::workloads::READY as WORKLOAD_READY;
use crate::protobuf;
use chaos_common::cluster::metrics::{self, Usage};
use chaos_common::cluster::probe::HttpProbe;
use chaos_common::cluster::{Cluster, ListRequest, ReadError};
use chaos_common::config::Config;
use chaos_common::record::{Check, ClusterRef, Health, SystemState, Time, WorkloadState};

/// So long a look may take, if nobody says otherwise.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Looks at the application in `namespace`, its nodes and its monitoring. Never fails: what could
/// not be seen, or not within [`DEADLINE`], is a check that is unknown.
pub async fn examine(
    cluster: &Cluster,
    probe: &HttpProbe,
    config: &Config,
    namespace: &str,
) -> Health {
    let place = Place {
        cluster,
        probe,
        namespace,
        also: &[],
        find: false,
    };
    examine_within(place, config, DEADLINE).await
}

/// Where is looked.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// What asks its Services.
    pub probe: &'a HttpProbe,
    /// The application's namespace.
    pub namespace: &'a str,
    /// Other namespaces that are looked at as well: their alerts count too.
    pub also: &'a [String],
    /// Whether what nobody configured is looked for: how Services are asked, and monitoring.
    pub find: bool,
}

/// [`examine`], in another place or for another time. The look ends at the deadline, whatever the
/// API server does; what was waiting then is unknown and says so.
pub async fn examine_within(place: Place<'_>, config: &Config, deadline: Duration) -> Health {
    look_within(place, config, (Extent::Whole, deadline)).await
}

/// Looks at one more namespace of a cluster whose nodes, monitoring and URLs have been looked at.
pub async fn examine_more(place: Place<'_>, config: &Config, deadline: Duration) -> Health {
    // What the configuration names is the application's, and this is another.
    let config = Config {
        limits: config.limits.clone(),
        health: config.health.clone(),
        ..Config::default()
    };
    look_within(place, &config, (Extent::Namespace, deadline)).await
}

async fn look_within(
    place: Place<'_>,
    config: &Config,
    (extent, deadline): (Extent, Duration),
) -> Health {
    let cluster = place.cluster.for_a_look(deadline);
    let probe = place.probe.of(&cluster);
    let subject = Subject {
        cluster: &cluster,
        probe: &probe,
        config,
        namespace: place.namespace,
        also: place.also,
        find: place.find,
    };
    let mut health = Box::pin(look(subject, extent)).await;
    leave_out(&mut health.checks, config);
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

/// What is looked at, and by what means.
#[derive(Clone, Copy)]
struct Subject<'a> {
    cluster: &'a Cluster,
    probe: &'a HttpProbe,
    config: &'a Config,
    namespace: &'a str,
    also: &'a [String],
    find: bool,
}

/// How much is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Extent {
    /// A namespace, and what is not in it: nodes, monitoring, URLs.
    Whole,
    /// A namespace.
    Namespace,
}

async fn look(subject: Subject<'_>, extent: Extent) -> Health {
    let Subject {
        cluster, namespace, ..
    } = subject;
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let what = format!("read namespace {namespace}");
    let (identity, found, clock) = join!(
        cluster.identity(),
        cluster.read(&what, || namespaces.get_metadata(namespace)),
        cluster.clock()
    );
    let identity = match identity {
        Ok(identity) => identity,
        Err(error) => return unreachable(cluster, namespace, &error),
    };
    let reachable = "the API server answers";
    let mut checks = vec![Check::pass(
        api_server::REACHABLE.id,
        &cluster.server,
        reachable,
    )];
    checks.extend(api_server::judge_namespace(&found, namespace));
    if api_server::is_missing(&found) {
        return health(identity, namespace, checks, SystemState::default());
    }
    if extent == Extent::Whole {
        checks.push(clock::judge(&clock, &cluster.server));
    }
    let now = clock
        .as_ref()
        .map_or_else(|_| Time::now(), |clock| clock.now());
    let around = async {
        match extent {
            Extent::Whole => Some(Box::pin(around(subject)).await),
            Extent::Namespace => None,
        }
    };
    let (inside, around) = join!(Box::pin(inside(subject, now)), around);
    if let Err(error) = &found {
        let unread = api_server::judge_unread_namespace(error, namespace, inside.is_inhabited());
        checks.push(unread);
    }
    let tenant = nodes::Tenant {
        namespace,
        hosts: inside.hosts(),
    };
    let (mut of_nodes, states) = inside.nodes.judge(&subject.config.limits, &tenant);
    if extent == Extent::Namespace {
        // The nodes have been looked at; those of the pods here may be others.
        let of_all = |check: &Check| check.object.as_deref() == Some(nodes::ALL);
        of_nodes.retain(|check| check.is_bad() && !of_all(check));
    }
    let mut around = around.unwrap_or_default();
    (around.nodes, around.state.nodes) = (of_nodes, states);
    let (all, state) = in_order(inside, around);
    checks.extend(all);
    health(identity, namespace, checks, state)
}

fn unreachable(cluster: &Cluster, namespace: &str, error: &ReadError) -> Health {
    let cluster_ref = ClusterRef {
        id: format!("server:{}", cluster.server),
        context: cluster.context.clone(),
        server: cluster.server.clone(),
    };
    let check = error.check(api_server::REACHABLE.id, cluster.server.clone());
    health(cluster_ref, namespace, vec![check], SystemState::default())
}

/// Puts the checks into the runbook's order: how full the pods are comes after how full the nodes
/// are.
fn in_order(inside: Inside, around: Around) -> (Vec<Check>, SystemState) {
    let mut state = inside.state;
    state.nodes = around.state.nodes;
    state.workloads.extend(around.state.workloads);
    let checks = [
        around.certificates,
        inside.checks,
        around.urls,
        around.probes,
        around.nodes,
        inside.usage,
        around.monitoring,
    ];
    (checks.concat(), state)
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
#[derive(Default)]
struct Around {
    certificates: Vec<Check>,
    urls: Vec<Check>,
    probes: Vec<Check>,
    nodes: Vec<Check>,
    monitoring: Vec<Check>,
    state: SystemState,
}

async fn around(subject: Subject<'_>) -> Around {
    let Subject {
        cluster, config, ..
    } = subject;
    let left = config.health.certificate_left;
    let (certificates, urls, probes, (monitoring, workloads)) = join!(
        unless_skipped(
            config,
            urls::CLUSTER_CERTIFICATE.id,
            urls::cluster(cluster, left)
        ),
        urls::examine(cluster, config),
        Box::pin(unless_skipped(
            config,
            probes::HOLDS.id,
            probes::examine(subject)
        )),
        Box::pin(around_monitoring(subject)),
    );
    let state = SystemState {
        workloads,
        ..SystemState::default()
    };
    Around {
        certificates,
        urls,
        probes,
        nodes: Vec::new(),
        monitoring,
        state,
    }
}

async fn around_monitoring(subject: Subject<'_>) -> (Vec<Check>, Vec<WorkloadState>) {
    if subject.find && subject.config.monitoring.is_none() {
        found::monitoring(subject).await
    } else {
        monitoring::examine(subject).await
    }
}

/// What is in the namespace.
struct Inside {
    checks: Vec<Check>,
    /// How full the pods are.
    usage: Vec<Check>,
    state: SystemState,
    /// The pods, as they could be read.
    pods: Result<pods::Survey, ReadError>,
    /// The nodes, of which the pods say whether they count.
    nodes: nodes::Nodes,
}

impl Inside {
    fn is_inhabited(&self) -> bool {
        self.pods.as_ref().is_ok_and(|pods| pods.total > 0)
    }

    /// The nodes that the pods are on.
    fn hosts(&self) -> Option<BTreeSet<&str>> {
        self.pods.as_ref().ok().map(pods::Survey::hosts)
    }
}

async fn inside(subject: Subject<'_>, now: Time) -> Inside {
    let Subject {
        cluster,
        config,
        namespace,
        ..
    } = subject;
    let (by_kind, custom, (pods, usage), mut routing, claims, apart, nodes) = join!(
        workloads::read(cluster, namespace),
        Box::pin(custom::examine(cluster, namespace, &config.workloads)),
        survey(subject, now),
        services::Routing::read(cluster, namespace),
        volumes::read(cluster, namespace),
        Box::pin(read_apart(subject, now)),
        nodes::Nodes::read(cluster),
    );
    if let Ok(pods) = &pods {
        let living = services::Living {
            pods: &pods.alive,
            addresses: &nodes.pods,
        };
        routing = routing.confirmed(cluster, namespace, living).await;
    }
    let mut state = SystemState::default();
    let mut checks = workloads::judge(by_kind, &config.workloads, namespace, &mut state);
    checks.extend(custom.0);
    state.workloads.extend(custom.1);
    checks.extend(match &pods {
        Ok(pods) => {
            pods.add_to(&mut state);
            let restarts = pods.judge_restarts(namespace, config.health.window);
            [pods.judge(namespace, &state.workloads), restarts].concat()
        }
        Err(error) => vec![error.check(pods::READY.id, format!("namespace/{namespace}"))],
    });
    let unseen = BTreeSet::new();
    let used = pods.as_ref().map_or(&unseen, |pods| &pods.claims);
    let (endpoints, services) = routing.judge(config, namespace);
    state.services = services;
    let answers =
        answers::unless_only_a_name(apart.answers, config, |service| routing.other_name(service));
    checks.extend(apart.jobs);
    checks.extend(volumes::judge(&claims, used, namespace));
    checks.extend(apart.headroom_and_events);
    checks.extend(endpoints);
    checks.extend(answers);
    let usage = match &pods {
        Ok(pods) => pods.usage.judge(namespace, &usage),
        Err(error) => vec![error.check(pods::USAGE.id, format!("namespace/{namespace}"))],
    };
    Inside {
        checks,
        usage,
        state,
        pods,
        nodes,
    }
}

/// Checks in the namespace that need nothing but what they read themselves.
struct Apart {
    jobs: Vec<Check>,
    headroom_and_events: Vec<Check>,
    answers: Vec<Check>,
}

async fn read_apart(subject: Subject<'_>, now: Time) -> Apart {
    let Subject {
        cluster,
        probe,
        config,
        namespace,
        ..
    } = subject;
    let budgets = headroom::budgets(cluster, namespace);
    let autoscalers = headroom::autoscalers(cluster, namespace);
    let quotas = headroom::quotas(cluster, namespace, config.health.quota_percent);
    let events = events::examine(cluster, config, namespace, now);
    let answers = Box::pin(async {
        if subject.find && config.services.is_empty() {
            found::services(subject).await
        } else {
            answers::ask_all(probe, config, namespace).await
        }
    });
    let (jobs, budgets, autoscalers, quotas, events, answers) = join!(
        unless_skipped(config, jobs::COMPLETE.id, jobs::examine(cluster, namespace)),
        unless_skipped(config, headroom::BUDGET.id, budgets),
        unless_skipped(config, headroom::AUTOSCALER.id, autoscalers),
        unless_skipped(config, headroom::QUOTA.id, quotas),
        unless_skipped(config, events::WARNING.id, events),
        unless_skipped(config, answers::HTTP.id, answers),
    );
    Apart {
        jobs,
        headroom_and_events: [budgets, autoscalers, quotas, events].concat(),
        answers,
    }
}

/// The pods of the namespace, and how much they use.
async fn survey(
    subject: Subject<'_>,
    now: Time,
) -> (Result<pods::Survey, ReadError>, Result<Usage, ReadError>) {
    let Subject {
        cluster,
        config,
        namespace,
        ..
    } = subject;
    // Each pod is held against its figures as it comes. A metrics API that hangs must leave time to
    // see the pods without.
    let half = cluster.until_deadline(DEADLINE) / 2;
    let usage = metrics::pods(&cluster.for_a_look(half), namespace).await;
    let rules = pods::Rules::new(config, namespace, now, &usage);
    let add = |survey: &mut pods::Survey, pod: Pod| survey.add(&pod, &rules);
    let request = ListRequest::namespaced(namespace).protobuf(protobuf::decode);
    let pods = cluster.fold(request, pods::Survey::default, add).await;
    (pods, usage)
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
