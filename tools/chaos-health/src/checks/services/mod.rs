//! Does somebody stand behind every Service?

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use futures::join;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::api::{Api, ListParams};
use tokio::time::sleep;
use uuid::Uuid;

use super::catalogue::Explanation;
use crate::protobuf;
use chaos_common::cluster::{Cluster, ListRequest, ReadError, ReadErrorKind};
use chaos_common::config::{self, Config};
use chaos_common::record::{Check, ServiceState};

/// `service.endpoints`
pub const ENDPOINTS: Explanation = Explanation {
    id: "service.endpoints",
    asks: "Does somebody stand behind every Service?",
    judges: "Fails for a configured Service (or each that selects pods, if none is configured) \
             that is not there, has no ready endpoint, selects nobody, has a port that leads to \
             none of its pods' ports, or a ready endpoint whose pod is gone.",
    reads: "list services, endpointslices, pods",
    remedy: "kubectl get endpointslices; compare the Service's selector with the pods' labels",
};

/// After this what looked wrong is looked at again.
const SECOND_LOOK: Duration = Duration::from_secs(2);
/// So many Services are looked at again.
const SUSPECTS: usize = 10;

/// What is kept of a Service.
#[derive(Clone, Debug)]
struct ServiceSummary {
    name: String,
    /// As `kubectl get service -o wide` writes it; empty where it selects nothing.
    selector: String,
    ports: Vec<(String, i32)>,
}

impl From<&Service> for ServiceSummary {
    fn from(service: &Service) -> ServiceSummary {
        let spec = service
            .spec
            .as_ref()
            .filter(|spec| spec.type_.as_deref() != Some("ExternalName"));
        let selector = spec
            .and_then(|spec| spec.selector.as_ref())
            .into_iter()
            .flatten();
        let ports = spec
            .and_then(|spec| spec.ports.as_deref())
            .unwrap_or_default();
        ServiceSummary {
            name: service.metadata.name.clone().unwrap_or_default(),
            selector: selector
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
                .join(","),
            ports: ports
                .iter()
                .map(|port| (port.name.clone().unwrap_or_default(), port.port))
                .collect(),
        }
    }
}

/// Who stands behind a Service: of its endpoints, no more than who each is.
#[derive(Clone, Debug, Default)]
struct Backends {
    ready: HashSet<Key>,
    not_ready: HashSet<Key>,
    /// Names of the ports that lead somewhere.
    ports: BTreeSet<String>,
}

/// An endpoint: its pod, or an address that belongs to none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Key {
    Pod(Uuid),
    Address(String),
}

/// Who stands behind each Service of a namespace.
type Endpoints = BTreeMap<String, Backends>;

/// Takes in a slice. An address that several slices or ports repeat counts once; `ready` left out
/// means ready.
fn add(endpoints: &mut Endpoints, slice: &EndpointSlice) {
    let labels = slice.metadata.labels.as_ref();
    let Some(service) = labels.and_then(|labels| labels.get("kubernetes.io/service-name")) else {
        return;
    };
    let backends = endpoints.entry(service.clone()).or_default();
    backends.ports.extend(
        slice
            .ports
            .iter()
            .flatten()
            .map(|port| port.name.clone().unwrap_or_default()),
    );
    for endpoint in &slice.endpoints {
        let ready = endpoint
            .conditions
            .as_ref()
            .is_none_or(|conditions| conditions.ready != Some(false));
        let pod = endpoint
            .target_ref
            .as_ref()
            .filter(|target| target.kind.as_deref() == Some("Pod"));
        let uid = pod.and_then(|pod| pod.uid.as_deref()?.parse().ok());
        let key = uid.map_or_else(
            || Key::Address(endpoint.addresses.first().cloned().unwrap_or_default()),
            Key::Pod,
        );
        if ready {
            &mut backends.ready
        } else {
            &mut backends.not_ready
        }
        .insert(key);
    }
}

/// Services whose ready endpoints hold pods that were not among the living. They may only have gone
/// between the two looks.
fn suspects<'a>(endpoints: &'a Endpoints, alive: &HashSet<Uuid>) -> Vec<&'a str> {
    let dead = |key: &Key| matches!(key, Key::Pod(uid) if !alive.contains(uid));
    let suspected = endpoints
        .iter()
        .filter(|(_, backends)| backends.ready.iter().any(dead));
    suspected.map(|(service, _)| service.as_str()).collect()
}

/// What was read of the Services of a namespace.
#[derive(Clone, Debug)]
pub(super) struct Routing {
    services: Result<Vec<ServiceSummary>, ReadError>,
    endpoints: Result<Endpoints, ReadError>,
    /// By Service: an endpoint that counts as ready and whose pod is gone.
    dead: BTreeMap<String, String>,
}

impl Routing {
    pub(super) async fn read(cluster: &Cluster, namespace: &str) -> Routing {
        let request = ListRequest::namespaced(namespace);
        let slices = ListRequest::namespaced(namespace).protobuf(protobuf::decode);
        let add_service =
            |found: &mut Vec<ServiceSummary>, object: Service| found.push((&object).into());
        let add_slice = |found: &mut Endpoints, object: EndpointSlice| add(found, &object);
        let (services, endpoints) = join!(
            cluster.fold(request, Vec::new, add_service),
            cluster.fold(slices, Endpoints::new, add_slice),
        );
        Routing {
            services,
            endpoints,
            dead: BTreeMap::new(),
        }
    }

    /// Looks again at Services whose ready endpoints hold pods that are not among the living.
    pub(super) async fn confirmed(
        mut self,
        cluster: &Cluster,
        namespace: &str,
        alive: &HashSet<Uuid>,
    ) -> Routing {
        if let Ok(endpoints) = &self.endpoints {
            self.dead = confirm(cluster, namespace, &suspects(endpoints, alive)).await;
        }
        self
    }

    /// `service.endpoints`: one check for each configured Service of the namespace, or for each
    /// that selects pods if none is configured; and the state of those that there are.
    pub(super) fn judge(
        &self,
        config: &Config,
        namespace: &str,
    ) -> (Vec<Check>, Vec<ServiceState>) {
        const ID: &str = ENDPOINTS.id;
        let object = format!("namespace/{namespace}");
        let (services, endpoints) = match (&self.services, &self.endpoints) {
            (Ok(services), Ok(endpoints)) => (services, endpoints),
            (Err(error), _) | (_, Err(error)) => {
                return (vec![error.check(ID, object)], Vec::new());
            }
        };
        let names = expected(services, config, namespace);
        if names.is_empty() {
            let why = "there are no Services that select pods, and none is configured";
            return (vec![Check::skipped(ID, object, why)], Vec::new());
        }
        let nobody = Backends::default();
        let (mut checks, mut states) = (Vec::new(), Vec::new());
        for name in names {
            let Some(service) = services.iter().find(|service| service.name == name) else {
                let why = format!(
                    "the configuration names it, and there is none in namespace {namespace}"
                );
                checks.push(Check::fail(ID, format!("service/{name}"), why));
                continue;
            };
            let backends = endpoints.get(name).unwrap_or(&nobody);
            let dead = self.dead.get(name).map(String::as_str);
            states.push(backends.state(namespace, name));
            checks.push(judge_one(service, backends, dead, namespace));
        }
        (checks, states)
    }
}

/// The names of the Services that are configured for the namespace; of all that select pods, if
/// none is.
fn expected<'a>(
    services: &'a [ServiceSummary],
    config: &'a Config,
    namespace: &str,
) -> Vec<&'a str> {
    let here = |service: &&config::Service| {
        let other = service.namespace.as_deref();
        other.is_none_or(|other| other == namespace)
    };
    let configured = config.services.iter().filter(here);
    let names: Vec<&str> = configured.map(|service| service.name.as_str()).collect();
    if !names.is_empty() {
        return names;
    }
    let selecting = services.iter().filter(|s| !s.selector.is_empty());
    selecting.map(|service| service.name.as_str()).collect()
}

impl Backends {
    fn state(&self, namespace: &str, name: &str) -> ServiceState {
        ServiceState {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            ready: self.ready.len(),
            not_ready: self.not_ready.len(),
        }
    }
}

/// Who stands behind one Service; `dead` names an endpoint whose pod is gone.
fn judge_one(
    service: &ServiceSummary,
    backends: &Backends,
    dead: Option<&str>,
    namespace: &str,
) -> Check {
    let name = &service.name;
    let (ready, not_ready) = (backends.ready.len(), backends.not_ready.len());
    let astray = service
        .ports
        .iter()
        .find(|(name, _)| !backends.ports.contains(name));
    let trouble = if ready + not_ready == 0 && !service.selector.is_empty() {
        Some(format!(
            ": no running pod matches its selector {}",
            service.selector
        ))
    } else if ready == 0 {
        Some(String::new())
    } else if let Some(dead) = dead {
        Some(format!("; {dead}"))
    } else {
        astray.map(|(_, port)| format!(", but its port {port} leads to no port of its pods"))
    };
    let good = trouble.is_none();
    let seen = format!("{ready} ready endpoints, {not_ready} not ready");
    let message = seen + &trouble.unwrap_or_default();
    Check::judge(good, ENDPOINTS.id, format!("service/{name}"), message).hint(format!(
        "kubectl get endpointslices -n {namespace} -l kubernetes.io/service-name={name}"
    ))
}

/// Looks again at Services whose endpoints were of pods that were gone, and says which still are.
async fn confirm(
    cluster: &Cluster,
    namespace: &str,
    suspects: &[&str],
) -> BTreeMap<String, String> {
    let mut dead = BTreeMap::new();
    if !suspects.is_empty() {
        sleep(SECOND_LOOK).await;
    }
    for service in suspects.iter().take(SUSPECTS) {
        let slices: Api<EndpointSlice> = Api::namespaced(cluster.client.clone(), namespace);
        let params = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let what = format!("list endpointslices of service/{service} in namespace {namespace}");
        let Ok(slices) = cluster.list(&slices, &params, what).await else {
            continue;
        };
        let ready = slices
            .iter()
            .flat_map(|slice| &slice.endpoints)
            .filter(|endpoint| {
                endpoint
                    .conditions
                    .as_ref()
                    .is_none_or(|conditions| conditions.ready != Some(false))
            });
        for endpoint in ready {
            let Some(target) = endpoint
                .target_ref
                .as_ref()
                .filter(|target| target.kind.as_deref() == Some("Pod"))
            else {
                continue;
            };
            let name = target.name.as_deref().unwrap_or_default();
            let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), namespace);
            let pod = cluster
                .read(format!("read pod {name}"), || pods.get(name))
                .await;
            let gone = match &pod {
                Ok(pod) => {
                    let phase = pod
                        .status
                        .as_ref()
                        .and_then(|status| status.phase.as_deref());
                    pod.metadata.uid != target.uid || matches!(phase, Some("Succeeded" | "Failed"))
                }
                Err(error) => error.kind == ReadErrorKind::NotFound,
            };
            if gone {
                let address = endpoint
                    .addresses
                    .first()
                    .map(String::as_str)
                    .unwrap_or_default();
                let why = format!(
                    "{address} counts as ready and belongs to pod/{name}, which is no more"
                );
                dead.insert((*service).to_owned(), why);
                break;
            }
        }
    }
    dead
}

#[cfg(test)]
mod tests {
    use super::*;
    use chaos_common::record::Status;

    fn slices() -> Vec<EndpointSlice> {
        vec![
            serde_saphyr::from_str(
                "{metadata: {name: a-1, labels: {kubernetes.io/service-name: a}}, addressType: IPv4, endpoints: [
                  {addresses: [10.0.0.1], conditions: {ready: true}}, {addresses: [10.0.0.2], conditions: {ready: false}}, {addresses: [10.0.0.3]}]}",
            )
            .expect("a slice"),
            serde_saphyr::from_str(
                "{metadata: {name: a-2, labels: {kubernetes.io/service-name: a}}, addressType: IPv4, endpoints: [{addresses: [10.0.0.1], conditions: {ready: true}}]}",
            )
            .expect("a slice"),
        ]
    }

    fn endpoints() -> Endpoints {
        let mut endpoints = Endpoints::new();
        for slice in slices() {
            add(&mut endpoints, &slice);
        }
        endpoints
    }

    #[test]
    fn endpoints_count_once_and_only_if_ready() {
        let backends = &endpoints()["a"];
        assert_eq!((backends.ready.len(), backends.not_ready.len()), (2, 1));
    }

    #[test]
    fn a_service_with_nobody_behind_it_fails() {
        let services = ["a", "b"].map(|name| {
            let service: Service = serde_saphyr::from_str(&format!(
                "{{metadata: {{name: {name}}}, spec: {{selector: {{app: {name}}}}}}}"
            ))
            .expect("a service");
            ServiceSummary::from(&service)
        });
        let routing = Routing {
            services: Ok(services.to_vec()),
            endpoints: Ok(endpoints()),
            dead: BTreeMap::new(),
        };
        let (checks, _) = routing.judge(&Config::default(), "prod");
        assert_eq!(
            checks.iter().map(|c| c.status).collect::<Vec<_>>(),
            [Status::Pass, Status::Fail]
        );
    }
}
